//! All-reduces of NVIDIA's nccl-tests, one for each NVLink group.
//!
//! Where no group has two GPUs, all of them are one group, over PCIe.

use crate::figure::{Figure, Metric, Subject};
use crate::plan::{Job, Targets};
use crate::reading::collective;
use nvtopo::{Result, Topology};

/// The smallest and the largest message. The rate of links shows with large ones.
const SIZES: [&str; 2] = ["64M", "1G"];

pub(super) fn plan(targets: &Targets<'_>) -> Vec<Job> {
    let own =
        |gpus: &[usize]| gpus.iter().copied().filter(|gpu| targets.gpus.contains(gpu)).collect::<Vec<_>>();
    let mut groups: Vec<Vec<usize>> =
        targets.topology.nvlink_groups().iter().map(|group| own(&group.gpus)).collect();
    groups.retain(|group| group.len() > 1);
    if groups.is_empty() && targets.gpus.len() > 1 {
        groups.push(targets.gpus.clone());
    }
    let job = |group: Vec<usize>| {
        let count = group.len().to_string();
        let [least, most] = SIZES;
        let options = ["-b", least, "-e", most, "-f", "2", "-g", &count];
        targets.on_gpus("all_reduce_perf", Subject::Group(group.clone()), &group, &options)
    };
    groups.into_iter().map(job).collect()
}

pub(super) fn read(_topology: &Topology, job: &Job, text: &str) -> Result<Vec<Figure>> {
    let value = collective::bus_bandwidth(text)?;
    Ok(vec![Figure::new(job.program, job.subject.clone(), Metric::Bandwidth, value)])
}
