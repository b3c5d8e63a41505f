//! The second rules of merging: what happens to facts, links and bridges that two sources know in different ways.

use nvtopo::model::{
    Basis, Fragment, Gpu, HostBridge, LinkKind, Nic, NodeId, NodeKind, NoteKind, NumaNode, NvSwitch,
    Provenance, Pu, TopologyBuilder, rates,
};
use nvtopo::{Bandwidth, Topology};

fn merge(fragments: &[Fragment]) -> Topology {
    fragments.iter().fold(TopologyBuilder::new(), |builder, own| builder.with(own.clone())).build().unwrap()
}

fn read(text: &str) -> Fragment {
    nvtopo::source::parse("t", text.as_bytes()).unwrap()
}

fn bridge(address: Option<&str>) -> NodeKind {
    NodeKind::HostBridge(fact!(
        HostBridge::default(),
        address = address.map(|address| address.parse().unwrap())
    ))
}

fn gpu(address: &str) -> NodeKind {
    NodeKind::Gpu(Box::new(fact!(Gpu::new(0), address = address.parse().ok())))
}

/// A GPU below bridges, the last of them its parent by a link of PCIe.
fn below(provenance: Provenance, bridges: &[Option<&str>]) -> Fragment {
    let mut fragment = Fragment::new(provenance);
    let ids: Vec<NodeId> =
        bridges.iter().map(|address| fragment.add(NodeId::MACHINE, bridge(*address))).collect();
    let parent = *ids.last().unwrap();
    let device = fragment.add(parent, gpu("41:00.0"));
    fragment.link(parent, device, rates::pcie(4, 16));
    fragment
}

fn conflicts(topology: &Topology) -> Vec<&str> {
    let notes = topology.notes().iter().filter(|note| note.kind() == NoteKind::Conflict);
    notes.map(|note| note.text.as_str()).collect()
}

#[test]
fn a_bridge_that_was_concluded_and_is_read_counts_as_read() {
    let mut concluded = Fragment::new(Provenance::Smi);
    let parent = concluded.add_inferred(NodeId::MACHINE, bridge(None));
    concluded.add(parent, gpu("41:00.0"));
    let whole = below(Provenance::Preset, &[None]);
    let of = |topology: &Topology| {
        let bridges = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::HostBridge(_)));
        bridges.map(|(_, node)| node.provenance).collect::<Vec<_>>()
    };
    assert_eq!(of(&merge(&[concluded.clone()])), [Provenance::Inferred]);
    assert_eq!(of(&merge(&[concluded, whole])), [Provenance::Preset]);
}

#[test]
fn of_two_measurements_of_a_nic_the_better_counts() {
    let measured = |rate: f64| {
        let mut fragment = Fragment::new(Provenance::Measurement);
        let measured = Some(Bandwidth::from_gb_per_s(rate));
        let nic = fact!(Nic::new("mlx5_0"), rdma_device = Some("mlx5_0".to_owned()), measured = measured);
        fragment.add(NodeId::MACHINE, nic);
        fragment
    };
    for (first, second) in [(10.0, 12.0), (12.0, 10.0)] {
        let merged = merge(&[measured(first), measured(second)]);
        let best = merged.nics().next().unwrap().measured.unwrap();
        assert_eq!(best, Bandwidth::from_gb_per_s(12.0), "{first} {second}");
    }
}

#[test]
fn a_device_hangs_where_the_first_source_says() {
    let (here, there) = (Some("00:00.0"), Some("40:00.0"));
    // Both know both bridges, and disagree below which the GPU is.
    let merged = merge(&[below(Provenance::Sysfs, &[there, here]), below(Provenance::Hwloc, &[here, there])]);
    let device = merged.devices()[0];
    let parent = merged.node(device).parent.unwrap();
    let pcie: Vec<NodeId> = merged
        .links_of(device)
        .filter(|(_, link)| link.kind == LinkKind::Pcie)
        .map(|(other, _)| other)
        .collect();
    assert_eq!(pcie, [parent]);
    let NodeKind::HostBridge(own) = &merged.node(parent).kind else { panic!("{:?}", merged.node(parent)) };
    assert_eq!(own.address, "00:00.0".parse().ok());
}

#[test]
fn bridges_of_different_addresses_are_not_one() {
    let merged =
        merge(&[below(Provenance::Sysfs, &[Some("00:00.0")]), below(Provenance::Hwloc, &[Some("40:00.0")])]);
    let parent = merged.node(merged.devices()[0]).parent.unwrap();
    let NodeKind::HostBridge(own) = &merged.node(parent).kind else { panic!("{:?}", merged.node(parent)) };
    assert_eq!(own.address, "00:00.0".parse().ok());
    assert!(!conflicts(&merged).iter().any(|text| text.contains("address")), "{:?}", conflicts(&merged));
    // One whose address nobody knows is the one that is known there.
    let merged = merge(&[below(Provenance::Sysfs, &[Some("00:00.0")]), below(Provenance::Hwloc, &[None])]);
    let bridges = merged.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::HostBridge(_))).count();
    assert_eq!(bridges, 1);
}

#[test]
fn links_of_two_rates_are_told_where_both_are_known() {
    let linked = |provenance: Provenance, basis: Basis, rate: u64| {
        let mut fragment = Fragment::new(provenance);
        let parent = fragment.add(NodeId::MACHINE, bridge(Some("00:00.0")));
        let device = fragment.add(parent, gpu("41:00.0"));
        let mut link = rates::pcie(4, 16);
        let own = link.rate.as_mut().unwrap();
        (own.basis, own.bandwidth) = (basis, Bandwidth::from_mb_per_s(rate));
        fragment.link(parent, device, link);
        fragment
    };
    let both = |basis: Basis| {
        let merged = merge(&[
            linked(Provenance::Sysfs, Basis::Nominal, 31_500),
            linked(Provenance::Hwloc, basis, 15_700),
        ]);
        let (_, link) = merged.links_of(merged.devices()[0]).next().unwrap();
        assert_eq!(link.rate.unwrap().bandwidth.as_mb_per_s(), 31_500);
        conflicts(&merged).iter().filter(|text| text.contains("bandwidth of the link")).count()
    };
    assert_eq!((both(Basis::Nominal), both(Basis::Typical), both(Basis::Assumed)), (1, 0, 0));
}

#[test]
fn ports_of_two_rates_tell_no_rate_of_the_link_between_them() {
    let matrix = "\tGPU0\tGPU1\nGPU0\t X \tNV2\nGPU1\tNV2\t X \n";
    let status = |second: &str| {
        let links = |rate: &str| format!(" Link 0: {rate} GB/s\n Link 1: {rate} GB/s\n");
        format!("GPU 0: A\n{}GPU 1: B\n{}", links("25.781"), links(second))
    };
    let basis = |second: &str| {
        let merged = merge(&[read(matrix), read(&status(second))]);
        merged.pairs().pair(0, 1).rate.unwrap().basis
    };
    assert_eq!(basis("50"), Basis::Assumed);
    assert_ne!(basis("25.781"), Basis::Assumed);
}

/// A machine with a number of GPUs and these NVLinks.
fn linked(provenance: Provenance, gpus: u32, links: &[(usize, usize, u16)]) -> Fragment {
    let mut fragment = Fragment::new(provenance);
    let kind = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let ids: Vec<NodeId> = (0..gpus).map(|index| fragment.add(NodeId::MACHINE, kind(index))).collect();
    for (a, b, count) in links {
        fragment.link(ids[*a], ids[*b], rates::nvlink(3, *count));
    }
    fragment
}

#[test]
fn a_gpu_that_only_one_source_knows_brings_its_nvlinks_to_the_others() {
    let known = linked(Provenance::Sysfs, 2, &[(0, 1, 4)]);
    let more = linked(Provenance::Smi, 4, &[(0, 1, 4), (0, 2, 2), (2, 3, 3)]);
    let merged = merge(&[known, more]);
    let count = |a, b| merged.pairs().pair(a, b).nvlinks;
    assert_eq!([count(0, 1), count(0, 2), count(1, 2), count(2, 3)], [4, 2, 0, 3]);
    assert!(!conflicts(&merged).iter().any(|text| text.contains("NVLinks")), "{:?}", conflicts(&merged));
}

#[test]
fn links_between_nvswitches_come_only_with_both_of_them() {
    // Each GPU has links to all switches, and the switches to each other.
    let fabric = |provenance: Provenance, gpus: u32, addresses: &[&str]| {
        let mut fragment = Fragment::new(provenance);
        let switches: Vec<NodeId> = addresses
            .iter()
            .map(|address| fact!(NvSwitch::default(), address = address.parse().ok()))
            .map(|switch| fragment.add(NodeId::MACHINE, switch))
            .collect();
        for index in 0..gpus {
            let kind = NodeKind::Gpu(Box::new(Gpu::new(index)));
            let gpu = fragment.add(NodeId::MACHINE, kind);
            for switch in &switches {
                fragment.link(gpu, *switch, rates::nvlink(3, 6));
            }
        }
        for (number, a) in switches.iter().enumerate() {
            for b in &switches[..number] {
                fragment.link(*a, *b, rates::nvlink(3, 8));
            }
        }
        fragment
    };
    let trunks = |fragments: [Fragment; 2]| {
        let merged = merge(&fragments);
        let is_switch = |id: NodeId| matches!(merged.node(id).kind, NodeKind::NvSwitch(_));
        merged.links().filter(|(a, b, _)| is_switch(*a) && is_switch(*b)).count()
    };
    let (two, four) = (["05:00.0", "06:00.0"], ["05:00.0", "06:00.0", "07:00.0", "08:00.0"]);
    let base = || fabric(Provenance::Sysfs, 2, &two);
    assert_eq!(trunks([base(), fabric(Provenance::Smi, 3, &two)]), 1);
    // The other pair is new, and so is what joins it.
    assert_eq!(trunks([base(), fabric(Provenance::Smi, 3, &four)]), 2);
}

#[test]
fn who_does_not_know_of_nvlinks_says_nothing_by_having_none() {
    let ring = [(0, 1, 4), (1, 2, 4)];
    let few = |provenance: Provenance, knows: bool| {
        let mut fragment = linked(provenance, 3, &ring[..1]);
        if !knows {
            fragment.set_nvlink_unknown();
        }
        fragment
    };
    let told = |fragments: [Fragment; 2]| {
        let merged = merge(&fragments);
        conflicts(&merged).iter().filter(|text| text.contains("NVLinks")).count()
    };
    for (knows, expected) in [(true, 1), (false, 0)] {
        let base = [few(Provenance::Sysfs, knows), linked(Provenance::Smi, 3, &ring)];
        let other = [linked(Provenance::Sysfs, 3, &ring), few(Provenance::Smi, knows)];
        assert_eq!((told(base), told(other)), (expected, expected), "{knows}");
    }
    // Another number is a statement, whoever makes it.
    let mut other = linked(Provenance::Smi, 2, &[(0, 1, 2)]);
    other.set_nvlink_unknown();
    assert_eq!(told([linked(Provenance::Sysfs, 2, &ring[..1]), other]), 1);
}

#[test]
fn of_several_links_between_two_nodes_the_first_are_the_same() {
    let nodes = |provenance: Provenance| {
        let mut fragment = Fragment::new(provenance);
        let kind = |os_index| NodeKind::NumaNode(NumaNode::new(os_index));
        let [a, b] = [0, 1].map(|index| fragment.add(NodeId::MACHINE, kind(index)));
        for rate in [10_000, 20_000, 30_000] {
            let mut link = rates::smp_link(None);
            let own = link.rate.as_mut().unwrap();
            (own.basis, own.bandwidth) = (Basis::Nominal, Bandwidth::from_mb_per_s(rate));
            fragment.link(a, b, link);
        }
        fragment
    };
    let merged = merge(&[nodes(Provenance::Sysfs), nodes(Provenance::Hwloc)]);
    assert_eq!(conflicts(&merged), Vec::<&str>::new());
    let numa = merged.nodes().find(|(_, node)| node.kind.as_numa_node().is_some()).unwrap().0;
    assert_eq!(merged.links_of(numa).filter(|(_, link)| link.kind == LinkKind::Smp).count(), 3);
}

/// Bridges without addresses, each with GPUs of these numbers and NICs of these names.
fn bridged(provenance: Provenance, below: &[(&[u32], &[&str])]) -> Fragment {
    let mut fragment = Fragment::new(provenance);
    for (gpus, nics) in below {
        let parent = fragment.add(NodeId::MACHINE, bridge(None));
        for index in *gpus {
            fragment.add(parent, Gpu::new(*index));
        }
        for name in *nics {
            let nic = Nic::new((*name).to_owned());
            fragment.add(parent, nic);
        }
    }
    fragment
}

#[test]
fn a_bridge_without_address_is_one_bridge_of_the_other_source() {
    let parent = |merged: &Topology, device: usize| merged.node(merged.devices()[device]).parent;
    // One that the base knows as two is the first of them, and stays it.
    let apart = bridged(Provenance::Sysfs, &[(&[0], &[]), (&[1], &[])]);
    let together = bridged(Provenance::Hwloc, &[(&[0, 1], &["mlx5_0"])]);
    let merged = merge(&[apart, together]);
    assert_eq!(parent(&merged, 2), parent(&merged, 0));
    assert_ne!(parent(&merged, 0), parent(&merged, 1));
    // Of two that the base knows as one, the second is another, and what is below it does not hang on the first.
    let together = bridged(Provenance::Sysfs, &[(&[0, 1], &[])]);
    let apart = bridged(Provenance::Hwloc, &[(&[0], &[]), (&[1], &["mlx5_0"])]);
    let merged = merge(&[together, apart]);
    assert_eq!(parent(&merged, 0), parent(&merged, 1));
    assert_ne!(parent(&merged, 2), parent(&merged, 0));
}

#[test]
fn no_cpus_of_a_kind_is_a_statement_of_who_knows_the_cpus() {
    let machine = |provenance: Provenance, cpus: u32, offline: &str| {
        let mut fragment = Fragment::new(provenance);
        for os_index in 0..cpus {
            fragment.add(NodeId::MACHINE, Pu::new(os_index));
        }
        fragment.machine().offline_cpus = offline.parse().unwrap();
        fragment
    };
    let merged = |cpus: u32, own: &str, other: &str| {
        let merged = merge(&[machine(Provenance::Sysfs, cpus, own), machine(Provenance::Hwloc, 0, other)]);
        let told = conflicts(&merged).iter().filter(|text| text.contains("set of offline CPUs")).count();
        (merged.machine().offline_cpus.to_string(), told)
    };
    assert_eq!(merged(0, "", "6-7"), ("6-7".to_owned(), 0), "silence is filled");
    assert_eq!(merged(4, "", "6-7"), (String::new(), 1));
    assert_eq!(merged(0, "5", "6-7"), ("5".to_owned(), 1));
    assert_eq!(merged(4, "6-7", ""), ("6-7".to_owned(), 0));
}
