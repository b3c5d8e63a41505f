//! Documents between other lines: behind a prompt, in a fence of Markdown, before the output of another tool.

use std::borrow::Cow;

/// Marks that mail, comments and Markdown put before a line.
const MARKS: [char; 6] = [' ', '\t', '>', '|', '#', '*'];

/// Returns where the first element of a name begins that stands free: declarations and [`MARKS`] alone are before it in its line.
pub(in crate::source) fn start(text: &str, name: &str) -> Option<usize> {
    let (mut seen, mut line, mut is_taken) = (0, 0, false);
    let mut starts = text.match_indices('<').filter(|(at, _)| text[at + 1..].starts_with(name));
    starts.find_map(|(at, _)| {
        if let Some(newline) = text[seen..at].rfind('\n') {
            (line, is_taken) = (seen + newline + 1, false);
        }
        seen = at;
        let follows = text[at + 1 + name.len()..].starts_with([' ', '\t', '\r', '\n', '>', '/', '<']);
        let is_free = follows && !is_taken && are_declarations(&text[line..at]);
        // An element in a line is no declaration for the next.
        is_taken = true;
        is_free.then_some(at)
    })
}

/// Returns whether nothing but declarations and marks stands before an element.
fn are_declarations(mut before: &str) -> bool {
    loop {
        before = before.trim_start_matches(MARKS);
        let rest = match () {
            () if before.is_empty() => return true,
            () if before.starts_with("<?") => before.split_once("?>"),
            () if before.starts_with("<!--") => before.split_once("-->"),
            () if before.starts_with("<!") => before.split_once('>'),
            () => return false,
        };
        let Some((_, rest)) = rest else { return false };
        before = rest;
    }
}

/// Returns the document of the root element that begins at `start`, with its document type. Blanks in the place of what stands
/// before keep the places of errors.
pub(in crate::source) fn document<'t>(text: &'t str, name: &str, start: usize) -> Cow<'t, str> {
    let closing = format!("</{name}>");
    let end = text[start..].find(&closing).map_or(text.len(), |end| start + end + closing.len());
    // A document type could declare entities, which are refused.
    let declared = text[..start].rfind("<!DOCTYPE").unwrap_or(start);
    if text[..declared].trim().is_empty() && text[end..].trim().is_empty() {
        return Cow::Borrowed(text);
    }
    let blank = |part: &str| part.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect::<String>();
    // Marks of mail stand before the root element, too. A document type with declarations stays, to be refused.
    let head = &text[declared..start];
    let (kind, marks) = match head.split_once('>') {
        Some((kind, marks)) if !head.contains('[') => (format!("{kind}>"), marks),
        _ => (head.to_owned(), ""),
    };
    Cow::Owned([&*blank(&text[..declared]), &kind, &blank(marks), &text[start..end]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_out_with_their_places() {
        let text = "$ nvidia-smi -q -x\n<?xml?>\n<!DOCTYPE log SYSTEM \"a\">\n<log>\n</log>\n$";
        let at = start(text, "log").unwrap();
        let cut = document(text, "log", at);
        assert!(cut.trim_start().starts_with("<!DOCTYPE") && cut.ends_with("</log>"));
        assert_eq!(cut.find("<log>"), Some(at));
        assert_eq!(document("<log/>", "log", 0), "<log/>");
    }

    #[test]
    fn elements_stand_free_or_are_none() {
        for text in [
            "<log>",
            "> * <log a='b'/>",
            "<?xml?><!DOCTYPE log SYSTEM \"a\"> <log\n>",
            "a\n\t<log>",
            "<logs><\n<log>",
        ] {
            assert!(start(text, "log").is_some(), "{text}");
        }
        for text in ["<logs>", "a <log>", "\"<log>\"", "<log", "<a><log>", "<? <log>"] {
            assert_eq!(start(text, "log"), None, "{text}");
        }
    }
}
