//! The words for how a process takes memory.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// How memory is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryPolicy {
    /// From the given nodes first, from others when these are full.
    #[default]
    Preferred,
    /// From the node of the CPU that asks.
    Local,
    /// From the given nodes only: a process that wants more is killed.
    Bind,
    /// From the given nodes in turn.
    Interleave,
}

impl MemoryPolicy {
    /// Reads the word of a policy, or `none`, which leaves memory as it is.
    ///
    /// ```
    /// use nvtopo::apply::MemoryPolicy;
    ///
    /// assert_eq!(MemoryPolicy::parse_or_none("bind")?, Some(MemoryPolicy::Bind));
    /// assert_eq!(MemoryPolicy::parse_or_none("none")?, None);
    /// let error = MemoryPolicy::parse_or_none("hard").unwrap_err();
    /// assert!(error.to_string().ends_with("(there are preferred, local, bind, interleave, none)"));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn parse_or_none(text: &str) -> Result<Option<Self>> {
        if text == "none" {
            return Ok(None);
        }
        let policy = text.parse().map(Some);
        policy.map_err(|error: Error| error.help(format!("there are {}, none", words())))
    }

    /// Every policy.
    pub const ALL: [Self; 4] = [Self::Preferred, Self::Local, Self::Bind, Self::Interleave];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Preferred => "preferred",
            Self::Local => "local",
            Self::Bind => "bind",
            Self::Interleave => "interleave",
        }
    }
}

impl fmt::Display for MemoryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for MemoryPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|policy| policy.word() == text).ok_or_else(|| {
            Error::request(format!("there is no memory policy '{text}'"))
                .help(format!("there are {}", words()))
        })
    }
}

fn words() -> String {
    MemoryPolicy::ALL.map(MemoryPolicy::word).join(", ")
}
