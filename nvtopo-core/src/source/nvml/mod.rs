//! NVIDIA's driver: GPUs, NVLinks and affinities as its management library (NVML) reports them.
//!
//! The library is opened at run time, so that the same program runs where there is none. `enabled` makes the calls,
//! under a watchdog; their answers are a [`report`], plain facts that are written to snapshots and read again; and
//! [`fragment`] turns these into a fragment. Counters change all the time, so they are asked for separately, and are part of
//! the report in snapshots alone.

mod counters;
#[cfg(not(feature = "nvml"))]
mod disabled;
#[cfg(feature = "nvml")]
mod enabled;
mod failures;
mod fragment;
mod nodes;
mod report;
mod wires;

use crate::ids::PciAddress;
use crate::model::{Fragment, Link};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use counters::{GpuProcess, NvLinkCounters};
#[cfg(not(feature = "nvml"))]
pub(super) use disabled::{ask, count, processes};
#[cfg(feature = "nvml")]
pub(super) use enabled::{ask, count, processes};
use report::DriverReport;

/// The driver's answer, as it is written to a snapshot and replayed elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "with the feature and without it, only some answers are given")]
#[allow(clippy::enum_variant_names, reason = "the opposite of the enum's name")]
pub(in crate::source) enum DriverAnswer {
    /// The driver's report.
    #[serde(rename = "seen")]
    Reported(Box<DriverReport>),
    /// The reason why there is no driver, as on any machine without GPUs.
    Absent(String),
    /// The reason why the driver did not answer.
    Failed(String),
    /// This build has no calls to the driver.
    NotAsked,
}

/// The reason why there is no report.
pub(super) enum DriverError {
    /// There is no driver.
    Absent(String),
    /// The driver did not answer.
    Failed(String),
    /// This build has no calls to the driver.
    NotAsked,
}

#[cfg(feature = "nvml")]
impl DriverError {
    /// Returns the error of a driver that answered nothing in time.
    fn timed_out(timeout: std::time::Duration) -> Self {
        let seconds = timeout.as_secs_f32();
        Self::Failed(format!("it did not answer within {seconds} seconds; a GPU may hang"))
    }

    /// Returns the error of a worker that ended without a result, as in a panic.
    fn broken_off() -> Self {
        Self::Failed("asking it broke off".to_owned())
    }
}

/// The facts that follow from a report.
pub(super) struct DriverFacts {
    pub(super) fragment: Fragment,
    /// The numbers by which the driver names the GPUs of which it reported the address.
    pub(super) numbers: BTreeMap<PciAddress, u32>,
    /// The numbers that it gave to other GPUs, increasing: to those that it lost, for example.
    pub(super) nameless: Vec<u32>,
    /// The PCIe links of the GPUs.
    pub(super) pcie: BTreeMap<PciAddress, Link>,
}

/// Returns the facts of an answer. It may have been read from a file, so it may hold anything.
pub(super) fn facts(answer: &DriverAnswer) -> Result<DriverFacts, DriverError> {
    match answer {
        DriverAnswer::Reported(report) => match report.check() {
            Ok(()) => Ok(fragment::facts(report)),
            Err(why) => Err(DriverError::Failed(format!("its answer is damaged: {why}"))),
        },
        DriverAnswer::Absent(why) => Err(DriverError::Absent(clip(why))),
        DriverAnswer::Failed(why) => Err(DriverError::Failed(clip(why))),
        DriverAnswer::NotAsked => Err(DriverError::NotAsked),
    }
}

impl DriverAnswer {
    /// Adds the counters of NVLinks to a report.
    #[cfg(feature = "snapshot")]
    pub(in crate::source) fn with_counters(mut self, counters: Vec<NvLinkCounters>) -> Self {
        if let Self::Reported(report) = &mut self {
            report.counters = counters;
        }
        self
    }

    /// Returns the counters of NVLinks, with the UUIDs of the GPUs.
    #[cfg(feature = "snapshot")]
    pub(in crate::source) fn counters(&self) -> Vec<NvLinkCounters> {
        let Self::Reported(report) = self else { return Vec::new() };
        let uuids: BTreeMap<u32, _> =
            report.gpus.iter().filter_map(|gpu| Some((gpu.index, gpu.uuid.as_ref()?.0))).collect();
        let with_uuid = |own: &NvLinkCounters| NvLinkCounters { uuid: uuids.get(&own.gpu).copied(), ..*own };
        report.counters.iter().map(with_uuid).collect()
    }
}

/// Shortens a text for people, which no driver makes longer than the limit.
fn clip(text: &str) -> String {
    text.chars().take(report::MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopologyBuilder;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Result<DriverAnswer, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn damage(text: &str) -> String {
        match facts(&read(text).unwrap()) {
            Err(DriverError::Failed(why)) => why,
            _ => panic!("{text} passed"),
        }
    }

    #[test]
    fn answers_are_written_and_read_again() {
        for text in [
            r#"{"absent":"no driver"}"#,
            r#"{"failed":"it hung"}"#,
            r#""not_asked""#,
            r#"{"seen":{"gpus":[{"index":3,"address":"0000:1b:00.0","cpus":"0-3,8"}],"paths":[],"lost":[7]}}"#,
        ] {
            let once = serde_json::to_string(&read(text).unwrap()).unwrap();
            assert_eq!(once, serde_json::to_string(&read(&once).unwrap()).unwrap());
        }
        let Ok(facts) = facts(&read(r#"{"seen":{"gpus":[{"cpus":"0-3,8","later":1}]}}"#).unwrap()) else {
            panic!("a GPU is enough");
        };
        let gpu = facts.fragment.nodes.iter().find_map(|node| node.kind.as_gpu()).unwrap();
        assert_eq!(gpu.cpus.known().unwrap().to_string(), "0-3,8");
    }

    #[cfg(feature = "snapshot")]
    #[test]
    fn counters_are_written_and_read_again() {
        let uuid = "GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab";
        let answer = read(&format!(r#"{{"seen":{{"gpus":[{{"index":3,"uuid":"{uuid}"}}]}}}}"#)).unwrap();
        assert_eq!(answer.counters(), []);
        assert!(!serde_json::to_string(&answer).unwrap().contains("counters"), "plain answers have none");
        let own = NvLinkCounters { gpu: 3, link: 17, replays: Some(5), ..NvLinkCounters::default() };
        let text = serde_json::to_string(&answer.with_counters(vec![own])).unwrap();
        let expected = NvLinkCounters { uuid: Some(uuid.parse().unwrap()), ..own };
        assert_eq!(read(&text).unwrap().counters(), [expected]);
        let many = "{},".repeat(1024 * 64);
        assert!(read(&format!(r#"{{"seen":{{"counters":[{many}{{}}]}}}}"#)).is_err());
        assert_eq!(read(r#"{"absent":"x"}"#).unwrap().with_counters(vec![own]).counters(), []);
    }

    #[test]
    fn damage_is_an_error() {
        for (text, why) in [
            (r#"{"seen":{"lost":[1024]}}"#, "it has a GPU1024"),
            (r#"{"seen":{"gpus":[{"index":1}],"lost":[1]}}"#, "GPU1 occurs twice"),
            (r#"{"seen":{"gpus":[{}],"paths":[[0,1,"PIX"]]}}"#, "a pair of GPUs at 0 and 1"),
            (&format!(r#"{{"seen":{{"driver":"{}"}}}}"#, "x".repeat(5000)), "more than 4096 characters"),
        ] {
            assert!(damage(text).contains(why), "{}", damage(text));
        }
        let many = "{},".repeat(1024);
        assert!(read(&format!(r#"{{"seen":{{"gpus":[{many}{{}}]}}}}"#)).is_err());
    }

    #[test]
    fn a_short_text_takes_little_work() {
        let cpus = "0-65535,".repeat(100_000);
        let text = format!(r#"{{"seen":{{"gpus":[{{"cpus":"{}"}}]}}}}"#, cpus.trim_end_matches(','));
        let Ok(facts) = facts(&read(&text).unwrap()) else { panic!("a set loses no machine") };
        let gpu = facts.fragment.nodes.iter().find_map(|node| node.kind.as_gpu()).unwrap();
        assert_eq!(gpu.cpus, crate::model::Stated::Unreadable);
    }

    /// Returns a GPU with values that a sound driver would not give, or not together.
    fn gpu() -> impl Strategy<Value = Value> {
        let address = || prop::sample::select(vec!["0000:01:00.0", "0000:02:00.0", "ffff:ff:1f.7"]);
        let end = prop_oneof![
            address().prop_map(|address| json!({"gpu": address})),
            address().prop_map(|address| json!({"something": address})),
            prop::option::of(address()).prop_map(|address| json!({"switch": address})),
            Just(json!("cpu")),
            Just(json!("unknown")),
        ];
        let link = (any::<u32>(), any::<bool>(), any::<Option<u32>>(), any::<Option<u64>>(), end);
        let link = link.prop_map(|(number, up, version, speed, end)| {
            json!({"number": number, "up": up, "version": version, "speed": speed, "end": end})
        });
        let nvlinks = (any::<bool>(), prop::collection::vec(link, 0..20));
        let sets = prop::sample::select(vec![None, Some("0-3"), Some("3-0"), Some("x"), Some("0-99999999")]);
        let pcie = (any::<Option<u32>>(), any::<Option<u32>>());
        let numbers =
            (any::<Option<u32>>(), any::<[bool; 2]>(), prop::collection::vec(any::<Option<u64>>(), 0..4));
        (prop::option::of(address()), sets, pcie, numbers, nvlinks).prop_map(
            |(address, set, pcie, numbers, nvlinks)| {
                let (number, flags, speeds) = numbers;
                json!({
                    "address": address, "cpus": set, "nodes": set, "pci_device": number, "recovery": number,
                    "memory_node": {"node": 7}, "c2c": flags[0], "c2c_links": number, "c2c_up": speeds,
                    "pcie": {"max_generation": pcie.0, "width": pcie.1, "max_width": pcie.0}, "mig": flags,
                    "instances": [{"name": " MIG ", "memory": speeds.first(), "placement": [9, 9]}, {}],
                    "fabric": {"state": number.unwrap_or(3) % 5, "status": 9},
                    "nvlinks": {"unknown": nvlinks.0, "links": nvlinks.1},
                })
            },
        )
    }

    proptest! {
        #[test]
        fn no_answer_from_a_file_breaks_anything(
            gpus in prop::collection::vec(gpu(), 0..5),
            pairs in prop::collection::vec((0..5_usize, 0..5_usize, any::<Option<u32>>()), 0..5),
            lost in prop::collection::vec(0..9_u32, 0..2),
        ) {
            let mut gpus = gpus;
            for (index, gpu) in gpus.iter_mut().enumerate() {
                gpu["index"] = index.into();
            }
            let paths: Vec<Value> = pairs.iter().map(|(a, b, _)| json!([a, b, "PIX"])).collect();
            let p2p: Vec<Value> = pairs.iter().map(|(a, b, own)| json!({"a": a, "b": b, "read": own})).collect();
            let text = json!({"seen": {"gpus": gpus, "paths": paths, "p2p": p2p, "lost": lost}}).to_string();
            match facts(&read(&text).unwrap()) {
                Ok(facts) => {
                    let topology = TopologyBuilder::new().with(facts.fragment).build();
                    prop_assert!(topology.is_ok(), "{:?}", topology.err());
                }
                Err(DriverError::Failed(why)) => prop_assert!(why.contains("its answer is damaged"), "{}", why),
                _ => prop_assert!(false, "it has a report"),
            }
        }
    }
}
