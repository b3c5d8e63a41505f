//! Marks that mails, launchers and logs put before each line of an output: `> `, the rank of `srun -l`, the tag of
//! `mpirun --tag-output`, the pod of `kubectl logs --prefix`, the time.

use super::text;
use crate::error::Error;

/// The most prefixes before a line, one in the other.
const MOST: usize = 4;

/// A text whose lines lost their prefixes.
pub(super) struct Bare {
    pub(super) text: String,
    /// The number of characters that each line lost.
    widths: Vec<usize>,
}

impl Bare {
    /// Returns an error about the text with the place in the input.
    pub(super) fn placed(&self, error: Error) -> Error {
        match (error.line(), error.column()) {
            (Some(line), Some(column)) => {
                let width = line.checked_sub(1).and_then(|line| self.widths.get(line)).copied();
                error.at(line, column + width.unwrap_or(0))
            }
            _ => error,
        }
    }
}

/// Returns the text without the prefixes of its lines. `None`: it has none.
pub(super) fn bare(text: &str) -> Option<Bare> {
    let mut lines: Vec<&str> = text::raw_lines(text).collect();
    let mut widths = vec![0; lines.len()];
    let is_found = (0..MOST).take_while(|_| cut(&mut lines, &mut widths)).count() > 0;
    is_found.then(|| Bare { text: lines.join("\n"), widths })
}

/// Cuts one prefix off each line. Returns false where they have none in common.
fn cut(lines: &mut [&str], widths: &mut [usize]) -> bool {
    let mut filled = lines.iter().filter(|line| !line.trim().is_empty());
    let Some(first) = filled.next() else { return false };
    let kind = match label(first) {
        Some(label) => Kind::Label(label),
        None if time(first).is_some() => Kind::Time,
        None if lines.iter().filter(|line| quote(line).is_some()).nth(2).is_some() => Kind::Quote,
        None => return false,
    };
    let all: Option<Vec<usize>> =
        lines.iter().map(|line| if line.trim().is_empty() { Some(0) } else { kind.width(line) }).collect();
    let Some(all) = all.filter(|_| filled.next().is_some()) else { return false };
    for ((line, width), cut) in lines.iter_mut().zip(widths).zip(all) {
        *width += line[..cut].chars().count();
        *line = &line[cut..];
    }
    true
}

/// A kind of prefix.
enum Kind<'a> {
    Label(&'a str),
    Time,
    Quote,
}

impl Kind<'_> {
    /// Returns the length of the prefix of a line. `None`: it has none, and all should have one.
    fn width(&self, line: &str) -> Option<usize> {
        match self {
            // A blank line may have lost the space at the end of its prefix.
            Self::Label(label) => {
                [label, label.trim_end()].into_iter().find(|own| line.starts_with(own)).map(str::len)
            }
            Self::Time => time(line),
            // A reply has lines of its own.
            Self::Quote => quote(line).or(Some(0)),
        }
    }
}

/// The form of a time; a digit stands for any.
const TIME: &str = "0000-00-00T00:00:00";

/// Returns the label at the begin of a line, which is the same in all of one process: `0: `, `[1,0]<stdout>:`, `[pod/a/b] `.
fn label(line: &str) -> Option<&str> {
    let digits = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    let number = line.len() - digits.len();
    if number > 0 && line[..number].ends_with(|c: char| c.is_ascii_digit()) && digits.starts_with(": ") {
        return Some(&line[..number + 2]);
    }
    let end = line.strip_prefix('[').and_then(|rest| rest.find(']'))? + 2;
    let rest = &line[end..];
    if let Some(stream) = ["<stdout>:", "<stderr>:"].into_iter().find(|stream| rest.starts_with(stream)) {
        let space = usize::from(rest[stream.len()..].starts_with(' '));
        return Some(&line[..end + stream.len() + space]);
    }
    (line[..end].contains('/') && rest.starts_with(' ')).then(|| &line[..=end])
}

/// Returns the length of a time at the begin of a line, with the space behind it: `2026-05-01T10:00:01.5Z `,
/// `[2026-05-01 10:00:01,123] `.
fn time(line: &str) -> Option<usize> {
    let inner = line.strip_prefix('[').unwrap_or(line);
    let is = |(c, form): (char, char)| match form {
        '0' => c.is_ascii_digit(),
        'T' => matches!(c, 'T' | ' '),
        _ => c == form,
    };
    let is_time = inner.len() > TIME.len() && inner.chars().zip(TIME.chars()).all(is);
    let rest = inner.get(TIME.len()..).filter(|_| is_time)?;
    let rest = rest
        .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | 'Z' | '+' | ':' | '-'));
    let rest = if line.starts_with('[') { rest.strip_prefix(']')? } else { rest };
    let is_end = rest.is_empty() || rest.starts_with([' ', '\t']);
    is_end.then(|| line.len() - rest.len() + usize::from(rest.starts_with(' ')))
}

/// Returns the length of the mark of a quoted line.
fn quote(line: &str) -> Option<usize> {
    let rest = line.trim_start().strip_prefix('>')?;
    let is_mark = rest.is_empty() || rest.starts_with([' ', '>', '\t']);
    is_mark.then(|| line.len() - rest.len() + usize::from(rest.starts_with(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(text: &str) -> Option<String> {
        bare(text).map(|bare| bare.text)
    }

    #[test]
    fn prefixes_that_all_lines_have_are_cut() {
        let plain = "a\n\tb\n\nc";
        let before = |prefix: &dyn Fn(usize) -> String| {
            let lines = plain.lines().enumerate().map(|(number, line)| format!("{}{line}", prefix(number)));
            lines.collect::<Vec<_>>().join("\n")
        };
        for prefix in
            ["> ", "> > ", "0: ", "12: ", " 3: ", "[1,0]<stdout>:", "[1,0]<stderr>: ", "[pod/a-7/main] "]
        {
            assert_eq!(text_of(&before(&|_| prefix.to_owned())).as_deref(), Some(plain), "{prefix}");
        }
        for mark in ["Z ", " ", ",123 ", ".123456+02:00 ", "Z 0: "] {
            let time = |number: usize| format!("2026-05-01T10:00:0{number}{mark}");
            assert_eq!(text_of(&before(&time)).as_deref(), Some(plain), "{mark}");
        }
        let time = |number: usize| format!("[2026-05-01 10:00:0{number}] ");
        assert_eq!(text_of(&before(&time)).as_deref(), Some(plain));
        // The white space at the end of lines may be gone.
        assert_eq!(text_of("0: a\n0:\n0: b").as_deref(), Some("a\n\nb"));
        assert_eq!(text_of("it says:\n> a\n>\n> b\nwhy?").as_deref(), Some("it says:\na\n\nb\nwhy?"));
    }

    #[test]
    fn other_texts_keep_their_lines() {
        for text in [
            "",
            "0: a",
            "0: a\n1: b",
            "1: lo: <UP>\n    link\n2: eth0: <UP>",
            "2026-05-01T10:00:01Z a\nb",
            "2026/05/01 10:00:01.000, GPU-1\n2026/05/01 10:00:01.000, GPU-2",
            "[1] a/b\n[2] a/b",
            "<a\n>\n</a>",
            "é: a\né: b",
        ] {
            assert_eq!(text_of(text), None, "{text:?}");
        }
    }

    #[test]
    fn places_of_errors_are_those_of_the_input() {
        let bare = bare("> a\n> > é\n> c").unwrap();
        let place = |line, column| {
            let error = bare.placed(Error::input("x").at(line, column));
            (error.line(), error.column())
        };
        assert_eq!(place(2, 1), (Some(2), Some(3)));
        assert_eq!(place(9, 1), (Some(9), Some(1)));
    }
}
