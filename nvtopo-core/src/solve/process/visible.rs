//! The GPUs that `CUDA_VISIBLE_DEVICES` shows a process.
//!
//! The variables are handed in: the core reads no environment. CUDA documents its reading of a list in part only (CUDA
//! Programming Guide, "CUDA Environment Variables"; NVIDIA MIG User Guide, "Device Enumeration"). The rest is as
//! `PyTorch` found CUDA to behave (`torch.cuda`, `_parse_visible_devices`): the first entry decides whether the list is
//! one of numbers, of GPUs' UUIDs or of MIG instances, and one of another kind ends it, as does one that names nothing;
//! a number ends before the first character that is no digit; one device named twice hides all. The words of
//! `NVIDIA_VISIBLE_DEVICES` (`all`, `none`, `void`) have no meaning here.

use super::cuda_order::{CudaOrder, OrderBasis, at_ordinal, basis, by_bus};
use super::gpu_ref::{
    GpuRef, Match, VisibleDevice, after, find_gpu, find_instance, is_admitted, resolve_names,
};
use super::{layout::RankLayout, rank::LocalRank};
use crate::error::{Error, Result};
use crate::model::{Gpu, Topology};

/// The variables that select the GPUs that CUDA shows a process, and their order.
pub static VISIBILITY_VARIABLES: [&str; 2] = ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"];

/// The GPUs that a process sees, and how certain they are.
///
/// ```
/// use nvtopo::{CudaOrder, Topology, VisibleGpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let visible = VisibleGpus::resolve(&dgx, Some("3,1,-1,2"), CudaOrder::PciBusId);
/// assert_eq!(visible.positions(), [3, 1]);
/// let twice = VisibleGpus::resolve(&dgx, Some("3,3"), CudaOrder::PciBusId);
/// assert!(twice.devices.is_empty() && twice.remarks[0].contains("second time"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VisibleGpus {
    /// The devices, in the order in which CUDA counts them, if `order` knows it.
    pub devices: Vec<VisibleDevice>,
    /// The basis on which that order is known.
    pub order: OrderBasis,
    /// True if the variable names devices that this topology cannot identify, so that `devices` is empty although there
    /// may be some.
    pub unresolved: bool,
    /// True if all ranks of the job see these. Else ranks that see one GPU of several are taken to see a different one
    /// each, as launchers show it to them.
    pub same_for_all: bool,
    /// True if other ranks of the job may see other GPUs, so that decisions on which all ranks must agree go by all
    /// GPUs of the machine.
    pub differs_by_rank: bool,
    /// Remarks for people: why a list ended early, assumptions, limits of CUDA.
    pub remarks: Vec<String>,
}

impl VisibleGpus {
    /// Returns every GPU: those that a process sees without `CUDA_VISIBLE_DEVICES`.
    pub fn all(topology: &Topology, order: CudaOrder) -> Self {
        let gpus = by_bus(topology).into_iter();
        let devices = gpus.map(|gpu| VisibleDevice { gpu, instance: None }).collect();
        let mut visible = Self { devices, order: basis(topology, order), ..Self::default() };
        visible.tell(topology);
        visible
    }

    /// Resolves the value of `CUDA_VISIBLE_DEVICES`: `None` where it is not set.
    pub fn resolve(topology: &Topology, variable: Option<&str>, order: CudaOrder) -> Self {
        let Some(list) = variable else { return Self::all(topology, order) };
        let mut visible = Self::default();
        visible.read(topology, list, order);
        visible.tell(topology);
        visible
    }

    /// Reads the variables of a process. A value that is not UTF-8 is to be given with U+FFFD in place of invalid bytes
    /// (`to_string_lossy`): it names unknown devices.
    ///
    /// ```
    /// use nvtopo::{Topology, VisibleGpus};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let variable = |name: &str| (name == "CUDA_VISIBLE_DEVICES").then(|| "5,4".to_owned()); // std::env::var(name).ok()
    /// assert_eq!(VisibleGpus::from_environment(&dgx, variable).positions(), [5, 4]);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn from_environment(topology: &Topology, variable: impl Fn(&str) -> Option<String>) -> Self {
        let [list, order] = VISIBILITY_VARIABLES.map(variable);
        let order = order.map_or(CudaOrder::default(), |order| order.parse().unwrap_or_default());
        Self::resolve(topology, list.as_deref(), order)
    }

    /// Returns these as a rank of a job sees them: fewer GPUs than its ranks on this machine use may be those of this
    /// rank alone.
    ///
    /// ```
    /// use nvtopo::{CudaOrder, LocalRank, RankLayout, Topology, VisibleGpus};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let own = VisibleGpus::resolve(&dgx, Some("2,3"), CudaOrder::PciBusId);
    /// let rank = |size| Some(LocalRank { rank: 1, size: Some(size) });
    /// assert!(own.clone().seen_by_rank(&dgx, rank(4), &RankLayout::default()).differs_by_rank);
    /// assert!(!own.seen_by_rank(&dgx, rank(2), &RankLayout::default()).differs_by_rank);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[must_use]
    pub fn seen_by_rank(self, topology: &Topology, rank: Option<LocalRank>, layout: &RankLayout) -> Self {
        let each = layout.gpus.unwrap_or(1);
        let used = match rank {
            None | Some(LocalRank { size: Some(1), .. }) => 0,
            Some(LocalRank { size: Some(size), .. }) => each.saturating_mul(size),
            // There is another rank at least, or no launcher would have numbered this one.
            Some(LocalRank { size: None, .. }) => each.saturating_mul(2),
        };
        let more = topology.gpus().len() > self.positions().len();
        let differs_by_rank = more && !self.same_for_all && self.devices.len() < used;
        Self { differs_by_rank, ..self }
    }

    /// Returns the positions of the GPUs, each once, in the order of the devices.
    pub fn positions(&self) -> Vec<usize> {
        let mut positions = Vec::new();
        for device in &self.devices {
            if !positions.contains(&device.gpu) {
                positions.push(device.gpu);
            }
        }
        positions
    }

    /// Returns the GPUs as a request names them: the candidates of a job that may use no others.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where a MIG instance is among them, for a job
    /// gets whole GPUs, and where the topology cannot identify the visible devices.
    pub fn whole_gpus(&self, topology: &Topology) -> Result<Vec<GpuRef>> {
        self.check_resolved()?;
        if self.devices.iter().any(|device| device.instance.is_some()) {
            let message = "CUDA_VISIBLE_DEVICES names MIG instances, and whole GPUs were asked for";
            return Err(Error::request(message).help("unset it, or ask for no number of GPUs"));
        }
        let gpu = |position: usize| topology.gpus().nth(position).map(|gpu| GpuRef::Index(gpu.index));
        Ok(self.positions().into_iter().filter_map(gpu).collect())
    }

    /// Keeps the devices on GPUs that may be used: among `only`, where that is given, and none of `exclude`.
    ///
    /// A model in `only` stands for its visible GPUs.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where `only` names a GPU that is not visible or
    /// the visible devices are unknown, and with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where none is left.
    ///
    /// ```
    /// use nvtopo::{CudaOrder, GpuRef, Topology, VisibleGpus};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let visible = VisibleGpus::resolve(&dgx, Some("3,1,2"), CudaOrder::PciBusId);
    /// assert_eq!(visible.narrowed(&dgx, None, &[GpuRef::Index(1)])?.positions(), [3, 2]);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn narrowed(&self, topology: &Topology, only: Option<&[GpuRef]>, exclude: &[GpuRef]) -> Result<Self> {
        self.check_resolved()?;
        let seen = self.positions();
        let is_single = |gpu: &&GpuRef| !matches!(gpu, GpuRef::Model(_));
        let single: Vec<GpuRef> = only.into_iter().flatten().filter(is_single).cloned().collect();
        let single = resolve_names(topology, &single)?;
        let stays = is_admitted(topology, only, exclude)?;
        if let Some(hidden) = single.iter().find(|gpu| !seen.contains(gpu)) {
            let error =
                Error::request(format!("{} is not visible to this process", topology.device_name(*hidden)));
            let all = format!("visible are {}", topology.device_names(&seen));
            return Err(error.help(if seen.is_empty() { "no GPU is".to_owned() } else { all }));
        }
        let devices: Vec<_> = self.devices.iter().filter(|device| stays(device.gpu)).copied().collect();
        if devices.is_empty() && !self.devices.is_empty() {
            return Err(Error::unsatisfiable("none of the visible GPUs may be used: all are excluded"));
        }
        // A selection from several devices is the same for every rank.
        let same_for_all = self.same_for_all || devices.len() < self.devices.len();
        Ok(Self { devices, same_for_all, ..self.clone() })
    }

    /// Returns the variables that show a process these devices in this order.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where a MIG instance has no known name.
    pub fn cuda_environment(&self, topology: &Topology) -> Result<Vec<(&'static str, String)>> {
        if self.devices.iter().all(|device| device.instance.is_none()) {
            return Ok(cuda_environment(topology, &self.positions()));
        }
        let name = |device: &VisibleDevice| match device.instance {
            Some(id) => topology.gpu_instances(device.gpu).find(|(other, _)| *other == id)?.1.uuid.clone(),
            None => Some(topology.gpus().nth(device.gpu)?.uuid?.to_string()),
        };
        let names: Option<Vec<String>> = self.devices.iter().map(name).collect();
        let names =
            names.ok_or_else(|| Error::request("a visible MIG instance has no known UUID to name it by"))?;
        Ok(vec![("CUDA_VISIBLE_DEVICES", names.join(","))])
    }

    fn check_resolved(&self) -> Result<()> {
        if self.unresolved {
            let why = self.remarks.join("; ");
            return Err(Error::request(format!("which GPUs are visible is unknown: {why}")));
        }
        Ok(())
    }

    /// Reads a list up to the entry at which CUDA stops.
    fn read(&mut self, topology: &Topology, list: &str, order: CudaOrder) {
        let mut entries = list.split(',').map(str::trim).peekable();
        let kind = Kind::of(entries.peek().copied().unwrap_or_default());
        if list.contains('\u{fffd}') {
            self.unresolved = true;
            return self.remarks.push(
                "CUDA_VISIBLE_DEVICES is not valid UTF-8, so which devices it names is unknown".to_owned(),
            );
        }
        if list.trim().is_empty() {
            return self.remarks.push("CUDA_VISIBLE_DEVICES is empty, which hides all GPUs".to_owned());
        }
        while let Some(entry) = entries.next() {
            let at_end = entries.peek().is_none();
            let device = match kind {
                // A deliberate end, or a trailing comma.
                _ if entry.starts_with('-') || (entry.is_empty() && at_end) => return,
                _ if Kind::of(entry) != kind => Ok(None),
                Kind::Number => self.number(topology, entry, order),
                Kind::Gpu => gpu(topology, entry),
                Kind::Instance => self.instance(topology, entry),
            };
            match device {
                Ok(Some(device)) if self.devices.contains(&device) => {
                    self.devices.clear();
                    return self.remarks.push(format!(
                        "CUDA_VISIBLE_DEVICES names '{entry}' a second time, for which CUDA hides all GPUs"
                    ));
                }
                Ok(Some(device)) => self.devices.push(device),
                Ok(None) => return self.end(entry, at_end),
                Err(why) => {
                    self.devices.clear();
                    self.unresolved = true;
                    return self.remarks.push(why);
                }
            }
        }
    }

    fn number(&mut self, topology: &Topology, entry: &str, order: CudaOrder) -> Entry {
        let signless = entry.strip_prefix('+').unwrap_or(entry);
        let digits = signless.len() - signless.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Ok(number) = signless[..digits].parse::<u64>() else { return Ok(None) };
        let basis = basis(topology, order);
        if basis == OrderBasis::Unknown {
            return Err(basis.remark().unwrap_or_default().to_owned());
        }
        if digits < signless.len() {
            self.remarks.push(format!("CUDA reads '{entry}' in CUDA_VISIBLE_DEVICES as {number}"));
        }
        let Some(gpu) = at_ordinal(topology, number) else { return Ok(None) };
        self.remember(basis.remark());
        let lost = topology.gpus().any(|gpu| gpu.unusable.is_some());
        self.remember(lost.then_some(
            "a GPU cannot be used, so CUDA may count the others without it; name GPUs by their UUIDs",
        ));
        Ok(Some(VisibleDevice { gpu, instance: None }))
    }

    fn instance(&mut self, topology: &Topology, entry: &str) -> Entry {
        match find_instance(topology, entry) {
            Match::One(device) => {
                if device.instance.is_none() {
                    let gpu = topology.device_name(device.gpu);
                    self.remarks.push(format!("{entry} is not known; it is on {gpu} by its name"));
                }
                Ok(Some(device))
            }
            Match::None | Match::Several => Ok(None),
            Match::Unknown => {
                Err(format!("this topology does not tell which GPU '{entry}' in CUDA_VISIBLE_DEVICES is on"))
            }
        }
    }

    fn end(&mut self, entry: &str, at_end: bool) {
        let rest = if at_end { "" } else { ", and CUDA hides what follows" };
        let why = match entry {
            "NoDevFiles" => ": Slurm gave this process none",
            "all" | "none" | "void" => ": it is a word for NVIDIA_VISIBLE_DEVICES",
            _ => "",
        };
        self.remarks.push(format!("'{entry}' in CUDA_VISIBLE_DEVICES names no GPU{why}{rest}"));
    }

    /// Adds remarks on limits of CUDA with these devices.
    fn tell(&mut self, topology: &Topology) {
        let instances = self.devices.iter().filter(|device| device.instance.is_some()).count();
        if instances > 0 && self.devices.len() > 1 {
            self.remember(Some("CUDA shows one process one MIG instance only; give each process its own"));
        }
        for device in self.devices.clone() {
            let Some(gpu) = topology.gpus().nth(device.gpu) else { continue };
            if let Some(why) = &gpu.unusable {
                self.remarks.push(format!("{} cannot be used: {why}", gpu.name()));
            } else if device.instance.is_none() {
                self.remarks.extend(divided(gpu));
            }
        }
    }

    fn remember(&mut self, remark: Option<&str>) {
        if let Some(remark) = remark.filter(|remark| !self.remarks.iter().any(|other| other == remark)) {
            self.remarks.push(remark.to_owned());
        }
    }
}

/// Returns the remark on a whole GPU that is MIG-enabled.
pub(in crate::solve) fn divided(gpu: &Gpu) -> Option<String> {
    let divided = gpu.mig.is_some_and(|mig| mig.current);
    divided.then(|| format!("{} is divided (MIG), and CUDA shows one of its instances only", gpu.name()))
}

/// The kind of a list's entries.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Gpu,
    Instance,
}

impl Kind {
    fn of(entry: &str) -> Self {
        match after("GPU-", entry) {
            Some(_) => Self::Gpu,
            None if after("MIG-", entry).is_some() => Self::Instance,
            None => Self::Number,
        }
    }
}

/// The device that an entry of a list names. `None`: nothing, which ends the list. The error is of a device that the
/// topology cannot identify.
type Entry = std::result::Result<Option<VisibleDevice>, String>;

fn gpu(topology: &Topology, entry: &str) -> Entry {
    match find_gpu(topology, entry) {
        Match::One(gpu) => Ok(Some(VisibleDevice { gpu, instance: None })),
        Match::None | Match::Several => Ok(None),
        Match::Unknown => Err(format!(
            "this topology does not tell which GPU '{entry}' in CUDA_VISIBLE_DEVICES is: it lacks UUIDs"
        )),
    }
}

/// Returns the variables that show a process these GPUs in this order.
pub(crate) fn cuda_environment(topology: &Topology, positions: &[usize]) -> Vec<(&'static str, String)> {
    let gpus: Vec<_> = topology.gpus().collect();
    let chosen = || positions.iter().map(|position| gpus[*position]);
    let uuids: Option<Vec<String>> = chosen().map(|gpu| Some(gpu.uuid?.to_string())).collect();
    let names = uuids.unwrap_or_else(|| chosen().map(|gpu| gpu.index.to_string()).collect());
    // Indices are in PCI bus order; CUDA's own default order is by speed.
    vec![("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned()), ("CUDA_VISIBLE_DEVICES", names.join(","))]
}
