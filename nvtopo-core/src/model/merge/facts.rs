//! The facts of matched nodes: unknown ones are filled in, different ones noted.

use super::Fold;
use super::ends::join_ports;
use super::speakers::{Speaker, Speakers};
use crate::cpuset::CpuSet;
use crate::ids::PciAddress;
use crate::model::node::{NODE_CPUS, NODE_MEMORY};
use crate::model::{
    Fragment, Gpu, GpuInstance, Learned, Machine, Nic, Node, NodeId, NodeKind, Note, NoteCode, NumaNode,
    Nvme, PciFacts, Provenance, Stated, tree,
};
use std::borrow::Cow;
use std::fmt::Display;

/// The most conflicts that get a note each.
const MAX_CONFLICTS: usize = 50;

/// The notes about contradictions between sources.
#[derive(Default)]
pub(super) struct Conflicts {
    notes: Vec<Note>,
    more: usize,
    pub(super) speakers: Speakers,
}

impl Conflicts {
    pub(super) fn add(&mut self, code: NoteCode, text: String) {
        let note = Note::new(code, text);
        if self.notes.contains(&note) {
            return;
        }
        if self.notes.len() < MAX_CONFLICTS { self.notes.push(note) } else { self.more += 1 }
    }

    /// Notes that two sources state different values of a fact.
    pub(super) fn disagree(
        &mut self,
        what: &str,
        fact: &str,
        (base, own): (&Speaker, &dyn Display),
        (other, others): (&Speaker, &dyn Display),
    ) {
        self.add(
            NoteCode::SourcesDisagree,
            format!("{what}, {fact}: {base} says {own}, {other} says {others}; the first is taken"),
        );
    }

    pub(super) fn write(self, fragment: &mut Fragment) {
        fragment.notes.extend(self.notes);
        if self.more > 0 {
            fragment.note(
                NoteCode::SourcesDisagree,
                format!("the sources disagree about {} facts more", self.more),
            );
        }
    }
}

/// Returns the name of a node in notes.
pub(super) fn name(node: &Node) -> String {
    match &node.kind {
        NodeKind::Machine(_) => "the machine".to_owned(),
        NodeKind::Package(package) => format!("package {}", package.os_index),
        NodeKind::NumaNode(numa) => format!("NUMA node {}", numa.os_index),
        NodeKind::Cache(cache) => format!("the level {} cache of CPUs {}", cache.level, cache.cpus),
        NodeKind::Group(group) => format!("the group of CPUs {}", group.cpus),
        NodeKind::Core(core) => format!("core {}", core.os_index),
        NodeKind::Pu(pu) => format!("CPU {}", pu.os_index),
        NodeKind::HostBridge(_) => "a host bridge".to_owned(),
        NodeKind::PcieSwitch(_) => "a PCIe switch".to_owned(),
        NodeKind::NvSwitch(_) => "an NVSwitch".to_owned(),
        NodeKind::Gpu(gpu) => gpu.name(),
        NodeKind::GpuInstance(own) => own.uuid.clone().unwrap_or_else(|| "a GPU instance".to_owned()),
        NodeKind::Nic(nic) => nic.name.clone(),
        NodeKind::Nvme(nvme) => nvme.name.clone(),
    }
}

impl Fold<'_> {
    /// Compares the near CPUs and NUMA nodes, stated or by the tree: a statement of a weaker source must not hide what
    /// follows from the tree of a better one.
    pub(super) fn compare_near(&mut self, conflicts: &mut Conflicts) {
        for (base, other) in self.matched_devices(|_| true) {
            let (own, theirs) = (|id| self.base_node(id), |id| self.other_node(id));
            let (mut cpus, mut nodes) = (tree::cpus_near(own, base), tree::nodes_near(own, base));
            let (node, other_node) = (self.base_node(base), self.other_node(other));
            let (what, learned) = (name(node), Vec::new());
            let by = self.speaker(other_node.provenance);
            let mut filler =
                Filler { what: &what, id: base, base: node.provenance, other: &by, learned, conflicts };
            let news = (
                filler.stated("nearest CPUs", &mut cpus, &tree::cpus_near(theirs, other)),
                filler.stated("nearest NUMA nodes", &mut nodes, &tree::nodes_near(theirs, other)),
            );
            let learned = filler.learned;
            let node = &mut self.base.nodes[base.index()];
            node.learned.extend(learned);
            let Some((own_cpus, own_nodes)) = node.kind.near_mut() else { continue };
            if news.0 {
                *own_cpus = cpus;
            }
            if news.1 {
                *own_nodes = nodes;
            }
        }
    }

    pub(super) fn fill(&mut self, conflicts: &mut Conflicts) {
        for (id, other) in self.matched() {
            let knows_cpus = self.knows_cpus;
            let other = &self.other.nodes[other.index()];
            let speaker = self.speaker(other.provenance);
            let base = &mut self.base.nodes[id.index()];
            let what = name(base);
            let learned = std::mem::take(&mut base.learned);
            let mut filler =
                Filler { what: &what, id, base: base.provenance, other: &speaker, learned, conflicts };
            filler.node(&mut base.kind, &other.kind, knows_cpus);
            base.learned = filler.learned;
            // What was concluded and is now read as well counts as read.
            base.provenance = base.provenance.min(other.provenance);
        }
    }
}

struct Filler<'a> {
    what: &'a str,
    id: NodeId,
    base: Provenance,
    other: &'a Speaker,
    /// The facts of the base from other sources.
    learned: Vec<Learned>,
    conflicts: &'a mut Conflicts,
}

impl Filler<'_> {
    fn node(&mut self, base: &mut NodeKind, other: &NodeKind, knows_cpus: bool) {
        match (base, other) {
            (NodeKind::Machine(base), NodeKind::Machine(other)) => self.machine(base, other, knows_cpus),
            (NodeKind::Package(base), NodeKind::Package(other)) => {
                self.option("CPU model", &mut base.model, other.model.as_ref());
            }
            (NodeKind::NumaNode(base), NodeKind::NumaNode(other)) => self.numa_node(base, other, knows_cpus),
            (NodeKind::Cache(base), NodeKind::Cache(other)) => {
                self.option("size in bytes", &mut base.size, other.size.as_ref());
            }
            (NodeKind::HostBridge(base), NodeKind::HostBridge(other)) => {
                self.address(&mut base.address, other.address);
            }
            (NodeKind::PcieSwitch(base), NodeKind::PcieSwitch(other)) => {
                self.address(&mut base.address, other.address);
                self.pci(&mut base.pci, &other.pci);
            }
            (NodeKind::NvSwitch(base), NodeKind::NvSwitch(other)) => {
                self.address(&mut base.address, other.address);
                self.pci(&mut base.pci, &other.pci);
            }
            (NodeKind::Core(base), NodeKind::Core(other)) => {
                self.fill("class", &mut base.class, other.class.as_ref());
            }
            (NodeKind::Gpu(base), NodeKind::Gpu(other)) => self.gpu(base, other),
            (NodeKind::GpuInstance(base), NodeKind::GpuInstance(other)) => self.instance(base, other),
            (NodeKind::Nic(base), NodeKind::Nic(other)) => self.nic(base, other),
            (NodeKind::Nvme(base), NodeKind::Nvme(other)) => self.nvme(base, other),
            _ => {}
        }
    }

    fn machine(&mut self, base: &mut Machine, other: &Machine, knows_cpus: bool) {
        self.option("product", &mut base.product, other.product.as_ref());
        self.stated("hypervisor", &mut base.hypervisor, &other.hypervisor);
        self.option("set of allowed CPUs", &mut base.allowed_cpus, other.allowed_cpus.as_ref());
        self.option("set of allowed NUMA nodes", &mut base.allowed_nodes, other.allowed_nodes.as_ref());
        self.set("set of offline CPUs", &mut base.offline_cpus, &other.offline_cpus, knows_cpus);
        self.set("set of isolated CPUs", &mut base.isolated_cpus, &other.isolated_cpus, knows_cpus);
        self.set("set of nohz_full CPUs", &mut base.nohz_full_cpus, &other.nohz_full_cpus, knows_cpus);
        self.option("driver version", &mut base.driver, other.driver.as_ref());
        self.option("CUDA version", &mut base.cuda, other.cuda.as_ref());
        let (own, others) = (&mut base.cpu, &other.cpu);
        self.fill("instruction set", &mut own.architecture, others.architecture.as_ref());
        self.fill("CPU vendor", &mut own.vendor, others.vendor.as_ref());
        self.fill("CPU family", &mut own.family, others.family.as_ref());
        self.fill("CPU model number", &mut own.model, others.model.as_ref());
    }

    fn numa_node(&mut self, base: &mut NumaNode, other: &NumaNode, knows_cpus: bool) {
        self.set(NODE_CPUS, &mut base.cpus, &other.cpus, knows_cpus);
        self.option(NODE_MEMORY, &mut base.memory, other.memory.as_ref());
        self.option("GPU whose memory it is", &mut base.gpu, other.gpu.as_ref());
        self.list("huge pages", &mut base.huge_pages, &other.huge_pages);
        if base.distances == other.distances {
            return;
        }
        for (to, distance) in &other.distances {
            match base.distances.iter().find(|(known, _)| known == to).copied() {
                None => base.distances.push((*to, *distance)),
                Some((_, own)) => self.compare(&format!("distance to NUMA node {to}"), &own, distance),
            }
        }
    }

    fn gpu(&mut self, base: &mut Gpu, other: &Gpu) {
        // A benchmark counts the GPUs that it was shown, and in CUDA's order.
        // The PCI bus has no numbers of GPUs.
        let counts = |source| !matches!(source, Provenance::Measurement | Provenance::SystemTool);
        if counts(self.other.provenance) && self.base != Provenance::SystemTool {
            self.compare("index", &base.index, &other.index);
        }
        self.option("device number", &mut base.minor, other.minor.as_ref());
        self.option("serial number", &mut base.serial, other.serial.as_ref());
        self.option("firmware", &mut base.firmware, other.firmware.as_ref());
        self.gpu_model(base, other);
        self.option("compute capability", &mut base.compute_capability, other.compute_capability.as_ref());
        self.option("UUID", &mut base.uuid, other.uuid.as_ref());
        let bus = |address: Option<PciAddress>| address.map(|own| (own.bus, own.device));
        // Some benchmarks leave the domain out.
        if self.other.provenance != Provenance::Measurement || bus(base.address) != bus(other.address) {
            self.address(&mut base.address, other.address);
        }
        // nvidia-smi rounds it to MiB.
        let is_near = base.memory.zip(other.memory).is_some_and(|(own, other)| own.abs_diff(other) < 1 << 20);
        if !is_near {
            self.option("memory in bytes", &mut base.memory, other.memory.as_ref());
        }
        self.stated("NUMA node of its memory", &mut base.memory_node, &other.memory_node);
        self.pci(&mut base.pci, &other.pci);
        self.fill("MIG mode", &mut base.mig, other.mig.as_ref());
        self.fill("fabric", &mut base.fabric, other.fabric.as_ref());
        let ports = join_ports(&base.nvlinks, &other.nvlinks);
        if ports != base.nvlinks {
            base.nvlinks = ports;
            self.learn("NVLinks one by one");
        }
        self.fill("reason why it cannot be used", &mut base.unusable, other.unusable.as_ref());
        self.fill("NCCL's attributes", &mut base.nccl, other.nccl.as_ref());
        // Two sources that look at different times do not disagree.
        if base.usage.is_unknown() {
            base.usage = other.usage;
        }
    }

    /// Fills in or compares the model. The driver's name for it stands before that of the database of PCI identifiers.
    fn gpu_model(&mut self, base: &mut Gpu, other: &Gpu) {
        match (self.base, self.other.provenance) {
            (Provenance::SystemTool, by) if by != Provenance::SystemTool && other.model.is_some() => {
                base.model.clone_from(&other.model);
                self.learn("model");
            }
            // People name GPUs there as they like.
            (_, Provenance::SystemTool | Provenance::Scheduler) => {
                self.fill("model", &mut base.model, other.model.as_ref());
            }
            _ => self.option("model", &mut base.model, other.model.as_ref()),
        }
    }

    fn instance(&mut self, base: &mut GpuInstance, other: &GpuInstance) {
        self.option("UUID", &mut base.uuid, other.uuid.as_ref());
        self.option("GPU instance", &mut base.gpu_instance, other.gpu_instance.as_ref());
        self.option("compute instance", &mut base.compute_instance, other.compute_instance.as_ref());
        self.option("profile", &mut base.profile, other.profile.as_ref());
        self.option("compute slices", &mut base.slices, other.slices.as_ref());
        self.option("memory in bytes", &mut base.memory, other.memory.as_ref());
        self.fill("placement", &mut base.placement, other.placement.as_ref());
    }

    fn nvme(&mut self, base: &mut Nvme, other: &Nvme) {
        self.address(&mut base.address, other.address);
        self.option("model", &mut base.model, other.model.as_ref());
        self.option("size in bytes", &mut base.size, other.size.as_ref());
        self.pci(&mut base.pci, &other.pci);
    }

    fn pci(&mut self, base: &mut PciFacts, other: &PciFacts) {
        self.fill("PCI class", &mut base.class, other.class.as_ref());
        self.option("vendor", &mut base.vendor, other.vendor.as_ref());
        self.option("device", &mut base.device, other.device.as_ref());
        self.option("subsystem vendor", &mut base.subsystem_vendor, other.subsystem_vendor.as_ref());
        self.option("subsystem device", &mut base.subsystem_device, other.subsystem_device.as_ref());
        // A link changes between two looks at it.
        self.fill("PCIe link", &mut base.link, other.link.as_ref());
        self.option("IOMMU group", &mut base.iommu_group, other.iommu_group.as_ref());
        self.option("IOMMU mode", &mut base.iommu_mode, other.iommu_mode.as_ref());
        self.fill("virtual functions", &mut base.virtual_functions, other.virtual_functions.as_ref());
    }

    fn nic(&mut self, base: &mut Nic, other: &Nic) {
        self.address(&mut base.address, other.address);
        self.option("RDMA device", &mut base.rdma_device, other.rdma_device.as_ref());
        self.fill("port", &mut base.port, other.port.as_ref());
        self.option("rate", &mut base.rate, other.rate.as_ref());
        // Of two measurements the better tells what it can carry.
        self.fill("measured rate", &mut base.measured, other.measured.as_ref());
        base.measured = base.measured.max(other.measured);
        self.pci(&mut base.pci, &other.pci);
        self.fill("model", &mut base.model, other.model.as_ref());
        self.option("firmware", &mut base.firmware, other.firmware.as_ref());
        self.fill("port state", &mut base.state, other.state.as_ref());
        self.fill("link layer", &mut base.link_layer, other.link_layer.as_ref());
        self.option("MTU", &mut base.mtu, other.mtu.as_ref());
        self.option("bond", &mut base.bond, other.bond.as_ref());
        self.fill("NCCL's attributes", &mut base.nccl, other.nccl.as_ref());
        if base.net_devices.is_empty() {
            self.list("network interfaces", &mut base.net_devices, &other.net_devices);
        } else if !other.net_devices.is_empty()
            // One source lists those of a function, another that of a port.
            && !base.net_devices.iter().any(|name| other.net_devices.contains(name))
        {
            let list = |names: &[String]| names.join(", ");
            self.compare("network interface", &list(&base.net_devices), &list(&other.net_devices));
        }
    }

    fn address(&mut self, base: &mut Option<PciAddress>, other: Option<PciAddress>) {
        self.option("PCI address", base, other.as_ref());
    }

    /// Fills in or compares a fact that has one true value.
    fn option<T: Clone + PartialEq + Display>(
        &mut self,
        fact: &'static str,
        base: &mut Option<T>,
        other: Option<&T>,
    ) {
        match (base.as_ref(), other) {
            (Some(base), Some(other)) => self.compare(fact, base, other),
            _ => self.fill(fact, base, other),
        }
    }

    /// Fills in a fact without comparing: it changes over time, or sources see it differently.
    fn fill<T: Clone>(&mut self, fact: &'static str, base: &mut Option<T>, other: Option<&T>) {
        if let (None, Some(other)) = (base.as_ref(), other) {
            *base = Some(other.clone());
            self.learn(fact);
        }
    }

    /// Fills in a list without comparing.
    fn list<T: Clone>(&mut self, fact: &'static str, base: &mut Vec<T>, other: &[T]) {
        if base.is_empty() && !other.is_empty() {
            base.extend_from_slice(other);
            self.learn(fact);
        }
    }

    fn learn(&mut self, fact: &'static str) {
        self.conflicts.speakers.learned(self.id, fact, self.other);
        if self.other.provenance != self.base {
            self.learned.push(Learned { fact: Cow::Borrowed(fact), provenance: self.other.provenance });
        }
    }

    /// Fills in or compares a stated fact; returns true where it was filled in. Damage is filled in like silence; `N/A` is
    /// a statement.
    fn stated<T: Clone + PartialEq + Display>(
        &mut self,
        fact: &'static str,
        base: &mut Stated<T>,
        other: &Stated<T>,
    ) -> bool {
        match (&*base, other) {
            (Stated::Unstated | Stated::Unreadable, Stated::Known(_) | Stated::NotAvailable)
            | (Stated::Unstated, Stated::Unreadable) => {
                *base = other.clone();
                self.learn(fact);
                return true;
            }
            (Stated::Known(base), Stated::Known(other)) => self.compare(fact, base, other),
            (Stated::NotAvailable, Stated::Known(other)) => self.compare(fact, &"N/A", &other.to_string()),
            (Stated::Known(base), Stated::NotAvailable) => self.compare(fact, &base.to_string(), &"N/A"),
            _ => {}
        }
        false
    }

    /// Fills in or compares a set. An empty one means unknown where the base does not know the CPUs.
    fn set(&mut self, fact: &'static str, base: &mut CpuSet, other: &CpuSet, knows_cpus: bool) {
        if base.is_empty() && !knows_cpus {
            if !other.is_empty() {
                base.clone_from(other);
                self.learn(fact);
            }
        } else if !other.is_empty() {
            self.compare(fact, base, other);
        }
    }

    fn compare<T: Display + ?Sized, U: Display + ?Sized>(&mut self, fact: &str, base: &T, other: &U) {
        let said = [base.to_string(), other.to_string()];
        if said[0] != said[1] {
            let [own, others] = said.map(|text| if text.is_empty() { "none".to_owned() } else { text });
            let base = self.conflicts.speakers.of(self.id, fact, self.base);
            self.conflicts.disagree(self.what, fact, (&base, &own), (self.other, &others));
        }
    }
}
