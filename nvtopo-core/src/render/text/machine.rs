//! The picture of a machine: what is on each NUMA node, the NVLink groups, and the matrix.

use super::{Style, bold, devices, dim, head, lines, path_cell, table};
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{
    Basis, GroupShape, Machine, NodeId, NodeKind, NumaNode, NvlinkGroup, Nvme, Origin, Topology,
};
use crate::units::Bytes;
use comfy_table::Cell;
use std::fmt::Write;

pub(super) fn topology(topology: &Topology, style: Style) -> String {
    let mut out = title(topology, style);
    out += &places(topology, style);
    if topology.gpus().len() > 0 {
        out += "\n";
        out += &groups(topology, style);
        out += "\n";
        out += &matrix(topology, style);
    }
    if !topology.notes().is_empty() {
        out += "\n";
        for note in topology.notes() {
            let _ = writeln!(out, "{}", dim(&format!("note · {note}"), style));
        }
    }
    out
}

fn title(topology: &Topology, style: Style) -> String {
    let Machine { product, driver, hypervisor, .. } = topology.machine();
    let name = match (product, topology.origin()) {
        (Some(product), Origin::Preset(preset)) => format!("{product} (preset {preset})"),
        (None, Origin::Preset(preset)) => format!("preset {preset}"),
        (Some(product), _) => product.clone(),
        (None, _) => "Machine".to_owned(),
    };
    let mut facts = vec![
        count(topology.gpus().len(), "GPU", "GPUs"),
        count(topology.nics().len(), "NIC", "NICs"),
        count(topology.numa_nodes().count(), "NUMA node", "NUMA nodes"),
        count(topology.cpus().len(), "CPU", "CPUs"),
    ];
    let disks = disks(topology, |_| true).count();
    if disks > 0 {
        facts.push(count(disks, "NVMe disk", "NVMe disks"));
    }
    facts.extend(driver.as_ref().map(|driver| format!("driver {driver}")));
    facts.extend(hypervisor.known().map(|name| match name.as_str() {
        "unnamed" => "virtual machine".to_owned(),
        name => format!("virtual machine ({name})"),
    }));
    format!("{}  {}\n", bold(&name, style), dim(&facts.join(" · "), style))
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The disks for whose NUMA node `on` says yes.
fn disks<'a>(
    topology: &'a Topology,
    on: impl Fn(Option<NodeId>) -> bool + 'a,
) -> impl Iterator<Item = &'a Nvme> {
    let disks = topology.nodes().filter_map(|(id, node)| match &node.kind {
        NodeKind::Nvme(disk) => Some((id, &**disk)),
        _ => None,
    });
    disks.filter(move |(id, _)| on(topology.numa_ancestor(*id))).map(|(_, disk)| disk)
}

/// Each NUMA node with its CPUs and devices, then the devices of which the node is unknown.
fn places(topology: &Topology, style: Style) -> String {
    let mut out = String::new();
    let mut unplaced: Vec<usize> = (0..topology.devices().len()).collect();
    for (id, numa) in topology.nodes().filter_map(|(id, node)| Some((id, node.kind.as_numa_node()?))) {
        let _ = writeln!(
            out,
            "\n{}  {}",
            bold(&format!("NUMA node {}", numa.os_index), style),
            facts(topology, id, numa)
        );
        let here = |device: &usize| is_on(topology, topology.devices()[*device], id, numa);
        let (own, others) = unplaced.into_iter().partition(here);
        unplaced = others;
        out += &device_table(topology, &own, disks(topology, |node| node == Some(id)), style);
    }
    for (cpus, own) in by_cpus(topology, &unplaced) {
        let facts = cpus.map_or_else(String::new, |cpus| format!("  CPUs {cpus}"));
        let _ = writeln!(out, "\n{}{facts}", bold("NUMA node unknown", style));
        out += &device_table(topology, &own, std::iter::empty(), style);
    }
    out + &device_table(topology, &[], disks(topology, |node| node.is_none()), style)
}

/// Devices that are near to the same CPUs, in the order of the first of each.
fn by_cpus(topology: &Topology, devices: &[usize]) -> Vec<(Option<CpuSet>, Vec<usize>)> {
    let mut groups: Vec<(Option<CpuSet>, Vec<usize>)> = Vec::new();
    for &device in devices {
        let cpus = topology.local_cpus(topology.devices()[device]).known().cloned();
        match groups.iter_mut().find(|(other, _)| *other == cpus) {
            Some((_, group)) => group.push(device),
            None => groups.push((cpus, vec![device])),
        }
    }
    groups
}

fn is_on(topology: &Topology, device: NodeId, id: NodeId, numa: &NumaNode) -> bool {
    let stated = topology.local_nodes(device);
    match stated.known() {
        Some(nodes) => *nodes == NodeSet::from_iter([numa.os_index]),
        None => topology.numa_ancestor(device) == Some(id),
    }
}

fn facts(topology: &Topology, id: NodeId, numa: &NumaNode) -> String {
    let mut facts = Vec::new();
    if numa.cpus.is_empty() {
        facts.push("no CPUs".to_owned());
    } else {
        facts.push(format!("CPUs {}", numa.cpus));
    }
    if let Some(memory) = numa.memory {
        facts.push(Bytes(memory).to_string());
    }
    let disks = disks(topology, |node| node == Some(id)).count();
    if disks > 0 {
        facts.push(count(disks, "NVMe disk", "NVMe disks"));
    }
    if let Some(address) = numa.gpu {
        let gpu = topology.gpus().find(|gpu| gpu.address == Some(address));
        facts.push(
            gpu.map_or_else(|| format!("memory of GPU {address}"), |gpu| format!("memory of {}", gpu.name())),
        );
    }
    facts.join(" · ")
}

/// The devices, and the disks with which something is wrong.
fn device_table<'a>(
    topology: &Topology,
    own: &[usize],
    disks: impl Iterator<Item = &'a Nvme>,
    style: Style,
) -> String {
    let rows = own.iter().flat_map(|device| devices::rows(topology, *device));
    let rows: Vec<_> = rows.chain(disks.filter_map(devices::disk_row)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = table(style);
    table.add_rows(rows);
    lines(table)
}

fn groups(topology: &Topology, style: Style) -> String {
    let mut out = format!("{}\n", bold("NVLink groups", style));
    let groups = topology.nvlink_groups();
    let (alone, linked): (Vec<_>, Vec<_>) =
        groups.iter().partition(|group| group.shape == GroupShape::Single);
    for group in linked {
        let _ = writeln!(out, "  {}  {}", names(topology, &group.gpus), how(topology, group));
    }
    if !alone.is_empty() {
        let gpus: Vec<usize> = alone.iter().flat_map(|group| group.gpus.iter().copied()).collect();
        let known = if topology.nvlink_known() { "no NVLink" } else { "NVLink unknown" };
        let _ = writeln!(out, "  {}  {known}", names(topology, &gpus));
    }
    out
}

/// `GPU0-3,6`.
fn names(topology: &Topology, gpus: &[usize]) -> String {
    let indices: NodeSet =
        gpus.iter().filter_map(|gpu| topology.gpus().nth(*gpu)).map(|gpu| gpu.index).collect();
    format!("GPU{indices}")
}

fn how(topology: &Topology, group: &NvlinkGroup) -> String {
    let pairs = group.gpus.iter().enumerate().flat_map(|(index, &a)| {
        group.gpus[index + 1..]
            .iter()
            .map(move |&b| topology.pairs().pair(a, b))
            .filter(|pair| pair.nvlinks > 0)
    });
    let least = pairs.clone().min_by_key(|pair| pair.nvlinks);
    let most = pairs.max_by_key(|pair| pair.nvlinks);
    let Some((least, most)) = least.zip(most) else { return group.shape.to_string() };
    let links = match (least.nvlinks, most.nvlinks) {
        (1, 1) => "1 link".to_owned(),
        (least, most) if least == most => format!("{least} links"),
        (least, most) => format!("{least} to {most} links"),
    };
    let rate = most.rate.map_or_else(String::new, |rate| match rate.basis {
        Basis::Assumed => format!(", about {} (assumed)", rate.bandwidth),
        _ => format!(", {}", rate.bandwidth),
    });
    let at_most = if least.nvlinks == most.nvlinks { "" } else { " at most" };
    format!("{} · {links} a pair{rate}{at_most}", group.shape)
}

/// The rows of the GPUs; those of the NICs would only repeat them, turned over.
fn matrix(topology: &Topology, style: Style) -> String {
    let count = topology.devices().len();
    let mut table = table(style);
    let names = (0..count).map(|device| head(topology.device_name(device)));
    table.set_header(std::iter::once(Cell::new("")).chain(names));
    for gpu in 0..topology.gpus().len() {
        let cells = (0..count).map(|other| {
            let pair = topology.pairs().pair(gpu, other);
            path_cell(pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned()), pair.path)
        });
        table.add_row(std::iter::once(head(topology.device_name(gpu))).chain(cells));
    }
    lines(table)
}
