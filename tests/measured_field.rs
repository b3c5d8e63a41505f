//! Outputs of benchmarks as people cut and paste them: what they are of is told by any line that names the test, and
//! results that tell nothing are named.

use nvtopo::model::{Basis, NoteKind, P2pStatus};
use nvtopo::source::{Locator, fragment, parse};
use nvtopo::{Bandwidth, Request, Topology, model::TopologyBuilder};

fn data(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn read(text: &str) -> nvtopo::Result<Topology> {
    Topology::parse("x", text.as_bytes())
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

fn notes(topology: &Topology) -> String {
    let notes: Vec<String> = topology.notes().iter().map(ToString::to_string).collect();
    notes.join("\n")
}

/// Texts and presets as one machine.
fn merged(preset: &str, texts: &[&str]) -> Topology {
    let read = |text: &&str| parse("x", text.as_bytes()).unwrap();
    let mut builder = TopologyBuilder::new();
    if !preset.is_empty() {
        builder = builder.with(fragment(&Locator::Preset(preset.to_owned())).unwrap());
    }
    texts.iter().map(read).fold(builder, TopologyBuilder::with).build().unwrap()
}

#[test]
fn the_line_after_a_matrix_names_its_test() {
    let multinode = data("measured/nvbandwidth-multinode-tail.txt");
    assert!(refused(&multinode).contains("a run over several machines"), "{}", refused(&multinode));
    let both = data("measured/nvbandwidth-bidirectional-sum-line.txt");
    assert!(refused(&both).contains("both directions at once"), "{}", refused(&both));
    // By any of the lines that name it, with the marks of kubectl and mpirun before each line.
    for (tail, mark) in [
        ("COEFFICIENT_OF_VARIATION multinode_device_to_device_memcpy_read_ce 0.01", ""),
        ("SUM multinode_device_to_device_memcpy_read_ce 1.0", "[pod/test-launcher/mpi] "),
        ("SUM multinode_device_to_device_memcpy_read_ce 1.0", "[1,0]<stdout>: "),
    ] {
        let head = multinode.split("\nSUM").next().unwrap();
        let text: Vec<String> =
            format!("{head}\n{tail}").lines().map(|line| format!("{mark}{line}")).collect();
        assert!(refused(&text.join("\n")).contains("several machines"), "{mark}{tail}");
    }
    // Beside figures of this machine it is a note, and its figures are not among them.
    let own = both.replace("bidirectional_", "").replace("331.20", "300.0").replace("330.90", "299.0");
    let topology = read(&(own.clone() + &multinode)).unwrap();
    assert_eq!((topology.gpus().len(), topology.measurements().len()), (2, 2));
    assert!(notes(&topology).contains("several machines"), "{}", notes(&topology));
    assert!(read(&own).unwrap().notes().iter().all(|note| note.kind() != NoteKind::Conflict));
    // Processes on hosts are no GPUs, whatever stands over the matrix.
    let processes = "Process 0 (a): device 0: NVIDIA GB200 (00000008:01:00)\n".to_owned() + &own;
    assert_eq!(
        read(&processes).unwrap().measurements().len(),
        2,
        "the line after the matrix names a test of one machine"
    );
    let nameless = processes.split("\nSUM").next().unwrap().to_owned();
    assert!(refused(&nameless).contains("several machines"));
}

#[test]
fn one_row_is_right_where_the_test_is_named() {
    let pair = "memcpy SM GPU(row) -> GPU(column) bandwidth (GB/s)\n 0 1 2\n 0 N/A N/A 20.5\n\n";
    assert!(refused(pair).contains("no bandwidth"));
    let topology = read(&format!("{pair}SUM device_to_device_memcpy_read_sm 20.5\n")).unwrap();
    assert_eq!(topology.measurements().len(), 1);
}

#[test]
fn results_without_a_figure_are_named() {
    let waived = data("measured/nvbandwidth-no-result.txt");
    let instead = |text: &str| waived.replace("Waiving device_to_device_memcpy_write_ce.", text);
    // The GPUs are there all the same.
    for (text, what) in [
        (waived.clone(), "device_to_device_memcpy_write_ce was waived"),
        (
            instead("Running device_to_device_memcpy_read_ce.\nWaived: too few GPUs"),
            "read_ce was waived: too few GPUs",
        ),
        (instead("ASSERT in expression x in main() : y.cpp:7"), "it failed: ASSERT in expression x"),
    ] {
        let topology = read(&text).unwrap();
        assert_eq!((topology.gpus().len(), topology.measurements().len()), (2, 0), "{text}");
        let notes = notes(&topology);
        assert!(notes.contains("nvbandwidth holds no bandwidth") && notes.contains(what), "{text}\n{notes}");
    }
    for (text, what) in [
        ("nvbandwidth Version: v0.8\n[CUDA_ERROR_NO_DEVICE] no CUDA-capable device is detected in expression cuInit(0) in main() : x:1\n".to_owned(), "no CUDA-capable device"),
        ("SUM device_to_device_memcpy_read_ce 9216.17\nSUM all_to_one_read_ce 1.0\n".to_owned(), "read_ce is there with its sum only"),
        ("Running multinode_device_to_device_memcpy_read_ce.\nSUM multinode_device_to_device_memcpy_read_ce 1\n".to_owned(), "several machines"),
        ("{\"nvbandwidth\": {\"testcases\": [{\"name\": \"device_to_device_memcpy_read_ce\", \"status\": \"Waived\"}]}}".to_owned(), "read_ce was waived"),
        ("{\"nvbandwidth\": {\"error\": \"no driver\"}}".to_owned(), "it failed: no driver"),
    ] {
        let error = refused(&text);
        assert!(error.contains("nvbandwidth") && error.contains(what), "{text}\n{error}");
    }
}

#[test]
fn what_was_measured_and_what_not_can_be_counted() {
    let topology = read(&data("measured/measured-only.txt")).unwrap();
    assert_eq!((topology.gpus().len(), topology.measurements().len()), (3, 6));
    let rates: Vec<f64> = topology.measurements().iter().map(|own| own.bandwidth.as_gb_per_s()).collect();
    assert_eq!(rates, [26.3, 8.1, 26.3, 8.1, 8.1, 8.1]);
}

/// A matrix of two GPUs measured at this rate each way.
fn two_at(rate: &str) -> String {
    format!(
        "Running device_to_device_memcpy_read_ce.\nmemcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)\n 0 1\n 0 N/A {rate}\n 1 {rate} N/A\n"
    )
}

#[test]
fn more_than_links_can_carry_is_a_conflict() {
    let nv12 = "\tGPU0\tGPU1\nGPU0\t X \tNV12\nGPU1\tNV12\t X \n";
    for (preset, matrix, rate, kept, words) in [
        ("dgx-a100", "", "331.20", false, "more than the 300 GB/s that 12 NVLinks can carry"),
        ("dgx-a100", "", "290.0", true, ""),
        // Drivers report up to 7 % more than is published.
        ("dgx-a100", "", "318.0", true, ""),
        ("", nv12, "331.20", true, "the generation that is assumed"),
        ("", nv12, "700.0", false, "more than the 600 GB/s that 12 NVLinks can carry"),
        ("", nv12, "290.0", true, ""),
        ("l40s-8-pcie", "", "60.0", false, "that PCIe can carry"),
        ("l40s-8-pcie", "", "25.0", true, ""),
    ] {
        let measured = two_at(rate);
        let texts: Vec<&str> = [matrix, &measured].into_iter().filter(|text| !text.is_empty()).collect();
        let topology = merged(preset, &texts);
        let basis = topology.pairs().pair(0, 1).rate.unwrap().basis;
        assert_eq!(basis == Basis::Measured, kept, "{preset} {rate}: {basis:?}");
        let conflicts = topology
            .notes()
            .iter()
            .filter(|note| note.kind() == NoteKind::Conflict && note.text.contains("measured"));
        let conflicts: Vec<&str> = conflicts.map(|note| note.text.as_str()).collect();
        assert_eq!(conflicts.len(), usize::from(!words.is_empty()), "{preset} {rate}: {conflicts:?}");
        assert!(conflicts.iter().all(|text| text.contains(words)), "{conflicts:?}");
        // What was written is read as it was.
        assert!(read(&topology.to_json()).unwrap() == topology, "{preset} {rate}");
    }
}

#[test]
fn memory_of_a_gpu_is_not_memory_of_the_host() {
    let rocm = data("perftest/perftest-rocm-memory.txt");
    assert!(refused(&rocm).contains("not NVIDIA's (ROCm)"), "{}", refused(&rocm));
    let host = data("perftest/epyc-hdr-host.txt");
    let topology = read(&(rocm + &host)).unwrap();
    assert_eq!(topology.nics().next().unwrap().measured.unwrap().as_mb_per_s(), 23_376);
    assert!(notes(&topology).contains("ROCm"), "{}", notes(&topology));
    // A line before the table or after it is enough, and one that says OFF is none.
    for (before, after, what) in [
        ("allocated 16777216 bytes of GPU buffer at 0x7f00", "", "the text does not name"),
        ("", "deallocating GPU buffer 0x7f00", "the text does not name"),
        ("Allocated 4096 bytes of accelerator buffer at 0x1 on fd 3", "", "Gaudi"),
        (
            "initializing MLU\nMLU device 0: PCIe address is 1B:00\n\nPicking device No. 0\n[pid = 1, dev = 0] device name = [MLU370]",
            "",
            "MLU",
        ),
        (" Use ROCm memory : ON", "", "ROCm"),
    ] {
        let error = refused(&format!("{before}\n{host}\n{after}\n"));
        assert!(error.contains(what), "{before}{after}: {error}");
    }
    let off = read(&format!(" Use ROCm memory : OFF\n{host}")).unwrap();
    assert_eq!(off.nics().next().unwrap().measured.unwrap().as_mb_per_s(), 23_376);
    // A GPU that was asked for by its address.
    let by_address =
        format!("initializing CUDA\nFinding PCIe BUS 0000:1b:00.0\nPicking GPU number 3\n{host}");
    let topology = read(&by_address).unwrap();
    let gpu = topology.gpus().next().unwrap();
    assert_eq!((gpu.index, gpu.address.unwrap().to_string()), (3, "0000:1b:00.0".to_owned()));
    assert_eq!(topology.nics().next().unwrap().measured, None);
}

#[test]
fn lines_behind_a_sum_are_of_the_same_test() {
    let topology = read(&data("measured/nvbandwidth-coefficients.txt")).unwrap();
    assert_eq!((topology.gpus().len(), topology.measurements().len()), (7, 42));
    assert!(!notes(&topology).contains("sum only"), "{}", notes(&topology));
    // Without its figures a test is still named, and once.
    let sums = "SUM device_to_device_memcpy_read_ce 9.5\nCOEFFICIENT_OF_VARIATION device_to_device_memcpy_read_ce 0.1\n";
    let error = refused(&format!("Running device_to_device_memcpy_read_ce.\n{sums}"));
    assert_eq!(error.matches("sum only").count(), 1, "{error}");
}

#[test]
fn a_matrix_is_read_beside_a_test_that_lacks_its_heading() {
    let text = data("measured/topo-then-p2p.md");
    let reversed: Vec<&str> = text.splitn(2, "P2P Connectivity Matrix").collect();
    let reversed = format!("P2P Connectivity Matrix{}\n{}", reversed[1], reversed[0]);
    for text in [text.clone(), reversed, text.replace("P2P Connectivity Matrix", "")] {
        let topology = read(&text).unwrap();
        assert_eq!((topology.gpus().len(), topology.nics().len(), topology.measurements().len()), (4, 4, 12));
        assert_eq!(topology.pairs().pair(0, 1).nvlinks, 2);
        assert_eq!(topology.cpus().to_string(), "14-27");
    }
}

#[test]
fn what_was_measured_one_way_is_told_with_the_choice() {
    let one_way = "Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)
   D\\D     0      1      2
     0 900.00  26.00  25.00
     1    N/A 900.00  24.00
     2    N/A    N/A 900.00
";
    let remarks = |text: &str, gpus: &[u32]| {
        let request = nvtopo::Request::gpus(2).only(gpus.iter().copied());
        let placement = request.solve(&read(text).unwrap()).unwrap();
        let told = placement.remarks().iter().filter(|remark| remark.contains("direction"));
        told.cloned().collect::<Vec<_>>().join("; ")
    };
    let told = "one direction of 3 pairs of GPUs was measured; the other is assumed to carry as much";
    assert_eq!(remarks(one_way, &[0, 1, 2]), told);
    assert_eq!(remarks(one_way, &[1, 2]), told.replace("3 pairs", "1 pair"));
    let both = one_way.replacen("N/A", "26.00", 3);
    assert_eq!(remarks(&both, &[0, 1, 2]), "");
    let alone = nvtopo::Request::gpus(1).solve(&read(one_way).unwrap()).unwrap();
    assert!(!alone.remarks().iter().any(|remark| remark.contains("direction")), "{:?}", alone.remarks());
}

/// The access of each pair of GPUs, by what reading and writing are.
fn access(topology: &Topology) -> Vec<[Option<P2pStatus>; 4]> {
    topology.all_p2p().iter().map(|p2p| [p2p.read, p2p.write, p2p.nvlink, p2p.atomics]).collect()
}

fn shown(topology: &Topology) -> String {
    nvtopo_draw::by_name("text").unwrap().topology(topology, nvtopo_draw::Style::default())
}

#[test]
fn the_connectivity_of_peers_is_their_access() {
    let whole = data("measured/p2p-rtx6000-ada-connectivity.txt");
    let can = [Some(P2pStatus::Ok), Some(P2pStatus::Ok), None, None];
    let cannot = [Some(P2pStatus::NotSupported), Some(P2pStatus::NotSupported), None, None];
    let topology = read(&whole).unwrap();
    assert_eq!(access(&topology), [can]);
    assert_eq!(topology.measurements().len(), 2);
    assert!(
        shown(&topology).contains("Peer-to-peer access\n  GPU0-1  read, write OK\n"),
        "{}",
        shown(&topology)
    );
    // By the lines alone, or by the matrix alone.
    let lines = whole.replace("     0       1     1\n     1       1     1\n", "");
    let matrix = whole.lines().filter(|line| !line.starts_with("Device=")).collect::<Vec<_>>().join("\n");
    for part in [&lines, &matrix] {
        assert_eq!(access(&read(part).unwrap()), [can], "{part}");
    }
    let apart =
        matrix.replace("0       1     1\n     1       1     1", "0       1     0\n     1       0     1");
    assert_ne!(apart, matrix);
    let topology = read(&apart).unwrap();
    assert_eq!(access(&topology), [cannot]);
    assert!(shown(&topology).contains("GPU0-1  read, write NS (not supported)"), "{}", shown(&topology));
    let said = lines.replace("=0 CAN ", "=0 CANNOT ").replace("=1 CAN ", "=1 CANNOT ");
    assert_eq!(access(&read(&said).unwrap()), [cannot]);
    let uneven = lines.replace("=1 CAN ", "=1 CANNOT ");
    let topology = read(&uneven).unwrap();
    assert_eq!(access(&topology), [can]);
    assert!(
        notes(&topology).contains("1 pairs can access each other in one direction only"),
        "{}",
        notes(&topology)
    );
    // Cut before the first bandwidth.
    let head = whole.split("Unidirectional").next().unwrap();
    let topology = read(head).unwrap();
    assert_eq!((access(&topology), topology.measurements().len()), (vec![can], 0));
    assert!(notes(&topology).contains("holds no bandwidth from one GPU to another"), "{}", notes(&topology));
    // Without it nothing is claimed.
    let topology = read(&data("measured/p2p-6gpu-no-connectivity.txt")).unwrap();
    assert!(topology.all_p2p().is_empty() && !shown(&topology).contains("Peer-to-peer"));
    assert_eq!(topology.measurements().len(), 30);
}

#[test]
fn access_is_shown_by_what_it_is() {
    let cases = [
        ("topo-p2p-2gpu-cns.txt", "  GPU0-1  read CNS (the chipset does not support it)\n"),
        ("rtx5090-2gpu-topo-p2p-rw-gns.txt", "  GPU0-1  read GNS (the GPU does not support it)\n"),
        ("topo-p2p-8gpu-ok.txt", "  all 28 pairs  "),
        ("md-p2p-table.txt", "  GPU0-1  read OK\n  GPU0-2 GPU1-2  read NS (not supported)\n"),
    ];
    for (name, expected) in cases {
        let text = shown(&read(&data(&format!("nvlink-status/{name}"))).unwrap());
        assert!(text.contains(expected), "{name}: {text}");
    }
    let cell = |row: u32, column: u32| match (row == column, row / 5 == column / 5) {
        (true, _) => "X",
        (_, true) => "OK",
        _ => "TNS",
    };
    let cells = |row| (0..9).map(|column| cell(row, column)).collect::<Vec<_>>().join("\t");
    let rows: Vec<String> = (0..9).map(|row| format!("GPU{row}\t{}\n", cells(row))).collect();
    let header: Vec<String> = (0..9).map(|gpu| format!("GPU{gpu}")).collect();
    let text =
        shown(&read(&format!("nvidia-smi topo -p2p a\n\t{}\n{}", header.join("\t"), rows.concat())).unwrap());
    assert!(
        text.contains(" and 8 more  atomics OK\n") && text.contains(" and 12 more  atomics TNS"),
        "{text}"
    );
}

/// The output of a test of three GPUs of which CUDA counts the fastest first: bus c1 before 01 and 11.
const FASTEST_FIRST: &str = "[P2P (Peer-to-Peer) GPU Bandwidth Latency Test]
Device: 0, NVIDIA RTX PRO 6000, pciBusID: c1, pciDeviceID: 0, pciDomainID:0
Device: 1, NVIDIA GeForce RTX 5090, pciBusID: 1, pciDeviceID: 0, pciDomainID:0
Device: 2, NVIDIA GeForce RTX 5090, pciBusID: 11, pciDeviceID: 0, pciDomainID:0
Device=0 CAN Access Peer Device=1
Device=0 CANNOT Access Peer Device=2
Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)
   D\\D     0      1      2
     0 1500.00  20.00  21.00
     1  20.00 900.00  56.00
     2  21.00  56.00 900.00
";

#[test]
fn gpus_that_cuda_counts_are_numbered_by_their_addresses() {
    let topology = Topology::parse("fastest-first.txt", FASTEST_FIRST.as_bytes()).unwrap();
    let gpus: Vec<_> = topology.gpus().map(|gpu| (gpu.index, gpu.address.unwrap().to_string())).collect();
    let addresses = ["0000:01:00.0", "0000:11:00.0", "0000:c1:00.0"];
    assert_eq!(gpus, (0..3).zip(addresses.map(str::to_owned)).collect::<Vec<_>>());
    let rate = |a, b| topology.pairs().pair(a, b).rate.unwrap().bandwidth.as_mb_per_s();
    assert_eq!([rate(0, 1), rate(0, 2), rate(1, 2)], [56_000, 20_000, 21_000]);
    let text: Vec<String> = topology.notes().iter().map(ToString::to_string).collect();
    assert!(text.iter().any(|note| note.contains("numbered by their PCI addresses")), "{text:?}");
    let plain = FASTEST_FIRST.replace("pciBusID: c1", "pciBusID: 0");
    let plain = Topology::parse("in-order.txt", plain.as_bytes()).unwrap();
    assert!(!plain.notes().iter().any(|note| note.text.contains("numbered by")));
}

#[test]
fn runs_that_contradict_each_other_are_told() {
    let conflicts = |text: &str| {
        let topology = Topology::parse("runs.txt", text.as_bytes()).unwrap();
        topology.notes().iter().filter(|note| note.text.contains("runs that contradict")).count()
    };
    assert_eq!(conflicts(&FASTEST_FIRST.repeat(2)), 0, "one run twice");
    let other = FASTEST_FIRST.replace("Device=0 CAN Access", "Device=0 CANNOT Access");
    assert_eq!(conflicts(&format!("{FASTEST_FIRST}{other}")), 1);
    let other = FASTEST_FIRST.replace("pciBusID: 11", "pciBusID: 21");
    assert_eq!(conflicts(&format!("{FASTEST_FIRST}{other}")), 1);
}

#[test]
fn a_test_that_is_cut_before_its_matrices_is_no_latency_test_of_adapters() {
    let head: String = FASTEST_FIRST.lines().take(5).map(|line| line.to_owned() + "\n").collect();
    let topology = Topology::parse("head.txt", head.as_bytes()).unwrap();
    let access = |a: usize, b: usize| {
        let devices = topology.devices();
        topology.p2p(devices[a], devices[b]).and_then(|pair| pair.read)
    };
    // Device 0 is the last by its address.
    assert_eq!((topology.gpus().len(), access(2, 0)), (3, Some(P2pStatus::Ok)));
    let head: String = FASTEST_FIRST.lines().take(2).map(|line| line.to_owned() + "\n").collect();
    let error = Topology::parse("head.txt", head.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("p2pBandwidthLatencyTest") && !error.contains("perftest"), "{error}");
}

#[test]
fn a_pair_whose_figure_is_zero_is_named() {
    let zero = FASTEST_FIRST.replace("  56.00", "   0.00");
    let named = |text: &str| {
        let topology = Topology::parse("zero.txt", text.as_bytes()).unwrap();
        let own = |note: &&nvtopo::model::Note| note.text.contains("prints 0 GB/s for GPU0 and GPU1");
        topology.notes().iter().filter(own).count()
    };
    assert_eq!((named(FASTEST_FIRST), named(&zero)), (0, 1));
    // Where the benchmark has no access, it measures nothing.
    let barred = zero.replace("Device=0 CAN", "Device=1 CANNOT Access Peer Device=2\nDevice=0 CAN");
    assert_eq!(named(&barred), 0);
}

#[test]
fn a_pair_that_carries_nothing_is_never_preferred() {
    // Four GPUs with four NVLinks between each two: the first pair hangs, the others carry half of what is assumed.
    let rows = |name: &str, cell: &dyn Fn(usize, usize) -> &'static str| {
        let cells = |a: usize| (0..4).map(|b| cell(a, b)).collect::<Vec<_>>().join("\t");
        (0..4).map(|a| [name, &a.to_string(), "\t", &cells(a), "\n"].concat()).collect::<String>()
    };
    let links = rows("GPU", &|a, b| if a == b { " X " } else { "NV4" });
    let matrix = format!("\tGPU0\tGPU1\tGPU2\tGPU3\n{links}");
    let figures =
        rows(" ", &|a, b| ["0.00", "50.00", "900.00"][if a == b { 2 } else { usize::from(a + b > 1) }]);
    let head = "Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)\n   D\\D  0 1 2 3\n";
    let topology =
        merged("", &[&matrix, &format!("[P2P (Peer-to-Peer) GPU Bandwidth Latency Test]\n{head}{figures}")]);
    let rate = topology.pairs().pair(0, 1).rate.unwrap();
    assert_eq!((rate.bandwidth, rate.basis), (Bandwidth::ZERO, Basis::Measured));
    let again = Topology::parse("again.json", topology.to_json().as_bytes()).unwrap();
    assert_eq!(again.pairs().pair(0, 1).rate, Some(rate));
    for objective in ["ring", "min-pair", "pair-sum", "tree"] {
        let chosen = |count: usize| {
            Request::gpus(count).objectives([objective]).solve(&topology).unwrap().gpu_indices()
        };
        for count in [2, 3] {
            let gpus = chosen(count);
            assert!(!(gpus.contains(&0) && gpus.contains(&1)), "{objective}, {count}: {gpus:?}");
        }
    }
    let named = notes(&topology);
    assert!(named.contains("prints 0 GB/s for GPU0 and GPU1, which are taken to carry nothing"), "{named}");
}
