//! The lines that `nvidia-smi` prints of links, below the line of their GPU.

/// A line about a link: `Link 3: Replay Errors: 0`.
pub(crate) struct LinkLine<'t> {
    /// The number of the GPU above it: `GPU 0: NVIDIA H100 (UUID: …)`. `None`: there is none.
    pub(crate) gpu: Option<u32>,
    pub(crate) link: u32,
    /// The text behind the number and its colon.
    pub(crate) told: &'t str,
}

/// Returns the lines that begin with this word for a link, `Link` or `C2C Link`.
pub(crate) fn of<'t>(text: &'t str, word: &'static str) -> impl Iterator<Item = LinkLine<'t>> {
    let mut gpu = None;
    text.lines().map(str::trim).filter_map(move |line| {
        if let Some(heading) = line.strip_prefix("GPU ") {
            gpu = heading.split_once(": ").and_then(|(number, _)| number.parse().ok());
            return None;
        }
        let (link, told) = line.strip_prefix(word)?.split_once(':')?;
        Some(LinkLine { gpu, link: link.trim().parse().ok()?, told: told.trim() })
    })
}
