//! The bits of a set, and their text formats.

use super::MAX_INDEX;
use crate::error::{Error, Result};
use std::cmp::Ordering;
use std::fmt;

/// Bits in words of 64, from the first word that is not zero to the last, so that equality is equality of sets, and a set
/// of one high index is small.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Bitmap {
    /// The place of the first word; 0 of an empty set.
    start: u32,
    words: Vec<u64>,
}

impl Bitmap {
    /// The words from a place on, without the zero ones at both ends.
    fn new(start: usize, words: impl Iterator<Item = u64> + Clone) -> Self {
        let used = |(_, word): &(usize, u64)| *word != 0;
        let Some((first, _)) = words.clone().enumerate().find(used) else { return Self::default() };
        let last = words.clone().enumerate().filter(used).last().map_or(first, |(last, _)| last);
        Self { start: (start + first) as u32, words: words.skip(first).take(last + 1 - first).collect() }
    }

    fn start(&self) -> usize {
        self.start as usize
    }

    fn end(&self) -> usize {
        self.start() + self.words.len()
    }

    /// The word at a place, which may be outside.
    fn word(&self, place: usize) -> u64 {
        place.checked_sub(self.start()).and_then(|index| self.words.get(index)).copied().unwrap_or(0)
    }

    /// The word at a place, for which room is made.
    fn word_mut(&mut self, place: usize) -> &mut u64 {
        if self.words.is_empty() {
            self.start = place as u32;
            self.words.reserve_exact(2);
            self.words.push(0);
        }
        if let Some(before) = self.start().checked_sub(place).filter(|before| *before > 0) {
            self.words.splice(..0, std::iter::repeat_n(0, before));
            self.start = place as u32;
        }
        let index = place - self.start();
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        &mut self.words[index]
    }

    pub(super) fn insert(&mut self, index: u32) -> bool {
        if index > MAX_INDEX {
            return false;
        }
        *self.word_mut(index as usize / 64) |= 1 << (index % 64);
        true
    }

    pub(super) fn remove(&mut self, index: u32) {
        let place = (index as usize / 64).checked_sub(self.start());
        if let Some(word) = place.and_then(|place| self.words.get_mut(place)) {
            *word &= !(1 << (index % 64));
            self.trim();
        }
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        self.word(index as usize / 64) & (1 << (index % 64)) != 0
    }

    pub(super) fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
        let zeros = self.words.iter().take_while(|word| **word == 0).count();
        self.words.drain(..zeros);
        self.start = if self.words.is_empty() { 0 } else { self.start + zeros as u32 };
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.add(other);
        all
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let (start, end) = self.common(other);
        Self::new(start, (start..end).map(|place| self.word(place) & other.word(place)))
    }

    pub(super) fn difference(&self, other: &Self) -> Self {
        Self::new(self.start(), (self.start()..self.end()).map(|place| self.word(place) & !other.word(place)))
    }

    /// The places that both have, from the first to before the last; none where the end is not above the start.
    fn common(&self, other: &Self) -> (usize, usize) {
        (self.start().max(other.start()), self.end().min(other.end()))
    }

    /// Adds all of another.
    pub(super) fn add(&mut self, other: &Self) {
        let Some(last) = other.words.len().checked_sub(1) else { return };
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        self.word_mut(other.start());
        self.word_mut(other.start() + last);
        let from = other.start() - self.start();
        for (word, more) in self.words[from..].iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Removes the indices that another lacks.
    pub(super) fn keep(&mut self, other: &Self) {
        for (place, word) in (self.start()..).zip(&mut self.words) {
            *word &= other.word(place);
        }
        self.trim();
    }

    /// Returns true where no index is in both.
    pub(super) fn is_disjoint(&self, other: &Self) -> bool {
        let (start, end) = self.common(other);
        (start..end).all(|place| self.word(place) & other.word(place) == 0)
    }

    /// Returns true where the other holds every index of this one.
    pub(super) fn is_subset(&self, other: &Self) -> bool {
        (self.start()..self.end()).all(|place| self.word(place) & !other.word(place) == 0)
    }

    /// Iterates over all words from place 0 on, including zero ones before the first index.
    fn all_words(&self) -> impl DoubleEndedIterator<Item = u64> {
        (0..self.end()).map(|place| self.word(place))
    }

    pub(super) fn iter(&self) -> Indices<'_> {
        Indices { words: self.words.iter(), base: 0, rest: 0, next_base: self.start * u64::BITS }
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
            self.all_words().flat_map(|word| [word as u32, (word >> 32) as u32]).collect();
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
            self.all_words().rev().flat_map(|word| [(word >> 32) as u32, word as u32]).collect();
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
                *set.word_mut(index / 64) |= u64::from(value) << (index % 64);
            }
        }
        Ok(set)
    }
}

/// The order of the words from the lowest index on.
impl Ord for Bitmap {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_empty(), other.is_empty()) {
            (false, false) => other.start.cmp(&self.start).then_with(|| self.words.cmp(&other.words)),
            (empty, other_empty) => other_empty.cmp(&empty),
        }
    }
}

impl PartialOrd for Bitmap {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The indices of a bitmap in increasing order.
pub(super) struct Indices<'a> {
    words: std::slice::Iter<'a, u64>,
    /// The remaining bits of the word whose first index is `base`.
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
