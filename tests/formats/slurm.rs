//! Slurm's `gres.conf` and the node's line of `slurm.conf`. `scripts/slurm.sh` has a real Slurm read what is written.

use nvtopo::source::WriteOptions;
use nvtopo::{Result, Topology};

fn written(topology: &Topology, format: &str) -> (String, Vec<String>) {
    let mut options = WriteOptions::default();
    options.node = Some("n1".to_owned());
    let written = topology.write_with(format, &options).unwrap();
    (written.text, written.notes.iter().map(|note| note.text.clone()).collect())
}

/// A machine of a document: two sockets of two cores of two threads, numbered in turn as many servers do, and these GPUs.
fn interleaved(gpus: &str) -> Topology {
    let mut nodes = vec![r#"{"machine":{}}"#.to_owned()];
    for socket in 0..2 {
        let package = nodes.len();
        nodes.push(format!(r#"{{"package":{{"parent":0,"os_index":{socket}}}}}"#));
        let cpus = if socket == 0 { "0,2,4,6" } else { "1,3,5,7" };
        let numa = nodes.len();
        nodes.push(format!(
            r#"{{"numa_node":{{"parent":{package},"os_index":{socket},"cpus":"{cpus}","memory_bytes":4294967296}}}}"#
        ));
        for core in 0..2 {
            let parent = nodes.len();
            nodes.push(format!(r#"{{"core":{{"parent":{numa},"os_index":{core}}}}}"#));
            for thread in 0..2 {
                let cpu = socket + 2 * core + 4 * thread;
                nodes.push(format!(r#"{{"pu":{{"parent":{parent},"os_index":{cpu}}}}}"#));
            }
        }
    }
    let nodes = nodes.join(",");
    let text = format!(
        r#"{{"format":"nvtopo-topology","version":1,"topology":{{"source":"sysfs","nvlink_known":true,"nodes":[{nodes},{gpus}]}}}}"#
    );
    Topology::parse("made", text.as_bytes()).unwrap()
}

#[test]
fn a_dgx_1_has_its_cores_links_and_files() {
    let dgx = Topology::preset("dgx-1-v100").unwrap();
    let (text, _) = written(&dgx, "gres.conf");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(
        lines[3],
        "NodeName=n1 Name=gpu Type=tesla_v100-sxm2-32gb File=/dev/nvidia3 Cores=0-19 Links=2,1,2,-1,0,0,0,1"
    );
    assert!(lines[4].contains(" Cores=20-39 Links=2,0,0,0,-1,1,1,2"), "{}", lines[4]);
    let (node, notes) = written(&dgx, "slurm.conf");
    assert_eq!(
        node,
        "GresTypes=gpu\nNodeName=n1 CPUs=80 Boards=1 SocketsPerBoard=2 CoresPerSocket=20 ThreadsPerCore=2 \
         RealMemory=524288 Gres=gpu:tesla_v100-sxm2-32gb:8\n"
    );
    assert!(notes.iter().any(|note| note.starts_with("RealMemory= is that of the product")), "{notes:?}");
    // The node's lines stand in gres.conf as comments.
    assert!(node.lines().all(|line| text.contains(&format!("#   {line}\n"))), "{text}");
}

#[test]
fn cores_are_numbered_by_sockets_whatever_the_numbers_of_cpus_are() {
    let machine =
        interleaved(r#"{"gpu":{"parent":2,"index":0,"minor":1}},{"gpu":{"parent":10,"index":1,"minor":0}}"#);
    let (text, notes) = written(&machine, "gres.conf");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        [
            "NodeName=n1 Name=gpu File=/dev/nvidia1 Cores=0-1 Links=-1,0",
            "NodeName=n1 Name=gpu File=/dev/nvidia0 Cores=2-3 Links=0,-1",
        ]
    );
    assert_eq!(notes, [""; 0]);
    let (node, _) = written(&machine, "slurm.conf");
    assert!(
        node.ends_with(
            "CPUs=8 Boards=1 SocketsPerBoard=2 CoresPerSocket=2 ThreadsPerCore=2 RealMemory=8192 Gres=gpu:2\n"
        ),
        "{node}"
    );
}

#[test]
fn cores_are_those_of_whole_sockets() {
    // Near this GPU is one core of a socket.
    let machine = interleaved(r#"{"gpu":{"parent":0,"index":0,"minor":0,"cpus":"3,7"}}"#);
    let (text, notes) = written(&machine, "gres.conf");
    assert!(text.contains(" Cores=2-3 "), "{text}");
    assert!(
        notes.len() == 1 && notes[0].contains("numa_node_as_socket") && notes[0].contains("GPU0"),
        "{notes:?}"
    );
}

/// The numbers are those that NVIDIA's guide to MIG lists: gpu1/gi0/access 138, and on.
#[test]
fn instances_are_lines_of_their_own() {
    let machine = interleaved(
        r#"{"gpu":{"parent":2,"index":0,"minor":1,"model":"NVIDIA A100-SXM4-40GB","mig":{"current":true,"pending":true}}},
           {"gpu_instance":{"parent":17,"gpu_instance":1,"compute_instance":0,"profile":"3g.20gb"}},
           {"gpu_instance":{"parent":17,"gpu_instance":9,"compute_instance":0,"profile":"1g.5gb"}},
           {"gpu_instance":{"parent":17}},
           {"gpu":{"parent":10,"index":1,"minor":0,"model":"NVIDIA A100-SXM4-40GB"}}"#,
    );
    let (text, notes) = written(&machine, "gres.conf");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        [
            "NodeName=n1 Name=gpu Type=nvidia_a100_3g.20gb \
             MultipleFiles=/dev/nvidia1,/dev/nvidia-caps/nvidia-cap147,/dev/nvidia-caps/nvidia-cap148 Cores=0-1 Links=-1,0,0",
            "NodeName=n1 Name=gpu Type=nvidia_a100_1g.5gb \
             MultipleFiles=/dev/nvidia1,/dev/nvidia-caps/nvidia-cap219,/dev/nvidia-caps/nvidia-cap220 Cores=0-1 Links=0,-1,0",
            "NodeName=n1 Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia0 Cores=2-3 Links=0,0,-1",
        ]
    );
    assert!(notes.iter().any(|note| note.contains("unknown are left out, of GPU0")), "{notes:?}");
    assert!(
        text.contains(
            "Gres=gpu:nvidia_a100_3g.20gb:1,gpu:nvidia_a100_1g.5gb:1,gpu:nvidia_a100-sxm4-40gb:1\n"
        ),
        "{text}"
    );
}

#[test]
fn what_is_unknown_is_left_out_with_a_note() -> Result<()> {
    let text = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-15\nGPU1\tNV4\t X \t16-31\n";
    let written = Topology::parse("topo.txt", text.as_bytes())?.write("gres.conf")?;
    assert!(written.text.contains("\nName=gpu File=/dev/nvidia0 Links=-1,4\n"), "{}", written.text);
    let notes: Vec<String> = written.notes.iter().map(|note| note.text.clone()).collect();
    assert!(notes.iter().any(|note| note.starts_with("Cores= is left out")), "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with("the numbers of device files")), "{notes:?}");
    Ok(())
}

#[test]
fn names_that_are_none_are_refused() {
    let dgx = Topology::preset("dgx-a100").unwrap();
    for name in ["", "two words", "n1\nName=gpu", "n[1-4]"] {
        let mut options = WriteOptions::default();
        options.node = Some(name.to_owned());
        for format in ["gres.conf", "slurm.conf"] {
            assert!(dgx.write_with(format, &options).is_err(), "{name:?}");
        }
    }
}

/// `nvidia-smi -q` tells no profiles, and a type without one would be that of whole GPUs.
#[test]
fn instances_without_a_profile_have_no_type() {
    let text = std::fs::read(crate::data("smi/a100-sxm4-mig-q-cut.xml")).unwrap();
    let machine = Topology::parse("q.xml", &text).unwrap();
    let (text, notes) = written(&machine, "gres.conf");
    let instances: Vec<&str> = text.lines().filter(|line| line.contains("MultipleFiles=")).collect();
    assert!(!instances.is_empty() && instances.iter().all(|line| !line.contains("Type=")), "{text}");
    assert!(notes.iter().any(|note| note.starts_with("Type= is left out of instances")), "{notes:?}");
}

#[test]
fn parts_of_a_gpu_instance_have_its_type() {
    let machine = interleaved(
        r#"{"gpu":{"parent":2,"index":0,"minor":0,"model":"NVIDIA H100 80GB HBM3","mig":{"current":true,"pending":true}}},
           {"gpu_instance":{"parent":17,"gpu_instance":1,"compute_instance":0,"profile":"1c.3g.40gb"}},
           {"gpu_instance":{"parent":17,"gpu_instance":7,"compute_instance":0,"profile":"1g.10gb+me"}}"#,
    );
    let (text, _) = written(&machine, "slurm.conf");
    assert!(
        text.ends_with("Gres=gpu:nvidia_h100_80gb_hbm3_3g.40gb:1,gpu:nvidia_h100_80gb_hbm3_1g.10gb:1\n"),
        "{text}"
    );
}

#[test]
fn unknown_memory_is_told() {
    let text = "\tGPU0\tCPU Affinity\nGPU0\t X \t0-15\n";
    let machine = Topology::parse("topo.txt", text.as_bytes()).unwrap();
    for format in ["slurm.conf", "gres.conf"] {
        let (text, notes) = written(&machine, format);
        assert!(!text.contains("RealMemory"), "{text}");
        assert!(notes.iter().any(|note| note.starts_with("RealMemory= is left out")), "{notes:?}");
    }
}

/// A matrix lists the CPUs near GPUs alone (6,14,22,30 and the like of 32): they are not all of the machine.
#[test]
fn cpus_near_gpus_are_not_all_of_a_machine() {
    let matrix = "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV6\t6,14,22,30\t3\nGPU1\tNV6\t X \t4,12,20,28\t1\n";
    let part = Topology::parse("matrix", matrix.as_bytes()).unwrap();
    assert_eq!((part.cpus().len(), part.lists_all_cpus()), (8, false));
    let (text, notes) = written(&part, "slurm.conf");
    assert!(!text.contains("CPUs="), "{text}");
    assert!(notes.iter().any(|note| note.contains("no source lists all CPUs")), "{notes:?}");
    // Another source lists the others.
    let rest: Vec<String> = (0..8)
        .map(|node| {
            let cpus =
                (0..4).map(|cpu| (8 * cpu + (node * 5 + 7) % 8).to_string()).collect::<Vec<_>>().join(" ");
            format!("node {node} cpus: {cpus}\nnode {node} size: 1000 MB\n")
        })
        .collect();
    let all = format!("available: 8 nodes (0-7)\n{}", rest.concat());
    let whole = Topology::parse("numactl", all.as_bytes()).unwrap();
    assert!(whole.lists_all_cpus());
    let (text, _) = written(&whole, "slurm.conf");
    assert!(text.contains(" CPUs=32 "), "{text}");
}
