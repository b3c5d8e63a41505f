//! The outputs of `lscpu`.

use nvtopo::model::{CacheKind, NodeKind, NoteCode, Stated};
use nvtopo::{CpuSet, Topology};
use std::collections::BTreeMap;

fn recorded(name: &str) -> Topology {
    let bytes = std::fs::read(super::data("numa").join(name)).unwrap();
    Topology::parse(name, &bytes).unwrap_or_else(|error| panic!("{error}"))
}

fn read(text: &str) -> Topology {
    Topology::parse("lscpu", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// The CPUs of each package and of each core.
fn packages_and_cores(topology: &Topology) -> (BTreeMap<u32, CpuSet>, Vec<CpuSet>) {
    let (mut packages, mut cores) = (BTreeMap::<u32, CpuSet>::new(), BTreeMap::<usize, CpuSet>::new());
    for (_, node) in topology.nodes() {
        let NodeKind::Pu(pu) = &node.kind else { continue };
        let mut above = node.parent;
        while let Some(id) = above {
            match &topology.node(id).kind {
                NodeKind::Package(package) => {
                    _ = packages.entry(package.os_index).or_default().insert(pu.os_index);
                }
                NodeKind::Core(_) => _ = cores.entry(id.index()).or_default().insert(pu.os_index),
                _ => {}
            }
            above = topology.node(id).parent;
        }
    }
    (packages, cores.into_values().collect())
}

fn node_cpus(topology: &Topology) -> Vec<(u32, String)> {
    topology.numa_nodes().map(|node| (node.os_index, node.cpus.to_string())).collect()
}

fn noted(topology: &Topology, code: NoteCode, words: &str) -> bool {
    topology.notes().iter().any(|note| note.code() == code && note.text.contains(words))
}

#[test]
fn the_gaps_in_the_lists_of_nodes_tell_the_threads_of_cores() {
    let topology = recorded("lscpu-epyc-nps4-8node-excerpt.txt");
    let expected: Vec<(u32, String)> = (0..8u32)
        .map(|node| {
            let first = node * 16;
            (node, format!("{first}-{},{}-{}", first + 15, first + 128, first + 143))
        })
        .collect();
    assert_eq!(node_cpus(&topology), expected);
    let (packages, cores) = packages_and_cores(&topology);
    assert_eq!(
        packages.values().map(ToString::to_string).collect::<Vec<_>>(),
        ["0-63,128-191", "64-127,192-255"]
    );
    assert_eq!(cores.len(), 128);
    assert!((0..).zip(&cores).all(|(cpu, core)| *core == [cpu, cpu + 128].into_iter().collect()));
    assert!(noted(&topology, NoteCode::Inferred, "4 NUMA nodes each"));
    assert!(noted(&topology, NoteCode::Inferred, "128 apart"));
}

#[test]
fn a_summary_without_threads_has_a_core_for_each_cpu() {
    let topology = recorded("lscpu-xeon6338-a100-node-interleaved.txt");
    let even: CpuSet = (0..64).step_by(2).collect();
    let odd: CpuSet = (1..64).step_by(2).collect();
    assert_eq!(node_cpus(&topology), [(0, even.to_string()), (1, odd.to_string())]);
    let (packages, cores) = packages_and_cores(&topology);
    assert_eq!(packages, BTreeMap::from([(0, even), (1, odd)]));
    assert_eq!(cores.len(), 64);
    let models: Vec<_> = topology
        .nodes()
        .filter_map(|(_, node)| match &node.kind {
            NodeKind::Package(package) => package.model.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(models, ["Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz"; 2]);
    assert!(noted(&topology, NoteCode::Inferred, "a NUMA node each"));
}

#[test]
fn cpus_that_are_off_are_no_cpus_of_the_machine() {
    let topology = recorded("lscpu-jetson-nano-offline.txt");
    assert_eq!(topology.cpus().to_string(), "0-1");
    assert_eq!(topology.machine().offline_cpus.to_string(), "2-3");
    let (packages, cores) = packages_and_cores(&topology);
    assert_eq!((packages[&0].to_string().as_str(), cores.len()), ("0-1", 2));
    assert_eq!(topology.machine().hypervisor, Stated::Unstated);
}

#[test]
fn a_table_tells_packages_cores_and_caches() {
    let topology = recorded("lscpu-x5650-summary-and-p-table.txt");
    let (packages, cores) = packages_and_cores(&topology);
    assert_eq!(
        packages.values().map(ToString::to_string).collect::<Vec<_>>(),
        ["0,2,4,6,8,10", "1,3,5,7,9,11"]
    );
    assert_eq!(cores.len(), 12);
    assert_eq!(node_cpus(&topology), [(0, "0,2,4,6,8,10".to_owned()), (1, "1,3,5,7,9,11".to_owned())]);
    let caches: Vec<_> = topology
        .nodes()
        .filter_map(|(_, node)| if let NodeKind::Cache(cache) = &node.kind { Some(cache) } else { None })
        .collect();
    assert_eq!(caches.len(), 12 * 3 + 2);
    let last = caches.iter().find(|cache| cache.level == 3 && cache.cpus.contains(1)).unwrap();
    assert_eq!((last.cpus.to_string().as_str(), last.size), ("1,3,5,7,9,11", Some(12288 << 10)));
    let first = caches.iter().find(|cache| cache.kind == CacheKind::Data).unwrap();
    assert_eq!((first.level, first.size), (1, Some(32 << 10)));
    assert!(topology.notes().is_empty(), "{:?}", topology.notes());

    let topology = recorded("lscpu-e-i5-9300h-french.txt");
    let (packages, cores) = packages_and_cores(&topology);
    assert_eq!(packages[&0].to_string(), "0-7");
    let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
    assert_eq!(cores, ["0,4", "1,5", "2,6", "3,7"]);
}

#[test]
fn json_is_read_like_the_text() {
    let topology = recorded("lscpu-json-xeon6430.json");
    assert_eq!(node_cpus(&topology), [(0, "0-31".to_owned()), (1, "32-63".to_owned())]);
    let (packages, cores) = packages_and_cores(&topology);
    assert_eq!(packages.values().map(ToString::to_string).collect::<Vec<_>>(), ["0-31", "32-63"]);
    assert_eq!(cores.len(), 64);
    let table = r#"{"cpus": [
      {"cpu":0,"node":0,"socket":0,"core":0,"l1d:l1i:l2:l3":"0:0:0:0","online":true},
      {"cpu":1,"node":0,"socket":0,"core":0,"l1d:l1i:l2:l3":"0:0:0:0","online":true},
      {"cpu":2,"node":null,"socket":null,"core":null,"l1d:l1i:l2:l3":"-","online":false}]}"#;
    let topology = read(table);
    let (_, cores) = packages_and_cores(&topology);
    assert_eq!(cores.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0-1"]);
    assert_eq!(topology.machine().offline_cpus.to_string(), "2");
}

#[test]
fn a_hypervisor_is_that_of_the_machine() {
    let text = "CPU(s): 4\nOn-line CPU(s) list: 0-3\nThread(s) per core: 2\nSocket(s): 1\nHypervisor vendor: KVM\nNUMA node0 CPU(s): 0-3\n";
    let topology = read(text);
    assert_eq!(topology.machine().hypervisor, Stated::Known("KVM".to_owned()));
    // Threads may be neighbours or far apart here.
    assert!(noted(&topology, NoteCode::Unknown, "share a core"));
    assert!(packages_and_cores(&topology).1.is_empty());
    assert_eq!(topology.cpus().len(), 4);
}

#[test]
fn lists_with_an_ellipsis_are_unknown() {
    let topology =
        read("Thread(s) per core: 1\nSocket(s): 2\nNUMA node0 CPU(s): 0-3\nNUMA node1 CPU(s): 4,5...\n");
    assert_eq!(node_cpus(&topology), [(0, "0-3".to_owned()), (1, String::new())]);
    assert!(noted(&topology, NoteCode::TextCut, "line 4"));
    assert!(packages_and_cores(&topology).0.is_empty());
}

#[test]
fn numactl_fills_in_memory_distances_and_nodes_without_cpus() {
    let numactl = "node 0 cpus: 0 1\nnode 0 size: 8 MB\nnode 1 cpus:\nnode 1 size: 16 MB\nnode distances:\nnode 0 1\n0: 10 40\n1: 40 10\n";
    let lscpu = "# CPU,Core,Socket,Node\n0,0,0,0\n1,1,0,0\n";
    for order in [[lscpu, numactl], [numactl, lscpu]] {
        let mut builder = nvtopo::model::TopologyBuilder::new();
        for text in order {
            builder = builder.with(nvtopo::source::parse("tool", text.as_bytes()).unwrap());
        }
        let topology = builder.build().unwrap();
        assert_eq!(node_cpus(&topology), [(0, "0-1".to_owned()), (1, String::new())]);
        let memory: Vec<_> =
            topology.numa_nodes().map(|node| (node.memory, node.distances.clone())).collect();
        assert_eq!(memory, [(Some(8 << 20), vec![(1, 40)]), (Some(16 << 20), vec![(0, 40)])]);
        let (packages, cores) = packages_and_cores(&topology);
        assert_eq!((packages.len(), cores.len()), (1, 2));
        assert!(topology.notes().is_empty(), "{:?}", topology.notes());
    }
}

#[test]
fn cpus_that_the_driver_does_not_tell_are_those_of_the_node() {
    let matrix =
        "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tSYS\tN/A\t1\nGPU1\tSYS\t X \tN/A\tN/A\n";
    let lscpu = "CPU(s): 8\nOn-line CPU(s) list: 0-7\nNUMA node0 CPU(s): 0-3\nNUMA node1 CPU(s): 4-7\n";
    for order in [[matrix, lscpu], [lscpu, matrix]] {
        let texts = order.map(|text| nvtopo::source::parse("tool", text.as_bytes()).unwrap());
        let builder = texts
            .into_iter()
            .fold(nvtopo::model::TopologyBuilder::new(), nvtopo::model::TopologyBuilder::with);
        let topology = builder.build().unwrap();
        let cpus = |gpu: usize| topology.local_cpus(topology.devices()[gpu]);
        assert_eq!((cpus(0), cpus(1)), (Stated::Known("4-7".parse().unwrap()), Stated::NotAvailable));
    }
}

#[test]
fn wrong_text_is_refused_with_its_place() {
    for (text, line, column, words) in [
        ("NUMA node0 CPU(s): 0-x\n", 1, 20, "'0-x'"),
        ("  On-line CPU(s) list:   0-70000\n", 1, 26, "'0-70000'"),
        ("CPU(s): many\nOn-line CPU(s) list: 0\n", 1, 9, "'many'"),
        ("NUMA node0 CPU(s): 0\nNUMA node0 CPU(s): 0\n", 2, 20, "twice"),
        ("CPU NODE SOCKET CORE\n0 0 0 0\n1 0 0 x\n", 3, 7, "'x'"),
        ("CPU NODE SOCKET CORE\n0 0 0 0\n1 0 0\n", 3, 1, "3 fields"),
        ("# CPU,Core,Socket,Node\n0,0,0,0\n0,0,0,0\n", 3, 1, "twice"),
        ("# CPU,Core\n0,70000\n", 2, 3, "'70000'"),
        ("Thread(s) per core: 2\nCore(s) per socket: 2\n", 1, 1, "lists no CPUs"),
        ("{\"lscpu\": [{\n\"field\": ]", 2, 10, "no valid JSON"),
    ] {
        let error = Topology::parse("lscpu", text.as_bytes()).unwrap_err();
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{text}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// Excerpts of published texts: half in Chinese, as `CentOS` prints it, and whole in Chinese and German.
#[test]
fn german_and_chinese_names_are_read() {
    let half = "Architecture:          x86_64\nCPU(s):                128\nOn-line CPU(s) list:   0-127\nThread(s) per core:    2\nCore(s) per socket:    32\n座：                 2\nNUMA 节点：         2\nNUMA 节点0 CPU：    0-31,64-95\nNUMA 节点1 CPU：    32-63,96-127\n";
    let nodes =
        |own: &[&str]| (0..).zip(own.iter().map(|cpus| (*cpus).to_owned())).collect::<Vec<(u32, String)>>();
    let topology = read(half);
    assert_eq!(node_cpus(&topology), nodes(&["0-31,64-95", "32-63,96-127"]));
    let (packages, cores) = packages_and_cores(&topology);
    assert_eq!((packages.len(), cores.len()), (2, 64));
    let german = "    CPU(s):                          32\n    Liste der Online-CPU(s):         0-31\n    Thread(s) pro Kern:              2\n    Kern(e) pro Socket:              8\n    Sockel:                          2\n    NUMA-Knoten:                     2\n    Anbieterkennung:                 GenuineIntel\n    Modellname:                      Intel(R) Xeon(R) CPU E5-2620 v4 @ 2.10GHz\n    NUMA-Knoten0 CPU(s):             0-7,16-23\n    NUMA-Knoten1 CPU(s):             8-15,24-31\n";
    let topology = read(german);
    assert_eq!(node_cpus(&topology), nodes(&["0-7,16-23", "8-15,24-31"]));
    let (packages, cores) = packages_and_cores(&topology);
    assert_eq!((packages.len(), cores.len()), (2, 16));
    let chinese = "CPU 运行模式：                   32-bit, 64-bit\nCPU:                             28\n在线 CPU 列表：                  0-27\n每个核的线程数：                 2\n每个座的核数：                   14\n座：                             1\nNUMA 节点：                      1\n型号名称：                       Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz\nNUMA 节点0 CPU：                 0-27\n";
    let topology = read(chinese);
    assert_eq!((node_cpus(&topology), packages_and_cores(&topology).0.len()), (nodes(&["0-27"]), 1));
    let part = "```\n[root@localhost ~]# lscpu | grep NUMA\nNUMA 节点：                         2\nNUMA 节点0 CPU：                    0-63\nNUMA 节点1 CPU：                    64-127\n```\n";
    assert_eq!(node_cpus(&read(part)), nodes(&["0-63", "64-127"]));

    // Places are those of the input.
    let error = Topology::parse("lscpu", "NUMA 节点0 CPU：  0-x\n".as_bytes()).unwrap_err();
    assert_eq!((error.line(), error.column()), (Some(1), Some(16)), "{error}");
    for other in
        ["Identifiant constructeur :   AuthenticAMD\n", "Nœud NUMA 0 de processeur(s) :   0-7,16-23\n"]
    {
        let error = Topology::parse("lscpu", other.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("LC_ALL=C lscpu"), "{error}");
    }
}

#[test]
fn tags_of_a_web_page_are_no_part_of_values() {
    let page = "<p>$ lscpu<br/>\nCPU(s):                24<br/>\nOn-line CPU(s) list:   0-23<br/>\nNUMA node0 CPU(s):     0-11<br/>\nNUMA node1 CPU(s):     12-23</p>\n";
    let topology = read(page);
    assert_eq!(node_cpus(&topology), [(0, "0-11".to_owned()), (1, "12-23".to_owned())]);
}
