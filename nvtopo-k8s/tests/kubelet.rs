//! The kubelet's configuration of each preset, and what is found in files of it.

use nvtopo::source::PRESETS;
use nvtopo::{Bytes, CpuSet, Topology};
use nvtopo_k8s::Version;
use nvtopo_k8s::kubelet::config::{ConfigOptions, KubeletConfig};
use nvtopo_k8s::kubelet::lint::{Findings, LintOptions, Severity, lint};
use nvtopo_k8s::kubelet::predict::{Configured, Pod, Policy, Predictor, Scope, Settings, Taken};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "tests", "data", "k8s", "kubelet", name].iter().collect()
}

fn config(topology: &Topology, version: Version) -> KubeletConfig {
    KubeletConfig::of(topology, &ConfigOptions::default().version(version)).unwrap()
}

/// `NVTOPO_UPDATE=1` writes the files anew, to be read before they are committed.
#[test]
fn configurations_of_presets_are_those_that_were_signed() {
    let mut different = Vec::new();
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        let text = config(&topology, Version::NEWEST).to_yaml();
        let path = data(&format!("{}.yaml", preset.name));
        if std::env::var_os("NVTOPO_UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            different.push(format!("{}:\n{text}", path.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

fn findings(text: &str, options: &LintOptions<'_>) -> Findings {
    lint("kubelet.yaml", text, options).unwrap()
}

/// Mebibytes of a quantity such as `3584Mi` or `2Gi`.
fn mebibytes(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap();
    let number = |text: &str| text.parse::<u64>().unwrap();
    match text.strip_suffix("Gi") {
        Some(count) => number(count) * 1024,
        None => number(text.strip_suffix("Mi").unwrap()),
    }
}

/// Checks the invariants of every configuration, whatever the machine.
fn check(topology: &Topology, config: &KubeletConfig, version: Version, what: &str) {
    let text = config.to_yaml();
    let value = config.value();
    let comments = text.lines().filter(|line| line.trim_start().starts_with('#'));
    assert!(comments.into_iter().all(|line| line.chars().count() <= 110), "{what}: {text}");
    // The comments aside, text and value are one.
    let read: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(read, value, "{what}");
    let found = findings(&text, &LintOptions::default().version(version).topology(topology));
    assert_eq!(found.iter().len(), 0, "{what}: {}\n{text}", found.to_text());
    if let Some(reserved) = value["reservedSystemCPUs"].as_str() {
        let reserved: CpuSet = reserved.parse().unwrap();
        assert_eq!(&reserved, config.reserved_cpus());
        assert!(reserved.is_subset(&topology.cpus()) && reserved != topology.cpus() && !reserved.is_empty());
    } else {
        assert!(value["systemReserved"]["cpu"].is_string(), "{what}: static needs reserved CPUs: {text}");
    }
    if let Some(items) = value["reservedMemory"].as_array() {
        let sum: u64 = items.iter().map(|item| mebibytes(&item["limits"]["memory"])).sum();
        let kept = [
            &value["kubeReserved"]["memory"],
            &value["systemReserved"]["memory"],
            &value["evictionHard"]["memory.available"],
        ];
        assert_eq!(sum, kept.into_iter().map(mebibytes).sum::<u64>(), "{what}");
    }
    // Each line of settings has a comment above it, or is in a group that has.
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate().skip(1) {
        let top = line.starts_with(|c: char| c.is_ascii_lowercase()) && !line.starts_with("kind:");
        if top && !line.starts_with("apiVersion:") {
            let inner = lines.get(number + 1).is_some_and(|next| next.trim_start().starts_with('#'));
            assert!(lines[number - 1].starts_with('#') || inner, "{what}: {line}");
        }
    }
}

#[test]
fn configurations_of_all_presets_and_versions_hold_what_they_say() {
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        for version in Version::all() {
            let config = config(&topology, version);
            check(&topology, &config, version, &format!("{} {version}", preset.name));
            assert!(config.versions().any(|own| own == version));
            let alpha = ConfigOptions::default().version(version).alpha(true).isolated_cores(0);
            let alpha = KubeletConfig::of(&topology, &alpha).unwrap();
            check(&topology, &alpha, version, &format!("{} {version} alpha", preset.name));
        }
    }
}

#[test]
fn versions_with_the_same_configuration_are_told() {
    let topology = Topology::preset("dgx-h100").unwrap();
    let mut seen: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    for version in Version::all() {
        let config = config(&topology, version);
        seen.entry(config.value().to_string()).or_default().push(version);
        let told: Vec<Version> = config.versions().collect();
        for other in Version::all() {
            let same = self::config(&topology, other).value() == config.value();
            assert_eq!(told.contains(&other), same, "{version} and {other}");
        }
    }
    assert!(seen.len() > 1);
}

/// A machine by its recorded `/sys`-like text of hwloc or of `topo -m`.
fn parsed(text: &str) -> Topology {
    Topology::parse("topo.txt", text.as_bytes()).unwrap()
}

#[test]
fn cores_are_whole_and_of_each_socket() {
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        for cores in [1, 2, 3, 5, 8] {
            let options = ConfigOptions::default().reserved_cores(cores);
            let config = KubeletConfig::of(&topology, &options).unwrap();
            check(&topology, &config, Version::NEWEST, &format!("{} {cores}", preset.name));
            let whole = nvtopo::Kubelet { full_pcpus_only: true, ..Default::default() };
            // The kubelet's own packing gives all the rest as whole cores.
            let rest = topology.cpus().difference(config.reserved_cpus());
            assert_eq!(whole.allocate(&topology, &rest, rest.len(), None).unwrap(), rest, "{}", preset.name);
        }
    }
}

#[test]
fn single_numa_node_is_never_set() {
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        for gpus in 1..=topology.gpus().len() {
            let options = ConfigOptions::default().largest_pod(gpus);
            let config = KubeletConfig::of(&topology, &options).unwrap();
            let value = config.value();
            assert_ne!(value["topologyManagerPolicy"], "single-numa-node");
            let found =
                findings(&config.to_yaml(), &LintOptions::default().topology(&topology).largest_pod(gpus));
            assert_eq!(found.iter().len(), 0, "{}", found.to_text());
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let topology = Topology::preset("dgx-h100").unwrap();
    let refused = |options: ConfigOptions| KubeletConfig::of(&topology, &options).unwrap_err().to_string();
    let plain = ConfigOptions::default;
    for (options, said) in [
        (plain().reserved_cores(0), "needs a core"),
        (plain().reserved_cores(112), "leave none"),
        (plain().reserved_cores(usize::MAX / 2), "leave none"),
        (plain().reserved_memory(Bytes(1 << 30)), "none is left"),
        (plain().reserved_memory(Bytes(2 << 40)), "leave too little"),
        (plain().huge_pages(["1GiB:2000".parse().unwrap()]), "leave too little"),
        (plain().huge_pages(["3MiB:1".parse().unwrap()]), "no huge pages"),
        (plain().isolated_cores(112), "leave none"),
        (plain().isolated_cores(4).version("1.32".parse().unwrap()), "strict-cpu-reservation"),
    ] {
        let told = refused(options.clone());
        assert!(told.contains(said), "{options:?}: {told}");
    }
}

#[test]
fn isolated_cores_are_kept_from_all_pods() {
    let topology = Topology::preset("dgx-h100").unwrap();
    let config = KubeletConfig::of(&topology, &ConfigOptions::default().isolated_cores(4)).unwrap();
    check(&topology, &config, Version::NEWEST, "isolated");
    let line = config.command_line().to_string();
    let isolated: CpuSet = line.split("isolcpus=").nth(1).unwrap().parse().unwrap();
    assert_eq!((isolated.len(), config.reserved_cpus().len()), (8, 24));
    assert!(isolated.is_subset(config.reserved_cpus()) && !isolated.contains(0));
    assert_eq!(config.value()["cpuManagerPolicyOptions"]["strict-cpu-reservation"], "true");
}

#[test]
fn texts_give_what_they_know() {
    let text = "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV12\t0-15,32-47\t0\nGPU1\tNV12\t X \t16-31,48-63\t1\n";
    let topology = parsed(text);
    let config = config(&topology, Version::NEWEST);
    check(&topology, &config, Version::NEWEST, "text");
    let left: Vec<&str> = config.left_out().map(|(name, _)| name).collect();
    for name in ["reservedSystemCPUs", "full-pcpus-only", "memoryManagerPolicy and reservedMemory"] {
        assert!(left.contains(&name), "{left:?}");
    }
    assert_eq!(config.value()["topologyManagerPolicy"], "best-effort");
    let without = parsed("\tGPU0\tGPU1\nGPU0\t X \tNV12\nGPU1\tNV12\t X \n");
    let refused = KubeletConfig::of(&without, &ConfigOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("no CPU"), "{refused}");
    let refused = KubeletConfig::of(&topology, &ConfigOptions::default().reserved_memory(Bytes(1 << 36)));
    assert!(refused.is_err());
}

#[test]
fn recorded_texts_never_give_a_configuration_that_lint_complains_of() {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "tests", "data", "topo-m"].iter().collect();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let locator = path.to_str().unwrap().parse().unwrap();
        let Ok(topology) = Topology::open(&[locator]) else { continue };
        for version in [Version::OLDEST, Version::NEWEST] {
            let options = ConfigOptions::default().version(version);
            if let Ok(config) = KubeletConfig::of(&topology, &options) {
                check(&topology, &config, version, &path.display().to_string());
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

/// Machines that hwloc recorded: offline CPUs, holes in cpusets, heterogeneous memory, level 3 caches below NUMA nodes, several
/// packages and nodes without CPUs.
#[test]
fn recorded_machines_give_configurations_that_hold_what_they_say() {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "tests", "data", "hwloc-xml"].iter().collect();
    let (mut seen, mut by_cache, mut aligned) = (0, 0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(topology) = Topology::open(&[path.to_str().unwrap().parse().unwrap()]) else { continue };
        for version in Version::all() {
            let what = format!("{} {version}", path.display());
            let options = ConfigOptions::default().version(version);
            let config = match KubeletConfig::of(&topology, &options) {
                Ok(config) => config,
                Err(error) => panic!("{what}: {error}"),
            };
            check(&topology, &config, version, &what);
            let value = config.value();
            by_cache +=
                usize::from(!value["cpuManagerPolicyOptions"]["prefer-align-cpus-by-uncorecache"].is_null());
            aligned += usize::from(value["topologyManagerPolicy"] != "none");
            seen += 1;
        }
    }
    assert!(seen > 150 && by_cache > 0 && aligned > 0, "{seen} {by_cache} {aligned}");
}

#[test]
fn a_recorded_file_is_read_below_its_own_key() {
    let text = std::fs::read_to_string(data("microshift-single-numa-node.yaml")).unwrap();
    let alone = findings(&text, &LintOptions::default());
    // 500Mi + 500Mi + 100Mi, all on node 0.
    assert_eq!(alone.count(Severity::Error), 0, "{}", alone.to_text());
    assert_eq!(
        alone.to_text(),
        "kubelet.yaml:17:7: warning: evictionHard: as others are named, these defaults do not hold: imagefs.inodesFree: 5%\n  name them too\n"
    );
    let dgx = Topology::preset("dgx-h100").unwrap();
    let found = findings(&text, &LintOptions::default().topology(&dgx).largest_pod(8));
    assert!(found.has_errors());
    for said in [
        "kubelet.yaml:7:7: error: topologyManagerPolicy: a pod of 8 GPUs never starts: no NUMA node has more than 4\n",
        "kubelet.yaml:8:27: error: reservedSystemCPUs: half of the core 0,112 is reserved",
        "  reserve 112-113 too\n",
    ] {
        assert!(found.to_text().contains(said), "{}", found.to_text());
    }
    let json: Value = serde_json::from_str(&found.to_json()).unwrap();
    assert_eq!(json["errors"], found.count(Severity::Error));
    assert_eq!(json["findings"][0]["line"], 7);
}

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

/// Settings, the version of the kubelet, and what is found first; nothing where that is empty.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("cpuManagerPolcy: static\n", "1.37", "3:1: error: cpuManagerPolcy: there is no such field"),
    ("authentication:\n  webhok: {}\n", "1.37", "4:3: error: authentication.webhok: there is no such field"),
    (
        "failCgroupV1: true\n",
        "1.30",
        "3:1: error: failCgroupV1: the kubelet of 1.30 reads this over: it came with 1.31",
    ),
    ("failCgroupV1: true\n", "1.31", ""),
    ("failSwapOn: \"true\"\n", "1.37", "3:13: error: failSwapOn: the text \"true\" is not true or false"),
    ("maxPods: \"110\"\n", "1.37", "3:10: error: maxPods: the text \"110\" is not a whole number"),
    ("syncFrequency: 60\n", "1.37", "3:16: error: syncFrequency: the number 60 is not a time"),
    ("clusterDNS: 10.0.0.1\n", "1.37", "3:13: error: clusterDNS: the text \"10.0.0.1\" is not a list"),
    (
        "cpuManagerPolicy: Static\nreservedSystemCPUs: 0\n",
        "1.37",
        "3:19: error: cpuManagerPolicy: there is no 'Static'",
    ),
    ("memoryManagerPolicy: static\n", "1.37", "3:22: error: memoryManagerPolicy: there is no 'static'"),
    ("topologyManagerScope: node\n", "1.37", "3:23: error: topologyManagerScope: there is no 'node'"),
    ("cpuManagerPolicy: static\n", "1.37", "3:1: error: cpuManagerPolicy: static needs reserved CPUs"),
    ("cpuManagerPolicy: static\nkubeReserved:\n  cpu: \"2\"\n", "1.37", ""),
    (
        "reservedSystemCPUs: 0-1\nkubeReserved:\n  cpu: \"2\"\n",
        "1.37",
        "5:3: warning: kubeReserved.cpu: reservedSystemCPUs takes its place",
    ),
    (
        "cpuManagerPolicyOptions:\n  full-pcpus-only: true\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n",
        "1.37",
        "4:20: error: cpuManagerPolicyOptions.full-pcpus-only: true without quotes is not a text",
    ),
    (
        "cpuManagerPolicyOptions:\n  full-pcpus-only: \"yes\"\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n",
        "1.37",
        "4:20: error: cpuManagerPolicyOptions.full-pcpus-only: the text \"yes\" is not \"true\" or \"false\"",
    ),
    (
        "cpuManagerPolicyOptions:\n  full-pcpu-only: \"true\"\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n",
        "1.37",
        "4:3: error: cpuManagerPolicyOptions.full-pcpu-only: there is no such option",
    ),
    (
        "cpuManagerPolicyOptions:\n  strict-cpu-reservation: \"true\"\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n",
        "1.31",
        "4:3: error: cpuManagerPolicyOptions.strict-cpu-reservation: the kubelet of 1.31 does not know this option",
    ),
    (
        "cpuManagerPolicyOptions:\n  strict-cpu-reservation: \"true\"\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n",
        "1.32",
        "4:3: error: cpuManagerPolicyOptions.strict-cpu-reservation: it is alpha in 1.32",
    ),
    (
        "cpuManagerPolicyOptions:\n  strict-cpu-reservation: \"true\"\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n\
         featureGates:\n  CPUManagerPolicyAlphaOptions: true\n",
        "1.32",
        "",
    ),
    (
        "cpuManagerPolicyOptions:\n  distribute-cpus-across-numa: \"true\"\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n\
         featureGates:\n  CPUManagerPolicyBetaOptions: false\n",
        "1.37",
        "4:3: error: cpuManagerPolicyOptions.distribute-cpus-across-numa: it is beta in 1.37",
    ),
    (
        "cpuManagerPolicyOptions:\n  distribute-cpus-across-numa: \"true\"\n  prefer-align-cpus-by-uncorecache: \"true\"\n\
         cpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n",
        "1.37",
        "5:3: error: cpuManagerPolicyOptions.prefer-align-cpus-by-uncorecache: the kubelet does not start with this beside",
    ),
    (
        "cpuManagerPolicyOptions:\n  distribute-cpus-across-numa: \"false\"\n  prefer-align-cpus-by-uncorecache: \"true\"\n\
         cpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n",
        "1.37",
        "",
    ),
    (
        "cpuManagerPolicyOptions:\n  full-pcpus-only: \"true\"\n",
        "1.37",
        "3:1: error: cpuManagerPolicyOptions: cpuManagerPolicy is none, which takes no options",
    ),
    (
        "topologyManagerPolicyOptions:\n  max-allowable-numa-nodes: \"4\"\ntopologyManagerPolicy: restricted\n\
         cpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n",
        "1.37",
        "4:29: error: topologyManagerPolicyOptions.max-allowable-numa-nodes: the text \"4\" is not a number of 8 or more",
    ),
    (
        "topologyManagerPolicy: single-numa-node\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n\
         cpuManagerPolicyOptions:\n  align-by-socket: \"true\"\nfeatureGates:\n  CPUManagerPolicyAlphaOptions: true\n",
        "1.37",
        "7:3: error: cpuManagerPolicyOptions.align-by-socket: the kubelet does not start with this under",
    ),
    (
        "topologyManagerPolicy: restricted\n",
        "1.37",
        "3:1: warning: topologyManagerPolicy: without cpuManagerPolicy: static, restricted aligns devices and no CPUs",
    ),
    (
        "featureGates:\n  TopologyManager: true\n",
        "1.30",
        "4:3: error: featureGates.TopologyManager: the kubelet of 1.30",
    ),
    ("featureGates:\n  MemoryManager: false\n", "1.31", ""),
    (
        "featureGates:\n  MemoryManager: false\n",
        "1.32",
        "4:18: error: featureGates.MemoryManager: it cannot be switched off",
    ),
    ("memoryManagerPolicy: Static\n", "1.37", "3:1: error: memoryManagerPolicy: Static needs reservedMemory"),
    (
        "memoryManagerPolicy: Static\nevictionHard: {memory.available: \"0\", nodefs.available: 10%, nodefs.inodesFree: 5%, \
         imagefs.available: 15%, imagefs.inodesFree: 5%}\n",
        "1.37",
        "3:1: error: memoryManagerPolicy: Static needs reserved memory",
    ),
    (
        "memoryManagerPolicy: Static\nsystemReserved:\n  memory: 1Gi\nreservedMemory:\n- numaNode: 0\n  limits:\n    memory: 1Gi\n",
        "1.37",
        "6:1: error: reservedMemory: it adds up to 1Gi, and kubeReserved, systemReserved and evictionHard to 1124Mi",
    ),
    (
        "memoryManagerPolicy: Static\nsystemReserved:\n  memory: 1Gi\nreservedMemory:\n- numaNode: 0\n  limits:\n    memory: 1124Mi\n",
        "1.37",
        "",
    ),
    (
        "memoryManagerPolicy: Static\nreservedMemory:\n- numaNode: 0\n  limits:\n    memory: 100Mi\n    hugepages-1Gi: 1Gi\n",
        "1.37",
        "8:5: error: reservedMemory[0].limits.hugepages-1Gi: huge pages are kept by neither",
    ),
    (
        "reservedMemory:\n- numaNode: 0\n  limits:\n    memory: 100Mi\n",
        "1.37",
        "3:1: warning: reservedMemory: without memoryManagerPolicy: Static it does nothing",
    ),
    (
        "systemReserved:\n  memory: 1GiB\n",
        "1.37",
        "4:11: error: systemReserved.memory: \"1GiB\" is no quantity",
    ),
    (
        "systemReserved:\n  hugepages-1Gi: 1Gi\n",
        "1.37",
        "4:3: error: systemReserved.hugepages-1Gi: nothing can be reserved",
    ),
    (
        "evictionSoft:\n  memory.availble: 1Gi\n",
        "1.37",
        "4:3: error: evictionSoft.memory.availble: there is no such signal",
    ),
    (
        "evictionHard:\n  memory.available: 1Gi\n",
        "1.37",
        "3:1: warning: evictionHard: as others are named, these defaults do not hold: nodefs.available: 10%",
    ),
    ("evictionHard:\n  memory.available: 1Gi\nmergeDefaultEvictionSettings: true\n", "1.37", ""),
    (
        "reservedSystemCPUs: 0-3\nsystemReservedCgroup: /system\n",
        "1.37",
        "4:1: error: systemReservedCgroup: the kubelet does not start with this beside reservedSystemCPUs",
    ),
    (
        "kubeReservedCgroup: /runtime\nreservedSystemCPUs: 0-3\n",
        "1.30",
        "3:1: error: kubeReservedCgroup: the kubelet does not start with this beside reservedSystemCPUs",
    ),
    ("kubeReservedCgroup: /runtime\nreservedSystemCPUs: \"\"\n", "1.37", ""),
    (
        "reservedSystemCPUs: 0-3\nenforceNodeAllocatable: [pods, system-reserved]\n",
        "1.37",
        "4:32: error: enforceNodeAllocatable[1]: without systemReservedCgroup the kubelet does not start\n  leave it out: ",
    ),
    (
        "enforceNodeAllocatable: [kube-reserved]\n",
        "1.37",
        "3:26: error: enforceNodeAllocatable[0]: without kubeReservedCgroup the kubelet does not start\n  name the cgroup",
    ),
    ("enforceNodeAllocatable: [kube-reserved]\nkubeReservedCgroup: /kube\n", "1.37", ""),
    ("enforceNodeAllocatable: [kube-reserved-compressible]\nkubeReservedCgroup: /kube\n", "1.32", ""),
    (
        "enforceNodeAllocatable: [kube-reserved-compressible]\nkubeReservedCgroup: /kube\n",
        "1.31",
        "3:26: error: enforceNodeAllocatable[0]: there is no \"kube-reserved-compressible\" to enforce",
    ),
    (
        "enforceNodeAllocatable: [kube-reserved-compressible, kube-reserved]\nkubeReservedCgroup: /kube\n",
        "1.37",
        "3:26: error: enforceNodeAllocatable[0]: the kubelet does not start with this beside kube-reserved",
    ),
    (
        "enforceNodeAllocatable: [pod]\n",
        "1.37",
        "3:26: error: enforceNodeAllocatable[0]: there is no \"pod\"",
    ),
    (
        "enforceNodeAllocatable: [pods, pods]\n",
        "1.37",
        "3:26: error: enforceNodeAllocatable[0]: it is there twice",
    ),
    (
        "enforceNodeAllocatable: [pods, none]\n",
        "1.37",
        "3:32: error: enforceNodeAllocatable[1]: the kubelet does not start",
    ),
    (
        "cgroupsPerQOS: false\n",
        "1.37",
        "3:1: error: cgroupsPerQOS: the kubelet does not start without these cgroups",
    ),
    ("cgroupsPerQOS: false\nenforceNodeAllocatable: [none]\n", "1.37", ""),
    (
        "reservedSystemCPUs: \"0-3, 112-115\"\n",
        "1.37",
        "3:21: error: reservedSystemCPUs: \"0-3, 112-115\" is no list of CPUs, and the kubelet does not start: \" 112-115\" has a blank",
    ),
    (
        "reservedSystemCPUs: \"0-8:2\"\n",
        "1.37",
        "3:21: error: reservedSystemCPUs: \"0-8:2\" is no list of CPUs",
    ),
    ("reservedSystemCPUs: \"5-1\"\n", "1.37", "3:21: error: reservedSystemCPUs: \"5-1\" is no list of CPUs"),
    (
        "reservedSystemCPUs: \"0-3,\"\n",
        "1.37",
        "3:21: error: reservedSystemCPUs: \"0-3,\" is no list of CPUs",
    ),
    (
        "evictionSoft:\n  memory.available: 1Gi\n",
        "1.37",
        "4:3: error: evictionSoft.memory.available: it has no grace period, and the kubelet does not start",
    ),
    ("evictionSoft:\n  memory.available: 1Gi\nevictionSoftGracePeriod: {memory.available: 1m}\n", "1.37", ""),
    (
        "evictionSoft:\n  memory.available: 1Gi\nevictionSoftGracePeriod: {memory.available: 1min}\n",
        "1.37",
        "5:45: error: evictionSoftGracePeriod.memory.available: \"1min\" is no time",
    ),
    (
        "imageGCHighThresholdPercent: 60\nimageGCLowThresholdPercent: 80\n",
        "1.37",
        "4:29: error: imageGCLowThresholdPercent: the kubelet does not start unless imageGCLowThresholdPercent is less than",
    ),
    // The other one is 80 unless it is set.
    (
        "imageGCHighThresholdPercent: 80\n",
        "1.37",
        "3:30: error: imageGCHighThresholdPercent: the kubelet does not start unless",
    ),
    ("imageGCHighThresholdPercent: 81\n", "1.37", ""),
    (
        "imageGCHighThresholdPercent: 101\n",
        "1.37",
        "3:30: error: imageGCHighThresholdPercent: 101 is not between 0 and 100",
    ),
    (
        "shutdownGracePeriod: 10s\nshutdownGracePeriodCriticalPods: 20s\n",
        "1.37",
        "4:34: error: shutdownGracePeriodCriticalPods: it is a part of shutdownGracePeriod and is longer",
    ),
    ("shutdownGracePeriod: 1m\nshutdownGracePeriodCriticalPods: 60s\n", "1.37", ""),
    (
        "shutdownGracePeriod: 500ms\n",
        "1.37",
        "3:22: error: shutdownGracePeriod: it is neither 0 nor a second or more",
    ),
    (
        "memorySwap:\n  swapBehavior: UnlimitedSwap\n",
        "1.37",
        "4:17: error: memorySwap.swapBehavior: there is no \"UnlimitedSwap\"",
    ),
    (
        "featureGates:\n  CPUManagerPolicyBetaOption: true\n",
        "1.37",
        "4:3: warning: featureGates.CPUManagerPolicyBetaOption: this gate is not among those known here, and the kubelet does not start \
         with one that it does not know\n  did you mean CPUManagerPolicyBetaOptions?\n",
    ),
    ("featureGates:\n  AllBeta: false\n", "1.37", ""),
    // A line break in a value makes no line of its own.
    (
        "cpuManagerPolicy: \"x\\nkubelet.yaml:1:1: error\"\n",
        "1.37",
        "3:19: error: cpuManagerPolicy: there is no 'x\\nkubelet.yaml:1:1: error', and",
    ),
];

#[test]
fn unknown_fields_are_all_told_and_the_first_hundred_compared() {
    let slips: Vec<String> =
        (0..30_000).map(|number| format!("cpuManagerPolcy{number:05}: static\n")).collect();
    let slips = slips.concat();
    let found = findings(&format!("{HEAD}cpuManagerPolcy: static\n{slips}"), &LintOptions::default());
    assert_eq!(found.count(Severity::Error), 30_001);
    let near = found
        .iter()
        .filter(|finding| finding.help.as_deref().is_some_and(|help| help.starts_with("did you")));
    assert!((1..=100).contains(&near.count()));
}

#[test]
fn mistakes_are_found_where_they_are() {
    for (settings, version, expected) in MISTAKES {
        let options = LintOptions::default().version(version.parse().unwrap());
        let found = findings(&format!("{HEAD}{settings}"), &options).to_text();
        let expected = if expected.is_empty() { " what is checked here found nothing" } else { expected };
        assert!(found.starts_with(&format!("kubelet.yaml:{expected}")), "{settings} {version}:\n{found}");
        // The same as JSON and below another key.
        let value: Value = serde_saphyr::from_str(&format!("{HEAD}{settings}")).unwrap();
        let json = findings(&value.to_string(), &options);
        assert_eq!(json.iter().len(), findings(&format!("{HEAD}{settings}"), &options).iter().len());
    }
}

#[test]
fn settings_are_found_in_other_files() {
    let plain = LintOptions::default();
    let kubeadm =
        format!("kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\n---\n{HEAD}maxPod: 1\n");
    assert!(findings(&kubeadm, &plain).to_text().starts_with("kubelet.yaml:6:1: error: maxPod: "));
    let openshift = "kind: KubeletConfig\nspec:\n  kubeletConfig:\n    maxPod: 1\n    maxPods: 2\n";
    assert!(findings(openshift, &plain).to_text().starts_with("kubelet.yaml:4:5: error: maxPod: "));
    assert!(findings("maxPods: 2\n", &plain).to_text().contains("there is no kind"));
    let old = "apiVersion: v1\nkind: KubeletConfiguration\nmaxPods: 2\n";
    assert!(findings(old, &plain).to_text().starts_with("kubelet.yaml:1:13: error: apiVersion: "));
    for text in [
        "",
        "a: 1\n",
        "kind: Pod\n",
        "- 1\n",
        "{",
        "kind: KubeletConfiguration\nkind: KubeletConfiguration\n",
    ] {
        assert!(lint("kubelet.yaml", text, &plain).is_err(), "{text}");
    }
}

#[test]
fn machines_are_held_against_files() {
    let gb200 = Topology::preset("gb200-nvl72-tray").unwrap();
    let dgx = Topology::preset("dgx-h100").unwrap();
    let base = "cpuManagerPolicy: static\nreservedSystemCPUs: 0-1,112-113\n";
    for (topology, settings, version, expected) in [
        (&dgx, "reservedSystemCPUs: 0,500\n", "1.37", "there is no CPU 500 on this machine"),
        (&dgx, "reservedSystemCPUs: 0-223\n", "1.37", "all CPUs are reserved"),
        (&dgx, "reservedSystemCPUs: none\n", "1.37", "is no list of CPUs"),
        (
            &dgx,
            "cpuManagerPolicy: static\nreservedSystemCPUs: \"0\"\n",
            "1.37",
            "warning: reservedSystemCPUs: half of the core 0,112",
        ),
        (&dgx, "reservedMemory: [{numaNode: 2, limits: {memory: 1Gi}}]\n", "1.37", "there is no NUMA node 2"),
        (&dgx, "topologyManagerPolicy: restricted\n", "1.37", "a pod of 8 GPUs needs several NUMA nodes"),
        (
            &dgx,
            "topologyManagerPolicy: single-numa-node\n",
            "1.37",
            "warning: topologyManagerPolicy: a pod of 8 GPUs never starts",
        ),
        (
            &gb200,
            "topologyManagerPolicy: best-effort\n",
            "1.37",
            "the kubelet counts 34 NUMA nodes and starts with 8 at most",
        ),
        (&gb200, "topologyManagerPolicy: best-effort\n", "1.36", "pods with devices hang"),
        (&gb200, "memoryManagerPolicy: Static\n", "1.37", "NUMA nodes 2, 10, 18 and 26 are memory of GPUs"),
    ] {
        let version = version.parse().unwrap();
        let base = if settings.contains("reservedSystemCPUs") { "" } else { base };
        let options = LintOptions::default().version(version).topology(topology);
        let found = findings(&format!("{HEAD}{base}{settings}"), &options).to_text();
        assert!(found.contains(expected), "{settings}: {found}");
    }
}

/// The kubelet, as it is predicted, takes the configuration and admits pods of each size on the empty machine.
#[test]
fn pods_of_each_size_are_admitted_under_the_configuration() {
    let mut predicted = 0;
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        let count = topology.gpus().len();
        for largest in 1..=count {
            let options = ConfigOptions::default().largest_pod(largest);
            let text = KubeletConfig::of(&topology, &options).unwrap().to_yaml();
            let configured = Configured::from_yaml("kubelet.yaml", &text).unwrap();
            let predictor =
                Predictor::new(&topology, configured.settings.clone(), &Taken::default()).unwrap();
            for gpus in 1..=largest {
                for cpus in [0, 2 * gpus] {
                    let pod = Pod::gpus(gpus as u64, cpus as u64);
                    let answer = predictor.predict(&pod, configured.policy, configured.scope).unwrap();
                    let what = format!("{} of {largest}: {gpus} GPUs, {cpus} CPUs", preset.name);
                    assert!(answer.verdict.is_admitted(), "{what}: {:?}", answer.verdict);
                    predicted += 1;
                }
            }
        }
        // What lint says of the other policy is so: the largest pod never starts.
        let most = (1..=count).rev().find(|gpus| {
            let options = LintOptions::default().topology(&topology).largest_pod(*gpus);
            let text = format!("{HEAD}topologyManagerPolicy: single-numa-node\n");
            !findings(&text, &options).to_text().contains("never starts")
        });
        let predictor = Predictor::new(&topology, Settings::default(), &Taken::default());
        let Ok(predictor) = predictor else { continue };
        for gpus in 1..=count {
            let answer =
                predictor.predict(&Pod::gpus(gpus as u64, 0), Policy::SingleNumaNode, Scope::Pod).unwrap();
            assert_eq!(answer.verdict.is_admitted(), Some(gpus) <= most, "{}: {gpus}", preset.name);
        }
    }
    assert!(predicted > 300, "{predicted}");
}
