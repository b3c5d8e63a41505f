//! Readings that several checks share. Each is of a file of the machine, else of a saved output of a tool, so that both
//! give the same verdict.

pub(crate) mod c2c;
pub(crate) mod counters;
pub(crate) mod dcb;
pub(crate) mod documents;
pub(crate) mod fabric_manager;
pub(crate) mod gpu_events;
pub(crate) mod growth;
pub(crate) mod host;
pub(crate) mod imex;
pub(crate) mod interfaces;
pub(crate) mod kernel_log;
pub(crate) mod kubelet;
pub(crate) mod kubelet_state;
pub(crate) mod links;
pub(crate) mod log_device;
pub(crate) mod log_time;
pub(crate) mod lspci;
pub(crate) mod nvlink_counters;
pub(crate) mod nvlink_ends;
pub(crate) mod outputs;
pub(crate) mod pci;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod qos;
pub(crate) mod rdma_tools;
pub(crate) mod smi;
pub(crate) mod syslog;

use crate::baseline::{Drift, Facts};
use nvtopo::PciAddress;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// Readings that are made once for all checks.
#[derive(Default)]
pub(crate) struct Readings {
    ports: OnceCell<ports::Ports>,
    qos: OnceCell<BTreeMap<String, qos::Qos>>,
    statistics: OnceCell<BTreeMap<String, counters::Counters>>,
    listed_processes: OnceCell<Vec<Vec<String>>>,
    outputs: OnceCell<Vec<outputs::Place>>,
    pub(crate) lspci: OnceCell<BTreeMap<PciAddress, lspci::Listed>>,
    pub(crate) smi: OnceCell<BTreeMap<PciAddress, smi::Queried>>,
    pub(crate) processes: OnceCell<Vec<(u32, String)>>,
    pub(crate) kubelet: OnceCell<kubelet::Kubelet>,
    pub(crate) facts: OnceCell<Facts>,
    pub(crate) drift: OnceCell<Vec<Drift>>,
}

impl Readings {
    /// Returns those that hold for another topology beside the same files and texts, and for other labels.
    pub(crate) fn of_files(self) -> Self {
        Self {
            listed_processes: self.listed_processes,
            outputs: self.outputs,
            lspci: self.lspci,
            smi: self.smi,
            processes: self.processes,
            kubelet: self.kubelet,
            ..Self::default()
        }
    }
}
