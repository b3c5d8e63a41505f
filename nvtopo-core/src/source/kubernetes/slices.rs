//! `ResourceSlice`: the devices of a node, each with attributes and capacities, in the shapes of the API's versions since
//! `v1alpha3`.
//!
//! Before `v1beta2` the facts of a device stand in `basic`. An attribute is a map of its type and value, and a capacity one of
//! `value`, but for `v1alpha3`, where it is the quantity itself.

use super::quantity;
use super::tree::Node;
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::{Fragment, NoteCode};
use std::collections::{BTreeMap, BTreeSet};

/// The domain of the attributes that all drivers share.
const STANDARD: &str = "resource.kubernetes.io/";

/// A slice.
pub(super) struct Slice<'a> {
    node: &'a Node,
    driver: Option<&'a str>,
    pool: Option<&'a str>,
    generation: i64,
    /// The number of slices in its pool.
    of: Option<usize>,
    /// The name of its node.
    name: Option<&'a str>,
    /// True where it is of several nodes: all, or those of a selector.
    is_shared: bool,
    pub(super) devices: Vec<Device<'a>>,
}

/// A device.
pub(super) struct Device<'a> {
    pub(super) node: &'a Node,
    /// The facts: the device itself, or its `basic`.
    facts: &'a Node,
    pub(super) driver: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

/// Returns whether an object without a kind is a slice.
pub(super) fn is_slice(object: &Node) -> bool {
    let lists = |node: &Node| node.get("devices").is_some_and(|list| list.items().is_some());
    lists(object)
        || object.get("spec").is_some_and(|spec| lists(spec) || spec.get("sharedCounters").is_some())
}

/// Returns whether what was put before a text makes it one of devices.
pub(super) fn begins_within(document: &Node) -> bool {
    let first = document.get("items").and_then(Node::items).and_then(<[Node]>::first).unwrap_or(document);
    let devices = first.at(&["spec", "devices"]).or_else(|| first.get("devices")).and_then(Node::items);
    devices.and_then(<[Node]>::first).is_some_and(|device| {
        let facts = device.get("basic").unwrap_or(device);
        let attributes = facts.get("attributes").map(Node::entries).unwrap_or_default();
        attributes.iter().any(|(_, value)| value.entries().len() == 1)
    })
}

/// Reads a slice.
pub(super) fn read(object: &Node) -> Result<Slice<'_>> {
    // The head of a piece may open the devices alone.
    let spec = object.get("spec").unwrap_or(object);
    let text = |path: &[&str]| spec.at(path).and_then(Node::text);
    let devices = spec.get("devices").and_then(Node::items);
    if devices.is_none() && spec.get("sharedCounters").is_none() && text(&["driver"]).is_none() {
        return Err(object
            .error("this ResourceSlice has no devices")
            .help("those of resource.k8s.io/v1alpha3 and later are read: Kubernetes 1.31"));
    }
    let driver = text(&["driver"]);
    let owners = object.at(&["metadata", "ownerReferences"]).and_then(Node::items).unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.get("kind").and_then(Node::text) == Some("Node"));
    let owner = owner.and_then(|owner| owner.get("name")?.text());
    let is_true = |key: &str| text(&[key]) == Some("true");
    let number = |path: &[&str]| text(path).and_then(|number| number.parse().ok());
    let device = |node| {
        let facts = Node::get(node, "basic").unwrap_or(node);
        Device { node, facts, driver, name: node.get("name").and_then(Node::text) }
    };
    Ok(Slice {
        node: object,
        driver,
        pool: text(&["pool", "name"]),
        generation: number(&["pool", "generation"]).unwrap_or_default(),
        of: number(&["pool", "resourceSliceCount"]).and_then(|count| usize::try_from(count).ok()),
        name: text(&["nodeName"]).or(owner),
        is_shared: is_true("allNodes") || spec.get("nodeSelector").is_some(),
        devices: devices.unwrap_or_default().iter().map(device).collect(),
    })
}

impl<'a> Slice<'a> {
    /// Lists the nodes that it, or a device of it, is of. `None`: unknown.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Option<&'a str>, &'a Node)> {
        let own: BTreeSet<Option<&str>> = self.devices.iter().map(Device::node_name).collect();
        let own = own.into_iter().flatten().map(Some);
        let has_own = self.devices.iter().any(|device| device.node_name().is_some());
        let whole = (!self.is_shared && !has_own).then_some(self.name);
        let node = self.node;
        own.chain(whole).map(move |name| (name, node))
    }
}

/// Keeps the slices of the latest generation of each pool, and of these the devices that belong to one node.
pub(super) fn current<'a>(slices: Vec<Slice<'a>>, fragment: &mut Fragment) -> Vec<Device<'a>> {
    /// A pool by its driver and name.
    type Pool<'a> = (Option<&'a str>, Option<&'a str>);
    // The latest generation of each, the number of slices that are here, and that of all.
    let mut pools: BTreeMap<Pool<'_>, (i64, usize, Option<usize>)> = BTreeMap::new();
    for slice in &slices {
        let (generation, count, of) = pools.entry((slice.driver, slice.pool)).or_default();
        match slice.generation.cmp(generation) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Greater => (*generation, *count) = (slice.generation, 0),
            std::cmp::Ordering::Equal => {}
        }
        *count += 1;
        *of = slice.of;
    }
    for ((driver, pool), (_, count, of)) in &pools {
        if let Some(of) = of.filter(|of| of > count) {
            let text = format!(
                "the pool {} of {} has {of} slices, and {count} of them are here, so other devices are unknown",
                pool.unwrap_or("without a name"),
                driver.unwrap_or("an unknown driver")
            );
            fragment.note(NoteCode::TextCut, text);
        }
    }
    let (mut devices, mut shared) = (Vec::new(), BTreeSet::new());
    for slice in slices {
        if pools.get(&(slice.driver, slice.pool)).is_some_and(|(latest, ..)| slice.generation < *latest) {
            continue;
        }
        for device in slice.devices {
            let is_shared = if device.facts_or_own("allNodes").is_some()
                || device.facts_or_own("nodeSelector").is_some()
            {
                true
            } else {
                slice.is_shared && device.node_name().is_none()
            };
            if is_shared {
                shared.insert(slice.driver.unwrap_or("an unknown driver").to_owned());
            } else {
                devices.push(device);
            }
        }
    }
    if !shared.is_empty() {
        let text = format!(
            "devices of {} that several nodes can reach are of no node, so they were left out",
            super::enabled::listed(shared.into_iter())
        );
        fragment.note(NoteCode::Unknown, text);
    }
    devices
}

impl<'a> Device<'a> {
    fn facts_or_own(&self, key: &str) -> Option<&'a Node> {
        self.facts.get(key).or_else(|| self.node.get(key))
    }

    /// Returns the node that the device itself names.
    fn node_name(&self) -> Option<&'a str> {
        self.facts_or_own("nodeName").and_then(Node::text)
    }

    pub(super) fn attributes(&self) -> &'a [(String, Node)] {
        self.facts.get("attributes").map(Node::entries).unwrap_or_default()
    }

    /// Returns the value of the first attribute that one of the names fits, whatever its domain, with its place.
    pub(super) fn get(&self, names: &[&str]) -> Option<(&'a str, &'a Node)> {
        let own = self.attributes();
        names.iter().find_map(|name| {
            let standard = own.iter().find(|(key, _)| key.strip_prefix(STANDARD) == Some(name));
            let found = standard.or_else(|| own.iter().find(|(key, _)| key.rsplit('/').next() == Some(name)));
            let (_, node) = found?;
            let value = match node.entries() {
                [(_, value), ..] => value,
                [] => node,
            };
            // A list tells one value where it has one.
            let value = match value.items() {
                Some([only]) => only,
                Some(_) => return None,
                None => value,
            };
            Some((value.text()?, value))
        })
    }

    pub(super) fn text(&self, names: &[&str]) -> Option<&'a str> {
        self.get(names).map(|(text, _)| text)
    }

    /// Reads a number; drivers write -1 for none.
    pub(super) fn number(&self, names: &[&str], most: u32) -> Result<Option<u32>> {
        let Some((text, at)) = self.get(names).filter(|(text, _)| !text.starts_with('-')) else {
            return Ok(None);
        };
        match text.parse().ok().filter(|number| *number <= most) {
            Some(number) => Ok(Some(number)),
            None => Err(at.error(format!("'{text}' is no {} up to {most}", names[0]))),
        }
    }

    pub(super) fn address(&self, names: &[&str]) -> Result<Option<PciAddress>> {
        let Some((text, at)) = self.get(names) else { return Ok(None) };
        match text.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => {
                Err(at.error(format!("'{text}' is not a PCI address")).help("expected one like 0000:1b:00.0"))
            }
        }
    }

    /// Reads a capacity in whole units.
    pub(super) fn capacity(&self, name: &str) -> Result<Option<u64>> {
        let own = self.facts.get("capacity").map(Node::entries).unwrap_or_default();
        let Some((_, node)) = own.iter().find(|(key, _)| key.rsplit('/').next() == Some(name)) else {
            return Ok(None);
        };
        let value = node.get("value").unwrap_or(node);
        let text = value.text().unwrap_or_default();
        match quantity::whole(text) {
            Some(number) => Ok(Some(number)),
            None => Err(value
                .error(format!("'{text}' is no quantity of {name}"))
                .help("quantities are such as 80Gi")),
        }
    }

    /// Lists the numbers behind a name of capacities: 6 of `memorySlice6`.
    pub(super) fn numbered(&self, name: &str) -> Vec<u32> {
        let own = self.facts.get("capacity").map(Node::entries).unwrap_or_default();
        own.iter().filter_map(|(key, _)| key.strip_prefix(name)?.parse().ok()).collect()
    }

    /// Returns the first taint that keeps claims away, as `kubectl` prints it.
    pub(super) fn taint(&self) -> Option<String> {
        let taints = self.facts_or_own("taints").and_then(Node::items).unwrap_or_default();
        taints.iter().find_map(|taint| {
            let text = |key: &str| taint.get(key).and_then(Node::text);
            let effect = text("effect").filter(|effect| matches!(*effect, "NoSchedule" | "NoExecute"))?;
            let value = text("value").map(|value| format!("={value}")).unwrap_or_default();
            Some(format!("{}{value}:{effect}", text("key")?))
        })
    }

    pub(super) fn title(&self) -> String {
        self.name.map_or_else(|| format!("the device in line {}", self.node.line), str::to_owned)
    }
}
