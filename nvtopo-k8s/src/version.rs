//! The versions of Kubernetes that objects are made for.

use nvtopo::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A minor version of Kubernetes, from 1.30 to 1.37.
///
/// ```
/// use nvtopo_k8s::Version;
///
/// let version: Version = "v1.34.2".parse()?;
/// assert_eq!(version.to_string(), "1.34");
/// assert!(version < Version::NEWEST);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u8);

impl Version {
    /// The oldest version that is known here.
    pub const OLDEST: Self = Self(30);
    /// The newest version that is known here.
    pub const NEWEST: Self = Self(37);

    /// The version 1.`minor`, where it is known here.
    pub const fn minor(minor: u8) -> Option<Self> {
        if minor < Self::OLDEST.0 || minor > Self::NEWEST.0 { None } else { Some(Self(minor)) }
    }

    /// The number behind `1.`.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// All versions, the oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (Self::OLDEST.0..=Self::NEWEST.0).map(Self)
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for Version {
    type Err = Error;

    /// Reads `1.34`, `v1.34`, `1.34.2` and `v1.34.2-eks-1`.
    fn from_str(text: &str) -> Result<Self> {
        let advice = format!("give one from {} to {}", Self::OLDEST, Self::NEWEST);
        let minor = text.trim().trim_start_matches('v').strip_prefix("1.").map(|rest| {
            let end = rest.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(rest.len());
            rest.split_at(end)
        });
        match minor {
            Some((digits, rest)) if rest.is_empty() || rest.starts_with(['.', '-', '+']) => {
                let minor = digits.parse().ok().and_then(Self::minor);
                minor.ok_or_else(|| {
                    Error::request(format!("Kubernetes {text} is not known here")).help(advice)
                })
            }
            _ => Err(Error::request(format!("'{text}' is no version of Kubernetes")).help(advice)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_kubectl_prints_them() {
        for (text, minor) in [("1.30", 30), ("v1.34.2", 34), ("1.37.0-rc.1", 37), ("v1.35.3+k3s1", 35)] {
            assert_eq!(text.parse::<Version>().unwrap(), Version(minor), "{text}");
        }
        for text in ["", "1", "1.", "1.29", "1.38", "2.30", "1.34x", "1.3.4", "1.999999999999", "latest"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
