//! `nvtopo audit`: what is wrong with a node, and how to mend it.

use super::style;
use crate::args::{AuditArgs, AuditFormat, EvidenceArgs};
use nvtopo::Result;
use nvtopo::source::{Contents, Locator};
use nvtopo_audit::{
    Audit, AuditedProcess, Baseline, Limits, Profile, Report, TextStyle, check, evidence, today,
};

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
    let limits = Limits::default().fail_on(args.fail_on.into()).max_unknown(args.max_unknown);
    let report = audited(&args.evidence, limits)?.report;
    let text = match args.format {
        AuditFormat::Text => report.to_text(TextStyle::default().width(style().width).all(args.all)),
        AuditFormat::Json => report.to_json(),
        AuditFormat::Junit => report.to_junit(),
        AuditFormat::Sarif => report.to_sarif(),
    };
    Ok((text, report.outcome().code()))
}

/// Reads the evidence and runs the checks.
pub(super) fn audited(args: &EvidenceArgs, limits: Limits) -> Result<Audited> {
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
        std::thread::sleep(time);
        earlier = Some(std::mem::replace(&mut contents, read(&args.from)?));
    }
    let mut audit = Audit::of(&contents)
        .profile(profile)
        .process(process)
        .only(&args.only)
        .skip(&args.skip)
        .places(&args.from)
        .limits(limits)
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

/// Everything that is known of a check, or of all checks of a theme, or whose codes begin so.
fn explain(name: &str) -> Result<String> {
    let texts: Vec<String> = check::named(name)?.into_iter().map(ToString::to_string).collect();
    Ok(texts.join("\n"))
}
