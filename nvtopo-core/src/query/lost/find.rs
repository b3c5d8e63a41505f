//! The nodes, links and CPUs that the names of lost parts mean on a machine.

use super::{LostPart, NvLinkChoice, is_nvswitch, lanes};
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{NodeId, NodeKind, Topology, named};
use crate::units::listed;
use std::collections::BTreeSet;

/// The lost parts of a machine.
#[derive(Default)]
pub(super) struct Losses {
    /// The nodes, each with everything below it.
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) links: Vec<LostLinks>,
    pub(super) cpus: CpuSet,
}

/// NVLinks of a GPU.
pub(super) struct LostLinks {
    pub(super) gpu: NodeId,
    /// The nodes at the other ends.
    pub(super) ends: Vec<NodeId>,
    pub(super) which: NvLinkChoice,
    /// The part that was named, for errors.
    pub(super) part: LostPart,
}

/// The switches of a machine, in the order of its nodes.
pub(super) struct Switches {
    pub(super) pcie: Vec<NodeId>,
    pub(super) nvlink: Vec<NodeId>,
}

pub(super) fn switches(topology: &Topology) -> Switches {
    let of = |is: fn(&NodeKind) -> bool| {
        topology.nodes().filter(|(_, node)| is(&node.kind)).map(|(id, _)| id).collect()
    };
    Switches {
        pcie: of(|kind| matches!(kind, NodeKind::PcieSwitch(_))),
        nvlink: of(|kind| matches!(kind, NodeKind::NvSwitch(_))),
    }
}

/// Finds the parts of a machine.
pub(super) fn find(topology: &Topology, parts: &[LostPart]) -> Result<Losses> {
    let (gpus, nics) = topology.devices().split_at(topology.gpus().len());
    let mut losses = Losses::default();
    for part in parts {
        match part {
            LostPart::Gpu(name) => losses.nodes.extend(named::find(topology, gpus, "GPU", name)?),
            LostPart::Nic(name) => losses.nodes.extend(named::find(topology, nics, "NIC", name)?),
            LostPart::PcieSwitch(name) => {
                losses.nodes.extend(switch(topology, &switches(topology).pcie, "PCIe switch", name)?);
            }
            LostPart::NvSwitch(name) => {
                losses.nodes.extend(switch(topology, &switches(topology).nvlink, "NVSwitch", name)?);
            }
            LostPart::Cpus(cpus) => losses.cpus |= cpus,
            LostPart::NumaCpus(node) => losses.cpus |= &cpus_of(topology, *node)?,
            LostPart::NvLinks { gpu, to, which } => {
                losses.links.push(links(topology, part, (*gpu, *to), *which)?);
            }
        }
    }
    check_cpus(topology, &losses.cpus)?;
    Ok(losses)
}

/// Finds a switch by its address or its place.
fn switch(topology: &Topology, all: &[NodeId], kind: &str, name: &str) -> Result<Vec<NodeId>> {
    let place = name.parse::<usize>().ok();
    let by_address = name.parse::<PciAddress>().ok();
    let is_it = |(own, id): &(usize, &NodeId)| {
        place == Some(*own) || by_address.is_some() && named::address(topology, **id) == by_address
    };
    if let Some((_, id)) = all.iter().enumerate().find(is_it) {
        return Ok(vec![*id]);
    }
    let names: Vec<String> = names(topology, all).collect();
    let advice = match names.as_slice() {
        [] => format!("it has no {kind}"),
        names => format!("there are {}", listed(names, named::LISTED)),
    };
    Err(Error::request(format!("the machine has no {kind} '{name}'")).help(advice))
}

/// Returns the names of switches: their addresses, or their places.
pub(super) fn names(topology: &Topology, all: &[NodeId]) -> impl Iterator<Item = String> {
    all.iter().enumerate().map(|(place, id)| {
        named::address(topology, *id).map_or_else(|| place.to_string(), |own| own.to_string())
    })
}

fn cpus_of(topology: &Topology, node: u32) -> Result<CpuSet> {
    let numbers = || topology.numa_nodes().map(|own| own.os_index.to_string()).collect::<Vec<_>>().join(", ");
    let Some(own) = topology.numa_nodes().find(|own| own.os_index == node) else {
        let told = numbers();
        let advice = if told.is_empty() {
            "no source tells NUMA nodes".to_owned()
        } else {
            format!("there are {told}")
        };
        return Err(Error::request(format!("the machine has no NUMA node {node}")).help(advice));
    };
    if own.cpus.is_empty() {
        return Err(Error::request(format!("no CPUs of NUMA node {node} are known"))
            .help("it has memory only, or the source does not tell them: name CPUs, such as cpus:0-3"));
    }
    Ok(own.cpus.clone())
}

fn check_cpus(topology: &Topology, lost: &CpuSet) -> Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let all = topology.cpus();
    if !lost.is_subset(&all) {
        let strange = lost.difference(&all);
        let advice =
            if all.is_empty() { "no source tells its CPUs".to_owned() } else { format!("there are {all}") };
        return Err(Error::request(format!("the machine has no CPUs {strange}")).help(advice));
    }
    if *lost == all {
        return Err(
            Error::request(format!("{lost} are all CPUs of the machine")).help("leave it one at least")
        );
    }
    Ok(())
}

/// Finds the NVLinks of a part.
fn links(
    topology: &Topology,
    part: &LostPart,
    (gpu, to): (u32, Option<u32>),
    which: NvLinkChoice,
) -> Result<LostLinks> {
    let gpus = &topology.devices()[..topology.gpus().len()];
    let find = |index: u32| {
        let found = named::find(topology, gpus, "GPU", &index.to_string())?;
        found.first().copied().ok_or_else(|| Error::request(format!("the machine has no GPU{index}")))
    };
    let (own, far) = (find(gpu)?, to.map(find).transpose()?);
    let fabric = topology.links_of(own).filter(|(_, link)| link.kind.is_fabric() && lanes(link) > 0);
    let mut all: Vec<NodeId> = fabric.map(|(far, _)| far).collect();
    all.sort_unstable();
    let ends: Vec<NodeId> = all.iter().copied().filter(|end| far.is_none_or(|far| far == *end)).collect();
    if ends.is_empty() {
        return Err(match to {
            _ if !topology.nvlink_known() => Error::request("no source tells which GPUs NVLink connects")
                .help("add a source that does, such as nvidia-smi topo -m"),
            None => Error::request(format!("GPU{gpu} has no NVLink that is up")),
            Some(to) => apart(topology, (gpu, to), &all),
        });
    }
    Ok(LostLinks { gpu: own, ends, which, part: part.clone() })
}

/// Returns the error for two GPUs without NVLinks between them.
fn apart(topology: &Topology, (gpu, to): (u32, u32), ends: &[NodeId]) -> Error {
    if ends.iter().any(|end| is_nvswitch(topology, *end)) {
        let text = format!("no NVLink of GPU{gpu} ends at GPU{to}: NVSwitches are between them");
        return Error::request(text)
            .help(format!("name links of one of them, all or one: nvlink:{gpu} or nvlink:{gpu}:1"));
    }
    let advice = match ends {
        [] => format!("GPU{gpu} has no NVLink that is up"),
        ends => format!("its NVLinks end at {}", named::list(topology, ends)),
    };
    Error::request(format!("no NVLink of GPU{gpu} ends at GPU{to}")).help(advice)
}
