//! [`Drift`]: how a machine differs from the accepted one.

use super::lines_that_differ;
use super::{Baseline, Facts};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, ends};
use nvtopo::Topology;
use nvtopo::diff::{Change, ChangeKind, Diff};
use nvtopo::model::Stated;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The most names in one sentence.
const MOST_LISTED: usize = 4;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal, $severity:ident;)*) => {
        /// The kind of a [`Drift`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DriftKind {
            $($(#[$doc])* $kind,)*
        }

        impl DriftKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The word in documents, such as `gpu_lost`.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$kind => $word),* }
            }

            /// The severity of a change of this kind.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$kind => Severity::$severity),* }
            }
        }
    };
}

kinds! {
    /// A GPU is gone.
    GpuLost = "gpu_lost", Critical;
    /// Another GPU is in the same place.
    GpuReplaced = "gpu_replaced", Info;
    /// A GPU is in another place, or has another number.
    GpuMoved = "gpu_moved", Warning;
    /// An NVLink is down that was up.
    NvlinkLost = "nvlink_lost", Critical;
    /// NVLinks run at another rate.
    NvlinkSpeed = "nvlink_speed", Critical;
    /// A device uses fewer PCIe lanes, or a NIC an older generation of PCIe.
    PcieDowntrained = "pcie_downtrained", Critical;
    /// A device is nearest to other NUMA nodes.
    NumaMoved = "numa_moved", Critical;
    /// A NIC is gone.
    NicLost = "nic_lost", Critical;
    /// A NIC is in another place.
    NicMoved = "nic_moved", Warning;
    /// A device or the BIOS has other firmware.
    FirmwareChanged = "firmware_changed", Warning;
    /// NVIDIA's driver has another version.
    DriverChanged = "driver_changed", Warning;
    /// The kernel has another release.
    KernelChanged = "kernel_changed", Warning;
    /// The kernel has another command line.
    KernelCmdlineChanged = "kernel_cmdline_changed", Warning;
    /// The kubelet has other settings or another version.
    KubeletChanged = "kubelet_changed", Warning;
    /// The Kubernetes node has other labels of GPUs.
    LabelMismatch = "label_mismatch", Warning;
    /// A NIC has another MTU.
    MtuChanged = "mtu_changed", Warning;
    /// Anything else differs: CPUs, memory, settings of devices.
    MachineChanged = "machine_changed", Warning;
}

impl fmt::Display for DriftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One difference from the accepted machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drift {
    /// Its kind.
    pub kind: DriftKind,
    /// The device that changed, by its name in the baseline, or `node`.
    pub subject: String,
    /// The change in one sentence.
    pub text: String,
    /// True where the baseline tells a fact that no source tells now.
    pub is_unknown: bool,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.subject, self.text)
    }
}

/// Compares a machine with the accepted one.
pub(super) fn compare(baseline: &Baseline, evidence: &Evidence<'_>) -> Vec<Drift> {
    let (before, after) = (&baseline.topology, evidence.topology);
    let diff = Diff::new(before, after);
    let mut found =
        Found { all: Vec::new(), told: BTreeSet::new(), nics: names_of_nics(before), changes: &diff.changes };
    // Where no source shows the PCI bus and no device is told, devices are not known to be gone.
    let sees_bus = !evidence.names("sys/bus/pci/devices").is_empty();
    let unseen = [
        ("GPU", before.gpus().len(), after.gpus().len(), DriftKind::GpuLost),
        ("NIC", before.nics().len(), after.nics().len(), DriftKind::NicLost),
    ];
    for (word, had, has, kind) in unseen {
        if had > 0 && has == 0 && !sees_bus {
            found.unknown(
                kind,
                NODE,
                format!("the baseline has {had} {word}s, and no source tells of any now"),
            );
        }
    }
    for change in &diff.changes {
        found.change(change);
    }
    found.generations(before, after);
    for not in diff.not_compared.iter().filter(|not| not.known_before) {
        let text = format!("only the baseline tells {} of {}", not.fact, list(&not.parts));
        found.unknown(kind_of(not.fact, &not.parts.concat()), NODE, text);
    }
    // Rates of links are in the fingerprint, and no change of a device tells them.
    if found.all.is_empty() && diff.not_compared.is_empty() {
        for line in lines_that_differ(before, after, "the baseline") {
            found.add(DriftKind::MachineChanged, NODE, line);
        }
    }
    found.facts(&baseline.facts, evidence.facts());
    let mut all = found.all;
    all.sort_by_key(|drift| (drift.kind.severity(), drift.kind));
    all
}

fn names_of_nics(topology: &Topology) -> BTreeSet<String> {
    let gpus = topology.gpus().len();
    (gpus..topology.devices().len()).map(|device| topology.device_name(device)).collect()
}

fn list(parts: &[String]) -> String {
    ends(parts, MOST_LISTED)
}

/// Returns the kind of a fact that differs or is not told.
fn kind_of(fact: &str, part: &str) -> DriftKind {
    match fact {
        "firmware" => DriftKind::FirmwareChanged,
        "driver version" | "CUDA version" => DriftKind::DriverChanged,
        "MTU" => DriftKind::MtuChanged,
        "nearest NUMA nodes" | "NUMA node of its memory" => DriftKind::NumaMoved,
        "PCIe lanes in use" => DriftKind::PcieDowntrained,
        "NVLinks in all" | "NVLinks that are down" => DriftKind::NvlinkLost,
        "serial number" if part.starts_with("GPU") => DriftKind::GpuReplaced,
        _ => DriftKind::MachineChanged,
    }
}

/// Returns the number that a text begins with.
fn leading(text: Option<&str>) -> Option<u64> {
    let text = text?;
    text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())].parse().ok()
}

struct Found<'a> {
    all: Vec<Drift>,
    /// Each kind is told once of a subject.
    told: BTreeSet<(DriftKind, String)>,
    nics: BTreeSet<String>,
    changes: &'a [Change],
}

impl Found<'_> {
    fn add(&mut self, kind: DriftKind, subject: &str, text: String) {
        // Other facts of one device are told one by one.
        if kind == DriftKind::MachineChanged || self.told.insert((kind, subject.to_owned())) {
            self.all.push(Drift { kind, subject: subject.to_owned(), text, is_unknown: false });
        }
    }

    fn unknown(&mut self, kind: DriftKind, subject: &str, text: String) {
        self.told.insert((kind, subject.to_owned()));
        self.all.push(Drift { kind, subject: subject.to_owned(), text, is_unknown: true });
    }

    fn is_unseen(&self, kind: DriftKind) -> bool {
        self.told.contains(&(kind, NODE.to_owned()))
    }

    fn change(&mut self, change: &Change) {
        let part = change.part.as_str();
        let subject = if part == "machine" { NODE } else { part };
        let (was, is) = (change.before.as_deref(), change.after.as_deref());
        let is_plural =
            ["NVLinks", "PCIe lanes", "nearest "].iter().any(|begin| change.fact.starts_with(begin));
        let (then, now) = if is_plural { ("were", "are") } else { ("was", "is") };
        let moved = format!(
            "its {} {then} {}, and {now} {}",
            change.fact,
            was.unwrap_or("none"),
            is.unwrap_or("none")
        );
        match change.kind {
            ChangeKind::Gone => {
                let kind = match change.fact {
                    "GPU" => DriftKind::GpuLost,
                    "NIC" => DriftKind::NicLost,
                    _ => DriftKind::MachineChanged,
                };
                if !self.is_unseen(kind) {
                    let was = was.map_or_else(String::new, |was| format!("; it was {was}"));
                    self.add(kind, subject, format!("it is gone{was}"));
                }
            }
            ChangeKind::Added => self.add(DriftKind::MachineChanged, subject, "it is new".to_owned()),
            ChangeKind::Replaced => self.add(DriftKind::GpuReplaced, subject, moved),
            // Buses are numbered anew at a start; a device is in another place where its paths differ.
            ChangeKind::Moved if self.has_other_paths(part) => self.add(self.moved(part), subject, moved),
            ChangeKind::Moved => {}
            ChangeKind::Swapped => {
                let text = format!("it and {} are in each other's places", list(&change.peers));
                self.add(DriftKind::GpuMoved, subject, text);
            }
            ChangeKind::Renumbered => self.add(DriftKind::GpuMoved, subject, moved),
            ChangeKind::Nvlinks if change.fact == "NVLinks" => {
                let text = format!("{moved}, to {}", list(&change.peers));
                let lost = leading(is) < leading(was);
                self.add(if lost { DriftKind::NvlinkLost } else { DriftKind::MachineChanged }, subject, text);
            }
            ChangeKind::Nvlinks => self.add(DriftKind::NvlinkSpeed, subject, moved),
            ChangeKind::Path => {
                let text = format!("{moved}, to {}", list(&change.peers));
                let nic =
                    self.nics.contains(part) || change.peers.iter().any(|peer| self.nics.contains(peer));
                let has_nvlink = [was, is].iter().flatten().any(|word| word.starts_with("NV"));
                // Lost NVLinks are told as such.
                if !has_nvlink {
                    self.add(if nic { DriftKind::NicMoved } else { DriftKind::GpuMoved }, subject, text);
                }
            }
            ChangeKind::Fact => self.fact(change, subject, moved),
            _ => self.add(DriftKind::MachineChanged, subject, format!("{moved}, to {}", list(&change.peers))),
        }
    }

    fn fact(&mut self, change: &Change, subject: &str, text: String) {
        let kind = kind_of(change.fact, &change.part);
        let (was, is) = (change.before.as_deref(), change.after.as_deref());
        let numbers = (leading(was), leading(is));
        let kind = match change.fact {
            "NVLinks in all" if numbers.0 == numbers.1 => DriftKind::NvlinkSpeed,
            "NVLinks in all" | "PCIe lanes in use" if numbers.0 < numbers.1 => DriftKind::MachineChanged,
            "NVLinks that are down" if size(is) <= size(was) => DriftKind::MachineChanged,
            _ => kind,
        };
        // Numbers of device files follow the order of the start, and the nearest CPUs the NUMA node.
        let follows = match change.fact {
            "device number" => true,
            "nearest CPUs" => self.told.contains(&(DriftKind::NumaMoved, subject.to_owned())),
            _ => false,
        };
        if !follows {
            self.add(kind, subject, text);
        }
    }

    fn has_other_paths(&self, part: &str) -> bool {
        self.changes.iter().any(|change| {
            let is_path = change.kind == ChangeKind::Path || change.fact == "nearest NUMA nodes";
            is_path && (change.part == part || change.peers.iter().any(|peer| peer == part))
        })
    }

    fn moved(&self, part: &str) -> DriftKind {
        if self.nics.contains(part) { DriftKind::NicMoved } else { DriftKind::GpuMoved }
    }

    /// Compares the generations of PCIe that NICs use. GPUs use an older one while they are idle.
    fn generations(&mut self, before: &Topology, after: &Topology) {
        let now: BTreeMap<&str, u8> =
            after.nics().filter_map(|nic| Some((nic.name.as_str(), nic.pci.link?.now.generation?))).collect();
        for nic in before.nics() {
            let was = nic.pci.link.and_then(|link| link.now.generation);
            if let (Some(was), Some(is)) = (was, now.get(nic.name.as_str()).copied())
                && is < was
            {
                let text = format!("its PCIe generation was {was}, and is {is}");
                self.add(DriftKind::PcieDowntrained, &nic.name, text);
            }
        }
    }

    fn facts(&mut self, before: &Facts, after: &Facts) {
        let texts = [
            (DriftKind::KernelChanged, "kernel", &before.kernel, &after.kernel),
            (DriftKind::FirmwareChanged, "BIOS", &before.bios, &after.bios),
            (DriftKind::KubeletChanged, "kubelet", &before.kubelet_version, &after.kubelet_version),
        ];
        for (kind, name, was, is) in texts {
            match (was, is) {
                (Some(was), Some(is)) if was != is => {
                    self.add(kind, NODE, format!("its {name} was {was}, and is {is}"));
                }
                (Some(_), None) => self.unknown(kind, NODE, format!("only the baseline tells its {name}")),
                _ => {}
            }
        }
        let words =
            |words: &Option<Vec<String>>| words.iter().flatten().cloned().collect::<BTreeSet<String>>();
        if let (Some(_), Some(_)) = (&before.command_line, &after.command_line) {
            let (was, is) = (words(&before.command_line), words(&after.command_line));
            let gone = was.difference(&is).map(|word| format!("-{word}"));
            let new = is.difference(&was).map(|word| format!("+{word}"));
            let all: Vec<String> = gone.chain(new).collect();
            if !all.is_empty() {
                self.add(
                    DriftKind::KernelCmdlineChanged,
                    NODE,
                    format!("its kernel's command line: {}", all.join(" ")),
                );
            }
        } else if before.command_line.is_some() {
            let text = "only the baseline tells its kernel's command line".to_owned();
            self.unknown(DriftKind::KernelCmdlineChanged, NODE, text);
        }
        self.map(DriftKind::KubeletChanged, "settings of the kubelet", &before.kubelet, &after.kubelet);
        self.map(DriftKind::LabelMismatch, "labels of the Kubernetes node", &before.labels, &after.labels);
    }

    fn map(
        &mut self,
        kind: DriftKind,
        name: &str,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) {
        if before.is_empty() {
            return;
        }
        if after.is_empty() {
            self.unknown(kind, NODE, format!("only the baseline tells the {name}"));
            return;
        }
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys.into_iter().filter(|key| before.get(*key) != after.get(*key)) {
            let value = |map: &BTreeMap<String, String>| {
                map.get(key).map_or_else(|| "not set".to_owned(), Clone::clone)
            };
            self.add(kind, key, format!("it was {}, and is {}", value(before), value(after)));
        }
    }
}

/// Returns the number of links in a text such as `3-5`; 0 for none.
fn size(text: Option<&str>) -> usize {
    text.and_then(|text| text.parse::<nvtopo::CpuSet>().ok()).map_or(0, |links| links.len())
}

/// Returns whether the accepted machine tells what changes of a kind are judged by.
pub(crate) fn is_told(baseline: &Baseline, kind: DriftKind) -> bool {
    tells(&baseline.topology, &baseline.facts, kind)
}

/// Returns whether a machine tells what changes of a kind are judged by.
pub(crate) fn tells(topology: &Topology, facts: &Facts, kind: DriftKind) -> bool {
    let machine = topology.machine();
    match kind {
        DriftKind::GpuLost | DriftKind::GpuMoved => topology.gpus().len() > 0,
        DriftKind::GpuReplaced => topology.gpus().any(|gpu| gpu.uuid.is_some() || gpu.serial.is_some()),
        DriftKind::NvlinkLost | DriftKind::NvlinkSpeed => {
            topology.nvlink_known() && topology.gpus().len() > 0
        }
        DriftKind::PcieDowntrained => {
            let links =
                topology.gpus().map(|gpu| gpu.pci.link).chain(topology.nics().map(|nic| nic.pci.link));
            links.flatten().any(|link| link.now.width.is_some())
        }
        DriftKind::NumaMoved => {
            topology.devices().iter().any(|id| matches!(topology.local_nodes(*id), Stated::Known(_)))
        }
        DriftKind::NicLost | DriftKind::NicMoved => topology.nics().len() > 0,
        DriftKind::FirmwareChanged => {
            let gpus = topology.gpus().any(|gpu| gpu.firmware.is_some());
            gpus || facts.bios.is_some() || topology.nics().any(|nic| nic.firmware.is_some())
        }
        DriftKind::DriverChanged => machine.driver.is_some() || machine.cuda.is_some(),
        DriftKind::KernelChanged => facts.kernel.is_some(),
        DriftKind::KernelCmdlineChanged => facts.command_line.is_some(),
        DriftKind::KubeletChanged => facts.kubelet_version.is_some() || !facts.kubelet.is_empty(),
        DriftKind::LabelMismatch => !facts.labels.is_empty(),
        DriftKind::MtuChanged => topology.nics().any(|nic| nic.mtu.is_some()),
        DriftKind::MachineChanged => true,
    }
}
