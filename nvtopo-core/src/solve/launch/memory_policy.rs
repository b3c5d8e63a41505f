//! The words for how a process takes memory.

use crate::error::{Error, Result};

words! {
    /// The NUMA policy of a process's memory.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum MemoryPolicy {
        /// From the given nodes first, from others when these are full.
        #[default]
        Preferred = "preferred",
        /// From the node of the CPU that asks.
        Local = "local",
        /// From the given nodes only: a process that wants more is killed.
        Bind = "bind",
        /// From the given nodes in turn.
        Interleave = "interleave",
    }
    /// Returns its word.
    word, |text| {
        Error::request(format!("there is no memory policy '{text}'")).help(format!("there are {}", words()))
    }
}

impl MemoryPolicy {
    /// Reads the word of a policy, or `none`, which leaves memory as it is.
    ///
    /// ```
    /// use nvtopo::MemoryPolicy;
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
}

fn words() -> String {
    MemoryPolicy::ALL.map(MemoryPolicy::word).join(", ")
}
