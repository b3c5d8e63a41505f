//! [`Profile`]: what a fleet expects of its nodes, and which findings it has accepted.

use crate::audit::names_check;
use crate::finding::{Finding, Status};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use nvtopo::solve::HugePageNeed;
use nvtopo::source::read_text;
use nvtopo::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::path::Path;

/// The expectations of a fleet, read from TOML. Expectations that it does not state come from the machine's own graph.
///
/// ```
/// let profile = nvtopo_audit::Profile::parse("fleet.toml", r#"
/// [expect]
/// gpus = 8
/// driver = "570.124.06"
///
/// [[waiver]]
/// check = "acs-on-p2p-path"
/// subject = "GPU3"
/// reason = "waiting for the BIOS of March"
/// expires = "2026-06-30"
/// "#)?;
/// assert_eq!(profile.expect.gpus, Some(8));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Profile {
    /// The expectations.
    pub expect: Expected,
    /// The accepted findings.
    #[serde(rename = "waiver")]
    pub waivers: Vec<Waiver>,
}

/// The facts that are expected of a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Expected {
    /// The number of GPUs.
    pub gpus: Option<usize>,
    /// The number of NVLinks of each GPU, from 1 to 64.
    #[serde(deserialize_with = "links")]
    pub nvlinks_per_gpu: Option<u16>,
    /// The rate of each NVLink in GB/s (1e9 bytes, one direction), from 0.1 to 10,000.
    #[serde(deserialize_with = "rate")]
    pub nvlink_rate: Option<f64>,
    /// The version of NVIDIA's driver.
    pub driver: Option<String>,
    /// True where GPUs are handed to virtual machines, so that vfio-pci holds them and ACS and the IOMMU keep them apart.
    pub passthrough: Option<bool>,
    /// True where `GDRCopy` has to be there.
    pub gdrcopy: Option<bool>,
    /// The number of virtual functions of each RDMA adapter.
    pub virtual_functions: Option<u16>,
    /// True where tenants share the node, so that they must not see each other's RDMA devices.
    pub tenants: Option<bool>,
    /// The RDMA devices of the GPUs' network, such as `mlx5_0`. Without it they follow from the machine.
    pub compute_nics: Option<Vec<String>>,
    /// RDMA devices, ports (`mlx5_0 port 2`) or interfaces that nothing is plugged into.
    pub unused_nics: Vec<String>,
    /// The rate of each RDMA port of the GPUs' network in GB/s (1e9 bytes, one direction), from 0.1 to 10,000: 50 for
    /// 400 Gb/s.
    #[serde(deserialize_with = "rate")]
    pub rdma_rate: Option<f64>,
    /// The MTU of each Ethernet interface of the GPUs' network in bytes, from 68 to 65,535.
    #[serde(deserialize_with = "mtu")]
    pub mtu: Option<u32>,
    /// Ethernet for RDMA loses no packets, by priority flow control.
    pub lossless: Option<bool>,
    /// The priority of RDMA traffic, from 0 to 7.
    #[serde(deserialize_with = "priority")]
    pub pfc_priority: Option<u8>,
    /// The names of the processes that may hold RDMA resources. Without it all may.
    pub rdma_processes: Option<Vec<String>>,
    /// True where the node belongs to a Kubernetes cluster. Without it, a node counts as one where a kubelet is seen.
    pub kubernetes: Option<bool>,
    /// The number of GPUs of the largest pod that is to start on the node.
    pub largest_pod: Option<usize>,
    /// True where pods with several containers ask for GPUs.
    pub multi_container_pods: Option<bool>,
    /// The huge pages of each NUMA node with GPUs, such as `["1GiB:16"]`.
    #[serde(deserialize_with = "huge_pages")]
    pub huge_pages: Vec<HugePageNeed>,
    /// True where all kernel modules have to be signed.
    pub signed_modules: Option<bool>,
    /// The VBIOS versions that GPUs may have; any where it is empty.
    pub vbios: Vec<String>,
    /// The firmware versions that network adapters may have; any where it is empty.
    pub nic_firmware: Vec<String>,
}

/// Reads a number between two others: with one that no machine has, a check would pass or fail for any.
fn between<'de, D: Deserializer<'de>, T: Deserialize<'de> + PartialOrd + Display + Copy>(
    deserializer: D,
    least: T,
    most: T,
    unit: &str,
) -> std::result::Result<Option<T>, D::Error> {
    let number = T::deserialize(deserializer)?;
    if number >= least && number <= most {
        return Ok(Some(number));
    }
    let text = format!("{number} is not between {least} and {most}{unit}");
    Err(serde::de::Error::custom(text))
}

fn links<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u16>, D::Error> {
    between(deserializer, 1, 64, " NVLinks")
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<f64>, D::Error> {
    between(deserializer, 0.1, 10_000.0, " GB/s")
}

fn mtu<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u32>, D::Error> {
    between(deserializer, 68, 65_535, " bytes")
}

fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u8>, D::Error> {
    between(deserializer, 0, 7, "")
}

/// Reads huge pages such as `1GiB:16`.
fn huge_pages<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<HugePageNeed>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let needs = texts
        .iter()
        .map(|text| text.parse().map_err(|error: Error| serde::de::Error::custom(error.message())));
    needs.collect()
}

/// A finding that is accepted, until a date.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Waiver {
    /// The check: its code, its theme, or the begin of its code and `*`.
    pub check: String,
    /// The subject, such as `GPU3`; all of them without it.
    #[serde(default)]
    pub subject: Option<String>,
    /// The reason.
    pub reason: String,
    /// The person or team that answers for it.
    #[serde(default)]
    pub owner: Option<String>,
    /// The last day on which it holds, such as `2026-06-30`; for ever without it.
    #[serde(default, deserialize_with = "last_day")]
    pub expires: Option<String>,
}

/// Reads a date, with its place in the file for an error.
fn last_day<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<String>, D::Error> {
    let last = match toml::Value::deserialize(from)? {
        toml::Value::String(text) => text,
        toml::Value::Datetime(day) => day.to_string(),
        other => {
            return Err(D::Error::custom(format!(
                "a waiver is to expire on {}, {NO_DATE}",
                other.type_str()
            )));
        }
    };
    match date(&last) {
        Some(_) => Ok(Some(last)),
        None => Err(D::Error::custom(format!("a waiver expires on {last:?}, {NO_DATE}"))),
    }
}

/// The end of a message on a text that is no date.
const NO_DATE: &str = "which is no date such as \"2026-06-30\"";

impl Waiver {
    /// Creates a waiver of a check, a theme, or the begin of codes and `*`: of all subjects, for ever.
    #[must_use]
    pub fn new(check: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { check: check.into(), subject: None, reason: reason.into(), owner: None, expires: None }
    }

    /// Sets the only subject that is accepted, such as `GPU3`.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets the person or team that answers for it.
    #[must_use]
    pub fn with_owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Sets the last day on which it holds, such as `2026-06-30`.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for what is no date.
    ///
    /// ```
    /// use nvtopo_audit::{Profile, Waiver};
    ///
    /// let waiver = Waiver::new("acs-on-p2p-path", "waiting for the BIOS of March").with_subject("GPU3");
    /// let mut profile = Profile::default();
    /// profile.waivers.push(waiver.with_expiry("2026-06-30")?);
    /// assert!(Waiver::new("pcie-*", "a day that never comes").with_expiry("2026-02-31").is_err());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn with_expiry(mut self, date: impl Into<String>) -> Result<Self> {
        let last = date.into();
        if self::date(&last).is_none() {
            return Err(Error::input(format!("the waiver of {} expires on {last:?}, {NO_DATE}", self.check)));
        }
        self.expires = Some(last);
        Ok(self)
    }
}

impl Profile {
    /// Reads a profile. Messages call it by `name`.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) and the line for text that is no TOML, for keys that
    /// are not known, for dates that are none, and for numbers that no machine has.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let byte = error.span().map_or(0, |span| span.start);
            Error::input(error.message().to_owned()).in_input(name).at_byte(text, byte)
        })
    }

    /// Reads a profile's file.
    ///
    /// Errors are those of [`parse`](Self::parse), and those of reading a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// Returns the waiver that accepts a finding. `None`: it is not accepted.
    pub(crate) fn waiver(&self, finding: &Finding, today: Option<&str>) -> Option<&Waiver> {
        self.waivers.iter().find(|waiver| waiver.holds(today) && waiver.covers(finding))
    }
}

impl Waiver {
    /// Returns whether it has not expired. Without the date of today those that expire do not hold.
    fn holds(&self, today: Option<&str>) -> bool {
        self.expires.as_ref().is_none_or(|last| {
            let (last, today) = (date(last), today.and_then(date));
            last.zip(today).is_some_and(|(last, today)| today <= last)
        })
    }

    /// Returns whether it accepts a finding, as long as it holds.
    fn covers(&self, finding: &Finding) -> bool {
        matches!(finding.status, Status::Fail | Status::Warn)
            && names_check(&self.check, finding.check)
            && self.subject.as_ref().is_none_or(|own| *own == finding.subject)
    }

    /// Returns why it accepts none of the findings. `None`: it accepts some, or its checks did not run.
    pub(crate) fn idle(&self, findings: &[Finding], today: Option<&str>) -> Option<String> {
        if findings.iter().any(|finding| finding.waived.as_ref() == Some(self))
            || !findings.iter().any(|finding| names_check(&self.check, finding.check))
        {
            return None;
        }
        let of = self.subject.as_ref().map_or_else(String::new, |subject| format!(" for {subject}"));
        let name = format!("the waiver of {}{of}", self.check);
        let covered = findings.iter().filter(|finding| self.covers(finding)).count();
        Some(match (&self.expires, today) {
            (Some(last), Some(_)) if !self.holds(today) => match covered {
                0 => format!("{name} expired on {last}; there is nothing left that it would accept"),
                1 => format!("{name} expired on {last}; 1 finding that it accepted counts again"),
                _ => format!("{name} expired on {last}; {covered} findings that it accepted count again"),
            },
            (Some(last), None) => format!("{name} holds until {last}, and the date of today was not given"),
            _ => format!(
                "{name} accepts nothing: nothing of it fails or warns here, or another waiver comes first"
            ),
        })
    }

    /// Returns the reason, with the owner and the last day where they are told.
    pub fn words(&self) -> String {
        let owner = self.owner.as_ref().map_or_else(String::new, |owner| format!(", by {owner}"));
        let until = self.expires.as_ref().map_or_else(String::new, |last| format!(", until {last}"));
        format!("{}{owner}{until}", self.reason)
    }
}

/// Reads a date such as `2026-06-30`. `None`: the text has another form, or there is no such day.
fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|date: &Date| date.to_string() == text)
}

/// Returns the begin of a date such as `2026-03-31` in UTC, or a time such as `2026-03-31T12:00:00Z`, in seconds since 1970.
/// `None`: the text is neither.
pub(crate) fn seconds_of(text: &str) -> Option<i64> {
    let begin = || Some(date(text)?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    text.parse::<Timestamp>().ok().or_else(begin).map(Timestamp::as_second)
}

/// Returns the date of today, such as `2026-03-31`, in UTC: so waivers end at one moment on all nodes of a fleet, in audits and
/// in metrics, whatever time zone a host or a container has.
pub fn today() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).date().to_string()
}
