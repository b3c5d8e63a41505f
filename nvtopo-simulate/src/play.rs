//! The course of events: jobs arrive, are placed or turned away, and end.

use super::machine::{Machine, Set};
use super::policy::{Policy, State};
use super::{Mean, PolicyReport, Report, SizeReport, Workload};

/// The number of jobs between two calls of the progress function.
const STEP: usize = 4096;

/// The same jobs for every policy.
pub(super) struct Course<'a> {
    machine: &'a Machine<'a>,
    workload: &'a Workload,
    policies: Vec<PolicyReport>,
    /// Of the first policy: that of the others is the same.
    tally: Option<Tally>,
}

/// The counts of arrived and accepted jobs by size, and the time that GPUs were busy.
#[derive(Clone, Debug, PartialEq)]
struct Tally {
    arrived: Vec<usize>,
    accepted: Vec<usize>,
    /// Times of GPUs, until the last arrival.
    busy: f64,
    too_large: usize,
}

/// Sums over the jobs of one size.
#[derive(Clone, Copy, Default)]
struct Sums {
    jobs: usize,
    gb_per_s: f64,
    direct: f64,
    share: f64,
    nvlink: usize,
}

impl<'a> Course<'a> {
    pub(super) fn new(machine: &'a Machine<'a>, workload: &'a Workload) -> Self {
        Self { machine, workload, policies: Vec::new(), tally: None }
    }

    /// Plays all jobs against one policy.
    pub(super) fn play(
        &mut self,
        name: &'static str,
        policy: &mut dyn Policy,
        progress: &mut dyn FnMut(usize),
    ) {
        let sizes = self.machine.capacity() + 1;
        let mut tally = Tally { arrived: vec![0; sizes], accepted: vec![0; sizes], busy: 0.0, too_large: 0 };
        let mut sums = vec![Sums::default(); sizes];
        let mut running = Running { free: self.machine.all, sets: Vec::new(), ends: Vec::new() };
        let last = self.workload.jobs.last().map_or(0.0, |job| job.arrival);
        for (index, job) in self.workload.jobs.iter().enumerate() {
            if index % STEP == 0 {
                progress(index);
            }
            running.end_before(job.arrival);
            if job.gpus >= sizes {
                tally.too_large += 1;
                continue;
            }
            tally.arrived[job.gpus] += 1;
            if (running.free.count_ones() as usize) < job.gpus {
                continue;
            }
            let set = policy.choose(&State { free: running.free, running: &running.sets }, job.gpus);
            debug_assert!(set & !running.free == 0 && set.count_ones() as usize == job.gpus);
            running.start(set, job.arrival + job.service);
            tally.accepted[job.gpus] += 1;
            tally.busy += job.gpus as f64 * job.service.min(last - job.arrival);
            sums[job.gpus].add(self.machine, set);
        }
        progress(self.workload.jobs.len());
        self.policies.push(policy_report(name, &sums));
        debug_assert!(
            self.tally.as_ref().is_none_or(|first| *first == tally),
            "policies place the same jobs"
        );
        self.tally.get_or_insert(tally);
    }

    pub(super) fn report(self) -> Report {
        let gpus = self.machine.capacity();
        let jobs = self.workload.jobs.len();
        let mut report = Report {
            machine: self.machine.topology.machine().product.clone(),
            gpus,
            jobs,
            blocked: jobs,
            left_out: self.workload.left_out,
            offered: self.workload.offered(gpus),
            utilization: None,
            sizes: Vec::new(),
            policies: self.policies,
        };
        let Some(tally) = self.tally else { return report };
        let came: Vec<usize> = (1..=gpus).filter(|size| tally.arrived[*size] > 0).collect();
        report.blocked = jobs - tally.accepted.iter().sum::<usize>();
        let utilization = tally.busy / (gpus as f64 * self.workload.span());
        report.utilization = Some(utilization).filter(|part| part.is_finite());
        for policy in &mut report.policies {
            policy.by_size = came.iter().map(|size| policy.by_size[*size]).collect();
        }
        report.sizes = came
            .into_iter()
            .map(|size| SizeReport {
                gpus: size,
                jobs: tally.arrived[size],
                accepted: tally.accepted[size],
                best: self.machine.best(size),
            })
            .collect();
        report
    }
}

/// The jobs that keep GPUs.
struct Running {
    free: Set,
    /// Increasing.
    sets: Vec<Set>,
    ends: Vec<(f64, Set)>,
}

impl Running {
    fn start(&mut self, set: Set, end: f64) {
        self.free &= !set;
        self.sets.insert(self.sets.partition_point(|other| *other < set), set);
        self.ends.push((end, set));
    }

    fn end_before(&mut self, now: f64) {
        // There are few, and the order among those that have ended changes nothing.
        let (free, sets) = (&mut self.free, &mut self.sets);
        self.ends.retain(|(end, set)| {
            let goes_on = *end > now;
            if !goes_on {
                *free |= set;
                sets.retain(|other| other != set);
            }
            goes_on
        });
    }
}

impl Sums {
    fn add(&mut self, machine: &Machine<'_>, set: Set) {
        let value = machine.value(set);
        self.jobs += 1;
        self.gb_per_s += value.bandwidth.as_gb_per_s();
        self.direct += value.direct.as_gb_per_s();
        self.share += machine.share(set);
        self.nvlink += usize::from(value.nvlink);
    }

    fn and(self, other: &Self) -> Self {
        Self {
            jobs: self.jobs + other.jobs,
            gb_per_s: self.gb_per_s + other.gb_per_s,
            direct: self.direct + other.direct,
            share: self.share + other.share,
            nvlink: self.nvlink + other.nvlink,
        }
    }
}

/// By size, from 0 on.
fn policy_report(policy: &'static str, sums: &[Sums]) -> PolicyReport {
    let all = sums.iter().skip(2).fold(Sums::default(), Sums::and);
    let share =
        |(size, sums): (usize, &Sums)| (size > 1 && sums.jobs > 0).then(|| sums.share / sums.jobs as f64);
    let jobs = all.jobs as f64;
    let mean = Mean {
        gb_per_s: all.gb_per_s / jobs,
        share: all.share / jobs,
        direct_gb_per_s: all.direct / jobs,
        nvlink: all.nvlink as f64 / jobs,
    };
    PolicyReport {
        policy,
        mean: (all.jobs > 0).then_some(mean),
        by_size: sums.iter().enumerate().map(share).collect(),
    }
}
