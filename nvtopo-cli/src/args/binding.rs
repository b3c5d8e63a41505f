//! The options for sharing out CPUs and for binding processes.

use super::choice::ChoiceArgs;
use super::input::{RateArgs, SourceArgs};
use super::registries::cpu_policies;
use clap::Args;
use nvtopo::MemoryPolicy;
use nvtopo::apply::{Export, Scope};
use nvtopo::solve::Distribution;
use nvtopo::{Cores, CpuLimits, CpuPolicy, CpuSet, Isolated, RankLayout, Smt};

#[derive(Args, Debug)]
pub(crate) struct CpuArgs {
    /// Keep these CPUs for others, as a list like 0-1,16
    #[arg(long, value_name = "CPUS")]
    pub(crate) reserve: Option<CpuSet>,
    /// Leave isolated CPUs (isolcpus, isolated cpusets) out where there are others (avoid), or use them as all others
    #[arg(long, value_name = "avoid|use", default_value_t)]
    pub(crate) isolated: Isolated,
    /// Use all cores, or the fast ones of a machine whose cores are not alike: performance cores, priority cores
    #[arg(long, value_name = "all|fast", default_value_t)]
    pub(crate) cores: Cores,
}

impl CpuArgs {
    /// Returns the limits of the CPUs that are dealt out, among the allowed ones.
    pub(crate) fn limits(&self, allowed: Option<CpuSet>) -> CpuLimits {
        let reserved = self.reserve.clone().unwrap_or_default();
        CpuLimits { allowed, reserved, isolated: self.isolated, cores: self.cores }
    }
}

/// The options for sharing out CPUs.
#[derive(Args, Debug)]
pub(crate) struct RuleArgs {
    /// Policy by which CPUs are shared out
    #[arg(long, value_name = "NAME", default_value_t, long_help = cpu_policies())]
    pub(crate) policy: CpuPolicy,
    /// Use all hardware threads of a core, or one and leave its siblings idle
    #[arg(long, value_name = "all|one", default_value_t)]
    pub(crate) smt: Smt,
    /// Deal out the CPUs that this process is bound to (affinity), or all that it may bind itself to (cpuset): a launcher
    /// such as Open MPI binds each rank to one core
    #[arg(long, value_name = "affinity|cpuset", default_value_t)]
    pub(crate) scope: Scope,
    /// Keep these CPUs for others, as a list like 0-1,16
    #[arg(long, value_name = "CPUS")]
    pub(crate) reserve: Option<CpuSet>,
    /// Leave isolated CPUs (isolcpus, isolated cpusets) out where there are others (avoid), or use them as all others
    #[arg(long, value_name = "avoid|use", default_value_t)]
    pub(crate) isolated: Isolated,
    /// Use all cores, or the fast ones of a machine whose cores are not alike: performance cores, priority cores
    #[arg(long, value_name = "all|fast", default_value_t)]
    pub(crate) cores: Cores,
    /// Number of cores near each NIC to keep for its interrupts
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) reserve_nic_cores: usize,
}

/// The options for the GPUs and cores of each rank.
#[derive(Args, Debug)]
pub(crate) struct LayoutArgs {
    /// The number of GPUs for each rank; 0: ranks use no GPU, and share the CPUs equally, each inside a NUMA node where there are
    /// enough ranks for that [default: one, which ranks share where they are more than the GPUs]
    #[arg(long, value_name = "N")]
    pub(crate) gpus_per_rank: Option<usize>,
    /// Neighbouring ranks on neighbouring GPUs (block), or in turns (cyclic). Without GPUs: on one NUMA node, or in turns
    /// [default: block, but ranks that share GPUs take turns]
    #[arg(long, value_name = "block|cyclic")]
    pub(crate) distribution: Option<Distribution>,
    /// The number of cores for each rank, of those that it would get; the rest stays free [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) cores_per_rank: Option<usize>,
}

impl LayoutArgs {
    pub(crate) fn layout(&self) -> RankLayout {
        RankLayout { gpus: self.gpus_per_rank, distribution: self.distribution, cores: self.cores_per_rank }
    }
}

/// The options for binding processes.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct BindArgs {
    /// Choose this many GPUs and show the command only these
    #[arg(long, value_name = "N")]
    pub(crate) gpus: Option<usize>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) rates: RateArgs,
    /// Take memory from the near nodes first (preferred), from the node of the asking CPU (local), from the near nodes only
    /// (bind) or in turn (interleave), or as before (none)
    #[arg(long, value_name = "POLICY", default_value = "preferred", value_parser = memory_policy)]
    pub(crate) memory: MemoryChoice,
    /// Tell the command what was chosen by variables: gpus (`CUDA_VISIBLE_DEVICES` as UUIDs, or as
    /// indices where these are unknown), threads (`OMP_NUM_THREADS`
    /// even where it is set), ib-hca (`NCCL_IB_HCA`, the same for all ranks), ucx-device (`UCX_NET_DEVICES`),
    /// uccl-device (`UCCL_P2P_RDMA_DEV`), nvshmem-hca (`NVSHMEM_HCA_LIST`), vllm-nics (`VLLM_GPU_NIC_PCIE_MAPPING`, the same
    /// for all ranks)
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',')]
    pub(crate) export: Vec<Export>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Say in one line for each process what was done
    #[arg(long)]
    pub(crate) report: bool,
    /// Fail where there is nothing to bind to, as no GPU is found or its CPUs are unknown. Else the command runs unbound
    #[arg(long)]
    pub(crate) require_binding: bool,
    /// Bind by a topology of unknown origin, such as a text or a preset. One of another machine is refused even so
    #[arg(long)]
    pub(crate) trust_topology: bool,
}

/// The memory policy; `None` leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryChoice(pub(crate) Option<MemoryPolicy>);

fn memory_policy(text: &str) -> nvtopo::Result<MemoryChoice> {
    MemoryPolicy::parse_or_none(text).map(MemoryChoice)
}
