//! Placements, CPU shares and the list of presets.

use super::{Style, bold, dim, head, lines, path_cell, table};
use crate::words;
use comfy_table::Cell;
use nvtopo::NodeSet;
use nvtopo::Topology;
use nvtopo::diff::{Change, ChangeKind, Diff};
use nvtopo::printable;
use nvtopo::render::{exact_bytes, runs};
use nvtopo::solve::mig::InstancePlacement;
use nvtopo::solve::{Alternative, Explanation};
use nvtopo::source::PRESETS;
use nvtopo::{Part, PlacedGpu, Placement, Plan, Proof, Score, Shares};
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) fn placement(placement: &Placement, style: Style) -> String {
    let names: Vec<String> = placement.gpus().iter().map(|gpu| format!("GPU{}", gpu.index)).collect();
    let mut out = format!("{}\n{}\n\n", bold(&names.join(" "), style), placement.why());
    for unmet in placement.unmet() {
        let _ = writeln!(out, "{}", dim(&format!("not {unmet}"), style));
    }
    if let Some(preference) = placement.preference() {
        let _ = writeln!(out, "It meets {preference}.");
    }
    if placement.preference().is_some() || !placement.unmet().is_empty() {
        out += "\n";
    }
    let mut table = table(style);
    table.set_header(["", "CPUs", "memory node", "nearest NICs", "NIC to use"].map(head));
    for gpu in placement.gpus() {
        let near = gpu.nic_path.map(|path| format!("{} {}", path.word(), gpu.nics.join(" ")));
        table.add_row([
            head(format!("GPU{}", gpu.index)),
            Cell::new(&gpu.cpus),
            Cell::new(memory(gpu)),
            path_cell(near.unwrap_or_else(|| "none known".to_owned()), gpu.nic_path, false),
            Cell::new(nic_to_use(gpu)),
        ]);
    }
    out += &lines(table);
    out += "\n";
    for score in placement.scores() {
        let bound = match (placement.is_optimal(), score.bound) {
            (false, Some(bound)) => format!(" (at most {bound} is possible)"),
            _ => String::new(),
        };
        let _ = writeln!(out, "{:>10}  {}{bound}", score.objective, score_text(placement, score));
    }
    let proof = match placement.proof() {
        Proof::Exhaustive { steps } => {
            format!("optimal: every set was examined or excluded, in {steps} steps")
        }
        Proof::Bound { steps } => format!("not proven optimal: the search was stopped after {steps} steps"),
        _ => "proof of a kind that this version does not know".to_owned(),
    };
    // Remarks to act on stand before the proof.
    out += &remarks(placement.remarks(), style);
    let _ = writeln!(out, "{}", dim(&proof, style));
    out
}

/// Returns the value of an objective; a single GPU exchanges no data.
pub(crate) fn score_text(placement: &Placement, score: &Score) -> String {
    const BETWEEN: [&str; 5] = ["ring", "tree", "all-to-all", "min-pair", "pair-sum"];
    if placement.gpus().len() < 2 && BETWEEN.contains(&score.objective) {
        return "none, of one GPU".to_owned();
    }
    score.to_string()
}

/// Returns the NIC of a GPU, and the GPUs that share it.
fn nic_to_use(gpu: &PlacedGpu) -> String {
    let Some(nic) = &gpu.nic else { return "none known".to_owned() };
    if gpu.nic_shared_with.is_empty() {
        return nic.clone();
    }
    let others: NodeSet = gpu.nic_shared_with.iter().copied().collect();
    format!("{nic}, shared with GPU{others}")
}

/// Returns the memory nodes, or the amounts on each where a job requests memory.
fn memory(gpu: &PlacedGpu) -> String {
    let memory = gpu.memory.iter().flatten();
    let pages = gpu.huge_pages.iter().flatten();
    let given: Vec<String> = memory
        .map(|given| format!("{}: {}", given.node, exact_bytes(given.bytes)))
        .chain(
            pages
                .map(|given| format!("{}: {} pages of {}", given.node, given.count, exact_bytes(given.size))),
        )
        .collect();
    if given.is_empty() { or_unknown(gpu.mems.to_string()) } else { given.join(", ") }
}

pub(super) fn explanation(explanation: &Explanation, style: Style) -> String {
    let mut out = placement(&explanation.placement, style) + "\n";
    let alternative = |name: &str, other: &Alternative| {
        let gpus: Vec<String> = other.gpu_indices.iter().map(|index| format!("GPU{index}")).collect();
        format!("{name:>10}  {}: {}\n", gpus.join(" "), other.why())
    };
    match &explanation.next {
        Some(next) => out += &alternative("next best", next),
        None => out += " next best  there is no other set\n",
    }
    if let Some(first_fit) = &explanation.first_fit {
        out += &alternative("first fit", first_fit);
    }
    out
}

pub(super) fn instance(topology: &Topology, placement: &InstancePlacement, style: Style) -> String {
    let InstancePlacement { gpu, start, size, slices, .. } = placement;
    let slice = |number: &u32| if *number == 1 { "slice" } else { "slices" };
    let mut out = format!(
        "{}\nan instance of {slices} compute {} and {size} memory {} begins at memory slice {start} there: nowhere does it block \
         less of what may come next\n",
        bold(&words::name(topology, *gpu), style),
        slice(slices),
        slice(size),
    );
    if let (Some(profile), Some(own)) = (&placement.profile, topology.gpus().nth(*gpu)) {
        let make = format!("made by `nvidia-smi mig -i {} -cgi {profile}:{start} -C`", own.index);
        let _ = writeln!(out, "{}", dim(&make, style));
    }
    out
}

pub(super) fn shares(topology: &Topology, shares: &Shares, style: Style) -> String {
    let mut table = table(style);
    table.set_header(["", "CPUs", "memory node"].map(head));
    for (gpu, share) in topology.gpus().zip(&shares.gpus) {
        let mems = or_unknown(share.mems.to_string());
        table.add_row([head(gpu.name()), Cell::new(&share.cpus), Cell::new(mems)]);
    }
    lines(table) + &remarks(&shares.remarks, style)
}

pub(super) fn plan(plan: &Plan, style: Style) -> String {
    let topology = plan.topology();
    let mut table = table(style);
    table.set_header(["rank", "GPU", "CPUs", "own cores", "memory node", "NIC"].map(head));
    let names = |devices: &[usize]| {
        let names: Vec<String> = devices.iter().map(|device| words::name(topology, *device)).collect();
        if names.is_empty() { "none known".to_owned() } else { names.join(" ") }
    };
    let uses_none = |part: &Part| part.gpus.is_empty() && !part.cpus.is_empty();
    for (rank, part) in plan.parts().iter().enumerate() {
        let (gpus, nics) = if uses_none(part) {
            ("none".to_owned(), "none".to_owned())
        } else {
            (names(&part.gpus), names(&part.nics))
        };
        let cores = if part.own_cores == 0 { "shared".to_owned() } else { part.own_cores.to_string() };
        table.add_row([
            head(rank),
            Cell::new(gpus),
            Cell::new(or_unknown(part.cpus.to_string())),
            Cell::new(cores),
            Cell::new(or_unknown(part.mems.to_string())),
            Cell::new(nics),
        ]);
    }
    let how =
        if plan.parts().iter().all(uses_none) { "of ranks without GPUs" } else { plan.policy().summary() };
    let policy = dim(&format!("by the policy {}: {how}", plan.policy()), style);
    lines(table) + &remarks(plan.remarks(), style) + &policy + "\n"
}

pub(super) fn diff(diff: &Diff, style: Style) -> String {
    let mut out = String::new();
    // The same change of several parts is one line.
    let mut told: Vec<(&Change, Vec<&str>)> = Vec::new();
    let mut places = BTreeMap::new();
    for change in &diff.changes {
        let next = told.len();
        let place = match change.kind {
            ChangeKind::Fact => *places.entry((change.fact, &change.before, &change.after)).or_insert(next),
            _ => next,
        };
        if place == next {
            told.push((change, Vec::new()));
        }
        told[place].1.push(&change.part);
    }
    for (change, parts) in told {
        // Names come from the two inputs.
        let line = change.to_string();
        let rest = line.strip_prefix(&change.part).unwrap_or(&line);
        let _ = writeln!(out, "{}{}", bold(&printable(&runs(&parts)), style), printable(rest));
    }
    if diff.is_empty() {
        out.push_str("no difference\n");
    }
    let notes: Vec<String> = diff.not_compared.iter().map(|own| format!("not compared: {own}")).collect();
    out + &remarks(&notes, style)
}

pub(super) fn presets(style: Style) -> String {
    let mut table = table(style);
    for preset in PRESETS {
        table.add_row([head(preset.name), Cell::new(preset.product), Cell::new(preset.summary)]);
    }
    lines(table)
}

fn or_unknown(text: String) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text }
}

fn remarks(remarks: &[String], style: Style) -> String {
    let told = remarks.iter().filter(|_| !style.quiet);
    // A remark may echo a variable of the environment.
    told.map(|remark| dim(&printable(&format!("note · {remark}")), style) + "\n").collect()
}
