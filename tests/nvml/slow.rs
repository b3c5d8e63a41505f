//! GPUs and pairs that are slow, or hang: discovery waits no longer than the timeout, and no other GPU loses facts.

use super::{Machine, assert_note, assert_same, faults_noted, notes};
use nvtopo::Topology;
use std::time::{Duration, Instant};

/// Returns why each GPU cannot be used, if so.
fn unusable(topology: &Topology) -> Vec<Option<&str>> {
    topology.gpus().map(|gpu| gpu.unusable.as_deref()).collect()
}

#[test]
fn a_gpu_that_hangs_takes_nothing_with_it() {
    let machine = Machine::new("dgx-h100");
    // In all calls, so that only its number is known, or late, when it has been named.
    for fault in ["hang:5", "hang:5:nvmlDeviceGetNvLinkState"] {
        let start = Instant::now();
        let found = machine.discover(fault);
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        assert_same(&found, &machine.truth, &[5]);
        assert_note(&found, "the driver did not answer of GPU5 in time");
        assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
        assert_eq!(unusable(&found).iter().flatten().count(), 1, "{fault}");
        assert_eq!(unusable(&found)[5], Some("does not answer the driver"), "{fault}");
        let (hung, truth) = (found.gpus().nth(5).unwrap(), machine.truth.gpus().nth(5).unwrap());
        assert_eq!(hung.address, truth.address, "{fault}");
        assert_eq!(hung.uuid.is_some(), fault != "hang:5", "{fault}");
    }
}

#[test]
fn pairs_of_the_others_are_asked_of_whichever_gpu_hangs() {
    let machine = Machine::new("hgx-a100-4");
    // Behind the last GPU nothing but pairs is left to be asked of.
    for gpu in [0, 3] {
        let found = machine.discover_within(1000, &format!("hang:{gpu}"));
        assert_same(&found, &machine.truth, &[gpu]);
        assert_eq!(found.all_p2p().len(), 3, "GPU{gpu}");
        // With the one that hangs no pair is missed.
        assert!(!notes(&found).contains("pairs of GPUs"), "{}", notes(&found));
    }
    for other in ["lost:1", "stuck:1"] {
        let found = machine.discover_within(1000, &format!("{other},hang:3"));
        assert_eq!(found.all_p2p().len(), 1, "{other}");
        assert!(!notes(&found).contains("pairs of GPUs"), "{}", notes(&found));
    }
}

#[test]
fn several_gpus_that_hang_or_all_of_them_end_too() {
    let machine = Machine::new("hgx-a100-4");
    for (fault, hanging) in [("hang:0,hang:2", 2), ("hang:0,hang:1,hang:2,hang:3", 4)] {
        let start = Instant::now();
        let found = machine.discover_within(1000, fault);
        // The driver is asked thrice, twice of these for snapshots.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(unusable(&found).len(), 4);
        assert_eq!(unusable(&found).iter().flatten().count(), hanging, "{fault}");
    }
}

#[test]
fn gpus_that_sleep_are_waited_for() {
    let machine = Machine::new("dgx-h100");
    // All of them together take longer than the timeout.
    let slow = "slow:nvmlDeviceGetHandleByIndex:250";
    let found = machine.discover_within(1000, slow);
    assert_same(&found, &machine.truth, &[]);
    assert_eq!(faults_noted(&found), Vec::<String>::new());
    assert!(found.nvlink_known());
    let found = machine.discover_within(1000, &format!("{slow},hang:3:nvmlDeviceGetHandleByIndex"));
    assert_same(&found, &machine.truth, &[3]);
    assert_note(&found, "the driver did not answer of GPU3 in time");
    assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
    assert_eq!(unusable(&found).iter().position(Option::is_some), Some(3));
}

#[test]
fn gpus_that_were_not_asked_are_not_said_to_hang() {
    let machine = Machine::new("hgx-a100-4");
    let hang = |gpu: u32| format!("hang:{gpu}:nvmlDeviceGetHandleByIndex");
    let all = [0, 1, 2, 3].map(hang).join(",");
    let found = machine.discover_within(600, &all);
    // Time for all is out while the third is opened.
    let hangs = Some("does not answer the driver");
    assert_eq!(unusable(&found), [hangs, hangs, None, None]);
    assert_note(&found, "the driver did not answer of GPU0, GPU1 in time");
    assert_note(&found, "GPU2, GPU3: not asked in time");
    assert!(!found.nvlink_known());
    // The kernel's word stays.
    for (own, truth) in found.gpus().zip(machine.truth.gpus()) {
        assert_eq!((own.index, own.address), (truth.index, truth.address));
    }
}

#[test]
fn a_pair_that_hangs_loses_no_gpu_and_no_other_pair() {
    let machine = Machine::new("hgx-a100-4");
    for call in ["nvmlDeviceGetTopologyCommonAncestor", "nvmlDeviceGetP2PStatus"] {
        let found = machine.discover_within(1000, &format!("hang:2:{call}"));
        assert_same(&found, &machine.truth, &[]);
        let note = format!("GPU0, GPU1, GPU2: the driver did not answer {call}: it did not answer in time");
        assert_note(&found, &note);
        assert_note(&found, "the driver was not asked what 1 pairs of GPUs have in common");
        assert_eq!(found.all_p2p().len(), 3, "{call}");
        assert_eq!(unusable(&found), [None; 4]);
    }
}
