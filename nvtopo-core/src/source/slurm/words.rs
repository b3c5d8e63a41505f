//! Lines of Slurm's files and tools: words of a key and a value, with comments, quotes and lines that go on.

use crate::source::plain::number;
use crate::source::text::Line;

/// A line, with those that go on in it.
pub(super) struct Entry {
    text: String,
    /// Where the parts of its text stand: from a byte on, a line and column.
    parts: Vec<(usize, usize, usize)>,
}

/// A key with its value.
pub(super) struct Field<'a> {
    /// In small letters: Slurm takes any.
    pub(super) key: String,
    pub(super) value: &'a str,
    /// The line and column of the value.
    pub(super) at: (usize, usize),
}

/// Returns the lines of a text without comments; empty ones stand for themselves.
pub(super) fn entries<'a>(lines: impl Iterator<Item = Line<'a>>) -> impl Iterator<Item = Entry> {
    let mut lines = lines.fuse();
    std::iter::from_fn(move || entry(&mut lines))
}

fn entry<'a>(lines: &mut impl Iterator<Item = Line<'a>>) -> Option<Entry> {
    let mut open: Option<Entry> = None;
    for line in lines {
        let own = line.text.trim_start_matches([' ', '\t', '>', '|', '`', '*']);
        let column = line.offset + line.text[..line.text.len() - own.len()].chars().count() + 1;
        let (own, is_comment) = match comment(own) {
            Some(start) => (own.get(..start).unwrap_or(own), true),
            None => (own, false),
        };
        let own = own.trim_end_matches([' ', '\t', '|', '`']);
        let (own, goes_on) = match own.strip_suffix('\\') {
            Some(own) if !is_comment => (own, true),
            _ => (own, false),
        };
        if own.is_empty() && is_comment && open.is_none() {
            continue;
        }
        let entry = open.get_or_insert_with(|| Entry { text: String::new(), parts: Vec::new() });
        entry.parts.push((entry.text.len(), line.number, column));
        entry.text.push_str(own);
        if !goes_on {
            break;
        }
    }
    open
}

/// Finds the start of a comment; `\#` is none.
fn comment(line: &str) -> Option<usize> {
    let is_start = |(at, _): &(usize, &str)| *at == 0 || line.as_bytes().get(at - 1) != Some(&b'\\');
    line.match_indices('#').find(is_start).map(|(at, _)| at)
}

impl Entry {
    /// Returns whether it begins with a key and a value. What other tools print rarely does.
    pub(super) fn begins_with_key(&self) -> bool {
        let text = self.text.trim_start();
        let behind = text.trim_start_matches(is_key);
        behind.len() < text.len() && behind.trim_start_matches(['-', '*', '+', '/', ' ']).starts_with('=')
    }

    /// Returns its keys and values. Words without a key are skipped.
    pub(super) fn fields(&self) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        let mut rest = self.text.as_str();
        let mut places = Places { entry: self, part: 0, at: 0, column: 0 };
        while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
            rest = &rest[start..];
            let key = &rest[..rest.find(|c| !is_key(c)).unwrap_or(rest.len())];
            let behind = rest[key.len()..].trim_start();
            // `Key+=value` adds to a list.
            let behind = behind.strip_prefix(['-', '*', '+', '/']).unwrap_or(behind);
            match behind.strip_prefix('=').filter(|_| !key.is_empty()) {
                Some(behind) => {
                    let behind = behind.trim_start();
                    let quoted = behind.strip_prefix('"').and_then(|quoted| quoted.split_once('"'));
                    let (value, after) = quoted.unwrap_or_else(|| behind.split_at(word_end(behind)));
                    fields.push(Field { key: key.to_ascii_lowercase(), value, at: places.next(value) });
                    rest = after;
                }
                None => rest = &rest[word_end(rest)..],
            }
        }
        fields
    }
}

/// The places of words of an entry, one after the other: a line may hold millions, so none is counted from its start.
struct Places<'a> {
    entry: &'a Entry,
    /// The part of the last word, by its position.
    part: usize,
    /// The byte up to which columns are counted, and the number of characters before it in its part.
    at: usize,
    column: usize,
}

impl Places<'_> {
    /// Returns the line and column of a word, which stands behind the last one.
    fn next(&mut self, word: &str) -> (usize, usize) {
        let Entry { text, parts } = self.entry;
        let at = (word.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        while let Some((start, ..)) = parts.get(self.part + 1).filter(|(start, ..)| *start <= at) {
            (self.part, self.at, self.column) = (self.part + 1, *start, 0);
        }
        self.column += text.get(self.at..at).map_or(0, |between| between.chars().count());
        self.at = at;
        let (_, line, column) = parts.get(self.part).copied().unwrap_or((0, 1, 1));
        (line, column + self.column)
    }
}

fn is_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

fn word_end(text: &str) -> usize {
    text.find(char::is_whitespace).unwrap_or(text.len())
}

/// Returns the value of a key that may have several names. `(null)` is how Slurm prints none.
pub(super) fn find<'f, 'a>(fields: &'f [Field<'a>], keys: &[&str]) -> Option<&'f Field<'a>> {
    let mut found = fields.iter().filter(|field| keys.contains(&field.key.as_str()));
    found.next().filter(|field| !matches!(field.value, "" | "(null)" | "N/A" | "n/a"))
}

/// Returns whether a value has the mark of a template that nobody filled in: `${dev}0`, `{{ type }}`, `<TYPE>`.
pub(super) fn is_template(value: &str) -> bool {
    ["$", "{{", "{%", "<"].iter().any(|mark| value.contains(mark))
}

/// Returns the parts of a list between commas outside of brackets. `None`: brackets are open.
fn items(list: &str) -> Option<Vec<&str>> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0u32, 0);
    for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                items.push(list.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    (depth == 0).then_some(items)
}

/// Expands a list of names with numbers in brackets: `n[1-3,7]`, `/dev/nvidia0,/dev/nvidia1`. `None`: it is no such list, or
/// one of more than `most`.
pub(super) fn expand(list: &str, most: usize) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for item in items(list)? {
        expand_one(item, most, &mut names)?;
    }
    Some(names)
}

/// Returns whether a list has a name.
pub(super) fn contains(list: &str, name: &str) -> bool {
    items(list).is_some_and(|items| items.into_iter().any(|item| is_one_of(item, name)))
}

fn is_one_of(item: &str, name: &str) -> bool {
    let Some((before, rest)) = item.split_once('[') else { return item == name };
    let (Some((numbers, after)), Some(name)) = (rest.split_once(']'), name.strip_prefix(before)) else {
        return false;
    };
    let run = name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let is_in = |digits: &str| {
        digits.parse::<u32>().is_ok_and(|number| {
            numbers.split(',').any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let bounds = first.parse::<u32>().ok().zip(last.parse().ok());
                let width = first.len();
                bounds.is_some_and(|(from, to): (u32, u32)| (from..=to).contains(&number))
                    && digits == format!("{number:0width$}")
            })
        })
    };
    let ends = 1..=run.min(10);
    ends.into_iter().any(|end| {
        let (digits, rest) = name.split_at(end);
        is_in(digits) && is_one_of(after, rest)
    })
}

fn expand_one(name: &str, most: usize, names: &mut Vec<String>) -> Option<()> {
    let Some((before, rest)) = name.split_once('[') else {
        if !name.is_empty() {
            names.push(name.to_owned());
        }
        return (names.len() <= most).then_some(());
    };
    let (numbers, after) = rest.split_once(']')?;
    for range in numbers.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (u32, u32) = (number(first)?, number(last)?);
        if from > to || (to - from) as usize >= most {
            return None;
        }
        for number in from..=to {
            let width = first.len();
            expand_one(&format!("{before}{number:0width$}{after}"), most, names)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Entry> {
        entries(crate::source::text::lines(text)).collect()
    }

    #[test]
    fn lists_are_expanded() {
        let expanded = |list: &str| expand(list, 100).map(|names| names.join(" "));
        assert_eq!(expanded("/dev/nvidia[0-1,3]").unwrap(), "/dev/nvidia0 /dev/nvidia1 /dev/nvidia3");
        assert_eq!(expanded("n[08-10],m").unwrap(), "n08 n09 n10 m");
        assert_eq!(expanded("a[0-1]b[2-3]").unwrap(), "a0b2 a0b3 a1b2 a1b3");
        for bad in ["n[", "n]", "n[1", "n[x]", "n[3-1]", "n[0-4000000000]", "n[0-99][0-99]", "n[]"] {
            assert_eq!(expanded(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_found_in_lists() {
        for (list, name) in
            [("n[1-4]", "n3"), ("a,n[08-10]", "n08"), ("r[0-1]n[0-9]-x", "r1n7-x"), ("n1", "n1")]
        {
            assert!(contains(list, name), "{list} {name}");
        }
        for (list, name) in
            [("n[1-4]", "n5"), ("n[08-10]", "n8"), ("n[1-4]", "n"), ("n[", "n"), ("n[x]", "nx"), ("n", "n1")]
        {
            assert!(!contains(list, name), "{list} {name}");
        }
    }

    #[test]
    fn lines_go_on_and_comments_end() {
        let text = "name = gpu \\\n  File=\"/dev/a b\" # File=x\n# all\n\nOS=Linux 5.10 Key=1\\#2";
        let entries = read(text);
        let fields = |entry: usize| {
            let fields = entries[entry].fields().into_iter();
            fields.map(|field| (field.key, field.value, field.at)).collect::<Vec<_>>()
        };
        assert_eq!(entries.len(), 3);
        assert_eq!(fields(0), [("name".into(), "gpu", (1, 8)), ("file".into(), "/dev/a b", (2, 9))]);
        let begin = |text: &str| read(text)[0].begins_with_key();
        assert!(begin("  OS=Linux 5") && begin("a+=b") && begin("name = gpu"));
        assert!(!begin("") && !begin("------") && !begin("NUMA[0] cpus=0-3") && !begin("=x"));
        assert_eq!(fields(2), [("os".into(), "Linux", (5, 4)), ("key".into(), "1\\#2", (5, 19))]);
    }
}
