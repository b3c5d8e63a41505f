//! Slurm's view of a node: `gres.conf`, the node's line of `slurm.conf`, and what `slurmd -C` prints.
//!
//! Slurm numbers cores and not CPUs: core 0 is the first of the first socket, in the order of `lstopo -l`
//! ([`crate::model::cores`]). Links of a GPU are listed by the order of the GPUs on the PCI bus ([`links`]), files by the
//! numbers of the driver.

mod capability;
mod computer;
mod device;
mod links;
mod read;
mod sockets;
mod words;
mod write;

pub(super) use read::Slurm;
pub(super) use write::{gres, node};
