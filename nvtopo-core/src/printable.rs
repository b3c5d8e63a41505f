//! Text that came from a file, a machine or an environment, made safe to print: a terminal obeys control characters.

use std::borrow::Cow;

/// The most characters of one message. A longer one loses its middle.
const LONGEST: usize = 800;

/// The most characters of one word of a message.
const LONGEST_WORD: usize = 160;

/// Escapes characters that a terminal obeys or that reorder others: each is written as its escape,
/// `\n` or `\u{1b}`. These are the control characters C0 and C1, and those of bidirectional text.
///
/// ```
/// use nvtopo::printable;
///
/// assert_eq!(printable("NVIDIA H100 \u{1b}[2J"), r"NVIDIA H100 \u{1b}[2J");
/// assert_eq!(printable("Größe µ"), "Größe µ");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Escapes like [`printable`], but keeps line breaks and tabs.
///
/// ```
/// assert_eq!(nvtopo::printable_lines("two\n\tlines\u{9b}2J\n"), "two\n\tlines\\u{9b}2J\n");
/// ```
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_obeyed(c) && c != '\n' && c != '\t') {
        return Cow::Borrowed(text);
    }
    let lines: Vec<String> =
        text.split('\n').map(|line| line.split('\t').map(printable).collect::<Vec<_>>().join("\t")).collect();
    Cow::Owned(lines.join("\n"))
}

/// Escapes a message, and shortens it to a readable length.
pub(crate) fn message(text: &str) -> String {
    let text = printable(text);
    let words: Vec<Cow<'_, str>> = text.split(' ').map(|word| without_middle(word, LONGEST_WORD)).collect();
    without_middle(&words.join(" "), LONGEST).into_owned()
}

/// Returns true for characters that a terminal obeys rather than shows, and those that no text may hold, which break XML.
pub(crate) fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

fn without_middle(text: &str, longest: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= longest {
        return Cow::Borrowed(text);
    }
    let half = longest / 2;
    let start: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(count - half).collect();
    Cow::Owned(format!("{start}…{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for c in [
            '\0', '\u{7}', '\u{8}', '\r', '\n', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{9f}', '\u{202e}',
            '\u{2066}',
        ] {
            let shown = printable(&format!("a{c}b")).into_owned();
            assert!(shown.starts_with("a\\") && shown.ends_with('b'), "{shown}");
        }
        assert!(matches!(printable("Größe 10 µs 日本 –"), Cow::Borrowed(_)));
        assert_eq!(printable_lines("a\tb\r\nc\n"), "a\tb\\r\nc\n");
    }

    #[test]
    fn a_message_stays_short() {
        let echoed = message(&format!("unknown word '{}' (try another)", "x".repeat(100_000)));
        assert!(echoed.chars().count() < 250 && echoed.ends_with("x' (try another)"), "{echoed}");
        let many = message(&"word ".repeat(100_000));
        assert!(many.chars().count() <= LONGEST + 1 && many.contains('…'));
        assert_eq!(message("a\nb"), "a\\nb");
    }
}
