//! The outputs of `lspci`.

use nvtopo::model::{Gpu, Nic, NodeId, NodeKind, NoteCode, PcieSpeed, TopologyBuilder, VirtualFunctions};
use nvtopo::{Bandwidth, NodeSet, PathType, Topology};
use std::collections::BTreeMap;

fn recorded(path: &str) -> Topology {
    let bytes = std::fs::read(super::data(path)).unwrap();
    Topology::parse(path, &bytes).unwrap_or_else(|error| panic!("{error}"))
}

fn read(text: &str) -> Topology {
    Topology::parse("lspci", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn merged(texts: &[&str]) -> Topology {
    let mut builder = TopologyBuilder::new();
    for text in texts {
        builder = builder.with(nvtopo::source::parse("tool", text.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

fn addresses(topology: &Topology) -> (Vec<String>, Vec<String>) {
    let gpus = topology.gpus().map(|gpu| gpu.address.unwrap().to_string()).collect();
    (gpus, topology.nics().map(|nic| nic.address.unwrap().to_string()).collect())
}

fn gpu<'a>(topology: &'a Topology, address: &str) -> &'a Gpu {
    topology.gpus().find(|gpu| gpu.address == Some(address.parse().unwrap())).unwrap()
}

fn nic<'a>(topology: &'a Topology, address: &str) -> &'a Nic {
    topology.nics().find(|nic| nic.address == Some(address.parse().unwrap())).unwrap()
}

/// The position of a device among all.
fn at(topology: &Topology, address: &str) -> usize {
    let address = Some(address.parse().unwrap());
    let is = |id: &NodeId| match &topology.node(*id).kind {
        NodeKind::Gpu(gpu) => gpu.address == address,
        NodeKind::Nic(nic) => nic.address == address,
        _ => false,
    };
    topology.devices().iter().position(is).unwrap()
}

fn path(topology: &Topology, a: &str, b: &str) -> Option<PathType> {
    topology.pairs().pair(at(topology, a), at(topology, b)).path
}

fn redirected(topology: &Topology, a: &str, b: &str) -> Option<bool> {
    let [a, b] = [a, b].map(|address| topology.devices()[at(topology, address)]);
    topology.redirected(a, b)
}

fn noted(topology: &Topology, code: NoteCode) -> bool {
    topology.notes().iter().any(|note| note.code() == code)
}

/// The server with eight H100: buses, NUMA nodes, links and ACS as the superuser sees them. Its GPUs have an adapter each
/// below the same switch.
#[test]
fn details_tell_the_tree_links_and_acs() {
    let topology = recorded("devices/dell-8xh100.lspci");
    let (gpus, nics) = addresses(&topology);
    let buses = ["19", "3b", "4c", "5d", "9b", "bb", "cb", "db"];
    assert_eq!(gpus, buses.map(|bus| format!("0000:{bus}:00.0")));
    for (gpu, near) in [
        ("19", "1a"),
        ("3b", "3c"),
        ("4c", "4d"),
        ("5d", "5e"),
        ("9b", "9c"),
        ("bb", "bc"),
        ("cb", "cc"),
        ("db", "dc"),
    ] {
        let (gpu, near) = (format!("0000:{gpu}:00.0"), format!("0000:{near}:00.0"));
        assert_eq!(path(&topology, &gpu, &near), Some(PathType::Pix), "{gpu}");
        assert_eq!(redirected(&topology, &gpu, &near), Some(false), "{gpu}");
    }
    assert!(nics.contains(&"0000:1b:00.1".to_owned()));
    assert_eq!(path(&topology, &gpus[0], &gpus[1]), Some(PathType::Node));
    assert_eq!(path(&topology, &gpus[0], &gpus[4]), Some(PathType::Sys));
    assert_eq!(topology.numa_nodes().map(|node| node.os_index).collect::<Vec<_>>(), [0, 1]);
    let switches = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::NvSwitch(_))).count();
    assert_eq!(switches, 4);
    let link = gpu(&topology, &gpus[0]).pci.link.unwrap();
    let full = PcieSpeed::new(Some(5), Some(16));
    assert_eq!((link.now, link.device, link.port), (full, full, full));
    let narrow = nic(&topology, "0000:01:00.0").pci.link.unwrap();
    // The port has one lane, so none is lost.
    assert_eq!((narrow.now.width, narrow.device.width, narrow.port.width), (Some(1), Some(2), Some(1)));
    assert_eq!(narrow.lanes_lost(), None);
    let counts = gpu(&topology, &gpus[0]).pci.virtual_functions;
    assert_eq!(counts, Some(VirtualFunctions::new(0, 32)));
    for code in [NoteCode::NvlinksUnknown, NoteCode::NumaCpusUnknown] {
        assert!(noted(&topology, code), "{code:?}");
    }
    assert!(!noted(&topology, NoteCode::AcsUnknown));
}

#[test]
fn lists_tell_devices_and_numbers_and_no_paths() {
    let topology = recorded("lspci/nn-azure-a100-guest.txt");
    let (gpus, nics) = addresses(&topology);
    let domains = ["0001", "0002", "0003", "0004", "000b", "000c", "000d", "000e"];
    assert_eq!(gpus, domains.map(|domain| format!("{domain}:00:00.0")));
    // A guest sees virtual functions alone, and they are its adapters.
    let domains = ["0101", "0102", "0103", "0104", "0105", "0106", "0107", "0108"];
    let mut expected: Vec<String> = domains.iter().map(|domain| format!("{domain}:00:00.0")).collect();
    expected.push("c941:00:02.0".to_owned());
    assert_eq!(nics, expected);
    let first = gpu(&topology, "0001:00:00.0");
    assert_eq!((first.pci.vendor, first.pci.device), (Some(0x10de), Some(0x20b2)));
    assert_eq!((first.index, first.model.as_deref()), (0, Some("A100 SXM4 80GB")));
    let count = |is: fn(&NodeKind) -> bool| topology.nodes().filter(|(_, node)| is(&node.kind)).count();
    assert_eq!(count(|kind| matches!(kind, NodeKind::NvSwitch(_))), 6);
    assert_eq!(count(|kind| matches!(kind, NodeKind::Nvme(_))), 8);
    assert_eq!(path(&topology, "0001:00:00.0", "0002:00:00.0"), None);
    assert!(noted(&topology, NoteCode::PathsUnknown));

    let topology = recorded("lspci/nn-a10-guest.txt");
    assert_eq!(addresses(&topology), (vec!["0000:06:00.0".to_owned()], vec!["0000:05:00.0".to_owned()]));
    assert_eq!(gpu(&topology, "06:00.0").model.as_deref(), Some("A10"));
}

#[test]
fn every_form_tells_the_same_devices() {
    let forms = [
        "17:00.0 3D controller: NVIDIA Corporation GA100 [A100 SXM4 40GB] (rev a1)\n17:00.1 Audio device: NVIDIA Corporation X (rev a1)\n1a:00.0 Infiniband controller: Mellanox Technologies MT28908 Family [ConnectX-6]\n",
        "0000:17:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 SXM4 40GB] [10de:20b0] (rev a1)\n0000:1a:00.0 Infiniband controller [0207]: Mellanox Technologies MT28908 Family [ConnectX-6] [15b3:101b]\n",
        "17:00.0 0302: 10de:20b0 (rev a1)\n1a:00.0 0207: 15b3:101b\n",
        "17:00.0 Class 0302: 10de:20b0 (rev a1)\n1a:00.0 Class 0207: 15b3:101b\n",
        "17:00.0 \"3D controller\" \"NVIDIA Corporation\" \"GA100 [A100 SXM4 40GB]\" -ra1 \"NVIDIA Corporation\" \"Device 144e\"\n1a:00.0 \"Infiniband controller [0207]\" \"Mellanox Technologies [15b3]\" \"MT28908 Family [ConnectX-6] [101b]\" \"Mellanox Technologies [15b3]\" \"Device [0006]\"\n",
        "Slot:\t17:00.0\nClass:\t3D controller [0302]\nVendor:\tNVIDIA Corporation [10de]\nDevice:\tGA100 [A100 SXM4 40GB] [20b0]\nSVendor:\tNVIDIA Corporation [10de]\nSDevice:\tDevice [144e]\nRev:\ta1\nDriver:\tnvidia\n\nSlot:\t1a:00.0\nClass:\t0207\nVendor:\t15b3\nDevice:\t101b\n",
        "> Device:\t17:00.0\n> Class:\t3D controller\n> Vendor:\tNVIDIA Corporation\n> Device:\tGA100 [A100 SXM4 40GB]\n>\n> Device:\t1a:00.0\n> Class:\tInfiniband controller\n> Vendor:\tMellanox Technologies\n> Device:\tMT28908 Family [ConnectX-6]\n",
        "-[0000:00]-+-01.0-[17]--+-00.0  NVIDIA Corporation GA100 [A100 SXM4 40GB]\n           |            \\-00.1  NVIDIA Corporation GA100 High Definition Audio Controller\n           \\-02.0-[1a]----00.0  Mellanox Technologies MT28908 Family [ConnectX-6]\n",
        "IOMMU Group 7 0000:17:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 SXM4 40GB] [10de:20b0] (rev a1)\nIOMMU Group 9 0000:1a:00.0 Infiniband controller [0207]: Mellanox Technologies MT28908 Family [ConnectX-6] [15b3:101b]\n",
    ];
    for text in forms {
        let topology = read(text);
        let expected = (vec!["0000:17:00.0".to_owned()], vec!["0000:1a:00.0".to_owned()]);
        assert_eq!(addresses(&topology), expected, "{text}");
        let own = gpu(&topology, "17:00.0");
        assert!(own.model.as_deref().is_none_or(|model| model == "A100 SXM4 40GB"), "{text}");
        assert!(own.pci.device.is_none_or(|device| device == 0x20b0), "{text}");
    }
    assert_eq!(gpu(&read(forms[8]), "17:00.0").pci.iommu_group, Some(7));
    let board = gpu(&read(forms[5]), "17:00.0").pci.clone();
    assert_eq!((board.subsystem_vendor, board.subsystem_device), (Some(0x10de), Some(0x144e)));
}

const DRAWING: &str = "\
-+-[0000:80]-+-00.0  Intel Corporation Device 09a2
 |           \\-01.0-[81-85]----00.0-[82-85]--+-00.0-[83]----00.0  NVIDIA Corporation GH100 [H100 SXM5 80GB]
 |                                           +-01.0-[84]--+-00.0  Mellanox Technologies MT2910 Family [ConnectX-7]
 |                                           |            \\-00.1  Mellanox Technologies MT2910 Family [ConnectX-7]
 |                                           \\-02.0-[85]--
 \\-[0000:00]-+-00.0
             +-01.0-[01]----00.0  NVIDIA Corporation GH100 [H100 SXM5 80GB]
             +-02.0-[02]----00.0  NVIDIA Corporation GH100 [H100 NVSwitch]
             \\-03.0-[03]----00.0  Samsung Electronics Co Ltd NVMe SSD Controller PM9A1
";

#[test]
fn a_drawing_tells_the_tree() {
    let quoted: String = DRAWING.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n");
    for text in [DRAWING.to_owned(), quoted, format!("$ lspci -tv\n{DRAWING}$ \n")] {
        let topology = read(&text);
        let (gpus, nics) = addresses(&topology);
        assert_eq!(gpus, ["0000:01:00.0", "0000:83:00.0"]);
        assert_eq!(nics, ["0000:84:00.0", "0000:84:00.1"]);
        assert_eq!(path(&topology, "83:00.0", "84:00.0"), Some(PathType::Pix));
        assert!(noted(&topology, NoteCode::Inferred));
    }
    // Numbers and classes of a list stand before what names tell.
    let list = "83:00.0 0302: 10de:2330 (rev a1)\n01:00.0 0302: 10de:2330 (rev a1)\n84:00.0 0207: 15b3:1021\n84:00.1 0207: 15b3:1021\n";
    let bare: Vec<&str> = DRAWING.lines().map(|line| line.split("  ").next().unwrap()).collect();
    let bare: Vec<String> = DRAWING
        .lines()
        .zip(bare)
        .map(|(line, _)| {
            line.rfind("  ")
                .filter(|at| {
                    *at > 15 && line[*at..].contains(|c: char| c.is_alphabetic() && c.is_uppercase())
                })
                .map_or(line, |at| &line[..at])
                .to_owned()
        })
        .collect();
    let text = format!("{}\n\n{list}", bare.join("\n"));
    let topology = read(&text);
    assert_eq!(path(&topology, "83:00.0", "84:00.1"), Some(PathType::Pix), "{text}");
    let error = Topology::parse("bare", bare.join("\n").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("lspci -tvnn"), "{error}");
}

#[test]
fn ordinary_users_are_not_told_speeds_and_acs() {
    let text = "\
00:01.0 PCI bridge: Intel Corporation Device 1 (rev 11)
\tBus: primary=00, secondary=01, subordinate=04, sec-latency=0
\tCapabilities: <access denied>
01:00.0 PCI bridge: Broadcom / LSI PEX890xx (rev b0)
\tBus: primary=01, secondary=02, subordinate=04, sec-latency=0
\tCapabilities: <access denied>
02:00.0 PCI bridge: Broadcom / LSI PEX890xx (rev b0)
\tBus: primary=02, secondary=03, subordinate=03, sec-latency=0
\tCapabilities: <access denied>
02:01.0 PCI bridge: Broadcom / LSI PEX890xx (rev b0)
\tBus: primary=02, secondary=04, subordinate=04, sec-latency=0
\tCapabilities: <access denied>
03:00.0 3D controller: NVIDIA Corporation Device 2330 (rev a1)
\tSubsystem: NVIDIA Corporation Device 16c1
\tNUMA node: 1
\tIOMMU group: 12
\tCapabilities: <access denied>
\tKernel driver in use: nvidia
04:00.0 Infiniband controller: Mellanox Technologies MT2910 Family [ConnectX-7]
\tNUMA node: 1
\tCapabilities: <access denied>
\tKernel driver in use: mlx5_core
";
    let topology = read(text);
    assert_eq!(path(&topology, "03:00.0", "04:00.0"), Some(PathType::Pix));
    assert_eq!(redirected(&topology, "03:00.0", "04:00.0"), None);
    assert!(noted(&topology, NoteCode::AcsUnknown));
    let own = gpu(&topology, "03:00.0");
    assert_eq!((own.pci.link, own.pci.iommu_group, own.model.as_deref()), (None, Some(12), None));
    assert_eq!(topology.local_nodes(topology.devices()[0]).known(), Some(&NodeSet::from_iter([1])));
    // What the superuser is shown closes the gap.
    let told = text.replace(
        "Capabilities: <access denied>",
        "Capabilities: [40] Express (v2) Downstream Port (Slot+), MSI 00\n\t\tLnkCap:\tPort #0, Speed 16GT/s, Width x16\n\t\tLnkSta:\tSpeed 2.5GT/s (downgraded), Width x16 (ok)\n\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-",
    );
    let topology = read(&told);
    assert_eq!(redirected(&topology, "03:00.0", "04:00.0"), Some(true));
    let link = gpu(&topology, "03:00.0").pci.link.unwrap();
    assert_eq!((link.generations_lost(), link.lanes_lost()), (Some((1, 4)), None));
    let rate = topology.pairs().pair(0, 1).rate;
    assert!(rate.is_some_and(|rate| rate.bandwidth < Bandwidth::from_gb_per_s(32.0)), "{rate:?}");
}

#[test]
fn devices_that_no_job_can_use_are_left_out() {
    let text = "\
01:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 PCIe 40GB] [10de:20f1] (rev a1)
\tKernel driver in use: vfio-pci
02:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 PCIe 40GB] [10de:20f1] (rev ff)
\t!!! Unknown header type 7f
03:00.0 Ethernet controller [0200]: Mellanox Technologies MT2910 Family [ConnectX-7] [15b3:1021]
\t\t[VA] Vendor specific: MLX:MN=MLNX:CSKU=V2:UUID=V3:PCI=V0:SMDL=SW_MNG
04:00.0 Ethernet controller [0200]: Mellanox Technologies MT2892 Family [ConnectX-6 Dx] [15b3:101d]
\t\tInitial VFs: 8, Total VFs: 8, Number of VFs: 2, Function Dependency Link: 00
\t\tVF offset: 2, stride: 1, Device ID: 101e
04:00.2 Ethernet controller [0200]: Mellanox Technologies ConnectX Family mlx5Gen Virtual Function [15b3:101e]
04:00.3 Ethernet controller [0200]: Mellanox Technologies ConnectX Family mlx5Gen Virtual Function [15b3:101e]
05:00.0 3D controller [0302]: NVIDIA Corporation GA102GL [A40] [10de:2235] (rev a1)
05:00.4 3D controller [0302]: NVIDIA Corporation GA102GL [A40] [10de:2235] (rev a1)
";
    let topology = read(text);
    let (gpus, nics) = addresses(&topology);
    assert_eq!(gpus, ["0000:02:00.0", "0000:05:00.0"]);
    assert_eq!(nics, ["0000:04:00.0"]);
    assert!(gpu(&topology, "02:00.0").unusable.is_some() && gpu(&topology, "05:00.0").unusable.is_none());
    assert_eq!(topology.notes().iter().filter(|note| note.code() == NoteCode::DeviceLeftOut).count(), 2);
}

#[test]
fn other_sources_give_names_numbers_and_cpus() {
    let lspci = std::fs::read_to_string(super::data("devices/dell-8xh100.lspci")).unwrap();
    let names = "0000:1a:00.0 mlx5_0 (MT4129 - X) ConnectX-7 fw 28.39.1002 port 1 (ACTIVE) ==> ib0 (Up)\n";
    let numactl = "node 0 cpus: 0 2\nnode 0 size: 10 MB\nnode 1 cpus: 1 3\nnode 1 size: 10 MB\n";
    let header = [0, 1, 2, 3, 4, 5, 6, 7].map(|gpu| format!("\tGPU{gpu}")).concat();
    let row = |own: usize| {
        let cells: Vec<&str> = (0..8).map(|gpu| if gpu == own { " X " } else { "NV18" }).collect();
        format!("GPU{own}\t{}\t{}\t{}\n", cells.join("\t"), ["0,2", "1,3"][own / 4], own / 4)
    };
    let matrix: String = (0..8).map(row).collect();
    let matrix = format!("{header}\tCPU Affinity\tNUMA Affinity\n{matrix}");
    for texts in [[&*lspci, names, numactl, &*matrix], [&*matrix, numactl, names, &*lspci]] {
        let topology = merged(&texts);
        assert_eq!(topology.gpus().len(), 8);
        assert_eq!(topology.pairs().pair(0, 7).nvlinks, 18);
        let own = topology.nics().find(|nic| nic.name == "mlx5_0").unwrap();
        assert_eq!(own.address.unwrap().to_string(), "0000:1a:00.0");
        assert_eq!(path(&topology, "19:00.0", "1a:00.0"), Some(PathType::Pix));
        let cpus: BTreeMap<u32, String> =
            topology.numa_nodes().map(|node| (node.os_index, node.cpus.to_string())).collect();
        assert_eq!(cpus, BTreeMap::from([(0, "0,2".to_owned()), (1, "1,3".to_owned())]));
        for code in [NoteCode::NvlinksUnknown, NoteCode::NumaCpusUnknown, NoteCode::SourcesDisagree] {
            assert!(!noted(&topology, code), "{code:?}: {:?}", topology.notes());
        }
    }
}

#[test]
fn wrong_text_is_refused_with_its_place() {
    let bridge = "00:01.0 PCI bridge: X\n";
    for (text, line, column, words) in [
        (format!("{bridge}\tBus: primary=00, secondary=zz, subordinate=01\n"), 2, 2, "'zz'"),
        (format!("{bridge}\tNUMA node: many\n"), 2, 2, "'many'"),
        (format!("{bridge}\tNUMA node: 70000\n"), 2, 2, "'70000'"),
        ("Slot: 17:00.0\nNUMANode: x\n".to_owned(), 2, 1, "'x'"),
        ("-[0000:00]-+-00.0\n    +-01.0\n".to_owned(), 2, 5, "hangs on nothing"),
        ("-[0000:00]-+-zz.0  X\n           \\-99.0\n".to_owned(), 2, 14, "no device"),
        ("-[0000:00]---01.0-[xx]--\n".to_owned(), 1, 19, "no bus"),
        ("-[0000:00]---01.0-[0\n".to_owned(), 1, 19, "cut"),
    ] {
        let error = Topology::parse("lspci", text.as_bytes()).unwrap_err();
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{text}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // Bridges that lead in a circle.
    let circle = "00:01.0 PCI bridge: X\n\tBus: primary=00, secondary=01\n01:00.0 PCI bridge: X\n\tBus: primary=01, secondary=02\n02:00.0 PCI bridge: X\n\tBus: primary=02, secondary=01\n02:01.0 3D controller: NVIDIA Corporation X\n";
    assert_eq!(read(circle).gpus().len(), 1);
    let circle = circle.replace("00:01.0 PCI bridge: X\n\tBus: primary=00, secondary=01\n", "");
    assert_eq!(read(&circle).gpus().len(), 1);
}

#[test]
fn nothing_that_is_cut_or_changed_breaks_the_reader() {
    let short: String =
        std::fs::read_to_string(super::data("devices/dell-8xh100.lspci")).unwrap()[..6000].to_owned();
    for bytes in [DRAWING.as_bytes().to_vec(), short.into_bytes()] {
        for end in (0..bytes.len()).step_by(61) {
            let _ = Topology::parse("cut", &bytes[..end]);
        }
        for at in (0..bytes.len()).step_by(71) {
            for byte in [b'9', b' ', b'[', b'-', b'\n', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let _ = Topology::parse("changed", &changed);
            }
        }
    }
}

/// A fence of Markdown stands straight after it, whose backticks are corners, too.
#[test]
fn what_follows_a_drawing_is_no_branch() {
    let drawing = "-[0000:00]-+-00.0  Intel Corporation DRAM Controller\n           \\-01.0-[01]----00.0  NVIDIA Corporation GH100 [H100 SXM5 80GB]\n";
    for after in ["```\n", "> ```\n", "+-----+\n|  x  |\n+-----+\n", "`lspci`\n", "\\end{verbatim}\n"] {
        let topology = read(&format!("```\n{drawing}{after}text\n"));
        assert_eq!(addresses(&topology).0, ["0000:01:00.0"], "{after}");
        assert!(!noted(&topology, NoteCode::TextCut), "{after}");
    }
    let old = drawing.replace('\\', "`");
    assert_eq!(addresses(&read(&old)).0, ["0000:01:00.0"]);
}

#[test]
fn drawings_go_on_after_what_people_leave_out() {
    let (head, tail) = (
        "-+-[0000:00]-+-00.0  Intel Corporation DRAM Controller\n |           \\-01.0-[01]----00.0  NVIDIA Corporation GB110 [B300 SXM6 AC]\n",
        " \\-[0000:c0]---00.0-[c1]--+-00.0  Mellanox MT2910 Family [ConnectX-7]\n                          \\-00.1  Mellanox MT2910 Family [ConnectX-7]\n",
    );
    let adapters = ["0000:c1:00.0", "0000:c1:00.1"];
    for between in [
        " ... (omitted)\n",
        "... (GPU2~GPU7 的结构完全一样)\n",
        " |           +-... (QEMU)\n",
        "[snip]\n\n",
        "（省略）\n",
        " |           …\n |           \\-02.0-[02]----00.0  NVIDIA Corporation GB110 [B300 SXM6 AC]\n",
    ] {
        let topology = read(&format!("{head}{between}{tail}"));
        let (gpus, nics) = addresses(&topology);
        assert_eq!(
            (gpus[0].as_str(), nics),
            ("0000:01:00.0", adapters.map(str::to_owned).to_vec()),
            "{between}"
        );
        assert_eq!(gpus.len(), 1 + between.matches("NVIDIA").count(), "{between}");
        let text = "the text leaves lines of the drawing out at line 3";
        assert!(topology.notes().iter().any(|note| note.text == text), "{between}");
    }
    // The bus of a branch that was left out is unknown, though one before has its column.
    let head = "-+-[0000:00]---01.0-[01]--+-00.0  NVIDIA Corporation GB110 [B300 SXM6 AC]\n";
    let lost = " |                        +-01.0  Mellanox MT2892 Family [ConnectX-6 Dx]\n";
    let topology = read(&format!("{head} ...\n{lost}{tail}"));
    assert_eq!(addresses(&topology), (vec!["0000:01:00.0".to_owned()], adapters.map(str::to_owned).to_vec()));
    let notes = topology.notes().iter().filter(|note| note.code() == NoteCode::TextCut).count();
    assert_eq!(notes, 2);
    assert_eq!(addresses(&read(&format!("{head}{lost}{tail}"))).1.len(), 3);

    let listed = "17:00.0 0302: 10de:20b0 (rev a1)\n... (6 more)\n1a:00.0 0207: 15b3:101b\n";
    let topology = read(listed);
    assert!(noted(&topology, NoteCode::TextCut));
}

#[test]
fn comments_behind_devices_are_none_of_a_matrix() {
    let drawing = "-[0000:00]-+-00.0  Intel Corporation DRAM Controller\n           \\-01.0-[01]----00.0  NVIDIA Corporation GB110 [B300 SXM6 AC]   # GPU0\n";
    let list = "01:00.0 3D controller [0302]: NVIDIA Corporation GB110 [10de:3182] (rev a1)   # GPU0 NIC0\n";
    for text in [drawing, list] {
        let topology = read(text);
        assert_eq!(addresses(&topology).0, ["0000:01:00.0"], "{text}");
    }
    let topology = read(drawing);
    assert_eq!(topology.gpus().next().unwrap().model.as_deref(), Some("B300 SXM6 AC"));
}

#[test]
fn a_drawing_without_names_is_left_out_beside_a_matrix() {
    let drawing =
        "```\n-[0000:00]-+-00.0\n           \\-01.1-[01]--+-00.0\n                        \\-00.1\n```\n";
    let matrix = "```\n\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tPHB\t0-63\nGPU1\tPHB\t X \t0-63\n```\n";
    let topology = read(&format!("{matrix}\n{drawing}"));
    assert_eq!(topology.gpus().len(), 2);
    assert!(topology.notes().iter().any(|note| note.text.contains("lspci -t names no devices")));
    let error = Topology::parse("lspci", drawing.as_bytes()).unwrap_err();
    assert!(error.message().contains("names no devices"), "{error}");
}
