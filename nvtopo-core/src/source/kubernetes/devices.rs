//! The nodes of the graph that the devices of slices become: GPUs with their MIG instances, and NICs.
//!
//! Sources: the attributes that these publish: NVIDIA's driver (`docs/reference` of kubernetes-sigs/dra-driver-nvidia-gpu), AMD's
//! (ROCm/k8s-gpu-dra-driver), DRANET (kubernetes-sigs/dranet) and that of SR-IOV (k8snetworkplumbingwg/dra-driver-sriov).

use super::enabled::listed;
use super::slices::Device;
use super::zones::{self, Zones};
use crate::cpuset::{MAX_INDEX, NodeSet};
use crate::error::Result;
use crate::ids::{GpuUuid, PciAddress};
use crate::model::{
    Fragment, Gpu, GpuInstance, HostBridge, LinkLayer, MAX_DEVICES, MigMode, MigPlacement, Nic, NodeId,
    NodeKind, NoteCode, PathType, PortState, Stated, rates,
};
use crate::units::{count_of, several};
use std::collections::{BTreeMap, BTreeSet};

const ADDRESS: [&str; 4] = ["pciBusID", "pcieBusID", "pciAddress", "pciAddr"];
const NUMA: [&str; 2] = ["numaNode", "numaNodeID"];
/// Attributes that only NICs have.
const OF_NICS: [&str; 5] = ["ifName", "interfaceName", "rdmaDevice", "mac", "encapsulation"];

/// The kind of a device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gpu,
    /// A MIG instance.
    Instance,
    /// A part of a GPU that is no instance of MIG.
    Part,
    /// A part of a GPU that does not exist until a claim gets it.
    Possible,
    /// A GPU for virtual machines.
    Guest,
    Nic,
    VirtualFunction,
    /// No hardware: channels of an NVLink domain, and interfaces that are software.
    Software,
    Other,
}

fn kind(device: &Device<'_>) -> Kind {
    let has = |names: &[&str]| device.get(names).is_some();
    let is_true = |name: &str| device.text(&[name]) == Some("true");
    let word = device.text(&["type"]).unwrap_or_default().to_ascii_lowercase();
    let driver = device.driver.unwrap_or_default();
    match () {
        () if word == "mig" || has(&["parentUUID"]) => {
            if has(&["uuid"]) {
                Kind::Instance
            } else {
                Kind::Possible
            }
        }
        () if word == "vgpu" => Kind::Possible,
        () if word == "vfio" => Kind::Guest,
        () if word.ends_with("-partition") || has(&["parentPciAddr"]) => Kind::Part,
        () if word.ends_with("gpu") => Kind::Gpu,
        () if matches!(&*word, "channel" | "daemon") => Kind::Software,
        () if has(&["pfPciAddress", "PFName", "vfID"]) => Kind::VirtualFunction,
        () if has(&OF_NICS) || word == "nic" || driver == "dra.net" => {
            let is_card = has(&ADDRESS) || has(&["pciAddressBus"]) || has(&["rdmaDevice"]) || is_true("rdma");
            if is_true("virtual") || !is_card { Kind::Software } else { Kind::Nic }
        }
        () if has(&["cudaComputeCapability"]) || driver.starts_with("gpu.") => Kind::Gpu,
        () if device.text(&["uuid"]).is_some_and(|uuid| uuid.starts_with("GPU-")) => Kind::Gpu,
        () => Kind::Other,
    }
}

/// A device of the graph, with its place.
struct Placed<T> {
    facts: T,
    numa: Option<u32>,
    /// The host bridge above it.
    root: Option<PciAddress>,
}

/// A GPU with what numbers it.
struct GpuOf {
    gpu: Gpu,
    index: Option<u32>,
    /// The number in its name, which is its index with some versions of the driver, and its minor number with others.
    number: Option<u32>,
    instances: Vec<GpuInstance>,
}

/// The devices of a node.
#[derive(Default)]
pub(super) struct Devices {
    gpus: Vec<Placed<GpuOf>>,
    nics: Vec<Placed<Nic>>,
}

/// Reads the devices.
pub(super) fn read(devices: &[Device<'_>], fragment: &mut Fragment) -> Result<Devices> {
    let mut read = Devices::default();
    let [mut parts, mut possible, mut others, mut unread] = <[Vec<String>; 4]>::default();
    let (mut guests, mut functions) = (Vec::new(), 0);
    for device in devices {
        if read.gpus.len() + read.nics.len() > MAX_DEVICES {
            return Err(device.node.error(format!("there are more than {MAX_DEVICES} GPUs and NICs")));
        }
        match kind(device) {
            Kind::Gpu => _ = read.gpu(device, false, fragment, &mut unread)?,
            Kind::Instance => read.instance(device, fragment, &mut unread)?,
            Kind::Part => {
                parts.push(device.title());
                read.gpu(device, true, fragment, &mut unread)?;
            }
            Kind::Possible => possible.push(device.title()),
            Kind::Guest => guests.push(device),
            Kind::Nic => read.nic(device)?,
            Kind::VirtualFunction => {
                functions += 1;
                read.virtual_function(device)?;
            }
            Kind::Software => {}
            Kind::Other => others.push(device.driver.unwrap_or("an unknown driver").to_owned()),
        }
    }
    // A GPU may be listed twice, for pods and for virtual machines.
    let is_gpu = |device: &&&Device<'_>| {
        let (uuid, address) = (device.text(&["uuid"]), device.text(&ADDRESS));
        read.gpus.iter().map(|own| &own.facts.gpu).any(|gpu| {
            gpu.uuid.is_some_and(|own| uuid == Some(&*own.to_string()))
                || gpu.address.is_some() && gpu.address == address.and_then(|address| address.parse().ok())
        })
    };
    let guests = guests.iter().filter(|device| !is_gpu(device)).map(|device| device.title()).collect();
    let lists: [(NoteCode, Vec<String>, &str); 5] = [
        (NoteCode::DeviceLeftOut, guests, "set aside for virtual machines, and left out"),
        (NoteCode::Unknown, parts, "parts of GPUs, which are here as a whole"),
        (NoteCode::Unknown, possible, "parts of GPUs that exist once a claim gets them, and were left out"),
        (NoteCode::Unknown, unread, "UUIDs that no driver gives, so those of their GPUs are unknown"),
        (NoteCode::Unknown, others, "drivers of devices that are no GPUs or NICs, which were left out"),
    ];
    for (code, names, text) in lists.into_iter().filter(|(_, names, _)| !names.is_empty()) {
        fragment.note(code, format!("{}: {text}", listed(names.into_iter())));
    }
    if functions > 0 {
        let text = format!(
            "{} stand for the adapters that they are parts of",
            count_of(functions, "virtual function")
        );
        fragment.note(NoteCode::Inferred, text);
    }
    Ok(read)
}

/// Returns the NUMA node and the host bridge of a device.
fn place(device: &Device<'_>) -> Result<(Option<u32>, Option<PciAddress>)> {
    let numa = device.number(&NUMA, MAX_INDEX)?;
    let root = device.text(&["pcieRoot"]).and_then(|root| {
        // Virtual machines have roots of other names, which say nothing.
        let (domain, bus) = root.strip_prefix("pci")?.split_once(':')?;
        format!("{domain}:{bus}:00.0").parse().ok()
    });
    Ok((numa, root))
}

/// Returns the version of NVIDIA's driver. Attributes of versions have no zeros in front, and the driver's third number has two
/// digits: 580.95.05 is published as 580.95.5.
fn driver_version(text: &str) -> String {
    match text.split('.').collect::<Vec<_>>()[..] {
        [major, minor, patch] if patch.len() == 1 && patch != "0" => format!("{major}.{minor}.0{patch}"),
        _ => text.to_owned(),
    }
}

/// Returns a version without its third number, which is 0: 12.8.0.
fn short(text: &str) -> &str {
    text.strip_suffix(".0").filter(|short| short.contains('.')).unwrap_or(text)
}

/// Returns the number behind a name: 3 of `gpu-3` and of `gpu-3-mig-19-0-1`.
fn number(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("gpu-")?;
    rest.split('-').next()?.parse().ok()
}

impl Devices {
    /// Adds a GPU, or the facts of one that is known, and returns its place in the list. `is_part`: what is described is a part of it.
    fn gpu(
        &mut self,
        device: &Device<'_>,
        is_part: bool,
        fragment: &mut Fragment,
        unread: &mut Vec<String>,
    ) -> Result<usize> {
        let names: &[&str] = if is_part { &["parentUUID"] } else { &["uuid"] };
        let text = device.text(names);
        let uuid: Option<GpuUuid> = text.and_then(|uuid| uuid.parse().ok());
        if let Some(text) = text.filter(|text| uuid.is_none() && text.starts_with("GPU-")) {
            unread.push(text.to_owned());
        }
        let parent = if is_part { device.address(&["parentPciAddr"])? } else { None };
        let address = match parent {
            Some(parent) => Some(parent),
            None => device.address(&ADDRESS)?,
        };
        let (numa, root) = place(device)?;
        let by_name = device.name.and_then(number);
        let index = device.number(if is_part { &["parentIndex"] } else { &["index"] }, u32::MAX)?;
        let known = self.gpus.iter().position(|own| {
            let gpu = &own.facts.gpu;
            let same = |a: Option<u32>, b: Option<u32>| a.is_some() && a == b;
            match (uuid.zip(gpu.uuid), address.zip(gpu.address)) {
                (Some((a, b)), _) => a == b,
                (None, Some((a, b))) => a == b,
                // A part without a name of its GPU's belongs to the GPU of its number.
                (None, None) => is_part && (same(index, own.facts.index) || same(by_name, own.facts.number)),
            }
        });
        let at = known.unwrap_or_else(|| {
            let facts = GpuOf { gpu: Gpu::default(), index: None, number: None, instances: Vec::new() };
            self.gpus.push(Placed { facts, numa: None, root: None });
            self.gpus.len() - 1
        });
        let own = &mut self.gpus[at];
        own.numa = own.numa.or(numa);
        own.root = own.root.or(root);
        own.facts.index = own.facts.index.or(index);
        own.facts.number = own.facts.number.or(by_name);
        let gpu = &mut own.facts.gpu;
        gpu.uuid = gpu.uuid.or(uuid);
        gpu.address = gpu.address.or(address);
        gpu.model = gpu.model.take().or_else(|| device.text(&["productName", "model"]).map(str::to_owned));
        let capability = device.text(&["cudaComputeCapability"]);
        gpu.compute_capability = gpu.compute_capability.or_else(|| short(capability?).parse().ok());
        if !is_part {
            gpu.minor = gpu.minor.or(device.number(&["minor"], u32::MAX)?);
            gpu.memory = gpu.memory.or(device.capacity("memory")?);
            if let Some(taint) = device.taint() {
                gpu.unusable = Some(format!("is tainted in Kubernetes: {taint}"));
            }
        }
        if capability.is_some() {
            let machine = fragment.machine();
            machine.driver =
                machine.driver.take().or_else(|| device.text(&["driverVersion"]).map(driver_version));
            let cuda = device.text(&["cudaDriverVersion"]).map(|version| short(version).to_owned());
            machine.cuda = machine.cuda.take().or(cuda);
        }
        Ok(at)
    }

    /// Adds a MIG instance, and its GPU where that is not listed.
    fn instance(
        &mut self,
        device: &Device<'_>,
        fragment: &mut Fragment,
        unread: &mut Vec<String>,
    ) -> Result<()> {
        let at = self.gpu(device, true, fragment, unread)?;
        let uuid = device.text(&["uuid"]).filter(|uuid| uuid.starts_with("MIG-"));
        let mut instance = GpuInstance {
            uuid: uuid.map(str::to_owned),
            profile: device.text(&["profile"]).map(str::to_owned),
            memory: device.capacity("memory")?,
            ..GpuInstance::default()
        };
        let slices: BTreeSet<u32> = device.numbered("memorySlice").into_iter().collect();
        let whole = slices.first().zip(slices.last()).filter(|(first, last)| {
            u32::try_from(slices.len()).is_ok_and(|count| **last - **first == count - 1)
        });
        instance.placement = whole.map(|(first, _)| MigPlacement::new(*first, slices.len() as u32));
        let own = &mut self.gpus[at].facts;
        own.gpu.mig = Some(MigMode::new(true, true));
        if own.instances.iter().all(|known| known.uuid.is_none() || known.uuid != instance.uuid) {
            own.instances.push(instance);
        }
        Ok(())
    }

    fn nic(&mut self, device: &Device<'_>) -> Result<()> {
        let interface = device.text(&["ifName", "interfaceName"]);
        let rdma = device.text(&["rdmaDevice"]);
        let mut address = device.address(&ADDRESS)?;
        if address.is_none() {
            // Early versions of DRANET gave the parts of the address.
            let part = |name: &str| device.text(&[name]);
            let parts = part("pciAddressDomain").zip(part("pciAddressBus"));
            let parts = parts.zip(part("pciAddressDevice").zip(part("pciAddressFunction")));
            address = parts.and_then(|((domain, bus), (device, function))| {
                format!("{domain}:{bus}:{device}.{function}").parse().ok()
            });
        }
        let title = device.title();
        let mut nic = Nic::new(rdma.or(interface).map_or(title, str::to_owned));
        nic.address = address;
        nic.rdma_device = rdma.map(str::to_owned);
        nic.net_devices = interface.map(str::to_owned).into_iter().collect();
        nic.model = device.text(&["pciDevice", "productName"]).map(str::to_owned);
        nic.mtu = device.number(&["mtu"], u32::MAX)?;
        nic.link_layer = device.text(&["encapsulation", "linkType"]).and_then(LinkLayer::of_tool);
        // An interface that is down does not say that its port is: it may not be configured.
        nic.state = device.text(&["state"]).filter(|state| *state == "up").map(|_| PortState::Active);
        let (numa, root) = place(device)?;
        self.adapter(nic, numa, root);
        Ok(())
    }

    /// Adds the adapter of a virtual function, once.
    fn virtual_function(&mut self, device: &Device<'_>) -> Result<()> {
        let address = device.address(&["pfPciAddress"])?;
        let interface = device.text(&["PFName"]);
        let name = interface.map(str::to_owned).or_else(|| address.map(|address| address.to_string()));
        let mut nic = Nic::new(name.unwrap_or_else(|| device.title()));
        nic.address = address;
        nic.net_devices = interface.map(str::to_owned).into_iter().collect();
        nic.link_layer = device.text(&["linkType"]).and_then(LinkLayer::of_tool);
        let (numa, root) = place(device)?;
        self.adapter(nic, numa, root);
        Ok(())
    }

    /// Adds an adapter; one that two drivers publish is one.
    fn adapter(&mut self, nic: Nic, numa: Option<u32>, root: Option<PciAddress>) {
        let known = self.nics.iter_mut().find(|own| {
            let same = own.facts.address.is_some() && own.facts.address == nic.address;
            same || own.facts.name == nic.name && (own.facts.address.is_none() || nic.address.is_none())
        });
        match known {
            Some(own) => {
                own.numa = own.numa.or(numa);
                own.root = own.root.or(root);
                own.facts.address = own.facts.address.or(nic.address);
                if own.facts.rdma_device.is_none() && nic.rdma_device.is_some() {
                    (own.facts.rdma_device, own.facts.name) = (nic.rdma_device, nic.name);
                }
                if own.facts.net_devices.is_empty() {
                    own.facts.net_devices = nic.net_devices;
                }
            }
            None => self.nics.push(Placed { facts: nic, numa, root }),
        }
    }

    /// Numbers the GPUs: by what the driver says, else in the order of the PCI bus, else by their names.
    fn number(&mut self) {
        let distinct = |of: &dyn Fn(&GpuOf) -> Option<u32>| {
            let numbers: Option<BTreeSet<u32>> = self.gpus.iter().map(|own| of(&own.facts)).collect();
            numbers.is_some_and(|numbers| numbers.len() == self.gpus.len())
        };
        if distinct(&|own| own.index) {
            self.gpus.sort_by_key(|own| own.facts.index);
            self.gpus.iter_mut().for_each(|own| own.facts.gpu.index = own.facts.index.unwrap_or_default());
            return;
        }
        let has_numbers = distinct(&|own| own.number);
        if self.gpus.iter().all(|own| own.facts.gpu.address.is_some()) {
            self.gpus.sort_by_key(|own| own.facts.gpu.address);
        } else if has_numbers {
            self.gpus.sort_by_key(|own| own.facts.number);
            self.gpus.iter_mut().for_each(|own| own.facts.gpu.index = own.facts.number.unwrap_or_default());
            return;
        }
        for (own, index) in self.gpus.iter_mut().zip(0..) {
            own.facts.gpu.index = index;
        }
    }
}

/// Adds the devices, the NUMA nodes that they name, and those of zones.
pub(super) fn add(fragment: &mut Fragment, mut devices: Devices, zones: Zones) {
    devices.number();
    let counted = zones.gpus();
    let has_gpus = !devices.gpus.is_empty();
    let named = devices.gpus.iter().map(|own| own.numa).chain(devices.nics.iter().map(|own| own.numa));
    let nodes = zones::add(fragment, zones, &named.flatten().collect());
    let mut adder =
        Adder { fragment, nodes, roots: BTreeMap::new(), bridges: BTreeMap::new(), placed: Vec::new() };
    let gpus = devices.gpus.iter().map(|own| (own.root, own.numa));
    for (root, numa) in gpus.chain(devices.nics.iter().map(|own| (own.root, own.numa))) {
        if let Some(root) = root {
            let known = adder.roots.entry(root).or_default();
            *known = known.or(numa);
        }
    }
    let count = devices.gpus.len();
    for own in devices.gpus {
        let GpuOf { mut gpu, instances, .. } = own.facts;
        gpu.nodes = adder.nodes_of(own.numa, own.root);
        let address = gpu.address;
        let id = adder.device(gpu.into(), address, own.numa, own.root);
        for instance in instances {
            adder.fragment.add(id, instance);
        }
    }
    let mut taken = BTreeSet::new();
    for own in devices.nics {
        let mut nic = own.facts;
        if !taken.insert(nic.name.clone()) {
            nic.name =
                nic.address.map_or_else(|| format!("{}.{}", nic.name, taken.len()), |own| own.to_string());
            taken.insert(nic.name.clone());
        }
        nic.nodes = adder.nodes_of(own.numa, own.root);
        let address = nic.address;
        adder.device(nic.into(), address, own.numa, own.root);
    }
    adder.paths();
    if count > 1 {
        fragment.note(NoteCode::NvlinksUnknown, "ResourceSlices do not tell which GPUs NVLink connects");
    }
    if !has_gpus && !counted.is_empty() {
        let text = format!(
            "NodeResourceTopology counts GPUs and does not tell which they are: {}; the node's ResourceSlices or nvidia-smi in \
             a second --from do",
            several(&counted)
        );
        fragment.note(NoteCode::GpusUnknown, text);
    }
}

/// A device in the graph: its node, address, NUMA node and host bridge.
type Known = (NodeId, Option<PciAddress>, Option<u32>, Option<PciAddress>);

struct Adder<'a> {
    fragment: &'a mut Fragment,
    nodes: BTreeMap<u32, NodeId>,
    /// The NUMA node of each host bridge.
    roots: BTreeMap<PciAddress, Option<u32>>,
    bridges: BTreeMap<PciAddress, NodeId>,
    placed: Vec<Known>,
}

impl Adder<'_> {
    /// Returns the NUMA nodes to state for a device, where its host bridge does not tell them.
    fn nodes_of(&self, numa: Option<u32>, root: Option<PciAddress>) -> Stated<NodeSet> {
        let of_root = root.and_then(|root| self.roots.get(&root).copied().flatten());
        match numa.filter(|numa| of_root != Some(*numa)) {
            Some(numa) => Stated::Known(std::iter::once(numa).collect()),
            None => Stated::Unstated,
        }
    }

    /// Adds a device below its host bridge.
    fn device(
        &mut self,
        kind: NodeKind,
        address: Option<PciAddress>,
        numa: Option<u32>,
        root: Option<PciAddress>,
    ) -> NodeId {
        let fragment = &mut *self.fragment;
        let id = match root {
            Some(root) => {
                let node = self.roots.get(&root).copied().flatten().and_then(|numa| self.nodes.get(&numa));
                let parent = node.copied().unwrap_or(NodeId::MACHINE);
                let bridge = *self
                    .bridges
                    .entry(root)
                    .or_insert_with(|| fragment.add(parent, HostBridge { address: Some(root) }));
                let id = fragment.add(bridge, kind);
                fragment.link(id, bridge, rates::pcie_unknown());
                id
            }
            None => fragment.add(NodeId::MACHINE, kind),
        };
        self.placed.push((id, address, numa, root));
        id
    }

    /// States the paths that the tree does not tell, and notes what stays unknown.
    fn paths(&mut self) {
        let card = |address: &PciAddress| (address.domain, address.bus, address.device);
        let (mut is_open, mut is_near) = (false, false);
        for (index, (a, address_a, numa_a, root_a)) in self.placed.iter().enumerate() {
            for (b, address_b, numa_b, root_b) in &self.placed[..index] {
                let of_nodes = numa_a.zip(*numa_b);
                match root_a.zip(*root_b) {
                    // Functions of one card share its port.
                    _ if address_a.zip(*address_b).is_some_and(|(a, b)| card(&a) == card(&b)) => {
                        self.fragment.state_path(*a, *b, PathType::Pix);
                    }
                    Some((a, b)) if a == b => is_near = true,
                    Some(_) => is_open |= of_nodes.is_none(),
                    None if of_nodes.is_some_and(|(a, b)| a != b) => {
                        self.fragment.state_path(*a, *b, PathType::Sys);
                    }
                    None => is_open = true,
                }
            }
        }
        if is_near {
            let text = "ResourceSlices do not tell the PCIe switches below a host bridge, so devices of one are taken to reach each \
                        other over it, and may be nearer";
            self.fragment.note(NoteCode::BridgesInferred, text);
        }
        if is_open {
            let text = "ResourceSlices tell the NUMA node or the host bridge of some devices only, so some paths are unknown";
            self.fragment.note(NoteCode::PathsUnknown, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_nvidia_smi() {
        for (published, own) in
            [("580.95.5", "580.95.05"), ("580.126.20", "580.126.20"), ("615.36.0", "615.36.0"), ("x", "x")]
        {
            assert_eq!(driver_version(published), own);
        }
        assert_eq!((short("12.8.0"), short("12.0"), short("8.6.0")), ("12.8", "12.0", "8.6"));
        assert_eq!((number("gpu-3-mig-19-0-1"), number("gpu-3"), number("rdma3")), (Some(3), Some(3), None));
    }
}
