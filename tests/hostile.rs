//! Inputs that take memory or time out of proportion, or numbers to their ends: refused with their place, or answered.

use nvtopo::{Bandwidth, CpuRules, CpuSet, CudaOrder, ErrorKind, Plan, Request, Topology, VisibleGpus};
use nvtopo_draw::{Style, by_name};

fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/../tests/data/hostile/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(name: &str) -> Result<Topology, nvtopo::Error> {
    Topology::parse(name, &data(name))
}

#[track_caller]
fn refused(name: &str, line: Option<usize>, reason: &str) {
    let error = read(name).expect_err(name);
    assert_eq!((error.kind(), error.line()), (ErrorKind::InvalidInput, line), "{error}");
    assert!(error.to_string().contains(reason), "no '{reason}' in: {error}");
}

#[test]
fn numbers_beyond_the_limits_are_refused_with_their_place() {
    refused("j-link-rate-max.json", Some(1), "18446744073709551615");
    refused("j-pu-4g.json", Some(1), "65535 at most");
    refused(
        "j-gpu-dup-uuid.json",
        None,
        "the UUID GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab is that of nodes[",
    );
}

/// Whoever looks at each capital letter for what stands before it never ends here.
#[test]
fn a_line_of_letters_alone_is_refused_at_once() {
    let line = format!("GPU {}A", "A1".repeat(1 << 20));
    assert_eq!(Topology::parse("t", line.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidInput);
    let matrix = format!("\tGPU0\tGPU1\nGPU0\t X \tNV1\nGPU1\tNV1\t X \n{}\n", "A1".repeat(1 << 20));
    assert_eq!(Topology::parse("t", matrix.as_bytes()).unwrap().gpus().len(), 2);
}

/// A document with these nodes after the machine, and more keys of the topology.
fn document(nodes: &str, more: &str) -> Result<Topology, nvtopo::Error> {
    let text = format!(
        r#"{{"format": "nvtopo-topology", "version": 1, "topology": {{"source": "sysfs", "nvlink_known": true,
"nodes": [{{"machine": {{}}}},
{nodes}]{more}}}}}"#
    );
    Topology::parse("t.json", text.as_bytes())
}

#[test]
fn every_number_of_a_document_has_its_limit() {
    let two = r#"{"gpu": {"parent": 0, "index": 0}},
{"gpu": {"parent": 0, "index": 1}}"#;
    let big = u64::MAX;
    for (nodes, more, line, reason) in [
        (r#"{"pu": {"parent": 0, "os_index": 65536}}"#.to_owned(), String::new(), Some(3), "65535 at most"),
        (
            r#"{"numa_node": {"parent": 0, "os_index": 65536}}"#.into(),
            String::new(),
            Some(3),
            "65535 at most",
        ),
        (
            r#"{"gpu": {"parent": 0, "index": 0, "memory_node": 65536}}"#.into(),
            String::new(),
            Some(3),
            "a number below 65536",
        ),
        (
            format!(r#"{{"nic": {{"parent": 0, "name": "a", "mb_per_s": {big}}}}}"#),
            String::new(),
            Some(3),
            "MB/s, 1000000000000 at most",
        ),
        (
            format!(r#"{{"nic": {{"parent": 0, "name": "a", "measured_mb_per_s": {big}}}}}"#),
            String::new(),
            Some(3),
            "at most",
        ),
        (
            format!(
                r#"{{"gpu": {{"parent": 0, "index": 0, "nvlinks": [{{"number": 0, "reported_mb_per_s": {big}}}]}}}}"#
            ),
            String::new(),
            Some(3),
            "at most",
        ),
        (
            two.into(),
            format!(r#", "measured": [{{"from": 1, "to": 2, "mb_per_s": {big}}}]"#),
            Some(4),
            "at most",
        ),
        (
            two.into(),
            format!(r#", "links": [{{"between": [1, 2], "kind": "nvlink", "reported_mb_per_s": {big}}}]"#),
            Some(4),
            "at most",
        ),
        (
            r#"{"gpu": {"parent": 0, "index": 0, "address": "1b:00.0"}},
{"nic": {"parent": 0, "name": "a", "address": "0000:1b:00.0"}}"#
                .into(),
            String::new(),
            None,
            "nodes[2]: the PCI address 0000:1b:00.0 is that of nodes[1] too",
        ),
        (
            r#"{"gpu": {"parent": 0, "index": 0}},
{"gpu_instance": {"parent": 1, "uuid": "MIG-1"}}, {"gpu_instance": {"parent": 1, "uuid": "MIG-1"}}"#
                .into(),
            String::new(),
            None,
            "nodes[3]: the UUID 'MIG-1' is that of nodes[2] too",
        ),
    ] {
        let error = document(&nodes, &more).expect_err(&nodes);
        assert_eq!((error.kind(), error.line()), (ErrorKind::InvalidInput, line), "{error}");
        assert!(error.to_string().contains(reason), "no '{reason}' in: {error}");
    }
}

#[test]
fn one_function_may_have_several_rdma_devices() {
    let nic = |name: &str, rdma: &str| {
        format!(r#"{{"nic": {{"parent": 0, "name": "{name}", "address": "0000:08:00.0"{rdma}}}}}"#)
    };
    let several = [nic("a", r#", "rdma_device": "mlx5_0""#), nic("b", r#", "rdma_device": "mlx5_1""#)];
    assert_eq!(document(&several.join(","), "").unwrap().nics().count(), 2);
    let error = document(&[nic("a", ""), nic("b", "")].join(","), "").unwrap_err();
    assert!(error.to_string().contains("nodes[2]: the PCI address 0000:08:00.0"), "{error}");
}

#[test]
fn rates_at_their_limit_are_added_without_wrapping() {
    let gpus: Vec<String> =
        (0..16).map(|index| format!(r#"{{"gpu": {{"parent": 0, "index": {index}}}}}"#)).collect();
    let most = Bandwidth::MAX.as_mb_per_s();
    let links: Vec<String> = (1..=16)
        .flat_map(|a| (a + 1..=16).map(move |b| (a, b)))
        .map(|(a, b)| {
            format!(
                r#"{{"between": [{a}, {b}], "kind": "nvlink", "lanes": 65535, "rate": {{"mb_per_s": {most}, "basis": "nominal"}}}}"#
            )
        })
        .collect();
    let topology = document(&gpus.join(","), &format!(r#", "links": [{}]"#, links.join(","))).unwrap();
    for objective in nvtopo::solve::objective::OBJECTIVES.iter().map(|objective| objective.name()) {
        let placement = Request::gpus(4).objectives([objective]).solve(&topology).unwrap();
        assert_eq!(placement.gpu_indices(), [0, 1, 2, 3], "{objective}");
    }
    assert_eq!(topology.to_json(), Topology::parse("x", topology.to_json().as_bytes()).unwrap().to_json());
}

#[test]
fn sizes_of_memory_at_their_end_are_shown_and_placed() {
    let topology = read("j-mem-max.json").unwrap();
    let text = by_name("text").unwrap().topology(&topology, Style::default());
    assert!(text.contains("16777216 TiB"), "{text}");
    assert_eq!(Request::gpus(2).memory_per_gpu(u64::MAX / 2).solve(&topology).unwrap().gpus().len(), 2);
    assert!(Request::gpus(8).memory_per_gpu(u64::MAX).solve(&topology).is_err());
}

#[test]
fn the_highest_number_of_a_gpu_is_a_number() {
    let topology = read("p2p-4294967295.txt").unwrap();
    let indices: Vec<u32> = topology.gpus().map(|gpu| gpu.index).collect();
    assert_eq!(indices, [1, u32::MAX]);
    assert_eq!(topology.all_p2p().len(), 1);
}

/// The CPUs of so many ranks.
fn dealt(name: &str, ranks: usize, policy: &str) -> Vec<CpuSet> {
    let topology = read(name).unwrap();
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let rules = CpuRules { policy: policy.parse().unwrap(), ..CpuRules::default() };
    let plan = Plan::new(&topology, &visible, ranks, &rules).unwrap();
    plan.parts().iter().map(|part| part.cpus.clone()).collect()
}

#[test]
fn all_cpus_that_a_set_holds_are_dealt_out() {
    let dealt = dealt("c65535.txt", 2, "exclusive");
    assert_eq!(dealt.iter().map(CpuSet::len).collect::<Vec<_>>(), [32768; 2]);
    assert!(dealt[0].is_disjoint(&dealt[1]));
}

#[test]
fn hundreds_of_ranks_get_their_cpus() {
    for policy in ["machine", "exclusive"] {
        let dealt = dealt("unev2.txt", 512, policy);
        assert!(dealt.iter().all(|cpus| !cpus.is_empty()), "{policy}");
        let all: CpuSet = dealt.iter().collect();
        assert_eq!(all.to_string(), "0-511", "{policy}");
    }
    assert!(dealt("slow-plan-8f81a4751f.bin", 128, "exclusive").iter().all(|cpus| !cpus.is_empty()));
}

#[test]
fn what_is_deeper_than_any_machine_is_refused() {
    let chain = |switches: usize| {
        let switch = |below: usize| format!(r#"{{"pcie_switch": {{"parent": {below}}}}}"#);
        let nodes: Vec<String> = (0..switches).map(switch).collect();
        let gpus = (0..2).map(|index| format!(r#"{{"gpu": {{"parent": {switches}, "index": {index}}}}}"#));
        document(&nodes.into_iter().chain(gpus).collect::<Vec<_>>().join(","), "")
    };
    let deepest = chain(263).unwrap();
    assert_eq!(Request::gpus(2).solve(&deepest).unwrap().gpus().len(), 2);
    for switches in [264, 20_000] {
        let error = chain(switches).unwrap_err().to_string();
        assert!(error.contains("node 265 is below 265 others; the most is 264"), "{error}");
    }
}

#[test]
fn matrices_that_nobody_reads_are_left_out() {
    let matrix = |gpus: usize| {
        let names: Vec<String> = (0..gpus).map(|gpu| format!("GPU{gpu}")).collect();
        let row = |gpu: usize| {
            let cells = (0..gpus).map(|other| if other == gpu { " X " } else { "SYS" });
            format!("GPU{gpu}\t{}\n", cells.collect::<Vec<_>>().join("\t"))
        };
        let text = format!("\t{}\n{}", names.join("\t"), (0..gpus).map(row).collect::<String>());
        let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
        by_name("text").unwrap().topology(&topology, Style::default())
    };
    assert!(matrix(256).contains("  GPU255  "));
    let large = matrix(257);
    assert!(large.contains("The matrix of 257 devices is left out"), "{}", large.len());
    assert!(!large.contains("SYS"));
}
