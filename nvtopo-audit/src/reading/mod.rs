//! Readings that several checks share. Each is of a file of the machine, else of a saved output of a tool, so that both
//! give the same verdict.

pub(crate) mod counters;
pub(crate) mod growth;
pub(crate) mod host;
pub(crate) mod interfaces;
pub(crate) mod kubelet;
pub(crate) mod kubelet_state;
pub(crate) mod lspci;
pub(crate) mod nvlink_counters;
pub(crate) mod outputs;
pub(crate) mod pci;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod qos;
mod rdma_tools;
pub(crate) mod smi;

use std::cell::OnceCell;

/// Readings that are made once for all checks.
#[derive(Default)]
pub(crate) struct Readings {
    ports: OnceCell<ports::Ports>,
    outputs: OnceCell<Vec<outputs::Place>>,
}
