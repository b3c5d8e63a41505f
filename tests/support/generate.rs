//! Topologies by chance, for property tests: every kind of node, with and without each fact.

use nvtopo::PathType;
use nvtopo::model::{
    Basis, Cache, CacheKind, Core, CoreClass, Dialect, Fabric, FabricState, Fragment, Gpu, GpuInstance,
    HostBridge, HugePages, Link, LinkKind, LinkLayer, MachineIdentity, MigMode, MigPlacement, Nic, NodeId,
    NodeKind, NoteKind, NumaNode, NvLinkFar, NvLinkPort, NvSwitch, Nvme, Origin, P2p, P2pStatus, Package,
    PciFacts, PcieSpeed, PcieSwitch, PcieTraining, PortState, Provenance, Pu, Rate, Stated, TopologyBuilder,
    VirtualFunctions,
};
use nvtopo::{Bandwidth, CpuSet, NodeSet, PciAddress, Topology};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

/// A topology; the numbers that must be unique are.
pub(crate) fn topology() -> impl Strategy<Value = Topology> {
    fragment().prop_map(|fragment| TopologyBuilder::new().with(fragment).build().unwrap())
}

/// The facts of one made-up source.
pub(crate) fn fragment() -> impl Strategy<Value = Fragment> {
    (0usize..40).prop_perturb(|count, rng| Dice(rng).fragment(count))
}

struct Dice(TestRng);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0.random_range(0..limit)
    }

    fn one<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u32) as usize].clone()
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| value(self))
    }

    fn stated<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Stated<T> {
        match self.below(5) {
            0 => Stated::Unstated,
            1 => Stated::NotAvailable,
            2 => Stated::Unreadable,
            _ => Stated::Known(value(self)),
        }
    }

    fn word(&mut self) -> String {
        self.one(&["", "plain", "with \"quotes\" and \\", "line\nbreak\t", "Größe 🙂", "\u{1}\u{7f}"])
            .to_owned()
    }

    fn cpus(&mut self) -> CpuSet {
        (0..self.below(5)).map(|_| self.below(300)).collect::<Vec<_>>().into_iter().collect()
    }

    fn nodes(&mut self) -> NodeSet {
        (0..self.below(3)).map(|_| self.below(40)).collect::<Vec<_>>().into_iter().collect()
    }

    /// An address of its own for each node.
    fn address(&mut self, own: u32) -> Option<PciAddress> {
        self.maybe(|_| PciAddress { domain: 0x1_0000, bus: own as u8, device: 0x1f, function: 7 })
    }

    fn fragment(&mut self, count: usize) -> Fragment {
        let mut fragment = Fragment::new(self.one(&Provenance::ALL));
        let machine = fragment.machine();
        machine.product = self.maybe(Self::word);
        machine.hypervisor = self.stated(Self::word);
        machine.allowed_cpus = self.maybe(Self::cpus);
        machine.allowed_nodes = self.maybe(Self::nodes);
        machine.offline_cpus = self.cpus();
        machine.isolated_cpus = self.cpus();
        machine.nohz_full_cpus = self.cpus();
        machine.driver = self.maybe(Self::word);
        machine.cuda = self.maybe(Self::word);
        let mut ids = vec![NodeId::MACHINE];
        let mut ends = Vec::new();
        for own in 0..count as u32 {
            let parent = self.one(&ids);
            let kind = self.kind(own);
            let nvlink_end = matches!(kind, NodeKind::Gpu(_) | NodeKind::NvSwitch(_));
            let inferred = self.below(4) == 0;
            let id = if inferred { fragment.add_inferred(parent, kind) } else { fragment.add(parent, kind) };
            if matches!(fragment.node_mut(id), NodeKind::Gpu(_)) && self.below(3) == 0 {
                let instance = self.instance(own);
                ids.push(fragment.add(id, instance));
            }
            ids.push(id);
            if nvlink_end {
                ends.push(id);
            }
        }
        self.links(&mut fragment, &ids, &ends);
        for _ in 0..self.below(3) {
            let kind = self.one(&NoteKind::ALL);
            let text = self.word();
            fragment.note(kind, text);
        }
        let identity = MachineIdentity::new(self.maybe(Self::word), self.maybe(Self::word));
        let preset = Origin::Preset(self.word());
        fragment.set_origin(self.one(&[Origin::Unknown, preset, Origin::Machine(identity)]));
        fragment.set_dialect(self.one(&[Dialect::Sys, Dialect::Soc]));
        if self.below(2) == 0 {
            fragment.set_nvlink_unknown();
        }
        fragment
    }

    fn links(&mut self, fragment: &mut Fragment, ids: &[NodeId], ends: &[NodeId]) {
        for index in 1..ids.len() {
            let (a, b) = (ids[index], ids[self.below(index as u32) as usize]);
            if self.below(2) == 0 {
                let kind = self.one(&[LinkKind::C2c, LinkKind::Pcie, LinkKind::Smp, LinkKind::Net]);
                let link = self.link(kind);
                fragment.link(a, b, link);
            }
            if self.below(3) == 0 {
                let path = self.one(&PathType::ALL);
                fragment.state_path(a, b, path);
            }
            if self.below(3) == 0 {
                let bandwidth = Bandwidth::from_mb_per_s(u64::from(self.below(99_999)));
                self.measure(fragment, (a, b), bandwidth);
            }
        }
        for (index, a) in ends.iter().enumerate() {
            for b in &ends[index + 1..] {
                if self.below(2) == 0 {
                    let link = self.link(LinkKind::NvLink);
                    fragment.link(*a, *b, link);
                }
                if self.below(4) == 0 && a != b {
                    let bandwidth = Bandwidth::from_mb_per_s(u64::from(self.below(u32::MAX)));
                    self.measure(fragment, (*a, *b), bandwidth);
                    self.p2p(fragment, *a, *b);
                }
            }
        }
    }

    /// Only GPUs are measured, and a GPU with a NIC.
    fn measure(&mut self, fragment: &mut Fragment, (a, b): (NodeId, NodeId), bandwidth: Bandwidth) {
        let gpu = |fragment: &mut Fragment, id| matches!(fragment.node_mut(id), NodeKind::Gpu(_));
        let device = |fragment: &mut Fragment, id| {
            gpu(fragment, id) || matches!(fragment.node_mut(id), NodeKind::Nic(_))
        };
        let one = gpu(fragment, a) || gpu(fragment, b);
        if one && [a, b].into_iter().all(|id| device(fragment, id)) {
            let (from, to) = self.one(&[(a, b), (b, a)]);
            fragment.measure(from, to, bandwidth);
        }
    }

    /// Only of GPUs.
    fn p2p(&mut self, fragment: &mut Fragment, a: NodeId, b: NodeId) {
        if [a, b].into_iter().all(|id| matches!(fragment.node_mut(id), NodeKind::Gpu(_))) {
            let all = [P2pStatus::Ok, P2pStatus::ChipsetNotSupported, P2pStatus::Unknown];
            let mut status = || self.maybe(|dice| dice.one(&all));
            let (read, write, nvlink, atomics) = (status(), status(), status(), status());
            fragment.state_p2p(fact!(
                P2p::new(a, b),
                read = read,
                write = write,
                nvlink = nvlink,
                atomics = atomics
            ));
        }
    }

    fn link(&mut self, kind: LinkKind) -> Link {
        let bases = [Basis::Measured, Basis::Reported, Basis::Nominal, Basis::Typical, Basis::Assumed];
        let rate = self.maybe(|dice| {
            Rate::new(Bandwidth::from_mb_per_s(u64::from(dice.below(u32::MAX))), dice.one(&bases))
        });
        fact!(
            Link::new(kind),
            lanes = self.maybe(|dice| dice.below(19) as u16),
            rate = rate,
            reported = self.maybe(|dice| Bandwidth::from_mb_per_s(u64::from(dice.below(u32::MAX)))),
            redirects = self.maybe(|dice| dice.below(2) == 0)
        )
    }

    fn kind(&mut self, own: u32) -> NodeKind {
        match self.below(11) {
            0 => NodeKind::Package(fact!(Package::new(own), model = self.maybe(Self::word))),
            1 => NodeKind::NumaNode(fact!(
                NumaNode::new(own),
                cpus = self.cpus(),
                memory = self.maybe(|dice| u64::from(dice.below(9)) << 40),
                distances = (0..self.below(3)).map(|to| (to, 10 + to)).collect(),
                huge_pages = (0..self.below(3))
                    .map(|size| HugePages::new(2 << (20 + 9 * size), 8, u64::from(size)))
                    .collect(),
                gpu = self.address(own)
            )),
            2 => NodeKind::Cache(fact!(
                Cache::new(
                    self.below(5) as u8,
                    self.one(&[CacheKind::Unified, CacheKind::Data, CacheKind::Instruction]),
                    self.cpus()
                ),
                size = self.maybe(|dice| u64::from(dice.below(9999)))
            )),
            3 => NodeKind::Core(fact!(
                Core::new(own),
                class = self.maybe(|dice| dice.one(&[CoreClass::Efficiency, CoreClass::Performance]))
            )),
            4 => NodeKind::Pu(Pu::new(own)),
            5 => NodeKind::HostBridge(fact!(HostBridge::default(), address = self.address(own))),
            6 => NodeKind::PcieSwitch(fact!(PcieSwitch::default(), address = self.address(own))),
            7 => {
                NodeKind::NvSwitch(fact!(NvSwitch::default(), address = self.address(own), pci = self.pci()))
            }
            8 => NodeKind::Gpu(Box::new(fact!(
                Gpu::new(own),
                minor = self.maybe(|dice| dice.below(99)),
                model = self.maybe(Self::word),
                compute_capability = self.maybe(|_| "9.0".parse().unwrap()),
                uuid = self
                    .maybe(|_| format!("GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789{own:02x}").parse().unwrap()),
                serial = self.maybe(Self::word),
                firmware = self.maybe(Self::word),
                address = self.address(own),
                pci = self.pci(),
                memory = self.maybe(|dice| u64::from(dice.below(9)) << 30),
                cpus = self.stated(Self::cpus),
                nodes = self.stated(Self::nodes),
                memory_node = self.stated(|dice| dice.below(40)),
                mig = self.maybe(|dice| MigMode::new(dice.below(2) == 0, dice.below(2) == 0)),
                fabric = self.maybe(Self::fabric),
                nvlinks = (0..self.below(3)).map(|number| self.port(number)).collect(),
                unusable = self.maybe(Self::word),
                usage = nvtopo::model::GpuUsage::default()
            ))),
            9 => NodeKind::Nvme(Box::new(fact!(
                Nvme::new(format!("nvme{own}")),
                address = self.address(own),
                pci = self.pci(),
                model = self.maybe(Self::word),
                size = self.maybe(|dice| u64::from(dice.below(9)) << 40)
            ))),
            _ => NodeKind::Nic(Box::new(fact!(
                Nic::new(format!("mlx5_{own}")),
                address = self.address(own),
                pci = self.pci(),
                model = self.maybe(Self::word),
                firmware = self.maybe(Self::word),
                state =
                    self.maybe(|dice| dice.one(&[PortState::Down, PortState::Initialize, PortState::Active])),
                link_layer = self.maybe(|dice| dice.one(&[LinkLayer::InfiniBand, LinkLayer::Ethernet])),
                mtu = self.maybe(|dice| dice.below(9999)),
                bond = self.maybe(Self::word),
                rdma_device = self.maybe(|_| format!("mlx5_{own}")),
                port = self.maybe(|dice| 1 + dice.below(2)),
                net_devices = (0..self.below(3)).map(|port| format!("eth{port}")).collect(),
                rate = self.maybe(|dice| Bandwidth::from_mb_per_s(u64::from(dice.below(99_999)))),
                measured = self.maybe(|dice| Bandwidth::from_mb_per_s(u64::from(dice.below(99_999)))),
                cpus = self.stated(Self::cpus),
                nodes = self.stated(Self::nodes)
            ))),
        }
    }

    fn instance(&mut self, own: u32) -> NodeKind {
        NodeKind::GpuInstance(Box::new(fact!(
            GpuInstance::default(),
            uuid = self.maybe(|_| format!("MIG-{own}")),
            gpu_instance = self.maybe(|dice| dice.below(9)),
            compute_instance = self.maybe(|dice| dice.below(9)),
            profile = self.maybe(Self::word),
            slices = self.maybe(|dice| dice.below(8)),
            memory = self.maybe(|dice| u64::from(dice.below(9)) << 30),
            placement = self.maybe(|dice| MigPlacement::new(dice.below(8), dice.below(8)))
        )))
    }

    fn pci(&mut self) -> PciFacts {
        let mut speed = || {
            PcieSpeed::new(self.maybe(|dice| dice.below(7) as u8), self.maybe(|dice| dice.below(17) as u16))
        };
        let link = PcieTraining::new(speed(), speed(), speed());
        let mut number = || self.maybe(|dice| dice.below(0x1_0000) as u16);
        fact!(
            PciFacts::default(),
            vendor = number(),
            device = number(),
            subsystem_vendor = number(),
            subsystem_device = number(),
            link = self.maybe(|_| link),
            iommu_group = self.maybe(|dice| dice.below(99)),
            iommu_mode = self.maybe(Self::word),
            virtual_functions = self.maybe(|dice| {
                let total = dice.below(99) as u16 + 1;
                VirtualFunctions::new(dice.below(u32::from(total)) as u16, total)
            })
        )
    }

    fn fabric(&mut self) -> Fabric {
        fact!(
            Fabric::default(),
            state = self.one(&[FabricState::Unknown, FabricState::InProgress, FabricState::Completed]),
            status = self.maybe(|dice| dice.below(9)),
            cluster = self.maybe(Self::word),
            clique = self.maybe(|dice| dice.below(9)),
            health = self.maybe(|dice| dice.below(u32::MAX)),
            health_summary = self.maybe(|dice| dice.below(5))
        )
    }

    fn port(&mut self, number: u32) -> NvLinkPort {
        let address = PciAddress { domain: 0, bus: number as u8, device: 0, function: 0 };
        let far = [
            NvLinkFar::Unknown,
            NvLinkFar::Gpu(address),
            NvLinkFar::Switch(None),
            NvLinkFar::Switch(Some(address)),
            NvLinkFar::Cpu,
        ];
        fact!(
            NvLinkPort::new(number),
            up = self.maybe(|dice| dice.below(2) == 0),
            generation = self.maybe(|dice| dice.below(6) as u8),
            reported = self.maybe(|dice| Bandwidth::from_mb_per_s(u64::from(dice.below(99_999)))),
            far = self.one(&far)
        )
    }
}
