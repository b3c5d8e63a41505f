//! Reading Slurm's `gres.conf`, `slurmd -C`, `slurmd -G` and `scontrol show node`.

use nvtopo::model::{NoteCode, Provenance, Stated};
use nvtopo::source::{PRESETS, WriteOptions, parse};
use nvtopo::{CpuSet, Topology, model::TopologyBuilder};

fn read(text: &str) -> Topology {
    Topology::parse("gres.conf", text.as_bytes()).unwrap()
}

fn recorded(name: &str) -> Topology {
    Topology::parse(name, &std::fs::read(super::data(&format!("slurm/{name}"))).unwrap()).unwrap()
}

fn merged(texts: &[&str]) -> Topology {
    let with = |builder: TopologyBuilder, text: &&str| builder.with(parse("text", text.as_bytes()).unwrap());
    texts.iter().fold(TopologyBuilder::new(), with).build().unwrap()
}

fn notes(topology: &Topology, code: NoteCode) -> Vec<String> {
    let own = topology.notes().iter().filter(|note| note.code() == code);
    own.map(|note| note.text.clone()).collect()
}

fn cpus(topology: &Topology, gpu: usize) -> String {
    match topology.local_cpus(topology.devices()[gpu]) {
        Stated::Known(cpus) => cpus.to_string(),
        other => format!("{other:?}"),
    }
}

fn minors(topology: &Topology) -> Vec<Option<u32>> {
    topology.gpus().map(|gpu| gpu.minor).collect()
}

/// The links of each pair, as a line of numbers for each GPU.
fn links(topology: &Topology) -> Vec<String> {
    let count = topology.gpus().len();
    let row = |a: usize| {
        let cell =
            |b: usize| if a == b { "-".into() } else { topology.pairs().pair(a, b).nvlinks.to_string() };
        (0..count).map(cell).collect::<Vec<_>>().join(" ")
    };
    (0..count).map(row).collect()
}

#[test]
fn files_have_other_numbers_than_places() {
    let machine = recorded("gres-h100-minor-order-differs.conf");
    assert_eq!(minors(&machine), [Some(4), Some(5), Some(6), Some(7)]);
    assert_eq!(machine.gpus().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    // The type is the mark of a template.
    assert!(machine.gpus().all(|gpu| gpu.model.is_none()));
    assert_eq!(links(&machine), ["- 1 1 1", "1 - 1 1", "1 1 - 1", "1 1 1 -"]);
    assert_eq!(cpus(&machine, 0), "Unreadable");
    assert_eq!(notes(&machine, NoteCode::TextCut), ["Links= counts 8 devices, and 4 have a line"]);
    assert_eq!(notes(&machine, NoteCode::CpusUnknown).len(), 1);
    assert!(
        notes(&machine, NoteCode::Unknown)[0].contains("${local.gres_by_platforms"),
        "{:?}",
        machine.notes()
    );
    assert_eq!(machine.node(machine.devices()[0]).provenance, Provenance::Scheduler);
}

#[test]
fn groups_of_links_stay_apart() {
    let machine = recorded("gres-tesla-links-groups.conf");
    assert_eq!(
        links(&machine),
        [
            "- 2 2 0 0 0 0 0",
            "2 - 2 0 0 0 0 0",
            "2 2 - 0 0 0 0 0",
            "0 0 0 - 0 1 0 0",
            "0 0 0 0 - 1 0 0",
            "0 0 0 1 1 - 0 0",
            "0 0 0 0 0 0 - 2",
            "0 0 0 0 0 0 2 -",
        ]
    );
    assert!(machine.gpus().all(|gpu| gpu.model.as_deref() == Some("tesla") && gpu.minor.is_none()));
    let groups: Vec<Vec<usize>> = machine.nvlink_groups().iter().map(|group| group.gpus.clone()).collect();
    assert_eq!(groups, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
    // Cores 0-3 are the CPUs 0-3 of a node with one thread for each core.
    let bytes = std::fs::read_to_string(super::data("slurm/gres-tesla-links-groups.conf")).unwrap();
    let node =
        "NodeName=n1 CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=1\n";
    let both = merged(&[&bytes, node]);
    assert_eq!(cpus(&both, 7), "0-3");
    assert_eq!(notes(&both, NoteCode::CpusUnknown), [""; 0]);
    assert_eq!(notes(&both, NoteCode::Inferred), [""; 0]);
    assert_eq!(read(&(bytes + node)), both);
}

#[test]
fn a_node_tells_cores_and_gpus() {
    // The three texts are those of one node that Slurm 22.05 ran.
    let text = std::fs::read_to_string(super::data("slurm/scontrol-show-node-dgx-1.txt")).unwrap();
    let node = read(&text);
    assert_eq!(node.gpus().len(), 8);
    assert!(
        node.gpus().all(|gpu| gpu.model.as_deref() == Some("tesla_v100-sxm2-32gb") && gpu.minor.is_none())
    );
    assert_eq!(node.cpus(), (0..80).collect::<CpuSet>());
    assert!(!node.nvlink_known());
    let gres = std::fs::read_to_string(super::data("slurm/slurmd-g-dgx-1.txt")).unwrap();
    let gpus = read(&gres);
    assert_eq!(minors(&gpus), (0..8).map(Some).collect::<Vec<_>>());
    assert_eq!(links(&gpus)[3], "2 1 2 - 0 0 0 1");
    let both = merged(&[&text, &gres]);
    assert_eq!((cpus(&both, 0).as_str(), cpus(&both, 7).as_str()), ("0-19,40-59", "20-39,60-79"));
    let assumed = notes(&both, NoteCode::Inferred);
    assert!(assumed.len() == 1 && assumed[0].contains("most servers"), "{assumed:?}");
    assert_eq!(links(&both), links(&Topology::preset("dgx-1-v100").unwrap()));
    assert_eq!(read(&format!("{text}\n{gres}")), both);
}

#[test]
fn cores_become_the_cpus_that_lscpu_tells() {
    // Two sockets of two cores of two threads: the threads of a core are neighbours, and sockets take turns by cores.
    let table = "# The following is the parsable format, which can be fed to other\n# CPU,Core,Socket,Node,,L1d,L1i,L2,L3\n\
                 0,0,0,0,,0,0,0,0\n1,0,0,0,,0,0,0,0\n2,1,1,1,,1,1,1,1\n3,1,1,1,,1,1,1,1\n\
                 4,2,0,0,,2,2,2,0\n5,2,0,0,,2,2,2,0\n6,3,1,1,,3,3,3,1\n7,3,1,1,,3,3,3,1\n";
    let gres =
        "Name=gpu File=/dev/nvidia1 Cores=0-1 Links=-1,4\nName=gpu File=/dev/nvidia0 Cores=2,3 Links=4,-1\n";
    for texts in [[table, gres], [gres, table]] {
        let machine = merged(&texts);
        assert_eq!((cpus(&machine, 0).as_str(), cpus(&machine, 1).as_str()), ("0-1,4-5", "2-3,6-7"));
        assert_eq!(minors(&machine), [Some(1), Some(0)]);
        assert_eq!(notes(&machine, NoteCode::CpusUnknown), [""; 0]);
        // What slurmd counts does not stand against what lscpu lists.
        let node = "NodeName=n1 CPUs=8 Boards=1 SocketsPerBoard=2 CoresPerSocket=2 ThreadsPerCore=2";
        assert_eq!(cpus(&merged(&[texts[0], texts[1], node]), 0), "0-1,4-5");
    }
    assert_eq!(cpus(&read(&format!("$ lscpu -p\n{table}\n$ cat gres.conf\n{gres}")), 1), "2-3,6-7");
    let beyond = merged(&[table, "Name=gpu File=/dev/nvidia0 Cores=0-4"]);
    assert_eq!(cpus(&beyond, 0), "Unreadable");
    assert!(
        notes(&beyond, NoteCode::SourcesDisagree)[0].starts_with("cores 4 are said"),
        "{:?}",
        beyond.notes()
    );
}

#[test]
fn a_line_may_tell_several_gpus() {
    let machine = read(
        "# of the cluster\nAutoDetect=off\nNODENAME=n[1-4] name=GPU type=A100 \\\n   file=/dev/nvidia[0-1,3] \\\n   \
         CORES=0-15 Flags=nvidia_gpu_env # File=/dev/nvidia9\nNodeName=n[1-4] Name=shard Count=8\n",
    );
    assert_eq!(minors(&machine), [Some(0), Some(1), Some(3)]);
    assert!(machine.gpus().all(|gpu| gpu.model.as_deref() == Some("A100")));
    assert!(!machine.nvlink_known());
    assert!(notes(&machine, NoteCode::Inferred)[0].contains("all nodes n[1-4]"), "{:?}", machine.notes());
    assert_eq!(read("Name=gpu Count=4 Type=t4").gpus().len(), 4);
    assert_eq!(read("Name=gpu File=/dev/nvidia[0-1]\nName=gpu Type=slice Count=8\n").gpus().len(), 2);
    let amd =
        read("Name=gpu File=/dev/dri/renderD128 Links=-1,1\nName=gpu File=/dev/dri/renderD129 Links=1,-1");
    assert_eq!((links(&amd), minors(&amd)), (vec!["- 0".to_owned(), "0 -".to_owned()], vec![None, None]));
    let quoted =
        read("> Name=gpu File=\"/dev/nvidia0\" Links=-1,0\r\n> Name=gpu Link=0,-1 File=/dev/nvidia1\r\n");
    assert_eq!(minors(&quoted), [Some(0), Some(1)]);
    // Slurm's own detection writes 0 beside NVSwitches.
    assert!(!quoted.nvlink_known());
}

#[test]
fn only_one_node_is_read() {
    let error = |text: &str| Topology::parse("gres.conf", text.as_bytes()).unwrap_err().to_string();
    let two = "NodeName=n1 Name=gpu File=/dev/nvidia0\nNodeName=n[2-3] Name=gpu File=/dev/nvidia[0-3]\n";
    assert!(error(two).contains("several nodes: n1, n[2-3]"), "{}", error(two));
    let own = read(&format!("{two}NodeName=n3 CPUs=4 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1\n"));
    assert_eq!(own.gpus().len(), 4);
    let other = error(&format!("{two}NodeName=n4 CPUs=4 CoresPerSocket=4\n"));
    assert!(other.contains("none is of n4"), "{other}");
    let nodes = error("NodeName=a CPUs=4 Gres=gpu:1\nNodeName=b CPUs=4 Gres=gpu:1\n");
    assert!(nodes.contains("several nodes: a, b"), "{nodes}");
    assert!(error("AutoDetect=nvml").contains("lists none"), "{}", error("AutoDetect=nvml"));
}

#[test]
fn instances_belong_to_their_gpu() {
    let machine = read(
        "Name=gpu Type=a100_3g.20gb MultipleFiles=/dev/nvidia1,/dev/nvidia-caps/nvidia-cap147,/dev/nvidia-caps/nvidia-cap148 Links=-1,0,0\n\
         Name=gpu Type=a100_1g.5gb MultipleFiles=/dev/nvidia1,/dev/nvidia-caps/nvidia-cap219,/dev/nvidia-caps/nvidia-cap220 Links=0,-1,0\n\
         Name=gpu Type=a100 File=/dev/nvidia0 Links=0,0,-1\n",
    );
    assert_eq!(minors(&machine), [Some(1), Some(0)]);
    assert_eq!(machine.gpus().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 1]);
    let instances: Vec<_> = machine
        .gpu_instances(0)
        .map(|(_, own)| (own.gpu_instance, own.compute_instance, own.profile.clone().unwrap()))
        .collect();
    assert_eq!(
        instances,
        [(Some(1), Some(0), "3g.20gb".to_owned()), (Some(9), Some(0), "1g.5gb".to_owned())]
    );
    assert_eq!(machine.gpu_instances(1).count(), 0);
    assert!(machine.gpus().all(|gpu| gpu.model.as_deref() == Some("a100")));
}

/// The driver numbers the files of instances the same way everywhere, so a file tells its GPU. The first text is of a cluster
/// where two of four GPUs are whole, the second of one that gives out GPU instances.
#[test]
fn capability_files_are_instances_and_no_gpus() {
    let machine = read(
        "NodeName=c51-g002 Name=gpu Type=a100 File=/dev/nvidia[0,1]\n\
         NodeName=c51-g002 Name=gpu Type=1g.10gb \
         File=/dev/nvidia-caps/nvidia-cap[337,346,355,364,373,382,391,472,481,490,508,517,526,535]\n",
    );
    assert_eq!(minors(&machine), [Some(0), Some(1), Some(2), Some(3)]);
    let of = |machine: &Topology, gpu| -> Vec<(u32, Option<u32>)> {
        let own = machine.gpu_instances(gpu);
        own.map(|(_, own)| (own.gpu_instance.unwrap(), own.compute_instance)).collect()
    };
    assert_eq!((of(&machine, 0).len(), of(&machine, 1).len()), (0, 0));
    assert_eq!(of(&machine, 2), (7..14).map(|own| (own, Some(0))).collect::<Vec<_>>());
    assert_eq!(of(&machine, 3), [7, 8, 9, 11, 12, 13, 14].map(|own| (own, Some(0))));
    assert_eq!(machine.gpus().map(|gpu| gpu.mig.is_some()).collect::<Vec<_>>(), [false, false, true, true]);
    assert!(machine.gpu_instances(3).all(|(_, own)| own.profile.as_deref() == Some("1g.10gb")));
    let whole = read(
        "Name=gpu Type=1g.10gb File=/dev/nvidia-caps/nvidia-cap93\n\
         Name=gpu Type=1g.10gb File=/dev/nvidia-caps/nvidia-cap66\n\
         Name=gpu Type=1g.10gb File=/dev/nvidia-caps/nvidia-cap237\n",
    );
    assert_eq!(minors(&whole), [Some(0), Some(1)]);
    assert_eq!((of(&whole, 0), of(&whole, 1)), (vec![(10, None), (7, None)], vec![(11, None)]));
    // The second file is that of the compute instance in the first; the GPU has a line besides.
    let both = read(
        "Name=gpu MultipleFiles=/dev/nvidia-caps/nvidia-cap12,/dev/nvidia-caps/nvidia-cap13\n\
         Name=gpu File=/dev/nvidia-caps/nvidia-cap[21-22]\nName=gpu Type=a100 File=/dev/nvidia0\n",
    );
    assert_eq!((minors(&both), of(&both, 0)), (vec![Some(0)], vec![(1, Some(0)), (2, Some(0))]));
    let channel = read("Name=gpu MultipleFiles=/dev/nvidia0,/dev/nvidia-caps-imex-channels/channel0\n");
    assert!(channel.gpus().all(|gpu| gpu.mig.is_none() && gpu.minor == Some(0)));
    // Files 1 and 2 are the rights to configure and to watch instances.
    let other = read(
        "Name=gpu File=/dev/nvidia0\nName=gpu File=/dev/nvidia-caps/nvidia-cap[1-2]\n\
         Name=gpu MultipleFiles=/dev/nvidia-caps/nvidia-cap2,/dev/nvidia-caps/x\n\
         Name=gpu File=/dev/nvidia-caps/nvidia-cap4294967295\n",
    );
    assert_eq!(minors(&other), [Some(0)]);
    let left_out = notes(&other, NoteCode::DeviceLeftOut);
    assert!(left_out.len() == 1 && left_out[0].contains("nvidia-cap1"), "{left_out:?}");
}

#[test]
fn gpus_have_the_numbers_of_their_files() {
    // A node of a public cluster writes its instances behind the whole GPUs.
    let gres = "NodeName=n1 Name=gpu Type=a100 File=/dev/nvidia[0-1]\nNodeName=n1 Name=gpu Type=a100 File=/dev/nvidia[3]\n\
                NodeName=n1 Name=gpu Type=nvidia_a100_1g.10gb \
                MultipleFiles=/dev/nvidia2,/dev/nvidia-caps/nvidia-cap336,/dev/nvidia-caps/nvidia-cap337\n";
    let matrix = "\tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV4\tSYS\tSYS\t0-7\t0\n\
                  GPU1\tNV4\t X \tSYS\tSYS\t0-7\t0\nGPU2\tSYS\tSYS\t X \tNV4\t8-15\t1\nGPU3\tSYS\tSYS\tNV4\t X \t8-15\t1\n";
    let own = read(gres);
    let merged = merged(&[matrix, gres]);
    for machine in [&own, &merged] {
        let divided: Vec<u32> = machine.gpus().filter(|gpu| gpu.mig.is_some()).map(|gpu| gpu.index).collect();
        assert_eq!((minors(machine), divided), ((0..4).map(Some).collect(), vec![2]));
    }
    assert_eq!(notes(&own, NoteCode::Inferred).len(), 1, "{:?}", own.notes());
    let part = read("Name=gpu Type=b File=/dev/nvidia[5-6]\nName=gpu Type=a File=/dev/nvidia1\n");
    let named = part.gpus().map(|gpu| (gpu.index, gpu.model.clone().unwrap())).collect::<Vec<_>>();
    assert_eq!(named, [(1, "a".to_owned()), (5, "b".to_owned()), (6, "b".to_owned())]);
    // The places of Links= are the driver's order, whatever the files are.
    let linked = read("Name=gpu File=/dev/nvidia1 Links=-1,4\nName=gpu File=/dev/nvidia0 Links=4,-1\n");
    assert_eq!((minors(&linked), linked.gpus().next().unwrap().index), (vec![Some(1), Some(0)], 0));
}

#[test]
fn memory_is_that_of_the_only_node_or_a_note() {
    let node = "NodeName=n1 CPUs=16 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=2 RealMemory=772878\n";
    let matrix = |last: u32, other: &str| {
        format!("\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-{last}\t0{other}\n")
    };
    let memory = |topology: &Topology| topology.numa_nodes().map(|node| node.memory).collect::<Vec<_>>();
    let told = |topology: &Topology| {
        notes(topology, NoteCode::Unknown).iter().any(|text| text.contains("772878 MiB"))
    };
    let whole = merged(&[&matrix(15, ""), node]);
    assert_eq!((memory(&whole), told(&whole)), (vec![Some(772_878 << 20)], false));
    // The other half of the CPUs is on a node without GPUs, which the matrix does not show.
    let half = merged(&[&matrix(7, ""), node]);
    assert_eq!((memory(&half), told(&half)), (vec![None], true));
    let two = "GPU0\t X \tSYS\t0-7\t0\nGPU1\tSYS\t X \t8-15\t1\n";
    let two = merged(&[&format!("\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\n{two}"), node]);
    assert_eq!((memory(&two), told(&two)), (vec![None, None], true));
    let alone = read(node);
    assert_eq!((memory(&alone), told(&alone)), (vec![], true));
    // Slurm writes 1 where nobody told it.
    let unknown = read(&node.replace("772878", "1"));
    assert!(!notes(&unknown, NoteCode::Unknown).iter().any(|text| text.contains("MiB")), "{unknown:?}");
    let shown = recorded("scontrol-show-node-dgx-1.txt");
    assert!(notes(&shown, NoteCode::Unknown)[0].contains("524288 MiB"), "{:?}", shown.notes());
}

#[test]
fn what_was_written_is_read_back() {
    for preset in PRESETS {
        let machine = Topology::preset(preset.name).unwrap();
        let mut options = WriteOptions::default();
        options.node = Some("n1".to_owned());
        let Ok(gres) = machine.write_with("gres.conf", &options) else { continue };
        let node = machine.write_with("slurm.conf", &options).unwrap();
        let back = merged(&[&gres.text, &node.text]);
        let name = preset.name;
        assert_eq!(back.gpus().len(), machine.gpus().len(), "{name}");
        assert_eq!(links(&back), links(&machine), "{name}");
        assert_eq!(
            minors(&back),
            machine.gpus().map(|gpu| gpu.minor.or(Some(gpu.index))).collect::<Vec<_>>(),
            "{name}"
        );
        // The memory of the node, which a comment tells, is none of a NUMA node.
        let lines = |text: &str| {
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        };
        let again = back.write_with("gres.conf", &options).unwrap().text;
        // Zeros alone tell nothing, as Slurm writes them for GPUs on NVSwitches: unknown links are not written.
        let has_links = links(&machine).iter().any(|row| row.contains(|c: char| matches!(c, '1'..='9')));
        let plain = |text: &str| {
            lines(text).iter().map(|line| line.split(" Links=").next().unwrap().to_owned()).collect()
        };
        let wanted: Vec<String> =
            if has_links || machine.gpus().len() < 2 { lines(&gres.text) } else { plain(&gres.text) };
        assert_eq!(lines(&again), wanted, "{name}");
        // Slurm knows whole sockets only.
        for gpu in 0..back.gpus().len() {
            let near = machine.local_cpus(machine.devices()[gpu]);
            let read = back.local_cpus(back.devices()[gpu]);
            if let (Stated::Known(near), Stated::Known(read)) = (near, read) {
                assert!(near.is_subset(&read), "{name}: {near} {read}");
            }
        }
    }
}

#[test]
fn bad_texts_are_refused_with_their_place() {
    let long = format!("Name=gpu File=/dev/nvidia0 Links={}", "1,".repeat(5000));
    let many = "Name=gpu Count=2000\n".repeat(9);
    let nodes: Vec<String> = (0..3000).map(|node| format!("NodeName=n{node} CPUs=1\n")).collect();
    let nodes = nodes.concat();
    for (text, place) in [
        ("Name=gpu File=/dev/nvidia[0-", "1:15"),
        ("Name=gpu File=/dev/nvidia[0-4000000000]", "1:15"),
        ("Name=gpu File=/dev/nvidia[3-1]", "1:15"),
        ("Name=gpu File=/dev/nvidia[0-99][0-99]", "1:15"),
        ("\nName=gpu File=/dev/nvidia0 Cores=x", "2:34"),
        ("Name=gpu File=/dev/nvidia0 \\\n Cores=0-99999999999", "2:8"),
        ("Name=gpu File=/dev/nvidia0 Links=-1,x", "1:34"),
        ("Name=gpu File=/dev/nvidia0 Links=-1,9999", "1:34"),
        ("Name=gpu File=/dev/nvidia[0-1] Links=-1,1", "1:15"),
        ("Name=gpu Count=99999999999999999999", "1:16"),
        ("Name=gpu Count=-1", "1:16"),
        ("NodeName=a CPUs=0", "1:17"),
        ("NodeName=a CPUs=4 Gres=gpu:a:b:c:d", "1:24"),
        ("NodeName=a CPUs=4 Gres=gpu:99999999999999999999", "1:24"),
        ("NodeName=a CPUs=4 CoresPerSocket=99999999999", "1:34"),
        (long.as_str(), "1:34"),
        (many.as_str(), ""),
        (nodes.as_str(), ""),
    ] {
        let error = Topology::parse("gres.conf", text.as_bytes()).unwrap_err().to_string();
        let shown: String = text.chars().take(60).collect();
        assert!(error.contains(&format!(":{place}")), "{shown}: {error}");
    }
    // Contradictions are told, and what they are about is left out.
    let twice = read("Name=gpu File=/dev/nvidia0 Links=-1,1\nName=gpu File=/dev/nvidia0 Links=-1,1");
    assert_eq!(minors(&twice), [Some(0), None]);
    assert_eq!(notes(&twice, NoteCode::Conflict).len(), 2, "{:?}", twice.notes());
    let apart = read("Name=gpu File=/dev/nvidia0 Links=-1,2\nName=gpu File=/dev/nvidia1 Links=1,-1");
    assert_eq!(links(&apart), ["- 2", "2 -"]);
    assert_eq!(notes(&apart, NoteCode::Conflict).len(), 1, "{:?}", apart.notes());
    let wrong = read("NodeName=a CPUs=7 Sockets=2 CoresPerSocket=2 ThreadsPerCore=2 Gres=gpu:1");
    assert!(wrong.cpus().is_empty() && notes(&wrong, NoteCode::Conflict).len() == 1, "{:?}", wrong.notes());
}

#[test]
fn lines_of_other_tools_end_a_node() {
    let topology = recorded("slurmd-c-then-topo-m.txt");
    assert_eq!(topology.pairs().pair(0, 2).nvlinks, 4);
    assert_eq!(topology.gpus().len(), 4);
    let text = "NodeName=n1 CPUs=8 Sockets=1 CoresPerSocket=4 ThreadsPerCore=2\n------\nNUMA[0] cpus=0-7:2\nCPUs=0-7\n";
    assert_eq!(read(text).gpus().len(), 0);
}
