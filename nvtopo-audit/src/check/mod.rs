//! The registry of checks. A theme is a file with its checks as values; a new check is a value in one of them.

mod direct_nic;
mod drift;
mod fabric;
mod fabric_manager;
mod inventory;
mod isolation;
mod kernel;
pub(crate) mod kubernetes;
mod link_losses;
mod locality;
mod mtu;
mod nvlink;
mod nvlink_errors;
pub(crate) mod pcie;
mod rdma;
pub(crate) mod roce;
mod security;

use crate::audit::names_check;
use crate::evidence::Evidence;
use crate::finding::{Severity, Verdicts};
use nvtopo::{Error, Result};
use std::fmt;

/// A check: what it claims, and how it is judged.
#[non_exhaustive]
pub struct Check {
    /// The name by which programs and people know it, such as `nvlink-links-active`. It never changes.
    pub code: &'static str,
    /// The subject area.
    pub theme: Theme,
    /// The weight of a failure for jobs.
    pub severity: Severity,
    /// The claim: a sentence that holds of a sound machine.
    pub claim: &'static str,
    /// The evidence that is read.
    pub evidence: &'static str,
    /// When it passes, warns, fails, or is unknown.
    pub rule: &'static str,
    /// The remedy of a failure.
    pub remedy: &'static str,
    /// Where the rule comes from.
    pub source: &'static str,
    pub(crate) run: fn(&Evidence<'_>, &mut Verdicts),
}

/// The subject area of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Theme {
    /// NVLinks of GPUs.
    Nvlink,
    /// The NVLink fabric of NVSwitches, and its manager.
    Fabric,
    /// PCIe links of GPUs and network adapters.
    Pcie,
    /// NUMA nodes and CPUs near GPUs, and the network adapter of each GPU.
    Locality,
    /// Access control services, IOMMU, `GPUDirect` RDMA, and what keeps tenants apart.
    Isolation,
    /// Ports of RDMA devices.
    Rdma,
    /// The largest packets of network interfaces.
    Mtu,
    /// RDMA over Ethernet.
    Roce,
    /// The kernel's settings of CPUs and memory.
    Kernel,
    /// The kubelet's settings and state, and the labels of the node.
    Kubernetes,
    /// Who may take GPUs, and modules and options of the driver.
    Security,
    /// The devices, their firmware, and the kind of machine.
    Inventory,
    /// Differences from a baseline.
    Drift,
}

impl Theme {
    /// Every theme.
    pub const ALL: [Self; 13] = [
        Self::Nvlink,
        Self::Fabric,
        Self::Pcie,
        Self::Locality,
        Self::Isolation,
        Self::Rdma,
        Self::Mtu,
        Self::Roce,
        Self::Kernel,
        Self::Kubernetes,
        Self::Security,
        Self::Inventory,
        Self::Drift,
    ];

    /// The word in options and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nvlink => "nvlink",
            Self::Fabric => "fabric",
            Self::Pcie => "pcie",
            Self::Locality => "locality",
            Self::Isolation => "isolation",
            Self::Rdma => "rdma",
            Self::Mtu => "mtu",
            Self::Roce => "roce",
            Self::Kernel => "kernel",
            Self::Kubernetes => "kubernetes",
            Self::Security => "security",
            Self::Inventory => "inventory",
            Self::Drift => "drift",
        }
    }

    fn checks(self) -> &'static [Check] {
        match self {
            Self::Nvlink => nvlink::CHECKS,
            Self::Fabric => fabric::CHECKS,
            Self::Pcie => pcie::CHECKS,
            Self::Locality => locality::CHECKS,
            Self::Isolation => isolation::CHECKS,
            Self::Rdma => rdma::CHECKS,
            Self::Mtu => mtu::CHECKS,
            Self::Roce => roce::CHECKS,
            Self::Kernel => kernel::CHECKS,
            Self::Kubernetes => kubernetes::CHECKS,
            Self::Security => security::CHECKS,
            Self::Inventory => inventory::CHECKS,
            Self::Drift => drift::CHECKS,
        }
    }
}

/// Returns every check, in the order of themes.
///
/// ```
/// let check = nvtopo_audit::check::find("nvlink-speed").unwrap();
/// println!("{}\n{}\n{}", check.claim, check.rule, check.remedy);
/// ```
pub fn checks() -> impl Iterator<Item = &'static Check> {
    Theme::ALL.into_iter().flat_map(Theme::checks)
}

/// Returns the check of a code.
pub fn find(code: &str) -> Option<&'static Check> {
    checks().find(|check| check.code == code)
}

/// Returns the checks of a name: a code, a theme, or the begin of codes and `*`, such as `nvlink-*`.
///
/// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for a name that is no check's.
pub fn named(name: &str) -> Result<Vec<&'static Check>> {
    let own: Vec<_> = checks().filter(|check| names_check(name, check)).collect();
    if own.is_empty() { Err(no_such(name)) } else { Ok(own) }
}

/// Returns the error for a code or another name that is no check's.
pub fn no_such(name: &str) -> Error {
    let near = checks()
        .map(|check| check.code)
        .chain(Theme::ALL.map(Theme::word))
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    let advice = near.map_or_else(String::new, |near| format!("did you mean {near}?"));
    Error::request(format!("there is no check {name:?}")).help(advice)
}

impl fmt::Display for Check {
    /// Everything that there is to know of it, in lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}, {})", self.code, self.theme.word(), self.severity)?;
        let parts = [
            ("Claim", self.claim),
            ("Evidence", self.evidence),
            ("Rule", self.rule),
            ("Remedy", self.remedy),
            ("Source", self.source),
        ];
        for (name, text) in parts {
            let options = textwrap::Options::new(100).subsequent_indent("          ");
            let line = format!("{name:<10}{text}");
            for line in textwrap::wrap(&line, options) {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Check {}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("code", &self.code).finish_non_exhaustive()
    }
}
