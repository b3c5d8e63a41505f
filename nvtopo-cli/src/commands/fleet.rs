//! `nvtopo baseline` and `nvtopo fleet`: a node as it was accepted, and many nodes beside each other.

use super::progress_bar;
use crate::args::{BaselineArgs, FleetArgs, FleetFormat};
use crate::output::remark;
use nvtopo::{Result, save_file};
use nvtopo_audit::{AuditedProcess, Baseline, Fleet, FleetOptions, Profile, evidence, today};
use std::path::Path;

/// Returns the text to print.
pub(crate) fn baseline(args: &BaselineArgs) -> Result<String> {
    let contents = evidence(&args.from, &Profile::default(), &AuditedProcess::Own)?;
    let baseline = Baseline::of(&contents).with_date(today());
    let text = baseline.to_json()?;
    if args.output == Path::new("-") {
        return Ok(text);
    }
    save_file(&args.output, text.as_bytes())?;
    remark(&format!("wrote {}, structure {}", args.output.display(), baseline.structure()));
    Ok(String::new())
}

/// Returns the text to print.
pub(crate) fn fleet(args: &FleetArgs) -> Result<String> {
    let now = u64::try_from(jiff::Timestamp::now().as_second()).ok();
    let options = FleetOptions::default().redact(args.redact).threads(args.threads).now(now);
    let bar = progress_bar();
    let fleet = Fleet::read(&args.folder, &options, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let fleet = fleet?;
    for (name, error) in fleet.unreadable().iter().filter(|_| args.format != FleetFormat::Text) {
        remark(&format!("{name} was left out: {}", error.message()));
    }
    match args.format {
        FleetFormat::Text => Ok(fleet.to_text()),
        FleetFormat::Json => Ok(fleet.to_json()),
        FleetFormat::Csv => fleet.to_csv(),
        FleetFormat::Jsonl => Ok(fleet.to_jsonl()),
        FleetFormat::Cyclonedx => Ok(fleet.to_cyclonedx()),
    }
}
