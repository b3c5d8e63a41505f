//! Readings that several checks share. Each is of a file of the machine, else of a saved output of a tool, so that both
//! give the same verdict.

pub(crate) mod growth;
pub(crate) mod host;
pub(crate) mod lspci;
pub(crate) mod pci;
pub(crate) mod smi;
