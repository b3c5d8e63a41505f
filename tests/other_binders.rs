//! The policies that answer as other binders do, held against what these answer.

use crate::made_machine::Made;
use nvtopo::model::{
    Core, Fragment, Gpu, NodeId, NodeKind, NumaNode, Package, Provenance, Pu, TopologyBuilder,
};
use nvtopo::source::Locator;
use nvtopo::{CpuLimits, CpuRules, CpuSet, ErrorKind, Kubelet, NodeSet, Topology, share_cpus};
use std::collections::BTreeMap;
use std::path::Path;

fn data(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    std::fs::read_to_string(root.join(name)).unwrap()
}

/// The lines of a recording in fields.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split(';').map(str::trim).collect())
}

fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

fn made(cores: &[u32], threads: u32, complex: usize, nodes_per_package: usize) -> Topology {
    let gpus = vec![0; cores.len()];
    let cores = cores.to_vec();
    let siblings_adjacent = false;
    let made = Made {
        cores,
        gpus,
        threads,
        siblings_adjacent,
        complex,
        nodes_per_package,
        gpus_on_memory: 0,
        unknown_gpus: 0,
    };
    made.topology()
}

/// Two packages of three cores whose numbers alternate, with siblings six apart.
fn alternating() -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    for socket in 0..2 {
        let package = Package::new(socket);
        let package = fragment.add(NodeId::MACHINE, package);
        let own: CpuSet = (0..12).filter(|cpu| cpu % 2 == socket).collect();
        let numa = fact!(NumaNode::new(socket), cpus = own);
        let numa = fragment.add(package, numa);
        for core in (0..6).filter(|core| core % 2 == socket) {
            let id = fragment.add(numa, Core::new(core));
            for cpu in [core, core + 6] {
                fragment.add(id, Pu::new(cpu));
            }
        }
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn the_kubelet_s_own_cases_come_out_alike() {
    let machines = BTreeMap::from([
        ("single", made(&[4], 2, 0, 1)),
        ("dual", alternating()),
        ("dual-no-smt", made(&[4, 4], 1, 0, 1)),
        ("multi", made(&[10; 4], 2, 0, 2)),
        ("multi-large", made(&[16; 8], 2, 0, 4)),
        ("uncore-single", made(&[16], 1, 4, 1)),
        ("uncore-dual", made(&[8, 8], 1, 4, 1)),
        ("uncore-nodes", made(&[8, 8], 1, 4, 2)),
        ("uncore-smt", made(&[8], 2, 4, 1)),
    ]);
    let text = data("binding/kubelet.txt");
    let mut seen = 0;
    for line in lines(&text) {
        let [machine, options, free, count, expected] = line[..] else { panic!("{line:?}") };
        let kubelet: Kubelet = options.parse().unwrap();
        let given = kubelet.allocate(&machines[machine], &cpus(free), count.parse().unwrap(), None);
        match given {
            Ok(given) => assert_eq!(given.to_string(), expected, "{line:?}"),
            Err(error) => {
                assert_eq!((error.kind(), expected), (ErrorKind::Unsatisfiable, ""), "{line:?}: {error}");
            }
        }
        seen += 1;
    }
    assert!(seen > 40, "{seen} cases");
}

#[test]
fn the_kubelet_follows_a_hint_and_keeps_its_pools_apart() {
    let machine = made(&[4, 4, 4, 4], 1, 0, 2);
    let hint: NodeSet = "2".parse().unwrap();
    let free = cpus("0-1,8-15");
    let take = |options: &str, count: usize| {
        let kubelet: Kubelet = options.parse().unwrap();
        kubelet.allocate(&machine, &free, count, Some(&hint)).unwrap().to_string()
    };
    assert_eq!(take("", 3), "8-10");
    // What the node lacks comes from where the fewest are free; by socket, from the other node of the package.
    assert_eq!(take("", 6), "0-1,8-11");
    assert_eq!(take("align-by-socket", 6), "8-13");
    let (all, reserved, exclusive) = (cpus("0-7"), cpus("0"), cpus("2-3"));
    let pool = |options: &str| {
        options.parse::<Kubelet>().unwrap().shared_pool(&all, &reserved, &exclusive).to_string()
    };
    assert_eq!((pool("").as_str(), pool("strict-cpu-reservation").as_str()), ("0-1,4-7", "1,4-7"));
    for wrong in [
        "full-pcpus-only,distribute-cpus-across-cores",
        "distribute-cpus-across-numa,prefer-align-cpus-by-uncorecache",
        "best-effort",
    ] {
        assert_eq!(wrong.parse::<Kubelet>().unwrap_err().kind(), ErrorKind::InvalidRequest, "{wrong}");
    }
}

#[test]
fn the_kubelet_takes_a_whole_part_that_is_just_as_large_as_the_count() {
    let take = |machine: &Topology, options: &str, free: &str, count: usize| {
        let kubelet: Kubelet = options.parse().unwrap();
        kubelet.allocate(machine, &cpus(free), count, None).unwrap().to_string()
    };
    // The first package lacks a CPU, and would be the first to give single ones.
    assert_eq!(take(&made(&[4, 4], 1, 0, 1), "", "1-7", 4), "4-7");
    // Caches of eight and four CPUs are counted as six each.
    let unequal = made(&[12], 1, 8, 1);
    assert_eq!(take(&unequal, "prefer-align-cpus-by-uncorecache", "0-11", 6), "0-1,8-11");
}

#[test]
fn torchrun_s_own_cases_come_out_alike() {
    let text = data("binding/torchrun.txt");
    assert!(lines(&text).count() >= 8, "{}", lines(&text).count());
    for line in lines(&text) {
        let [machine, allowed, mode, rank, expected] = line[..] else { panic!("{line:?}") };
        let numbers: Vec<usize> = machine.split(' ').map(|number| number.parse().unwrap()).collect();
        let [sockets, nodes, gpus, caches, cores] = numbers[..] else { panic!("{machine}") };
        let host = Made {
            cores: vec![(caches * cores) as u32; sockets * nodes],
            gpus: vec![gpus; sockets * nodes],
            threads: 2,
            siblings_adjacent: true,
            complex: cores,
            nodes_per_package: nodes,
            gpus_on_memory: 0,
            unknown_gpus: 0,
        };
        let allowed = (!allowed.is_empty()).then(|| cpus(allowed));
        let limits = CpuLimits { allowed, ..CpuLimits::default() };
        let policy = format!("torchrun-{mode}").parse().unwrap();
        let shares = share_cpus(&host.topology(), &CpuRules { policy, limits, ..CpuRules::default() });
        let rank: usize = rank.parse().unwrap();
        assert_eq!(shares.gpus[rank].cpus.to_string(), expected, "{line:?}");
    }
    // Where it gives up, something is still done: two GPUs on a node of one core.
    let too_few = Made {
        cores: vec![1, 1],
        gpus: vec![2, 2],
        threads: 2,
        siblings_adjacent: true,
        complex: 1,
        nodes_per_package: 1,
        gpus_on_memory: 0,
        unknown_gpus: 0,
    };
    let policy = "torchrun-exclusive".parse().unwrap();
    let shares = share_cpus(&too_few.topology(), &CpuRules { policy, ..CpuRules::default() });
    assert_eq!(shares.gpus[1].cpus.to_string(), "0-1");
    assert!(shares.remarks[0].contains("torchrun gives up on GPU0"), "{:?}", shares.remarks);
}

#[test]
fn the_division_is_that_of_hwloc_distrib() {
    let text = data("binding/hwloc-distrib.txt");
    let mut machines: BTreeMap<&str, Topology> = BTreeMap::new();
    let mut differing = Vec::new();
    let mut same = 0;
    for line in text.lines() {
        let mut fields = line.split(' ');
        let (file, count) = (fields.next().unwrap(), fields.next().unwrap());
        let expected: Vec<&str> = fields.collect();
        let topology = machines.entry(file).or_insert_with(|| open(file));
        let given = divided(topology, count.parse().unwrap());
        if given == expected {
            same += 1;
        } else {
            differing.push(format!("{file} {count}: {given:?}, and hwloc says {expected:?}"));
        }
    }
    assert_eq!(same + differing.len(), 145);
    assert!(differing.is_empty(), "{same} alike, {} not:\n{}", differing.len(), differing.join("\n"));
}

fn open(file: &str) -> Topology {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(file);
    if file.starts_with("hwloc-xml") {
        return Topology::open(&[Locator::Path(path)]).unwrap();
    }
    crate::sysfs::open(Path::new(file).file_name().unwrap().to_str().unwrap())
}

/// The sets for so many GPUs, wherever they are: the machine's own are taken away.
fn divided(topology: &Topology, count: u32) -> Vec<String> {
    let mut fragment = Fragment::new(Provenance::Preset);
    let mut ids = BTreeMap::from([(NodeId::MACHINE, NodeId::MACHINE)]);
    for (id, node) in topology.nodes().skip(1) {
        let kept = matches!(
            node.kind,
            NodeKind::Package(_)
                | NodeKind::NumaNode(_)
                | NodeKind::Cache(_)
                | NodeKind::Group(_)
                | NodeKind::Core(_)
                | NodeKind::Pu(_)
        );
        let parent = node.parent.and_then(|parent| ids.get(&parent).copied());
        if let (true, Some(parent)) = (kept, parent) {
            ids.insert(id, fragment.add(parent, node.kind.clone()));
        }
    }
    *fragment.machine() = fact!(topology.machine().clone(), isolated_cpus = CpuSet::new());
    for index in 0..count {
        fragment.add(NodeId::MACHINE, Gpu::new(index));
    }
    let bare = TopologyBuilder::new().with(fragment).build().unwrap();
    let rules = CpuRules { policy: "hwloc-distrib".parse().unwrap(), ..CpuRules::default() };
    share_cpus(&bare, &rules).gpus.iter().map(|share| share.cpus.to_string()).collect()
}
