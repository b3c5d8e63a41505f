//! Slurm's view of a node: `gres.conf`, the node's line of `slurm.conf`, and what `slurmd -C` prints.
//!
//! Slurm numbers cores and not CPUs: core 0 is the first of the first socket, in the order of `lstopo -l` ([`sockets`]). Links
//! of a GPU are listed by the order of the GPUs on the PCI bus, files by the numbers of the driver ([`write`]).

mod sockets;
mod write;

pub(super) use write::{gres, node};
