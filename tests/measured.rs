//! The output of bandwidth benchmarks, alone and laid over a machine.

use nvtopo::model::{Basis, Fragment, Gpu, Measured, NodeId, NoteKind, Provenance, Rate, TopologyBuilder};
use nvtopo::source::{Locator, fragment};
use nvtopo::{Bandwidth, ErrorKind, Request, Topology};
use proptest::prelude::*;

const P2P: &str = include_str!("data/measured/p2p.txt");

const NVBANDWIDTH: &str = include_str!("data/measured/nvbandwidth.txt");

/// All tests of version 0.2 on eight H800, as published in liguodongiot/llm-action.
const H800: &str = include_str!("data/measured/h800-v0.2.txt");

/// Made up after the source of version 0.8.
const JSON: &str = include_str!("data/measured/nvbandwidth.json");

fn perftest(name: &str) -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/perftest").join(name);
    std::fs::read_to_string(file).unwrap()
}

fn measured(topology: &Topology, a: usize, b: usize) -> Option<f64> {
    topology.measured(topology.devices()[a], topology.devices()[b]).map(Bandwidth::as_gb_per_s)
}

#[test]
fn the_peer_to_peer_test_is_read() {
    let topology = Topology::parse("p2p.txt", P2P.as_bytes()).unwrap();
    let addresses: Vec<String> = topology.gpus().map(|gpu| gpu.address.unwrap().to_string()).collect();
    assert_eq!(addresses, ["0000:c2:00.0", "0000:d5:00.0"]);
    assert_eq!(measured(&topology, 0, 1), Some(256.62));
    assert_eq!(topology.measurements().len(), 2);
}

#[test]
fn the_peer_to_peer_test_can_write_or_read() {
    let matrix = |kind: &str, a: u32, b: u32| {
        format!(
            "Unidirectional P2P=Enabled Bandwidth (P2P {kind}) Matrix (GB/s)\n   D\\D     0      1\n 0 900 {a}\n 1 {b} 900\n"
        )
    };
    for (text, there, back) in [(matrix("Writes", 10, 20), 10.0, 20.0), (matrix("Reads", 10, 20), 20.0, 10.0)]
    {
        let topology = Topology::parse("p2p.txt", text.as_bytes()).unwrap();
        assert_eq!((sent(&topology, 0, 1), sent(&topology, 1, 0)), (Some(there), Some(back)), "{text}");
    }
}

#[test]
fn nvbandwidth_is_read() {
    let topology = Topology::parse("nvbandwidth.txt", NVBANDWIDTH.as_bytes()).unwrap();
    assert_eq!(topology.gpus().len(), 3);
    assert_eq!(measured(&topology, 0, 1), Some(389.0));
    assert_eq!(measured(&topology, 1, 2), Some(120.5));
    assert_eq!(topology.gpus().next().unwrap().model.as_deref(), Some("NVIDIA H100 80GB HBM3"));
}

/// The measured bandwidth from one GPU to another.
fn sent(topology: &Topology, from: usize, to: usize) -> Option<f64> {
    let devices = topology.devices();
    let is_it = |own: &&Measured| (own.from, own.to) == (devices[from], devices[to]);
    topology.measurements().iter().find(is_it).map(|own| own.bandwidth.as_gb_per_s())
}

#[test]
fn of_all_tests_of_nvbandwidth_only_copies_between_two_gpus_count() {
    let topology = Topology::parse("h800.txt", H800.as_bytes()).unwrap();
    assert_eq!(topology.measurements().len(), 56);
    // Kernels that copy both ways at once get 328 GB/s under the same heading, all GPUs to one 178.
    let most = topology.measurements().iter().map(|own| own.bandwidth).max().unwrap();
    assert_eq!(most, Bandwidth::from_gb_per_s(176.20));
    assert_eq!((sent(&topology, 0, 1), sent(&topology, 1, 0)), (Some(176.08), Some(176.14)));
    assert!(topology.notes().iter().any(|note| note.text.contains("taken for those of nvidia-smi")));
    // Read alone, data comes from the column to the row.
    let reads =
        H800.split("Running ").find(|part| part.starts_with("device_to_device_memcpy_read_ce")).unwrap();
    let topology = Topology::parse("reads.txt", format!("Running {reads}").as_bytes()).unwrap();
    assert_eq!((sent(&topology, 0, 1), sent(&topology, 1, 0)), (Some(171.99), Some(172.16)));
}

#[test]
fn nvbandwidth_writes_json_too() {
    let topology = Topology::parse("nvbandwidth.json", JSON.as_bytes()).unwrap();
    let addresses: Vec<String> = topology.gpus().map(|gpu| gpu.address.unwrap().to_string()).collect();
    assert_eq!(addresses, ["0000:ae:00.0", "0000:b1:00.0", "0000:cf:00.0"]);
    assert!(topology.gpus().all(|gpu| gpu.model.as_deref() == Some("NVIDIA H100 NVL")));
    assert_eq!((sent(&topology, 0, 1), sent(&topology, 1, 0)), (Some(271.5), Some(272.5)));
    assert_eq!((sent(&topology, 0, 2), sent(&topology, 2, 0)), (Some(48.1), Some(50.1)));
    let notes: Vec<&str> = topology.notes().iter().map(|note| note.text.as_str()).collect();
    assert_eq!(notes, ["nvbandwidth: device_to_device_memcpy_write_sm was waived"]);
    let error = Topology::parse("n.json", JSON.replace("270.5", "fast").as_bytes()).unwrap_err();
    assert!(error.message().contains("'fast' is not a bandwidth") && error.line() > Some(1), "{error}");
    let error = Topology::parse("n.json", b"{\"nvbandwidth\": {\"testcases\": []}}").unwrap_err();
    assert!(error.message().contains("no bandwidth from one GPU"), "{error}");
}

#[test]
fn a_matrix_without_its_test_is_told_by_its_heading() {
    let matrix = |heading: &str, rows: &str| format!("memcpy CE {heading} bandwidth (GB/s)\n 0 1\n{rows}");
    let both = "0 0.00 10\n1 20 0.00\n";
    let read = |text: String| Topology::parse("m.txt", text.as_bytes());
    let topology = read(matrix("GPU(row) -> GPU(column)", both)).unwrap();
    assert_eq!((sent(&topology, 0, 1), sent(&topology, 1, 0)), (Some(20.0), Some(10.0)));
    let topology = read(matrix("GPU(row) <- GPU(column)", both)).unwrap();
    assert_eq!((sent(&topology, 0, 1), sent(&topology, 1, 0)), (Some(10.0), Some(20.0)));
    // One row is of all GPUs at once, and 0 is no figure.
    assert!(read(matrix("GPU(row) <- GPU(column)", "0 90 90\n")).is_err());
    let topology = read(matrix("GPU(row) <- GPU(column)", "0 N/A 10\n1 0.00 N/A\n")).unwrap();
    assert_eq!(topology.measurements().len(), 1);
}

#[test]
fn a_measurement_is_laid_over_a_machine_and_placed_by() {
    let folder = std::env::temp_dir().join(format!("nvtopo-measured-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("nvbandwidth.txt");
    std::fs::write(&file, NVBANDWIDTH).unwrap();
    let preset = Locator::Preset("dgx-h100".to_owned());
    for order in [[preset.clone(), Locator::Path(file.clone())], [Locator::Path(file.clone()), preset]] {
        let topology = Topology::open(&order).unwrap();
        assert_eq!(topology.gpus().len(), 8);
        let slow = topology.pairs().pair(1, 2);
        assert_eq!(slow.nvlinks, 18);
        let rate = Rate::new(Bandwidth::from_gb_per_s(120.5), Basis::Measured);
        assert_eq!(slow.rate, Some(rate));
        // The slow pair is not taken together any more.
        let placement = Request::gpus(2).only([1, 2, 3]).solve(&topology).unwrap();
        assert_eq!(placement.gpu_indices(), [1, 3]);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A machine with GPUs at these addresses.
fn machine(addresses: &[&str]) -> Fragment {
    let mut machine = Fragment::new(Provenance::Sysfs);
    for (index, address) in (0..).zip(addresses) {
        let gpu = fact!(Gpu::new(index), address = Some(address.parse().unwrap()));
        machine.add(NodeId::MACHINE, gpu);
    }
    machine
}

#[test]
fn benchmarks_count_gpus_in_an_order_of_their_own() {
    let folder = std::env::temp_dir().join(format!("nvtopo-order-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let merged = |addresses: &[&str], name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        let measured = fragment(&Locator::Path(file)).unwrap();
        let topology = TopologyBuilder::new().with(machine(addresses)).with(measured).build().unwrap();
        let conflicts = topology.notes().iter().filter(|note| note.kind() == NoteKind::Conflict);
        assert_eq!(conflicts.count(), 0, "{name}: {:?}", topology.notes());
        topology
    };
    // The other way round.
    let topology = merged(&["0000:d5:00.0", "0000:c2:00.0"], "p2p.txt", P2P);
    assert_eq!((topology.gpus().len(), measured(&topology, 0, 1)), (2, Some(256.62)));
    // perftest leaves out the domain, which is not 0 everywhere, and where several GPUs have one bus tells nothing.
    let run = perftest("h200-cuda-client.txt");
    let topology = merged(&["0001:10:00.0", "0002:8f:00.0"], "one.txt", &run);
    assert_eq!((topology.gpus().len(), topology.measurements()[0].from), (2, topology.devices()[1]));
    assert_eq!(topology.gpus().nth(1).unwrap().address.unwrap().to_string(), "0002:8f:00.0");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn perftest_with_memory_of_a_gpu_is_read() {
    for (file, address, model, nic, gb_per_s, gpu_sends) in [
        ("h200-cuda-client.txt", "0000:8f:00.0", "NVIDIA H200", "mlx5_3", 17.619, true),
        ("a40-cuda-server.txt", "0000:61:00.0", "NVIDIA A40", "mlx5_1", 22.683, false),
    ] {
        let topology = Topology::parse(file, perftest(file).as_bytes()).unwrap();
        let gpu = topology.gpus().next().unwrap();
        assert_eq!((gpu.address.unwrap().to_string().as_str(), gpu.model.as_deref()), (address, Some(model)));
        assert_eq!(topology.device(nic).unwrap(), 1);
        assert_eq!(measured(&topology, 0, 1), Some(gb_per_s), "{file}");
        let [only] = topology.measurements() else { panic!("{:?}", topology.measurements()) };
        assert_eq!(only.from == topology.devices()[0], gpu_sends, "{file}");
        // What a GPU gets is no rate of the adapter.
        assert_eq!(topology.nics().next().unwrap().measured, None);
        assert!(topology.notes().is_empty(), "{:?}", topology.notes());
    }
}

#[test]
fn perftest_with_memory_of_the_host_is_the_rate_of_the_adapter() {
    let host = perftest("epyc-hdr-host.txt");
    let rate = |text: &str| {
        Topology::parse("x", text.as_bytes()).unwrap().nics().next().unwrap().measured.unwrap().as_mb_per_s()
    };
    // 22292.76 MiB/s, as 0.002787 million messages of 8388608 bytes are too.
    assert_eq!(rate(&host), 23_376);
    assert!(rate(&host).abs_diff(2787 * 8_388_608 / 1_000_000) < 5);
    assert_eq!(rate(&host.replace("MB/sec", "MiB/sec")), 23_376);
    // Without the column of the peak, as older versions print it.
    let no_peak = " RDMA_Read BW Test\n Dual-port : OFF Device : hns_0\n #bytes #iterations BW average[MB/sec] \
                   MsgRate[Mpps]\n 1048576 93205 1000.00 0.023302\n";
    assert_eq!(rate(no_peak), 1049);
    // Of several runs the best counts; a run that was cut off does not spoil the next.
    let cut = host.replace(" 8388608", " 4096").replace(&"-".repeat(87), "");
    assert_eq!(rate(&(cut + &host)), 23_376);
}

#[test]
fn runs_that_tell_nothing_of_one_direction_are_left_out() {
    let both = perftest("cx5-bidirectional.txt");
    let error = Topology::parse("x", both.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.advice().unwrap().contains("both directions at once"), "{error}");
    let host = perftest("epyc-hdr-host.txt");
    let topology = Topology::parse("x", (both + &host).as_bytes()).unwrap();
    assert_eq!(topology.nics().next().unwrap().measured.unwrap().as_mb_per_s(), 23_376);
    assert!(topology.notes()[0].text.contains("both directions at once"), "{:?}", topology.notes());
    for (text, words) in [
        (host.replace("Dual-port       : OFF", "Dual-port       : ON"), "two ports"),
        (host.replace("RDMA_Write", "Atomic FETCH_AND_ADD"), "other operations"),
        (host.replace("Device ", ""), "its device"),
        (
            host.replace("8388608", "8")
                .replace("4194304", "8")
                .replace("131072", "8")
                .replace("4096  ", "8 "),
            "below 4096",
        ),
    ] {
        let error = Topology::parse("x", text.as_bytes()).unwrap_err();
        assert!(error.advice().unwrap_or_default().contains(words), "{error}");
    }
    let broken = host.replace("22292.76", "fast");
    let error = Topology::parse("x", broken.as_bytes()).unwrap_err();
    assert_eq!((error.kind(), error.line()), (ErrorKind::InvalidInput, Some(28)));
    let unit = Topology::parse("x", host.replace("MB/sec", "furlongs").as_bytes()).unwrap_err();
    assert!(unit.message().contains("furlongs"), "{unit}");
}

#[test]
fn measured_adapters_are_laid_over_a_machine() {
    let text = "\tGPU0\tGPU1\tNIC0\nGPU0\t X \tNV4\tPIX\nGPU1\tNV4\t X \tSYS\nNIC0\tPIX\tSYS\t X \n\nNIC Legend:\n\n  NIC0: mlx5_0\n";
    let fragment = |bytes: &[u8]| nvtopo::source::parse("x", bytes).unwrap();
    let host = perftest("epyc-hdr-host.txt")
        .replace("22292.76", "9000.00")
        .replace("22164.23", "1.0")
        .replace("18044.34", "1.0");
    let gpu = perftest("h200-cuda-client.txt").replace("mlx5_3", "mlx5_0");
    let merge = |texts: &[&str]| {
        let fragments = texts.iter().map(|text| fragment(text.as_bytes()));
        fragments.fold(TopologyBuilder::new(), TopologyBuilder::with).build().unwrap()
    };
    let plain = merge(&[text]);
    let rate = |topology: &Topology, gpu: usize| topology.pairs().pair(gpu, 2).rate.unwrap();
    assert_eq!(rate(&plain, 0).basis, Basis::Assumed);
    let topology = merge(&[text, &host]);
    assert_eq!(topology.nics().len(), 1);
    for gpu in [0, 1] {
        assert_eq!(rate(&topology, gpu), Rate::new(Bandwidth::from_mb_per_s(9437), Basis::Measured));
    }
    // The pair that was measured is known better than that.
    let topology = merge(&[&gpu, &host, text]);
    assert_eq!(rate(&topology, 0).bandwidth.as_mb_per_s(), 17_619);
    assert_eq!(rate(&topology, 1).bandwidth.as_mb_per_s(), 9437);
    let again = Topology::parse("x.json", topology.to_json().as_bytes()).unwrap();
    assert_eq!(again, topology);
}

#[test]
fn what_is_no_figure_is_an_error_with_its_place() {
    let broken = NVBANDWIDTH.replace("120.50", "fast");
    let error = Topology::parse("nvbandwidth.txt", broken.as_bytes()).unwrap_err();
    assert_eq!((error.kind(), error.line(), error.column()), (ErrorKind::InvalidInput, Some(15), Some(27)));
    assert!(error.message().contains("'fast'"), "{error}");
    let wide = NVBANDWIDTH.replace("391.20", "391.20 1.0");
    assert_eq!(Topology::parse("x", wide.as_bytes()).unwrap_err().line(), Some(14));
    let none = NVBANDWIDTH.split("Running ").next().unwrap().to_owned();
    assert_eq!(Topology::parse("x", none.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidInput);
    // The list of GPUs is whole where a test follows.
    let topology = Topology::parse("x", (none + "GPU(row)").as_bytes()).unwrap();
    assert_eq!((topology.gpus().len(), topology.measurements().len()), (3, 0));
}

#[test]
fn what_was_not_measured_is_told() {
    let cut = &NVBANDWIDTH[..NVBANDWIDTH.find(" 2    391.00").unwrap()];
    let topology = Topology::parse("cut.txt", cut.as_bytes()).unwrap();
    assert_eq!(topology.measurements().len(), 4);
    assert!(topology.notes().iter().any(|note| note.text.starts_with("2 of 6")), "{:?}", topology.notes());
}

proptest! {
    #[test]
    fn damage_is_never_a_panic(at in 0usize..2000, cut in 0usize..80, junk in "[ -~\n]{0,20}", which in 0usize..4) {
        let mut text = match which {
            0 => P2P.to_owned(),
            1 => NVBANDWIDTH.to_owned(),
            2 => perftest("h200-cuda-client.txt"),
            _ => perftest("epyc-hdr-host.txt"),
        };
        let at = at % text.len();
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &junk);
        let _ = Topology::parse("damaged.txt", text.as_bytes());
    }
}

#[test]
fn a_fragment_alone_says_that_nvlink_is_unknown() {
    let file = std::env::temp_dir().join(format!("nvtopo-p2p-{}.txt", std::process::id()));
    std::fs::write(&file, P2P).unwrap();
    let fragment = fragment(&Locator::Path(file.clone())).unwrap();
    std::fs::remove_file(&file).unwrap();
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    assert!(!topology.nvlink_known());
    assert_eq!(topology.pairs().pair(0, 1).path, None);
}
