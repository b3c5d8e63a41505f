//! A sysfs tree for a topology: its CPUs, NUMA nodes, bridges, GPUs and NVSwitches. NICs and caches are left out.
//!
//! Bridges have addresses of domains of their own, which the kernel would not give them, so that none is taken twice.

use nvtopo::model::{LinkKind, NodeId, NodeKind, Stated, rates};
use nvtopo::{PciAddress, Topology};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const CPU: &str = "sys/devices/system/cpu";
const NODE: &str = "sys/devices/system/node";

/// Writes the tree below a directory; `kinds` tells what of PCI goes in.
pub(crate) fn write(root: &Path, topology: &Topology, kinds: impl Fn(&NodeKind) -> bool) {
    let tree = Tree { root, topology };
    tree.cpus();
    tree.numa_nodes();
    for (id, node) in topology.nodes().filter(|(_, node)| kinds(&node.kind)) {
        match &node.kind {
            NodeKind::Gpu(gpu) => {
                let address = gpu.address.unwrap();
                tree.device(id, address, "0x030200");
                if let Stated::Known(node) = gpu.memory_node {
                    let folder = format!("proc/driver/nvidia/gpus/{address}");
                    tree.file(&format!("{folder}/information"), "");
                    tree.file(&format!("{folder}/numa_status"), &format!("Node: \t{node}\n"));
                }
            }
            NodeKind::NvSwitch(switch) => {
                if let Some(address) = switch.address {
                    tree.device(id, address, "0x068000");
                }
            }
            _ => {}
        }
    }
}

struct Tree<'a> {
    root: &'a Path,
    topology: &'a Topology,
}

impl Tree<'_> {
    fn file(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Returns the number of the package or core above a node.
    fn above(&self, id: NodeId, number: impl Fn(&NodeKind) -> Option<u32>) -> u32 {
        self.topology.ancestors(id).find_map(|id| number(&self.topology.node(id).kind)).unwrap_or_default()
    }

    fn cpus(&self) {
        self.file(&format!("{CPU}/online"), &self.topology.cpus().to_string());
        let mut cores: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
        for (_, node) in self.topology.nodes() {
            if let (NodeKind::Pu(pu), Some(core)) = (&node.kind, node.parent) {
                cores.entry(core).or_default().push(pu.os_index);
            }
        }
        for (core, threads) in cores {
            let core_id = self.above(core, |kind| match kind {
                NodeKind::Core(core) => Some(core.os_index),
                _ => None,
            });
            let package = self.above(core, |kind| match kind {
                NodeKind::Package(package) => Some(package.os_index),
                _ => None,
            });
            let siblings: Vec<String> = threads.iter().map(u32::to_string).collect();
            for thread in threads {
                let folder = format!("{CPU}/cpu{thread}/topology");
                self.file(&format!("{folder}/core_id"), &core_id.to_string());
                self.file(&format!("{folder}/physical_package_id"), &package.to_string());
                self.file(&format!("{folder}/core_cpus_list"), &siblings.join(","));
            }
        }
    }

    fn numa_nodes(&self) {
        let numbers: Vec<u32> = self.topology.numa_nodes().map(|node| node.os_index).collect();
        let list: Vec<String> = numbers.iter().map(u32::to_string).collect();
        self.file(&format!("{NODE}/online"), &list.join(","));
        for node in self.topology.numa_nodes() {
            let folder = format!("{NODE}/node{}", node.os_index);
            let to = |number: &u32| {
                let other = node.distances.iter().find(|(to, _)| to == number);
                other.map_or(10, |(_, distance)| *distance).to_string()
            };
            let distances: Vec<String> = numbers.iter().map(to).collect();
            let memory = node.memory.unwrap_or(1 << 30) >> 10;
            self.file(&format!("{folder}/cpulist"), &node.cpus.to_string());
            self.file(&format!("{folder}/cpumap"), &node.cpus.to_mask());
            self.file(&format!("{folder}/distance"), &distances.join(" "));
            self.file(
                &format!("{folder}/meminfo"),
                &format!("Node {} MemTotal: {memory} kB\n", node.os_index),
            );
        }
    }

    /// Writes a device with the bridges above it.
    fn device(&self, id: NodeId, address: PciAddress, class: &str) {
        let (mut path, speed, width) = (String::new(), self.speed(id), 16);
        let mut above: Vec<NodeId> = self.topology.ancestors(id).collect();
        above.reverse();
        for (place, id) in above.iter().enumerate() {
            let own = id.index();
            match self.topology.node(*id).kind {
                NodeKind::HostBridge(_) => {
                    let below = above[place + 1].index();
                    path = format!("pci{own:04x}:00/{own:04x}:{:02x}:00.0", 1 + below % 200);
                }
                // The upstream port, and the downstream port of what is below.
                NodeKind::PcieSwitch(_) => {
                    let below = above[place + 1].index();
                    path = format!("{path}/{own:04x}:fe:00.0/{own:04x}:{:02x}:01.0", 1 + below % 200);
                }
                _ => {}
            }
        }
        let path = if path.is_empty() {
            format!("pci{:04x}:ff/{address}", id.index())
        } else {
            self.bridges(&path, speed);
            format!("{path}/{address}")
        };
        let folder = format!("sys/devices/{path}");
        for (name, content) in [
            ("class", class),
            ("vendor", "0x10de"),
            ("numa_node", &self.numa(id).map_or("-1".to_owned(), |node| node.to_string())),
            ("max_link_speed", speed),
            ("current_link_speed", "2.5 GT/s PCIe"),
            ("current_link_width", &width.to_string()),
        ] {
            self.file(&format!("{folder}/{name}"), content);
        }
        let bus = self.root.join("sys/bus/pci/devices");
        fs::create_dir_all(&bus).unwrap();
        std::os::unix::fs::symlink(format!("../../../devices/{path}"), bus.join(address.to_string()))
            .unwrap();
    }

    fn bridges(&self, path: &str, speed: &str) {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]).skip(1) {
            let folder = format!("sys/devices/{}", &path[..end]);
            self.file(&format!("{folder}/current_link_speed"), speed);
            self.file(&format!("{folder}/current_link_width"), "16");
        }
    }

    fn numa(&self, id: NodeId) -> Option<u32> {
        let numa = self.topology.node(self.topology.numa_ancestor(id)?);
        numa.kind.as_numa_node().map(|numa| numa.os_index)
    }

    fn speed(&self, id: NodeId) -> &'static str {
        let speeds = ["2.5", "5.0", "8.0", "16.0", "32.0", "64.0"];
        let links = || self.topology.links_of(id).filter(|(_, link)| link.kind == LinkKind::Pcie);
        let known =
            speeds.iter().find(|speed| links().any(|(_, link)| rates::pcie_at(speed, Some(16)) == *link));
        known.copied().unwrap_or("Unknown")
    }
}
