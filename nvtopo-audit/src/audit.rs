//! [`Audit`]: the checks to run, and what to run them on.

use crate::baseline::{Baseline, Facts};
use crate::check::{Check, checks, named};
use crate::evidence::Evidence;
use crate::finding::{Finding, Status, Verdicts};
use crate::fleet::{board, name_of};
use crate::profile::Profile;
use crate::reading::{dcb, fabric_manager, growth, log_device, qos};
use crate::report::{Limits, Report};
use nvtopo::model::{Fragment, Provenance, TopologyBuilder};
use nvtopo::source::{Contents, Files, Locator, SavedText};
use nvtopo::{Error, Result, Topology};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The process whose allowed CPUs and memory nodes are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditedProcess {
    /// The process that read the machine.
    #[default]
    Own,
    /// The process of this number.
    Pid(u32),
    /// The processes of a control group: its path below `/sys/fs/cgroup`.
    Cgroup(PathBuf),
}

/// An audit: the checks to run, and what to run them on. See the [crate](crate)'s example.
pub struct Audit<'a> {
    contents: &'a Contents,
    earlier: Option<&'a Contents>,
    baseline: Option<&'a Baseline>,
    profile: Profile,
    process: AuditedProcess,
    only: Vec<String>,
    skip: Vec<String>,
    today: Option<String>,
    node: Option<String>,
    place: Option<String>,
    limits: Limits,
}

impl<'a> Audit<'a> {
    /// Creates an audit of a machine by all checks.
    pub fn of(contents: &'a Contents) -> Self {
        Self {
            contents,
            earlier: None,
            baseline: None,
            profile: Profile::default(),
            process: AuditedProcess::Own,
            only: Vec::new(),
            skip: Vec::new(),
            today: None,
            node: None,
            place: None,
            limits: Limits::default(),
        }
    }

    /// Sets an earlier reading of the same machine. Counters are judged by their growth since then; without it their
    /// checks are unknown.
    #[must_use]
    pub fn earlier(mut self, earlier: &'a Contents) -> Self {
        self.earlier = Some(earlier);
        self
    }

    /// Sets the accepted state of the same machine: the checks of the theme `drift` tell what changed, and expectations
    /// that neither the profile nor the board states come from it.
    #[must_use]
    pub fn baseline(mut self, baseline: &'a Baseline) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// Sets what is expected of the machine, and what is accepted.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Sets the process whose allowed CPUs and memory nodes are judged.
    #[must_use]
    pub fn process(mut self, process: AuditedProcess) -> Self {
        self.process = process;
        self
    }

    /// Runs only these checks: codes, themes, or the begin of codes and `*`, such as `nvlink-*`.
    #[must_use]
    pub fn only(mut self, checks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only.extend(checks.into_iter().map(Into::into));
        self
    }

    /// Leaves these checks out, named as in [`only`](Self::only).
    #[must_use]
    pub fn skip(mut self, checks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.skip.extend(checks.into_iter().map(Into::into));
        self
    }

    /// Sets the date of today, such as `2026-03-31`, by which waivers expire: [`today`](crate::today) tells it. Without it those
    /// that expire do not count.
    #[must_use]
    pub fn today(mut self, date: impl Into<String>) -> Self {
        self.today = Some(date.into());
        self
    }

    /// Sets the name of the node. Without it, it is the name of the host in the evidence.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(name.into());
        self
    }

    /// Sets the places that the evidence was read from. A node whose evidence tells no host is called by the first of them,
    /// such as `node17` for `node17.tar.gz`.
    #[must_use]
    pub fn places(mut self, locators: &[Locator]) -> Self {
        self.place = locators.iter().find_map(|locator| match locator {
            Locator::Path(path) => Some(name_of(path)),
            Locator::Preset(name) => Some(name.clone()),
            _ => None,
        });
        self
    }

    /// Sets the limits that make the [`Outcome`](crate::Outcome) of the report.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Runs the checks.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for a name that is no check's, and where no check is
    /// left to run.
    pub fn run(&self) -> Result<Report> {
        let mut evidence = Evidence::of(self.contents, &self.profile, &self.process);
        evidence.baseline = self.baseline;
        if let Some(earlier) = self.earlier {
            evidence.earlier = Some(Box::new(Evidence::of(earlier, &self.profile, &self.process)));
        }
        for name in
            self.only.iter().chain(&self.skip).chain(self.profile.waivers.iter().map(|own| &own.check))
        {
            named(name)?;
        }
        let is_named = |names: &[String], check: &Check| names.iter().any(|name| names_check(name, check));
        let run = checks().filter(|check| self.only.is_empty() || is_named(&self.only, check));
        let run: Vec<&Check> = run.filter(|check| !is_named(&self.skip, check)).collect();
        if run.is_empty() {
            return Err(Error::request("no check is left to run: all that are named are left out too")
                .help("name checks to run that are not among those to leave out"));
        }
        let mut findings: Vec<Finding> =
            run.into_iter().flat_map(|check| findings(check, &evidence)).collect();
        for finding in &mut findings {
            finding.waived = self.profile.waiver(finding, self.today.as_deref()).cloned();
        }
        let idle = self.profile.waivers.iter().filter_map(|own| own.idle(&findings, self.today.as_deref()));
        let remarks = self.baseline.and_then(|own| other_board(own, self.contents)).into_iter().chain(idle);
        let remarks = remarks.collect();
        let mut report = Report::new(self.contents.topology.clone(), findings, self.limits.clone());
        let node = self.node.clone().or_else(|| evidence.host());
        report.node = node.or_else(|| self.place.clone());
        report.date.clone_from(&self.today);
        report.taken = growth::taken_at(&evidence);
        report.remarks = remarks;
        Ok(report)
    }
}

/// Reads the evidence of some places for an audit with this profile and of this process. This machine is read at once, so that
/// an audit judges one moment, and a later one can judge counters by their growth since then; with it the events of GPUs and
/// `NVSwitches` in the kernel's log, which only root may read, the version of the fabric manager, and the priorities
/// with PFC of its NICs.
///
/// Errors are those of [`Topology::open`].
pub fn evidence(locators: &[Locator], profile: &Profile, process: &AuditedProcess) -> Result<Contents> {
    let look_at = |topology: &Topology, files: &Files| {
        look(&Evidence::of_files(topology, files, profile, process));
    };
    let mut contents = Contents::open_at_once(locators, look_at, is_evidence)?;
    add_told_here(locators, &mut contents, "/dev/kmsg".as_ref());
    Ok(contents)
}

/// Adds what only this machine itself tells, where it is among the places: texts that somebody would have to save elsewhere.
/// They stand before those that somebody saved.
pub(crate) fn add_told_here(locators: &[Locator], contents: &mut Contents, kernel_log: &Path) {
    if !locators.contains(&Locator::Live) {
        return;
    }
    let Contents { topology, texts, .. } = contents;
    let interfaces = topology.nics().flat_map(|nic| &nic.net_devices).map(String::as_str);
    let told = [log_device::driver_events(kernel_log), fabric_manager::told_here(), dcb::pfc(interfaces)];
    texts.splice(0..0, told.into_iter().flatten());
}

/// Returns whether a saved text that tells no topology is evidence of any check: with it alone, some check says something
/// else than without.
pub(crate) fn is_evidence(text: &SavedText) -> bool {
    static OF_NOTHING: OnceLock<(Vec<Finding>, Facts, bool)> = OnceLock::new();
    let Ok(nothing) = TopologyBuilder::new().with(Fragment::new(Provenance::SystemTool)).build() else {
        return false;
    };
    let profile = Profile::default();
    let verdicts = |texts: &[SavedText]| {
        let evidence = Evidence::of_texts(&nothing, texts, &profile);
        let facts = Facts::of(&evidence);
        (all_findings(&evidence), facts, qos::is_told(&evidence))
    };
    verdicts(std::slice::from_ref(text)) != *OF_NOTHING.get_or_init(|| verdicts(&[]))
}

/// Reads everything of a machine that any check looks at: the second reader of
/// [`Snapshot::take_with`](nvtopo::source::Snapshot::take_with), so that an audit of the snapshot gives the verdicts that
/// one of the machine gives.
pub fn record(topology: &Topology, files: &Files) {
    look(&Evidence::plain_files(topology, files));
}

/// Reads everything that any check looks at.
pub(crate) fn look(evidence: &Evidence<'_>) {
    for check in checks() {
        findings(check, evidence);
    }
    // Those of a baseline, which is made of the snapshot later, and of the report's heading.
    drop((Facts::of(evidence), evidence.host(), growth::taken(evidence)));
}

/// Runs every check.
pub(crate) fn all_findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    checks().flat_map(|check| findings(check, evidence)).collect()
}

/// The verdict of a check that says nothing. Each says itself where it does not apply.
const SILENT: &str = "no source tells anything of it";

/// Runs a check. One that says nothing had nothing to judge by.
fn findings(check: &'static Check, evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut verdicts = Verdicts::new(check);
    (check.run)(evidence, &mut verdicts);
    let mut findings = verdicts.into_findings();
    if findings.is_empty() {
        let subject = crate::evidence::NODE.to_owned();
        findings.push(Finding {
            check,
            subject,
            status: Status::Unknown,
            text: SILENT.to_owned(),
            waived: None,
        });
    }
    findings
}

/// Returns the remark that a baseline is of another kind of machine. `None`: it is not, or is not known to be.
fn other_board(baseline: &Baseline, contents: &Contents) -> Option<String> {
    let (product, model) = board(baseline.topology());
    let (own_product, own_model) = board(&contents.topology);
    let other = |was: Option<String>, is: Option<String>| was.zip(is).filter(|(was, is)| was != is);
    let (was, is) = other(product, own_product).or_else(|| other(model, own_model))?;
    Some(format!(
        "the baseline is of another kind of machine, {was}, and this one is {is}: is it that of this node?"
    ))
}

/// Returns whether a name is that of a check: its code, its theme, or the begin of its code and `*`.
pub(crate) fn names_check(name: &str, check: &Check) -> bool {
    match name.strip_suffix('*') {
        Some(begin) => check.code.starts_with(begin),
        None => name == check.code || name == check.theme.word(),
    }
}
