//! The second rules of merging: what happens to facts, links and bridges that two sources know in different ways.

use nvtopo::model::{
    Basis, Fragment, Gpu, HostBridge, LinkKind, Nic, NodeId, NodeKind, NoteKind, Provenance, TopologyBuilder,
    rates,
};
use nvtopo::source::{Input, SOURCES};
use nvtopo::{Bandwidth, Topology};

fn merge(fragments: &[Fragment]) -> Topology {
    fragments.iter().fold(TopologyBuilder::new(), |builder, own| builder.with(own.clone())).build().unwrap()
}

fn read(text: &str) -> Fragment {
    let input = Input::Text { name: "t", bytes: text.as_bytes() };
    SOURCES.iter().find(|source| source.recognizes(input)).unwrap().read(input).unwrap()
}

fn bridge(address: Option<&str>) -> NodeKind {
    NodeKind::HostBridge(HostBridge { address: address.map(|address| address.parse().unwrap()) })
}

fn gpu(address: &str) -> NodeKind {
    NodeKind::Gpu(Box::new(Gpu { index: 0, address: address.parse().ok(), ..Gpu::default() }))
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
    let notes = topology.notes().iter().filter(|note| note.kind == NoteKind::Conflict);
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
        let nic = Nic {
            name: "mlx5_0".to_owned(),
            rdma_device: Some("mlx5_0".to_owned()),
            measured,
            ..Nic::default()
        };
        fragment.add(NodeId::MACHINE, NodeKind::Nic(Box::new(nic)));
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
