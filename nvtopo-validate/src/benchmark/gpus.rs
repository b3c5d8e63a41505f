//! Copies between GPUs, and between GPUs and the host: `nvbandwidth` and `p2pBandwidthLatencyTest`.
//!
//! Each run sees two GPUs, or one and the host, and runs alone. `nvbandwidth` is told to leave the CPUs alone, for it is bound
//! beside its GPUs already.

use crate::device::pairs;
use crate::figure::{Figure, Subject};
use crate::plan::{Job, Targets};
use crate::reading::sections::PEERS_OFF;
use crate::reading::{copies, host_copies};
use nvtopo::{Result, Topology};
use std::collections::BTreeSet;

/// The tests of `nvbandwidth` between two GPUs: writes and reads by the copy engine, of which each direction has a row.
const BETWEEN: [&str; 2] = ["device_to_device_memcpy_write_ce", "device_to_device_memcpy_read_ce"];

pub(super) fn nvbandwidth(targets: &Targets<'_>) -> Vec<Job> {
    let program = "nvbandwidth";
    let between = pairs(&targets.gpus).into_iter().map(|(a, b)| {
        targets.on_gpus(
            program,
            Subject::Path { from: a, to: b },
            &[a, b],
            &["--disableAffinity", "--testcase", BETWEEN[0], BETWEEN[1]],
        )
    });
    let host = targets.gpus.iter().map(|gpu| {
        let options =
            ["--disableAffinity", "--testcase", "host_to_device_memcpy_ce", "device_to_host_memcpy_ce"];
        targets.on_gpus(program, Subject::ToGpu(*gpu), &[*gpu], &options)
    });
    host.chain(between).collect()
}

pub(super) fn p2p_test(targets: &Targets<'_>) -> Vec<Job> {
    let job =
        |(a, b)| targets.on_gpus("p2pBandwidthLatencyTest", Subject::Path { from: a, to: b }, &[a, b], &[]);
    pairs(&targets.gpus).into_iter().map(job).collect()
}

/// Reads the copies of a job. Both directions of its pair, or of its GPU, have to be there.
pub(super) fn read(topology: &Topology, job: &Job, text: &str) -> Result<Vec<Figure>> {
    let to_host = matches!(job.subject, Subject::ToGpu(_));
    let found = if to_host {
        host_copies::read(topology, Some(&job.gpus), text)?
    } else {
        let (found, error) = copies::read(topology, Some(&job.gpus), job.program, text.as_bytes());
        error.map_or(Ok(found), Err)?
    };
    let mut figures = found.figures;
    for figure in &mut figures {
        figure.program = job.program;
    }
    let wanted = |subject: &Subject| subject.devices().iter().all(|device| job.gpus.contains(device));
    figures.retain(|figure| wanted(&figure.subject));
    if let Some(((test, subject), why)) = found.missing.iter().find(|((_, subject), _)| wanted(subject)) {
        let name = crate::figure::program_name(job.program, *test);
        return Err(nvtopo::Error::input(format!("{name}, {}: {why}", subject.name(topology))));
    }
    let of_links = figures.iter().filter(|figure| figure.test != Some(PEERS_OFF));
    let directions: BTreeSet<&Subject> = of_links.map(|figure| &figure.subject).collect();
    if directions.len() < 2 {
        let text = "the output does not hold both directions";
        return Err(nvtopo::Error::input(text).help("run the command by hand, and look at what it prints"));
    }
    Ok(figures)
}
