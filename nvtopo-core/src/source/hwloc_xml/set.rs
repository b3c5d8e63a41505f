//! Sets in hwloc's syntax: groups of 32 bits in hexadecimal, highest first, where empty groups mean none and a first
//! group `0xf...f` means everything above.

use crate::cpuset::{CpuSet, MAX_INDEX};

/// A set that may be without end, as hwloc writes it.
#[derive(Debug, PartialEq)]
pub(super) struct Bitmap {
    own: CpuSet,
    /// The number from which on all are in it.
    rest: Option<u32>,
}

impl Bitmap {
    /// Reads it. `None`: not in this syntax, or beyond the numbers that a set holds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (finite, infinite) = match text.strip_prefix("0xf...f") {
            Some("") => return Some(Self { own: CpuSet::new(), rest: Some(0) }),
            Some(rest) => (rest.strip_prefix(',')?, true),
            None => (text, false),
        };
        let end = (finite.matches(',').count() + 1) * 32;
        let plain = |group: &str| {
            let digits = group.strip_prefix("0x").unwrap_or(group);
            digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if end > MAX_INDEX as usize + 1 || !finite.split(',').all(plain) {
            return None;
        }
        let groups = finite.split(',').map(|group| if group.is_empty() { "0" } else { group });
        let groups: Vec<&str> = groups.collect();
        let own = CpuSet::from_mask(&groups.join(",")).ok()?;
        Some(Self { own, rest: infinite.then_some(end as u32) })
    }

    /// Returns whether a number is in the set.
    pub(super) fn contains(&self, index: u32) -> bool {
        self.own.contains(index) || self.rest.is_some_and(|rest| index >= rest)
    }

    /// Returns the numbers, unless they are without end.
    pub(super) fn finite<T: FromIterator<u32>>(&self) -> Option<T> {
        self.rest.is_none().then(|| self.own.iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_as_hwloc_writes_them() {
        for (text, expected) in [
            ("0x0000000f", Some("0-3")),
            ("0x0", Some("")),
            ("", Some("")),
            ("0x00000001,0x0000ffff", Some("0-15,32")),
            ("0xffff0000,,0x0", Some("80-95")),
            ("0x1,,0x1", Some("0,64")),
            ("0xf...f", None),
            ("0xf...f,0x1", None),
        ] {
            let set = Bitmap::parse(text).unwrap();
            assert_eq!(set.finite::<CpuSet>().map(|set| set.to_string()).as_deref(), expected, "{text}");
        }
        let rest = Bitmap::parse("0xf...f,0x1").unwrap();
        assert!(rest.contains(0) && !rest.contains(1) && rest.contains(32) && rest.contains(MAX_INDEX));
    }

    #[test]
    fn broken_sets_are_refused() {
        let long = "0x1,".repeat(2049);
        for text in ["0x", "x", "0-3", "0xf...f0x1", "0x123456789", "0x+1", "é", "0x1,g", &long] {
            assert!(Bitmap::parse(text).is_none(), "{text}");
        }
    }
}
