//! The rows of devices in the picture of a machine: what each is, what is near to it, and what is wrong with it.

use super::{head, mark_cell, path_cell};
use crate::model::{
    Gpu, GpuInstance, LinkLayer, Nic, NodeKind, Nvme, PciFacts, PcieTraining, PortState, Stated, Topology,
};
use crate::solve::nearest_nics;
use crate::units::Bytes;
use comfy_table::Cell;

/// The rows of the device at a position: its own, and those of its parts.
pub(super) fn rows(topology: &Topology, device: usize) -> Vec<Vec<Cell>> {
    match &topology.node(topology.devices()[device]).kind {
        NodeKind::Gpu(gpu) => {
            let instances = topology.gpu_instances(device).map(|(_, instance)| instance_row(instance));
            std::iter::once(gpu_row(topology, device, gpu)).chain(instances).collect()
        }
        NodeKind::Nic(nic) => vec![nic_row(nic)],
        _ => Vec::new(),
    }
}

/// The row of a disk, if there is something to say of it.
pub(super) fn disk_row(disk: &Nvme) -> Option<Vec<Cell>> {
    let marks = link_marks(&disk.pci, true);
    let size = disk.size.map(|size| Bytes(size).to_string()).unwrap_or_default();
    let model = disk.model.clone().unwrap_or_default();
    let address = disk.address.map(|address| address.to_string()).unwrap_or_default();
    (!marks.is_empty()).then(|| {
        let cells = [disk.name.clone(), model, size, address, String::new()].map(Cell::new);
        cells.into_iter().chain([mark_cell(&marks)]).collect()
    })
}

fn gpu_row(topology: &Topology, device: usize, gpu: &Gpu) -> Vec<Cell> {
    let (nics, path) = nearest_nics(topology, device);
    let names: Vec<String> = nics.iter().map(|nic| topology.device_name(*nic)).collect();
    let near = path.map(|path| format!("{} {}", path.word(), names.join(" ")));
    let model = gpu.model.clone().unwrap_or_default();
    let memory = match (gpu.memory, &gpu.memory_node) {
        (Some(memory), _) => Bytes(memory).to_string(),
        (None, Stated::Known(node)) => format!("node {node}"),
        _ => String::new(),
    };
    let address = gpu.address.map(|address| address.to_string()).unwrap_or_default();
    let mut row = vec![
        head(gpu.name()),
        Cell::new(model),
        Cell::new(memory),
        Cell::new(address),
        path_cell(near.unwrap_or_default(), path),
    ];
    let mut marks: Vec<String> = gpu.unusable.iter().map(|why| format!("cannot be used: {why}")).collect();
    let divided = gpu.mig.is_some_and(|mig| mig.current);
    if divided && topology.gpu_instances(device).next().is_none() {
        marks.push("divided (MIG), without instances".to_owned());
    }
    marks.extend(link_marks(&gpu.pci, false));
    let redirected =
        |nic: &usize| topology.redirected(topology.devices()[device], topology.devices()[*nic]) == Some(true);
    if nics.iter().any(redirected) {
        marks.push("reaches NICs through the CPU only (ACS)".to_owned());
    }
    row.extend((!marks.is_empty()).then(|| mark_cell(&marks)));
    row
}

fn instance_row(instance: &GpuInstance) -> Vec<Cell> {
    let number = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let name = format!("  MIG {}/{}", number(instance.gpu_instance), number(instance.compute_instance));
    let profile = instance.profile.clone().unwrap_or_default();
    let memory = instance.memory.map(|memory| Bytes(memory).to_string()).unwrap_or_default();
    let uuid = instance.uuid.clone().unwrap_or_default();
    [name, profile, memory, String::new(), uuid].map(Cell::new).into()
}

fn nic_row(nic: &Nic) -> Vec<Cell> {
    let rdma = nic.rdma_device.clone().filter(|rdma| *rdma != nic.name);
    let other: Vec<String> =
        rdma.into_iter().chain(nic.net_devices.iter().filter(|net| **net != nic.name).cloned()).collect();
    let rate = match (nic.rate, nic.measured) {
        (Some(rate), Some(measured)) => format!("{rate}, {measured} measured"),
        (None, Some(measured)) => format!("{measured} measured"),
        (rate, None) => rate.map(|rate| rate.to_string()).unwrap_or_default(),
    };
    let address = nic.address.map(|address| address.to_string()).unwrap_or_default();
    let layer = nic.link_layer.map(|layer| match layer {
        LinkLayer::InfiniBand => "InfiniBand".to_owned(),
        LinkLayer::Ethernet => "Ethernet".to_owned(),
    });
    let port: Vec<String> = layer.into_iter().chain(nic.bond.clone()).collect();
    let mut marks = Vec::new();
    if let Some(state) = nic.state.filter(|state| *state != PortState::Active) {
        marks.push(state.word().to_owned());
    }
    marks.extend(link_marks(&nic.pci, true));
    let mut row =
        [nic.name.clone(), other.join(" "), rate, address, port.join(" · ")].map(Cell::new).to_vec();
    row.extend((!marks.is_empty()).then(|| mark_cell(&marks)));
    row
}

/// Where its PCIe link runs below what both ends can do. The generation tells nothing of a device that slows its link
/// down while it is idle.
fn link_marks(pci: &PciFacts, steady: bool) -> Vec<String> {
    let lanes = pci.link.as_ref().and_then(PcieTraining::lanes_lost);
    let generation = pci.link.as_ref().filter(|_| steady).and_then(PcieTraining::generations_lost);
    let lanes = lanes.map(|(now, most)| format!("PCIe x{now} of x{most}"));
    let generation = generation.map(|(now, most)| format!("PCIe {now}.0 of {most}.0"));
    lanes.into_iter().chain(generation).collect()
}
