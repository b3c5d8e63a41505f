//! The common part of `exec` and `run`: what a process gets, the variables that go with it, and what is said of it.

use super::{open_with, request, rules};
use crate::args::BindArgs;
use nvtopo::apply::{
    BindOptions, Bound, Scope, Threads, Trust, allowed_cpus, check_machine, environment, export_remarks,
    thread_remark,
};
use nvtopo::solve::VisibleDevice;
use nvtopo::{CpuRules, LocalRank, Part, Placement, Plan, Result, Topology, VisibleGpus, printable};
use std::ffi::OsString;

pub(super) type Variables = Vec<(&'static str, String)>;

pub(super) fn variable(name: &str) -> Option<String> {
    // What is not UTF-8 is set all the same.
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The GPUs and CPUs that the processes of a job are dealt out of.
pub(super) struct Resources {
    pub(super) topology: Topology,
    /// The GPUs of the job.
    pub(super) visible: VisibleGpus,
    /// The GPUs among which they were chosen.
    given: VisibleGpus,
    rules: CpuRules,
    /// True where they are fewer than those that the process sees, so that the command must be told.
    narrowed: bool,
    /// The line that reports the chosen GPUs, where GPUs were chosen.
    chosen: Option<(Placement, Vec<String>)>,
}

impl Resources {
    /// For one process, which is `launched` where it is one of several ranks that each work this out alone.
    pub(super) fn of_process(args: &BindArgs, launched: bool) -> Result<Self> {
        // Ranks that were bound narrowly, each elsewhere, must come to the same GPUs.
        let choose_by = if launched { Scope::Cpuset } else { args.rules.scope };
        Self::new(args, choose_by)
    }

    /// For all ranks of a job, which see the same GPUs.
    pub(super) fn of_job(args: &BindArgs) -> Result<Self> {
        let mut resources = Self::new(args, args.rules.scope)?;
        resources.visible.same_for_all = true;
        resources.given.same_for_all = true;
        Ok(resources)
    }

    fn new(args: &BindArgs, choose_by: Scope) -> Result<Self> {
        let topology = open_with(&args.source, &args.rates)?;
        // Before anything is chosen: a wrong machine is the more useful complaint.
        check_machine(&topology, trust(args))?;
        let visible = VisibleGpus::from_environment(&topology, variable);
        let rules = rules(&args.rules, &topology, Some(allowed_cpus(args.rules.scope)?));
        let rules = CpuRules { layout: args.layout.layout(), ..rules };
        let given = visible.clone();
        let resources = Self { topology, visible, given, rules, narrowed: false, chosen: None };
        let narrows = args.choice.only.is_some() || !args.choice.exclude.is_empty();
        match args.gpus {
            Some(count) => resources.choose(count, args, choose_by),
            None if narrows => resources.narrow(args),
            None => Ok(resources),
        }
    }

    /// The visible GPUs that may be used.
    fn narrow(self, args: &BindArgs) -> Result<Self> {
        let (only, exclude) = (args.choice.only(), args.choice.exclude());
        let visible = self.visible.narrowed(&self.topology, only.as_deref(), &exclude)?;
        // Names that CUDA needs are missed here, and not when a rank starts.
        visible.cuda_environment(&self.topology)?;
        Ok(Self { visible, narrowed: true, ..self })
    }

    /// Places as many GPUs as the options ask for.
    fn choose(self, count: usize, args: &BindArgs, choose_by: Scope) -> Result<Self> {
        let mut request = request(count, &args.choice, &self.rules.limits)?;
        request = request.allowed_cpus(allowed_cpus(choose_by)?);
        // What a scheduler has given is all that may be chosen from.
        request = request.visible(&self.visible);
        let placement = request.solve(&self.topology)?;
        let devices = placement.gpus().iter().map(|gpu| VisibleDevice { gpu: gpu.position, instance: None });
        let shown = VisibleGpus { devices: devices.collect(), ..VisibleGpus::default() };
        // What was chosen from more is what every rank has chosen; a launcher may show each rank its own GPUs.
        let same_for_all = shown.devices.len() < self.visible.devices.len();
        let shown = VisibleGpus { same_for_all, ..shown };
        let remarks = placement.remarks().to_vec();
        Ok(Self { visible: shown, chosen: Some((placement, remarks)), ..self })
    }

    /// The number of ranks where nobody says so.
    pub(super) fn ranks(&self) -> Result<usize> {
        self.rules.layout.ranks_for(&self.visible)
    }

    /// The plan for so many ranks.
    pub(super) fn plan(&self, ranks: usize) -> Result<Plan> {
        Plan::new(&self.topology, &self.visible, ranks, &self.rules)
    }

    /// The part of one process, and the variables that go with it.
    pub(super) fn part(&self, rank: Option<LocalRank>, args: &BindArgs) -> Result<(Part, Variables)> {
        let mut part = match &self.chosen {
            // What was asked for beside the GPUs is in the placement, and in no share.
            Some((placement, _)) if args.choice.needs.any() => {
                Part::of_placement_by(placement, rank, &self.rules.layout)?
                    .within(self.rules.limits.allowed.as_ref())?
            }
            _ => Part::of_visible_by(&self.topology, &self.visible, rank, &self.rules)?,
        };
        if args.require_binding {
            part.require_cpus()?;
        }
        let given = self.given.clone().seen_by_rank(&self.topology, rank, &self.rules.layout);
        let visible = VisibleGpus { differs_by_rank: given.differs_by_rank, ..self.visible.clone() };
        let mut variables = environment(&self.topology, &visible, &part, &args.export, variable);
        part.remarks.extend(export_remarks(&self.topology, &visible, &args.export));
        part.remarks.extend(thread_remark(&part, &args.export));
        if self.narrowed {
            variables.retain(|(name, _)| !name.starts_with("CUDA_"));
            variables.extend(self.visible.cuda_environment(&self.topology).unwrap_or_default());
        }
        if let Some((placement, remarks)) = &self.chosen {
            for remark in remarks {
                if !part.remarks.contains(remark) {
                    part.remarks.push(remark.clone());
                }
            }
            variables.retain(|(name, _)| !name.starts_with("CUDA_"));
            variables.extend(placement.cuda_environment());
        }
        Ok((part, variables))
    }
}

/// The binding of a process before it becomes the command.
pub(super) fn options(args: &BindArgs) -> BindOptions {
    BindOptions::default().with_threads(Threads::Calling).with_memory(args.memory.0).with_trust(trust(args))
}

fn trust(args: &BindArgs) -> Trust {
    if args.trust_topology { Trust::Unknown } else { Trust::ThisMachine }
}

/// The account of what would be done.
pub(super) fn account(part: &Part, variables: &Variables, args: &BindArgs, command: &[OsString]) -> String {
    let or_as_before = |text: String| if text.is_empty() { "as before".to_owned() } else { text };
    let mut lines = vec![
        format!("cpus: {}", or_as_before(part.cpus.to_string())),
        format!("memory: {}", memory(args, part)),
    ];
    lines.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
    let command: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    lines.push(format!("command: {}", command.join(" ")));
    let lines: Vec<_> = lines.iter().map(|line| printable(line)).collect();
    lines.join("\n") + "\n"
}

fn memory(args: &BindArgs, part: &Part) -> String {
    match args.memory.0 {
        Some(policy) if !part.mems.is_empty() => format!("{policy}, nodes {}", part.mems),
        _ => "as before".to_owned(),
    }
}

/// The report of what was done, in one line.
pub(super) fn done(bound: &Bound, rank: Option<LocalRank>) -> String {
    let who = match rank {
        Some(LocalRank { rank, size: Some(size) }) => format!("rank {rank} of {size}"),
        Some(LocalRank { rank, size: None }) => format!("rank {rank}"),
        None => "this process".to_owned(),
    };
    let gpus: Vec<String> = bound.gpus.iter().map(|gpu| format!("GPU{gpu}")).collect();
    let beside = if gpus.is_empty() { "no GPU".to_owned() } else { gpus.join(",") };
    let memory = match (&bound.memory, &bound.mems) {
        (Some(policy), Some(nodes)) => format!("memory {policy} of nodes {nodes}"),
        (Some(policy), None) => format!("memory {policy}"),
        _ => "memory as before".to_owned(),
    };
    format!("{who} beside {beside} on CPUs {} (before {}), {memory}", bound.after, bound.before)
}
