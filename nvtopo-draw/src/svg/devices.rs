//! A device as a cell: GPUs are boxes, NICs have round ends, disks are small. Faults have a cross and dashes, MIG instances are
//! slices, and a chosen GPU has a thick frame and its rank.

use super::drawing::{Drawing, FAINT, INK, NAME, SMALL, centred, line, rectangle};
use super::font::{cut, text_width};
use super::scene::{Scene, marks};
use crate::words;
use crate::words::count_of;
use ::svg::node::element::Group;
use nvtopo::Bytes;
use nvtopo::model::{NodeKind, Nvme};

/// The height of a device of two lines and of three, and of a disk.
const CELL: f64 = 44.0;
const TALL: f64 = 60.0;
const DISK: f64 = 20.0;
/// The room beside its name that the cross of a device with faults takes.
pub(super) const CROSS: f64 = 14.0;
/// The most disks of one place that are drawn one by one.
const MOST_DISKS: usize = 6;

/// Draws a GPU or NIC.
pub(super) fn device(scene: &Scene<'_>, device: usize) -> Drawing {
    let topology = scene.topology;
    let kind = &topology.node(topology.devices()[device]).kind;
    let (width, height) = (scene.cell, if scene.tall { TALL } else { CELL });
    let marks = marks(topology, device);
    let rank = scene.chosen.get(&device);
    let (class, round, fact, words, mut third) = match kind {
        NodeKind::Gpu(gpu) => {
            let instances = topology.gpu_instances(device).count();
            let address = gpu.address.map(|address| address.to_string());
            let words = [gpu.model.clone(), address, gpu.uuid.as_ref().map(ToString::to_string)];
            let class = if rank.is_some() { "chosen" } else { "gpu" };
            let third = (instances > 0).then(|| format!("MIG: {instances}"));
            (class, 4.0, words::gpu_memory(topology, gpu), words, third)
        }
        NodeKind::Nic(nic) => {
            let address = nic.address.map(|address| address.to_string());
            let words = [nic.rdma_device.clone(), address, Some(nic.net_devices.join(" "))];
            ("nic", 15.0, words::nic_rate(nic), words, None)
        }
        _ => return Drawing::new(0.0, 0.0),
    };
    let rank = rank.map(|rank| format!("rank {rank}"));
    let instances = third.clone();
    third = match (rank.clone(), marks.first().cloned().or(third)) {
        (Some(rank), Some(mark)) => Some(format!("{rank} · {mark}")),
        (rank, mark) => rank.or(mark),
    };
    let name = words::name(topology, device);
    let mut cell = Drawing::new(width, height);
    cell.group = Group::new().set("class", "device").set("data-device", device);
    let fault = if marks.is_empty() { String::new() } else { " fault".to_owned() };
    cell.draw(rectangle(0.0, 0.0, width, height).set("rx", round).set("class", format!("{class}{fault}")));
    let lines = [Some(fact.clone()).filter(|fact| !fact.is_empty()), third].into_iter().flatten();
    let lines: Vec<String> = lines.collect();
    let middle = width / 2.0;
    // Names stand in one line; fewer lines than the others have leave room below.
    let top = if lines.is_empty() { height / 2.0 + 4.0 } else { 18.0 };
    let room = width - if marks.is_empty() { 0.0 } else { CROSS };
    let shown = cut(&name, NAME, true, room - 8.0);
    cell.draw(centred(room / 2.0, top, &shown).set("font-weight", "bold"));
    for (number, content) in lines.iter().enumerate() {
        let strong = rank.is_some() && number + 1 == lines.len();
        let class = if strong { INK } else { FAINT };
        let shown = cut(content, SMALL, strong, width - 8.0);
        let y = 34.0 + 15.0 * number as f64;
        let line = centred(middle, y, &shown).set("font-size", SMALL).set("class", class);
        cell.draw(if strong { line.set("font-weight", "bold") } else { line });
    }
    if !marks.is_empty() {
        let (x, y) = (width - 13.0, 12.0);
        for (from, to) in [((x - 4.0, y - 4.0), (x + 4.0, y + 4.0)), ((x - 4.0, y + 4.0), (x + 4.0, y - 4.0))]
        {
            cell.draw(line(from, to).set("class", "cross"));
        }
    }
    let slices = topology.gpu_instances(device).count().min(7);
    for slice in 0..slices {
        cell.draw(rectangle(6.0 + 7.0 * slice as f64, height - 6.0, 5.0, 3.0).set("class", "slice"));
    }
    let words = words.into_iter().flatten().map(words::short);
    let said = [name, fact].into_iter().chain(words).chain(rank).chain(instances).chain(marks);
    cell.saying(&said.filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" · "))
}

/// Draws the disks of one place, in a column as wide as a device; many as one.
pub(super) fn disks(scene: &Scene<'_>, disks: &[&Nvme]) -> Drawing {
    let facts = |disk: &Nvme| {
        let size = disk.size.map(|size| Bytes(size).to_string());
        let address = disk.address.map(|address| address.to_string());
        let all = [Some(disk.name.clone()), disk.model.clone(), size, address];
        all.into_iter().flatten().map(words::short).collect::<Vec<_>>().join(" · ")
    };
    if disks.len() > MOST_DISKS {
        let all = disks.iter().map(|disk| facts(disk)).collect::<Vec<_>>().join("; ");
        return disk(scene, &count_of(disks.len(), "NVMe disk"), &all);
    }
    let drawn = disks.iter().map(|own| disk(scene, &own.name, &facts(own)));
    Drawing::flow(4.0, drawn, (2.0 * scene.cell).max(140.0))
}

fn disk(scene: &Scene<'_>, name: &str, facts: &str) -> Drawing {
    let most = (2.0 * scene.cell).max(140.0);
    let shown = cut(name, SMALL, false, most - 10.0);
    let width = text_width(&shown, SMALL, false).ceil() + 10.0;
    let mut cell = Drawing::new(width, DISK);
    cell.draw(rectangle(0.0, 0.0, width, DISK).set("rx", 2).set("class", "disk"));
    cell.draw(centred(width / 2.0, 14.0, &shown).set("font-size", SMALL).set("class", FAINT));
    cell.saying(facts)
}
