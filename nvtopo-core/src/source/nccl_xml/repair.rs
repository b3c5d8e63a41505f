//! Parts of NCCL's topology, made a whole document: what stands around the elements goes, ends without a start go, and what
//! is open at the end is closed.
//!
//! Lines stay where they are, so that messages name the place in the input.

use std::fmt::Write;

/// The elements of NCCL's topology.
const NAMES: [&str; 10] = ["system", "cpu", "pci", "gpu", "nvlink", "xgmi", "c2c", "nic", "net", "pcilink"];

/// A repaired text.
pub(super) struct Repaired {
    pub(super) text: String,
    /// The damage, for people.
    pub(super) note: String,
}

/// Makes a whole document of a part of one; `None` where no element of NCCL's topology is in it.
pub(super) fn repair(text: &str) -> Option<Repaired> {
    let mut repair = Repair::default();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        repair.blank(&rest[..start]);
        rest = &rest[start..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            let length = comment.find("-->").map_or(rest.len(), |end| end + 7);
            repair.blank(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let inner = &rest[1..];
        let length = match inner.find(['<', '>']) {
            Some(end) if inner[end..].starts_with('>') => end,
            // A tag that is cut off.
            Some(next) => {
                repair.damage(&inner[..next]);
                rest = &inner[next..];
                continue;
            }
            None => {
                repair.damage(inner);
                rest = "";
                break;
            }
        };
        repair.tag(&inner[..length]);
        rest = &inner[length + 1..];
    }
    repair.blank(rest);
    repair.finish()
}

#[derive(Default)]
struct Repair {
    text: String,
    open: Vec<&'static str>,
    elements: usize,
    /// Ends without a start.
    unstarted: usize,
    /// Tags and parts of tags that cannot be read.
    lost: usize,
}

impl Repair {
    /// Keeps the line ends of what goes.
    fn blank(&mut self, text: &str) {
        self.text.extend(text.chars().filter(|c| *c == '\n'));
    }

    /// Leaves out a tag that cannot be read.
    fn damage(&mut self, tag: &str) {
        let name = tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next();
        self.lost += usize::from(name.is_some_and(|name| NAMES.contains(&name)));
        self.blank(tag);
    }

    fn tag(&mut self, tag: &str) {
        if let Some(name) = tag.strip_prefix('/') {
            self.end(name.trim());
            return self.blank(tag);
        }
        let (body, single) = tag.strip_suffix('/').map_or((tag, false), |body| (body, true));
        let length = body.find(|c: char| c.is_ascii_whitespace()).unwrap_or(body.len());
        let Some(name) = NAMES.into_iter().find(|name| *name == &body[..length]) else {
            return self.blank(tag);
        };
        self.elements += 1;
        if self.elements == 1 && name != "system" {
            self.text.push_str("<system version=\"1\">");
            self.open.push("system");
        }
        // Only the first element can be the root.
        if name == "system" && self.elements > 1 {
            return self.blank(tag);
        }
        self.text.push('<');
        self.text.push_str(name);
        self.attributes(&body[length..]);
        self.text.push_str(if single { "/>" } else { ">" });
        if !single {
            self.open.push(name);
        }
    }

    /// Keeps the attributes that are whole, each of them once.
    fn attributes(&mut self, mut rest: &str) {
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let trimmed = rest.trim_start();
            self.blank(&rest[..rest.len() - trimmed.len()]);
            if trimmed.is_empty() {
                return;
            }
            let length =
                trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(trimmed.len());
            let (name, after) = trimmed.split_at(length);
            let value = after.strip_prefix("=\"").and_then(|value| value.split_once('"'));
            match value {
                Some((value, after))
                    if !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) =>
                {
                    // Few: a tag has some ten of them.
                    if seen.len() < 64 && !seen.contains(&name) {
                        seen.push(name);
                        let plain = value.chars().filter(|c| !c.is_control() && *c != '&');
                        let plain: String = plain.collect();
                        let _ = write!(self.text, " {name}=\"{plain}\"");
                    }
                    self.blank(value);
                    rest = after;
                }
                _ => {
                    self.lost += 1;
                    let end = trimmed.find(|c: char| c.is_ascii_whitespace()).unwrap_or(trimmed.len());
                    rest = &trimmed[end..];
                }
            }
        }
    }

    fn end(&mut self, name: &str) {
        let Some(place) = self.open.iter().rposition(|open| *open == name) else {
            self.unstarted += usize::from(NAMES.contains(&name));
            return;
        };
        // More may follow the end of the root.
        for name in self.open.drain(place.max(1).min(self.open.len())..).rev() {
            let _ = write!(self.text, "</{name}>");
        }
    }

    fn finish(mut self) -> Option<Repaired> {
        if self.elements == 0 {
            return None;
        }
        let open = self.open.len();
        for name in std::mem::take(&mut self.open).into_iter().rev() {
            let _ = write!(self.text, "</{name}>");
        }
        let mut note =
            "this is a part of an NCCL topology file, or a damaged one; what is there was read".to_owned();
        let parts = [
            (open, "elements are not closed"),
            (self.unstarted, "are closed and not opened"),
            (self.lost, "tags or attributes cannot be read"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !parts.is_empty() {
            let _ = write!(note, " ({})", parts.join(", "));
        }
        Some(Repaired { text: self.text, note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_whole() {
        for (part, whole) in [
            (
                "  </gpu>\n<pci busid=\"a\" ...>\n",
                "\n<system version=\"1\"><pci busid=\"a\">\n</pci></system>",
            ),
            (
                "log: <cpu numaid=\"0\"><pci busid=\"b\"/>",
                "<system version=\"1\"><cpu numaid=\"0\"><pci busid=\"b\"/></cpu></system>",
            ),
            (
                "<system version=\"1\"><cpu numaid=\"0\">\n<pci busid=\"1",
                "<system version=\"1\"><cpu numaid=\"0\">\n</cpu></system>",
            ),
            (
                "<system version=\"1\"></system><cpu numaid=\"0\"/>",
                "<system version=\"1\"><cpu numaid=\"0\"/></system>",
            ),
        ] {
            assert_eq!(repair(part).unwrap().text, whole, "{part}");
        }
        assert!(repair("<topology><object/></topology>").is_none());
        assert!(repair("").is_none());
    }
}
