//! Profiles for NVIDIA's mock of NVML, read as the mock reads them (`engine/topology.go` there): what it would show is compared
//! with the machine. `scripts/mock-nvml.sh` does the same with the mock itself.

use super::{data, files};
use nvtopo::model::NoteCode;
use nvtopo::source::{Locator, PRESETS, Written};
use nvtopo::{PathType, Topology};
use serde_json::Value;
use std::collections::BTreeMap;

fn made(name: &str) -> Topology {
    Topology::open(&[Locator::Path(data("mock-nvml").join(name))]).unwrap()
}

fn profile(topology: &Topology) -> (Value, Written) {
    let written = topology.write("mock-nvml").unwrap();
    (serde_saphyr::from_str(&written.text).unwrap(), written)
}

fn noted(written: &Written, text: &str) -> bool {
    let found = written.notes.iter().find(|note| note.text.contains(text));
    found.is_some_and(|note| matches!(note.code(), NoteCode::NotExpressed | NoteCode::Inferred))
}

/// The machine that the mock makes of a profile.
struct Mock {
    addresses: Vec<String>,
    /// The links of each GPU that are up, by their ends; all NVSwitches are one.
    links: Vec<BTreeMap<String, usize>>,
    /// Root complex, NUMA node and CPUs of each GPU.
    places: Vec<Option<(String, i64, String)>>,
    level: Option<String>,
}

impl Mock {
    fn of(profile: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let devices = profile["devices"].as_array().unwrap();
        let addresses: Vec<String> = devices.iter().map(|own| text(&own["pci"]["bus_id"])).collect();
        let mut links = vec![BTreeMap::new(); devices.len()];
        for own in profile["nvlink"]["device_links"].as_array().into_iter().flatten() {
            let of_gpu = &mut links[own["index"].as_u64().unwrap() as usize];
            for link in own["links"].as_array().unwrap() {
                assert!(link["link"].as_u64().unwrap() < 18);
                if link["state"] != "active" {
                    continue;
                }
                let end = if link["remote_device_type"] == "switch" {
                    "switch".to_owned()
                } else {
                    text(&link["remote_pci_bus_id"])
                };
                *of_gpu.entry(end).or_default() += 1;
            }
        }
        let roots = profile["pcie_topology"]["root_complexes"].as_array();
        let place = |address: &String| {
            let is_own =
                |root: &&Value| root["devices"].as_array().unwrap().iter().any(|own| own == address.as_str());
            let root = roots?.iter().find(is_own)?;
            Some((text(&root["id"]), root["numa_node"].as_i64().unwrap(), text(&root["cpu_affinity"])))
        };
        let places = addresses.iter().map(place).collect();
        let level = profile["device_defaults"]["topology"]["default_level"].as_str().map(str::to_owned);
        Self { addresses, links, places, level }
    }

    fn nvlinks(&self, a: usize, b: usize) -> usize {
        let count = |gpu: usize, end: &str| self.links[gpu].get(end).copied().unwrap_or_default();
        count(a, &self.addresses[b]).min(count(b, &self.addresses[a]))
            + count(a, "switch").min(count(b, "switch"))
    }

    fn path(&self, a: usize, b: usize) -> PathType {
        match (&self.places[a], &self.places[b]) {
            (Some((_, one, _)), Some((_, other, _))) if one != other => PathType::Sys,
            (Some((one, ..)), Some((other, ..))) if one == other => PathType::Pix,
            (Some(_), Some(_)) => PathType::Phb,
            _ => match self.level.as_deref().unwrap() {
                "single" => PathType::Pix,
                "multiple" => PathType::Pxb,
                "hostbridge" => PathType::Phb,
                "node" => PathType::Node,
                _ => PathType::Sys,
            },
        }
    }
}

#[test]
fn the_mock_shows_the_machine_or_a_note_says_otherwise() {
    let presets =
        PRESETS.iter().map(|preset| (preset.name.to_owned(), Topology::preset(preset.name).unwrap()));
    let recorded = ["topo-m", "mock-nvml", "nccl-xml"].into_iter().flat_map(|folder| {
        files(
            folder,
            if folder == "topo-m" {
                ".txt"
            } else if folder == "nccl-xml" {
                ".xml"
            } else {
                ".json"
            },
        )
    });
    let recorded = recorded.filter_map(|path| {
        Some((path.display().to_string(), Topology::open(&[Locator::Path(path.clone())]).ok()?))
    });
    let mut count = 0;
    for (name, topology) in presets.chain(recorded) {
        if topology.gpus().len() == 0 || topology.write("mock-nvml").is_err() {
            let why = topology.write("mock-nvml").unwrap_err().to_string();
            assert!(why.contains("no GPU") || why.contains("of AMD"), "{name}: {why}");
            continue;
        }
        count += 1;
        let (profile, written) = profile(&topology);
        let mock = Mock::of(&profile);
        assert_eq!(mock.addresses.len(), topology.gpus().len(), "{name}");
        for (place, gpu) in topology.gpus().enumerate() {
            let own = &profile["devices"][place];
            assert_eq!(own["uuid"].as_str(), gpu.uuid.map(|uuid| uuid.to_string()).as_deref(), "{name}");
            assert_eq!(own["name"].as_str(), gpu.model.as_deref(), "{name}");
            assert_eq!(own["memory"]["total_bytes"].as_u64(), gpu.memory, "{name}");
            assert!(gpu.address.is_none_or(|address| address.to_string() == mock.addresses[place]), "{name}");
            let cpus = topology.local_cpus(topology.devices()[place]);
            if let (Some(cpus), Some((_, _, own))) = (cpus.known(), &mock.places[place]) {
                assert_eq!(*own, cpus.to_string(), "{name}");
            }
        }
        let shown = topology.gpus().len().min(8);
        for (a, b) in (0..shown).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let pair = topology.pairs().pair(a, b);
            let same = mock.nvlinks(a, b) == usize::from(pair.nvlinks);
            assert!(same || noted(&written, "another number of NVLinks"), "{name}: {a} {b}");
            let is_bus = pair.path.is_some_and(|path| (PathType::Pix..=PathType::Sys).contains(&path));
            if is_bus && pair.path != Some(mock.path(a, b)) {
                assert!(noted(&written, "PIX, PHB and SYS only"), "{name}: {a} {b}");
            }
        }
        assert_eq!(noted(&written, "the first 8 GPUs"), topology.gpus().len() > 8, "{name}");
    }
    assert!(count > 80, "{count}");
}

#[test]
fn a_link_that_is_lost_is_lost_in_the_mock() {
    let topology = made("made-lost-link.json");
    let (profile, _) = profile(&topology);
    let mock = Mock::of(&profile);
    assert_eq!([(0, 1), (0, 2), (2, 3)].map(|(a, b)| mock.nvlinks(a, b)), [12, 11, 11]);
    assert_eq!(
        (&profile["nvlink"]["version"], &profile["nvlink"]["bandwidth_per_link_mbps"]),
        (&4.into(), &25_000.into())
    );
    assert_eq!(profile["devices"][0]["minor_number"], 2);
    assert_eq!(profile["system"]["cuda_version_major"], 12);
}

#[test]
fn a_profile_is_written_as_this() {
    let (_, written) = profile(&made("made-facts.json"));
    let expected = std::fs::read_to_string(data("mock-nvml").join("made-facts.yaml")).unwrap();
    assert_eq!(written.text, expected);
    for text in ["no MIG instances", "one MIG mode"] {
        assert!(noted(&written, text), "{text}: {:?}", written.notes);
    }
}

#[test]
fn what_the_mock_cannot_tell_is_noted() {
    let (profile, written) = profile(&made("made-unlike.json"));
    assert_eq!(profile["devices"][2]["failure"]["mode"], "lost");
    for text in [
        "one compute capability",
        "without gaps",
        "NVLinks are unknown",
        "number of the device file",
        "version of the driver",
        "GPU0 and GPU1 (NODE as PHB)",
    ] {
        assert!(noted(&written, text), "{text}: {:?}", written.notes);
    }
}

#[test]
fn gpus_that_it_cannot_show_are_refused_or_left_to_a_note() {
    let open = |text: &str| Topology::parse("made", text.as_bytes()).unwrap();
    let empty = open(
        r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":true,"nodes":[{"machine":{}}]}}"#,
    );
    assert!(empty.write("mock-nvml").unwrap_err().to_string().contains("no GPU"));
    // GPUs without addresses have some of their own, and the mock shows one class of path where nothing else is known.
    let (profile, written) = profile(&open(
        "\tGPU0\tGPU1\tGPU2\nGPU0\t X \tNODE\tNODE\nGPU1\tNODE\t X \tNODE\nGPU2\tNODE\tNODE\t X \n",
    ));
    let mock = Mock::of(&profile);
    assert_eq!((mock.path(0, 1), mock.path(1, 2)), (PathType::Node, PathType::Node));
    assert_eq!(mock.addresses, ["0000:01:00.0", "0000:02:00.0", "0000:03:00.0"]);
    assert!(
        noted(&written, "one is made up") && !noted(&written, "PIX, PHB and SYS only"),
        "{:?}",
        written.notes
    );
}
