//! The rows of devices in the text of a machine: name, model, near NICs, faults.

use super::{head, mark_cell, path_cell};
use crate::words;
use comfy_table::Cell;
use nvtopo::Bytes;
use nvtopo::Topology;
use nvtopo::model::{Gpu, GpuInstance, LinkLayer, Nic, NodeKind, Nvme};
use nvtopo::nearest_nics;

/// Returns the rows of the device at a position: its own, and those of its MIG instances.
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

/// Returns the row of a disk with faults.
pub(super) fn disk_row(disk: &Nvme) -> Option<Vec<Cell>> {
    let marks = words::link_marks(&disk.pci, true);
    let size = disk.size.map(|size| Bytes(size).to_string()).unwrap_or_default();
    let model = disk.model.clone().unwrap_or_default();
    let address = disk.address.map(|address| address.to_string()).unwrap_or_default();
    (!marks.is_empty()).then(|| {
        let cells = [disk.name.clone(), model, size, address, String::new()].map(words::short);
        cells.map(Cell::new).into_iter().chain([mark_cell(&marks)]).collect()
    })
}

fn gpu_row(topology: &Topology, device: usize, gpu: &Gpu) -> Vec<Cell> {
    let (nics, path) = nearest_nics(topology, device);
    let names: Vec<String> = nics.iter().map(|nic| words::name(topology, *nic)).collect();
    let near = path.map(|path| format!("{} {}", path.word(), names.join(" ")));
    let model = gpu.model.clone().unwrap_or_default();
    let address = gpu.address.map(|address| address.to_string()).unwrap_or_default();
    let mut row = vec![
        head(gpu.name()),
        Cell::new(words::short(model)),
        Cell::new(words::gpu_memory(topology, gpu)),
        Cell::new(address),
        path_cell(near.unwrap_or_default(), path, false),
    ];
    let marks = words::gpu_marks(topology, device, gpu);
    row.extend((!marks.is_empty()).then(|| mark_cell(&marks)));
    row
}

fn instance_row(instance: &GpuInstance) -> Vec<Cell> {
    let number = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let name = format!("  MIG {}/{}", number(instance.gpu_instance), number(instance.compute_instance));
    let profile = instance.profile.clone().unwrap_or_default();
    let memory = instance.memory.map(|memory| Bytes(memory).to_string()).unwrap_or_default();
    let uuid = instance.uuid.clone().unwrap_or_default();
    [name, profile, memory, String::new(), uuid].map(|text| Cell::new(words::short(text))).into()
}

fn nic_row(nic: &Nic) -> Vec<Cell> {
    let rdma = nic.rdma_device.clone().filter(|rdma| *rdma != nic.name);
    let other: Vec<String> =
        rdma.into_iter().chain(nic.net_devices.iter().filter(|net| **net != nic.name).cloned()).collect();
    let address = nic.address.map(|address| address.to_string()).unwrap_or_default();
    let layer = nic.link_layer.map(|layer| match layer {
        LinkLayer::InfiniBand => "InfiniBand".to_owned(),
        LinkLayer::Ethernet => "Ethernet".to_owned(),
        other => other.word().to_owned(),
    });
    let port: Vec<String> = layer.into_iter().chain(nic.bond.clone()).collect();
    let marks = words::nic_marks(nic);
    let mut row = [nic.name.clone(), other.join(" "), words::nic_rate(nic), address, port.join(" · ")]
        .map(|text| Cell::new(words::short(text)))
        .to_vec();
    row.extend((!marks.is_empty()).then(|| mark_cell(&marks)));
    row
}
