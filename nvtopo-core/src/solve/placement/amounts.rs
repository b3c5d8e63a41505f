//! Amounts of memory and huge pages, by NUMA node.

use crate::error::{Error, Result};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The huge pages that a job needs for each GPU.
///
/// ```
/// use nvtopo::solve::HugePageNeed;
///
/// let need: HugePageNeed = "2MiB:1024".parse()?;
/// assert_eq!((need.size.0, need.count), (2 << 20, 1024));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HugePageNeed {
    /// The size of one page.
    pub size: Bytes,
    /// The number of pages.
    pub count: u64,
}

impl FromStr for HugePageNeed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(':').and_then(|(size, count)| Some((size, count.trim().parse().ok()?)));
        let Some((size, count)) = parts else {
            return Err(Error::request(format!("'{text}' is no number of huge pages"))
                .help("write it as 2MiB:1024, the size of a page and how many"));
        };
        Ok(Self { size: size.parse()?, count })
    }
}

/// The memory taken from one NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeMemory {
    /// The kernel's number of the node.
    pub node: u32,
    /// The amount in bytes.
    pub bytes: u64,
}

/// The huge pages taken from one NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NodePages {
    /// The kernel's number of the node.
    pub node: u32,
    /// The size of one page in bytes.
    #[serde(rename = "size_bytes")]
    pub size: u64,
    /// The number of pages.
    pub count: u64,
}
