//! A `NodeResourceTopology` object: the NUMA nodes of a machine with their CPUs, memory, GPUs and NICs.
//!
//! It is to be compared with what Node Feature Discovery publishes, or given to a scheduler by hand; two publishers of one
//! node's object are one too many.

use crate::kubelet::predict::{Policy, Scope};
use crate::names::{GPU_RESOURCE, object_name};
use crate::yaml;
use nvtopo::model::{NodeKind, NumaNode, PortState, Stated};
use nvtopo::{CpuSet, Result, Topology};
use serde::Serialize;
use std::collections::BTreeMap;

/// The options of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceTopologyOptions {
    /// The node's name.
    pub node: String,
    /// The topology manager's policy on it, where it is known.
    pub policy: Option<Policy>,
    /// The topology manager's scope.
    pub scope: Option<Scope>,
    /// CPUs that the kubelet keeps for the system.
    pub reserved: CpuSet,
    /// The resource of the GPUs.
    pub gpu_resource: String,
    /// The resource of the NICs.
    pub nic_resource: String,
}

impl ResourceTopologyOptions {
    /// For the node of this name.
    #[must_use]
    pub fn node(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            policy: None,
            scope: None,
            reserved: CpuSet::new(),
            gpu_resource: GPU_RESOURCE.to_owned(),
            nic_resource: "rdma/nic".to_owned(),
        }
    }
}

/// `NodeResourceTopology` of `topology.node.k8s.io/v1alpha2`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeResourceTopology {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Attribute>,
    zones: Vec<Zone>,
}

#[derive(Serialize)]
struct Metadata {
    name: String,
}

#[derive(Serialize)]
struct Attribute {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Zone {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    costs: Vec<Cost>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Attribute>,
    resources: Vec<Resource>,
}

#[derive(Serialize)]
struct Cost {
    name: String,
    value: i64,
}

/// Amounts are texts, as the schema wants quantities.
#[derive(Serialize)]
struct Resource {
    name: String,
    capacity: String,
    allocatable: String,
    available: String,
}

impl Resource {
    fn new(name: &str, capacity: u64, allocatable: u64) -> Self {
        let (capacity, allocatable) = (capacity.to_string(), allocatable.to_string());
        Self { name: name.to_owned(), capacity, available: allocatable.clone(), allocatable }
    }
}

/// The object for a node, with nothing taken.
///
/// ```
/// use nvtopo_k8s::resource_topology::{ResourceTopologyOptions, resource_topology};
///
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let object = resource_topology(&dgx, &ResourceTopologyOptions::node("n1"))?;
/// assert!(object.contains("name: nvidia.com/gpu\n    capacity: \"4\""));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn resource_topology(topology: &Topology, options: &ResourceTopologyOptions) -> Result<String> {
    let mut comment = vec![
        "Nothing is counted as taken. Apply it only where nobody else publishes the object of this node."
            .to_owned(),
    ];
    let nodes: Vec<&NumaNode> = topology.numa_nodes().collect();
    if nodes.is_empty() {
        return Err(nvtopo::Error::unsatisfiable("the NUMA nodes of this machine are unknown")
            .help("add what tells them: a snapshot, a recorded /sys, hwloc's XML"));
    }
    if nodes.len() > 1 && nodes.iter().any(|node| node.distances.is_empty()) {
        comment.push("The distances of some NUMA nodes are unknown: they have no costs.".to_owned());
    }
    let mut devices: BTreeMap<u32, [u64; 4]> = BTreeMap::new();
    for (position, id) in topology.devices().iter().enumerate() {
        let (place, usable) = match &topology.node(*id).kind {
            NodeKind::Gpu(gpu) => (0, gpu.unusable.is_none() && !gpu.mig.is_some_and(|mig| mig.current)),
            NodeKind::Nic(nic) => (2, nic.state != Some(PortState::Down)),
            _ => continue,
        };
        match topology.local_nodes(*id) {
            Stated::Known(near) if near.iter().count() == 1 => {
                let counts = devices.entry(near.iter().next().unwrap_or_default()).or_default();
                counts[place] += 1;
                counts[place + 1] += u64::from(usable);
            }
            _ => comment.push(format!(
                "{} is left out: its NUMA node is not known, or is not one.",
                topology.device_name(position)
            )),
        }
    }
    let zone = |node: &&NumaNode| {
        let mut costs: Vec<(u32, u32)> = node.distances.clone();
        if !costs.is_empty() {
            costs.push((node.os_index, 10));
        }
        costs.sort_unstable();
        costs.dedup_by_key(|(node, _)| *node);
        let count = |cpus: &CpuSet| cpus.iter().count() as u64;
        let mut resources = Vec::new();
        if !node.cpus.is_empty() {
            let allocatable = node.cpus.difference(&options.reserved);
            resources.push(Resource::new("cpu", count(&node.cpus), count(&allocatable)));
        }
        if let Some(memory) = node.memory.filter(|memory| *memory > 0) {
            resources.push(Resource::new("memory", memory, memory));
        }
        let counts = devices.get(&node.os_index).copied().unwrap_or_default();
        for (name, place) in [(&options.gpu_resource, 0), (&options.nic_resource, 2)] {
            if counts[place] > 0 {
                resources.push(Resource::new(name, counts[place], counts[place + 1]));
            }
        }
        Zone {
            name: zone_name(node.os_index),
            kind: "Node",
            costs: costs
                .into_iter()
                .map(|(node, value)| Cost { name: zone_name(node), value: value.into() })
                .collect(),
            attributes: groups(topology, node.os_index),
            resources,
        }
    };
    let set = |name, value: Option<&str>| value.map(|value| Attribute { name, value: value.to_owned() });
    let attributes = [
        set("topologyManagerPolicy", options.policy.map(Policy::name)),
        set("topologyManagerScope", options.scope.map(Scope::name)),
    ];
    let object = NodeResourceTopology {
        api_version: "topology.node.k8s.io/v1alpha2",
        kind: "NodeResourceTopology",
        metadata: Metadata { name: object_name(&options.node)?.to_owned() },
        attributes: attributes.into_iter().flatten().collect(),
        zones: nodes.iter().map(zone).collect(),
    };
    yaml::document(&comment, &object)
}

fn zone_name(node: u32) -> String {
    format!("node-{node}")
}

/// The NVLink groups of two GPUs or more that have a GPU on a NUMA node.
fn groups(topology: &Topology, node: u32) -> Vec<Attribute> {
    let here = |gpu: &usize| {
        let near = topology.local_nodes(topology.devices()[*gpu]);
        near.known().is_some_and(|near| near.iter().eq([node]))
    };
    let groups = topology.nvlink_groups().iter().filter(|group| group.gpus.len() > 1).enumerate();
    let own: Vec<String> = groups
        .filter(|(_, group)| group.gpus.iter().any(here))
        .map(|(number, _)| number.to_string())
        .collect();
    if own.is_empty() || !topology.nvlink_known() {
        return Vec::new();
    }
    vec![Attribute { name: "nvtopo.io/nvlink-group", value: own.join("_") }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvtopo::source::PRESETS;

    fn of(topology: &Topology, options: &ResourceTopologyOptions) -> serde_json::Value {
        let text = resource_topology(topology, options).unwrap();
        yaml::read("own", &text).unwrap().remove(0)
    }

    #[test]
    fn zones_of_all_presets_add_up_and_costs_are_numbers() {
        for preset in PRESETS {
            let topology = Topology::preset(preset.name).unwrap();
            let object = of(&topology, &ResourceTopologyOptions::node("n1"));
            let zones = object["zones"].as_array().unwrap();
            let sum = |name: &str| -> u64 {
                let resources = zones.iter().flat_map(|zone| zone["resources"].as_array().unwrap());
                let amount = |resource: &serde_json::Value| {
                    resource["capacity"].as_str().unwrap().parse::<u64>().unwrap()
                };
                resources.filter(|resource| resource["name"] == name).map(amount).sum()
            };
            assert_eq!(sum("nvidia.com/gpu"), topology.gpus().len() as u64, "{}", preset.name);
            assert_eq!(sum("rdma/nic"), topology.nics().len() as u64, "{}", preset.name);
            assert_eq!(sum("cpu"), topology.cpus().iter().count() as u64, "{}", preset.name);
            for zone in zones {
                let costs = zone["costs"].as_array();
                for cost in costs.into_iter().flatten() {
                    assert!(cost["value"].is_i64() || cost["value"].is_u64(), "{cost}");
                    assert_eq!(cost["value"] == 10, cost["name"] == zone["name"], "{cost}");
                }
            }
        }
    }

    #[test]
    fn reserved_cpus_policy_and_links_are_told() {
        let dgx = Topology::preset("dgx-h100").unwrap();
        let options = ResourceTopologyOptions {
            policy: Some(Policy::SingleNumaNode),
            scope: Some(Scope::Pod),
            reserved: "0-1,112-113".parse().unwrap(),
            ..ResourceTopologyOptions::node("n1")
        };
        let object = of(&dgx, &options);
        assert_eq!(object["zones"][0]["resources"][0]["allocatable"], "108");
        assert_eq!(object["zones"][0]["resources"][0]["capacity"], "112");
        assert_eq!(object["zones"][0]["costs"][1]["value"], 21);
        assert_eq!(object["attributes"][0]["value"], "single-numa-node");
        assert_eq!(object["zones"][1]["attributes"][0]["value"], "0");
        let text = Topology::parse("t", b"\tGPU0\tGPU1\nGPU0\t X \tSYS\nGPU1\tSYS\t X \n").unwrap();
        assert!(resource_topology(&text, &options).is_err());
    }
}
