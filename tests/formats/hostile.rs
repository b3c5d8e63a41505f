//! Texts that nobody's machine prints, names that mean something to the program that reads what is written, and differences of
//! large machines.

use super::notes;
use nvtopo::Topology;
use nvtopo::diff::Diff;
use nvtopo::source::{Locator, WRITERS, WriteOptions};
use std::fmt::Write as _;

const LISTED: &str = "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-11111111-2222-3333-4444-555555555555)\n\
                      GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-11111111-2222-3333-4444-555555555556)\n";

fn parse(text: &str) -> Topology {
    Topology::parse("text", text.as_bytes()).unwrap()
}

/// A machine with a GPU and an adapter of these names.
fn named(model: &str, nic: &str) -> Topology {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let (model, nic) = (quoted(model), quoted(nic));
    parse(&format!(
        r#"{{"format":"nvtopo-topology","version":1,"topology":{{"source":"sysfs","nvlink_known":true,"nodes":[{{"machine":{{"product":{model}}}}},
        {{"package":{{"parent":0,"os_index":0,"model":{model}}}}},
        {{"numa_node":{{"parent":1,"os_index":0,"cpus":"0"}}}},{{"core":{{"parent":2,"os_index":0}}}},
        {{"pu":{{"parent":3,"os_index":0}}}},{{"gpu":{{"parent":2,"index":0,"model":{model}}}}},
        {{"nic":{{"parent":2,"name":{nic},"model":{model}}}}}]}}}}"#
    ))
}

#[test]
fn odd_names_stay_names_in_every_format() {
    for name in
        ["a\"b'c", "<&>]]>", "a\nb\rc", "\u{1b}[2J\u{202e}", "x\u{fffe}\u{ffff}y", "=1+1", "@a,\"b\"", "-2\\"]
    {
        let topology = named(name, name);
        for writer in WRITERS {
            let Ok(written) = writer.write(&topology, &WriteOptions::default()) else { continue };
            let obeyed = written.text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
            assert_eq!(obeyed, None, "{} of {name:?}", writer.name);
            if written.text.starts_with("<?xml") || written.text.starts_with('<') {
                let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
                let parsed = roxmltree::Document::parse_with_options(&written.text, options);
                assert!(parsed.is_ok(), "{} of {name:?}: {:?}", writer.name, parsed.err());
            }
        }
    }
}

#[test]
fn two_machines_are_not_read_as_one() {
    let query = |uuid: &str| {
        format!(
            "Attached GPUs                             : 1\nGPU 00000000:07:00.0\n    Product Name                          : \
             NVIDIA A100\n    GPU UUID                              : GPU-{uuid}111111-2222-3333-4444-555555555555\n"
        )
    };
    let error = Topology::parse("q", (query("11") + &query("22")).as_bytes()).unwrap_err().to_string();
    assert!(error.contains("q:6:1") && error.contains("is there twice, as two GPUs"), "{error}");
    assert_eq!(parse(&(query("11") + &query("11"))).gpus().len(), 1);

    let table = |bus: &str| {
        format!(
            "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4 |\n\
             |   0  NVIDIA A100-SXM4-80GB    On  |   00000000:{bus}:00.0 Off |  0 |\n\
             | N/A   30C    P0    60W / 400W |  0MiB / 81920MiB |  0%  Default |\n| Processes: |\n"
        )
    };
    let error = Topology::parse("t", (table("07") + &table("0A")).as_bytes()).unwrap_err().to_string();
    assert!(error.contains("of another machine than the table before"), "{error}");
    assert_eq!(parse(&(table("07") + &table("07"))).gpus().len(), 1);

    let xml = |uuid: &str| {
        format!(
            "<?xml version=\"1.0\" ?>\n<nvidia_smi_log>\n<gpu id=\"00000000:07:00.0\"><uuid>GPU-{uuid}111111-2222-3333-4444-\
             555555555555</uuid></gpu>\n</nvidia_smi_log>\n"
        )
    };
    let read = parse(&(xml("11") + &xml("22")));
    assert!(
        notes(&read).contains("a second document begins in line 6, and was left out"),
        "{}",
        notes(&read)
    );
}

#[test]
fn a_long_line_takes_no_longer_than_many() {
    // 400,000 numbers: with a count of all that stands before each, it would take minutes.
    let cpus = "0 ".repeat(400_000);
    let line = format!("available: 1 nodes (0)\nnode 0 cpus: {cpus}\n");
    assert_eq!(parse(&line).numa_nodes().next().map(|node| node.cpus.len()), Some(1));
    let wrapped = format!("available: 1 nodes (0)\nnode 0 cpus: {}\n", "0 =\n".repeat(100_000));
    assert_eq!(parse(&wrapped).numa_nodes().next().map(|node| node.cpus.len()), Some(1));
}

#[test]
fn quoted_starts_of_xml_are_passed_quickly() {
    let text = format!("'{}", "<nvidia_smi_log ".repeat(100_000));
    assert!(Topology::parse("x", text.as_bytes()).is_err());
}

/// The matrix of a machine.
fn matrix(gpus: usize, cell: impl Fn(usize, usize) -> &'static str) -> Topology {
    let mut text = (0..gpus).fold(String::new(), |head, gpu| format!("{head}\tGPU{gpu}")) + "\n";
    for row in 0..gpus {
        _ = write!(text, "GPU{row}");
        for column in 0..gpus {
            _ = write!(text, "\t{}", if row == column { " X " } else { cell(row, column) });
        }
        text.push('\n');
    }
    parse(&text)
}

#[test]
fn machines_that_differ_in_all_pairs_are_compared_in_time() {
    let gpus = 300;
    let (one, other) = (matrix(gpus, |_, _| "PHB"), matrix(gpus, |_, _| "NODE"));
    let diff = Diff::new(&one, &other);
    let paths: Vec<_> = diff.changes.iter().filter(|change| change.fact == "path").collect();
    // Of each GPU with all behind it, as none is told twice.
    assert_eq!(paths.len(), gpus - 1);
    assert!(paths.iter().enumerate().all(|(place, change)| change.peers.len() == gpus - 1 - place));
    assert_eq!(paths[0].peers[0], "GPU1");
}

/// Each change of a disk is a line of its own: compared with all others, these would take hours.
#[test]
fn tens_of_thousands_of_changes_are_told() {
    let disks = 60_000;
    let machine = |model: fn(usize) -> String| {
        let disks = (0..disks)
            .map(|disk| format!(r#"{{"nvme":{{"parent":0,"name":"d{disk}","model":"{}"}}}}"#, model(disk)));
        let disks = disks.collect::<Vec<_>>().join(",");
        parse(&format!(
            r#"{{"format":"nvtopo-topology","version":1,"topology":{{"source":"sysfs","nvlink_known":true,"nodes":[{{"machine":{{}}}},{disks}]}}}}"#
        ))
    };
    let told = |diff: &Diff| {
        assert_eq!(diff.changes.len(), disks);
        nvtopo_draw::by_name("text").unwrap().diff(diff, nvtopo_draw::Style::default())
    };
    let before = machine(|disk| format!("a{}", disk / 2));
    let text = told(&Diff::new(&before, &machine(|disk| format!("b{}", disk / 2))));
    assert_eq!(text.lines().count(), disks / 2);
    assert_eq!(text.lines().next(), Some("d0, d1: model a0 -> b0"));
    let text = told(&Diff::new(&before, &machine(|disk| format!("b{disk}"))));
    assert_eq!(text.lines().count(), disks);
}

#[test]
fn a_directory_of_too_many_files_says_so() {
    let folder = std::env::temp_dir().join(format!("nvtopo-many-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for file in 0..4100 {
        std::fs::write(folder.join(format!("{file:04}.log")), "").unwrap();
    }
    std::fs::write(folder.join("gpus.txt"), LISTED).unwrap();
    let error = Topology::open(&[Locator::Path(folder.clone())]).unwrap_err().to_string();
    // With the output among the first, the others are listed.
    std::fs::write(folder.join("0000.log"), LISTED).unwrap();
    let found = Topology::open(&[Locator::Path(folder.clone())]).map(|found| notes(&found));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(error.contains("5 files cannot be read, or there is too much before them: 4096.log"), "{error}");
    assert!(found.is_ok_and(|notes| notes.contains("5 files left out")));
}

/// A pipe of this name below the directory for temporary files.
fn pipe(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("nvtopo-{name}-{}", std::process::id()));
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_pipe_is_read_while_somebody_writes_and_refused_where_nobody_does() {
    let (idle, busy) = (pipe("idle"), pipe("busy"));
    let nobody = Topology::open(&[Locator::Path(idle.clone())]).unwrap_err();
    let own = busy.clone();
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        let mut pipe = std::fs::OpenOptions::new().write(true).open(own).unwrap();
        let (head, rest) = LISTED.split_at(50);
        pipe.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        pipe.write_all(rest.as_bytes()).unwrap();
    });
    let read = Topology::open(&[Locator::Path(busy.clone())]);
    writer.join().unwrap();
    std::fs::remove_file(idle).unwrap();
    std::fs::remove_file(busy).unwrap();
    assert!(nobody.message().contains("nothing was written into this pipe for 5 seconds"), "{nobody}");
    assert_eq!(read.unwrap().gpus().len(), 2);
}

/// The sets of hwloc's objects grow with the number of CPUs, and the objects as well.
#[test]
fn a_file_is_not_written_that_grows_with_the_square_of_cpus() {
    let text = std::fs::read(super::data("hostile/many-cpus.txt")).unwrap();
    let topology = Topology::parse("many-cpus", &text).unwrap();
    let error = topology.write("hwloc-xml").unwrap_err().to_string();
    assert!(error.contains("more than 64 MiB"), "{error}");
}

/// Inputs that damaged texts have led to.
#[test]
fn odd_machines_go_through_everything() {
    let names =
        ["nic-twice.xml", "seven-gpus.txt", "gpu-after-last.txt", "nothing-for-nccl.cut", "j-mem-max.json"];
    for name in names {
        let text = std::fs::read(super::data("hostile").join(name)).unwrap();
        assert!(super::through::through(&text, None), "{name} is not read");
    }
    let nothing = std::fs::read(super::data("hostile/nothing-for-nccl.cut")).unwrap();
    let error = Topology::parse("nothing", &nothing).unwrap().write("nccl-xml").unwrap_err().to_string();
    assert!(error.contains("has no GPU"), "{error}");
}
