//! The names by which people and tools call a GPU, or a MIG instance of one.

use crate::cpuset::NodeSet;
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Gpu, GpuInstance, MAX_DEVICES, NodeId, Topology};
use std::fmt;
use std::str::FromStr;

/// A GPU by any of its names, or all GPUs of a model.
///
/// ```
/// use nvtopo::GpuRef;
///
/// assert_eq!("3".parse::<GpuRef>()?, GpuRef::Index(3));
/// assert_eq!("GPU3".parse::<GpuRef>()?, GpuRef::Index(3));
/// assert!(matches!("0000:1b:00.0".parse()?, GpuRef::Address(_)));
/// assert!(matches!("GPU-5c3e".parse()?, GpuRef::Uuid(_)));
/// assert!(matches!("MIG-c6d4f1ef".parse()?, GpuRef::Instance(_)));
/// assert!(matches!("model:A100".parse()?, GpuRef::Model(_)));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GpuRef {
    /// By index.
    Index(u32),
    /// By PCI address.
    Address(PciAddress),
    /// By UUID, or the start of one that is unique.
    Uuid(String),
    /// By a MIG instance on it, or the start of one's name that is unique. It names the whole GPU wherever a GPU is
    /// expected: to exclude the instance is to exclude its GPU. A request refuses it where GPUs are given to a job,
    /// which would get more than the instance.
    Instance(String),
    /// By words of the model's name, in any case and order: `model:A100` and `model:80gb a100` are `NVIDIA A100-SXM4-80GB`,
    /// and `model:L4` is no `NVIDIA L40`. It stands for all GPUs of such models.
    Model(String),
}

/// A device as CUDA counts them: a GPU, or a MIG instance of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VisibleDevice {
    /// The position of the GPU in [`Topology::gpus`].
    pub gpu: usize,
    /// The MIG instance, where one is visible and not the whole GPU.
    pub instance: Option<NodeId>,
}

impl From<u32> for GpuRef {
    fn from(index: u32) -> Self {
        Self::Index(index)
    }
}

impl FromStr for GpuRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some(index) = index(text) {
            return Ok(Self::Index(index));
        }
        if let Some(model) = after("model:", text).map(str::trim) {
            return match words(model).next() {
                Some(_) => Ok(Self::Model(model.to_owned())),
                None => Err(Error::request("'model:' names no model").help("such as model:A100")),
            };
        }
        if let Some(rest) = after("GPU-", text) {
            return Ok(Self::Uuid(format!("GPU-{rest}")));
        }
        if let Some(name) = after("MIG-", text) {
            let name = after("GPU-", name).map_or_else(|| name.to_owned(), |rest| format!("GPU-{rest}"));
            return Ok(Self::Instance(format!("MIG-{name}")));
        }
        text.parse().map(Self::Address).map_err(|_| {
            Error::request(format!("'{text}' names no device"))
                .help("give an index (3 or GPU3), a range of them (0-3), a UUID (GPU-5c3e…), a PCI address (0000:1b:00.0), or a model (model:A100)")
        })
    }
}

/// Returns what follows a start of a name. Names are case-insensitive, as for CUDA.
pub(super) fn after<'a>(start: &str, name: &'a str) -> Option<&'a str> {
    let (own, rest) = name.split_at_checked(start.len())?;
    own.eq_ignore_ascii_case(start).then_some(rest)
}

/// Reads the index in `3`, `GPU3` or `gpu3`.
fn index(name: &str) -> Option<u32> {
    let number = after("GPU", name).unwrap_or(name);
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten()
}

impl fmt::Display for GpuRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "GPU{index}"),
            Self::Address(address) => address.fmt(f),
            Self::Uuid(uuid) | Self::Instance(uuid) => f.write_str(uuid),
            Self::Model(model) => write!(f, "model:{model}"),
        }
    }
}

impl GpuRef {
    /// Reads several GPUs from a list of their names, in which indices may be ranges.
    ///
    /// ```
    /// use nvtopo::GpuRef;
    ///
    /// let list = GpuRef::parse_list("gpu0,4-6")?;
    /// assert_eq!(list, [0, 4, 5, 6].map(GpuRef::Index));
    /// assert_eq!(GpuRef::parse_list("GPU0-GPU3")?.len(), 4);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut gpus = Vec::new();
        for name in text.split(',') {
            let ends = name.split_once('-');
            match ends.and_then(|(first, last)| Some((index(first.trim())?, index(last.trim())?))) {
                Some((first, last)) if first > last => {
                    return Err(Error::request(format!("the range '{name}' ends before it begins")));
                }
                Some((first, last)) if (last - first) as usize >= MAX_DEVICES => {
                    return Err(Error::request(format!("'{name}' names more than {MAX_DEVICES} GPUs")));
                }
                Some((first, last)) => gpus.extend((first..=last).map(Self::Index)),
                None => gpus.push(name.parse()?),
            }
        }
        Ok(gpus)
    }

    /// Returns the positions of the GPUs in [`Topology::gpus`], increasing: of a model all, of any other name one.
    ///
    /// ```
    /// use nvtopo::{GpuRef, Topology};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// assert_eq!("model:h100".parse::<GpuRef>()?.resolve_all(&dgx)?.len(), 8);
    /// let error = "model:A100".parse::<GpuRef>()?.resolve_all(&dgx).unwrap_err();
    /// assert!(error.to_string().starts_with("no GPU is of a model 'A100'"));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn resolve_all(&self, topology: &Topology) -> Result<Vec<usize>> {
        let Self::Model(model) = self else { return self.resolve(topology).map(|gpu| vec![gpu]) };
        let all = topology.gpus().enumerate();
        let found: Vec<usize> =
            all.filter(|(_, gpu)| is_of(gpu, model)).map(|(position, _)| position).collect();
        if found.is_empty() { Err(no_such_model(topology, model)) } else { Ok(found) }
    }

    /// Returns the position of the GPU in [`Topology::gpus`]. A model of which there are several GPUs is an error.
    pub fn resolve(&self, topology: &Topology) -> Result<usize> {
        let by = |names: &dyn Fn(&Gpu) -> bool| {
            only(topology.gpus().enumerate().filter(|(_, gpu)| names(gpu)).map(|(position, _)| position))
        };
        let found = match self {
            Self::Index(index) => by(&|gpu| gpu.index == *index),
            Self::Address(address) => by(&|gpu| gpu.address == Some(*address)),
            Self::Uuid(start) => find_gpu(topology, start),
            Self::Instance(name) => find_instance(topology, name).map(|device| device.gpu),
            Self::Model(model) => match by(&|gpu| is_of(gpu, model)) {
                Match::None => return Err(no_such_model(topology, model)),
                found => found,
            },
        };
        match found {
            Match::One(position) => Ok(position),
            Match::Several => Err(Error::request(format!("'{self}' names more than one GPU"))),
            Match::None | Match::Unknown => {
                Err(Error::request(format!("there is no {self}")).help(match topology.gpus().len() {
                    0 => no_gpu(topology),
                    count => format!(
                        "this topology has {count} GPUs: {}",
                        topology.gpus().map(|gpu| gpu.index).collect::<NodeSet>()
                    ),
                }))
            }
        }
    }
}

/// Returns the positions of all GPUs that several names stand for, increasing, each once.
pub(in crate::solve) fn resolve_names(topology: &Topology, names: &[GpuRef]) -> Result<Vec<usize>> {
    let found: Vec<Vec<usize>> =
        names.iter().map(|name| name.resolve_all(topology)).collect::<Result<_>>()?;
    let mut positions = found.concat();
    positions.sort_unstable();
    positions.dedup();
    Ok(positions)
}

/// Returns the test of a GPU for being among `only`, where that is given, and none of `exclude`.
pub(in crate::solve) fn is_admitted(
    topology: &Topology,
    only: Option<&[GpuRef]>,
    exclude: &[GpuRef],
) -> Result<impl Fn(usize) -> bool> {
    let only = only.map(|only| resolve_names(topology, only)).transpose()?;
    let exclude = resolve_names(topology, exclude)?;
    Ok(move |gpu| only.as_ref().is_none_or(|only| only.contains(&gpu)) && !exclude.contains(&gpu))
}

/// Splits a model's name into words: `NVIDIA`, `A100`, `SXM4`, `80GB`.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn is_of(gpu: &Gpu, model: &str) -> bool {
    let own = gpu.model.as_deref().unwrap_or_default();
    words(model).all(|word| words(own).any(|other| other.eq_ignore_ascii_case(word)))
}

fn no_such_model(topology: &Topology, model: &str) -> Error {
    let named = topology.gpus().map(|gpu| (gpu.index, gpu.model.as_deref().unwrap_or("of unknown model")));
    let models = by_model(named);
    Error::request(format!("no GPU is of a model '{model}'")).help(match models.len() {
        0 => no_gpu(topology),
        _ => format!("there are {}", listed(&models)),
    })
}

/// Returns the message for a topology without GPUs, with the reason that its source found.
pub(in crate::solve) fn no_gpu(topology: &Topology) -> String {
    let message = "this topology has no GPU";
    topology.driver_trouble().map_or_else(|| message.to_owned(), |why| format!("{message}: {why}"))
}

/// Returns the error of every request for GPUs on a topology without.
pub(in crate::solve) fn no_gpu_error(topology: &Topology) -> Error {
    Error::unsatisfiable(no_gpu(topology))
}

/// Groups the indices of GPUs by their models, in the order in which these appear.
pub(in crate::solve) fn by_model<'a>(gpus: impl Iterator<Item = (u32, &'a str)>) -> Vec<(&'a str, NodeSet)> {
    let mut models: Vec<(&str, NodeSet)> = Vec::new();
    for (index, own) in gpus {
        match models.iter_mut().find(|(model, _)| *model == own) {
            Some((_, gpus)) => _ = gpus.insert(index),
            None => models.push((own, std::iter::once(index).collect())),
        }
    }
    models
}

/// Lists models with their GPUs: `GPU0-3 (NVIDIA A100)`.
pub(in crate::solve) fn listed(models: &[(&str, NodeSet)]) -> String {
    models.iter().map(|(model, gpus)| format!("GPU{gpus} ({model})")).collect::<Vec<_>>().join(", ")
}

/// The result of a look-up by name.
pub(in crate::solve) enum Match<T> {
    One(T),
    /// It is the start of several names.
    Several,
    None,
    /// Nothing known; the topology does not know all names.
    Unknown,
}

impl<T> Match<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Match<U> {
        match self {
            Self::One(found) => Match::One(change(found)),
            Self::Several => Match::Several,
            Self::None => Match::None,
            Self::Unknown => Match::Unknown,
        }
    }
}

fn only<T>(mut found: impl Iterator<Item = T>) -> Match<T> {
    match (found.next(), found.next()) {
        (Some(one), None) => Match::One(one),
        (Some(_), Some(_)) => Match::Several,
        (None, _) => Match::None,
    }
}

/// Finds the GPU with this UUID, or with one that starts so.
pub(super) fn find_gpu(topology: &Topology, start: &str) -> Match<usize> {
    let named = |gpu: &Gpu| gpu.uuid.is_some_and(|uuid| uuid.starts_with(start));
    match only(topology.gpus().enumerate().filter(|(_, gpu)| named(gpu)).map(|(position, _)| position)) {
        Match::None if topology.gpus().any(|gpu| gpu.uuid.is_none()) => Match::Unknown,
        found => found,
    }
}

/// Finds the MIG instance of this name, or the start of it: `MIG-` and a UUID, or `MIG-GPU-UUID/1/0`, with the numbers
/// of the GPU instance and of the compute instance, as drivers before R470 have it. Such a name identifies the GPU,
/// even where the instance is not known.
pub(in crate::solve) fn find_instance(topology: &Topology, name: &str) -> Match<VisibleDevice> {
    let old = OldName::of(name);
    let on = |gpu: usize, start: &str| matches!(find_gpu(topology, start), Match::One(found) if found == gpu);
    let named = |gpu: usize, instance: &GpuInstance| {
        let by_uuid = instance.uuid.as_ref().is_some_and(|uuid| after(name, uuid).is_some());
        let by_numbers = old.is_some_and(|old| {
            instance.gpu_instance == Some(old.gpu_instance)
                && instance.compute_instance == Some(old.compute_instance)
                && on(gpu, old.gpu)
        });
        by_uuid || by_numbers
    };
    let all = (0..topology.gpus().len())
        .flat_map(|gpu| topology.gpu_instances(gpu).map(move |(id, instance)| (gpu, id, instance)));
    let found = all.filter(|(gpu, _, instance)| named(*gpu, instance));
    let found = only(found.map(|(gpu, id, _)| VisibleDevice { gpu, instance: Some(id) }));
    // All instances are known of a GPU that is not MIG-enabled, or of which one is known.
    let told = |gpu: usize| {
        let undivided = topology.gpus().nth(gpu).and_then(|gpu| gpu.mig).is_some_and(|mig| !mig.current);
        undivided || topology.gpu_instances(gpu).next().is_some()
    };
    match (found, old.map(|old| find_gpu(topology, old.gpu))) {
        (Match::None, Some(Match::One(gpu))) if !told(gpu) => {
            Match::One(VisibleDevice { gpu, instance: None })
        }
        (Match::None, Some(Match::One(_))) => Match::None,
        (Match::None, _) if !(0..topology.gpus().len()).all(told) => Match::Unknown,
        (found, _) => found,
    }
}

/// The parts of a name `MIG-GPU-UUID/1/0`.
#[derive(Clone, Copy)]
struct OldName<'a> {
    gpu: &'a str,
    gpu_instance: u32,
    compute_instance: u32,
}

impl<'a> OldName<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let mut parts = name.get(4..).filter(|rest| rest.starts_with("GPU-"))?.split('/');
        let gpu = parts.next()?;
        let mut number = || parts.next()?.parse().ok();
        let (gpu_instance, compute_instance) = (number()?, number()?);
        parts.next().is_none().then_some(Self { gpu, gpu_instance, compute_instance })
    }
}

impl Topology {
    /// Returns the position in [`devices`](Self::devices) of a device by its name (`GPU3`, `mlx5_0`), or of a GPU by
    /// any of its names.
    ///
    /// ```
    /// let dgx = nvtopo::Topology::preset("dgx-h100")?;
    /// assert_eq!(dgx.device("mlx5_0")?, 8);
    /// assert_eq!(dgx.device("0000:1b:00.0")?, dgx.device("GPU0")?);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn device(&self, name: &str) -> Result<usize> {
        let named = (0..self.devices().len()).find(|device| self.device_name(*device) == name);
        named.map_or_else(|| name.parse::<GpuRef>()?.resolve(self), Ok)
    }
}
