//! Lines and tokens of a text: encodings, terminal escapes, control characters, Markdown tables.
//!
//! Cleaning never moves a character, so that places in messages are those of the input. The formats give tokens their
//! meaning.

use crate::model::MAX_DEVICES;
use std::borrow::Cow;
use std::cell::OnceCell;

/// More words than any row has; what follows them in a line is not looked at.
const MOST_TOKENS: usize = 2 * MAX_DEVICES + 64;

/// A line of the input, cleaned.
#[derive(Clone)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    /// The number of characters of the input's line before its text.
    pub(super) offset: usize,
    /// Without escapes; what is damaged is `U+FFFD`.
    pub(super) text: Cow<'a, str>,
}

/// A word of a line, or a field of a Markdown table (which may be empty).
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
    /// The column of its start on a screen with tab stops every 8 columns.
    pub(super) screen: usize,
    /// The number of tabs before it.
    pub(super) tabs: usize,
    /// True if one space, and no more, divides it from the token before.
    pub(super) close: bool,
}

/// An input whose format is sought: decoded and cleaned once, however many formats look at it.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    decoded: OnceCell<Cow<'a, str>>,
    /// The cleaned lines, joined by ends of lines.
    cleaned: OnceCell<String>,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, decoded: OnceCell::new(), cleaned: OnceCell::new() }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the text, as it is.
    pub(super) fn decoded(&self) -> &str {
        self.decoded.get_or_init(|| decode(self.bytes).0)
    }

    /// Returns the text of the first bytes, as it is.
    pub(super) fn head(&self, most: usize) -> Cow<'a, str> {
        decode(&self.bytes[..self.bytes.len().min(most)]).0
    }

    /// Returns the lines, as [`lines`] does.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let cleaned = self.cleaned.get_or_init(|| {
            let mut cleaned = String::with_capacity(self.decoded().len());
            for line in lines(self.decoded()) {
                cleaned.push_str(&line.text);
                cleaned.push('\n');
            }
            cleaned.pop();
            cleaned
        });
        let lines = cleaned.split('\n').zip(1..);
        lines.map(|(text, number)| Line { number, offset: 0, text: text.into() })
    }
}

/// Returns the text of the bytes, and a note about their encoding.
pub(super) fn decode(bytes: &[u8]) -> (Cow<'_, str>, Option<String>) {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => (wide(rest, u16::from_le_bytes).into(), None),
        [0xfe, 0xff, rest @ ..] => (wide(rest, u16::from_be_bytes).into(), None),
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let broken = matches!(text, Cow::Owned(_));
            let damaged = |c: char| c == char::REPLACEMENT_CHARACTER || c == '\0';
            let place = text.lines().position(|line| line.contains(damaged));
            let note = place.map(|line| {
                let what = if broken { "bytes that are not UTF-8" } else { "characters that are not text" };
                format!("the input holds {what}, first in line {}", line + 1)
            });
            (text, note)
        }
    }
}

/// Returns the lines of the text, one after the other. A lone carriage return ends a line as well.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    raw_lines(text).enumerate().map(|(index, line)| Line { number: index + 1, offset: 0, text: clean(line) })
}

/// Returns the same lines as they are.
pub(super) fn raw_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Splits a line of a matrix: into words, or into the fields of a Markdown table. True: fields.
pub(super) fn tokens(line: &Line<'_>) -> (Vec<Token>, bool) {
    let fielded = is_fielded(&line.text);
    (if fielded { fields(line) } else { words(line) }, fielded)
}

/// Blanks terminal escapes and tags of HTML, and marks control characters.
fn clean(line: &str) -> Cow<'_, str> {
    #[cfg(test)]
    tests::CLEANED.with(|cleaned| cleaned.set(cleaned.get() + 1));
    let plain = |c: char| !(c.is_control() && c != '\t' || is_invisible(c) || matches!(c, '[' | '<' | '│'));
    if line.chars().all(plain) {
        return Cow::Borrowed(line);
    }
    let mut cleaned = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let length = escape(rest).max(tag(rest));
        if length > 0 {
            cleaned.extend(rest[..length].chars().map(|_| ' '));
            rest = &rest[length..];
            continue;
        }
        cleaned.push(match c {
            '\t' => '\t',
            '│' => '|',
            _ if is_invisible(c) => ' ',
            _ if c.is_control() => char::REPLACEMENT_CHARACTER,
            _ => c,
        });
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(cleaned)
}

/// Tells whether a character has no width: copying from web pages leaves such ones behind.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Returns the length in bytes of the terminal escape at the start of the text, 0 if there is none.
fn escape(text: &str) -> usize {
    let parameters = |text: &str| {
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, ';' | '?' | ':'))).unwrap_or(text.len())
    };
    if let Some(rest) = text.strip_prefix("\u{1b}[").or_else(|| text.strip_prefix('\u{9b}')) {
        let end = parameters(rest);
        let last = rest[end..].chars().next().map_or(0, char::len_utf8);
        return text.len() - rest.len() + end + last;
    }
    if let Some(rest) = text.strip_prefix("\u{1b}]") {
        let end = rest.find(['\u{7}', '\u{1b}']).map_or(rest.len(), |end| end + 1);
        return text.len() - rest.len() + end;
    }
    if let Some(rest) = text.strip_prefix('\u{1b}') {
        return 1 + rest.chars().next().map_or(0, char::len_utf8);
    }
    // A colour whose escape character was lost on the way.
    if let Some(rest) = text.strip_prefix('[') {
        let end = parameters(rest);
        if end > 0 && rest[end..].starts_with('m') {
            return end + 2;
        }
    }
    0
}

/// Returns the length in bytes of the tag of HTML at the start of the text, 0 if there is none: one that web pages put
/// around a text or into it.
fn tag(text: &str) -> usize {
    const NAMES: [&str; 10] = ["b", "br", "code", "em", "i", "p", "pre", "span", "strong", "u"];
    let Some(inside) = text.strip_prefix('<') else { return 0 };
    // Others are longer; a line without an end of tags is looked at no further.
    let end = inside.bytes().take(128).position(|byte| matches!(byte, b'<' | b'>'));
    let Some(inside) = end.filter(|end| inside[*end..].starts_with('>')).map(|end| &inside[..end]) else {
        return 0;
    };
    let own = inside.trim_matches('/').trim_end();
    let (name, attributes) = own.split_once(' ').unwrap_or((own, "="));
    let is_tag = NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)) && attributes.contains('=');
    if is_tag { inside.len() + 2 } else { 0 }
}

/// Returns whether the line is one of a Markdown table.
fn is_fielded(line: &str) -> bool {
    line.bytes().filter(|byte| *byte == b'|').take(2).count() == 2
}

/// Returns the words of a line. Words that hold nothing but damage are left out.
fn words(line: &Line<'_>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut screen, mut tabs, mut blanks) = (0, 0, 0);
    let mut inside = false;
    for (index, c) in line.text.chars().enumerate() {
        if c.is_whitespace() {
            if std::mem::take(&mut inside) {
                (tabs, blanks) = (0, 0);
            }
            tabs += usize::from(c == '\t');
            blanks += 1;
        } else if let Some(token) = tokens.last_mut().filter(|_| inside) {
            token.text.push(c);
        } else if tokens.len() == MOST_TOKENS {
            break;
        } else {
            inside = true;
            let close = tabs == 0 && blanks == 1 && !tokens.is_empty();
            let text = c.to_string();
            tokens.push(Token {
                text,
                line: line.number,
                column: line.offset + index + 1,
                screen,
                tabs,
                close,
            });
        }
        screen = if c == '\t' { (screen / 8 + 1) * 8 } else { screen + 1 };
    }
    tokens.retain(|token| token.text.chars().any(|c| c != char::REPLACEMENT_CHARACTER));
    tokens
}

/// Returns the fields of a line of a Markdown table, empty ones included.
fn fields(line: &Line<'_>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut column = 1;
    let whole = line.text.trim_end();
    let start = whole.find('|').unwrap_or(0);
    // The text before the first bar is a comment mark, or the first field of a table without outer bars.
    let outer = !whole[..start].contains(char::is_alphanumeric);
    let closed = whole.ends_with('|');
    let parts: Vec<&str> = whole.split('|').take(MOST_TOKENS).collect();
    let last = parts.len() - usize::from(closed && parts.len() < MOST_TOKENS);
    for (index, part) in parts.iter().enumerate() {
        let lead = part.chars().take_while(|c| c.is_whitespace()).count();
        if (index > 0 || !outer) && index < last {
            let text = part.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '`')).to_owned();
            let column = line.offset + column + lead;
            tokens.push(Token { text, line: line.number, column, screen: column, tabs: 0, close: false });
        }
        column += part.chars().count() + 1;
    }
    tokens
}

/// Returns the words of a line that a command may consist of, whatever quotes, brackets or Markdown stand around them.
pub(super) fn command_words(line: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    line.split(move |c| !part(c)).filter(|word| !word.is_empty())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// The number of lines that were cleaned, by this thread.
        pub(in crate::source) static CLEANED: Cell<usize> = const { Cell::new(0) };
    }

    fn texts(tokens: &[Token]) -> Vec<&str> {
        tokens.iter().map(|token| token.text.as_str()).collect()
    }

    fn line(text: &str) -> Line<'_> {
        Line { number: 1, offset: 0, text: clean(text) }
    }

    #[test]
    fn escapes_are_blanked_in_place() {
        for text in ["\u{1b}[4mGPU0\tNV2\u{1b}[0m", "\u{1b}]0;title\u{7}GPU0 NV2", "[4mGPU0 NV2[0m"] {
            let cleaned = line(text);
            assert_eq!(texts(&words(&cleaned)), ["GPU0", "NV2"], "{text:?}");
            assert_eq!(cleaned.text.chars().count(), text.chars().count());
        }
        assert_eq!(texts(&words(&line("a\u{1b}"))), ["a"]);
    }

    #[test]
    fn tags_of_web_pages_are_blanked_in_place() {
        for text in
            ["<pre><code>\t<u>GPU0\tNV2</u>", "GPU0 NV2<br/>", "<span class='a'>GPU0 NV2</span><BR />"]
        {
            let cleaned = line(text);
            assert_eq!(texts(&words(&cleaned)), ["GPU0", "NV2"], "{text:?}");
            assert_eq!(cleaned.text.chars().count(), text.chars().count());
        }
        for text in ["<snip>", "<u", "<b c>", "<0>", "a<b", "<\u{e9}>"] {
            assert_eq!(line(text).text, text);
        }
    }

    #[test]
    fn words_know_what_lies_before_them() {
        let tokens = words(&line("GPU0\t X \t\tNV2 CPU\0"));
        assert_eq!(texts(&tokens), ["GPU0", "X", "NV2", "CPU\u{fffd}"]);
        let gaps: Vec<_> = tokens.iter().map(|token| (token.column, token.screen, token.tabs)).collect();
        assert_eq!(gaps, [(1, 0, 0), (7, 9, 1), (11, 24, 2), (15, 28, 0)]);
        assert!(tokens[3].close);
    }

    #[test]
    fn fields_keep_empty_ones() {
        assert_eq!(texts(&fields(&line("# | a b |  | **c** |"))), ["a b", "", "c"]);
        assert_eq!(texts(&fields(&line("a | b | c"))), ["a", "b", "c"]);
    }

    #[test]
    fn lines_end_as_they_do_anywhere() {
        let numbers: Vec<_> =
            lines("a\r\nb\rc\n").map(|line| (line.number, line.text.into_owned())).collect();
        assert_eq!(numbers[..3], [(1, "a".into()), (2, "b".into()), (3, "c".into())]);
    }

    #[test]
    fn utf16_is_text() {
        let bytes: Vec<u8> =
            [0xfeff].into_iter().chain("GPU0".encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&bytes).0, "GPU0");
    }
}
