//! Identifiers in texts: found by their shapes or because they are known, and replaced by made-up ones of the same
//! shape, the same everywhere.

use super::paths;
use std::collections::BTreeMap;

/// The shortest run of hexadecimal digits that can be an identifier: a MAC address.
const SHORTEST: usize = 12;

/// The identifiers, each with its replacement.
#[derive(Default)]
pub(super) struct Ids {
    /// The number of each identifier, by its digits without separators, and how many there are of its length.
    numbers: BTreeMap<String, usize>,
    counts: BTreeMap<usize, usize>,
    /// Words that name this machine or a part of it, longest first, and what stands in.
    words: Vec<(String, String)>,
}

/// The kind of text that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Anything.
    Text,
    /// A version, which can look like an IP address.
    Version,
    /// Control groups and where they are mounted, which are paths by themselves.
    Groups,
    /// A name that the kernel gave.
    Fixed,
}

impl Ids {
    /// Adds a word that is replaced wherever it stands alone, in capitals too. Of two replacements the last counts.
    pub(super) fn add_word(&mut self, word: &str, replacement: &str) {
        self.words.retain(|(known, _)| !known.eq_ignore_ascii_case(word));
        self.words.push((word.to_owned(), replacement.to_owned()));
        self.words.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
    }

    /// Returns the words that were added.
    pub(super) fn words(&self) -> Vec<String> {
        self.words.iter().map(|(word, _)| word.clone()).collect()
    }

    /// Adds an identifier that may occur in other forms: its hexadecimal digits.
    pub(super) fn add_digits(&mut self, id: &str) {
        let digits = digits(id);
        if digits.len() >= SHORTEST && digits.bytes().any(|digit| digit != b'0') {
            self.number(digits);
        }
    }

    /// Returns the text with made-up identifiers.
    pub(super) fn replace(&mut self, text: &str, read: Read) -> String {
        let mut result = String::with_capacity(text.len());
        let mut before = None;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let inside = before.is_some_and(char::is_alphanumeric);
            let found = if inside { None } else { self.find(before, rest, read) };
            let length = if let Some((length, stand_in)) = &found {
                result.push_str(stand_in);
                *length
            } else {
                result.push(first);
                first.len_utf8()
            };
            before = rest[..length].chars().next_back();
            rest = &rest[length..];
        }
        result
    }

    /// Returns whether an identifier that was replaced somewhere is in a text, in whatever form.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let plain = text.iter().filter(|byte| !matches!(byte, b':' | b'-' | b'.' | b'_'));
        let plain: Vec<u8> = plain.map(u8::to_ascii_lowercase).collect();
        let mut known = self.numbers.keys();
        known.any(|id| plain.windows(id.len()).any(|part| part == id.as_bytes()))
    }

    /// Finds an identifier at the start of a text, after the character before it: its length and its replacement.
    fn find(&mut self, before: Option<char>, text: &str, read: Read) -> Option<(usize, String)> {
        if read != Read::Fixed {
            if let Some((word, stand_in)) = self.words.iter().find(|(word, _)| starts_with_word(text, word)) {
                return Some((word.len(), stand_in.clone()));
            }
            if let Some(found) = paths::find(before, text).filter(|_| read != Read::Groups) {
                return Some(found);
            }
        }
        self.uuid(text)
            .or_else(|| self.groups(text, ':'))
            .or_else(|| self.groups(text, '-'))
            .or_else(|| if matches!(read, Read::Text | Read::Groups) { ip(text) } else { None })
            .or_else(|| self.run(text))
    }

    fn uuid(&mut self, text: &str) -> Option<(usize, String)> {
        let (groups, length) = hex_groups(text, '-');
        let shape = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
        let digits = digits(&groups.concat());
        (shape && !is_nil(&digits)).then(|| {
            let number = self.number(digits);
            (length, format!("00000000-0000-4000-8000-{number:012x}"))
        })
    }

    /// Finds `02:00:5e:00:00:01` (MAC and longer addresses of hardware), `0200:5e00:0000:0001` (GUID, GID).
    fn groups(&mut self, text: &str, separator: char) -> Option<(usize, String)> {
        let (groups, length) = hex_groups(text, separator);
        let width = groups.first()?.len();
        let equal = groups.iter().all(|group| group.len() == width);
        let is_address = matches!((width, groups.len(), separator), (2, 6.., _) | (4, 4.., ':'));
        let digits = digits(&groups.concat());
        (equal && is_address && !is_nil(&digits)).then(|| {
            let made = made_up(digits.len(), self.number(digits));
            let parts: Vec<&str> = (0..groups.len()).map(|at| &made[at * width..(at + 1) * width]).collect();
            (length, parts.join(&separator.to_string()))
        })
    }

    /// Finds digits in a row, also behind letters and an x: the names of interfaces by their addresses
    /// (`enx02005e000001`).
    fn run(&mut self, text: &str) -> Option<(usize, String)> {
        let length = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
        let word = &text[..length];
        let named = word.split_once('x').filter(|(kind, _)| {
            (1..=6).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_lowercase())
        });
        let (prefix, id) = match named {
            Some((kind, id)) if matches!(id.len(), 12 | 16) => (&word[..=kind.len()], id),
            // A number without letters is a number.
            _ if word.bytes().any(|byte| byte.is_ascii_alphabetic()) || self.numbers.contains_key(word) => {
                ("", word)
            }
            _ => return None,
        };
        let is_id = id.len() >= SHORTEST && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_id && !is_nil(id)).then(|| {
            let made = made_up(id.len(), self.number(digits(id)));
            (length, format!("{prefix}{made}"))
        })
    }

    fn number(&mut self, digits: String) -> usize {
        let count = self.counts.entry(digits.len()).or_default();
        *self.numbers.entry(digits).or_insert_with(|| {
            *count += 1;
            *count
        })
    }
}

/// Returns a locally administered address, or a text that looks like one, of a range without known users.
fn made_up(length: usize, number: usize) -> String {
    format!("02005e{number:0width$x}", width = length - 6)
}

fn digits(id: &str) -> String {
    id.chars().filter(char::is_ascii_hexdigit).map(|digit| digit.to_ascii_lowercase()).collect()
}

fn is_nil(digits: &str) -> bool {
    digits.bytes().all(|digit| digit == b'0') || digits.bytes().all(|digit| digit == b'f')
}

fn starts_with_word(text: &str, word: &str) -> bool {
    let (start, rest) = text.split_at_checked(word.len()).unwrap_or_default();
    start.eq_ignore_ascii_case(word) && !rest.starts_with(char::is_alphanumeric)
}

/// Returns the groups of hexadecimal digits that a text starts with, and their length with separators. None where
/// another letter or separator follows.
fn hex_groups(text: &str, separator: char) -> (Vec<&str>, usize) {
    let end = text.find(|c: char| !c.is_ascii_hexdigit() && c != separator).unwrap_or(text.len());
    let run = text[..end].trim_end_matches(separator);
    let follows = text[run.len()..].starts_with(char::is_alphanumeric);
    let groups: Vec<&str> = run.split(separator).collect();
    if follows || groups.len() < 4 || groups.iter().any(|group| group.is_empty()) {
        return (Vec::new(), 0);
    }
    (groups, run.len())
}

/// Returns an IP address, and one from the ranges for documentation (RFC 5737, RFC 3849).
fn ip(text: &str) -> Option<(usize, String)> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit() && !matches!(c, ':' | '.')).unwrap_or(text.len());
    let run = text[..end].trim_end_matches(['.', ':']);
    let run = if text[..end].ends_with("::") { &text[..end] } else { run };
    if text[run.len()..].starts_with(char::is_alphanumeric) {
        return None;
    }
    let stand_in = match run.parse().ok()? {
        std::net::IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => "192.0.2.1",
        std::net::IpAddr::V6(address) if !address.is_loopback() && !address.is_unspecified() => "2001:db8::1",
        _ => return None,
    };
    Some((run.len(), stand_in.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_found_and_ids_stay_apart() {
        let mut ids = Ids::default();
        for (text, expected) in [
            ("GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab", "GPU-00000000-0000-4000-8000-000000000001"),
            (
                "MIG-GPU-5C3EE4A8-6b1c-4c5e-8d9a-0123456789ab/1/0",
                "MIG-GPU-00000000-0000-4000-8000-000000000001/1/0",
            ),
            ("(5c3ee4a8-6b1c-4c5e-8d9a-0123456789ac)", "(00000000-0000-4000-8000-000000000002)"),
            ("a8:5e:45:01:02:03, 98039b010203", "02:00:5e:00:00:01, 02005e000002"),
            ("enxa85e45010203 A8-5E-45-01-02-03", "enx02005e000001 02-00-5e-00-00-01"),
            ("9803:9b03:0001:0203", "0200:5e00:0000:0001"),
            ("fe80::1%eth0 and 10.1.2.3.", "2001:db8::1%eth0 and 192.0.2.1."),
            ("/home/alice/lib.so: no", "/home/user/lib.so: no"),
        ] {
            assert_eq!(ids.replace(text, Read::Text), expected);
        }
    }

    #[test]
    fn what_the_topology_is_made_of_stays() {
        let mut ids = Ids::default();
        for text in [
            "0000:1b:00.0",
            "00000000:1B:00.0",
            "../../../devices/pci0000:80/0000:80:02.2/0000:82:00.0",
            "ffffffff,00000000,ffffffff",
            "00000000-0000-0000-0000-000000000000",
            "00:00:00:00:00:00",
            "0-3,8-11",
            "32.0 GT/s PCIe",
            "570.124.06",
            "Node 0 MemTotal:  1055763456000 kB",
            "0x000000000000000f",
            "LNXSYSTM:00",
            "127.0.0.1",
            "enp1s0f0np0",
            "émigré::x",
        ] {
            assert_eq!(ids.replace(text, Read::Text), text);
        }
        assert_eq!(ids.replace("230.0.157.0", Read::Version), "230.0.157.0");
    }

    proptest::proptest! {
        /// Holds for any text, and on repetition.
        #[test]
        fn any_text_is_replaced_alike(text in "([0-9a-fx]{0,16}[:. -]?|GPU-|/home/|é|::){0,12}") {
            let mut ids = Ids::default();
            ids.add_word("é", "host");
            let once = ids.replace(&text, Read::Text);
            let again = ids.replace(&text, Read::Text);
            proptest::prop_assert_eq!(once, again);
        }
    }

    #[test]
    fn only_what_can_be_an_identifier_is_one() {
        let mut ids = Ids::default();
        // An address that was never set, and a number that is in very many texts.
        ids.add_digits("00:00:00:00:00:00");
        ids.add_digits("0123 4567");
        assert!(!ids.is_in(b"mask 0x000000000000000f of node 01234567"));
        ids.add_digits("000000000001");
        assert!(ids.is_in(b"00:00:00:00:00:01"));
        // A text that continues with a letter is another word, such as a version.
        for text in ["98:03:9b:01:02:03x", "9803-9b01-0203-0405é", "1.2.3.4rc1", "10.20.30.40é"] {
            assert_eq!(ids.replace(text, Read::Text), text);
        }
    }

    #[test]
    fn of_two_stand_ins_for_a_word_the_last_counts() {
        let mut ids = Ids::default();
        ids.add_word("node17", "host");
        ids.add_word("NODE17", "net0");
        assert_eq!(ids.words(), ["NODE17"]);
        assert_eq!(ids.replace("node17", Read::Text), "net0");
    }

    #[test]
    fn words_are_whole_and_digits_are_found_in_any_form() {
        let mut ids = Ids::default();
        ids.add_word("node17", "host");
        ids.add_word("node17.example.org", "host");
        ids.add_word("é", "host");
        ids.add_digits("00:11:22:33:44:55");
        let text = "node17.example.org node17 node170 xnode17 001122334455";
        assert_eq!(ids.replace(text, Read::Text), "host host node170 xnode17 02005e000001");
        assert_eq!(ids.replace("Node17 NODE17.Example.ORG NODE170 ÉÉ", Read::Text), "host host NODE170 ÉÉ");
        assert_eq!(ids.replace("node17", Read::Fixed), "node17");
        assert!(ids.is_in(b"id 0011.2233.4455") && !ids.is_in(b"00:11:22:33:44"));
    }
}
