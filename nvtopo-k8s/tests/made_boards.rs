//! The kubelet's configuration of made machines: one thread or two, CPUs that are off, nodes without CPUs or memory, isolated CPUs,
//! odd numbers of cores, one NUMA node or many.

use nvtopo::{CpuSet, Topology};
use nvtopo_k8s::Version;
use nvtopo_k8s::kubelet::config::{ConfigOptions, KubeletConfig};
use nvtopo_k8s::kubelet::lint::{Findings, LintOptions, lint};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A machine: what its sockets and NUMA nodes are, and what is peculiar about it.
#[derive(Clone, Debug)]
struct Board {
    sockets: usize,
    nodes: usize,
    cores: usize,
    threads: usize,
    /// GPUs of each NUMA node, by turns.
    gpus: Vec<usize>,
    /// Mebibytes of each node; `None`: unknown.
    memory: Option<u64>,
    caches: usize,
    off: CpuSet,
    isolated: CpuSet,
    /// A node without CPUs: memory of a GPU.
    of_gpu: bool,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            sockets: 2,
            nodes: 1,
            cores: 16,
            threads: 2,
            gpus: vec![4],
            memory: Some(512 << 10),
            caches: 1,
            off: CpuSet::new(),
            isolated: CpuSet::new(),
            of_gpu: false,
        }
    }
}

impl Board {
    /// The machine as a document of nvtopo. Second threads are numbered behind all first ones.
    fn topology(&self) -> Topology {
        let all = self.sockets * self.nodes * self.cores;
        let mut nodes =
            vec![json!({"machine": {"product": "made", "isolated_cpus": self.isolated.to_string()}})];
        if self.isolated.is_empty() {
            nodes[0] = json!({"machine": {"product": "made"}});
        }
        let mut add = |node: Value| {
            nodes.push(node);
            nodes.len() - 1
        };
        let (mut core, mut number, mut gpu) = (0, 0, 0);
        for socket in 0..self.sockets {
            let package = add(json!({"package": {"parent": 0, "os_index": socket, "model": "Intel"}}));
            for _ in 0..self.nodes {
                let cpus: Vec<Vec<usize>> = (core..core + self.cores)
                    .map(|core| (0..self.threads).map(|thread| core + thread * all).collect())
                    .collect();
                let on = |cpu: &usize| !self.off.contains(u32::try_from(*cpu).unwrap());
                let list = |cores: &[Vec<usize>]| -> String {
                    let cpus = cores.iter().flatten().copied().filter(on);
                    cpus.map(|cpu| u32::try_from(cpu).unwrap()).collect::<CpuSet>().to_string()
                };
                let mut numa = json!({"parent": package, "os_index": number, "cpus": list(&cpus)});
                if let Some(memory) = self.memory {
                    numa["memory_bytes"] = json!(memory << 20);
                }
                let node = add(json!({"numa_node": numa}));
                for cores in cpus.chunks(self.cores.div_ceil(self.caches)) {
                    let cache = list(cores);
                    if !cache.is_empty() {
                        let cache = json!({"parent": node, "level": 3, "holds": "unified", "cpus": cache});
                        add(json!({"cache": cache}));
                    }
                }
                for (index, threads) in cpus.iter().enumerate() {
                    if threads.iter().any(on) {
                        let own = add(json!({"core": {"parent": node, "os_index": index}}));
                        for cpu in threads.iter().filter(|cpu| on(cpu)) {
                            add(json!({"pu": {"parent": own, "os_index": cpu}}));
                        }
                    }
                }
                for _ in 0..self.gpus[number % self.gpus.len()] {
                    add(json!({"gpu": {"parent": node, "index": gpu}}));
                    gpu += 1;
                }
                core += self.cores;
                number += 1;
            }
        }
        if self.of_gpu {
            let own =
                json!({"parent": 0, "os_index": number, "memory_bytes": 1u64 << 36, "gpu": "0009:01:00.0"});
            add(json!({"numa_node": own}));
        }
        let document = json!({
            "format": "nvtopo-topology",
            "version": 1,
            "topology": {"origin": {"preset": "made"}, "source": "preset", "nvlink_known": true, "nodes": nodes, "links": []},
        });
        Topology::parse("made.json", document.to_string().as_bytes()).unwrap()
    }
}

fn config(topology: &Topology, version: Version) -> KubeletConfig {
    KubeletConfig::of(topology, &ConfigOptions::default().version(version)).unwrap()
}

fn findings(config: &KubeletConfig, topology: &Topology, version: Version) -> Findings {
    let options = LintOptions::default().version(version).topology(topology);
    lint("kubelet.yaml", &config.to_yaml(), &options).unwrap()
}

#[test]
fn cores_of_one_thread_need_no_option() {
    let topology = Board { threads: 1, ..Board::default() }.topology();
    let config = config(&topology, Version::NEWEST);
    assert!(config.value()["cpuManagerPolicyOptions"]["full-pcpus-only"].is_null());
    assert_eq!(config.reserved_cpus().to_string(), "0,16");
}

#[test]
fn cores_with_a_thread_that_is_off_are_told() {
    let topology = Board { off: "40".parse().unwrap(), ..Board::default() }.topology();
    let config = config(&topology, Version::NEWEST);
    let why = config.left_out().find(|(name, _)| *name == "full-pcpus-only").unwrap().1;
    assert!(why.contains("different numbers of threads"), "{why}");
    assert_eq!(findings(&config, &topology, Version::NEWEST).iter().len(), 0);
}

#[test]
fn level_3_caches_decide_where_pods_fit_on_a_node() {
    let board = Board { caches: 4, gpus: vec![1, 0], ..Board::default() };
    let value = |version: &str| config(&board.topology(), version.parse().unwrap()).value();
    assert_eq!(value("1.37")["cpuManagerPolicyOptions"]["prefer-align-cpus-by-uncorecache"], "true");
    assert_eq!(value("1.37")["topologyManagerPolicy"], "restricted");
    assert!(value("1.33")["cpuManagerPolicyOptions"]["prefer-align-cpus-by-uncorecache"].is_null());
    // Where pods span nodes, the option that excludes it is on.
    let spanning = config(&Board { caches: 4, ..Board::default() }.topology(), Version::NEWEST);
    let options = &spanning.value()["cpuManagerPolicyOptions"];
    assert_eq!(options["distribute-cpus-across-numa"], "true");
    assert!(options["prefer-align-cpus-by-uncorecache"].is_null());
    assert!(
        spanning.left_out().any(|(name, why)| name.starts_with("prefer-align") && why.contains("excludes"))
    );
}

#[test]
fn many_nodes_are_allowed_where_the_kubelet_can_be_told() {
    let board = Board { nodes: 6, cores: 2, ..Board::default() };
    let value = |version: &str| config(&board.topology(), version.parse().unwrap()).value();
    assert_eq!(value("1.30")["topologyManagerPolicy"], "none");
    assert_eq!(value("1.31")["topologyManagerPolicyOptions"]["max-allowable-numa-nodes"], "12");
}

#[test]
fn isolated_cpus_are_kept_from_pods_where_they_can_be() {
    let topology = Board { isolated: "4-5,36-37".parse().unwrap(), ..Board::default() }.topology();
    let kept = config(&topology, Version::NEWEST);
    assert!(topology.machine().isolated_cpus.is_subset(kept.reserved_cpus()));
    assert_eq!(kept.command_line().to_string(), "iommu=pt isolcpus=4-5,36-37");
    assert_eq!(findings(&kept, &topology, Version::NEWEST).iter().len(), 0);
    // Before strict-cpu-reservation they are in the shared pool, which lint says of the same file.
    let old: Version = "1.31".parse().unwrap();
    let before = config(&topology, old);
    assert!(before.to_yaml().contains("Take isolcpus off the command line"));
    let found = findings(&before, &topology, old).to_text();
    assert!(
        found.contains("the kernel isolates CPUs 4-5,36-37 (isolcpus), and the shared pool has them"),
        "{found}"
    );
    // Most of the machine is not kept from pods.
    let most = Board { isolated: "2-63".parse().unwrap(), ..Board::default() }.topology();
    assert!(config(&most, Version::NEWEST).to_yaml().contains("Take isolcpus off the command line"));
}

#[test]
fn the_memory_of_gpus_is_not_handed_out() {
    let topology = Board { of_gpu: true, ..Board::default() }.topology();
    let value = config(&topology, Version::NEWEST).value();
    assert!(value["memoryManagerPolicy"].is_null() && value["reservedMemory"].is_null());
    assert_eq!(value["topologyManagerPolicyOptions"]["max-allowable-numa-nodes"], "10");
    assert_eq!(config(&topology, "1.36".parse().unwrap()).value()["topologyManagerPolicy"], "none");
}

#[test]
fn small_virtual_machines_keep_little() {
    let board = Board { sockets: 1, cores: 2, gpus: vec![1], memory: Some(8 << 10), ..Board::default() };
    let config = config(&board.topology(), Version::NEWEST);
    let value = config.value();
    assert_eq!(config.reserved_cpus().to_string(), "0,2");
    assert_eq!(value["topologyManagerPolicy"], "none");
    assert_eq!(value["reservedMemory"][0]["limits"]["memory"], "640Mi");
    let tiny = Board { memory: Some(256), ..board.clone() }.topology();
    assert!(KubeletConfig::of(&tiny, &ConfigOptions::default()).is_err());
    let single = Board { cores: 1, threads: 1, ..board }.topology();
    assert!(
        KubeletConfig::of(&single, &ConfigOptions::default()).unwrap_err().to_string().contains("leave none")
    );
}

fn boards() -> impl Strategy<Value = Board> {
    let size = (1usize..4, 1usize..5, 1usize..7, 1usize..3);
    let memory = prop_oneof![Just(None), (4096u64..1 << 20).prop_map(Some)];
    let some = proptest::collection::vec(0u32..64, 0..4);
    (size, proptest::collection::vec(0usize..4, 1..5), memory, 1usize..4, some.clone(), some, any::<bool>())
        .prop_filter_map("at least two cores", |(size, gpus, memory, caches, off, isolated, of_gpu)| {
            let (sockets, nodes, cores, threads) = size;
            let all = u32::try_from(sockets * nodes * cores * threads).unwrap();
            let within = |cpus: Vec<u32>| cpus.into_iter().filter(|cpu| *cpu < all).collect::<CpuSet>();
            // A node keeps its first core, and an isolated CPU is on.
            let first = |cpu: u32| (cpu as usize % (sockets * nodes * cores)).is_multiple_of(cores);
            let off: CpuSet = within(off).iter().filter(|cpu| !first(*cpu)).collect();
            let isolated = within(isolated).difference(&off);
            let enough = sockets * nodes * (cores - 1) + 1 > 4;
            enough.then_some(Board {
                sockets,
                nodes,
                cores,
                threads,
                gpus,
                memory,
                caches,
                off,
                isolated,
                of_gpu,
            })
        })
}

proptest! {
    #[test]
    fn configurations_of_any_board_hold_what_they_say(
        board in boards(),
        minor in 30u8..38,
        alpha in any::<bool>(),
        cores in proptest::option::of(1usize..4),
    ) {
        let topology = board.topology();
        let version = Version::minor(minor).unwrap();
        let mut options = ConfigOptions::default().version(version).alpha(alpha);
        options.reserved_cores = cores;
        // Few cores may all be kept, and that is refused.
        let Ok(config) = KubeletConfig::of(&topology, &options) else { return Ok(()) };
        let value = config.value();
        let reserved: CpuSet = value["reservedSystemCPUs"].as_str().unwrap().parse().unwrap();
        prop_assert_eq!(&reserved, config.reserved_cpus());
        prop_assert!(!reserved.is_empty() && reserved.is_subset(&topology.cpus()) && reserved != topology.cpus());
        // Whole cores, so many as were asked for, and those that are isolated.
        let line = config.command_line().to_string();
        let all = u32::try_from(board.sockets * board.nodes * board.cores).unwrap();
        let core = |cpu: u32| [cpu % all, cpu % all + all].into_iter().collect::<CpuSet>();
        let kept = if line.contains("isolcpus=") { board.isolated.clone() } else { CpuSet::new() };
        let kept = kept.iter().fold(CpuSet::new(), |kept, cpu| kept.union(&core(cpu)));
        let own = reserved.difference(&kept);
        for cpu in own.iter() {
            let siblings = core(cpu).intersection(&topology.cpus());
            prop_assert!(siblings.is_subset(&own), "{}", config.to_yaml());
        }
        if let Some(cores) = cores {
            let count = own.iter().map(|cpu| cpu % all).collect::<CpuSet>().len();
            prop_assert_eq!(count, cores);
        }
        // Isolated CPUs are in the command line only where no pod can run on them.
        if let Some(isolated) = line.split("isolcpus=").nth(1) {
            prop_assert!(isolated.parse::<CpuSet>().unwrap().is_subset(&reserved));
            prop_assert_eq!(&value["cpuManagerPolicyOptions"]["strict-cpu-reservation"], "true");
        }
        let found = findings(&config, &topology, version).to_text();
        // Only what was isolated before, and is not to stay so, is complained of.
        let expected = config.to_yaml().contains("Take isolcpus off");
        let lines = found.lines().filter(|line| line.starts_with("kubelet.yaml:") && !line.contains("found nothing"));
        for line in lines {
            let known = line.contains(": warning: ") && line.contains("(isolcpus)");
            prop_assert!(expected && known, "{} in\n{}", line, config.to_yaml());
        }
        let read: Value = serde_saphyr::from_str(&config.to_yaml()).unwrap();
        prop_assert_eq!(read, value);
    }

    #[test]
    fn damaged_files_are_read_or_refused(at in 0usize..4000, length in 0usize..60, text in "[ -~\\n]{0,20}") {
        let topology = Board::default().topology();
        let file = config(&topology, Version::NEWEST).to_yaml();
        let (from, to) = (at.min(file.len()), (at + length).min(file.len()));
        let damaged = format!("{}{text}{}", &file[..from], &file[to..]);
        let options = LintOptions::default().topology(&topology);
        if let Ok(found) = lint("kubelet.yaml", &damaged, &options) {
            let lines = damaged.lines().count();
            prop_assert!(found.iter().all(|finding| (1..=lines).contains(&finding.line)), "{}", found.to_text());
        }
    }
}
