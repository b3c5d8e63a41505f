//! Merging: the best source wins, the others fill in, and notes tell where they disagree.

use crate::generate;
use nvtopo::PathType;
use nvtopo::model::{
    Dialect, Fragment, Gpu, GroupShape, HostBridge, MachineIdentity, Nic, NodeId, NodeKind, Note, NoteCode,
    NoteKind, NumaNode, Nvme, Origin, PcieSwitch, Provenance, Pu, Stated, TopologyBuilder, rates,
};
use nvtopo::source::{Locator, PRESETS, fragment};
use nvtopo::{ErrorKind, PciAddress, Topology};
use proptest::prelude::*;

fn merge(fragments: &[Fragment]) -> nvtopo::Result<Topology> {
    fragments.iter().fold(TopologyBuilder::new(), |builder, own| builder.with(own.clone())).build()
}

fn preset(name: &str) -> Fragment {
    fragment(&Locator::Preset(name.to_owned())).unwrap()
}

/// Reads a text of any format.
fn read(text: &str) -> Fragment {
    nvtopo::source::parse("t", text.as_bytes()).unwrap()
}

/// A preset as a document in which nothing is said of NVLinks.
fn without_nvlinks(name: &str) -> Fragment {
    let text = Topology::preset(name).unwrap().to_json();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let topology = &mut document["topology"];
    topology["nvlink_known"] = false.into();
    topology["links"].as_array_mut().unwrap().retain(|link| link["kind"] != "nvlink");
    read(&document.to_string())
}

fn gpu(index: u32) -> Gpu {
    Gpu::new(index)
}

fn nic(name: &str) -> Nic {
    Nic::new(name.to_owned())
}

/// A topology as `nvidia-smi topo -m` prints it: flat, with words for the pairs.
fn matrix_of(topology: &Topology) -> Fragment {
    let mut fragment = Fragment::new(Provenance::Smi);
    let mut ids = Vec::new();
    for (device, id) in topology.devices().iter().enumerate() {
        let kind = match &topology.node(*id).kind {
            NodeKind::Gpu(own) => {
                let (cpus, nodes) = (topology.local_cpus(*id), topology.local_nodes(*id));
                NodeKind::Gpu(Box::new(fact!(gpu(own.index), cpus = cpus, nodes = nodes)))
            }
            _ => NodeKind::Nic(Box::new(nic(&topology.device_name(device)))),
        };
        ids.push(fragment.add(NodeId::MACHINE, kind));
    }
    for a in 0..ids.len() {
        for b in a + 1..ids.len() {
            let pair = topology.pairs().pair(a, b);
            match pair.path {
                Some(PathType::Nvl) => fragment.link(ids[a], ids[b], rates::nvlink_assumed(pair.nvlinks)),
                Some(path) => fragment.state_path(ids[a], ids[b], path),
                None => {}
            }
        }
    }
    fragment
}

fn conflicts(topology: &Topology) -> Vec<String> {
    let notes = topology.notes().iter().filter(|note| note.kind() == NoteKind::Conflict);
    notes.map(|note| note.text.clone()).collect()
}

/// The facts that must not depend on the order: the pairs and the affinities, by the devices' names.
fn seen(topology: &Topology) -> Vec<String> {
    let name = |device: usize| topology.device_name(device);
    let count = topology.devices().len();
    let mut seen = Vec::new();
    for a in 0..count {
        let id = topology.devices()[a];
        seen.push(format!("{} {:?} {:?}", name(a), topology.local_cpus(id), topology.local_nodes(id)));
        seen.extend((0..count).map(|b| format!("{} {} {:?}", name(a), name(b), topology.pairs().pair(a, b))));
    }
    seen.sort();
    seen
}

#[test]
fn a_preset_merged_with_itself_is_itself() {
    for own in PRESETS {
        let fragment = preset(own.name);
        let once = merge(std::slice::from_ref(&fragment)).unwrap();
        assert!(merge(&[fragment.clone(), fragment]).unwrap() == once, "{}", own.name);
    }
}

#[test]
fn a_matrix_gives_nvlinks_to_a_document_without() {
    for own in PRESETS {
        let whole = Topology::preset(own.name).unwrap();
        let (document, matrix) = (without_nvlinks(own.name), matrix_of(&whole));
        let merged = merge(&[document.clone(), matrix.clone()]).unwrap();
        assert!(merged.nvlink_known());
        assert_eq!(conflicts(&merged), [""; 0], "{}", own.name);
        for (a, b) in (0..whole.devices().len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let (got, expected) = (merged.pairs().pair(a, b), whole.pairs().pair(a, b));
            assert_eq!((got.path, got.nvlinks), (expected.path, expected.nvlinks), "{} {a} {b}", own.name);
        }
        // The tree is the document's: devices stand below their bridges and NUMA nodes again.
        for device in 0..whole.devices().len() {
            let near = |topology: &Topology| topology.local_cpus(topology.devices()[device]).known().cloned();
            assert_eq!(near(&merged), near(&whole), "{}", own.name);
            let depth = |topology: &Topology| topology.ancestors(topology.devices()[device]).count();
            assert_eq!(depth(&merged), depth(&whole), "{}", own.name);
        }
        assert_eq!(merged.node_count() + switches(&whole), whole.node_count(), "{}", own.name);
        assert_eq!(*merged.origin(), Origin::Preset(own.name.to_owned()));
        assert_eq!(seen(&merged), seen(&merge(&[matrix, document]).unwrap()), "{}", own.name);
    }
}

fn switches(topology: &Topology) -> usize {
    topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::NvSwitch(_))).count()
}

#[test]
fn a_whole_preset_tells_the_rate_of_a_matrix_s_nvlinks() {
    let b200 = preset("dgx-b200");
    let matrix = matrix_of(&Topology::preset("dgx-b200").unwrap());
    let alone = merge(std::slice::from_ref(&matrix)).unwrap();
    assert_eq!(alone.pairs().pair(0, 1).rate.unwrap().bandwidth.as_mb_per_s(), 450_000);
    let merged = merge(&[b200, matrix]).unwrap();
    assert_eq!(merged.pairs().pair(0, 1).rate.unwrap().bandwidth.as_mb_per_s(), 900_000);
    assert_eq!(conflicts(&merged), [""; 0]);
}

/// As the kernel sees a machine: a tree with addresses, no NVLinks, and no products' names.
fn kernel() -> Fragment {
    let mut fragment = Fragment::new(Provenance::Sysfs);
    fragment.set_nvlink_unknown();
    for node in 0..2u32 {
        let cpus = (node * 4..node * 4 + 4).collect();
        let numa = fact!(NumaNode::new(node), cpus = cpus);
        let numa = fragment.add(NodeId::MACHINE, numa);
        for os_index in node * 4..node * 4 + 4 {
            fragment.add(numa, Pu::new(os_index));
        }
        let root = format!("{node}0:00.0").parse().ok();
        let bridge = fragment.add(numa, fact!(HostBridge::default(), address = root));
        let upstream = format!("{node}1:00.0").parse().ok();
        let switch = fragment.add(bridge, fact!(PcieSwitch::default(), address = upstream));
        let address = format!("{node}2:00.0").parse().ok();
        fragment.add(switch, fact!(gpu(node), address = address));
        let rdma_device = Some(format!("mlx5_{node}"));
        let adapter = fact!(nic(&format!("mlx5_{node}")), rdma_device = rdma_device);
        fragment.add(switch, adapter);
    }
    fragment
}

fn nvlinked_pair() -> Fragment {
    let mut fragment = Fragment::new(Provenance::Smi);
    let gpus = [0, 1].map(|index| fragment.add(NodeId::MACHINE, gpu(index)));
    fragment.link(gpus[0], gpus[1], rates::nvlink_assumed(4));
    fragment
}

#[test]
fn the_kernel_s_tree_and_nvidia_smi_s_nvlinks_make_one() {
    let merged = merge(&[nvlinked_pair(), kernel()]).unwrap();
    assert_eq!(merged.pairs().pair(0, 1).nvlinks, 4);
    assert_eq!(merged.nvlink_groups()[0].shape, GroupShape::FullyConnected);
    assert_eq!(merged.pairs().pair(0, 2).path, Some(PathType::Pix));
    assert_eq!(merged.local_cpus(merged.devices()[1]).known().unwrap().to_string(), "4-7");
    assert_eq!(merged.node_count(), merge(&[kernel()]).unwrap().node_count());
    assert!(merged.nvlink_known() && merged.notes().is_empty(), "{:?}", merged.notes());
}

#[test]
fn nics_are_matched_by_their_rdma_device() {
    let mut matrix = nvlinked_pair();
    let known = fact!(nic("NIC0"), rdma_device = Some("mlx5_1".to_owned()));
    let known = matrix.add(NodeId::MACHINE, known);
    let gpu0 = merge(std::slice::from_ref(&matrix)).unwrap().devices()[0];
    let merged = merge(&[kernel(), matrix.clone()]).unwrap();
    assert_eq!(merged.nics().map(|nic| nic.name.as_str()).collect::<Vec<_>>(), ["mlx5_0", "mlx5_1"]);

    // Another one is added, with a note.
    let NodeKind::Nic(unknown) = matrix.node_mut(known) else { unreachable!() };
    unknown.rdma_device = Some("mlx5_7".to_owned());
    matrix.state_path(known, gpu0, PathType::Phb);
    let merged = merge(&[kernel(), matrix]).unwrap();
    assert_eq!(merged.pairs().pair(0, 4).path, Some(PathType::Phb));
    assert_eq!(merged.nics().count(), 3);
    assert_eq!(merged.notes()[0].text, "only nvidia-smi knows NIC0; sysfs does not");
}

#[test]
fn facts_fill_and_conflicts_are_told() {
    let mut matrix = Fragment::new(Provenance::Smi);
    let model = Some("NVIDIA A100".to_owned());
    let cpus = Stated::Known("0-3,6".parse().unwrap());
    let other = fact!(gpu(0), model = model.clone(), cpus = cpus, address = "99:00.0".parse().ok());
    let other = matrix.add(NodeId::MACHINE, other);
    let second = matrix.add(NodeId::MACHINE, gpu(1));
    matrix.state_path(other, second, PathType::Node);
    let merged = merge(&[kernel(), matrix]).unwrap();
    let gpu = merged.gpus().next().unwrap();
    assert_eq!(gpu.model, model);
    assert_eq!(gpu.address.unwrap().to_string(), "0000:02:00.0");
    // The kernel's tree holds, though it states neither CPUs nor path.
    assert_eq!(merged.local_cpus(merged.devices()[0]).known().unwrap().to_string(), "0-3");
    assert_eq!(merged.pairs().pair(0, 1).path, Some(PathType::Sys));
    let mut expected = [
        "GPU0, nearest CPUs: sysfs says 0-3, nvidia-smi says 0-3,6; the first is taken",
        "GPU0 and GPU1, path: sysfs says SYS, nvidia-smi says NODE; the first is taken",
        "GPU0, PCI address: sysfs says 0000:02:00.0, nvidia-smi says 0000:99:00.0; the first is taken",
    ];
    let mut found = conflicts(&merged);
    expected.sort_unstable();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn nvlinks_that_are_counted_otherwise_are_told() {
    let merged = merge(&[preset("hgx-a100-4"), nvlinked_pair(), kernel()]).unwrap();
    assert_eq!(merged.pairs().pair(0, 1).nvlinks, 4);
    let mut two = nvlinked_pair();
    two.set_dialect(Dialect::Soc);
    let merged = merge(&[preset("rtx-a6000-4-bridged"), preset("rtx-a6000-4-bridged"), two]).unwrap();
    assert!(conflicts(&merged).is_empty(), "{:?}", conflicts(&merged));
    assert_eq!(merged.pairs().pair(2, 3).nvlinks, 4, "of GPUs that only one source has, that one tells");
    let mut none = Fragment::new(Provenance::Sysfs);
    for index in 0..2 {
        none.add(NodeId::MACHINE, gpu(index));
    }
    let merged = merge(&[nvlinked_pair(), none]).unwrap();
    assert_eq!(merged.pairs().pair(0, 1).nvlinks, 0, "a source that knows of none wins");
    let text = "GPU0 and GPU1, NVLinks: sysfs says 0, nvidia-smi says 4; the first is taken";
    assert_eq!(conflicts(&merged), [text]);
}

#[test]
fn conflicts_are_bounded() {
    let many = |provenance: Provenance, vendor: &str| {
        let mut fragment = Fragment::new(provenance);
        for index in 0..70 {
            let model = Some(format!("{vendor} {index}"));
            fragment.add(NodeId::MACHINE, fact!(gpu(index), model = model));
        }
        fragment
    };
    let merged = merge(&[many(Provenance::Sysfs, "A"), many(Provenance::Smi, "B")]).unwrap();
    assert_eq!(merged.notes().len(), 51);
    assert_eq!(merged.notes()[50].text, "the sources disagree about 20 facts more");
}

#[test]
fn two_machines_are_refused() {
    let identity = |machine: Option<&str>, boot: Option<&str>| {
        let mut fragment = kernel();
        let own = |digest: Option<&str>| digest.map(str::to_owned);
        fragment.set_origin(Origin::Machine(MachineIdentity::new(own(machine), own(boot))));
        fragment
    };
    for pair in
        [[identity(Some("a"), None), identity(Some("b"), None)], [preset("dgx-h100"), preset("dgx-b200")]]
    {
        let error = merge(&pair).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains("these are two machines"), "{error}");
    }
    let merged = merge(&[identity(Some("a"), None), identity(Some("a"), Some("b"))]).unwrap();
    let both = MachineIdentity::new(Some("a".to_owned()), Some("b".to_owned()));
    assert_eq!(*merged.origin(), Origin::Machine(both));
    let merged = merge(&[kernel(), identity(Some("a"), None)]).unwrap();
    assert!(matches!(merged.origin(), Origin::Machine(_)));
}

#[test]
fn a_gpu_that_only_one_source_has_gets_an_index_of_its_own() {
    let with = |provenance: Provenance, gpus: &[(u32, &str)]| {
        let mut fragment = Fragment::new(provenance);
        for (index, digit) in gpus {
            let uuid = format!("GPU-5c3ee4a8-6b1c-4c5e-8d9a-01234567890{digit}").parse().ok();
            fragment.add(NodeId::MACHINE, fact!(gpu(*index), uuid = uuid));
        }
        fragment
    };
    let kernel = with(Provenance::Sysfs, &[(0, "a"), (1, "b")]);
    let driver = with(Provenance::Smi, &[(0, "b"), (1, "c"), (2, "a")]);
    let merged = merge(&[kernel, driver]).unwrap();
    assert_eq!(merged.gpus().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 1, 2]);
    let last = merged.gpus().next_back().unwrap().uuid.unwrap().to_string();
    assert!(last.ends_with('c'), "{last}");
    assert!(
        conflicts(&merged).iter().any(|text| text.contains("it is GPU2 here")),
        "{:?}",
        conflicts(&merged)
    );
}

#[test]
fn an_address_that_two_sources_give_to_different_devices_stays_with_the_first() {
    let address: PciAddress = "0000:1b:00.0".parse().unwrap();
    let mut base = Fragment::new(Provenance::Sysfs);
    let disk = fact!(Nvme::new("nvme0"), address = Some(address));
    base.add(NodeId::MACHINE, disk);
    let mut other = Fragment::new(Provenance::Smi);
    other.add(NodeId::MACHINE, fact!(gpu(0), address = Some(address)));
    let merged = merge(&[other, base]).unwrap();
    assert_eq!(merged.gpus().map(|gpu| gpu.address).collect::<Vec<_>>(), [None]);
    let told = "nvme0 and GPU0 both have the PCI address 0000:1b:00.0; it is that of nvme0 here";
    assert!(conflicts(&merged).iter().any(|text| text.contains(told)), "{:?}", conflicts(&merged));
    assert!(Topology::parse("t.json", merged.to_json().as_bytes()).unwrap() == merged);
}

#[test]
fn notes_are_kept_once() {
    let mut a = kernel();
    a.note(NoteKind::Damage, "x");
    let mut b = nvlinked_pair();
    b.note(NoteKind::Damage, "x");
    b.note(NoteKind::Unknown, "y");
    let merged = merge(&[b, a]).unwrap();
    let note = |kind, text: &str| Note::new(kind, text.to_owned());
    assert_eq!(merged.notes(), [note(NoteKind::Damage, "x"), note(NoteKind::Unknown, "y")]);
}

#[test]
fn nothing_is_no_topology() {
    assert_eq!(merge(&[]).unwrap_err().kind(), ErrorKind::InvalidRequest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn merging_with_itself_changes_nothing(fragment in generate::fragment()) {
        let once = merge(std::slice::from_ref(&fragment)).unwrap();
        let twice = merge(&[fragment.clone(), fragment]).unwrap();
        prop_assert!(twice == once, "{:?}\n{}\n{}", twice.notes(), once.to_json(), twice.to_json());
    }

    #[test]
    fn merging_anything_gives_a_topology_or_a_reason(a in generate::fragment(), b in generate::fragment()) {
        match merge(&[a, b]) {
            // What came out passed the builder's checks, and can be asked.
            Ok(merged) => {
                let _ = (merged.pairs(), merged.nvlink_groups());
                prop_assert!(Topology::parse("merged.json", merged.to_json().as_bytes()).unwrap() == merged);
            }
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidRequest),
        }
    }
}

#[test]
fn an_assumption_that_another_source_makes_needless_is_not_told() {
    let text = include_str!("data/topo-m/dgx1-v100-8gpu-4mlx5-tabs.txt");
    let matrix = read(text);
    let alone = merge(std::slice::from_ref(&matrix)).unwrap();
    let assumed =
        |topology: &Topology| topology.notes().iter().filter(|note| note.text.contains("assumed")).count();
    assert_eq!(assumed(&alone), 2, "{:?}", alone.notes());
    // The document of it keeps them, and loses them where it is merged as the text does.
    let reread = Topology::parse("t.json", alone.to_json().as_bytes()).unwrap();
    assert_eq!(reread.notes(), alone.notes());
    for other in [matrix.clone(), read(&alone.to_json())] {
        for order in [[other.clone(), preset("dgx-1-v100")], [preset("dgx-1-v100"), other]] {
            let merged = merge(&order).unwrap();
            assert_eq!(assumed(&merged), 0, "{:?}", merged.notes());
            let again = Topology::parse("t.json", merged.to_json().as_bytes()).unwrap();
            assert_eq!(again, merged);
        }
    }
    // Another text tells no more than the first.
    assert_eq!(assumed(&merge(&[matrix.clone(), matrix]).unwrap()), 2);
}

#[test]
fn merging_knows_notes_by_their_code_whatever_they_say() {
    let silent = |code: NoteCode| {
        let mut fragment = Fragment::new(Provenance::Hwloc);
        fragment.add(NodeId::MACHINE, gpu(0));
        fragment.set_nvlink_unknown();
        fragment.note(code, "a sentence");
        fragment
    };
    let stays = |code: NoteCode| {
        let merged = merge(&[silent(code), preset("dgx-h100")]).unwrap();
        merged.notes().iter().any(|note| note.code() == code && note.text == "a sentence")
    };
    assert!(!stays(NoteCode::NvlinksUnknown), "the preset knows NVLinks");
    assert!(!stays(NoteCode::NvlinkRateAssumed), "and their rates");
    assert!(stays(NoteCode::Unknown));
    assert!(stays(NoteCode::P2pDisabled));
}

#[test]
fn a_written_note_keeps_its_code() {
    let mut fragment = Fragment::new(Provenance::Smi);
    fragment.add(NodeId::MACHINE, gpu(0));
    fragment.set_nvlink_unknown();
    for code in NoteCode::ALL {
        fragment.note(code, code.name());
    }
    let topology = merge(&[fragment]).unwrap();
    let text = topology.to_json();
    let codes = |text: &str| -> Vec<NoteCode> {
        Topology::parse("t.json", text.as_bytes())
            .unwrap()
            .notes()
            .iter()
            .map(nvtopo::model::Note::code)
            .collect()
    };
    assert_eq!(codes(&text), NoteCode::ALL);
    // The code is of a later version, contradicts its kind, or was never written: the kind is what counts.
    for other in ["not-yet-known", "damage", "numa-unknown"] {
        let changed = text.replace("\"nvlinks-down\"", &format!("\"{other}\""));
        let own = NoteCode::ALL.iter().position(|code| *code == NoteCode::NvlinksDown).unwrap();
        assert_ne!(changed, text);
        assert_eq!(codes(&changed)[own], NoteCode::Conflict, "{other}");
    }
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for note in document["topology"]["notes"].as_array_mut().unwrap() {
        note.as_object_mut().unwrap().remove("code").unwrap();
    }
    let general: Vec<NoteCode> = NoteCode::ALL.iter().map(|code| code.kind().into()).collect();
    assert_eq!(codes(&document.to_string()), general);
    // Another source still fills what a note with its code leaves open.
    let again = merge(&[read(&text), preset("dgx-h100")]).unwrap();
    assert!(again.notes().iter().all(|note| note.code() != NoteCode::NvlinksUnknown));
}

#[test]
fn misuse_of_a_fragment_is_an_error_and_no_panic() {
    let mut replaced = Fragment::new(Provenance::Preset);
    *replaced.node_mut(NodeId::MACHINE) = NodeKind::Gpu(Box::new(gpu(0)));
    assert_eq!(merge(std::slice::from_ref(&replaced)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(merge(&[replaced.clone(), preset("dgx-h100")]).is_err());
    replaced.machine().product = Some("x".to_owned());
    assert_eq!(merge(&[replaced]).unwrap().machine().product.as_deref(), Some("x"));

    // Numbers of another fragment.
    let mut large = Fragment::new(Provenance::Preset);
    let far = (0..9).map(|index| large.add(NodeId::MACHINE, gpu(index))).last().unwrap();
    let stray = |change: &dyn Fn(&mut Fragment)| {
        let mut fragment = Fragment::new(Provenance::Preset);
        let own = fragment.add(NodeId::MACHINE, gpu(0));
        change(&mut fragment);
        assert_eq!(own.index(), 1);
        assert!(merge(std::slice::from_ref(&fragment)).is_err());
        assert!(merge(&[fragment, preset("dgx-h100")]).is_err());
    };
    stray(&|fragment| _ = fragment.add(far, gpu(1)));
    stray(&|fragment| fragment.link(far, NodeId::MACHINE, rates::pcie_unknown()));
    stray(&|fragment| fragment.state_path(far, NodeId::MACHINE, PathType::Pix));
    stray(&|fragment| fragment.measure(far, far, nvtopo::Bandwidth::ZERO));
}
