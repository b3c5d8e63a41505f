//! Which GPUs may be chosen, and what the job needs beside them.

use super::registries::objectives;
use clap::Args;
use nvtopo::solve::{Constraint, HugePageNeed, SizeMix};
use nvtopo::{Bytes, GpuRef};

/// Which GPUs may be chosen, and what counts.
#[derive(Args, Debug)]
pub(crate) struct ChoiceArgs {
    /// Choose only among these: the free ones. An index (3 or GPU3), a UUID, or a PCI address each
    #[arg(long, value_name = "GPU,…", value_delimiter = ',')]
    pub(crate) only: Option<Vec<GpuRef>>,
    /// Do not take these
    #[arg(long, value_name = "GPU,…", value_delimiter = ',')]
    pub(crate) exclude: Vec<GpuRef>,
    /// Take these in any case
    #[arg(long, value_name = "GPU,…", value_delimiter = ',')]
    pub(crate) include: Vec<GpuRef>,
    /// What counts, most important first; what is left open the defaults decide
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', long_help = objectives())]
    pub(crate) objective: Option<Vec<String>>,
    /// What must hold between all of them: nvlink-group (of one NVLink group), numa-node (beside one NUMA node),
    /// pcie-switch (below one), at-least:X (X GB/s between each two)
    #[arg(long, value_name = "CONSTRAINT,…", value_delimiter = ',')]
    pub(crate) require: Vec<Constraint>,
    /// The first of these that can be met must be met as well; the answer says why not a better one
    #[arg(long, value_name = "CONSTRAINT,…", value_delimiter = ',')]
    pub(crate) prefer: Vec<Constraint>,
    /// How often jobs of each size come, by which what is left over is judged [default: all sizes alike]
    #[arg(long, value_name = "GPUS:WEIGHT,…")]
    pub(crate) mix: Option<SizeMix>,
    #[command(flatten)]
    pub(crate) needs: NeedArgs,
}

/// What the job needs beside each of its GPUs. Sets of GPUs that lack it are not chosen.
#[derive(Args, Debug)]
pub(crate) struct NeedArgs {
    /// So many CPUs (hardware threads) near each GPU, whole cores first [default: the GPU's share]
    #[arg(long, value_name = "N")]
    pub(crate) cpus_per_gpu: Option<usize>,
    /// So much memory for each GPU from the NUMA nodes beside it, such as 64GiB
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_per_gpu: Option<Bytes>,
    /// So many huge pages of a size for each GPU from the NUMA nodes beside it, such as 2MiB:1024
    #[arg(long, value_name = "SIZE:COUNT,…", value_delimiter = ',')]
    pub(crate) hugepages_per_gpu: Vec<HugePageNeed>,
    /// A NIC serves at most so many GPUs [default: as many as it has to where all GPUs use NICs]
    #[arg(long, value_name = "N")]
    pub(crate) gpus_per_nic: Option<usize>,
}

impl NeedArgs {
    /// Whether anything is asked for.
    pub(crate) fn any(&self) -> bool {
        let any = self.cpus_per_gpu.is_some() || self.memory_per_gpu.is_some();
        any || !self.hugepages_per_gpu.is_empty() || self.gpus_per_nic.is_some()
    }
}
