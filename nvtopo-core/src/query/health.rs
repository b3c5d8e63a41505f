//! GPUs that work less well than their peers.

use crate::model::{FabricFault, Gpu, NodeKind, NoteCode, NoteKind, Topology};
use std::collections::BTreeMap;
use std::fmt;

/// A reason to choose a GPU last, though a job can use it; one that [cuts it off](Topology::cut_off) keeps it from jobs of
/// several GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GpuFault {
    /// It is not in its NVLink fabric, or not yet.
    OutOfFabric,
    /// The driver reports a fault of its place in the NVLink fabric.
    Fabric(FabricFault),
    /// It has fewer NVLinks to the NVSwitches than others of its model.
    FewerNvlinks {
        /// NVLinks that are up.
        up: u32,
        /// NVLinks of its peers.
        others: u32,
    },
}

impl GpuFault {
    /// Returns its word in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OutOfFabric => "out-of-fabric",
            Self::Fabric(fault) => fault.word(),
            Self::FewerNvlinks { .. } => "fewer-nvlinks",
        }
    }
}

impl fmt::Display for GpuFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfFabric => f.write_str("it is not in its NVLink fabric: NVLinks and CUDA may not work"),
            Self::Fabric(fault) => fault.fmt(f),
            Self::FewerNvlinks { up, others } => {
                write!(f, "{up} of its NVLinks to the NVSwitches are up, where others have {others}")
            }
        }
    }
}

impl Topology {
    /// Returns why NVIDIA's driver could not be asked, or does not show all GPUs, and what to do; `None` where there is
    /// no such note. On a machine where no GPU is found, this is the reason.
    pub fn driver_trouble(&self) -> Option<String> {
        let notes = self.notes().iter().filter(|note| note.kind() == NoteKind::Driver);
        let texts: Vec<&str> = notes.map(|note| note.text.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// Returns the faults of the GPU at a position in [`gpus`](Self::gpus) with which a job can still use it: such a
    /// GPU is chosen last. Empty where none is known. See [`Gpu::unusable`] for faults that keep all jobs from it.
    pub fn gpu_faults(&self, position: usize) -> Vec<GpuFault> {
        let Some(gpu) = self.gpus().nth(position) else { return Vec::new() };
        let fabric = gpu.fabric.as_ref();
        let out =
            (fabric.and_then(crate::model::Fabric::is_up) == Some(false)).then_some(GpuFault::OutOfFabric);
        let told = fabric.map(crate::model::Fabric::faults).unwrap_or_default();
        out.into_iter()
            .chain(told.into_iter().map(GpuFault::Fabric))
            .chain(self.fewer_nvlinks(position))
            .collect()
    }

    /// Returns the fault that keeps the GPU at a position out of the NVLink fabric that the others are in. Such a GPU
    /// is never chosen together with others, unless the request names it. `None`: no such fault is known. Where no GPU
    /// is in the fabric, all are alike, and none of them is cut off.
    ///
    /// ```
    /// # let topology = nvtopo::Topology::preset("dgx-h100")?;
    /// assert_eq!(topology.cut_off(0), None);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn cut_off(&self, position: usize) -> Option<GpuFault> {
        let excluding = |position: usize| {
            self.gpu_faults(position).into_iter().find(|fault| match fault {
                GpuFault::Fabric(fault) => fault.excludes(),
                GpuFault::OutOfFabric => true,
                GpuFault::FewerNvlinks { .. } => false,
            })
        };
        let fault = excluding(position)?;
        let takes_part = |(other, gpu): (usize, &Gpu)| {
            let up = gpu.fabric.as_ref().and_then(crate::model::Fabric::is_up);
            // A GPU of unknown state is no peer of one that did not register: none may be in the fabric yet.
            let known = up == Some(true) || matches!(fault, GpuFault::Fabric(_)) && up.is_none();
            other != position && gpu.unusable.is_none() && known && excluding(other).is_none()
        };
        self.gpus().enumerate().any(takes_part).then_some(fault)
    }

    /// Compares the number of NVLinks at NVSwitches only: in a mesh, GPUs of one model have unequal numbers by design,
    /// as where only some are bridged.
    fn fewer_nvlinks(&self, position: usize) -> Option<GpuFault> {
        if self.nvlinks().direct {
            return None;
        }
        let fewer = self.computed().fewer_nvlinks.get_or_init(|| {
            let own: Vec<Option<u32>> =
                self.gpus().enumerate().map(|(place, gpu)| self.switched_links(place, gpu)).collect();
            let mut most = BTreeMap::new();
            for (gpu, up) in self.gpus().zip(&own).filter(|(gpu, _)| gpu.unusable.is_none()) {
                let most = most.entry(&gpu.model).or_insert(*up);
                *most = (*most).max(*up);
            }
            let others = self.gpus().map(|gpu| most.get(&gpu.model).copied().flatten());
            let both = own.iter().zip(others).map(|(up, others)| up.zip(others));
            both.map(|both| both.filter(|(up, others)| up < others)).collect()
        });
        let (up, others) = (*fewer.get(position)?)?;
        Some(GpuFault::FewerNvlinks { up, others })
    }

    /// Returns whether a note says that all NVLinks of a GPU are down, which tools then do not list.
    fn says_all_down(&self, gpu: &Gpu) -> bool {
        let begin = format!("{}:", gpu.name());
        let mut notes = self.notes().iter();
        notes.any(|note| note.code() == NoteCode::AllNvlinksDown && note.text.starts_with(&begin))
    }

    /// Returns the number of NVLinks from a GPU to NVSwitches. `None`: unknown. Zero only where each was reported to be
    /// down.
    fn switched_links(&self, position: usize, gpu: &Gpu) -> Option<u32> {
        let links = self.links_of(self.devices()[position]);
        let switched = links.filter(|(far, link)| {
            link.kind.is_fabric() && matches!(self.node(*far).kind, NodeKind::NvSwitch(_))
        });
        let lanes: Option<u32> = switched.map(|(_, link)| link.lanes.map(u32::from)).sum();
        let told = || match &gpu.nvlinks[..] {
            [] => self.says_all_down(gpu),
            ports => ports.iter().all(|port| port.up.is_some()),
        };
        lanes.filter(|lanes| *lanes > 0 || told())
    }
}
