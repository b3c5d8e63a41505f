//! Lines of tools' texts without what mail, comments and Markdown put before them, and ellipses in the place of what
//! people left out.

use super::text::Line;

/// Returns a line's own text, and its column in characters, counted from 1.
pub(super) fn plain<'a>(line: &'a Line<'_>) -> (&'a str, usize) {
    let text = line.text.trim_start_matches([' ', '\t', '>', '#', '*', '|']);
    let before = &line.text[..line.text.len() - text.len()];
    (text.trim_end(), line.offset + before.chars().count() + 1)
}

/// Returns the words of a text, each with its column, counted from that of the text.
pub(super) fn words(text: &str, column: usize) -> impl Iterator<Item = (&str, usize)> {
    let start = text.as_ptr() as usize;
    let (mut counted, mut column) = (0, column);
    text.split_whitespace().map(move |word| {
        let before = word.as_ptr() as usize - start;
        column += text.get(counted..before).map_or(0, |between| between.chars().count());
        counted = before;
        (word, column)
    })
}

/// Returns whether a text is an ellipsis, in brackets or not, or a word that people write for one. A remark may follow it.
pub(super) fn is_ellipsis(text: &str) -> bool {
    let own = text.trim_start().trim_start_matches(['[', '(', '<']);
    let remark = own.strip_prefix('\u{2026}').or_else(|| own.strip_prefix("..."));
    if remark.is_some_and(|remark| remark.starts_with([' ', '\t', '(', '['])) {
        return true;
    }
    let text = text.trim_matches(|c: char| c.is_whitespace() || "[](){}<>-#*/,".contains(c));
    text == "\u{2026}"
        || text.len() > 1 && text.bytes().all(|byte| byte == b'.')
        || matches!(text, "snip" | "snipped" | "cut" | "truncated" | "omitted")
}

/// Returns whether a word is of digits alone.
pub(super) fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the number that a word is, of digits alone: Rust's own reading takes a sign, too.
pub(super) fn number(word: &str) -> Option<u32> {
    is_number(word).then(|| word.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn columns_are_those_of_the_line() {
        let line = text::lines("> # node 0\u{e9} x").next().unwrap();
        let (text, column) = plain(&line);
        assert_eq!((text, column), ("node 0\u{e9} x", 5));
        assert_eq!(words(text, column).collect::<Vec<_>>(), [("node", 5), ("0\u{e9}", 10), ("x", 13)]);
    }

    #[test]
    fn ellipses_are_known() {
        for text in
            ["...", "[...]", "\u{2026}", "..", "<snip>", "-- cut --", "... (GPU2 to GPU7)", "[… 6 more …]"]
        {
            assert!(is_ellipsis(text), "{text}");
        }
        for text in ["", ".", "0", "cut off", "...0", "a ... b"] {
            assert!(!is_ellipsis(text), "{text}");
        }
    }
}
