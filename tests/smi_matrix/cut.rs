//! Texts that are cut, or lack a column: where devices are by what is left.

use super::{notes, parse, position, word};
use nvtopo::model::{NoteKind, Stated};
use nvtopo::{CpuRules, Topology, share_cpus};

fn node(topology: &Topology, name: &str) -> Option<String> {
    let device = topology.devices()[position(topology, name).unwrap()];
    topology.local_nodes(device).known().map(ToString::to_string)
}

fn nodes(topology: &Topology) -> Vec<String> {
    let names = (0..topology.devices().len()).map(|device| topology.device_name(device));
    names.map(|name| node(topology, &name).unwrap_or_else(|| "?".to_owned())).collect()
}

/// The CPUs of each GPU by the policy `node`, and what is said of them.
fn cpus(topology: &Topology) -> (Vec<String>, String) {
    let rules = CpuRules { policy: "node".parse().unwrap(), ..CpuRules::default() };
    let shares = share_cpus(topology, &rules);
    (shares.gpus.iter().map(|share| share.cpus.to_string()).collect(), shares.remarks.join("; "))
}

const TWO: &str = "\tGPU0\tGPU1\tNIC0\tNIC1\tNIC2\tCPU Affinity\tNUMA Affinity
GPU0\t X \tNV12\tSYS\tPXB\tPXB\t16-31\t1
GPU1\tNV12\t X \tSYS\tPXB\tPXB\t16-31\t1
";

#[test]
fn nics_without_rows_lie_where_their_gpus_do() {
    for class in ["PIX", "PXB", "PHB", "NODE"] {
        let topology = parse(&TWO.replace("PXB", class));
        assert_eq!(nodes(&topology), ["1", "1", "?", "1", "1"], "{class}");
    }
    // What lies between two of them is unknown all the same.
    let topology = parse(TWO);
    assert_eq!(word(&topology, "NIC1", "NIC2"), None);
    // GPUs of two nodes, as virtual machines show them below one bridge: nobody can tell.
    let torn =
        TWO.replace("GPU1\tNV12\t X \tSYS\tPXB\tPXB\t16-31\t1", "GPU1\tNV12\t X \tSYS\tPXB\tPXB\t0-15\t0");
    assert_eq!(nodes(&parse(&torn))[2..], ["?", "?", "?"]);
    // The nearest tell: a NIC at a switch of one node, which drivers show at NODE from the other too.
    let nearest =
        TWO.replace("GPU1\tNV12\t X \tSYS\tPXB\tPXB\t16-31\t1", "GPU1\tNV12\t X \tSYS\tNODE\tNODE\t0-15\t0");
    assert_eq!(nodes(&parse(&nearest))[2..], ["?", "1", "1"]);
    // Without a node of the GPUs there is none to share.
    let without = TWO.replace("\tNUMA Affinity", "").replace("\t1\n", "\n");
    assert_eq!(nodes(&parse(&without)), ["?"; 5]);
}

/// Eight GPUs of two sockets: `topo -mp`, cut in the row of GPU4.
const HALF: &str = include_str!("../data/topo-m/deepep-8gpu-14nic-pci-only-cut.txt");
/// A driver without a column for NUMA nodes, cut in the rows of the second socket.
const NO_NODES: &str = include_str!("../data/topo-m/p40-8gpu-mlx4-no-numa-column-cut.txt");

#[test]
fn gpus_across_the_socket_get_no_cpus_of_this_one() {
    let topology = parse(HALF);
    let (sets, said) = cpus(&topology);
    assert_eq!(sets, [["0-47,96-143"; 4], [""; 4]].concat());
    assert!(said.contains("near to GPU4, GPU5, GPU6, GPU7 is unknown; all that are known"), "{said}");
    assert_eq!(nodes(&topology)[4..8], ["?"; 4]);
    // Cut in the first row already.
    let first: String = HALF.lines().take(3).map(|line| line.to_owned() + "\n").collect();
    assert_eq!(cpus(&parse(&first)).0, [["0-47,96-143"; 4], [""; 4]].concat(), "{first}");
    assert_eq!(nodes(&parse(&first))[..8], ["0", "0", "0", "0", "?", "?", "?", "?"]);
}

#[test]
fn gpus_nearer_than_sys_share_their_cpus() {
    let (first, second) = ("0-9,20-29", "10-19,30-39");
    let topology = parse(NO_NODES);
    let (sets, said) = cpus(&topology);
    assert_eq!(sets, [[first; 4], [second; 4]].concat());
    assert!(
        said.contains("near to GPU5, GPU6, GPU7 is not stated; those near to the GPUs of the same"),
        "{said}"
    );
    assert!(nodes(&topology)[..8].iter().all(|node| node == "?"));
    // Cut within the list of GPU4, whose CPUs are unknown then, as are those of its neighbours.
    let cut = NO_NODES.trim_end().strip_suffix(",30-39").unwrap();
    let topology = parse(cut);
    assert_eq!(topology.gpus().nth(4).unwrap().cpus, Stated::Unreadable);
    assert_eq!(cpus(&topology).0, [[first; 4], [""; 4]].concat());
    assert!(!notes(&topology, NoteKind::Damage).is_empty());
}

#[test]
fn what_is_known_of_neither_side_is_left() {
    // GPU2 may be beside GPU1, of which it is not said.
    let text = "\tGPU0\tGPU1\tGPU2\tCPU Affinity\nGPU0\t X \tSYS\tSYS\t0-7\nGPU1\tSYS\t X \tN/A\t8-15\n";
    let (sets, said) = cpus(&parse(text));
    assert_eq!(sets, ["0-7", "8-15", "8-15"]);
    assert!(said.contains("but for those near to GPUs of other NUMA nodes"), "{said}");
    // A driver that prints SYS within a node: it tells nothing there.
    let alike = text.replace("8-15", "0-7").replace("N/A", "SYS");
    let (sets, said) = cpus(&parse(&alike));
    assert_eq!(sets, ["0-7"; 3]);
    assert!(said.contains("GPU2 is unknown; all are taken to be"), "{said}");
    // Neighbours of two minds tell nothing either.
    let torn = text.replace("SYS\t0-7", "NODE\t0-7").replace("N/A", "NODE");
    assert_eq!(cpus(&parse(&torn)).0, ["0-7", "8-15", "0-15"]);
}
