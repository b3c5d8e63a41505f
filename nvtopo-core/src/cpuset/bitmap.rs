//! The bits of a set, and how they are read and written.

use super::MAX_INDEX;
use crate::error::{Error, Result};
use std::fmt;

/// Bits in words of 64, without trailing zero words, so that equality is equality of sets.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Bitmap(Vec<u64>);

impl Bitmap {
    pub(super) fn insert(&mut self, index: u32) -> bool {
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

    pub(super) fn remove(&mut self, index: u32) {
        if let Some(word) = self.0.get_mut(index as usize / 64) {
            *word &= !(1 << (index % 64));
            self.trim();
        }
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        self.0.get(index as usize / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub(super) fn zip(&self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        let word = |words: &Vec<u64>, index: usize| words.get(index).copied().unwrap_or(0);
        let length = self.0.len().max(other.0.len());
        let mut result =
            Self((0..length).map(|index| operation(word(&self.0, index), word(&other.0, index))).collect());
        result.trim();
        result
    }

    /// Adds all of another.
    pub(super) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// Takes out what is not in another.
    pub(super) fn keep(&mut self, other: &Self) {
        self.0.truncate(other.0.len());
        for (word, kept) in self.0.iter_mut().zip(&other.0) {
            *word &= kept;
        }
        self.trim();
    }

    /// Whether no index is in both.
    pub(super) fn is_disjoint(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & b == 0)
    }

    /// Whether the other holds every index of this one. A longer set has a word that the other lacks.
    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    pub(super) fn iter(&self) -> Indices<'_> {
        Indices { words: self.0.iter(), base: 0, rest: 0, next_base: 0 }
    }

    pub(super) fn write_list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    pub(super) fn parse_list(text: &str) -> Result<Self> {
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

    pub(super) fn write_mask(&self) -> String {
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

    pub(super) fn write_hex(&self) -> String {
        let words = self.words();
        let Some((first, rest)) = words.split_first() else { return "0x0".to_owned() };
        let rest: Vec<String> = rest.iter().map(|word| format!("{word:08x}")).collect();
        format!("{first:#x}{}", rest.concat())
    }

    pub(super) fn write_hwloc(&self) -> String {
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

    pub(super) fn parse_mask(text: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!("'{}' is not a mask", shorten(text)))
                .help("expected one like 00000000,000000ff")
        };
        let mut digits = text.trim().strip_prefix("0x").unwrap_or(text.trim()).as_bytes();
        // Between commas a group is 32 bits; a mask without commas is one long number.
        let single = !digits.contains(&b',');
        // Kernels that are built for wide machines begin with many of these.
        while let Some(rest) = digits.strip_prefix(b"00000000,") {
            digits = rest;
        }
        let mut set = Self::default();
        for (position, group) in digits.rsplit(|byte| *byte == b',').enumerate() {
            let mut group = group.trim_ascii();
            while let Some(rest) = group.strip_prefix(b"0x") {
                group = rest;
            }
            if group.is_empty() || (!single && group.len() > 8) {
                return Err(bad());
            }
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
pub(super) struct Indices<'a> {
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
