//! The names by which people and tools call a GPU, and what `CUDA_VISIBLE_DEVICES` makes of them.

use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Gpu, Topology};
use std::fmt;
use std::str::FromStr;

/// One GPU by any of its names.
///
/// ```
/// use nvtopo::GpuRef;
///
/// assert_eq!("3".parse::<GpuRef>()?, GpuRef::Index(3));
/// assert_eq!("GPU3".parse::<GpuRef>()?, GpuRef::Index(3));
/// assert!(matches!("0000:1b:00.0".parse()?, GpuRef::Address(_)));
/// assert!(matches!("GPU-5c3e".parse()?, GpuRef::Uuid(_)));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuRef {
    /// By index.
    Index(u32),
    /// By PCI address.
    Address(PciAddress),
    /// By UUID, or the start of one that is unique.
    Uuid(String),
}

impl From<u32> for GpuRef {
    fn from(index: u32) -> Self {
        Self::Index(index)
    }
}

impl FromStr for GpuRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let number = text.strip_prefix("GPU").unwrap_or(text);
        if let Ok(index) = number.parse() {
            return Ok(Self::Index(index));
        }
        if text.starts_with("GPU-") {
            return Ok(Self::Uuid(text.to_owned()));
        }
        text.parse().map(Self::Address).map_err(|_| {
            Error::request(format!("'{text}' names no device"))
                .help("give an index (3 or GPU3), a UUID (GPU-5c3e…), or a PCI address (0000:1b:00.0)")
        })
    }
}

impl fmt::Display for GpuRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "GPU{index}"),
            Self::Address(address) => address.fmt(f),
            Self::Uuid(uuid) => f.write_str(uuid),
        }
    }
}

impl GpuRef {
    fn names(&self, gpu: &Gpu) -> bool {
        match self {
            Self::Index(index) => gpu.index == *index,
            Self::Address(address) => gpu.address == Some(*address),
            Self::Uuid(start) => gpu.uuid.is_some_and(|uuid| uuid.starts_with(start)),
        }
    }

    /// The position of the GPU in [`Topology::gpus`].
    pub fn resolve(&self, topology: &Topology) -> Result<usize> {
        let mut found = topology.gpus().enumerate().filter(|(_, gpu)| self.names(gpu));
        match (found.next(), found.next()) {
            (Some((position, _)), None) => Ok(position),
            (Some(_), Some(_)) => Err(Error::request(format!("'{self}' names more than one GPU"))),
            (None, _) => {
                Err(Error::request(format!("there is no {self}")).help(match topology.gpus().len() {
                    0 => "this topology has no GPU".to_owned(),
                    count => format!("this topology has {count} GPUs: {}", index_list(topology)),
                }))
            }
        }
    }
}

impl Topology {
    /// The position in [`devices`](Self::devices) of a device by its name (`GPU3`, `mlx5_0`), or of a GPU by any of its
    /// names.
    ///
    /// ```
    /// let dgx = nvtopo::Topology::preset("dgx-h100")?;
    /// assert_eq!(dgx.device("mlx5_0")?, 8);
    /// assert_eq!(dgx.device("0000:1b:00.0")?, dgx.device("GPU0")?);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn device(&self, name: &str) -> Result<usize> {
        let named = (0..self.devices().len()).find(|device| self.device_name(*device) == name);
        named.map_or_else(|| name.parse::<GpuRef>()?.resolve(self), Ok)
    }
}

fn index_list(topology: &Topology) -> String {
    topology.gpus().map(|gpu| gpu.index).collect::<crate::NodeSet>().to_string()
}

/// The positions of the GPUs that a process with this `CUDA_VISIBLE_DEVICES` sees, in its order.
///
/// As the CUDA runtime reads it: indices or (abbreviated) UUIDs, and the first entry that names nothing ends the
/// list. Indices count in PCI bus order, which is CUDA's own order where all GPUs are alike.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(nvtopo::visible_gpus(&dgx, "3,1,-1,2"), [3, 1]);
/// assert!(nvtopo::visible_gpus(&dgx, "").is_empty());
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn visible_gpus(topology: &Topology, variable: &str) -> Vec<usize> {
    let mut visible = Vec::new();
    for entry in variable.split(',') {
        let position = entry.parse::<GpuRef>().and_then(|gpu| gpu.resolve(topology));
        match position {
            Ok(position) if !visible.contains(&position) => visible.push(position),
            _ => break,
        }
    }
    visible
}
