//! The best GPUs for jobs of common sizes, with the reasons.

use crate::table::Table;
use nvtopo::solve::Explanation;
use nvtopo::{Placement, Request, Result, Solver, Topology};
use nvtopo_audit::{Report, Status};
use std::collections::BTreeSet;

/// The GPUs for a job of one size.
pub(crate) struct Choice {
    pub(crate) gpus: usize,
    pub(crate) answer: Result<Explanation>,
    /// The chosen GPUs that failed checks, and the best set without any that did.
    pub(crate) failed: Vec<u32>,
    pub(crate) without: Option<Placement>,
}

/// The most sizes that are answered.
const MOST_SIZES: usize = 24;

/// Chooses GPUs for jobs of some sizes: powers of two and all GPUs, unless they are given.
pub(crate) fn choices(topology: &Topology, audit: &Report, sizes: Option<&[usize]>) -> Vec<Choice> {
    let all = topology.gpus().len();
    let powers = std::iter::successors(Some(1), |size| Some(size * 2)).take_while(|size| *size < all);
    let mut sizes: Vec<usize> =
        sizes.map_or_else(|| powers.chain((all > 0).then_some(all)).collect(), <[usize]>::to_vec);
    sizes.sort_unstable();
    sizes.dedup();
    sizes.truncate(MOST_SIZES);
    let subjects: BTreeSet<&str> = audit.of_status(Status::Fail).map(|own| own.subject.as_str()).collect();
    let failed = topology.gpus().filter(|gpu| subjects.contains(gpu.name().as_str()));
    let failed: BTreeSet<u32> = failed.map(|gpu| gpu.index).collect();
    let solver = Solver::new(topology);
    let choice = |gpus: usize| {
        let answer = solver.explain(&Request::gpus(gpus));
        let chosen = answer.as_ref().map_or_else(|_| Vec::new(), |own| own.placement.gpu_indices());
        let of_chosen: Vec<u32> = chosen.into_iter().filter(|gpu| failed.contains(gpu)).collect();
        let other = Request::gpus(gpus).exclude(failed.iter().copied());
        let without = (!of_chosen.is_empty()).then(|| solver.solve(&other).ok()).flatten();
        Choice { gpus, answer, failed: of_chosen, without }
    };
    sizes.into_iter().map(choice).collect()
}

/// Returns the remarks on all choices, each once.
pub(crate) fn remarks(choices: &[Choice]) -> Vec<&str> {
    let mut told: Vec<&str> = Vec::new();
    for remark in
        choices.iter().filter_map(|own| own.answer.as_ref().ok()).flat_map(|own| own.placement.remarks())
    {
        if !told.contains(&remark.as_str()) {
            told.push(remark);
        }
    }
    told
}

/// Returns the table of the choices. `whole`: with what belongs to the GPUs.
pub(crate) fn table(choices: &[Choice], whole: bool) -> Table {
    let mut heads = vec!["GPUs", "Best set", "Reasons"];
    if whole {
        heads.extend(["CPUs", "Memory nodes", "NICs to use"]);
    }
    let mut table = Table::new(heads);
    for choice in choices {
        let size = choice.gpus.to_string();
        match &choice.answer {
            Ok(explanation) => {
                let placement = &explanation.placement;
                let mut row =
                    vec![size, names(&placement.gpu_indices()), reasons(choice, explanation).join(" ")];
                if whole {
                    let (cpus, nodes) = (placement.cpus().to_string(), placement.mems().to_string());
                    row.extend([known(cpus), known(nodes), nics(placement)]);
                }
                table.row(row);
            }
            Err(error) => table.row([size, "none".to_owned(), error.to_string()]),
        }
    }
    table
}

/// Returns the names of GPUs: one by one where they are few.
fn names(indices: &[u32]) -> String {
    const FEW: usize = 8;
    if indices.len() > FEW {
        let set: nvtopo::NodeSet = indices.iter().copied().collect();
        return format!("GPU{set}");
    }
    indices.iter().map(|index| format!("GPU{index}")).collect::<Vec<_>>().join(" ")
}

/// Returns the reasons in sentences: why it is the best set, what first fit would lose, and what is against it.
fn reasons(choice: &Choice, explanation: &Explanation) -> Vec<String> {
    let placement = &explanation.placement;
    let mut reasons = vec![placement.why().to_owned()];
    if let Some(first) = &explanation.first_fit {
        let set = names(&first.gpu_indices);
        reasons.extend(first.loss.map(|loss| format!("First fit would take {set} ({loss}).")));
    }
    if !choice.failed.is_empty() {
        let without = choice.without.as_ref().map(|own| names(&own.gpu_indices()));
        let without =
            without.map_or_else(|| "there is no set".to_owned(), |names| format!("the best set is {names}"));
        reasons.push(format!("{} failed checks; without such GPUs {without}.", names(&choice.failed)));
    }
    reasons
}

fn nics(placement: &Placement) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in placement.gpus().iter().filter_map(|gpu| gpu.nic.as_deref()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { "none known".to_owned() } else { names.join(" ") }
}

fn known(text: String) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text }
}
