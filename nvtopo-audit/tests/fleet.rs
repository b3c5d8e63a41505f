//! Fleets of made machines: outliers, inventories, and how they are read.

use nvtopo::Topology;
use nvtopo_audit::{Fleet, FleetOptions};
use serde_json::Value;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A directory of nodes that is removed at the end.
struct Nodes(PathBuf);

impl Nodes {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("nvtopo-fleet-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    fn add(&self, name: &str, content: &str) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    fn read(&self, options: &FleetOptions) -> Fleet {
        Fleet::read(&self.0, options, &mut |_, _| {}).unwrap()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn change(document: &mut Value, kind: &str, number: usize, change: impl Fn(&mut Value)) {
    let nodes = document["topology"]["nodes"].as_array_mut().unwrap();
    change(nodes.iter_mut().filter_map(|node| node.get_mut(kind)).nth(number).unwrap());
}

/// The document of the n-th node of a fleet of DGX H100s: each has its own UUIDs, and some differ.
fn document(base: &Value, number: usize) -> Value {
    let mut document = base.clone();
    for gpu in 0..8 {
        change(&mut document, "gpu", gpu, |own| {
            own["uuid"] = format!("GPU-{number:08x}-0000-0000-0000-{gpu:012}").into();
            own["serial"] = format!("16500{number:05}{gpu}").into();
            own["firmware"] = "96.00.74.00.01".into();
        });
    }
    let driver = if number % 10 == 3 { "550.90.07" } else { "570.124.06" };
    change(&mut document, "machine", 0, |own| own["driver"] = driver.into());
    match number % 20 {
        5 => change(&mut document, "gpu", 4, |own| own["firmware"] = "96.00.30.00.01".into()),
        7 => {
            let parent = document["topology"]["nodes"].as_array().unwrap().iter();
            let nics: Vec<Value> =
                parent.filter_map(|node| node.get("nic")).map(|nic| nic["parent"].clone()).collect();
            // A part stands before what is below it.
            change(&mut document, "nic", nics.len() - 1, |own| own["parent"] = nics[0].clone());
        }
        _ => {}
    }
    document
}

fn base() -> Value {
    serde_json::from_str(&Topology::preset("dgx-h100").unwrap().to_json()).unwrap()
}

fn made(name: &str, nodes: usize) -> Nodes {
    let (folder, base) = (Nodes::new(name), base());
    for number in 0..nodes {
        folder.add(&format!("node{number:05}.json"), &document(&base, number).to_string());
    }
    folder
}

#[test]
fn nodes_that_differ_from_most_of_their_like_are_outliers() {
    let nodes = made("outliers", 10);
    nodes.add("other.json", &Topology::preset("dgx-1-v100").unwrap().to_json());
    nodes.add("broken.json", "{\"format\": \"nvtopo-topology\", \"version\": 1, ");
    nodes.add(".hidden", "nothing");
    let fleet = nodes.read(&FleetOptions::default().threads(NonZero::new(2)));
    assert_eq!(fleet.nodes().len(), 11);
    let unreadable: Vec<&str> = fleet.unreadable().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(unreadable, ["broken.json"]);
    let boards: Vec<(&str, usize)> = fleet.boards().iter().map(|own| (&*own.name, own.nodes.len())).collect();
    assert_eq!(boards[0], ("NVIDIA DGX H100 with NVIDIA H100 80GB HBM3", 10));
    assert_eq!(boards.len(), 2);
    let drivers = fleet.boards()[0].values("driver");
    let drivers: Vec<(&str, usize)> = drivers.iter().map(|(value, count)| (&**value, *count)).collect();
    assert_eq!(drivers, [("570.124.06", 9), ("550.90.07", 1)]);
    let outliers: Vec<(&str, Vec<&str>)> = fleet
        .outliers()
        .iter()
        .map(|own| (own.node.as_str(), own.differences.iter().map(|(field, _, _)| *field).collect()))
        .collect();
    let expected = [
        ("node00003", vec!["driver"]),
        ("node00005", vec!["gpu_firmware"]),
        ("node00007", vec!["structure"]),
    ];
    assert_eq!(outliers, expected);
    // The moved NIC is named.
    assert!(!fleet.outliers()[2].details.is_empty());
    let text = fleet.to_text();
    assert!(text.starts_with("11 nodes of 2 boards, 3 outliers, 1 unreadable\n"), "{text}");
    assert!(text.contains("driver: 550.90.07; most have 570.124.06"), "{text}");
    assert!(text.contains("broken.json: "), "{text}");
}

/// A node's name, and the change of its document.
type Change<'a> = (&'a str, &'a dyn Fn(&mut Value));

/// A fleet of DGX H100s of which some differ: made.
fn odd(name: &str, odd: &[Change<'_>]) -> Fleet {
    let nodes = Nodes::new(name);
    let mut usual = base();
    all(&mut usual, "numa_node", |own| own["memory_bytes"] = (1007_u64 << 30).into());
    for number in 0..5 {
        nodes.add(&format!("n{number}.json"), &usual.to_string());
    }
    for (name, change) in odd {
        let mut document = usual.clone();
        change(&mut document);
        nodes.add(&format!("{name}.json"), &document.to_string());
    }
    nodes.read(&FleetOptions::default())
}

fn all(document: &mut Value, kind: &str, change: impl Fn(&mut Value)) {
    let nodes = document["topology"]["nodes"].as_array_mut().unwrap();
    nodes.iter_mut().filter_map(|node| node.get_mut(kind)).for_each(change);
}

fn less_memory(document: &mut Value) {
    all(document, "gpu", |own| own["memory_bytes"] = (40_u64 << 30).into());
    all(document, "numa_node", |own| own["memory_bytes"] = (251_u64 << 30).into());
}

fn moved_nic(document: &mut Value) {
    let nics: Vec<Value> = document["topology"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|node| Some(node.get("nic")?["parent"].clone()))
        .collect();
    change(document, "nic", nics.len() - 1, |own| own["parent"] = nics[0].clone());
}

#[test]
fn slow_nics_and_less_memory_make_outliers() {
    let slow = |document: &mut Value| {
        all(document, "nic", |own| own["mb_per_s"] = 25_000.into());
    };
    let fleet = odd("slow", &[("lessmem", &less_memory), ("slownics", &slow)]);
    let fields = |name: &str| -> Vec<&str> {
        let own = fleet.outliers().iter().find(|own| own.node == name);
        own.map_or_else(Vec::new, |own| own.differences.iter().map(|(field, _, _)| *field).collect())
    };
    assert_eq!(fields("lessmem"), ["gpu_memory", "memory"]);
    assert_eq!(fields("slownics"), ["nic_rate"]);
    assert_eq!(fleet.outliers().len(), 2);
}

#[test]
fn the_difference_that_made_an_outlier_is_named() {
    // The first of those with the usual structure has less memory, which is none of the others' difference.
    let fleet = odd("named", &[("a-lessmem", &less_memory), ("moved", &moved_nic)]);
    let moved = fleet.outliers().iter().find(|own| own.node == "moved").unwrap();
    assert!(!moved.details.iter().any(|line| line.contains("memory")), "{:?}", moved.details);
    let half = |document: &mut Value| *document = crate::baseline::half_pcie(document.clone());
    let slower = odd("half", &[("slower", &half)]);
    let details = &slower.outliers()[0].details;
    assert!(
        details.iter().any(|line| line.starts_with("only here: ") && line.contains("GB/s")),
        "{details:?}"
    );
    let nic = fleet.nodes()[0].devices.last().unwrap().name.clone();
    assert!(moved.details.iter().any(|line| line.contains(&*nic)), "{nic}: {:?}", moved.details);
}

#[test]
fn rows_have_numbers_and_nodes_that_could_not_be_read() {
    let nodes = made("rows", 3);
    nodes.add("broken.json", "{\"format\": \"nvtopo-topology\", \"version\": 1, ");
    nodes.add("dell.txt.gz", "\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n");
    let fleet = nodes.read(&FleetOptions::default().now(Some(1_700_000_000)));
    let rows: Vec<Value> = fleet.to_jsonl().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = |name: &str| rows.iter().find(|row| row["node"] == name).unwrap();
    assert_eq!((&row("node00001")["cpus"], &row("node00001")["gpu_count"]), (&224.into(), &8.into()));
    assert!(row("broken.json")["unreadable"].is_string());
    assert_eq!((&row("dell")["board"], &row("dell")["gpu_count"]), (&Value::Null, &2.into()));
    let csv = fleet.to_csv().unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap().iter().next_back(), Some("unreadable"));
    let broken = reader.records().map(Result::unwrap).find(|row| &row[0] == "broken.json").unwrap();
    assert!(!broken[broken.len() - 1].is_empty());
    let bom: Value = serde_json::from_str(&fleet.to_cyclonedx()).unwrap();
    assert_eq!(bom["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    let serial = bom["serialNumber"].as_str().unwrap();
    assert!(serial.starts_with("urn:uuid:") && serial.len() == 45, "{serial}");
}

#[test]
fn without_a_majority_nobody_is_an_outlier() {
    let nodes = Nodes::new("split");
    for (number, driver) in ["550.90.07", "550.90.07", "570.124.06", "570.124.06"].iter().enumerate() {
        let mut document = base();
        change(&mut document, "machine", 0, |own| own["driver"] = (*driver).into());
        nodes.add(&format!("{number}.json"), &document.to_string());
    }
    assert_eq!(nodes.read(&FleetOptions::default()).outliers(), []);
}

#[test]
fn a_node_that_lost_its_gpus_is_compared_with_those_that_have_them() {
    let nodes = made("lost", 3);
    let mut document = base();
    let all = document["topology"]["nodes"].as_array_mut().unwrap();
    all.retain(|node| {
        ["machine", "package", "numa_node", "core", "pu"].iter().any(|kind| node.get(kind).is_some())
    });
    document["topology"]["links"] = Value::Array(Vec::new());
    nodes.add("lost.json", &document.to_string());
    let fleet = nodes.read(&FleetOptions::default());
    assert_eq!(fleet.boards().len(), 1);
    assert!(fleet.outliers().iter().any(|own| own.node == "lost"), "{:?}", fleet.outliers());
}

#[test]
fn inventories_hold_each_node_and_leave_out_identities_when_told_to() {
    let nodes = made("inventory", 3);
    let open = nodes.read(&FleetOptions::default());
    let redacted = nodes.read(&FleetOptions::default().redact(true));
    for fleet in [&open, &redacted] {
        let lines: Vec<Value> =
            fleet.to_jsonl().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), lines[1]["node"].as_str()), (3, Some("node00001")));
        let csv = fleet.to_csv().unwrap();
        let mut rows = csv::Reader::from_reader(csv.as_bytes());
        let heading = rows.headers().unwrap().clone();
        assert!(heading.iter().any(|name| name == "gpu_firmware"));
        assert!(rows.records().all(|row| row.unwrap().len() == heading.len()));
        let bom: Value = serde_json::from_str(&fleet.to_cyclonedx()).unwrap();
        assert_eq!(
            (bom["bomFormat"].as_str(), bom["specVersion"].as_str()),
            (Some("CycloneDX"), Some("1.6"))
        );
        let kinds: Vec<&str> = bom["components"][0]["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|own| own["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "device-driver").count(), 1);
        assert!(kinds.iter().filter(|kind| **kind == "device").count() > 8);
    }
    let all = |fleet: &Fleet| {
        [fleet.to_jsonl(), fleet.to_csv().unwrap(), fleet.to_cyclonedx(), fleet.to_json()].concat()
    };
    assert!(all(&open).contains("GPU-00000001-0000") && all(&open).contains("16500000010"));
    assert!(!all(&redacted).contains("GPU-0000000") && !all(&redacted).contains("16500"));
}

#[test]
fn the_ages_of_snapshots_are_told() {
    const TAKEN: u64 = 1_700_000_000 + 100;
    let nodes = Nodes::new("ages");
    // Recorded trees: the time is that of the start, and the seconds since.
    for (name, start) in [("new", TAKEN - 100), ("old", TAKEN - 100 - 30 * 86_400)] {
        let machine = crate::machine::Machine::bare(100).with("proc/stat", &format!("cpu 1\nbtime {start}"));
        machine.write_to(&nodes.0.join(name));
    }
    nodes.add("table.txt", "\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n");
    let fleet = nodes.read(&FleetOptions::default().now(Some(TAKEN + 3 * 3600)));
    let text = fleet.to_text();
    let expected = "Snapshots are 3 h to 30 days old; the age of 1 is not known\n  older than 7 days: old\n";
    assert!(text.contains(expected), "{text}");
    assert_eq!(fleet.nodes()[0].taken_at().as_deref(), Some("2023-11-14T22:15:00Z"));
    assert!(fleet.to_jsonl().contains("\"taken\":\"2023-11-14T22:15:00Z\""));
    assert!(fleet.to_csv().unwrap().contains(",taken,outlier,unreadable\n"));
    assert!(!nodes.read(&FleetOptions::default()).to_text().contains("Snapshots are"));
}

#[test]
fn an_empty_directory_and_none_are_errors() {
    let nodes = Nodes::new("empty");
    assert!(Fleet::read(&nodes.0, &FleetOptions::default(), &mut |_, _| {}).is_err());
    assert!(Fleet::read(Path::new("/nowhere/at/all"), &FleetOptions::default(), &mut |_, _| {}).is_err());
}

/// Prints how long a fleet takes; `scripts/fleet.sh` asks for 10,000 nodes.
#[test]
fn a_fleet_is_read_with_flat_memory() {
    let count: usize =
        std::env::var("NVTOPO_FLEET_NODES").ok().and_then(|own| own.parse().ok()).unwrap_or(40);
    let nodes = made("many", count);
    let begin = Instant::now();
    let mut last = 0;
    let fleet = Fleet::read(&nodes.0, &FleetOptions::default(), &mut |done, all| {
        assert!(done >= last && all == count);
        last = done;
    })
    .unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!((last, fleet.nodes().len()), (count, count));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim().to_owned();
    println!("{count} nodes in {seconds:.1} s, {} outliers, peak memory {peak}", fleet.outliers().len());
    // One in ten has another driver; one in twenty other firmware, and one in twenty a moved NIC.
    assert!(fleet.outliers().len() >= count / 10 + count / 20 * 2 - 3, "{}", fleet.outliers().len());
}
