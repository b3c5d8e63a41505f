//! Directories and archives of saved outputs.

use crate::{data, notes_of};
use flate2::{Compression, write::GzEncoder};
use nvtopo::model::{Basis, Gpu, NoteCode, NvLinkFar};
use nvtopo::source::Locator;
use nvtopo::{Error, ErrorKind, PathType, Topology};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// A directory of this test alone, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nvtopo-folder-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn open(&self) -> Result<Topology, Error> {
        Topology::open(&[Locator::Path(self.0.clone())])
    }

    fn read(&self) -> Topology {
        self.open().unwrap()
    }

    /// Returns the gzipped archive of it.
    fn archive(&self, below: &str) -> Vec<u8> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        archive.append_dir_all(below, &self.0).unwrap();
        archive.into_inner().unwrap().finish().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gpus(topology: &Topology) -> Vec<&Gpu> {
    topology.gpus().collect()
}

const TOPO: &str = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-15\nGPU1\tNV4\t X \t0-15\n";
const STATUS: &str = "\
GPU 0: NVIDIA RTX A6000 (UUID: GPU-5baec991-de63-c196-1766-04c38407e133)
\t Link 0: 14.062 GB/s
\t Link 1: 14.062 GB/s
\t Link 2: 14.062 GB/s
\t Link 3: 14.062 GB/s
GPU 1: NVIDIA RTX A6000 (UUID: GPU-39fc2446-cb50-2067-2867-d95efd470a2c)
\t Link 0: 14.062 GB/s
\t Link 1: 14.062 GB/s
\t Link 2: 14.062 GB/s
\t Link 3: 14.062 GB/s
";

/// Checks that both texts were read.
fn check_both(topology: &Topology) {
    let pair = topology.pairs().pair(0, 1);
    assert_eq!((pair.path, pair.nvlinks), (Some(PathType::Nvl), 4));
    assert_eq!(pair.rate.unwrap().bandwidth.as_mb_per_s(), 56_250);
    assert_eq!(gpus(topology)[1].model.as_deref(), Some("NVIDIA RTX A6000"));
}

#[test]
fn saved_outputs_are_a_machine_whatever_their_names_are() {
    let folder = Folder::new("outputs")
        .with("nvidia/a", TOPO)
        .with("nvidia/deep/er/b.log", STATUS)
        .with("messages", "kernel: some line\n")
        .with("notes.md", "# A machine\n")
        .with("empty", "\n");
    let topology = folder.read();
    check_both(&topology);
    assert_eq!(
        notes_of(&topology, NoteCode::FilesLeftOut),
        ["2 files of no format that nvtopo knows: messages, notes.md"]
    );
}

const LISTED: &str = "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-11111111-2222-3333-4444-555555555555)\n\
                      GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-11111111-2222-3333-4444-555555555556)\n";

#[test]
fn compressed_files_and_archives_are_read_alike() {
    let folder = Folder::new("gz").with("a.gz", gzipped(TOPO.as_bytes())).with("b", STATUS);
    check_both(&folder.read());
    for below in ["", "bundle"] {
        check_both(&Topology::parse("bundle.tar.gz", &folder.archive(below)).unwrap());
    }
    let outer = Folder::new("outer").with("bundle.tgz", folder.archive("x"));
    check_both(&outer.read());
    let text = [TOPO, STATUS].concat();
    check_both(&Topology::parse("both.gz", &gzipped(text.as_bytes())).unwrap());
}

#[test]
fn a_gzip_file_of_endless_pieces_is_refused() {
    let pieces = |count: usize| [gzipped(b"").repeat(count), gzipped(LISTED.as_bytes())].concat();
    let read = |count: usize| Topology::parse("pieces.gz", &pieces(count));
    assert_eq!(read(1000).unwrap().gpus().len(), 2);
    let error = read(1 << 14).unwrap_err().to_string();
    assert!(error.contains("in more than 16384 pieces"), "{error}");
}

#[test]
fn recorded_files_of_the_kernel_and_saved_outputs_are_merged() {
    let tree = data("trees/small2.tar.gz");
    let folder = Folder::new("tree");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(tree).unwrap()));
    archive.unpack(&folder.0).unwrap();
    let alone = folder.read();
    assert_eq!(notes_of(&alone, NoteCode::FilesLeftOut), [""; 0]);
    let folder = folder.with("outputs/topo.txt", TOPO).with("etc/hidden.txt", TOPO).with("other", "prose\n");
    let topology = folder.read();
    assert_eq!(topology.pairs().pair(0, 1).nvlinks, 4);
    assert_eq!(gpus(&topology)[0].address, gpus(&alone)[0].address);
    assert_eq!(notes_of(&topology, NoteCode::FilesLeftOut), ["1 file of no format that nvtopo knows: other"]);
    let packed = Topology::parse("x", &folder.archive("machine")).unwrap();
    assert_eq!(gpus(&packed), gpus(&topology));
    assert_eq!(packed.pairs(), topology.pairs());
}

#[test]
fn a_damaged_file_is_left_out_with_a_note_that_names_it() {
    let bad = "GPU 0: A (UUID: GPU-1)\n\t Link 1: 14 GB/s\n\t Link 0: 14 GB/s\n";
    let topology = Folder::new("damaged").with("bad.txt", bad).with("topo.txt", TOPO).read();
    let damage = notes_of(&topology, NoteCode::Damage);
    assert_eq!(damage, ["bad.txt:3:1: link 0 follows link 1; the file was left out"]);
    let error = Folder::new("damaged-alone").with("bad.txt", bad).open().unwrap_err();
    assert_eq!((error.line(), error.input_name()), (Some(3), Some("bad.txt")));
}

#[test]
fn contradictions_name_the_files() {
    let other = STATUS.replace("Link 3: 14.062 GB/s", "Link 3: <inactive>").replace("RTX A6000", "A40");
    let folder = Folder::new("contradictions").with("one.txt", STATUS).with("two.txt", other);
    let notes = crate::notes(&folder.with("topo.txt", TOPO).read());
    let said =
        "GPU0, model: nvidia-smi (one.txt) says NVIDIA RTX A6000, nvidia-smi (two.txt) says NVIDIA A40";
    assert!(notes.contains(said), "{notes}");
}

#[test]
fn files_of_two_machines_are_refused() {
    let help = "put the files of each machine into a directory of its own";
    let refused = |folder: Folder, parts: &[&str]| {
        let error = folder.open().unwrap_err();
        assert_eq!((error.kind(), error.advice()), (ErrorKind::InvalidInput, Some(help)), "{error}");
        for part in parts {
            assert!(error.message().contains(part), "{error}");
        }
    };
    let other = STATUS.replace("GPU-5baec991", "GPU-11111111").replace("GPU-39fc2446", "GPU-22222222");
    refused(Folder::new("uuids").with("one.txt", STATUS).with("two.txt", &other), &["one.txt", "two.txt"]);
    let prompt = |host: &str, text: &str| format!("[root@{host} ~]# nvidia-smi topo -m\n{text}");
    let folder = Folder::new("prompts");
    refused(
        folder.with("a", prompt("n17", TOPO)).with("b", prompt("n18", STATUS)),
        &["n17 in a", "n18 in b"],
    );
    let uname = "Linux gpu9.example.org 5.15.0-91-generic #101-Ubuntu SMP x86_64 GNU/Linux\n";
    let folder = Folder::new("names").with("hostname", "gpu8\n").with("uname_-a", uname).with("t", TOPO);
    refused(folder, &["gpu8 in hostname", "gpu9 in uname_-a"]);
    // One GPU that was replaced is not another machine.
    let swapped = STATUS.replace("GPU-5baec991", "GPU-11111111");
    let topology = Folder::new("swapped").with("one.txt", STATUS).with("two.txt", swapped).read();
    assert_eq!(gpus(&topology).len(), 2);
    let same = Folder::new("same").with("hostname", "gpu9\n").with("uname_-a", uname).with("t", TOPO).read();
    assert_eq!(notes_of(&same, NoteCode::FilesLeftOut), [""; 0]);
}

#[test]
fn a_directory_without_anything_to_read_says_what_is_in_it() {
    let error = Folder::new("prose").with("a", "prose\n").with("b/c", "more\n").open().unwrap_err();
    assert!(error.message().contains("2 files of no format that nvtopo knows: a, b/c"), "{error}");
    assert!(error.message().contains("not a recorded machine"), "{error}");
    let error = Folder::new("nothing").open().unwrap_err();
    assert_eq!((error.message(), error.kind()), ("not a recorded machine", ErrorKind::InvalidInput));
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_not_followed() {
    let folder = Folder::new("links").with("topo", TOPO);
    std::os::unix::fs::symlink("/dev/zero", folder.0.join("zero")).unwrap();
    std::os::unix::fs::symlink("..", folder.0.join("up")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.0.join("pipe")).status().unwrap().success());
    assert_eq!(notes_of(&folder.read(), NoteCode::FilesLeftOut), [""; 0]);
}

#[test]
fn a_report_with_sections_of_other_programs_is_cut_at_its_dividers() {
    let line = "_".repeat(44);
    let sections = [
        "*** ls: -rw-r--r-- 1 root root 10 /proc/x\nPackage : 0\n",
        &format!("/usr/bin/nvidia-smi topo -m\n\n{TOPO}"),
        "/usr/bin/dmesg\n\n[ 1.0] nvidia-smi[12]: segfault\nGPU1\t|\t|\n",
        &format!("/usr/bin/nvidia-smi nvlink --status\n\n{STATUS}"),
        "Link 9: is not one of them\n",
    ];
    let report = sections.iter().map(|section| format!("{line}\n\n{section}\n")).collect::<Vec<_>>().concat();
    check_both(&Topology::parse("nvidia-bug-report.log", report.as_bytes()).unwrap());
    check_both(&Topology::parse("nvidia-bug-report.log.gz", &gzipped(report.as_bytes())).unwrap());
}

#[test]
fn a_recorded_directory_is_one_machine() {
    let topology = Topology::open(&[Locator::Path(data("bundles/h100-pcie-2gpu"))]).unwrap();
    let gpus = gpus(&topology);
    let buses: Vec<u8> = gpus.iter().map(|gpu| gpu.address.unwrap().bus).collect();
    assert_eq!(buses, [0xc2, 0xd5]);
    assert!(gpus.iter().all(|gpu| gpu.memory == Some(81559 << 20) && gpu.uuid.is_some()));
    assert_eq!(gpus[0].nvlinks.iter().filter(|port| port.up == Some(true)).count(), 12);
    // One text tells the far ends of the links that are up, another which these are, and their rates.
    let port = gpus[0].nvlinks.iter().find(|port| port.number == 6).unwrap();
    assert_eq!((gpus[0].nvlinks.len(), port.far), (18, NvLinkFar::Gpu(gpus[1].address.unwrap())));
    let pair = topology.pairs().pair(0, 1);
    let rate = pair.rate.unwrap();
    assert_eq!((pair.nvlinks, rate.bandwidth.as_mb_per_s(), rate.basis), (12, 300_000, Basis::Nominal));
    assert_eq!(topology.machine().driver.as_deref(), Some("555.42.02"));
    assert_eq!(notes_of(&topology, NoteCode::SourcesDisagree), [""; 0]);
    assert_eq!(
        notes_of(&topology, NoteCode::FilesLeftOut),
        ["1 file of no format that nvtopo knows: remark.txt"]
    );
}

#[test]
fn outputs_of_several_systems_tools_stand_in_one_text() {
    let cpus = "Architecture:        x86_64\nCPU(s):              4\nOn-line CPU(s) list: 0-3\nThread(s) per core:  1\n\
                Core(s) per socket:  2\nSocket(s):           2\nNUMA node(s):        2\nNUMA node0 CPU(s):   0,1\nNUMA node1 CPU(s):   2,3\n";
    let nodes = "available: 2 nodes (0-1)\nnode 0 cpus: 0 1\nnode 0 size: 32000 MB\nnode 1 cpus: 2 3\nnode 1 size: 32000 MB\n\
                 node distances:\nnode   0   1\n  0:  10  21\n  1:  21  10\n";
    let topo = TOPO.replace("0-15", "0-1");
    let all = format!(
        "$ lscpu\n{cpus}$ numactl -H\n{nodes}$ nvidia-smi topo -m\n{topo}$ nvidia-smi nvlink -s\n{STATUS}"
    );
    let topology = Topology::parse("all", all.as_bytes()).unwrap();
    check_both(&topology);
    assert_eq!(topology.cpus().to_string(), "0-3");
    let memory: Vec<_> = topology.nodes().filter_map(|(_, node)| node.kind.as_numa_node()?.memory).collect();
    assert_eq!(memory, [32000 << 20; 2]);
    let folder =
        Folder::new("tools").with("lscpu", cpus).with("numactl", nodes).with("topo", topo).with("s", STATUS);
    assert_eq!(folder.read().cpus(), topology.cpus());
}

/// A matrix shows all GPUs: texts of more are of another machine, or of another view of it.
#[test]
fn a_matrix_with_fewer_gpus_than_a_list_is_another_machine() {
    let gpu = |gpu: u32| format!("GPU {gpu}: A (UUID: GPU-00000000-0000-4000-8000-00000000000{gpu})\n");
    let list = |gpus: u32| (0..gpus).map(gpu).collect::<String>();
    let error = Folder::new("fewer").with("topo.txt", TOPO).with("list.txt", list(4)).open().unwrap_err();
    for part in ["two machines", "topo.txt shows 2 GPUs", "list.txt 4"] {
        assert!(error.message().contains(part), "{error}");
    }
    assert_eq!(error.advice(), Some("put the files of each machine into a directory of its own"));
    let text = format!("$ nvidia-smi -L\n{}$ nvidia-smi topo -m\n{TOPO}", list(4));
    let error = Topology::parse("text", text.as_bytes()).unwrap_err();
    assert!(error.message().contains("two machines"), "{error}");
    // Others may list some of the GPUs, and a matrix that was cut does.
    assert_eq!(Folder::new("part").with("topo.txt", TOPO).with("list.txt", list(1)).read().gpus().len(), 2);
    let cut = TOPO.rsplit_once("GPU1").unwrap().0;
    assert_eq!(Folder::new("cut").with("topo.txt", cut).with("list.txt", list(4)).read().gpus().len(), 4);
}

/// The outputs of `lspci` and the files of NCCL and hwloc are read within texts that hold others.
#[test]
fn lspci_and_xml_stand_among_other_outputs() {
    let lspci = "17:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 SXM4 40GB] [10de:20b0] (rev a1)\n\
                 2a:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 SXM4 40GB] [10de:20b0] (rev a1)\n";
    let nccl = "<system version=\"1\">\n  <cpu numaid=\"0\" affinity=\"0000ffff\">\n    <pci busid=\"0000:17:00.0\" class=\"0x030200\" link_speed=\"16.0 GT/s PCIe\" link_width=\"16\"/>\n    \
                <pci busid=\"0000:2a:00.0\" class=\"0x030200\" link_speed=\"16.0 GT/s PCIe\" link_width=\"16\"/>\n  </cpu>\n</system>\n";
    for own in [lspci, nccl] {
        let fenced = format!("```\n{TOPO}```\n\n```\n{own}```\n");
        for text in [
            format!("$ nvidia-smi topo -m\n{TOPO}$ cat\n{own}"),
            format!("{TOPO}\n{own}"),
            format!("{own}\n{TOPO}"),
            format!("{own}$ nvidia-smi topo -m\n{TOPO}$ \n"),
            fenced,
        ] {
            let topology = Topology::parse("text", text.as_bytes()).unwrap();
            assert_eq!(topology.pairs().pair(0, 1).nvlinks, 4, "{text}");
            let buses: Vec<_> = topology.gpus().filter_map(|gpu| Some(gpu.address?.bus)).collect();
            assert_eq!(buses, [0x17, 0x2a], "{text}");
            assert_eq!(notes_of(&topology, NoteCode::TextCut), [""; 0], "{text}");
        }
    }
    let hwloc = fs::read_to_string(data("hwloc-xml/nvidiaDGX2.xml")).unwrap();
    let cpus = "available: 1 nodes (0)\nnode 0 cpus: 0 1\nnode 0 size: 32000 MB\n";
    for text in [format!("{hwloc}\n$ numactl -H\n{cpus}"), format!("$ numactl -H\n{cpus}$ lstopo\n{hwloc}")] {
        let topology = Topology::parse("text", text.as_bytes()).unwrap();
        assert_eq!(topology.gpus().len(), 16);
    }
}

/// NICs that `lspci` knows by their places and a matrix by their names are one where their paths to the GPUs say so.
#[test]
fn nics_of_a_matrix_and_of_lspci_are_one() {
    let port = |bus: &str, place: &str, next: &str| {
        format!(
            "{bus}:{place} PCI bridge: Broadcom / LSI PEX890xx (rev b0)\n\tBus: primary={bus}, secondary={next}, subordinate=1f\n"
        )
    };
    let board = |root: &str, up: &str, down: &str, gpu: &str, nic: &str| {
        let gpu_name = "3D controller: NVIDIA Corporation GA100 [A100 SXM4 40GB] (rev a1)";
        let nic_name = "Infiniband controller: Mellanox Technologies MT28908 Family [ConnectX-6]";
        [
            port("00", root, up),
            port(up, "00.0", down),
            port(down, "00.0", gpu),
            port(down, "01.0", nic),
            format!("{gpu}:00.0 {gpu_name}\n{nic}:00.0 {nic_name}\n"),
        ]
        .concat()
    };
    let lspci = board("01.0", "01", "02", "03", "04") + &board("02.0", "11", "12", "13", "14");
    let matrix = |nics: [[&str; 2]; 2]| {
        let [[a, b], [c, d]] = nics;
        format!(
            "\tGPU0\tGPU1\tmlx5_0\tmlx5_1\tCPU Affinity\nGPU0\t X \tNV4\t{a}\t{c}\t0-15\nGPU1\tNV4\t X \t{b}\t{d}\t0-15\n\
             mlx5_0\t{a}\t{b}\t X \tSYS\t\nmlx5_1\t{c}\t{d}\tSYS\t X \t\n"
        )
    };
    let topology = |matrix: String| Folder::new("nics").with("lspci", &lspci).with("topo", matrix).read();
    let places = |topology: &Topology| -> Vec<String> {
        topology
            .nics()
            .map(|nic| format!("{} {:02x}", nic.name, nic.address.map_or(0, |address| address.bus)))
            .collect()
    };
    // The first name is that of the second card.
    let crossed = topology(matrix([["PHB", "PIX"], ["PIX", "PHB"]]));
    let mut found = places(&crossed);
    found.sort_unstable();
    assert_eq!(found, ["mlx5_0 14", "mlx5_1 04"], "{}", crate::notes(&crossed));
    assert!(notes_of(&crossed, NoteCode::OneSourceOnly).is_empty());
    // Paths that both have tell nothing, and a note says so.
    let alike = topology(matrix([["SYS", "SYS"], ["SYS", "SYS"]]));
    assert_eq!(alike.nics().len(), 4);
    let notes = notes_of(&alike, NoteCode::OneSourceOnly);
    assert!(
        notes.iter().any(|note| note.contains("mlx5_0, mlx5_1 may be among 0000:04:00.0, 0000:14:00.0")),
        "{notes:?}"
    );
}
