//! The options that choose GPUs and tell what the job needs beside them.

use super::registries::objectives;
use clap::Args;
use nvtopo::solve::{Constraint, HugePageNeed, SizeMix, Tolerance};
use nvtopo::{Bytes, GpuRef};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

/// The options that choose GPUs: candidates, objectives and constraints.
#[derive(Args, Debug)]
pub(crate) struct ChoiceArgs {
    /// Choose only among these GPUs, separated by commas. An index (3 or GPU3), a range (0-3), a UUID, a PCI address, or a model
    /// (model:A100: all whose name has these words) each
    #[arg(long, value_name = "GPU,…", value_delimiter = ',')]
    pub(crate) only: Option<Vec<GpuNames>>,
    /// Do not take these
    #[arg(long, value_name = "GPU,…", value_delimiter = ',')]
    pub(crate) exclude: Vec<GpuNames>,
    /// Take these in any case
    #[arg(long, value_name = "GPU,…", value_delimiter = ',')]
    pub(crate) include: Vec<GpuNames>,
    /// Objectives, most important first; the defaults break ties
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', long_help = objectives())]
    pub(crate) objective: Option<Vec<String>>,
    /// Constraints on the chosen GPUs: nvlink-group (of one NVLink group), numa-node (beside one NUMA node),
    /// pcie-switch (below one), same-model (of one model), at-least:X (X GB/s between each two); or of each of them:
    /// gpu-memory:40GiB (at least so much memory)
    #[arg(long, value_name = "CONSTRAINT,…", value_delimiter = ',')]
    pub(crate) require: Vec<Constraint>,
    /// The first of these that can be met must be met as well; the answer says why not a better one
    #[arg(long, value_name = "CONSTRAINT,…", value_delimiter = ',')]
    pub(crate) prefer: Vec<Constraint>,
    /// Choose only GPUs that no process uses, as the driver tells it; GPUs whose use is unknown are not chosen
    #[arg(long)]
    pub(crate) free: bool,
    /// Choose only GPUs of which so much memory is unused, such as 20GiB
    #[arg(long, value_name = "BYTES")]
    pub(crate) free_memory: Option<Bytes>,
    /// Choose one of the sets of this table as a whole, one a line (0,1 or 4-7), such as Fabric Manager's partitions
    #[arg(long, value_name = "FILE")]
    pub(crate) allowed_sets: Option<PathBuf>,
    /// Mix of job sizes, by which the GPUs left over are judged [default: all sizes alike]
    #[arg(long, value_name = "GPUS:WEIGHT,…")]
    pub(crate) mix: Option<SizeMix>,
    /// Measured rates that differ by less than this count as equal, such as 5% or 0.05; 0 tells all apart [default: 5%]
    #[arg(long, value_name = "PART")]
    pub(crate) tolerance: Option<Tolerance>,
    #[command(flatten)]
    pub(crate) needs: NeedArgs,
}

impl ChoiceArgs {
    /// The GPUs of `--only`, where it is given.
    pub(crate) fn only(&self) -> Option<Vec<GpuRef>> {
        self.only.as_deref().map(gpus)
    }

    /// The GPUs of `--exclude`.
    pub(crate) fn exclude(&self) -> Vec<GpuRef> {
        gpus(&self.exclude)
    }

    /// The GPUs of `--include`.
    pub(crate) fn include(&self) -> Vec<GpuRef> {
        gpus(&self.include)
    }
}

/// A name of a GPU, or a range of indices.
#[derive(Clone, Debug)]
pub(crate) struct GpuNames(Vec<GpuRef>);

impl FromStr for GpuNames {
    type Err = nvtopo::Error;

    fn from_str(text: &str) -> nvtopo::Result<Self> {
        GpuRef::parse_list(text).map(Self)
    }
}

fn gpus(names: &[GpuNames]) -> Vec<GpuRef> {
    names.iter().flat_map(|names| &names.0).cloned().collect()
}

/// The options for what the job needs beside each of its GPUs. Sets of GPUs that lack it are not chosen.
#[derive(Args, Debug)]
pub(crate) struct NeedArgs {
    /// Number of CPUs (hardware threads) near each GPU, whole cores first [default: the GPU's share]
    #[arg(long, value_name = "N")]
    pub(crate) cpus_per_gpu: Option<usize>,
    /// Memory for each GPU from the NUMA nodes beside it, such as 64G or 64GiB
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_per_gpu: Option<Bytes>,
    /// Huge pages of a size for each GPU from the NUMA nodes beside it, such as 2MiB:1024
    #[arg(long, value_name = "SIZE:COUNT,…", value_delimiter = ',')]
    pub(crate) hugepages_per_gpu: Vec<HugePageNeed>,
    /// The most GPUs that one NIC serves [default: the least that serves all GPUs, where all GPUs use NICs]
    #[arg(long, value_name = "N")]
    pub(crate) gpus_per_nic: Option<NonZeroUsize>,
}

impl NeedArgs {
    /// True where anything is asked for.
    pub(crate) fn any(&self) -> bool {
        let any = self.cpus_per_gpu.is_some() || self.memory_per_gpu.is_some();
        any || !self.hugepages_per_gpu.is_empty() || self.gpus_per_nic.is_some()
    }
}
