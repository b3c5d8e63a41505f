//! The texts of `nvidia-smi` about single GPUs: `-q` as text and XML, `-L`, `--query-gpu`, its table.

use crate::{data, notes, notes_of};
use nvtopo::model::{FabricState, Gpu, GpuInstance, NodeKind, NoteCode};
use nvtopo::source::Locator;
use nvtopo::{ErrorKind, Topology};
use std::fs;

fn read(name: &str) -> Topology {
    open(&[name])
}

fn open(names: &[&str]) -> Topology {
    let locators: Vec<Locator> = names.iter().map(|name| Locator::Path(data(name))).collect();
    Topology::open(&locators).unwrap()
}

fn parse(text: &str) -> Topology {
    Topology::parse("text", text.as_bytes()).unwrap()
}

fn text(name: &str) -> String {
    fs::read_to_string(data(name)).unwrap()
}

fn gpus(topology: &Topology) -> Vec<&Gpu> {
    topology.gpus().collect()
}

fn instances(topology: &Topology) -> Vec<&GpuInstance> {
    let parts = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::GpuInstance(instance) => Some(&**instance),
        _ => None,
    });
    parts.collect()
}

#[test]
fn the_text_of_q_tells_each_gpu() {
    let topology = read("smi/h100-8gpu-q-2-of-8.txt");
    let machine = topology.machine();
    assert_eq!((machine.driver.as_deref(), machine.cuda.as_deref()), (Some("535.161.08"), Some("12.2")));
    let [first, second] = gpus(&topology)[..] else { panic!("two GPUs") };
    assert_eq!((first.index, first.minor, second.index, second.minor), (0, Some(0), 1, Some(1)));
    assert_eq!(first.model.as_deref(), Some("NVIDIA H100 80GB HBM3"));
    assert_eq!(first.uuid.unwrap().to_string(), "GPU-00000000-0000-4000-8000-000000000100");
    assert_eq!(first.serial.as_deref(), Some("1650900000001"));
    assert_eq!(first.firmware.as_deref(), Some("96.00.74.00.0D"));
    assert_eq!(second.address.unwrap().to_string(), "0000:3b:00.0");
    assert_eq!((first.pci.vendor, first.pci.device), (Some(0x10de), Some(0x2330)));
    assert_eq!((first.pci.subsystem_vendor, first.pci.subsystem_device), (Some(0x10de), Some(0x16c1)));
    let link = first.pci.link.unwrap();
    assert_eq!((link.now.generation, link.now.width), (Some(5), Some(16)));
    assert_eq!((link.device.generation, link.port.generation, link.port.width), (Some(5), Some(5), Some(16)));
    assert_eq!(first.memory, Some(81559 << 20));
    let mig = first.mig.unwrap();
    assert_eq!((mig.current, mig.pending), (false, false));
    let fabric = first.fabric.as_ref().unwrap();
    assert_eq!((fabric.state, fabric.status, fabric.clique), (FabricState::Completed, Some(0), None));
    assert_eq!((fabric.is_up(), fabric.faults().len()), (Some(true), 0));
    let usage = first.usage;
    assert_eq!(
        (usage.processes, usage.memory_used, usage.memory_free),
        (Some(0), Some(0), Some(81007 << 20))
    );
    assert_eq!(first.unusable, None);
    assert!(notes(&topology).contains("it tells of 2 GPUs of the machine's 8"), "{}", notes(&topology));
    let uplink = topology.links().find(|(.., link)| link.lanes == Some(16)).unwrap();
    assert_eq!(uplink.2.rate.unwrap().bandwidth.as_mb_per_s() / 1000, 63);
}

#[test]
fn fabrics_are_read_with_their_health() {
    let fabric = |more: &str| {
        let text = format!(
            "GPU 00000000:2A:00.0\n    Product Name    : NVIDIA GB200\n    Fabric\n        State       : Completed\n        \
             Status      : Success\n        CliqueId    : 3\n        ClusterUUID : 1a2b0000-0000-0000-0000-000000000001\n{more}"
        );
        let topology = parse(&text);
        let gpu = gpus(&topology)[0].clone();
        (gpu.fabric.unwrap(), notes(&topology))
    };
    let (own, _) = fabric("");
    assert_eq!(own.cluster.as_deref(), Some("1a2b0000-0000-0000-0000-000000000001"));
    assert_eq!((own.clique, own.health), (Some(3), None));
    let health = |lines: &[&str]| {
        let lines = lines.iter().map(|line| format!("            {line}\n")).collect::<Vec<_>>().concat();
        fabric(&format!("        Health\n{lines}"))
    };
    let (own, _) = health(&["Summary : Healthy", "Bandwidth : Full", "Route Unhealthy : False"]);
    assert_eq!((own.health_summary, own.health, own.faults().len()), (Some(1), Some(2 | 2 << 4), 0));
    let (own, notes) = health(&["Bandwidth : Degraded", "Incorrect Configuration : Insufficient Nvlinks"]);
    let words: Vec<&str> = own.faults().into_iter().map(nvtopo::model::FabricFault::word).collect();
    assert_eq!(words, ["degraded-bandwidth", "insufficient-nvlinks"]);
    assert!(notes.contains("GPU0: its bandwidth in the NVLink fabric is degraded"), "{notes}");
    let (own, _) =
        health(&["Bandwidth : N/A", "Route Recovery in progress : True", "Partition Assigned : False"]);
    let words: Vec<&str> = own.faults().into_iter().map(nvtopo::model::FabricFault::word).collect();
    assert_eq!(words, ["route-recovery", "unassigned-partition"]);
    let waiting =
        "GPU 00000000:2A:00.0\n    Fabric\n        State      : In Progress\n        Status     : N/A\n";
    let topology = parse(waiting);
    assert!(crate::notes(&topology).contains("error 802"), "{}", crate::notes(&topology));
}

#[test]
fn recorded_parts_of_q_are_read_as_far_as_they_name_a_gpu() {
    let topology = read("nvlink-status/h100-q-fabric-completed.txt");
    let gpu = gpus(&topology)[0];
    assert_eq!(gpu.address.unwrap().to_string(), "0000:2a:00.0");
    assert_eq!((gpu.model.as_deref(), gpu.fabric.as_ref()), (Some("NVIDIA H100 80GB HBM3"), None));
    assert_eq!(gpu.mig.map(|mig| mig.current), Some(false));
    assert!(notes(&topology).contains("line 6 tells of a GPU whose line"), "{}", notes(&topology));
    let topology = read("nvlink-status/h100-nvl-q-fabric-na.txt");
    assert_eq!(gpus(&topology)[0].model.as_deref(), Some("NVIDIA H100 NVL"));
    let nameless = data("nvlink-status/blackwell-consumer-q-fabric-health-long.txt");
    let error = Topology::open(&[Locator::Path(nameless)]).unwrap_err();
    assert!(error.to_string().contains("without the line that names its GPU"), "{error}");
}

#[test]
fn q_is_read_however_it_was_passed_on() {
    let plain = text("smi/h100-8gpu-q-2-of-8.txt");
    let topology = parse(&plain);
    let quoted = plain.lines().map(|line| format!("> {line}\n")).collect::<Vec<_>>().concat();
    let shifted = plain.lines().map(|line| format!("      {line}\n")).collect::<Vec<_>>().concat();
    let prompt = format!("[root@n1 ~]# nvidia-smi -q\n{plain}\n[root@n1 ~]# ls -l\nPersistence Mode : Off\n");
    for other in [&quoted, &shifted, &plain.replace('\n', "\r\n"), &prompt] {
        assert_eq!(gpus(&parse(other)), gpus(&topology), "{}", &other[..80]);
    }
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain(plain.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(gpus(&Topology::parse("x", &utf16).unwrap()), gpus(&topology));
    // A cut anywhere leaves a machine or an error.
    for end in (0..plain.len()).step_by(97) {
        let _ = Topology::parse("x", &plain.as_bytes()[..end]);
    }
}

#[test]
fn lost_gpus_and_gpus_to_reset_are_not_usable() {
    let gpu = |lines: &str| {
        let topology = parse(&format!("GPU 00000000:2A:00.0\n    Product Name   : NVIDIA A100\n{lines}"));
        gpus(&topology)[0].unusable.clone()
    };
    assert_eq!(gpu(""), None);
    assert_eq!(gpu("    Fan Speed     : GPU is lost\n").as_deref(), Some("has fallen off the bus"));
    let reset = "    GPU Reset Status\n        Reset Required   : Yes\n";
    assert_eq!(gpu(reset).as_deref(), Some("needs a reset"));
    assert_eq!(
        gpu("    GPU Recovery Action   : Reboot\n").as_deref(),
        Some("needs a restart of the machine")
    );
    assert_eq!(gpu("    GPU Recovery Action   : None\n"), None);
}

#[test]
fn the_xml_of_q_tells_each_gpu() {
    let topology = read("smi/tesla-t4-q.xml");
    let [gpu] = gpus(&topology)[..] else { panic!("one GPU") };
    assert_eq!((gpu.index, gpu.model.as_deref()), (0, Some("Tesla T4")));
    assert_eq!(gpu.address.unwrap().to_string(), "0000:00:1e.0");
    assert_eq!((gpu.minor, gpu.firmware.as_deref()), (Some(0), Some("90.04.84.00.06")));
    assert_eq!(gpu.serial.as_deref(), Some("1650900000001"));
    assert_eq!((gpu.memory, gpu.mig), (Some(15360 << 20), None));
    assert_eq!((gpu.usage.processes, gpu.usage.memory_used), (Some(2), Some(1032 << 20)));
    let link = gpu.pci.link.unwrap();
    assert_eq!((link.now.generation, link.now.width), (Some(3), Some(8)));
    assert_eq!((link.device.generation, link.port.generation, link.port.width), (None, Some(3), Some(16)));
    assert_eq!(topology.machine().driver.as_deref(), Some("515.105.01"));
    assert_eq!(notes(&topology), "");

    let topology = read("smi/a100-sxm4-mig-q-cut.xml");
    let [gpu] = gpus(&topology)[..] else { panic!("one GPU") };
    assert_eq!((gpu.index, gpu.minor), (1, Some(1)));
    assert_eq!(gpu.mig.map(|mig| (mig.current, mig.pending)), Some((true, true)));
    let parts = instances(&topology);
    assert_eq!(parts.iter().map(|part| part.gpu_instance).collect::<Vec<_>>(), [3, 4, 5, 6].map(Some));
    assert!(parts.iter().all(|part| part.compute_instance == Some(0) && part.memory == Some(19968 << 20)));
    assert!(notes(&topology).contains("1 GPU of the machine's 4"), "{}", notes(&topology));
}

#[test]
fn xml_is_found_between_other_lines_and_bombs_are_refused() {
    let xml = text("smi/tesla-t4-q.xml");
    let pasted = format!("$ nvidia-smi -q -x\n{xml}\n$ \n");
    assert_eq!(gpus(&parse(&pasted)), gpus(&parse(&xml)));
    let bomb = xml.replace(
        "<!DOCTYPE nvidia_smi_log SYSTEM \"nvsmi_device_v11.dtd\">",
        "<!DOCTYPE nvidia_smi_log [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>",
    );
    for bomb in [bomb.clone(), format!("$ nvidia-smi -q -x\n{bomb}")] {
        let error = Topology::parse("x", bomb.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("entit"), "{error}");
    }
    let deep = format!("<nvidia_smi_log>{}", "<gpu>".repeat(100_000));
    assert!(Topology::parse("x", deep.as_bytes()).is_err());
    let error =
        Topology::parse("x", b"<nvidia_smi_log>\n  <gpu id=\"here\"/>\n</nvidia_smi_log>").unwrap_err();
    assert_eq!((error.line(), error.message()), (Some(2), "'here' is not a PCI address"));
    let error = Topology::parse("x", b"<nvidia_smi_log><attached_gpus>0</attached_gpus></nvidia_smi_log>")
        .unwrap_err();
    assert!(error.message().contains("no GPU"), "{error}");
    let error =
        Topology::parse("x", b"$ nvidia-smi -q -x\n<nvidia_smi_log>\n <gpu id=\"1:00.0\">\n").unwrap_err();
    assert!(error.line() >= Some(3), "{error}");
}

#[test]
fn the_table_tells_gpus_and_processes() {
    let topology = read("smi/h100-8gpu-table.txt");
    let machine = topology.machine();
    assert_eq!((machine.driver.as_deref(), machine.cuda.as_deref()), (Some("550.90.07"), Some("12.4")));
    let gpus = gpus(&topology);
    let buses: Vec<u8> = gpus.iter().map(|gpu| gpu.address.unwrap().bus).collect();
    assert_eq!(buses, [0x19, 0x3b, 0x4c, 0x5d, 0x9b, 0xbb, 0xcb, 0xdb]);
    assert!(gpus.iter().zip(0..).all(|(gpu, index)| gpu.index == index));
    assert!(gpus.iter().all(|gpu| gpu.model.as_deref() == Some("NVIDIA H100 80GB HBM3")));
    assert!(gpus.iter().all(|gpu| gpu.memory == Some(81559 << 20) && gpu.usage.memory_used == Some(1 << 20)));
    assert!(gpus.iter().all(|gpu| gpu.usage.processes == Some(0)));
    assert!(gpus.iter().all(|gpu| gpu.mig.is_some_and(|mig| !mig.current && !mig.pending)));

    let busy = text("smi/h100-8gpu-table.txt").replace(
        "|  No running processes found                                                             |",
        "|    3   N/A  N/A      2573      C   /usr/bin/python3                            11276MiB |\n\
         |    3   N/A  N/A      2574    C+G   ...n3 nvidia-smi 7 C x                       1276MiB |\n\
         |    5   N/A  N/A      2575      G   /usr/lib/xorg/Xorg                              4MiB |",
    );
    let topology = parse(&busy);
    let counts: Vec<Option<u32>> = topology.gpus().map(|gpu| gpu.usage.processes).collect();
    assert_eq!(counts, [0, 0, 0, 2, 0, 1, 0, 0].map(Some));
}

#[test]
fn older_tables_and_damaged_ones_are_read() {
    let old = "\
| NVIDIA-SMI 418.67       Driver Version: 418.67       CUDA Version: 10.1     |
|===============================+======================+======================|
|   0  Tesla V100-SXM2...  On   | 00000000:06:00.0 Off |                    0 |
| N/A   35C    P0    44W / 300W |     11MiB / 16130MiB |      0%      Default |
+-------------------------------+----------------------+----------------------+
| Processes:                                                       GPU Memory |
|  GPU       PID   Type   Process name                             Usage      |
|=============================================================================|
|    0     14157      C   python                                        10MiB |
";
    let topology = parse(old);
    let gpu = gpus(&topology)[0];
    assert_eq!((gpu.model.as_deref(), gpu.memory), (None, Some(16130 << 20)));
    assert_eq!((gpu.usage.processes, gpu.mig), (Some(1), None));
    assert!(notes(&topology).contains("cuts long names"), "{}", notes(&topology));
    let lost = "|   0  NVIDIA A100-SXM4-80GB   On  | 00000000:07:00.0 Off |  0 |\n| ERR!  ERR! | Unknown / Unknown | ERR! |\n";
    assert_eq!(gpus(&parse(lost))[0].memory, None);
    let twice = format!("{old}{}", old.lines().nth(2).unwrap());
    assert!(Topology::parse("x", twice.as_bytes()).is_ok());
    let windows = "|   0  NVIDIA GeForce RTX 4090      WDDM  |   00000000:01:00.0  On |   Off |\n";
    assert_eq!(gpus(&parse(windows))[0].model.as_deref(), Some("NVIDIA GeForce RTX 4090"));
    // As `nvidia-smi -l 1` repeats it.
    assert_eq!(gpus(&parse(&format!("{old}{old}"))), gpus(&topology));
}

#[test]
fn a_table_and_a_list_are_one_machine() {
    let topology = read("smi/a30-mig-table-then-list.txt");
    let gpu = gpus(&topology)[0];
    assert_eq!((gpu.model.as_deref(), gpu.memory), (Some("NVIDIA A30"), Some(24576 << 20)));
    assert_eq!(gpu.uuid.unwrap().to_string(), "GPU-00000000-0000-4000-8000-000000000a30");
    assert_eq!(gpu.address.unwrap().to_string(), "0000:0b:00.0");
    let parts = instances(&topology);
    let told: Vec<_> =
        parts.iter().map(|part| (part.gpu_instance, part.profile.as_deref(), part.memory)).collect();
    assert_eq!(
        told,
        [
            (Some(2), Some("2g.12gb"), Some(11968 << 20)),
            (Some(3), Some("1g.6gb"), Some(5952 << 20)),
            (Some(4), Some("1g.6gb"), Some(5952 << 20))
        ]
    );
    assert_eq!(parts[2].uuid.as_deref(), Some("MIG-00000000-0000-5000-8000-000000000002"));
    assert_eq!(notes_of(&topology, NoteCode::SourcesDisagree), [""; 0]);
}

#[test]
fn a_list_alone_is_read() {
    let list = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-0000-4000-8000-000000000001)\n  \
                MIG 1g.5gb      Device  0: (UUID: MIG-00000000-0000-5000-8000-000000000011)\n\
                GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-0000-4000-8000-000000000002)\n";
    let topology = parse(&format!("$ nvidia-smi -L\n{list}"));
    let models: Vec<_> = topology.gpus().map(|gpu| gpu.model.as_deref().unwrap()).collect();
    assert_eq!(models, ["NVIDIA A100-SXM4-40GB"; 2]);
    assert_eq!(instances(&topology)[0].profile.as_deref(), Some("1g.5gb"));
    assert!(gpus(&topology)[0].mig.unwrap().current && gpus(&topology)[1].mig.is_none());
    assert!(!notes(&topology).contains("cut"), "{}", notes(&topology));
    let old = list.replace(
        "MIG-00000000-0000-5000-8000-000000000011",
        "MIG-GPU-00000000-0000-4000-8000-000000000001/7/0",
    );
    let topology = parse(&old);
    assert_eq!(instances(&topology)[0].gpu_instance, Some(7));
}

#[test]
fn csv_is_read_by_its_names() {
    let topology = read("smi/rtx5080-vm-query.csv");
    let gpu = gpus(&topology)[0];
    assert_eq!((gpu.index, gpu.model.as_deref()), (0, Some("NVIDIA GeForce RTX 5080")));
    assert_eq!(gpu.uuid.unwrap().to_string(), "GPU-00000000-0000-4000-8000-000000005080");
    assert_eq!(gpu.address.unwrap().to_string(), "0000:06:10.0");
    assert_eq!((gpu.memory, gpu.firmware.as_deref()), (Some(16303 << 20), Some("98.03.3B.C0.3E")));
    assert_eq!(gpu.compute_capability.unwrap().to_string(), "12.0");
    assert_eq!(topology.machine().driver.as_deref(), Some("580.159.03"));

    let command = "$ nvidia-smi --query-gpu=name,pci.bus_id,memory.used,pcie.link.gen.max,pcie.link.width.current,mig.mode.current \
                   --format=csv,noheader,nounits\n\
                   NVIDIA A100-SXM4-80GB, 00000000:07:00.0, 12, 4, 16, Disabled\n\
                   NVIDIA A100-SXM4-80GB, 00000000:0F:00.0, [N/A], 4, 8, Enabled\n$ exit\n";
    let topology = parse(command);
    let [first, second] = gpus(&topology)[..] else { panic!("two GPUs") };
    assert_eq!((first.index, second.index, second.address.unwrap().bus), (0, 1, 0x0f));
    assert_eq!((first.usage.memory_used, second.usage.memory_used), (Some(12 << 20), None));
    assert_eq!(second.pci.link.unwrap().now.width, Some(8));
    assert_eq!((first.mig.unwrap().current, second.mig.unwrap().current), (false, true));
    let lost = "index, uuid, name\n0, GPU-00000000-0000-4000-8000-000000000001, A\n1, [GPU is lost], [GPU is lost]\n";
    let topology = parse(lost);
    assert_eq!(gpus(&topology)[1].unusable.as_deref(), Some("has fallen off the bus"));
}

#[test]
fn csv_of_other_things_and_damaged_csv_are_told() {
    for text in
        ["index, name\n", "name, value\nx, y\n", "gpu_uuid, pid, used_memory [MiB]\nGPU-1, 5, 3 MiB\n"]
    {
        let error = Topology::parse("x", text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
    }
    let torn = "index, name, memory.total [MiB]\n0, A100, 81920 MiB\n1, A100\n2, A100, 81920 MiB\n";
    let topology = parse(torn);
    assert_eq!(topology.gpus().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 2]);
    assert!(notes(&topology).contains("line 3 has not as many fields"), "{}", notes(&topology));
    let two = "index, uuid\n0, GPU-00000000-0000-4000-8000-000000000001\n0, GPU-00000000-0000-4000-8000-000000000002\n";
    let error = Topology::parse("x", two.as_bytes()).unwrap_err();
    assert_eq!((error.line(), error.message()), (Some(3), "GPU 0 is there twice, as two GPUs"));
}

#[test]
fn facts_of_gpus_are_merged_with_paths_in_any_order() {
    let topo =
        "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV18\t0-15\t0\nGPU1\tNV18\t X \t0-15\t0\n";
    let q = text("smi/h100-8gpu-q-2-of-8.txt");
    for text in [format!("nvidia-smi topo -m\n{topo}\n{q}"), format!("{q}\nnvidia-smi topo -m\n{topo}")] {
        let topology = parse(&text);
        assert_eq!(topology.pairs().pair(0, 1).nvlinks, 18);
        assert_eq!(gpus(&topology)[1].address.unwrap().to_string(), "0000:3b:00.0");
        assert_eq!(notes_of(&topology, NoteCode::SourcesDisagree), [""; 0]);
        // The link is that to the bridge that the matrix tells of.
        let pcie: Vec<_> =
            topology.links().filter(|(.., link)| link.kind == nvtopo::model::LinkKind::Pcie).collect();
        let rated = pcie.iter().filter(|(.., link)| link.rate.is_some() && link.lanes == Some(16)).count();
        assert_eq!(rated, 2, "{pcie:?}");
        assert!(!notes(&topology).contains("width of PCIe links are unknown"), "{}", notes(&topology));
    }
}

#[test]
fn versions_of_newer_drivers_are_bare() {
    let plain = text("smi/rtx2080-super-q-r610.txt");
    let versions = |text: &str| {
        let topology = parse(text);
        let machine = topology.machine();
        (machine.driver.clone().unwrap(), machine.cuda.clone().unwrap())
    };
    let own = ("610.57.04".to_owned(), "13.3".to_owned());
    assert_eq!(versions(&plain), own);
    let later = |line: &&str| !line.starts_with("Driver Version") && !line.starts_with("CUDA Version");
    let later: Vec<&str> = plain.lines().filter(later).collect();
    assert_eq!(versions(&later.join("\n")), own);
    let table = "| NVIDIA-SMI 610.57.04      KMD Version: 610.57.04     CUDA UMD Version: 13.3     |\n\
                 |   0  NVIDIA A30     Off |   00000000:01:00.0 Off |   Off |\n";
    assert_eq!(versions(&format!("{table}{table}")), own);
    // The same in small letters is no other firmware.
    assert_eq!(gpus(&parse(&plain))[0].firmware.as_deref(), Some("90.04.7A.40.73"));
}

#[test]
fn instances_that_share_memory_have_it_and_are_there_once() {
    let memory = |name: &str| instances(&read(name)).iter().map(|part| part.memory).collect::<Vec<_>>();
    let told = [71424, 71424, 33280, 16384, 16384].map(|memory: u64| Some(memory << 20));
    assert_eq!(memory("smi/h200-mig-q-r590.txt"), told);
    assert_eq!(memory("smi/h200-mig-table-twice.txt"), told);
}

#[test]
fn rows_of_one_gpu_are_one_gpu() {
    let topology = read("smi/l40s-topo-m-then-retired-pages.txt");
    assert_eq!((topology.gpus().len(), gpus(&topology)[0].address.unwrap().bus), (1, 1));
    let rows = |a: &str, b: &str| {
        let cause = ["Single Bit ECC", "Double Bit ECC"];
        let rows = [a, b].map(|gpu| cause.map(|cause| format!("A100, {gpu}, {cause}\n")).concat());
        format!("gpu_name, gpu_uuid, retired_pages.cause\n{}", rows.concat())
    };
    let two = rows("GPU-00000000-0000-4000-8000-000000000001", "GPU-00000000-0000-4000-8000-000000000002");
    assert_eq!(parse(&two).gpus().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 1]);
    // Rows that tell no GPU apart are one each.
    assert_eq!(parse(&rows("[N/A]", "[N/A]")).gpus().len(), 4);
}

#[test]
fn sources_without_gpus_say_nothing_of_nvlinks() {
    let list = "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-00000000-0000-4000-8000-000000000001)\n\
                GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-00000000-0000-4000-8000-000000000002)\n\n";
    let node = "NodeName=n1 CPUs=128 Boards=1 SocketsPerBoard=2 CoresPerSocket=32 ThreadsPerCore=2 RealMemory=1031051\n\
                UpTime=29-15:50:14\n";
    let topology = parse(&format!("{list}{node}"));
    assert_eq!(topology.gpus().len(), 2);
    assert!(!topology.nvlink_known());
    // One that has them still tells.
    let matrix = "nvidia-smi topo -m\n\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\n\
                  GPU0\t X \tNV18\t0-15\t0\nGPU1\tNV18\t X \t0-15\t0\n";
    assert!(parse(&format!("{list}{node}{matrix}")).nvlink_known());
}

#[test]
fn a_matrix_of_one_gpu_tells_no_nvlinks() {
    let one = "\tGPU0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\nGPU0\t X \t0-23\t0\t\tN/A\n";
    assert!(!parse(one).nvlink_known());
}

/// The same GPU twice, as where a document was put together from several, is one GPU.
#[test]
fn a_gpu_that_xml_names_twice_is_one() {
    let whole = text("smi/tesla-t4-q.xml");
    let end = whole.find("</gpu>").unwrap() + "</gpu>".len();
    let gpu = &whole[whole.find("<gpu id").unwrap()..end];
    let twice = format!("{}{gpu}{}", &whole[..end], &whole[end..]);
    let (one, both) = (parse(&whole), parse(&twice));
    assert_eq!((gpus(&one), one.notes()), (gpus(&both), both.notes()));
    let other = gpu.replace("GPU-00000000", "GPU-11111111");
    assert_ne!(other, gpu);
    let error =
        Topology::parse("x", format!("{}{other}{}", &whole[..end], &whole[end..]).as_bytes()).unwrap_err();
    assert!(error.message().contains("there twice, as two GPUs") && error.line().is_some(), "{error}");
}

#[test]
fn queries_that_an_index_joins_are_one_machine() {
    let uuid = |gpu: u32| format!("GPU-00000000-0000-4000-8000-00000000000{gpu}");
    let first = format!("index, uuid, pcie.link.gen.max\n0, {}, 5\n1, {}, 5\n", uuid(1), uuid(2));
    let second = "index, pci.bus_id, compute_cap, memory.used [MiB], pcie.link.width.current\n\
                  0, 00000000:17:00.0, 9.0, 5 MiB, 16\n1, 00000000:2A:00.0, 9.0, 5 MiB, 8\n";
    for text in [format!("{first}{second}"), format!("{second}{first}")] {
        let topology = parse(&text);
        let [one, two] = gpus(&topology)[..] else { panic!("two GPUs") };
        assert_eq!(two.address.unwrap().to_string(), "0000:2a:00.0");
        assert_eq!((one.compute_capability.unwrap().major, one.uuid.unwrap().to_string()), (9, uuid(1)));
        assert_eq!(one.usage.memory_used, Some(5 << 20));
        let link = two.pci.link.unwrap();
        assert_eq!((link.port.generation, link.now.width), (Some(5), Some(8)));
        let uplink = topology.links().filter(|(.., link)| link.lanes == Some(8)).count();
        assert_eq!(uplink, 1, "{text}");
    }
    let moved = format!("{second}index, pci.bus_id\n0, 00000000:18:00.0\n");
    let error = Topology::parse("csv", moved.as_bytes()).unwrap_err();
    assert!(error.message().contains("GPU 0 is there twice"), "{error}");
}

#[test]
fn uuids_are_no_part_of_the_model() {
    for line in [
        "GPU 0: NVIDIA H100 PCIe (UUID: GPU-00000000-0000-4000-8000-000000000001)",
        "GPU 0: NVIDIA H100 PCIe (UUID:GPU-00000000-0000-4000-8000-000000000001)",
        "GPU 0: NVIDIA H100 PCIe UUID: GPU-00000000-0000-4000-8000-000000000001",
        "GPU 0: NVIDIA H100 PCIe (UUID: GPU-00000000-00",
        "GPU 0: NVIDIA H100 PCIe (UUID: ",
        "GPU 0: NVIDIA H100 PCIe (UUID:",
        "GPU 0: NVIDIA H100 PCIe (UUID",
        "GPU 0: NVIDIA H100 PCIe (U",
        "GPU 0: NVIDIA H100 PCIe (",
    ] {
        let list = format!("GPU 1: A (UUID: GPU-00000000-0000-4000-8000-000000000002)\n{line}\n");
        let topology = parse(&list);
        assert_eq!(gpus(&topology)[0].model.as_deref(), Some("NVIDIA H100 PCIe"), "{line}");
    }
}

/// A list tells nothing of NVLinks, whatever stands beside it, and says so.
#[test]
fn lists_say_that_nvlinks_are_unknown() {
    let list = "GPU 0: A (UUID: GPU-00000000-0000-4000-8000-000000000001)\n\
                GPU 1: A (UUID: GPU-00000000-0000-4000-8000-000000000002)\n";
    let slurmd =
        "\nNodeName=n1 CPUs=8 Boards=1 SocketsPerBoard=2 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=1000\n";
    for text in [list.to_owned(), format!("{list}{slurmd}")] {
        let topology = parse(&text);
        assert!(!topology.nvlink_known());
        assert_eq!(notes_of(&topology, NoteCode::NvlinksUnknown).len(), 1, "{text}");
    }
    let one = parse(list.lines().next().unwrap());
    assert_eq!(notes_of(&one, NoteCode::NvlinksUnknown), [""; 0]);
}

#[test]
fn xml_that_is_cut_keeps_its_whole_gpus() {
    let gpu = |bus: &str| {
        format!("<gpu id=\"00000000:{bus}:00.0\">\n<product_name>NVIDIA H100</product_name>\n</gpu>\n")
    };
    let head = "<?xml version=\"1.0\" ?>\n<nvidia_smi_log>\n<attached_gpus>3</attached_gpus>\n";
    let whole = format!("{head}{}{}{}</nvidia_smi_log>\n", gpu("04"), gpu("05"), gpu("0b"));
    assert_eq!(gpus(&parse(&whole)).len(), 3);
    let at = whole.rfind("NVIDIA H100").unwrap();
    for end in ["", "\n```\n", "\n...\n$ nvidia-smi -q -x | head\n"] {
        let topology = parse(&format!("{}{end}", &whole[..at]));
        assert_eq!(gpus(&topology).len(), 2, "{end}");
        let cut = notes_of(&topology, NoteCode::TextCut);
        assert!(cut.iter().any(|text| text.contains("in line 9")), "{cut:?}");
    }
    let first = &whole[..whole.find("NVIDIA H100").unwrap() + 3];
    let error = Topology::parse("cut.xml", first.as_bytes()).unwrap_err();
    assert_eq!(error.line(), Some(5), "{error}");
    assert!(error.message().contains("within its first GPU"), "{error}");
    // What is broken within the GPUs that are kept stays an error.
    assert!(Topology::parse("cut.xml", whole[..at].replacen("</product_name>", "", 1).as_bytes()).is_err());
}

#[test]
fn the_list_of_gpu_instances_is_refused_by_its_name() {
    let list = "+-------------------------------------------------------+\n| GPU instances:                                        |\n| GPU   Name             Profile  Instance   Placement  |\n|                          ID       ID       Start:Size |\n|=======================================================|\n|   0  MIG 1g.10gb         19        9          2:1     |\n+-------------------------------------------------------+\n";
    for before in ["", "sudo nvidia-smi mig -lgi\n"] {
        let error = Topology::parse("lgi", format!("{before}{list}").as_bytes()).unwrap_err();
        assert!(error.message().contains("mig -lgi"), "{error}");
    }
}
