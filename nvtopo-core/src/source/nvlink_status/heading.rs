//! Lines that begin what `nvidia-smi` says of a GPU, and lines that say why it says nothing.

use crate::model::GpuInstance;
use crate::source::plain::{is_number, number};
use crate::source::text::Line;

/// `GPU 0: NVIDIA RTX A6000 (UUID: GPU-5baec991-…)`; older drivers leave the UUID out. A verdict may follow in the
/// line, or stand in the place of the UUID.
pub(super) struct Heading<'a> {
    pub(super) index: u32,
    pub(super) model: &'a str,
    pub(super) uuid: Option<&'a str>,
    pub(super) verdict: Option<Verdict>,
}

/// Why no links are listed.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    AllDown,
    None,
}

/// Reads `NVML: Unable to retrieve NVLink information as all links are inActive`, which drivers spell in two ways, or
/// `Device does not have or support Nvlink`.
pub(super) fn verdict(text: &str) -> Option<Verdict> {
    let text = text.to_ascii_lowercase();
    let words = |words: &str| text.contains(words);
    match () {
        () if words("all links are inactive") => Some(Verdict::AllDown),
        () if words("not have or support nvlink") || words("does not support nvlink") => Some(Verdict::None),
        () => None,
    }
}

/// The starts of verdicts in the line of a heading.
const VERDICTS: [&str; 3] = ["Device does not", "NVML: ", "Unable to retrieve"];

/// Returns a line without what mail and comments put before it.
pub(super) fn plain<'a>(line: &'a Line<'_>) -> &'a str {
    super::super::plain::plain(line).0
}

/// Returns whether a line is a heading with a number that no GPU has.
pub(super) fn is_heading_of_nobody(line: &Line<'_>) -> bool {
    let index = plain(line).strip_prefix("GPU ").and_then(|rest| rest.split_once(": "));
    index.is_some_and(|(index, _)| is_number(index))
}

pub(super) fn gpu<'a>(line: &'a Line<'_>) -> Option<Heading<'a>> {
    let (index, rest) = plain(line).strip_prefix("GPU ")?.split_once(": ")?;
    let index = number(index)?;
    let found = verdict(rest);
    let end = VERDICTS.iter().filter_map(|words| rest.find(words)).min().filter(|_| found.is_some());
    let rest = &rest[..end.unwrap_or(rest.len())];
    let (model, uuid) = match rest.rsplit_once("UUID:") {
        Some((model, uuid)) => (model, Some(uuid.trim().trim_end_matches([' ', ')', ':', '-', ',']))),
        None => (without_cut(rest), None),
    };
    let model = model.trim_end_matches([' ', '(', ':', '-', ',']).trim();
    Some(Heading { index, model, uuid: uuid.filter(|uuid| !uuid.is_empty()), verdict: found })
}

/// Returns a name without the start of `(UUID: …` at its end, where a text was cut or a line broken.
fn without_cut(name: &str) -> &str {
    let (before, last) = name.trim_end().rsplit_once('(').unwrap_or((name, "U"));
    if !last.is_empty() && "UUID".starts_with(last) && before.len() < name.len() { before } else { name }
}

/// Reads `MIG 1g.10gb     Device  0: (UUID: MIG-…)`, which stands below its GPU.
pub(super) fn instance(line: &Line<'_>) -> Option<GpuInstance> {
    let (profile, rest) = plain(line).strip_prefix("MIG ")?.split_once("Device")?;
    let (device, uuid) = rest.split_once(':')?;
    number(device.trim())?;
    let uuid = uuid.trim().strip_prefix("(UUID: ")?.trim_end_matches([' ', ')']);
    let uuid = uuid.strip_prefix("MIG-").filter(|rest| !rest.is_empty() && rest.len() < 80).map(|_| uuid);
    // Drivers before R470 name both instances: `MIG-GPU-…/1/0`.
    let mut numbers = uuid.unwrap_or_default().split('/').skip(1).map(number);
    let profile = profile.trim();
    Some(GpuInstance {
        uuid: uuid.map(str::to_owned),
        gpu_instance: numbers.next().flatten(),
        compute_instance: numbers.next().flatten(),
        profile: (!profile.is_empty() && profile.len() < 40).then(|| profile.to_owned()),
        ..GpuInstance::default()
    })
}

/// Returns whether a line begins the status of a link and does not complete it.
pub(super) fn is_torn(line: &Line<'_>) -> bool {
    let text = plain(line);
    let rest = text.strip_prefix("Link").map(|rest| rest.trim_start_matches(' '));
    let begins = rest.is_some_and(|rest| {
        let value = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches([':', ' ']);
        let part = |whole: &str| whole.starts_with(value);
        let rate =
            value.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',')).trim_start();
        let rate_cut =
            !value.is_empty() && rate.len() < value.len() && "GB/s".starts_with(rate) && rate != "GB/s";
        let word = |whole: &str| part(whole) && value != whole;
        word("<inactive>") || word("Inactive") || rate_cut
    });
    let heading = text
        .strip_prefix("GPU")
        .is_some_and(|rest| rest.trim_matches([' ', ':']).bytes().all(|byte| byte.is_ascii_digit()));
    begins || heading || matches!(text, "L" | "Li" | "Lin")
}
