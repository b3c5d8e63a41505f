//! Counters of NVLinks.

use super::{COUNTERS, Machine, TIMEOUT, stand_in};
use nvtopo::Result;
use nvtopo::source::{GpuProcess, NvLinkCounters};
use serde_json::{Value, json};
use std::path::Path;

/// Formats the processes as a child writes them.
pub(crate) fn processes_to_text(processes: Result<Vec<GpuProcess>>) -> String {
    json!(processes.unwrap().iter().map(|own| [own.gpu, own.pid]).collect::<Vec<_>>()).to_string()
}

/// Formats the counters as a child writes them.
pub(crate) fn to_text(counters: Result<Vec<NvLinkCounters>>) -> String {
    let one = |own: NvLinkCounters| {
        json!({
            "gpu": own.gpu,
            "uuid": own.uuid.map(|uuid| uuid.to_string()),
            "link": own.link,
            "far": own.far_link,
            "old": [own.replays, own.recoveries, own.crc_flit, own.crc_data],
            "new": [
                own.malformed_packets, own.buffer_overruns, own.receive_errors, own.remote_errors,
                own.header_errors, own.integrity_errors, own.send_discards, own.recoveries_succeeded,
                own.recoveries_failed, own.recoveries_begun,
            ],
            "bytes": [own.sent_bytes, own.received_bytes],
        })
    };
    match counters {
        Ok(counters) => Value::Array(counters.into_iter().map(one).collect()),
        Err(error) => json!({"kind": format!("{:?}", error.kind()), "text": error.to_string()}),
    }
    .to_string()
}

fn count_by(machine: &Machine, library: &Path, faults: &str) -> Value {
    serde_json::from_slice(&machine.ask(library, faults, &[(COUNTERS, "1"), (TIMEOUT, "1000")])).unwrap()
}

fn count(preset: &str, faults: &str) -> Value {
    count_by(&Machine::new(preset), &stand_in(), faults)
}

/// Returns the value of a counter of the stand-in.
fn counted(gpu: u64, link: u64, counter: u64) -> u64 {
    gpu * 100_000 + link * 1000 + counter
}

#[test]
fn each_generation_counts_its_own() {
    let nothing = |count: usize| Value::Array(vec![Value::Null; count]);
    let bytes = |gpu, link| json!([counted(gpu, link, 138) * 1024, counted(gpu, link, 139) * 1024]);
    let hopper = count("dgx-h100", "");
    assert_eq!(hopper.as_array().unwrap().len(), 8 * 18);
    let own = &hopper[18 * 3 + 5];
    assert_eq!((&own["gpu"], &own["link"]), (&json!(3), &json!(5)));
    assert_eq!(own["uuid"], "GPU-5c3ee4a8-6b1c-4c5e-8d9a-012345678903");
    assert_eq!(own["old"], json!([0, 1, 2, 3].map(|counter| counted(3, 5, counter))));
    assert_eq!(own["new"], nothing(10));
    assert_eq!(own["bytes"], bytes(3, 5));

    let blackwell = count("dgx-b200", "");
    let own = &blackwell[18 * 7 + 17];
    assert_eq!(own["old"], nothing(4));
    let new: Vec<u64> = (206..=215).map(|field| counted(7, 17, field)).collect();
    assert_eq!(own["new"], json!(new));
    assert_eq!(own["bytes"], bytes(7, 17));

    // By the other fields, which count bytes and not KiB.
    let own = &count("dgx-b200", "unsupported:field-138,unsupported:field-139")[18 * 7 + 17];
    assert_eq!(own["bytes"], json!([counted(7, 17, 202), counted(7, 17, 204)]));
    assert_eq!(count("l40s-8-pcie", ""), json!([]));
}

#[test]
fn a_gpu_that_does_not_answer_loses_only_its_own() {
    for fault in ["lost:3", "gone:3"] {
        let counters = count("dgx-h100", fault);
        assert_eq!(counters.as_array().unwrap().len(), 7 * 18, "{fault}");
    }
    let machine = Machine::new("dgx-h100");
    // In all calls, or after others of its counters were told.
    for (faults, silent) in
        [("hang:3", &[3][..]), ("hang:0:nvmlDeviceGetFieldValues,hang:7:nvmlDeviceGetUUID", &[0, 7])]
    {
        let counters = count_by(&machine, &stand_in(), faults);
        let told: Vec<u64> =
            counters.as_array().unwrap().iter().map(|own| own["gpu"].as_u64().unwrap()).collect();
        let answering = (0..8).filter(|gpu| !silent.contains(gpu));
        assert_eq!(told, answering.flat_map(|gpu| [gpu; 18]).collect::<Vec<_>>(), "{faults}");
    }
    let older = machine.older_library(&["nvmlDeviceGetNvLinkErrorCounter", "nvmlDeviceGetFieldValues"]);
    let counters = count_by(&machine, &older, "");
    assert_eq!(counters.as_array().unwrap().len(), 8 * 18);
    assert_eq!(counters[0]["bytes"], json!([null, null]));
}

#[test]
fn the_far_end_of_a_link_that_is_up_is_numbered() {
    let far = |faults: &str| -> Vec<Value> {
        count("dgx-1-v100", faults).as_array().unwrap().iter().map(|own| own["far"].clone()).collect()
    };
    let (whole, broken) = (far(""), far("down:0:0"));
    assert!(
        whole.len() == 48 && whole.iter().all(|own| own.as_u64().is_some_and(|link| link < 6)),
        "{whole:?}"
    );
    // The link is down at both of its ends.
    assert_eq!(broken.iter().filter(|own| own.is_null()).count(), 2, "{broken:?}");
    assert!(far("unsupported:field-146").iter().all(Value::is_null));
}

#[test]
fn processes_on_gpus_are_told_of_those_that_answer() {
    let machine = Machine::new("hgx-a100-4");
    let processes = |faults: &str| -> Value {
        let more = [(COUNTERS, "processes"), (TIMEOUT, "1000")];
        serde_json::from_slice(&machine.ask(&stand_in(), faults, &more)).unwrap()
    };
    assert_eq!(processes("pids:1:17+18,pids:3:17,hang:0"), json!([[1, 17], [1, 18], [3, 17]]));
    assert_eq!(processes(""), json!([]));
}

#[test]
fn where_nobody_counts_an_error_says_what_to_do() {
    let machine = Machine::new("dgx-h100");
    let error = |library: &Path, faults: &str| {
        let error = count_by(&machine, library, faults);
        (error["kind"].as_str().unwrap().to_owned(), error["text"].as_str().unwrap().to_owned())
    };
    let (kind, text) = error(Path::new("/nowhere/libnvidia-ml.so.1"), "");
    assert_eq!(kind, "Unsupported");
    assert!(
        text.contains("could not be opened") && text.contains("run this where it is installed"),
        "{text}"
    );
    assert_eq!(error(&stand_in(), "not-loaded").0, "Unsupported");
    let (kind, text) = error(&stand_in(), "mismatch");
    assert!(kind == "Io" && text.contains("of different versions"), "{kind}: {text}");
    let all: Vec<String> = (0..8).map(|gpu| format!("hang:{gpu}")).collect();
    let (kind, text) = error(&stand_in(), &all.join(","));
    assert!(kind == "Io" && text.contains("did not answer within 1 seconds"), "{kind}: {text}");
}
