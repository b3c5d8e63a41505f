"""The extension module: what Rust gives to the package `nvtopo`. The docstrings are those of the module."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from os import PathLike
from typing import Literal, final

__all__ = [
    "Bound",
    "CpuSet",
    "Fabric",
    "Gpu",
    "GpuInstance",
    "HugePages",
    "InvalidInputError",
    "InvalidRequestError",
    "IoError",
    "Nic",
    "NodeSet",
    "NumaNode",
    "NvLink",
    "NvtopoError",
    "P2p",
    "Pair",
    "PcieLink",
    "PlacedGpu",
    "Placement",
    "RefusedError",
    "Score",
    "Share",
    "Shares",
    "Topology",
    "UnsatisfiableError",
    "UnsupportedError",
    "WrongMachineError",
    "_ERROR_KINDS",
    "__version__",
    "bind",
    "discover",
    "load",
    "loads",
    "main",
    "open",
    "preset",
    "presets",
    "snapshot",
]

__version__: str
_ERROR_KINDS: dict[str, type[NvtopoError]]

def discover() -> Topology:
    """This machine, as its kernel and, where there is one, NVIDIA's driver show it.

    The kernel alone does not know of NVLinks: `open("live", "topo.txt")` adds the text of `nvidia-smi topo -m`. A machine
    without GPUs is a topology without GPUs, not an error. What a person should know stands in `Topology.notes`.

    Raises NvtopoError where the machine cannot be read.

    >>> import nvtopo
    >>> topo = nvtopo.discover()  # doctest: +SKIP
    """

def load(path: str | PathLike[str]) -> Topology:
    """A topology from a file in any known format, or from a directory that holds a recorded machine.

    Formats are found by content: the text of `nvidia-smi topo -m`, hwloc's XML, nvtopo's own JSON, a snapshot, or the
    output of nvbandwidth, p2pBandwidthLatencyTest or ib_write_bw.

    Raises IoError where there is nothing to read, and InvalidInputError where what is there is damaged.

    >>> import nvtopo
    >>> topo = nvtopo.load("topo.txt")  # doctest: +SKIP
    """

def loads(text: str | bytes, name: str = "<string>") -> Topology:
    r"""A topology from a text in any known format. `name` is what messages call it.

    Raises InvalidInputError, with the line and the column, where the text is damaged.

    >>> import nvtopo
    >>> topo = nvtopo.loads("\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n")
    >>> topo.matrix
    [['X', 'NV4'], ['NV4', 'X']]
    """

def open(*sources: str | PathLike[str]) -> Topology:
    """A topology from several sources, merged; where they disagree, a note says so.

    A source is "live" (this machine), "preset:NAME", "-" (standard input), or a path.

    Raises as load, discover and preset do.

    >>> import nvtopo
    >>> topo = nvtopo.open("live", "topo.txt")  # doctest: +SKIP
    """

def preset(name: str) -> Topology:
    """The published layout of a product; `presets()` lists them. A preset is not a machine: nothing is bound by one
    unless it is trusted.

    Raises InvalidRequestError for an unknown name.

    >>> import nvtopo
    >>> len(nvtopo.preset("dgx-h100").gpus)
    8
    """

def presets() -> list[str]:
    """The names that preset takes.

    >>> import nvtopo
    >>> "dgx-h100" in nvtopo.presets()
    True
    """

def snapshot(path: str | PathLike[str], redact: bool = False) -> int:
    """Writes everything that discovery reads of this machine to a file, which open and load read anywhere as this machine.
    Returns its size in bytes.

    It is what to send with a report of a bug. With `redact`, serial numbers, UUIDs, host names, addresses, the names of
    containers and jobs, and the kernel's command line are left out. A file that is there is replaced.

    Raises IoError where the file cannot be written.

    >>> import nvtopo
    >>> nvtopo.snapshot("machine.tar.gz", redact=True)  # doctest: +SKIP
    """

def bind(
    target: Placement | Topology,
    local_rank: int | None = None,
    *,
    local_size: int | None = None,
    threads: Literal["all", "calling"] = "all",
    trust: bool = False,
    reserve_cpus: CpuSet | Iterable[int] | str | None = None,
) -> Bound:
    """Binds this process to the CPUs of its GPU, and lets it take memory near them first.

    By a placement, local rank n takes the n-th of its GPUs. By a topology, it takes the n-th of the GPUs or MIG instances
    that CUDA_VISIBLE_DEVICES shows, or of all where that is not set; CUDA_DEVICE_ORDER tells how they are counted. A
    process without a rank takes all of them.

    Call it before other libraries start: memory that is taken already stays where it is, and a memory policy holds
    for the calling thread and for what it starts.

    Args:
        target: a Placement or a Topology.
        local_rank: which process on this machine this is, from 0. None: what the launcher set (LOCAL_RANK of torchrun,
            OMPI_COMM_WORLD_LOCAL_RANK, SLURM_LOCALID, …); outside a launcher there is no rank.
        local_size: how many processes of the job are on this machine. None: what the launcher set; where it says nothing,
            the CPUs near the GPU are shared, since another process may use the same GPU.
        threads: "all" threads of the process, or the "calling" thread, whose children inherit from it.
        trust: bind by a topology of unknown origin too, such as a text or a preset. One that was recorded on another
            machine is refused even so.
        reserve_cpus: CPUs that are kept for others. By a topology only: a placement was given its CPUs by
            Topology.place.

    Raises WrongMachineError where the topology is not this machine's, RefusedError where none of the CPUs may be used,
    InvalidRequestError where the launcher's rank is no number. Memory that is refused is a warning in the answer.

    >>> import nvtopo
    >>> place = nvtopo.discover().place(gpus=4)  # doctest: +SKIP
    >>> nvtopo.bind(place).after                 # doctest: +SKIP
    CpuSet('0-13,112-125')
    """

def main(arguments: Sequence[str]) -> int:
    """Runs the command `nvtopo` with these arguments and returns its exit code.

    0: done, 1: the request cannot be satisfied, 2: bad usage or input. `exec` does not come back when it
    succeeds: the process becomes the command.
    """

@final
class Topology:
    """A machine as one graph: immutable, comparable, hashable, picklable, and safe to share between threads.

    Made by discover, load, loads, open and preset.

    >>> import nvtopo
    >>> dgx = nvtopo.preset("dgx-1-v100")
    >>> dgx.pair(0, 3).nvlinks
    2
    >>> dgx.place(gpus=4, exclude=[0]).gpus
    [4, 5, 6, 7]
    """

    @property
    def gpus(self) -> list[Gpu]:
        """The GPUs by increasing index."""

    @property
    def nics(self) -> list[Nic]:
        """The NICs in the source's order."""

    @property
    def numa_nodes(self) -> list[NumaNode]:
        """The NUMA nodes in the source's order."""

    @property
    def driver(self) -> str | None:
        """The version of NVIDIA's driver, such as "570.124.06", or None."""

    @property
    def cuda(self) -> str | None:
        """The latest CUDA version that the driver serves, such as "12.8", or None."""

    @property
    def hypervisor(self) -> str | None:
        """The hypervisor that runs the machine, such as "KVM", or "unnamed"; "" where there is none. None: nobody says."""

    @property
    def devices(self) -> list[str]:
        """The names of the GPUs and then of the NICs: what the rows and columns of `matrix` stand for."""

    @property
    def matrix(self) -> list[list[str | None]]:
        """The paths between all devices in nvidia-smi's words, such as "X", "NV12", "PIX": a row for each of `devices`,
        and in it a column for each. None: unknown.
        """

    @property
    def nvlink_groups(self) -> list[list[str]]:
        """The names of the GPUs that NVLink connects, group by group; a GPU without NVLink is a group of its own."""

    @property
    def notes(self) -> list[str]:
        """What a person should know about this topology, one sentence each."""

    @property
    def origin(self) -> str:
        """Which machine it describes: "machine" for a certain one, "preset:NAME" for a product, or "unknown"."""

    def pair(self, a: int | str, b: int | str) -> Pair:
        """What lies between two devices.

        A device is given by the index of a GPU, by its name ("GPU3", "mlx5_0"), or by a GPU's UUID or PCI address.

        Raises InvalidRequestError where there is no such device.

        >>> import nvtopo
        >>> pair = nvtopo.preset("dgx-h100").pair(0, "GPU7")
        >>> pair.path, pair.nvlinks, pair.gb_per_s, pair.basis
        ('NVL', 18, 450.0, 'nominal')
        """

    def p2p(self, a: int | str, b: int | str) -> P2p | None:
        """What the driver allows two GPUs to do with each other's memory, or None where nobody says.

        A GPU is named as in place.

        Raises InvalidRequestError where there is no such GPU.
        """

    def with_reported_rates(self) -> Topology:
        """The same machine with the rates that the hardware reports for its links, where it reports some. What was measured
        still counts more.

        >>> import nvtopo
        >>> dgx = nvtopo.preset("dgx-a100")  # a preset reports nothing
        >>> dgx.with_reported_rates() == dgx
        True
        """

    def place(
        self,
        gpus: int,
        *,
        only: Iterable[int | str] | None = None,
        exclude: Iterable[int | str] = (),
        include: Iterable[int | str] = (),
        objectives: Iterable[str] | None = None,
        require: Iterable[str] = (),
        prefer: Iterable[str] = (),
        mix: Mapping[int, float] | None = None,
        reserve_cpus: CpuSet | Iterable[int] | str | None = None,
        allowed_cpus: CpuSet | Iterable[int] | str | None = None,
    ) -> Placement:
        """Chooses the best GPUs, and the CPUs, memory and NICs beside each.

        A GPU is named by its index (3), its name ("GPU3"), its UUID or the start of one, or its PCI address. CPUs are
        a CpuSet, an iterable of integers, or a list like "0-1,16".

        Args:
            gpus: how many.
            only: choose among these, the free ones. None: among all.
            exclude: do not take these.
            include: take these in any case.
            objectives: what counts, most important first: "ring", "tree", "all-to-all", "min-pair", "pair-sum",
                "numa-span", "nic", "remainder", "mapa". What they leave open the defaults decide.
            require: what must hold between all of them: "nvlink-group", "numa-node", "pcie-switch", "at-least:50"
                (GB/s between each two).
            prefer: the first of these that can be met must be met as well; the placement says why not a better one.
            mix: how often jobs of each size come, such as {1: 0.5, 4: 0.5}: what is left over is judged by it. None:
                all sizes alike.
            reserve_cpus: CPUs that are kept for others.
            allowed_cpus: only these CPUs may be given to the job. None: on a topology of this machine those of
                the calling thread, on any other all.

        Raises InvalidRequestError for unknown names and contradictions, and UnsatisfiableError where there are not
        enough GPUs.

        >>> import nvtopo
        >>> place = nvtopo.preset("dgx-a100").place(gpus=2, exclude=["GPU0"], reserve_cpus="0-1")
        >>> len(place.gpus), place.optimal
        (2, True)
        """

    def cpus(
        self,
        *,
        reserve: CpuSet | Iterable[int] | str | None = None,
        allowed: CpuSet | Iterable[int] | str | None = None,
    ) -> Shares:
        """Deals the CPUs out to all GPUs: each gets its share of those nearest to it.

        Args:
            reserve: CPUs that are kept for others.
            allowed: only these CPUs are dealt out. None: on a topology of this machine those of the calling
                thread, on any other all.

        >>> import nvtopo
        >>> share = nvtopo.preset("dgx-h100").cpus(reserve="0-1").per_gpu[7]
        >>> share.index, str(share.cpus), str(share.mems)
        (7, '98-111,210-223', '1')
        """

    def to_json(self) -> str:
        """The topology as JSON that load and loads read back, equal in everything."""

    def to_text(self) -> str:
        """The topology as text for people, with tables."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[object, tuple[str]]: ...

@final
class Gpu:
    """One GPU.

    >>> import nvtopo
    >>> gpu = nvtopo.preset("dgx-h100").gpus[0]
    >>> gpu.name, str(gpu.cpus), gpu.uuid
    ('GPU0', '0-55,112-167', None)
    """

    @property
    def index(self) -> int:
        """The number by which tools name it, in PCI bus order."""

    @property
    def name(self) -> str:
        """"GPU" and the index."""

    @property
    def minor(self) -> int | None:
        """The number of its device file, 3 for "/dev/nvidia3", or None. It need not be the index."""

    @property
    def model(self) -> str | None:
        """The product's name, such as "NVIDIA H100 80GB HBM3", or None."""

    @property
    def compute_capability(self) -> str | None:
        """The architecture as CUDA numbers it, such as "9.0", or None."""

    @property
    def architecture(self) -> str | None:
        """The architecture's name, such as "Hopper", or None."""

    @property
    def uuid(self) -> str | None:
        """The driver's UUID, such as "GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab", or None."""

    @property
    def serial(self) -> str | None:
        """The serial number of the board, or None."""

    @property
    def address(self) -> str | None:
        """The place on the PCI bus, such as "0000:1b:00.0", or None."""

    @property
    def pcie(self) -> PcieLink | None:
        """Its PCIe link, or None."""

    @property
    def memory(self) -> int | None:
        """Its memory in bytes, or None."""

    @property
    def cpus(self) -> CpuSet | None:
        """The CPUs nearest to it, or None where nobody says."""

    @property
    def nodes(self) -> NodeSet | None:
        """The NUMA nodes nearest to it, or None where nobody says."""

    @property
    def mig(self) -> bool | None:
        """Whether it is divided into instances (MIG), or None where nobody says."""

    @property
    def instances(self) -> list[GpuInstance]:
        """Its instances (MIG)."""

    @property
    def fabric(self) -> Fabric | None:
        """Its place in an NVLink fabric, or None."""

    @property
    def nvlinks(self) -> list[NvLink]:
        """Its NVLinks one by one, as far as the driver tells them. `Topology.pair` sums those between two GPUs."""

    @property
    def unusable(self) -> str | None:
        """Why no job can use it, such as "has fallen off the bus". None: nothing is known against it."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class GpuInstance:
    """A part of a GPU that programs use as a GPU (MIG)."""

    @property
    def uuid(self) -> str | None:
        """The name for CUDA_VISIBLE_DEVICES, such as "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", or None."""

    @property
    def gpu_instance(self) -> int | None:
        """The number of the GPU instance in its GPU, or None."""

    @property
    def compute_instance(self) -> int | None:
        """The number of the compute instance in its GPU instance, or None."""

    @property
    def profile(self) -> str | None:
        """Its profile, such as "1g.10gb", or None."""

    @property
    def slices(self) -> int | None:
        """How many compute slices of the GPU it has, or None."""

    @property
    def memory(self) -> int | None:
        """Its memory in bytes, or None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Fabric:
    """The place of a GPU in an NVLink fabric."""

    @property
    def state(self) -> str:
        """How far its registration has come: "not-started", "in-progress", "completed" or "unknown"."""

    @property
    def status(self) -> int | None:
        """What came of it, as NVML numbers errors; 0 is success. None: unknown."""

    @property
    def cluster(self) -> str | None:
        """The UUID of the NVLink domain; None within one server."""

    @property
    def clique(self) -> int | None:
        """The number of the group in the domain whose GPUs reach each other, or None."""

    @property
    def health(self) -> int | None:
        """NVML's bits of what is wrong, or None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class NvLink:
    """One NVLink of a GPU."""

    @property
    def number(self) -> int:
        """Its number on this GPU."""

    @property
    def up(self) -> bool | None:
        """Whether it is up, or None where the driver did not tell."""

    @property
    def generation(self) -> int | None:
        """The generation of NVLink, from 1, as the driver tells it, or None."""

    @property
    def gb_per_s(self) -> float | None:
        """What the driver reports that it carries, one direction, in GB/s (1e9 bytes per second). None: unknown."""

    @property
    def far(self) -> str | None:
        """What is at its other end: "gpu", "switch" or "cpu". None: unknown."""

    @property
    def far_address(self) -> str | None:
        """The place on the PCI bus of what is at its other end, or None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class PcieLink:
    """The PCIe link of a device."""

    @property
    def generation(self) -> int | None:
        """The generation that it runs at now, or None. A GPU that is idle slows its link down."""

    @property
    def width(self) -> int | None:
        """How many lanes it runs with now, or None."""

    @property
    def max_generation(self) -> int | None:
        """The highest generation that both ends can do, or None."""

    @property
    def max_width(self) -> int | None:
        """The most lanes that both ends can do, or None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Nic:
    """One network interface or InfiniBand adapter."""

    @property
    def name(self) -> str:
        """The name that the source uses: "mlx5_0", "eth0", "NIC0"."""

    @property
    def address(self) -> str | None:
        """The place on the PCI bus, such as "0000:1b:00.0", or None."""

    @property
    def pcie(self) -> PcieLink | None:
        """Its PCIe link, or None."""

    @property
    def rdma_device(self) -> str | None:
        """The RDMA device, such as "mlx5_0", or None."""

    @property
    def net_devices(self) -> list[str]:
        """The network interfaces, such as ["eth0"]."""

    @property
    def model(self) -> str | None:
        """What its maker calls it: the type of the RDMA device ("MT4129") or the driver of the interface. Or None."""

    @property
    def firmware(self) -> str | None:
        """The version of its firmware, or None."""

    @property
    def state(self) -> str | None:
        """Whether its port can carry data: "down", "initialize", "armed" or "active". None: unknown."""

    @property
    def link_layer(self) -> str | None:
        """What its port speaks: "infiniband" or "ethernet". None: unknown."""

    @property
    def gb_per_s(self) -> float | None:
        """The rate of its port, one direction, in GB/s (1e9 bytes per second). None: unknown."""

    @property
    def measured_gb_per_s(self) -> float | None:
        """What its port was measured to carry, one direction, in GB/s (1e9 bytes per second). None: nobody measured."""

    @property
    def mtu(self) -> int | None:
        """The largest packet of its interface in bytes, or None."""

    @property
    def bond(self) -> str | None:
        """The bond that its interface belongs to, such as "bond0", or None."""

    @property
    def cpus(self) -> CpuSet | None:
        """The CPUs nearest to it, or None where nobody says."""

    @property
    def nodes(self) -> NodeSet | None:
        """The NUMA nodes nearest to it, or None where nobody says."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class NumaNode:
    """A NUMA node: memory, and the CPUs nearest to it."""

    @property
    def index(self) -> int:
        """The kernel's number, which need not be contiguous."""

    @property
    def cpus(self) -> CpuSet:
        """Its CPUs that are online; empty for nodes of memory only."""

    @property
    def memory(self) -> int | None:
        """Its memory in bytes, or None."""

    @property
    def huge_pages(self) -> list[HugePages]:
        """Pages that were set aside on it, by increasing size."""

    @property
    def gpu(self) -> str | None:
        """The place on the PCI bus of the GPU whose memory it is, or None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class HugePages:
    """Pages of one size that were set aside on a NUMA node."""

    @property
    def size(self) -> int:
        """The size of one in bytes."""

    @property
    def total(self) -> int:
        """How many there are."""

    @property
    def free(self) -> int:
        """How many of them are free."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class P2p:
    """What the driver allows two GPUs to do with each other's memory, in the words of `nvidia-smi topo -p2p`: "OK", or why
    not ("CNS", "GNS", "TNS", "DR", "NS", "U"). None: unknown.
    """

    @property
    def read(self) -> str | None:
        """Reading."""

    @property
    def write(self) -> str | None:
        """Writing."""

    @property
    def nvlink(self) -> str | None:
        """Going over NVLink."""

    @property
    def atomics(self) -> str | None:
        """Atomic operations."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Pair:
    """What lies between two devices."""

    @property
    def path(self) -> str | None:
        """The class of the best path as nvidia-smi names it: "NVL" for NVLink, "PIX", "PXB", "PHB", "NODE", "SYS", …
        None: unknown.
        """

    @property
    def nvlinks(self) -> int:
        """How many NVLinks the pair can use at once; 0 where the path is not NVLink."""

    @property
    def gb_per_s(self) -> float | None:
        """What the path carries in one direction, in GB/s (1e9 bytes per second). None: unknown."""

    @property
    def basis(self) -> str | None:
        """How the bandwidth is known: "measured", "reported", "nominal", "typical" or "assumed". None: it is not."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Share:
    """The share of one GPU in the CPUs."""

    @property
    def index(self) -> int:
        """The GPU's index."""

    @property
    def cpus(self) -> CpuSet:
        """Its CPUs."""

    @property
    def mems(self) -> NodeSet:
        """The NUMA nodes to take memory from; empty when unknown."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Shares:
    """The shares of all GPUs in the CPUs."""

    @property
    def per_gpu(self) -> list[Share]:
        """One share for each GPU, in the order of `Topology.gpus`."""

    @property
    def remarks(self) -> list[str]:
        """What a person should know: shared or remote CPUs, unknown locality."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Placement:
    """The GPUs for a job, and what belongs to each. Made by Topology.place.

    >>> import nvtopo
    >>> place = nvtopo.preset("dgx-h100").place(gpus=2)
    >>> print(place)
    GPU0,GPU1 on CPUs 0-27,112-139
    >>> place.per_gpu[0].nics, place.optimal
    (['mlx5_0'], True)
    """

    @property
    def gpus(self) -> list[int]:
        """The indices of the chosen GPUs in the order to use: local rank n takes the n-th."""

    @property
    def per_gpu(self) -> list[PlacedGpu]:
        """The chosen GPUs with what belongs to each, in the order to use."""

    @property
    def cpus(self) -> CpuSet:
        """The CPUs of all chosen GPUs together."""

    @property
    def mems(self) -> NodeSet:
        """The memory nodes of all chosen GPUs together; empty when any is unknown."""

    @property
    def score(self) -> list[Score]:
        """One value for each objective, most important first."""

    @property
    def optimal(self) -> bool:
        """Whether it is proven that no set of GPUs is better."""

    @property
    def why(self) -> str:
        """One sentence of why."""

    @property
    def preference(self) -> str | None:
        """The first of what was preferred that can be met. None: nothing was preferred, or nothing can be met."""

    @property
    def unmet(self) -> list[str]:
        """What was preferred to that, and why it cannot be had."""

    @property
    def remarks(self) -> list[str]:
        """What a person should know about the CPUs and memory given."""

    def env(self) -> dict[str, str]:
        """The variables that show a process just these GPUs, in this order: CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES.

        Set them before the process starts CUDA, and alike in all processes of a job.

        >>> import nvtopo
        >>> nvtopo.preset("dgx-h100").place(gpus=2).env()
        {'CUDA_DEVICE_ORDER': 'PCI_BUS_ID', 'CUDA_VISIBLE_DEVICES': '0,1'}
        """

    def to_json(self) -> str:
        """The placement as JSON for programs."""

    def to_text(self) -> str:
        """The placement as text for people, with tables."""

@final
class PlacedGpu:
    """One chosen GPU with what belongs to it."""

    @property
    def index(self) -> int:
        """The index by which tools name it."""

    @property
    def uuid(self) -> str | None:
        """The driver's UUID, or None."""

    @property
    def address(self) -> str | None:
        """The place on the PCI bus, such as "0000:1b:00.0", or None."""

    @property
    def cpus(self) -> CpuSet:
        """Its share of the CPUs; disjoint between GPUs wherever there are enough CPUs."""

    @property
    def mems(self) -> NodeSet:
        """The NUMA nodes to take memory from; empty when unknown."""

    @property
    def nics(self) -> list[str]:
        """The names of the NICs nearest to it, all of one path class."""

    @property
    def nic_path(self) -> str | None:
        """The class of the path to these NICs, such as "PIX". None: there is no NIC, or no path is known."""

    @property
    def nic(self) -> str | None:
        """The name of the NIC to use, so that none serves more GPUs than its share."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Score:
    """The value of a placement by one objective."""

    @property
    def objective(self) -> str:
        """The objective's name."""

    @property
    def value(self) -> float:
        """The value in its unit."""

    @property
    def unit(self) -> str:
        """The unit: "GB/s" (1e9 bytes per second, one direction), "NUMA nodes", or "share" (a part of 1)."""

    @property
    def bound(self) -> float | None:
        """No set of GPUs is better than this. None: no bound is known."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Bound:
    """What bind did."""

    @property
    def gpus(self) -> list[int]:
        """The indices of the GPUs that this process was bound beside."""

    @property
    def before(self) -> CpuSet:
        """The CPUs of the calling thread before."""

    @property
    def after(self) -> CpuSet:
        """The CPUs of the calling thread now."""

    @property
    def threads(self) -> int:
        """How many threads were moved."""

    @property
    def mems(self) -> NodeSet | None:
        """The nodes that memory is now taken from first. None: the policy is as it was."""

    @property
    def warnings(self) -> list[str]:
        """What was refused or could not be done."""

    @property
    def remarks(self) -> list[str]:
        """What a person should know about the CPUs and memory given."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class CpuSet(Set[int]):
    """An immutable set of logical CPUs by the kernel's numbers, 0 to 65535.

    Made of an iterable of integers, or of a text in the kernel's list syntax. A `collections.abc.Set`: it is
    compared, combined and hashed like a frozenset, and goes wherever CPUs are given as integers.

    Raises InvalidInputError for a text that is no list, InvalidRequestError for a number out of range.

    >>> from nvtopo import CpuSet
    >>> cpus = CpuSet("0-7,16-23")
    >>> len(cpus), 16 in cpus, str(cpus & {6, 7, 8})
    (16, True, '6-7')
    >>> cpus.to_mask()
    '00ff00ff'
    """

    def __new__(cls, indices: CpuSet | Iterable[int] | str = ()) -> CpuSet: ...
    @staticmethod
    def from_mask(text: str) -> CpuSet:
        """Reads the kernel's mask syntax, such as "00000000,000000ff", and plain hexadecimal numbers.

        Raises InvalidInputError for anything else.
        """

    def to_mask(self) -> str:
        """The set in the kernel's mask syntax: groups of 32 bits in hexadecimal, highest first."""

    def isdisjoint(self, other: CpuSet | Iterable[int] | str) -> bool:
        """Whether the sets share no index. Takes any iterable of indices."""

    def __contains__(self, item: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[int]: ...
    def __and__(self, other: Set[object], /) -> CpuSet: ...
    def __rand__(self, other: Set[object], /) -> CpuSet: ...
    def __or__(self, other: Set[int], /) -> CpuSet: ...  # type: ignore[override]
    def __ror__(self, other: Set[int], /) -> CpuSet: ...
    def __sub__(self, other: Set[object], /) -> CpuSet: ...
    def __rsub__(self, other: Set[int], /) -> CpuSet: ...
    def __xor__(self, other: Set[int], /) -> CpuSet: ...  # type: ignore[override]
    def __rxor__(self, other: Set[int], /) -> CpuSet: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __le__(self, other: Set[object], /) -> bool: ...
    def __lt__(self, other: Set[object], /) -> bool: ...
    def __ge__(self, other: Set[object], /) -> bool: ...
    def __gt__(self, other: Set[object], /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[type[CpuSet], tuple[str]]: ...

@final
class NodeSet(Set[int]):
    """An immutable set of NUMA nodes by the kernel's numbers, 0 to 65535.

    Like CpuSet, and never equal to one: a node is not a CPU.

    >>> from nvtopo import NodeSet
    >>> sorted(NodeSet("0,8") | {9})
    [0, 8, 9]
    """

    def __new__(cls, indices: NodeSet | Iterable[int] | str = ()) -> NodeSet: ...
    @staticmethod
    def from_mask(text: str) -> NodeSet:
        """Reads the kernel's mask syntax, such as "00000000,000000ff", and plain hexadecimal numbers.

        Raises InvalidInputError for anything else.
        """

    def to_mask(self) -> str:
        """The set in the kernel's mask syntax: groups of 32 bits in hexadecimal, highest first."""

    def isdisjoint(self, other: NodeSet | Iterable[int] | str) -> bool:
        """Whether the sets share no index. Takes any iterable of indices."""

    def __contains__(self, item: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[int]: ...
    def __and__(self, other: Set[object], /) -> NodeSet: ...
    def __rand__(self, other: Set[object], /) -> NodeSet: ...
    def __or__(self, other: Set[int], /) -> NodeSet: ...  # type: ignore[override]
    def __ror__(self, other: Set[int], /) -> NodeSet: ...
    def __sub__(self, other: Set[object], /) -> NodeSet: ...
    def __rsub__(self, other: Set[int], /) -> NodeSet: ...
    def __xor__(self, other: Set[int], /) -> NodeSet: ...  # type: ignore[override]
    def __rxor__(self, other: Set[int], /) -> NodeSet: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __le__(self, other: Set[object], /) -> bool: ...
    def __lt__(self, other: Set[object], /) -> bool: ...
    def __ge__(self, other: Set[object], /) -> bool: ...
    def __gt__(self, other: Set[object], /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[type[NodeSet], tuple[str]]: ...

class NvtopoError(Exception):
    """Whatever nvtopo cannot do. Its subclasses say which kind of thing went wrong.

    Attributes:
        kind: the kind in one word, the same for all errors of a class.
        message: what was wrong, without the place and the advice that `str()` adds.
        advice: what a person can do about it, or None.
        input_name: the file that the error is about, or None.
        line: the line in that file, counted from 1, or None.
        column: the column of that line in characters, counted from 1, or None.
    """

    kind: str
    message: str | None
    advice: str | None
    input_name: str | None
    line: int | None
    column: int | None

class InvalidInputError(NvtopoError, ValueError):
    """The input is damaged, of no known format, or beyond a stated limit. Also a ValueError."""

class InvalidRequestError(NvtopoError, ValueError):
    """The question is wrong in itself: an unknown name, a contradiction, a number out of range. Also a ValueError."""

class UnsatisfiableError(NvtopoError):
    """The question is sound, but this machine cannot satisfy it."""

class IoError(NvtopoError, OSError):
    """A file could not be read, or a system call failed. Also an OSError, with `errno` where there is one."""

class WrongMachineError(NvtopoError):
    """The topology is not known to be this machine's, and the call would change this machine."""

class RefusedError(NvtopoError, PermissionError):
    """The kernel or the sandbox refused what was asked. Also a PermissionError."""

class UnsupportedError(NvtopoError):
    """This build or this system cannot do what was asked."""
