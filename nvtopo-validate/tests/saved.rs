//! Saved outputs of benchmarks, published ones and ones made after the sources.

use crate::support::{data, preset};
use nvtopo::Topology;
use nvtopo_validate::{Judge, Metric, Results, Subject, Verdict};

fn read(topology: &Topology, text: &str) -> nvtopo::Result<Results> {
    let mut results = Results::default();
    results.read_saved(topology, "saved.txt", text.as_bytes())?;
    Ok(results)
}

fn value(results: &Results, subject: &Subject) -> f64 {
    results.figures.iter().find(|figure| figure.subject == *subject).unwrap().value
}

#[test]
fn nvbandwidth_of_a100_passes() {
    let dgx = preset("dgx-a100");
    let results = read(&dgx, &data("validate/nvbandwidth-a100.txt")).unwrap();
    assert_eq!(results.figures.len(), 72);
    assert!((value(&results, &Subject::Path { from: 6, to: 0 }) - 274.89).abs() < 1e-9);
    assert!((value(&results, &Subject::ToGpu(4)) - 26.19).abs() < 1e-9);
    let report = Judge::default().report(&dgx, &results);
    assert_eq!((report.count(Verdict::Pass), report.suspects().len()), (72, 0));
}

#[test]
fn gpus_are_found_by_their_addresses() {
    let text = "\tGPU0\tGPU1\tGPU2\nGPU0\tX\tNV18\tNV18\nGPU1\tNV18\tX\tNV18\nGPU2\tNV18\tNV18\tX\n";
    let by_number = Topology::parse("matrix", text.as_bytes()).unwrap();
    let results = read(&by_number, &data("measured/nvbandwidth.txt")).unwrap();
    assert_eq!(results.figures.len(), 6 + 3);
    // The data of a read comes from the column's GPU.
    assert!((value(&results, &Subject::Path { from: 2, to: 1 }) - 120.5).abs() < 1e-9);
    // Another machine's GPUs are at other addresses.
    let other = preset("dgx-a100");
    assert!(other.gpus().all(|gpu| gpu.address.is_some()));
    let error = read(&other, &data("measured/nvbandwidth.txt")).unwrap_err();
    assert!(error.to_string().contains("devices that this machine does not have"), "{error}");
    // In JSON the matrix and the host's row are the same.
    let json = read(&by_number, &data("measured/nvbandwidth.json")).unwrap();
    assert!((value(&json, &Subject::ToGpu(1)) - 55.2).abs() < 1e-9);
    assert!((value(&json, &Subject::Path { from: 0, to: 1 }) - 271.5).abs() < 1.1);
}

#[test]
fn eight_h800_are_judged_by_their_equals() {
    let cells =
        |row: usize| (0..8).map(|column| if row == column { "\tX" } else { "\tNV8" }).collect::<String>();
    let rows: String = (0..8).map(|row| format!("GPU{row}{}\n", cells(row))).collect::<Vec<_>>().concat();
    let names: String = (0..8).map(|gpu| format!("\tGPU{gpu}")).collect::<Vec<_>>().concat();
    let h800 = Topology::parse("matrix", format!("{names}\n{rows}").as_bytes()).unwrap();
    let text = data("measured/h800-v0.2.txt");
    let report = Judge::default().report(&h800, &read(&h800, &text).unwrap());
    // The generation of the links is unknown, so that nothing but the others is there to compare with.
    assert_eq!((report.count(Verdict::Pass), report.count(Verdict::Weak)), (56 + 16, 0));
    assert!(report.judged().iter().all(|own| own.possible.is_none() && own.equals.is_some()));
    let one_weak =
        text.replace("176.02", "158.40").replace("172.57    172.32       N/A", "152.57    172.32       N/A");
    let report = Judge::default().report(&h800, &read(&h800, &one_weak).unwrap());
    assert!(report.count(Verdict::Weak) <= 2, "{}", report.to_text(None, false));
}

#[test]
fn ports_of_perftest_are_found_by_name() {
    let dgx = preset("dgx-a100");
    let nic = dgx.gpus().len() + dgx.nics().position(|nic| nic.name == "mlx5_0").unwrap();
    let results = read(&dgx, &data("perftest/epyc-hdr-host.txt")).unwrap();
    // 22292.76 MiB/s.
    assert!((value(&results, &Subject::Adapter(nic)) - 23.376).abs() < 1e-3);
    let latency = read(&dgx, &data("validate/ib_read_lat.txt")).unwrap();
    assert_eq!((latency.figures[0].metric, latency.figures[0].program), (Metric::Latency, "ib_read_lat"));
    assert!((latency.figures[0].value - 1.91).abs() < 1e-9);
    let error =
        read(&preset("gh200"), &data("validate/ib_read_lat.txt").replace("mlx5_0", "mlx5_77")).unwrap_err();
    assert!(error.to_string().contains("mlx5_77 is not a NIC of this machine"), "{error}");
    let error = read(&dgx, &data("validate/ibv_rc_pingpong.txt")).unwrap_err();
    assert!(error.to_string().contains("does not name its devices"), "{error}");
}

#[test]
fn collectives_name_their_gpus() {
    let text = data("validate/all_reduce-4090.txt");
    let dgx = preset("dgx-a100");
    let results = read(&dgx, &text).unwrap();
    assert_eq!(results.figures[0].subject, Subject::Group((0..8).collect()));
    assert!((results.figures[0].value - 18.75).abs() < 1e-9);
    let old = read(&dgx, &data("validate/all_reduce-old.txt")).unwrap();
    assert_eq!(old.figures[0].subject, Subject::Group(vec![0, 1]));
    assert!((old.figures[0].value - 21.86).abs() < 1e-9);
    for (from, to, said) in [
        ("device  3 [0x5a]", "device  9 [0x5a]", "GPU 9"),
        ("gpu59 device  7", "gpu60 device  7", "several machines"),
        ("100195.1   10.72   18.75    N/A", "100195.1   10.72   18.75      3", "3 wrong values"),
        (" 0 OK", " 7 FAILED", "wrong data"),
        ("18.75", "fast", "'fast' is not a bandwidth"),
    ] {
        let error = read(&dgx, &text.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_holds_no_figure_is_refused_with_the_reason() {
    let dgx = preset("dgx-a100");
    for (text, said) in [
        ("", "empty"),
        ("garbage\n", "not a format"),
        ("Running device_to_device_memcpy_read_ce.\nWaiving device_to_device_memcpy_read_ce.\n", "waived"),
        ("#       size    busbw\n", "does not name two GPUs"),
    ] {
        let error = read(&dgx, text).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.input_name(), Some("saved.txt"));
    }
}

#[test]
fn no_damage_panics() {
    let dgx = preset("dgx-a100");
    for name in [
        "validate/all_reduce-4090.txt",
        "validate/ib_read_lat.txt",
        "validate/nvbandwidth-a100.txt",
        "measured/nvbandwidth.json",
    ] {
        let text = data(name);
        for cut in (0..text.len()).step_by(97) {
            let _ = read(&dgx, &text[..cut]);
            let mut bytes = text.clone().into_bytes();
            bytes[cut] = b"-9[\xff\n{"[cut % 6];
            let _ = Results::default().read_saved(&dgx, "damaged", &bytes);
        }
    }
}
