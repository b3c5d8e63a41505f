//! Sets of CPUs and of NUMA nodes, of any size, in the kernel's list and mask syntax.
//!
//! [`CpuSet`] and [`NodeSet`] are distinct types over one bitmap, so that a node number never becomes a CPU
//! number. Nothing here knows what a machine looks like.

use crate::error::{Error, Result};
use std::fmt;
use std::ops::{BitAndAssign, BitOrAssign};
use std::str::FromStr;

/// The highest index that a set holds. The kernel's own limits are 8192 CPUs and 1024 nodes; a text that names
/// more is damaged, and must not cost memory.
pub const MAX_INDEX: u32 = (1 << 16) - 1;

/// Bits in words of 64, without trailing zero words, so that equality is equality of sets.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Bitmap(Vec<u64>);

impl Bitmap {
    fn insert(&mut self, index: u32) -> bool {
        if index > MAX_INDEX {
            return false;
        }
        let word = index as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (index % 64);
        true
    }

    fn remove(&mut self, index: u32) {
        if let Some(word) = self.0.get_mut(index as usize / 64) {
            *word &= !(1 << (index % 64));
            self.trim();
        }
    }

    fn contains(&self, index: u32) -> bool {
        self.0.get(index as usize / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn zip(&self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        let word = |words: &Vec<u64>, index: usize| words.get(index).copied().unwrap_or(0);
        let length = self.0.len().max(other.0.len());
        let mut result =
            Self((0..length).map(|index| operation(word(&self.0, index), word(&other.0, index))).collect());
        result.trim();
        result
    }

    /// Adds all of another.
    fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// Takes out what is not in another.
    fn keep(&mut self, other: &Self) {
        self.0.truncate(other.0.len());
        for (word, kept) in self.0.iter_mut().zip(&other.0) {
            *word &= kept;
        }
        self.trim();
    }

    /// Whether no index is in both.
    fn is_disjoint(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & b == 0)
    }

    /// Whether the other holds every index of this one. A longer set has a word that the other lacks.
    fn is_subset(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    fn iter(&self) -> Indices<'_> {
        Indices { words: self.0.iter(), base: 0, rest: 0, next_base: 0 }
    }

    fn write_list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut indices = self.iter().peekable();
        let mut first = true;
        while let Some(start) = indices.next() {
            let mut end = start;
            while indices.peek() == Some(&(end + 1)) {
                end += 1;
                indices.next();
            }
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            match end - start {
                0 => write!(f, "{comma}{start}")?,
                _ => write!(f, "{comma}{start}-{end}")?,
            }
        }
        Ok(())
    }

    fn parse_list(text: &str) -> Result<Self> {
        let mut set = Self::default();
        for item in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
            let item = item.trim();
            let bad = || {
                Error::input(format!("'{item}' in the list '{}' is not a number or a range", shorten(text)))
                    .help("expected a list like 0-3,8,10-14:2")
            };
            // The kernel's stride form is `start-end:used/group`; hwloc and numactl write `start-end:step`.
            let (range, stride) =
                item.split_once(':').map_or((item, None), |(range, step)| (range, Some(step)));
            let (start, end) = range.split_once('-').unwrap_or((range, range));
            let (start, end) = (number(start).ok_or_else(bad)?, number(end).ok_or_else(bad)?);
            let (used, group) = match stride.map(|stride| stride.split_once('/').unwrap_or(("1", stride))) {
                None => (1, 1),
                Some((used, group)) => (number(used).ok_or_else(bad)?, number(group).ok_or_else(bad)?),
            };
            if start > end || used == 0 || used > group {
                return Err(bad());
            }
            for index in (start..=end).filter(|index| (index - start) % group < used) {
                set.insert(index);
            }
        }
        Ok(set)
    }

    fn write_mask(&self) -> String {
        let mut words: Vec<u32> =
            self.0.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]).collect();
        while words.len() > 1 && words.last() == Some(&0) {
            words.pop();
        }
        let words = if words.is_empty() { vec![0] } else { words };
        let text: Vec<String> = words.iter().rev().map(|word| format!("{word:08x}")).collect();
        text.join(",")
    }

    /// Words of 32 bits, highest first, without leading zero ones.
    fn words(&self) -> Vec<u32> {
        let mut words: Vec<u32> =
            self.0.iter().rev().flat_map(|word| [(*word >> 32) as u32, *word as u32]).collect();
        let zeros = words.iter().take_while(|word| **word == 0).count();
        words.drain(..zeros);
        words
    }

    fn write_hex(&self) -> String {
        let words = self.words();
        let Some((first, rest)) = words.split_first() else { return "0x0".to_owned() };
        let rest: Vec<String> = rest.iter().map(|word| format!("{word:08x}")).collect();
        format!("{first:#x}{}", rest.concat())
    }

    fn write_hwloc(&self) -> String {
        let words = self.words();
        let last = words.len().saturating_sub(1);
        let word = |(place, word): (usize, &u32)| match word {
            0 if place == last => "0x0".to_owned(),
            0 => String::new(),
            word => format!("{word:#010x}"),
        };
        let text: Vec<String> = words.iter().enumerate().map(word).collect();
        if text.is_empty() { "0x0".to_owned() } else { text.join(",") }
    }

    fn parse_mask(text: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!("'{}' is not a mask", shorten(text)))
                .help("expected one like 00000000,000000ff")
        };
        let digits = text.trim().strip_prefix("0x").unwrap_or(text.trim()).as_bytes();
        // Between commas a group is 32 bits; a mask without commas is one long number.
        let single = !digits.contains(&b',');
        let mut set = Self::default();
        for (position, group) in digits.rsplit(|byte| *byte == b',').enumerate() {
            let mut group = group.trim_ascii();
            while let Some(rest) = group.strip_prefix(b"0x") {
                group = rest;
            }
            if group.is_empty() || (!single && group.len() > 8) {
                return Err(bad());
            }
            // Of wide machines most digits are zeros.
            for (nibble, digit) in group.iter().rev().enumerate().filter(|(_, digit)| **digit != b'0') {
                let value = char::from(*digit).to_digit(16).ok_or_else(bad)?;
                let index = position * 32 + nibble * 4;
                if index + value.ilog2() as usize > MAX_INDEX as usize {
                    return Err(bad());
                }
                let word = index / 64;
                if word >= set.0.len() {
                    set.0.resize(word + 1, 0);
                }
                set.0[word] |= u64::from(value) << (index % 64);
            }
        }
        Ok(set)
    }
}

/// The indices of a bitmap in increasing order.
struct Indices<'a> {
    words: std::slice::Iter<'a, u64>,
    /// What is left of the word whose first index is `base`.
    rest: u64,
    base: u32,
    next_base: u32,
}

impl Iterator for Indices<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.rest == 0 {
            self.rest = *self.words.next()?;
            self.base = self.next_base;
            self.next_base += u64::BITS;
        }
        let index = self.base + self.rest.trailing_zeros();
        self.rest &= self.rest - 1;
        Some(index)
    }
}

fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|number| *number <= MAX_INDEX)
}

/// The start of a text, for messages about long ones.
fn shorten(text: &str) -> String {
    let mut start: String = text.chars().take(40).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

macro_rules! index_set {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Bitmap);

        impl $name {
            /// The empty set.
            pub fn new() -> Self {
                Self::default()
            }

            /// Adds an index. An index above [`MAX_INDEX`] is left out, and the answer is `false`.
            pub fn insert(&mut self, index: u32) -> bool {
                self.0.insert(index)
            }

            /// Takes an index out.
            pub fn remove(&mut self, index: u32) {
                self.0.remove(index);
            }

            /// Whether the index is in the set.
            pub fn contains(&self, index: u32) -> bool {
                self.0.contains(index)
            }

            /// How many indices the set holds.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether the set is empty.
            pub fn is_empty(&self) -> bool {
                self.0.0.is_empty()
            }

            /// The lowest index.
            pub fn first(&self) -> Option<u32> {
                self.iter().next()
            }

            /// The indices in increasing order.
            pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
                self.0.iter()
            }

            /// What is in either set.
            #[must_use]
            pub fn union(&self, other: &Self) -> Self {
                Self(self.0.zip(&other.0, |a, b| a | b))
            }

            /// What is in both sets.
            #[must_use]
            pub fn intersection(&self, other: &Self) -> Self {
                Self(self.0.zip(&other.0, |a, b| a & b))
            }

            /// What is in this set and not in the other.
            #[must_use]
            pub fn difference(&self, other: &Self) -> Self {
                Self(self.0.zip(&other.0, |a, b| a & !b))
            }

            /// Whether every index of this set is in the other.
            pub fn is_subset(&self, other: &Self) -> bool {
                self.0.is_subset(&other.0)
            }

            /// Whether the sets share no index.
            pub fn is_disjoint(&self, other: &Self) -> bool {
                self.0.is_disjoint(&other.0)
            }

            /// The set in the kernel's mask syntax: groups of 32 bits in hexadecimal, highest first.
            pub fn to_mask(&self) -> String {
                self.0.write_mask()
            }

            /// The set as one hexadecimal number, as `srun --cpu-bind=mask_cpu` and `taskset` take it.
            pub fn to_hex(&self) -> String {
                self.0.write_hex()
            }

            /// The set as hwloc's tools write bitmaps: words of 32 bits, highest first, zero ones left empty.
            pub fn to_hwloc(&self) -> String {
                self.0.write_hwloc()
            }

            /// The set as systemd takes it (`CPUAffinity=`, `NUMAMask=`): ranges with blanks between them. Cgroups
            /// (`cpuset.cpus`) take the list that [`Display`](fmt::Display) writes.
            pub fn to_systemd(&self) -> String {
                self.to_string().replace(',', " ")
            }

            /// Reads the kernel's mask syntax, and a plain hexadecimal number with or without `0x`.
            pub fn from_mask(text: &str) -> Result<Self> {
                Bitmap::parse_mask(text).map(Self)
            }
        }

        /// [`intersection`](Self::intersection) in place.
        impl BitAndAssign<&Self> for $name {
            fn bitand_assign(&mut self, other: &Self) {
                self.0.keep(&other.0);
            }
        }

        /// [`union`](Self::union) in place.
        impl BitOrAssign<&Self> for $name {
            fn bitor_assign(&mut self, other: &Self) {
                self.0.add(&other.0);
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Bitmap::parse_list(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write_list(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromIterator<u32> for $name {
            fn from_iter<I: IntoIterator<Item = u32>>(indices: I) -> Self {
                let mut set = Self::new();
                for index in indices {
                    set.insert(index);
                }
                set
            }
        }
    };
}

index_set! {
    /// A set of logical CPUs (processing units) by the kernel's numbers.
    ///
    /// ```
    /// use nvtopo::CpuSet;
    ///
    /// let cpus: CpuSet = "0-3,8".parse()?;
    /// assert_eq!(cpus.len(), 5);
    /// assert_eq!(cpus.to_string(), "0-3,8");
    /// assert_eq!(cpus.to_mask(), "0000010f");
    /// assert_eq!(CpuSet::from_mask("10f")?, cpus);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[doc(alias = "hwloc_cpuset_t")]
    #[doc(alias = "cpu_set_t")]
    CpuSet
}

index_set! {
    /// A set of NUMA nodes by the kernel's numbers.
    ///
    /// ```
    /// let nodes: nvtopo::NodeSet = "0,8,252-255".parse()?;
    /// assert!(nodes.contains(253));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[doc(alias = "hwloc_nodeset_t")]
    #[doc(alias = "nodemask_t")]
    NodeSet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn lists_of_the_kernel_are_read() {
        for (text, expected) in [
            ("", ""),
            ("0-0", "0"),
            ("3,1-2", "1-3"),
            ("0-7:2", "0,2,4,6"),
            ("0-9:2/5", "0-1,5-6"),
            (" 1 ,2\n", "1-2"),
        ] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn broken_lists_are_errors() {
        for text in ["a", "1-", "-1", "3-1", "1,,2", "0-4294967295", "99999999999", "0-7:0", "0-7:3/2", "+1"]
        {
            assert!(text.parse::<CpuSet>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn masks_of_the_kernel_are_read() {
        for (text, expected) in [
            ("ff", "0-7"),
            ("0x0000000f", "0-3"),
            ("00000001,00000000", "32"),
            ("1,00000000,00000000", "64"),
            ("0", ""),
            (" 0x1,0x00000003 ", "0-1,32"),
        ] {
            assert_eq!(CpuSet::from_mask(text).unwrap().to_string(), expected, "{text:?}");
        }
        let zeros = ",00000000".repeat(MAX_INDEX as usize / 32);
        assert_eq!(
            CpuSet::from_mask(&format!("80000000{zeros}")).unwrap().to_string(),
            MAX_INDEX.to_string()
        );
        let above = format!("1,00000000{zeros}");
        for text in ["", "g", "1,,2", "1,123456789", "é", "1,g0000000", &above] {
            assert!(CpuSet::from_mask(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sets_are_written_for_other_programs() {
        for (list, hex, hwloc, systemd) in [
            ("", "0x0", "0x0", ""),
            ("0-5", "0x3f", "0x0000003f", "0-5"),
            ("1,3-4", "0x1a", "0x0000001a", "1 3-4"),
            ("64-127", "0xffffffffffffffff0000000000000000", "0xffffffff,0xffffffff,,0x0", "64-127"),
            ("0,96", "0x1000000000000000000000001", "0x00000001,,,0x00000001", "0 96"),
        ] {
            let set: CpuSet = list.parse().unwrap();
            assert_eq!((set.to_hex().as_str(), set.to_hwloc().as_str()), (hex, hwloc), "{list}");
            assert_eq!(set.to_systemd(), systemd);
            assert_eq!(CpuSet::from_mask(&set.to_hex()).unwrap(), set);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree_set(a in prop::collection::btree_set(0u32..300, 0..60), b in prop::collection::btree_set(0u32..300, 0..60)) {
            let (x, y): (CpuSet, CpuSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(x.to_string().parse::<CpuSet>().unwrap(), x.clone());
            prop_assert_eq!(CpuSet::from_mask(&x.to_mask()).unwrap(), x.clone());
            prop_assert_eq!(x.union(&y).iter().collect::<BTreeSet<_>>(), &a | &b);
            let mut both = x.clone();
            both |= &y;
            prop_assert_eq!(&both, &x.union(&y));
            both &= &x;
            prop_assert_eq!(&both, &x);
            both &= &y;
            prop_assert_eq!(&both, &x.intersection(&y));
            prop_assert_eq!(x.intersection(&y).iter().collect::<BTreeSet<_>>(), &a & &b);
            prop_assert_eq!(x.difference(&y).iter().collect::<BTreeSet<_>>(), &a - &b);
            prop_assert_eq!(x.len(), a.len());
            prop_assert_eq!(x.is_subset(&y), a.is_subset(&b));
            prop_assert_eq!(x.is_disjoint(&y), a.is_disjoint(&b));
            prop_assert!(x.intersection(&y).is_subset(&y));
        }
    }
}
