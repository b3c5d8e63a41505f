//! Facts that an output format has no place for: a note names those that a topology tells.

use super::Written;
use crate::model::{Basis, Gpu, LinkKind, NodeKind, Note, NoteCode, PciFacts, Stated, Topology};
use std::collections::BTreeSet;

/// Facts of one kind.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    name: &'static str,
    /// Returns whether a topology tells any.
    are_told: fn(&Topology) -> bool,
}

pub(super) const MODELS: Facts =
    Facts { name: "models of GPUs", are_told: |topology| any_gpu(topology, |gpu| gpu.model.is_some()) };

pub(super) const UUIDS: Facts = Facts {
    name: "UUIDs",
    are_told: |topology| {
        let has = |kind: &NodeKind| matches!(kind, NodeKind::GpuInstance(own) if own.uuid.is_some());
        any_gpu(topology, |gpu| gpu.uuid.is_some()) || any_node(topology, has)
    },
};

pub(super) const VERSIONS: Facts = Facts {
    name: "serial numbers and versions of firmware and driver",
    are_told: |topology| {
        let machine = topology.machine();
        any_gpu(topology, |gpu| gpu.serial.is_some() || gpu.firmware.is_some())
            || topology.nics().any(|nic| nic.firmware.is_some())
            || machine.driver.is_some()
            || machine.cuda.is_some()
    },
};

pub(super) const ADDRESSES: Facts =
    Facts { name: "PCI addresses", are_told: |topology| any_gpu(topology, |gpu| gpu.address.is_some()) };

pub(super) const PCI_NUMBERS: Facts = Facts {
    name: "PCI classes and numbers of devices",
    are_told: |topology| {
        let has = |pci: &PciFacts| pci.class.is_some() || pci.device.is_some();
        any_gpu(topology, |gpu| has(&gpu.pci)) || topology.nics().any(|nic| has(&nic.pci))
    },
};

/// A topology holds none, and formats of the PCI bus have them.
pub(super) const REVISIONS: Facts = Facts {
    name: "revisions of PCI devices, in whose place 00 stands",
    are_told: |topology| any_gpu(topology, |gpu| gpu.address.is_some()),
};

pub(super) const SWITCH_NUMBERS: Facts = Facts {
    name: "PCI numbers of switches",
    are_told: |topology| {
        any_node(topology, |kind| matches!(kind, NodeKind::PcieSwitch(own) if own.pci.device.is_some()))
    },
};

pub(super) const CAPABILITIES: Facts = Facts {
    name: "compute capabilities",
    are_told: |topology| any_gpu(topology, |gpu| gpu.compute_capability.is_some()),
};

pub(super) const GPU_MEMORY: Facts =
    Facts { name: "memory of GPUs", are_told: |topology| any_gpu(topology, |gpu| gpu.memory.is_some()) };

pub(super) const MIG: Facts = Facts {
    name: "MIG instances",
    are_told: |topology| any_node(topology, |kind| matches!(kind, NodeKind::GpuInstance(_))),
};

pub(super) const FABRICS: Facts = Facts {
    name: "states of NVLinks and of NVLink fabrics",
    are_told: |topology| any_gpu(topology, |gpu| gpu.fabric.is_some() || !gpu.nvlinks.is_empty()),
};

pub(super) const NODES: Facts =
    Facts { name: "NUMA nodes", are_told: |topology| topology.numa_nodes().next().is_some() };

/// NUMA nodes that no GPU is near.
pub(super) const FAR_NODES: Facts = Facts {
    name: "NUMA nodes without GPUs",
    are_told: |topology| {
        let gpus = &topology.devices()[..topology.gpus().len()];
        let near: BTreeSet<u32> = gpus
            .iter()
            .filter_map(|id| topology.local_nodes(*id).known().cloned())
            .flat_map(|nodes| nodes.iter().collect::<Vec<_>>())
            .collect();
        topology.numa_nodes().any(|node| !near.contains(&node.os_index))
    },
};

pub(super) const NODE_MEMORY: Facts = Facts {
    name: "memory and distances of NUMA nodes",
    are_told: |topology| {
        topology.numa_nodes().any(|node| node.memory.is_some() || !node.distances.is_empty())
    },
};

pub(super) const NODE_DISTANCES: Facts = Facts {
    name: "distances of NUMA nodes",
    are_told: |topology| topology.numa_nodes().any(|node| !node.distances.is_empty()),
};

pub(super) const NEAR_CPUS: Facts = Facts {
    name: "CPUs near GPUs",
    are_told: |topology| {
        let gpus = &topology.devices()[..topology.gpus().len()];
        gpus.iter().any(|id| matches!(topology.local_cpus(*id), Stated::Known(_)))
    },
};

pub(super) const CORES: Facts = Facts {
    name: "packages, cores and caches",
    are_told: |topology| {
        any_node(topology, |kind| {
            matches!(kind, NodeKind::Package(_) | NodeKind::Core(_) | NodeKind::Cache(_))
        })
    },
};

pub(super) const NIC_RATES: Facts =
    Facts { name: "rates of NICs", are_told: |topology| topology.nics().any(|nic| nic.rate.is_some()) };

pub(super) const NIC_MODELS: Facts = Facts {
    name: "models and link layers of NICs",
    are_told: |topology| topology.nics().any(|nic| nic.model.is_some() || nic.link_layer.is_some()),
};

pub(super) const NIC_PORTS: Facts = Facts {
    name: "models, ports and interfaces of NICs",
    are_told: |topology| {
        topology.nics().any(|nic| {
            nic.model.is_some()
                || nic.state.is_some()
                || nic.link_layer.is_some()
                || nic.net_devices.len() > 1
        })
    },
};

pub(super) const DISKS: Facts = Facts {
    name: "disks",
    are_told: |topology| any_node(topology, |kind| matches!(kind, NodeKind::Nvme(_))),
};

pub(super) const RATES: Facts = Facts {
    name: "rates of links",
    are_told: |topology| {
        topology.links().any(|(_, _, link)| {
            link.kind != LinkKind::Smp && link.rate.is_some_and(|rate| rate.basis != Basis::Assumed)
        })
    },
};

pub(super) const C2C: Facts = Facts {
    name: "NVLink-C2C",
    are_told: |topology| topology.links().any(|(_, _, link)| link.kind == LinkKind::C2c),
};

pub(super) const XGMI: Facts = Facts {
    name: "xGMI, which stands as NVLink",
    are_told: |topology| topology.links().any(|(_, _, link)| link.kind == LinkKind::Xgmi),
};

pub(super) const MEASURED: Facts = Facts {
    name: "measured bandwidths",
    are_told: |topology| {
        !topology.measurements().is_empty() || topology.nics().any(|nic| nic.measured.is_some())
    },
};

pub(super) const P2P: Facts =
    Facts { name: "peer-to-peer access", are_told: |topology| !topology.all_p2p().is_empty() };

pub(super) const ACS: Facts = Facts {
    name: "ports that redirect peer-to-peer traffic (ACS)",
    are_told: |topology| topology.links().any(|(_, _, link)| link.redirects == Some(true)),
};

/// Notes that a format has no place for some facts, where the topology tells them.
pub(super) fn note(topology: &Topology, format: &str, lost: &[Facts], written: &mut Written) {
    let told = lost.iter().filter(|facts| (facts.are_told)(topology));
    let names: Vec<&str> = told.map(|facts| facts.name).collect();
    if !names.is_empty() {
        let text = format!("{format} has no place for {}", names.join(", "));
        written.note(Note::new(NoteCode::NotExpressed, text));
    }
}

fn any_gpu(topology: &Topology, has: impl Fn(&Gpu) -> bool) -> bool {
    topology.gpus().any(has)
}

fn any_node(topology: &Topology, is: impl Fn(&NodeKind) -> bool) -> bool {
    topology.nodes().any(|(_, node)| is(&node.kind))
}
