//! The GPUs that a process sees: CUDA's order, every form of `CUDA_VISIBLE_DEVICES`, and MIG instances.

use nvtopo::model::{
    Core, Fragment, Gpu, GpuInstance, MigMode, NodeId, NumaNode, Provenance, Pu, TopologyBuilder,
};
use nvtopo::solve::{OrderBasis, VisibleDevice};
use nvtopo::{CpuLimits, CudaOrder, ErrorKind, GpuRef, LocalRank, Part, Request, Topology, VisibleGpus};
use proptest::prelude::*;

const UUIDS: [&str; 3] = [
    "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77",
    "GPU-5d5ba0d7-d33d-2b2c-524d-9e3d8d2b8a77",
    "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6",
];

fn gpu(index: u32, bus: u8, model: &str) -> Gpu {
    fact!(
        Gpu::new(index),
        model = Some(model.to_owned()),
        uuid = Some(UUIDS[index as usize].parse().unwrap()),
        address = Some(nvtopo::PciAddress { domain: 0, bus, device: 0, function: 0 }),
        mig = Some(MigMode::default())
    )
}

fn instance(uuid: &str, numbers: (u32, u32)) -> GpuInstance {
    fact!(
        GpuInstance::default(),
        uuid = Some(uuid.to_owned()),
        gpu_instance = Some(numbers.0),
        compute_instance = Some(numbers.1)
    )
}

/// 16 CPUs of 8 cores on one node, with these GPUs and their instances.
fn machine(gpus: &[(Gpu, &[GpuInstance])]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let numa = fact!(NumaNode::new(0), cpus = "0-15".parse().unwrap(), memory = Some(1 << 40));
    let numa = fragment.add(NodeId::MACHINE, numa);
    for number in 0..8 {
        let core = fragment.add(NodeId::MACHINE, Core::new(number));
        for cpu in [number, number + 8] {
            fragment.add(core, Pu::new(cpu));
        }
    }
    for (gpu, instances) in gpus {
        let id = fragment.add(numa, gpu.clone());
        for instance in *instances {
            fragment.add(id, instance.clone());
        }
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

fn alike() -> Topology {
    machine(&[(gpu(0, 1, "A100"), &[]), (gpu(1, 2, "A100"), &[]), (gpu(2, 3, "A100"), &[])])
}

/// GPU0 is divided in two, GPU1 by a driver that names instances by their GPU, GPU2 not.
fn divided() -> Topology {
    let mig = |index, bus| fact!(gpu(index, bus, "A100"), mig = Some(MigMode::new(true, true)));
    machine(&[
        (
            mig(0, 1),
            &[
                instance("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", (1, 0)),
                instance("MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb", (2, 0)),
            ],
        ),
        (mig(1, 2), &[instance(&format!("MIG-{}/7/0", UUIDS[1]), (7, 0))]),
        (gpu(2, 3, "A100"), &[]),
    ])
}

fn resolve(topology: &Topology, list: &str) -> VisibleGpus {
    VisibleGpus::resolve(topology, Some(list), CudaOrder::FastestFirst)
}

/// The positions, and the remarks in one text.
fn read(topology: &Topology, list: &str) -> (Vec<usize>, String) {
    let visible = resolve(topology, list);
    (visible.positions(), visible.remarks.join("\n"))
}

#[test]
fn cuda_counts_gpus_of_one_model_along_the_bus() {
    assert_eq!(alike().cuda_order(CudaOrder::FastestFirst), Some(vec![0, 1, 2]));
    // The driver numbered them otherwise than they lie.
    let turned = machine(&[(gpu(0, 9, "A100"), &[]), (gpu(1, 2, "A100"), &[])]);
    assert_eq!(turned.cuda_order(CudaOrder::PciBusId), Some(vec![1, 0]));
    assert_eq!(read(&turned, "0").0, [1]);
    let mixed = machine(&[(gpu(0, 1, "A2"), &[]), (gpu(1, 2, "A100"), &[])]);
    assert_eq!(mixed.cuda_order(CudaOrder::FastestFirst), None);
    assert_eq!(mixed.cuda_order(CudaOrder::PciBusId), Some(vec![0, 1]));
    let nameless = Topology::parse("t", b"\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n").unwrap();
    assert_eq!(nameless.cuda_order(CudaOrder::FastestFirst), None);
    for (text, order) in [("FASTEST_FIRST", CudaOrder::FastestFirst), ("pci_bus_id", CudaOrder::FastestFirst)]
    {
        assert_eq!(text.parse(), Ok(order));
    }
}

#[test]
fn lists_are_read_as_cuda_reads_them() {
    let topology = alike();
    let expect = |list: &str, positions: &[usize], words: &str| {
        let (found, remarks) = read(&topology, list);
        assert_eq!(found, positions, "{list}: {remarks}");
        assert!(remarks.contains(words) && remarks.is_empty() == words.is_empty(), "{list}: {remarks}");
    };
    for (list, positions) in [
        ("2,0", &[2, 0][..]),
        (" 2 , 0 ", &[2, 0]),
        ("0,2,-1,1", &[0, 2]),
        ("0,1,", &[0, 1]),
        ("+1", &[1]),
        ("-1", &[]),
        (UUIDS[2], &[2]),
        ("GPU-8932", &[2]),
        ("gpu-8932,GPU-5d5ba0d6", &[2, 0]),
    ] {
        expect(list, positions, "");
    }
    expect("", &[], "hides all");
    expect("  ", &[], "hides all");
    expect("0,7,1", &[0], "'7' in CUDA_VISIBLE_DEVICES names no GPU, and CUDA hides what follows");
    expect("0,,1", &[0], "names no GPU");
    expect("1,1", &[], "second time");
    expect("0,GPU-8932", &[0], "names no GPU");
    expect("GPU-8932,0", &[2], "names no GPU");
    expect("GPU-5d5ba", &[], "names no GPU");
    expect("GPU-8932f937,GPU-8932", &[], "second time");
    expect("GPU-77", &[], "names no GPU");
    expect("1gpu", &[1], "as 1");
    expect("99999999999999999999", &[], "names no GPU");
    expect("NoDevFiles", &[], "Slurm");
    for word in ["all", "none", "void"] {
        expect(word, &[], "NVIDIA_VISIBLE_DEVICES");
    }
    expect("MIG-c6d4f1ef", &[], "names no GPU");
    assert!(!resolve(&topology, "0,7").unresolved);
}

#[test]
fn what_nobody_can_tell_is_not_guessed() {
    let mixed = machine(&[(gpu(0, 1, "A2"), &[]), (gpu(1, 2, "A100"), &[])]);
    let visible = resolve(&mixed, "0");
    assert!(visible.unresolved && visible.devices.is_empty());
    assert!(visible.remarks[0].contains("CUDA_DEVICE_ORDER=PCI_BUS_ID"), "{:?}", visible.remarks);
    assert_eq!(visible.whole_gpus(&mixed).unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert_eq!(VisibleGpus::resolve(&mixed, Some("0"), CudaOrder::PciBusId).positions(), [0]);
    assert_eq!(read(&mixed, UUIDS[1]), (vec![1], String::new()));

    // All are visible; which is the first of them is unknown.
    let all = VisibleGpus::all(&mixed, CudaOrder::FastestFirst);
    assert_eq!((all.positions(), all.order), (vec![0, 1], OrderBasis::Unknown));
    let rank = Some(LocalRank { rank: 0, size: Some(2) });
    let part = Part::of_visible(&mixed, &all, rank, &CpuLimits::default()).unwrap();
    assert!(part.gpus.is_empty() && part.cpus.is_empty(), "{part:?}");
    assert!(part.remarks[0].contains("several models"), "{:?}", part.remarks);
    assert_eq!(Part::of_visible(&mixed, &all, None, &CpuLimits::default()).unwrap().gpus, [0, 1]);

    // A text that tells no models: taken to be alike, and said so.
    let text = Topology::parse("t", b"\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n").unwrap();
    let (positions, remarks) = read(&text, "1");
    assert!(positions == [1] && remarks.contains("models of the GPUs are unknown"), "{remarks}");
    assert_eq!(VisibleGpus::resolve(&text, Some("1"), CudaOrder::PciBusId).remarks, Vec::<String>::new());
    assert!(resolve(&text, UUIDS[0]).unresolved);
    assert!(resolve(&text, "MIG-c6d4f1ef").unresolved);
}

#[test]
fn a_topology_that_lacks_gpus_keeps_the_numbers_of_the_others() {
    let topology = machine(&[(gpu(1, 2, "A100"), &[]), (gpu(2, 3, "A100"), &[])]);
    assert_eq!(read(&topology, "2,1").0, [1, 0]);
    assert_eq!(read(&topology, "0").0, Vec::<usize>::new());
}

#[test]
fn mig_instances_are_found_by_every_name() {
    let topology = divided();
    for (list, gpu) in [
        ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", 0),
        ("mig-cba6", 0),
        (&format!("MIG-{}/2/0", UUIDS[0]), 0),
        ("MIG-GPU-5d5ba0d7/7/0", 1),
    ] {
        let visible = resolve(&topology, list);
        assert_eq!(visible.positions(), [gpu], "{list}: {:?}", visible.remarks);
        assert!(visible.devices[0].instance.is_some() && visible.remarks.is_empty(), "{:?}", visible.remarks);
    }
    for list in ["MIG-c", "MIG-77", "MIG-GPU-5d5ba0d6/9/0", "MIG-GPU-8932f937/1/0", "MIG-GPU-8932f937/1"] {
        let visible = resolve(&topology, list);
        assert!(visible.devices.is_empty() && !visible.unresolved, "{list}: {visible:?}");
    }
    // The name tells the GPU, where its instances are unknown.
    let unknown = machine(&[(fact!(gpu(0, 1, "A100"), mig = None), &[]), (gpu(1, 2, "A100"), &[])]);
    let visible = resolve(&unknown, "MIG-GPU-5d5ba0d6/1/0");
    assert_eq!(visible.devices, [VisibleDevice { gpu: 0, instance: None }]);
    assert!(visible.remarks[0].contains("is on GPU0"), "{:?}", visible.remarks);
    assert!(resolve(&unknown, "MIG-c6d4f1ef").unresolved);
}

#[test]
fn instances_of_a_gpu_divide_its_share() {
    let topology = divided();
    let limits = CpuLimits::default();
    let whole = Part::of_visible(&topology, &resolve(&topology, "GPU-5d5ba0d6"), None, &limits).unwrap();
    assert!(whole.remarks.iter().any(|remark| remark.contains("GPU0 is divided")), "{:?}", whole.remarks);
    let visible = resolve(&topology, "MIG-c6d4f1ef,MIG-cba663e8");
    assert!(visible.remarks.iter().any(|remark| remark.contains("one MIG instance only")));
    let part = |rank, limits: &CpuLimits| {
        Part::of_visible(&topology, &visible, Some(LocalRank { rank, size: Some(2) }), limits).unwrap()
    };
    let (first, second) = (part(0, &limits), part(1, &limits));
    assert!(first.cpus.is_disjoint(&second.cpus), "{} and {}", first.cpus, second.cpus);
    assert_eq!(first.cpus.union(&second.cpus), whole.cpus);
    assert_eq!((first.mems, first.gpus, first.instances.len()), (whole.mems, vec![0], 1));
    // Bound once, it keeps what it has.
    let bound = CpuLimits { allowed: Some(second.cpus.clone()), ..CpuLimits::default() };
    assert_eq!(part(1, &bound).cpus, second.cpus);
    // Alone, an instance has what it has beside the others: two jobs that see one each do not overlap.
    let alone =
        |limits| Part::of_visible(&topology, &resolve(&topology, "MIG-cba663e8"), None, limits).unwrap();
    assert_eq!(alone(&limits).cpus, second.cpus);
    assert_eq!(alone(&bound).cpus, second.cpus);
    assert_eq!(visible.whole_gpus(&topology).unwrap_err().kind(), ErrorKind::InvalidRequest);
}

#[test]
fn an_instance_excludes_its_gpu_and_is_never_chosen_as_one() {
    let topology = divided();
    let mig = || "MIG-c6d4f1ef".parse::<GpuRef>().unwrap();
    assert_eq!(mig().resolve(&topology).unwrap(), 0);
    assert_eq!(topology.device("MIG-c6d4f1ef").unwrap(), 0);
    // GPU1 is MIG-enabled too: it is chosen only where it is named.
    let error = Request::gpus(2).exclude([mig()]).solve(&topology).unwrap_err();
    assert!(error.message().contains("MIG-enabled, and not chosen for whole GPUs: GPU1"), "{error}");
    let placement = Request::gpus(1).exclude([mig()]).solve(&topology).unwrap();
    assert_eq!(placement.gpu_indices(), [2]);
    assert_eq!(placement.remarks(), ["GPU1: MIG-enabled, and chosen only where named"]);
    let named = Request::gpus(2).exclude([mig()]).include([1]).solve(&topology).unwrap();
    assert_eq!(named.gpu_indices(), [1, 2]);
    for request in [Request::gpus(1).only([mig()]), Request::gpus(1).include([mig()])] {
        let error = request.solve(&topology).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("a part of GPU0"), "{error}");
    }
    let placement = Request::gpus(1).only([0]).solve(&topology).unwrap();
    assert!(placement.remarks().iter().any(|remark| remark.contains("divided (MIG)")));
}

#[test]
fn a_gpu_that_cannot_be_used_is_never_chosen() {
    let lost = fact!(gpu(1, 2, "A100"), unusable = Some("has fallen off the bus".to_owned()));
    let topology = machine(&[(gpu(0, 1, "A100"), &[]), (lost, &[]), (gpu(2, 3, "A100"), &[])]);
    let placement = Request::gpus(2).solve(&topology).unwrap();
    assert_eq!(placement.gpu_indices(), [0, 2]);
    assert_eq!(placement.remarks(), ["GPU1 cannot be used: has fallen off the bus"]);
    let without = Request::gpus(2).exclude([1]).solve(&topology).unwrap();
    assert_eq!(without.remarks(), Vec::<String>::new());
    // The CPUs are still cut over all three.
    assert_eq!(
        placement.gpus()[0].cpus,
        nvtopo::share_cpus(&alike(), &nvtopo::CpuRules::default()).gpus[0].cpus
    );

    let error = |request: Request| request.solve(&topology).unwrap_err();
    let included = error(Request::gpus(1).include([1]));
    assert_eq!(included.kind(), ErrorKind::Unsatisfiable);
    assert_eq!(included.message(), "GPU1 is included, but cannot be used: has fallen off the bus");
    let many = error(Request::gpus(3));
    assert_eq!(many.kind(), ErrorKind::Unsatisfiable);
    assert_eq!(
        many.message(),
        "3 GPUs were asked for, but only 2 of 3 are left to choose from; 1 cannot be used: GPU1 (has fallen off the \
         bus)"
    );
    assert!(error(Request::gpus(1).only([1])).message().contains("only 0 of 3"));
    let (positions, remarks) = read(&topology, "2");
    assert!(positions == [2] && remarks.contains("without it"), "{remarks}");
    assert!(read(&topology, UUIDS[1]).1.contains("GPU1 cannot be used"));
}

proptest! {
    #[test]
    fn any_list_is_read(list in "([0-9]|GPU-5d5ba0d[67]|GPU-8|MIG-c[6b]|MIG-GPU-5d5ba0d7/7/[01]|[ -~ü,]{0,6}|,){0,6}", rank in 0usize..5) {
        let topology = divided();
        let visible = resolve(&topology, &list);
        let mut seen = visible.devices.clone();
        seen.dedup();
        prop_assert_eq!(&seen, &visible.devices);
        let rank = Some(LocalRank { rank, size: None });
        let part = Part::of_visible(&topology, &visible, rank, &CpuLimits::default()).unwrap();
        prop_assert_eq!(part.gpus.is_empty(), visible.devices.is_empty());
        prop_assert!(visible.devices.is_empty() || !part.cpus.is_empty());
    }

    #[test]
    fn an_index_is_the_gpu_that_nvidia_smi_shows(index in 0u32..8) {
        let dgx = Topology::preset("dgx-h100").unwrap();
        prop_assert_eq!(resolve(&dgx, &index.to_string()).positions(), [index as usize]);
    }
}
