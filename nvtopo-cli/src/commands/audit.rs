//! `nvtopo audit`: what is wrong with a node, and how to mend it.

use super::style;
use crate::args::{AuditArgs, AuditFormat, EvidenceArgs, FailOn};
use nvtopo::source::{Contents, Locator};
use nvtopo::{Error, Result};
use nvtopo_audit::{
    Audit, AuditedProcess, Baseline, Profile, Report, Severity, Status, TextStyle, check, evidence, today,
};

/// Something failed.
const FAILED: u8 = 1;
/// More is unknown than is allowed.
const UNKNOWN: u8 = 3;

/// The verdicts, with what they were judged by.
pub(super) struct Audited {
    pub(super) contents: Contents,
    pub(super) baseline: Option<Baseline>,
    pub(super) report: Report,
}

/// Returns the report, and the exit code.
pub(crate) fn audit(args: &AuditArgs) -> Result<(String, u8)> {
    if let Some(code) = &args.explain {
        return Ok((explain(code)?, 0));
    }
    let report = audited(&args.evidence)?.report;
    let text = match args.format {
        AuditFormat::Text => report.to_text(TextStyle::default().width(style().width).all(args.all)),
        AuditFormat::Json => report.to_json(),
        AuditFormat::Junit => report.to_junit(),
        AuditFormat::Sarif => report.to_sarif(),
    };
    Ok((text, code(args, &report)))
}

/// Reads the evidence and runs the checks.
pub(super) fn audited(args: &EvidenceArgs) -> Result<Audited> {
    let profile = match &args.profile {
        Some(path) => Profile::read(path)?,
        None => Profile::default(),
    };
    let baseline = match &args.baseline {
        Some(path) => Some(Baseline::read(path)?),
        None => None,
    };
    let process = match (args.pid, &args.cgroup) {
        (Some(pid), _) => AuditedProcess::Pid(pid),
        (None, Some(path)) => AuditedProcess::Cgroup(path.clone()),
        (None, None) => AuditedProcess::Own,
    };
    let read = |from: &[Locator]| evidence(from, &profile, &process);
    let mut contents = read(&args.from)?;
    let mut earlier = None;
    if !args.since.is_empty() {
        earlier = Some(read(&args.since)?);
    } else if let Some(time) = args.wait {
        let time =
            time.try_into().map_err(|_| Error::wrong_use("time does not go back", "give --wait 10s"))?;
        std::thread::sleep(time);
        earlier = Some(std::mem::replace(&mut contents, read(&args.from)?));
    }
    let mut audit = Audit::of(&contents)
        .profile(profile)
        .process(process)
        .only(&args.only)
        .skip(&args.skip)
        .today(today());
    if let Some(baseline) = &baseline {
        audit = audit.baseline(baseline);
    }
    if let Some(earlier) = &earlier {
        audit = audit.earlier(earlier);
    }
    let report = audit.run()?;
    Ok(Audited { contents, baseline, report })
}

fn code(args: &AuditArgs, report: &Report) -> u8 {
    let failed = match args.fail_on {
        FailOn::Critical => report.failures(Severity::Critical) > 0,
        FailOn::Fail => report.worst() >= Status::Fail,
        FailOn::Warn => report.worst() >= Status::Warn,
        FailOn::Never => false,
    };
    if failed {
        return FAILED;
    }
    let is_beyond = args.max_unknown.is_some_and(|most| report.count(Status::Unknown) > most);
    if is_beyond { UNKNOWN } else { 0 }
}

/// Everything that is known of a check.
fn explain(code: &str) -> Result<String> {
    let check = check::find(code).ok_or_else(|| check::no_such(code))?;
    Ok(check.to_string())
}
