//! The arguments of the command.

mod audit;
mod baseline;
mod binding;
mod choice;
mod draw;
mod drill;
mod fleet;
mod input;
mod k8s;
mod registries;
mod report;
mod requirements;
mod validate;
mod variables;

pub(crate) use audit::{AuditArgs, AuditFormat, EvidenceArgs};
pub(crate) use baseline::BaselineArgs;
pub(crate) use binding::{BindArgs, RuleArgs};
use binding::{CpuArgs, LayoutArgs};
pub(crate) use choice::ChoiceArgs;
pub(crate) use draw::DrawArgs;
pub(crate) use drill::{DrillArgs, DrillFormat};
pub(crate) use fleet::{FleetArgs, FleetFormat};
pub(crate) use input::{InputArgs, OutputArgs, RateArgs, SourceArgs, TerminalArgs};
pub(crate) use k8s::{
    CheckArgs, ClaimsArgs, ClaimsCommand, ConfigArgs, ConfigForm, CpuManager, FileArgs, K8sArgs, K8sCommand,
    KubeletArgs, KubeletCommand, LabelForm, LabelsArgs, LintArgs, PlaybookArgs, PluginKind, PodArgs,
    PoliciesArgs, PredictArgs, ResourceTopologyArgs, TaintsArgs,
};
pub(crate) use report::ReportArgs;
pub(crate) use requirements::check;
pub(crate) use validate::{BetterWhat, CanaryWhen, CompareArgs, PoorWhat, ReportFormat, ValidateArgs};
pub(crate) use variables::{variable, with_variables};

use clap::{Args, Parser, Subcommand, ValueEnum};
use input::{JsonArgs, any_picture, picture};
use nvtopo::RankOrder;
use nvtopo::render::LaunchMemory;
use nvtopo::solve::mig::InstanceSize;
use nvtopo::solve::{SizeMix, Traffic, Transformer};
use nvtopo::source::Locator;
use nvtopo_draw::RENDERERS;
use registries::{
    launch_formats, objectives, place_formats, plan_formats, policies, selection_formats, writers,
    writers_help,
};
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  nvtopo                                       what is this machine?
  nvtopo show --from preset:dgx-a100           what is a DGX A100?
  nvidia-smi topo -m | nvtopo place --gpus 4 --from -
  nvtopo place --mig 3g.40gb                   where should a new MIG instance lie?
  nvtopo exec --gpus 4 ./job                   choose 4 GPUs, bind, and become ./job
  vars=$(nvtopo place --gpus 4 --format env) && env $vars ./job   the same without binding
  nvtopo snapshot --redact -o machine.tar.gz   what to send with a report of a bug
  nvtopo draw --gpus 4 -o machine.html         a page to click in
  nvtopo report -o report.html                 what is wrong, what to do, and what is there, in one page
  nvtopo convert --from preset:dgx-h100 --to json        the machine for another program
  nvtopo ranks --tp 2 --dp 4 --traffic tp=34GB,dp=10GB   which rank on which GPU?
  nvtopo plan --ranks 8 --from preset:dgx-h100           what does each rank get?
  nvtopo plan --format srun                    the same as an option of srun
  torchrun --no-python nvtopo exec python train.py
  nvtopo run --nproc-per-node 8 --label python train.py

Each option can be a variable: NVTOPO_ and its name, as in NVTOPO_CPUS_PER_GPU=8. It holds for every command that has
the option, and a command refuses a value that it does not know. Switches take 1, true, yes or on, and 0, false, no or off.

Exit codes: 0 done, 1 the request cannot be satisfied, 2 bad usage or input, or output that cannot be written;
audit and compare give 3 where too much is unknown; exec and run give 126 or 127 where their command cannot be run, else its own.";

/// The GPUs, NVLinks, PCIe, NUMA nodes, CPUs and NICs of a server, and the best GPUs for a job.
#[derive(Debug, Parser)]
#[command(name = "nvtopo", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) terminal: TerminalArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the machine: its GPUs and NICs, NUMA nodes, NVLink groups, and the paths between devices (the default)
    Show(ShowArgs),
    /// Choose the best GPUs for a job, with the CPUs, memory and NICs beside each
    Place(PlaceArgs),
    /// Map the ranks of a parallel job to GPUs so that it communicates fastest
    Ranks(RanksArgs),
    /// Show each GPU's share of the CPUs
    Cpus(CpusArgs),
    /// Show what each rank of a job on this machine gets, for people, programs and launchers
    Plan(PlanArgs),
    /// Bind to CPUs and memory near the GPUs, then become another command
    Exec(ExecArgs),
    /// Start the ranks of a job on this machine, each bound near its GPU
    Run(RunArgs),
    /// Compare two machines, or one at two times: what came, went, moved or changed
    Diff(DiffArgs),
    /// Check the machine: what is wrong with its NVLinks, PCIe, NUMA nodes, network and kubelet, and how to mend it
    Audit(Box<AuditArgs>),
    /// Write what is known of the machine for people: verdicts with remedies, picture, matrix, best GPUs; a page or a ticket
    Report(Box<ReportArgs>),
    /// Accept the machine as it is: write a baseline to compare it with later
    Baseline(BaselineArgs),
    /// Lose a GPU, NIC, NVLink, CPUs, switch or label, and say what placement, labels, pods, claims and the audit then say
    Drill(DrillArgs),
    /// Compare many nodes with each other: outliers, counts, and an inventory
    Fleet(FleetArgs),
    /// Measure the links by the usual microbenchmarks, and name those that fall short of what is possible
    Validate(Box<ValidateArgs>),
    /// Run a command under the best and under a poor placement in turn, and tell the difference
    Compare(CompareArgs),
    /// Write everything that discovery reads of this machine to a file, to send with a report of a bug
    Snapshot(SnapshotArgs),
    /// Draw the machine, with the best GPUs for a job: a picture, or a page to click in
    Draw(Box<DrawArgs>),
    /// Write the machine in a format that another program reads
    Convert(ConvertArgs),
    /// Play streams of jobs on the machine against several ways to choose GPUs
    Simulate(SimulateArgs),
    /// Print what the machine means for Kubernetes: labels, kubelet settings and predictions, claims, pods, policies
    K8s(K8sArgs),
    /// List the presets
    Presets(PresetsArgs),
    /// Print the completions of a shell, or install those of all shells with the manual pages
    Completions(CompletionsArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Draw the machine into this file (.svg, .html or .png); - prints the picture as SVG and nothing else
    #[arg(long, value_name = "FILE", value_parser = any_picture())]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
}

/// GPUs are matched by UUID, else by PCI address, else by number. A fact that only one of the two machines tells is no
/// difference; a note says so. Exits with 0 where nothing differs, and with 1 where something does.
#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The first machine: a source as for --from
    #[arg(value_name = "BEFORE")]
    pub(crate) before: Locator,
    /// The second machine: a source as for --from
    #[arg(value_name = "AFTER", default_value = "live")]
    pub(crate) after: Locator,
    /// Compare what the machines are built of and how it is connected, without numbers, names, addresses, serial numbers,
    /// software and settings: two machines of one kind are equal
    #[arg(long)]
    pub(crate) structure: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PresetsArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// With --install, the files lie where shells and man look for them: `share/bash-completion/completions`, `share/zsh/site-functions`,
/// `share/fish/vendor_completions.d` and `share/man/man1` below the prefix.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell whose completions to print
    #[arg(required_unless_present = "install", conflicts_with = "install")]
    pub(crate) shell: Option<CompletedShell>,
    /// Install the completions of bash, zsh and fish, and the manual pages, below this folder, such as ~/.local or /usr
    #[arg(long, value_name = "PREFIX")]
    pub(crate) install: Option<PathBuf>,
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletedShell {
    /// The Bourne-again shell
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}

/// The file is an archive (.tar.gz) of the parts of /sys and /proc that were read, and of what NVIDIA's driver answered.
/// `--from FILE` reads it anywhere as the machine that it was taken on.
#[derive(Args, Debug)]
pub(crate) struct SnapshotArgs {
    /// File to write; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Leave out serial numbers, UUIDs, host names, addresses, the names of containers and jobs, and the kernel's command
    /// line
    #[arg(long)]
    pub(crate) redact: bool,
    /// Machine to record: live (this machine), or a directory with a recorded /sys and /proc
    #[arg(long, value_name = "SOURCE", default_value = "live")]
    pub(crate) from: Locator,
}

/// Notes on standard error tell of assumptions, and of facts that the format cannot tell.
#[derive(Args, Debug)]
pub(crate) struct ConvertArgs {
    /// Format to write
    #[arg(long, value_name = "FORMAT", value_parser = writers(), hide_possible_values = true, long_help = writers_help())]
    pub(crate) to: String,
    /// File to write; - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Name of the machine in its cluster, for formats that name it (gres.conf, slurm.conf, libvirt-xml)
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Devices that a virtual machine gets by passthrough: GPUs (0-3, GPU0, UUID), NICs, PCI addresses. Every format describes
    /// that guest then
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) devices: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) rates: RateArgs,
}

/// On the machine itself, the plan is for the GPUs that `CUDA_VISIBLE_DEVICES` shows, and for the CPUs that are
/// allowed here; elsewhere for all.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// Number of ranks [default: what the launcher set, else one for each GPU]
    #[arg(long, value_name = "N")]
    pub(crate) ranks: Option<usize>,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Format of the plan
    #[arg(long, value_name = "FORMAT", default_value = RENDERERS[0].name(), value_parser = plan_formats(),
        long_help = launch_formats())]
    pub(crate) format: String,
    /// Memory policy of the ranks, where the launcher's format can say it: from the near nodes first (preferred), from
    /// the node of the asking CPU (local), from the near nodes only (bind) or in turn (interleave), or as before (none)
    /// [default: preferred for numactl and systemd, none for others]
    #[arg(long, value_name = "POLICY")]
    pub(crate) memory: Option<LaunchMemory>,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PlaceArgs {
    /// Number of GPUs
    #[arg(long, value_name = "N", required_unless_present = "mig")]
    pub(crate) gpus: Option<usize>,
    /// Place for a new MIG instance, by its profile (3g.40gb) or its number of compute slices (3): on which MIG-enabled
    /// GPU and where on it, so that most of what may come next still fits
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["gpus", "include", "objective", "require", "prefer", "free", "free_memory", "allowed_sets", "mix", "tolerance", "explain", "CpuArgs", "NeedArgs"])]
    pub(crate) mig: Option<InstanceSize>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    #[command(flatten)]
    pub(crate) cpus: CpuArgs,
    /// Tell also what the next best set is, what first fit would take, and what they would cost
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) rates: RateArgs,
    /// Format of the answer
    #[arg(long, value_name = "FORMAT", default_value = RENDERERS[0].name(), value_parser = place_formats(),
        long_help = selection_formats())]
    pub(crate) format: String,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// Chooses as many GPUs as the job has ranks, as `place` does, and deals them out so that the slowest groups of all
/// dimensions together take least. What each dimension moves is told in bytes or follows from a model.
#[derive(Args, Debug)]
pub(crate) struct RanksArgs {
    /// Tensor-parallel ranks (model-parallel in DeepSpeed)
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) tp: usize,
    /// Context-parallel ranks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) cp: usize,
    /// Expert-parallel ranks, among the context and data ranks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) ep: usize,
    /// Data-parallel ranks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) dp: usize,
    /// Pipeline stages
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) pp: usize,
    /// Order in which ranks run through the dimensions: Megatron-core's words with the fastest first, or DeepSpeed's axes with the
    /// fastest last (pipe,data,model)
    #[arg(long, value_name = "ORDER", default_value_t)]
    pub(crate) order: RankOrder,
    /// The transformer in training: layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B, and where they
    /// apply micro-batch=1, expert-parameters=…, top-k=…
    #[arg(long, value_name = "KEY=N,…")]
    pub(crate) model: Option<Transformer>,
    /// Traffic of a rank in one step in a dimension, such as tp=34.4GB; edp are the gradients of the experts. Counts before
    /// what follows from the model
    #[arg(long, value_name = "DIMENSION=BYTES,…", value_delimiter = ',')]
    pub(crate) traffic: Vec<Traffic>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CpusArgs {
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// With --gpus, chooses GPUs and sets `CUDA_VISIBLE_DEVICES`; CPUs, memory and huge pages per GPU count then only, and
/// bind to what was chosen instead of the shares of --policy. Without it, binds to the GPU of this process: under a
/// launcher (torchrun, mpirun, srun, …) local rank n uses the n-th visible GPU, and `CUDA_VISIBLE_DEVICES` is left as
/// it is. `OMP_NUM_THREADS` is set to the number of cores where it is not set and the cores are this process's own. Each
/// option can also be given by a variable, which `mpirun -x` passes on.
#[derive(Args, Debug)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) bind: BindArgs,
    /// Local rank of this process, from 0 [default: what the launcher set]. Deepspeed's
    /// `--local_rank=N` is taken before the subcommand too
    #[arg(long, alias = "local_rank", value_name = "N")]
    pub(crate) local_rank: Option<usize>,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Starts the command once for each rank, bound as `exec` binds it. Each gets RANK, `LOCAL_RANK`, `WORLD_SIZE` and
/// `LOCAL_WORLD_SIZE`, and `MASTER_ADDR` and `MASTER_PORT` where these are not set. With --gpus, the ranks share the chosen
/// GPUs. Rank 0 reads the standard input where that is no terminal. INT, TERM, HUP, USR1 and USR2 are passed on to all
/// ranks. When a rank fails the others get TERM, unless they were asked to end already. What has not ended the grace time
/// after a TERM, whoever sent it, gets KILL, as does what ranks started in turn and left behind in their process group.
/// The exit code is that of the first rank that failed, 128 and the signal's number where a signal ended it.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Number of ranks [default: one for each visible GPU]
    #[arg(long, alias = "nproc_per_node", value_name = "N")]
    pub(crate) nproc_per_node: Option<usize>,
    #[command(flatten)]
    pub(crate) bind: BindArgs,
    /// Begin each line that a rank prints with the rank, and keep lines whole
    #[arg(long)]
    pub(crate) label: bool,
    /// Seconds that ranks have to end, once one has failed or TERM came, before they are killed
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) grace: u32,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// A job that finds too few free GPUs is turned away, so that every policy places the same jobs. They are judged by what
/// the rings of their GPUs carry.
#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// The offered load: the GPUs that would be busy if no job was ever turned away, as a part of all [default: 0.9; of a
    /// trace with times: its own]
    #[arg(long, value_name = "LOAD")]
    pub(crate) load: Option<f64>,
    /// Number of jobs that arrive
    #[arg(long, value_name = "N", default_value_t = 200_000, conflicts_with = "trace")]
    pub(crate) jobs: usize,
    /// Mix of job sizes, as GPUs and weight [default: 1:.3,2:.25,3:.08,4:.2,5:.07,8:.1, as far as the
    /// machine has that many]
    #[arg(long, value_name = "GPUS:WEIGHT,…", conflicts_with = "trace")]
    pub(crate) sizes: Option<SizeMix>,
    /// The same seed gives the same jobs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Play these jobs: CSV with a column gpus (or `num_gpu`) and, where known, arrival and service (or
    /// `creation_time` and `deletion_time`)
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Play against these policies only
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', long_help = policies())]
    pub(crate) policy: Vec<String>,
    /// Objectives of the policy nvtopo, most important first; the defaults break ties
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', long_help = objectives())]
    pub(crate) objective: Option<Vec<String>>,
    /// Draw the result into this file, as SVG; - prints the picture and nothing else
    #[arg(long, value_name = "FILE", value_parser = picture())]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
}
