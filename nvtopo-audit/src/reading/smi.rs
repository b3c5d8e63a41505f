//! The saved output of `nvidia-smi -q`, as text or XML: what no topology holds of a GPU.

use crate::evidence::Evidence;
use nvtopo::PciAddress;
use std::collections::BTreeMap;

/// The link and the load of a GPU at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The generation at which the PCIe link ran.
    pub(crate) generation: Option<u8>,
    /// The performance state; 0 is the highest.
    performance: Option<u8>,
    /// The share of time in which the GPU computed, in percent.
    utilization: Option<u8>,
}

impl Moment {
    /// Returns whether the GPU was at work, so that its PCIe link was not slowed down.
    pub(crate) fn is_busy(self) -> bool {
        self.performance == Some(0) || self.utilization.is_some_and(|percent| percent > 0)
    }
}

/// The state of a GPU when the tool was run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queried {
    /// Each time that the tool was run, in the order of the texts.
    pub(crate) moments: Vec<Moment>,
    /// The number of PCIe packets that were sent again.
    pub(crate) replays: Option<u64>,
    /// The size of the window through which PCIe peers reach its memory, in bytes.
    pub(crate) bar1: Option<u64>,
    /// True where the section of its NVLink fabric is there, even if empty.
    pub(crate) tells_fabric: bool,
    /// True where the section of its MIG mode is there, even if empty.
    pub(crate) tells_mig: bool,
    /// True where a hypervisor gave the GPU, or a part of it, to the machine.
    pub(crate) is_guests: bool,
}

/// Returns the state of each GPU.
pub(crate) fn read(evidence: &Evidence<'_>) -> BTreeMap<PciAddress, Queried> {
    let mut all: BTreeMap<PciAddress, Queried> = BTreeMap::new();
    for saved in evidence.texts() {
        let (mut open, mut section) = (None, String::new());
        for line in saved.text.lines() {
            if let Some(address) = gpu(line) {
                open = Some(address);
                all.entry(address).or_default().moments.push(Moment::default());
            }
            let Some(own) = open.and_then(|address| all.get_mut(&address)) else { continue };
            match pair(line.trim()) {
                (key, Some(value)) => own.feed(&section, &key, value.trim()),
                (key, None) if !key.is_empty() && !key.starts_with('/') => section = key,
                _ => {}
            }
        }
    }
    all
}

/// Reads `GPU 00000000:19:00.0` or `<gpu id="00000000:19:00.0">`.
fn gpu(line: &str) -> Option<PciAddress> {
    let text =
        line.strip_prefix("GPU ").or_else(|| line.trim().strip_prefix("<gpu id=\"")?.strip_suffix("\">"))?;
    text.trim().parse().ok()
}

/// Returns the key of a line in the spelling of XML, and its value. None: the line begins a section.
fn pair(line: &str) -> (String, Option<&str>) {
    if let Some(rest) = line.strip_prefix('<') {
        let (key, rest) = rest.split_once('>').unwrap_or((rest, ""));
        return (key.to_owned(), rest.split_once("</").map(|(value, _)| value));
    }
    let (key, value) = line.split_once(" : ").map_or((line, None), |(key, value)| (key, Some(value)));
    (key.trim().to_ascii_lowercase().replace(' ', "_"), value)
}

impl Queried {
    fn feed(&mut self, section: &str, key: &str, value: &str) {
        let number = || value.split_whitespace().next()?.parse::<u64>().ok();
        self.tells_fabric |= section == "fabric";
        self.tells_mig |= section == "mig_mode";
        let small = || number().and_then(|number| number.try_into().ok());
        let Some(now) = self.moments.last_mut() else { return };
        match (section, key) {
            (_, "performance_state") => {
                now.performance = value.strip_prefix('P').and_then(|state| state.parse().ok());
            }
            ("utilization", "gpu" | "gpu_util") => now.utilization = small(),
            ("pcie_generation", "current") | (_, "current_link_gen") => now.generation = small(),
            (_, "virtualization_mode") => {
                self.is_guests = ["pass-through", "vgpu"].contains(&value.to_ascii_lowercase().as_str());
            }
            (_, "replays_since_reset" | "replay_counter") => self.replays = number(),
            ("bar1_memory_usage", "total") => {
                let is_mebibytes = value.ends_with("MiB");
                self.bar1 = number().filter(|_| is_mebibytes).and_then(|size| size.checked_mul(1 << 20));
            }
            _ => {}
        }
    }
}
