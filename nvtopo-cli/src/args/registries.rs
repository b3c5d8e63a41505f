//! Help texts and names that follow from the registries of the core.

use nvtopo::render::{LAUNCH_FORMATS, SELECTION_FORMATS};
use nvtopo::solve::CPU_POLICIES;
use nvtopo::solve::objective::{DEFAULT_OBJECTIVES, OBJECTIVES};
use nvtopo::source::WRITERS;
use nvtopo_draw::RENDERERS;
use nvtopo_simulate::POLICIES;

pub(super) fn plan_formats() -> clap::builder::PossibleValuesParser {
    let launchers = LAUNCH_FORMATS.iter().map(|format| format.name);
    RENDERERS.iter().map(|render| render.name()).chain(launchers).collect::<Vec<_>>().into()
}

pub(super) fn launch_formats() -> String {
    let lines = LAUNCH_FORMATS.iter().map(|format| format!("\n  {}: {}", format.name, format.summary));
    format!("Format of the plan: for people, for programs, or for launchers:\n{}", lines.collect::<String>())
}

pub(super) fn cpu_policies() -> String {
    let lines = CPU_POLICIES.iter().map(|policy| format!("\n  {}: {}", policy.name(), policy.summary()));
    format!("Policy by which CPUs are shared out:\n{}", lines.collect::<String>())
}

pub(super) fn objectives() -> String {
    let lines =
        OBJECTIVES.iter().map(|objective| format!("\n  {}: {}", objective.name(), objective.summary()));
    format!(
        "Objectives, most important first; the defaults break ties, in this order: {}. There are\n{}",
        DEFAULT_OBJECTIVES.iter().map(|objective| objective.name()).collect::<Vec<_>>().join(", "),
        lines.collect::<String>()
    )
}

pub(super) fn policies() -> String {
    let lines = POLICIES.iter().map(|policy| format!("\n  {}: {}", policy.name, policy.summary));
    format!(
        "Play against these policies only. There are, where no limit of the machine's size forbids it:\n{}",
        lines.collect::<String>()
    )
}

pub(super) fn place_formats() -> clap::builder::PossibleValuesParser {
    let selections = SELECTION_FORMATS.iter().map(|format| format.name);
    RENDERERS.iter().map(|render| render.name()).chain(selections).collect::<Vec<_>>().into()
}

pub(super) fn selection_formats() -> String {
    let lines = SELECTION_FORMATS.iter().map(|format| format!("\n  {}: {}", format.name, format.summary));
    format!(
        "Format of the answer: for people, for programs, or the chosen GPUs alone:\n{}",
        lines.collect::<String>()
    )
}

pub(super) fn writers() -> clap::builder::PossibleValuesParser {
    WRITERS.iter().map(|writer| writer.name).collect::<Vec<_>>().into()
}

pub(super) fn writers_help() -> String {
    let lines = WRITERS.iter().map(|writer| format!("\n  {}: {}", writer.name, writer.summary));
    format!("Format to write:\n{}", lines.collect::<String>())
}
