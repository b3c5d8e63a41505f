//! Units: [`Bandwidth`], and sizes for people. No conversion factors of the field (those of links are in
//! [`crate::model::rates`]).

use crate::error::{Error, Result};
use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;

/// A bandwidth in one direction. 1 GB/s is 1e9 bytes per second.
///
/// Held in whole MB/s (1e6 bytes per second), so that sums and comparisons are exact and placements
/// deterministic.
///
/// ```
/// use nvtopo::Bandwidth;
///
/// let nvlink = Bandwidth::from_gb_per_s(25.0);
/// assert_eq!(nvlink.times(12).to_string(), "300 GB/s");
/// assert!(nvlink > Bandwidth::from_gb_per_s(15.8));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(u64);

impl Bandwidth {
    /// No bandwidth at all. Unknown is `Option::None`, never this.
    pub const ZERO: Self = Self(0);

    /// The highest bandwidth that is held, 1e18 bytes per second: sums over all pairs of a topology stay exact.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// From whole MB/s (1e6 bytes per second); more than [`MAX`](Self::MAX) gives that.
    pub const fn from_mb_per_s(mb_per_s: u64) -> Self {
        if mb_per_s > Self::MAX.0 { Self::MAX } else { Self(mb_per_s) }
    }

    /// From GB/s, rounded to whole MB/s; negative numbers and NaN give zero.
    pub fn from_gb_per_s(gb_per_s: f64) -> Self {
        Self::from_mb_per_s((gb_per_s * 1e3).round() as u64)
    }

    /// In whole MB/s.
    pub const fn as_mb_per_s(self) -> u64 {
        self.0
    }

    /// In GB/s.
    pub fn as_gb_per_s(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// `count` links side by side.
    pub const fn times(self, count: u64) -> Self {
        Self::from_mb_per_s(self.0.saturating_mul(count))
    }
}

impl Add for Bandwidth {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::from_mb_per_s(self.0.saturating_add(other.0))
    }
}

impl Sum for Bandwidth {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A small bandwidth is never written as zero.
        if (1..50).contains(&self.0) {
            return write!(f, "{} GB/s", self.as_gb_per_s());
        }
        let tenths = self.0 / 100 + self.0 % 100 / 50;
        match (tenths / 10, tenths % 10) {
            (whole, tenth) if tenth != 0 && whole < 100 => write!(f, "{whole}.{tenth} GB/s"),
            _ => write!(f, "{} GB/s", self.0 / 1000 + self.0 % 1000 / 500),
        }
    }
}

/// A size in bytes, written with the binary unit that fits.
///
/// ```
/// use nvtopo::Bytes;
///
/// assert_eq!("64 GiB".parse::<Bytes>()?, Bytes(64 << 30));
/// assert_eq!("1.5GB".parse::<Bytes>()?, Bytes(1_500_000_000));
/// // As Docker, Slurm and the kernel mean it.
/// assert_eq!("64G".parse::<Bytes>()?, Bytes(64 << 30));
/// // Nobody means 64 bytes.
/// assert!("64".parse::<Bytes>().is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut unit = 0;
        let mut size = self.0;
        while size >= 10 * 1024 && unit + 1 < UNITS.len() {
            size = size / 1024 + size % 1024 / 512;
            unit += 1;
        }
        write!(f, "{size} {}", UNITS[unit])
    }
}

impl FromStr for Bytes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const HELP: &str = "write it as 64GiB or 64G (both 1024³ bytes each), 64GB (10⁹), or 500MiB";
        let Some(bytes) = quantity(&text.to_ascii_lowercase(), SIZES_IN_ANY_CASE) else {
            return Err(Error::request(format!("'{text}' is no number of bytes")).help(HELP));
        };
        let bare = text.trim().ends_with(|c: char| c.is_ascii_digit() || c == '.');
        if bare && (1..FEWEST_BARE_BYTES).contains(&bytes) {
            let message = format!("'{text}' without a unit is that many bytes, fewer than 1 MiB");
            return Err(Error::request(message).help(HELP));
        }
        Ok(Self(bytes))
    }
}

/// Returns a count with its noun: `1 GPU`, `2 GPUs`.
pub fn count_of(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Lists the first names, and the number of the others: `GPU0, GPU1, GPU2 and 5 more`.
pub(crate) fn several(names: &[String]) -> String {
    listed(names, 3)
}

/// Lists the first `most` names, and the number of the others.
pub(crate) fn listed(names: &[String], most: usize) -> String {
    // One more name is as short as its number.
    if names.len() <= most + 1 {
        return names.join(", ");
    }
    format!("{} and {} more", names[..most].join(", "), names.len() - most)
}

/// Lists names; three or more with numbers in a row are one word: `GPU0-7, mlx5_0, mlx5_2`.
///
/// ```
/// use nvtopo::render::runs;
///
/// assert_eq!(runs(&["GPU0", "GPU1", "GPU2", "GPU4", "mlx5_0", "mlx5_1"]), "GPU0-2, GPU4, mlx5_0, mlx5_1");
/// ```
pub fn runs(names: &[impl AsRef<str>]) -> String {
    let divided = |name: &str| {
        let (prefix, digits) = name.split_at(name.trim_end_matches(|c: char| c.is_ascii_digit()).len());
        let number: Option<u32> = digits.parse().ok();
        Some((prefix.to_owned(), number.filter(|number| number.to_string() == digits)?))
    };
    let follows = |before: &str, name: &str| match (divided(before), divided(name)) {
        (Some((of, a)), Some((own, b))) => of == own && a.checked_add(1) == Some(b),
        _ => false,
    };
    let listed = names.chunk_by(|a, b| follows(a.as_ref(), b.as_ref())).map(|run| match run {
        [first, _, .., last] if let Some((_, end)) = divided(last.as_ref()) => {
            format!("{}-{end}", first.as_ref())
        }
        few => few.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
    });
    listed.collect::<Vec<_>>().join(", ")
}

/// Formats a size without rounding, where its number stays short.
pub fn exact_bytes(bytes: u64) -> String {
    match whole_unit(bytes) {
        (number, unit) if unit != "B" && number < 10_000 => format!("{number} {unit}"),
        _ => Bytes(bytes).to_string(),
    }
}

/// Returns a size in the greatest binary unit of which it is a whole number.
pub(crate) fn whole_unit(bytes: u64) -> (u64, &'static str) {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.into_iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or((bytes, "B"), |(shift, unit)| (bytes >> shift, unit))
}

/// The lowest number of bytes accepted without a unit: a smaller one is most often a forgotten unit.
const FEWEST_BARE_BYTES: u64 = 1 << 20;

/// The units of a size, in lower case. A single letter is binary, as in Docker, Slurm and the kernel.
const SIZES_IN_ANY_CASE: &[(&str, f64)] = &[
    ("", 1.0),
    ("b", 1.0),
    ("k", 1024.0),
    ("ki", 1024.0),
    ("kib", 1024.0),
    ("kb", 1e3),
    ("m", 1_048_576.0),
    ("mi", 1_048_576.0),
    ("mib", 1_048_576.0),
    ("mb", 1e6),
    ("g", 1_073_741_824.0),
    ("gi", 1_073_741_824.0),
    ("gib", 1_073_741_824.0),
    ("gb", 1e9),
    ("t", 1_099_511_627_776.0),
    ("ti", 1_099_511_627_776.0),
    ("tib", 1_099_511_627_776.0),
    ("tb", 1e12),
];

/// The units of an amount of data that is sent.
pub(crate) const SIZES: &[(&str, f64)] = &[
    ("", 1.0),
    ("B", 1.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

/// The highest quantity; sums of many stay exact enough.
const MAX_QUANTITY: f64 = 1e18;

/// Reads a non-negative number with one of the units behind it.
pub(crate) fn quantity(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let text = text.trim();
    // `e` and what follows a sign may belong to the number, so the longest number wins.
    let mut split = text.char_indices().map(|(at, _)| at).chain([text.len()]).rev();
    let (number, unit) =
        split.find_map(|at| Some((text[..at].parse::<f64>().ok()?, text[at..].trim_start())))?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let value = (number * factor).round();
    (0.0..=MAX_QUANTITY).contains(&value).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_prints_what_matters() {
        assert_eq!(Bandwidth::from_gb_per_s(15.754).to_string(), "15.8 GB/s");
        assert_eq!(Bandwidth::from_gb_per_s(99.96).to_string(), "100 GB/s");
        assert_eq!(Bandwidth::from_gb_per_s(9.96).to_string(), "10 GB/s");
        assert_eq!(Bandwidth::from_gb_per_s(0.05).to_string(), "0.1 GB/s");
        assert_eq!(Bandwidth::from_gb_per_s(0.049).to_string(), "0.049 GB/s");
        assert_eq!(Bandwidth::ZERO.to_string(), "0 GB/s");
        assert_eq!(Bandwidth::from_gb_per_s(450.0).to_string(), "450 GB/s");
        assert_eq!(Bandwidth::from_gb_per_s(-1.0), Bandwidth::ZERO);
        assert_eq!(Bandwidth::from_gb_per_s(f64::NAN), Bandwidth::ZERO);
        let most = Bandwidth::from_mb_per_s(u64::MAX);
        assert_eq!(
            [most, Bandwidth::from_gb_per_s(f64::INFINITY), most + most, most.times(u64::MAX)],
            [Bandwidth::MAX; 4]
        );
        assert_eq!(most.to_string(), "1000000000 GB/s");
    }

    #[test]
    fn sizes_are_read_as_other_tools_write_them() {
        let read = |text: &str| text.parse::<Bytes>().map(|Bytes(bytes)| bytes).ok();
        for text in ["64G", "64g", "64Gi", "64gib", "64 GiB", "65536M", "65536m", "0.0625T", "68719476736"] {
            assert_eq!(read(text), Some(64 << 30), "{text}");
        }
        assert_eq!(
            (read("64GB"), read("64gb"), read("0")),
            (Some(64_000_000_000), Some(64_000_000_000), Some(0))
        );
        for wrong in ["64", "1024", "1e3", "64X", "G", "-1G", "", "64GG"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let told = "64".parse::<Bytes>().unwrap_err().to_string();
        assert!(told.contains("fewer than 1 MiB") && told.contains("64G"), "{told}");
    }

    #[test]
    fn bytes_print_with_their_unit() {
        assert_eq!(Bytes(512).to_string(), "512 B");
        assert_eq!(Bytes(u64::MAX).to_string(), "16777216 TiB");
        assert_eq!(Bytes(128 << 30).to_string(), "128 GiB");
    }
}
