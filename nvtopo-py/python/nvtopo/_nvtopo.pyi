"""The extension module: what Rust gives to the package `nvtopo`. The docstrings are those of the module."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from os import PathLike
from typing import Any, Literal, final, overload

# collections.abc has it from Python 3.12 on.
from typing_extensions import Buffer

__all__ = [
    "Allocator",
    "Alternative",
    "BandwidthMatrix",
    "Batch",
    "BestSet",
    "Binding",
    "Bound",
    "Change",
    "Chooser",
    "CpuSet",
    "Diff",
    "DimensionTime",
    "Explanation",
    "Fabric",
    "Gpu",
    "GpuInstance",
    "HugePages",
    "InstancePlacement",
    "InvalidInputError",
    "InvalidRequestError",
    "IoError",
    "Job",
    "Loss",
    "Nic",
    "NodeSet",
    "Note",
    "NumaNode",
    "NvLink",
    "NvtopoError",
    "P2p",
    "Pair",
    "Part",
    "PcieLink",
    "PlacedGpu",
    "Placement",
    "Plan",
    "RankGroup",
    "RankMap",
    "RefusedError",
    "Request",
    "Score",
    "Share",
    "Shares",
    "Topology",
    "UnsatisfiableError",
    "UnsupportedError",
    "VisibleGpus",
    "WrongMachineError",
    "Written",
    "_ERROR_KINDS",
    "__version__",
    "_remake",
    "best_set",
    "bind",
    "bound",
    "cpu_policies",
    "discover",
    "hazards",
    "k8s_claims",
    "k8s_claims_check",
    "k8s_kubelet_config",
    "k8s_kubelet_lint",
    "k8s_kubelet_predict",
    "k8s_kubelet_predict_mix",
    "k8s_labels",
    "k8s_playbook",
    "k8s_pod",
    "k8s_policies",
    "k8s_resource_topology",
    "k8s_taints",
    "launch_formats",
    "load",
    "loads",
    "main",
    "open",
    "preset",
    "presets",
    "snapshot",
    "writers",
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

def best_set(
    matrix: Any,
    count: int,
    *,
    free: Iterable[int] | None = None,
    include: Iterable[int] = (),
    objective: Literal["min-pair", "pair-sum"] = "min-pair",
) -> BestSet:
    """The best `count` GPUs by what each pair of them is worth, for schedulers that have numbers and no topology.

    `matrix` is any buffer of n rows and n columns (numpy.ndarray, BandwidthMatrix, memoryview, ...) of up to 128 GPUs, in
    which more is better. The diagonal is not looked at. Where the two directions of a pair differ, the lower number counts.
    NaN is unknown: such a pair is compared as if it were worth 0. GPUs are named by their rows, from 0.

    free: the GPUs that may be chosen; None: all. include: those that must be chosen. objective: "min-pair", the worst pair
    of the set, or "pair-sum", the sum of its pairs. The lowest GPUs of several best sets are chosen.

    Raises UnsatisfiableError where not so many GPUs are free, InvalidRequestError for a contradiction or a matrix that is
    not square or holds a negative number, and UnsupportedError for more than 128 GPUs.

    >>> import nvtopo
    >>> rates = memoryview(bytes([0, 9, 5, 1,  9, 0, 5, 1,  5, 5, 0, 1,  1, 1, 1, 0])).cast("B", (4, 4))
    >>> nvtopo.best_set(rates, 3, objective="pair-sum")
    <BestSet [0, 1, 2], value 19, proven>
    >>> nvtopo.best_set(rates, 2, free=[1, 2, 3], include=[3]).gpus
    [1, 3]
    """

def load(path: str | PathLike[str]) -> Topology:
    """A topology from a file in any known format, or from a directory with a recorded machine or saved outputs of tools.

    Formats are found by content: a text of `nvidia-smi` (`topo -m`, `-q`, `-L`, `nvlink`, `topo -p2p`), hwloc's XML,
    nvtopo's own JSON, a snapshot, or the
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
    target: Placement | Topology | Part,
    local_rank: int | None = None,
    *,
    local_size: int | None = None,
    threads: Literal["all", "calling"] = "all",
    trust: bool = False,
    reserve_cpus: CpuSet | Iterable[int] | str | None = None,
    policy: str | None = None,
    smt: Literal["all", "one"] | None = None,
    isolated: Literal["avoid", "use"] | None = None,
    cores: Literal["all", "fast"] | None = None,
    memory: Literal["preferred", "local", "bind", "interleave", "none"] = "preferred",
    scope: Literal["affinity", "cpuset"] | None = None,
    require: bool = False,
    on_error: Literal["raise", "warn"] = "raise",
) -> Bound:
    """Binds this process to the CPUs of its GPU, and lets it take memory near them first.

    By a placement, local rank n takes the n-th of its GPUs, and a rank beyond them is an error. By a topology, it takes
    the n-th of the GPUs or MIG instances that CUDA_VISIBLE_DEVICES shows, or of all where that is not set;
    CUDA_DEVICE_ORDER tells how they are counted. A process without a rank takes all of them. A part of a plan is what it
    is.

    Call it before other libraries start: memory that is taken already stays where it is, and a memory policy holds
    for the calling thread and for what it starts.

    Args:
        target: a Placement, a Topology, or a Part of a Plan.
        local_rank: which process on this machine this is, from 0. None: what the launcher set (LOCAL_RANK of torchrun,
            OMPI_COMM_WORLD_LOCAL_RANK, SLURM_LOCALID, …); outside a launcher there is no rank.
        local_size: how many processes of the job are on this machine. None: what the launcher set; where it says nothing,
            the CPUs near the GPU are shared, since another process may use the same GPU.
        threads: "all" threads of the process, or the "calling" thread, whose children inherit from it.
        trust: bind by a topology of unknown origin too, such as a text or a preset. One that was recorded on another
            machine is refused even so.
        reserve_cpus: CPUs that are kept for others. This and policy, smt, isolated, cores and scope are for a topology only: a
            placement and a part have their CPUs.
        policy: how CPUs are dealt out, "exclusive" by default; `cpu_policies()` lists the names.
        smt: "all" threads of a core (the default), or "one".
        isolated: whether CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) are left out where there
            are others ("avoid", the default), or are as all others ("use").
        cores: "all" (the default), or the "fast" ones of a machine whose cores are not alike: performance cores, priority
            cores.
        memory: how memory is taken from now on: from the near nodes first ("preferred"), from the node of the CPU that
            asks ("local"), from the near nodes only ("bind"), from them in turn ("interleave"), or as before ("none").
        scope: what is dealt out: the "affinity" of the calling thread (default), or all that the kernel would let it
            have ("cpuset"), whatever a launcher has bound it to.
        require: fail where there is nothing to bind to, as no GPU is found or its CPUs are unknown. By default the process
            then runs on unbound, and a remark in the answer says why.
        on_error: "raise" what cannot be done, or "warn": then it is a RuntimeWarning and stands in the answer's warnings,
            and the process runs on as it was.

    Raises WrongMachineError where the topology is not this machine's, RefusedError where none of the CPUs may be used,
    InvalidRequestError for a rank beyond the placement, where the launcher's rank is no number, and for unknown names even
    with on_error="warn"; with `require`, UnsatisfiableError where there is nothing to bind to. Memory that is refused is a
    warning in the answer.

    >>> import nvtopo
    >>> place = nvtopo.discover().place(gpus=4)  # doctest: +SKIP
    >>> nvtopo.bind(place).after                 # doctest: +SKIP
    CpuSet('0-13,112-125')
    """

def bound(
    target: Placement | Topology | Part,
    local_rank: int | None = None,
    *,
    local_size: int | None = None,
    threads: Literal["all", "calling"] = "all",
    trust: bool = False,
    reserve_cpus: CpuSet | Iterable[int] | str | None = None,
    policy: str | None = None,
    smt: Literal["all", "one"] | None = None,
    isolated: Literal["avoid", "use"] | None = None,
    cores: Literal["all", "fast"] | None = None,
    memory: Literal["preferred", "local", "bind", "interleave", "none"] = "preferred",
    scope: Literal["affinity", "cpuset"] | None = None,
    require: bool = False,
    on_error: Literal["raise", "warn"] = "raise",
) -> Binding:
    """As bind, for the block of a `with` statement: at its end, what was found comes back.

    The arguments are those of bind. What bind would do is done when the block is entered, and the block gets what bind
    would answer. It must end in the thread that entered it. Threads that start in between go where that thread goes.

    >>> import nvtopo
    >>> with nvtopo.bound(nvtopo.discover()) as done:  # doctest: +SKIP
    ...     print(done.after)
    """

def hazards(environ: Mapping[str, str] | None = None) -> list[str]:
    """Warnings for the variables that undo a binding after it was made: OMP_PLACES, OMP_PROC_BIND, GOMP_CPU_AFFINITY and
    KMP_AFFINITY. Nothing is set or unset.

    Args:
        environ: the variables of the process. None: os.environ.

    >>> import nvtopo
    >>> nvtopo.hazards({"OMP_PROC_BIND": "close"})[0].split(":")[0]
    'OMP_PROC_BIND=close undoes the binding'
    """

def k8s_labels(topology: Topology, *, prefix: str = "nvtopo.io/", per_gpu: bool = False) -> dict[str, str]:
    """Returns the labels of a node of Kubernetes: NVLink groups, NUMA layout, NICs, and a fingerprint that nodes of equal structure
    share.

    Args:
        topology: the node.
        prefix: what stands before each name: a namespace and a slash, the beginning of names ("gpu"), or both.
        per_gpu: labels of each GPU too.

    Labels whose facts are unknown are left out.

    Raises InvalidRequestError for a prefix that Kubernetes or Node Feature Discovery refuses.

    >>> import nvtopo, nvtopo.k8s
    >>> nvtopo.k8s.labels(nvtopo.preset("rtx-a6000-4-bridged"))["nvtopo.io/nvlink.group"]
    '2_2'
    """

def k8s_pod(
    topology: Topology,
    gpus: int,
    *,
    name: str,
    image: str,
    claim: str | None = None,
    cpus_per_gpu: int | None = None,
    memory_per_gpu: int | None = None,
    rdma: str | None = None,
    version: str = "1.37",
) -> str:
    """Returns a pod for a job of some GPUs on nodes like one, as YAML: of the class Guaranteed, with whole CPUs, and on nodes
    whose labels say that they fit.

    Args:
        topology: the node.
        gpus: how many GPUs.
        name: the pod's name.
        image: the image of its container.
        claim: the ResourceClaimTemplate that its GPUs are claimed by (DRA). None: a device plugin gives them.
        cpus_per_gpu: CPUs for each GPU. None: the GPU's share of the machine.
        memory_per_gpu: bytes for each GPU. None: three quarters of what is beside it.
        rdma: the extended resource of RDMA devices, of which the pod gets one for each GPU.
        version: the version of Kubernetes.

    Raises UnsatisfiableError where there are not so many GPUs, or neither the topology nor the arguments tell the CPUs or the
    memory.

    >>> import nvtopo, nvtopo.k8s
    >>> pod = nvtopo.k8s.pod(nvtopo.preset("dgx-h100"), 4, name="train", image="train:1", memory_per_gpu=200 << 30)
    >>> 'nvidia.com/gpu: "4"' in pod
    True
    """

def k8s_policies(
    topology: Topology, *, namespace: str = "default", allow: Sequence[str] = (), quota: int | None = None
) -> str:
    """Returns admission policies, a quota, rights and networks for nodes like one, as YAML documents.

    Args:
        topology: the node.
        namespace: the namespace that they are for.
        allow: who may ask for more GPUs than one NVLink group has, or for claims: "NAMESPACE/SERVICEACCOUNT" or
            "NAMESPACE/*". Empty: all.
        quota: the most GPUs that the namespace may ask for.

    Raises UnsatisfiableError for a node without GPUs or of unknown NVLinks, and InvalidRequestError for names that Kubernetes
    refuses.

    >>> import nvtopo, nvtopo.k8s
    >>> policies = nvtopo.k8s.policies(nvtopo.preset("dgx-h100"), namespace="train", quota=16)
    >>> "gpuCounts: 1,2,4,8" in policies
    True
    """

def k8s_kubelet_config(
    topology: Topology,
    *,
    version: str = "1.37",
    reserved_cores: int | None = None,
    reserved_memory: int | None = None,
    largest_pod: int | None = None,
    hugepages: Sequence[str] = (),
    isolated_cores: int = 0,
    alpha: bool = False,
) -> str:
    """Returns the configuration of the kubelet for a node, as YAML, with the reason above each line. Unknown settings are left
    out, with the reason.

    Args:
        topology: the node.
        version: the version of Kubernetes.
        reserved_cores: cores for the system. None: one in 16, and at least one of each socket.
        reserved_memory: bytes for the system and for eviction. None: by the size of the memory.
        largest_pod: the GPUs of the largest pod. None: all.
        hugepages: huge pages on each NUMA node, such as "2M:1024".
        isolated_cores: cores that the kernel keeps out of scheduling, for programs outside Kubernetes.
        alpha: options that are alpha in this version too, with their gates.

    Raises UnsatisfiableError where so much cannot be reserved.

    >>> import nvtopo, nvtopo.k8s
    >>> config = nvtopo.k8s.kubelet_config(nvtopo.preset("dgx-h100"), version="1.34")
    >>> "cpuManagerPolicy: static" in config
    True
    """

def k8s_kubelet_lint(
    config: str,
    topology: Topology | None = None,
    *,
    version: str = "1.37",
    largest_pod: int | None = None,
    name: str = "kubelet.yaml",
) -> dict[str, Any]:
    """Checks a configuration of the kubelet, beyond what the kubelet's own validation refuses. Returns the document of
    `nvtopo k8s kubelet lint --json`, with a list of findings.

    Args:
        config: the text of the file.
        topology: the node that it is for. None: what depends on the node is not judged.
        version: the version of Kubernetes.
        largest_pod: the GPUs of the largest pod. None: all of the node.
        name: the file's name in errors.

    Raises InvalidInputError for what is no YAML, with the place.

    >>> import nvtopo.k8s
    >>> found = nvtopo.k8s.kubelet_lint("kind: KubeletConfiguration\\ncpuManagerPolcy: static\\n")
    >>> found["findings"][-1]["help"]
    'did you mean cpuManagerPolicy?'
    """

def k8s_kubelet_predict(
    topology: Topology,
    pod: str,
    *,
    config: str | None = None,
    version: str = "1.37",
    policy: str | None = None,
    scope: str | None = None,
    taken: str = "",
    states: Mapping[str, str] = {},
    devices: Mapping[str, str] = {},
    linked: bool = True,
) -> dict[str, Any]:
    """Predicts what the kubelet does with a pod: admit it, refuse it, or admit it with GPUs that are not linked, and what to
    choose instead. Returns the document of `nvtopo k8s kubelet predict --json`.

    Args:
        topology: the node, with its CPUs.
        pod: the pod, as YAML or JSON.
        config: the text of the kubelet's configuration. None: a static CPU manager, and each policy and scope.
        version: the version of Kubernetes.
        policy: the policy of the topology manager, before that of the configuration.
        scope: its scope: "container" or "pod".
        taken: GPUs, and CPUs behind a slash, that are taken: "0,3/8-15".
        states: texts of the kubelet's checkpoint files by their names.
        devices: the devices behind extended resources: "gpus", "nics", or names with commas.
        linked: the device plugin prefers linked GPUs where it is asked. False: the kubelet takes any.

    Raises InvalidInputError for what is no pod or no configuration, and UnsatisfiableError where the kubelet would not start.

    >>> import nvtopo, nvtopo.k8s
    >>> node = nvtopo.preset("dgx-h100")
    >>> pod = nvtopo.k8s.pod(node, 4, name="a", image="b", memory_per_gpu=1 << 30)
    >>> report = nvtopo.k8s.kubelet_predict(node, pod, policy="restricted", taken="0,1,4,5")
    >>> report["predictions"][0]["reason"]
    'TopologyAffinityError'
    """

def k8s_kubelet_predict_mix(
    topology: Topology,
    mix: str,
    *,
    cpus_per_gpu: int = 0,
    states: int = 20000,
    config: str | None = None,
    version: str = "1.37",
    policy: str | None = None,
    taken: str = "",
    linked: bool = True,
) -> dict[str, Any]:
    """Finds out whether a mix of pods can bring a node to a state in which the kubelet refuses, again and again, what the
    scheduler sends, and the steps that lead there. Returns the document of `nvtopo k8s kubelet predict --mix … --json`.

    Args:
        topology: the node, with its CPUs.
        mix: the sizes in GPUs with their weights, "1:.5,4:.3,8:.2".
        cpus_per_gpu: CPUs of a pod for each GPU. 0: the pods are not Guaranteed.
        states: the most states of the node that are walked through.
        config: the text of the kubelet's configuration. None: a static CPU manager, and each policy.
        version: the version of Kubernetes.
        policy: the policy of the topology manager, before that of the configuration.
        taken: GPUs, and CPUs behind a slash, that are taken: "0,3/8-15".
        linked: the device plugin prefers linked GPUs where it is asked. False: the kubelet takes any.

    Raises InvalidRequestError for what is no mix, and UnsatisfiableError where the kubelet would not start.

    >>> import nvtopo, nvtopo.k8s
    >>> report = nvtopo.k8s.kubelet_predict_mix(nvtopo.preset("dgx-h100"), "1:.5,4:.5", policy="restricted")
    >>> report["outcomes"][0]["policy"]
    'restricted'
    """

def k8s_claims(
    topology: Topology,
    gpus: int,
    *,
    version: str = "1.37",
    name: str | None = None,
    device_class: str = "gpu.nvidia.com",
    objectives: Sequence[str] = (),
    allowed: str | None = None,
    any: bool = False,
    rdma: bool = False,
    cpus_per_gpu: int | None = None,
    derived: bool = False,
    device_classes: bool = False,
    addresses: Sequence[str] = (),
    others: Mapping[str, Topology] = {},
) -> str:
    """Returns a ResourceClaimTemplate for some GPUs, as YAML: up to eight sets of linked GPUs by their PCI addresses, the best first.

    Args:
        topology: a node of those that the claim is for.
        gpus: how many GPUs.
        version: the version of Kubernetes, 1.32 or later.
        name: the template's name. None: gpus- and the number.
        device_class: the device class of the GPUs.
        objectives: what counts, most important first.
        allowed: the text of a table of sets that may be used, one a line.
        any: any GPUs as the last alternative.
        rdma: an RDMA NIC for each GPU too, from dranet.
        cpus_per_gpu: CPUs beside each GPU too, from dra-driver-cpu.
        derived: derived attributes, an alpha of 1.37, in place of alternatives.
        device_classes: examples of the device classes too.
        addresses: the PCI addresses of the GPUs by index, where the topology has none.
        others: other nodes that the claim is for, by name: they are checked to have the same GPUs at the same addresses.

    Raises UnsatisfiableError where there are not so many GPUs, their addresses are unknown, or nodes differ.

    >>> import nvtopo, nvtopo.k8s
    >>> claim = nvtopo.k8s.claims(nvtopo.preset("dgx-a100"), 2, version="1.34")
    >>> "firstAvailable:" in claim
    True
    """

def k8s_claims_check(
    claims: str,
    objects: Sequence[str] = (),
    topology: Topology | None = None,
    *,
    version: str = "1.37",
    node: str | None = None,
    taken: Sequence[str] = (),
    only: Sequence[str] = (),
    list_attributes: bool = False,
    addresses: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Predicts which devices the scheduler gives to claims, whether better ones exist, and what breaks them: a dict for each
    claim with its name ("claim"), the "devices" that it is given, each with "request", "driver", "pool", "name" and the index
    of the "gpu"; the "reasons" why it is given none; whether these GPUs are the "best" (None: unknown), or which are "better",
    and "why"; and "remarks".

    Args:
        claims: a text of claims, or of templates of them.
        objects: texts of slices, classes and other claims, as kubectl prints them, beside those that the first text has.
        topology: the node, to tell whether there are better GPUs.
        version: the version of Kubernetes.
        node: the node's name; needed where the slices are of several.
        taken: devices that others have: "gpu-0", or "gpu.nvidia.com/POOL/gpu-0".
        only: check only the claims of these names.
        list_attributes: the gate DRAListTypeAttributes is on.
        addresses: the PCI addresses of the GPUs by index, where the topology has none.

    Raises InvalidInputError for texts that are no such objects.
    """

def k8s_taints(
    topology: Topology, node: str, *, effect: str = "NoSchedule", slices: str | None = None, version: str = "1.37"
) -> str:
    """Returns proposed DeviceTaintRules for the GPUs of a node that have faults, such as lost NVLinks, as YAML; a comment where
    none has.

    Args:
        topology: the node.
        node: the node's name.
        effect: "NoSchedule", or "NoExecute", which evicts pods as well.
        slices: the text of the node's slices, which tell the devices' names.
        version: the version of Kubernetes, 1.33 or later.

    >>> import nvtopo, nvtopo.k8s
    >>> nvtopo.k8s.taints(nvtopo.preset("dgx-a100"), "node-1")
    '# No fault of a GPU is known.\\n'
    """

def k8s_resource_topology(
    topology: Topology,
    node: str,
    *,
    policy: str | None = None,
    scope: str | None = None,
    reserved_cpus: str = "",
    gpu_resource: str = "nvidia.com/gpu",
    nic_resource: str = "rdma/nic",
) -> str:
    """Returns a node as a NodeResourceTopology, as YAML: NUMA zones with their CPUs, memory, GPUs and NICs, and the costs between
    them. It is to compare with what Node Feature Discovery publishes, not to apply.

    Args:
        topology: the node.
        node: the node's name.
        policy: the topology manager's policy on it.
        scope: its scope.
        reserved_cpus: CPUs that the kubelet keeps for the system, such as "0-1,64-65".
        gpu_resource: the extended resource of the GPUs.
        nic_resource: the extended resource of the NICs.

    Raises UnsatisfiableError for a node whose NUMA nodes are unknown.

    >>> import nvtopo, nvtopo.k8s
    >>> "name: node-0" in nvtopo.k8s.resource_topology(nvtopo.preset("dgx-h100"), "n1")
    True
    """

def k8s_playbook(
    topology: Topology,
    node: str,
    *,
    namespace: str = "default",
    image: str | None = None,
    memory_per_gpu: int | None = None,
    prefix: str = "nvtopo.io/",
    version: str = "1.37",
    addresses: Sequence[str] = (),
) -> dict[str, str]:
    """Returns the onboarding of a node as files by their names: labels, the kubelet's file, claims, policies, test pods, and a README that
    says in which order to apply them, how to verify each step, and how to take it back.

    Args:
        topology: the node.
        node: the node's name.
        namespace: the namespace of the jobs.
        image: the image of the test pods. None: one with nvidia-smi.
        memory_per_gpu: bytes for each GPU of a test pod. None: three quarters of what is beside it, where that is known.
        prefix: what stands before the name of each label.
        version: the version of Kubernetes.
        addresses: the PCI addresses of the GPUs by index, for claims, where the topology has none.

    Raises InvalidRequestError for names that Kubernetes refuses, and UnsatisfiableError for a node without GPUs.

    >>> import nvtopo, nvtopo.k8s
    >>> sorted(nvtopo.k8s.playbook(nvtopo.preset("dgx-h100"), "node-1"))[:2]
    ['1-labels.yaml', '2-kubelet.yaml']
    """

def launch_formats() -> list[str]:
    """The names that Plan.format takes.

    >>> import nvtopo
    >>> "rankfile-ompi5" in nvtopo.launch_formats()
    True
    """

def writers() -> list[str]:
    """The names that Topology.write takes.

    >>> import nvtopo
    >>> "json" in nvtopo.writers()
    True
    """

def cpu_policies() -> list[str]:
    """The names of the policies by which CPUs are dealt out; the first is the default.

    >>> import nvtopo
    >>> nvtopo.cpu_policies()[0]
    'exclusive'
    """

def main(arguments: Sequence[str]) -> int:
    """Runs the command `nvtopo` with these arguments and returns its exit code.

    0: done, 1: the request cannot be satisfied, 2: bad usage or input. `exec` does not come back when it
    succeeds: the process becomes the command.
    """

@final
class Note:
    """A note on a topology: a remark for people, with a code for programs.

    >>> import nvtopo
    >>> topo = nvtopo.loads("\\tGPU0\\tGPU1\\nGPU0\\t X \\tPIX\\nGPU1\\tPIX\\t X \\n")
    >>> [note.kind for note in topo.notes if note.code == "nvlinks-unknown"]
    ['unknown']
    """

    @property
    def code(self) -> str:
        """The stable code, such as "nvlinks-unknown". Later versions may add codes."""

    @property
    def kind(self) -> str:
        """The kind: "damage", "unknown", "conflict", "inferred" or "driver"."""

    @property
    def text(self) -> str:
        """One sentence, which may change."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Change:
    """One difference between two machines."""

    @property
    def kind(self) -> str:
        """The kind: "gone", "added", "replaced", "moved", "swapped", "renumbered", "fact", "nvlinks", "path", "p2p" or
        "bandwidth". Later versions may add kinds.
        """

    @property
    def part(self) -> str:
        """The part that changed, such as "GPU3", "NUMA node 1" or "machine", by its name in the first machine, unless only the
        second has it.
        """

    @property
    def peers(self) -> list[str]:
        """The devices at the other end, where links or paths changed."""

    @property
    def fact(self) -> str:
        """The fact that changed, such as "memory" or "NVLinks"."""

    @property
    def before(self) -> str | None:
        """Its value in the first machine; None where the part is not there."""

    @property
    def after(self) -> str | None:
        """Its value in the second machine; None where the part is not there."""

    @property
    def text(self) -> str:
        """The change in words, which may change."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Diff:
    """The differences between two machines; false where there is none.

    >>> import nvtopo
    >>> diff = nvtopo.preset("dgx-a100").diff(nvtopo.preset("dgx-h100"), structure=True)
    >>> bool(diff), str(diff.changes[0])
    (True, 'machine: product NVIDIA DGX A100 -> NVIDIA DGX H100')
    """

    @property
    def changes(self) -> list[Change]:
        """The differences: of the machine, of NUMA nodes, of GPUs, of NICs, of disks, then of links and paths."""

    @property
    def not_compared(self) -> list[str]:
        """Sentences about facts that only one of the two machines tells, so that they were not compared."""

    def __bool__(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Written:
    """A topology in the format of another program. Made by Topology.write.

    >>> import nvtopo
    >>> written = nvtopo.preset("gh200").write("json")
    >>> str(written) == written.text
    True
    """

    @property
    def text(self) -> str:
        """The text, which ends with a line break."""

    @property
    def notes(self) -> list[Note]:
        """Notes: assumptions, and facts that the format cannot tell."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

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
        """The paths between all devices as nvidia-smi names them, such as "X", "NV12", "PIX": a row for each of `devices`,
        and in it a column for each. None: unknown.
        """

    @property
    def nvlink_groups(self) -> list[list[str]]:
        """The names of the GPUs that NVLink connects, group by group; a GPU without NVLink is a group of its own."""

    @property
    def notes(self) -> list[Note]:
        """The notes on this topology."""

    @property
    def origin(self) -> str:
        """The machine that it describes: "machine" for a certain one, "preset:NAME" for a product, or "unknown"."""

    def gpu(self, gpu: int | str) -> Gpu:
        """Returns the GPU of an index, a name ("GPU3"), a UUID or a PCI address.

        Raises InvalidRequestError where there is no such GPU.

        >>> import nvtopo
        >>> nvtopo.preset("dgx-h100").gpu("GPU3").index
        3
        """

    def pair(self, a: int | str, b: int | str) -> Pair:
        """Returns the best path between two devices.

        A device is given by the index of a GPU, by its name ("GPU3", "mlx5_0"), or by a GPU's UUID or PCI address.

        Raises InvalidRequestError where there is no such device.

        >>> import nvtopo
        >>> pair = nvtopo.preset("dgx-h100").pair(0, "GPU7")
        >>> pair.path, pair.nvlinks, pair.gb_per_s, pair.basis
        ('NVL', 18, 450.0, 'nominal')
        """

    def p2p(self, a: int | str, b: int | str) -> P2p | None:
        """Returns the peer-to-peer access that the driver allows two GPUs. None: unknown.

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
        free: bool = False,
        free_memory: int | str | None = None,
        allowed_sets: Iterable[Iterable[int | str]] | None = None,
        mix: Mapping[int, float] | None = None,
        tolerance: float | None = None,
        reserve_cpus: CpuSet | Iterable[int] | str | None = None,
        allowed_cpus: CpuSet | Iterable[int] | str | None = None,
        isolated: Literal["avoid", "use"] = "avoid",
        cores: Literal["all", "fast"] = "all",
        cpus_per_gpu: int | None = None,
        memory_per_gpu: int | str | None = None,
        hugepages_per_gpu: Mapping[int | str, int] | None = None,
        gpus_per_nic: int | None = None,
    ) -> Placement:
        """Chooses the best GPUs, and the CPUs, memory and NICs beside each.

        A GPU is named by its index (3), its name ("GPU3"), its UUID or the start of one, or its PCI address; "model:A100" are
        all GPUs whose model's name has these words. CPUs are a CpuSet, an iterable of integers, or a list like "0-1,16".

        Args:
            gpus: how many.
            only: choose among these, the free ones. None: on a topology of this machine among those that
                CUDA_VISIBLE_DEVICES shows, on any other among all.
            exclude: do not take these.
            include: take these in any case.
            objectives: what counts, most important first: "ring", "tree", "all-to-all", "min-pair", "pair-sum",
                "model-span", "numa-span", "nic", "remainder". What they leave open the defaults decide.
            require: what must hold between all of them: "nvlink-group", "numa-node", "pcie-switch", "same-model",
                "at-least:50" (GB/s between each two); or of each of them: "gpu-memory:40GiB" (at least so much memory).
            prefer: the first of these that can be met must be met as well; the placement says why not a better one.
            free: choose only GPUs that no process uses, as the driver told it when the topology was made; one of which that is
                unknown is not chosen. The remarks or the error tell why each was left out.
            free_memory: choose only GPUs of which so much memory is unused, in bytes or as a text like "20GiB".
            allowed_sets: choose one of these sets of GPUs as a whole, such as the partitions of a Fabric Manager. None: any GPUs
                may be chosen together.
            mix: how often jobs of each size come, such as {1: 0.5, 4: 0.5}: what is left over is judged by it. None:
                all sizes alike.
            tolerance: measured rates that differ by less than this part count as equal when sets are compared; 0 tells all
                apart. None: 0.05.
            reserve_cpus: CPUs that are kept for others.
            allowed_cpus: only these CPUs may be given to the job. None: on a topology of this machine those of
                the calling thread, on any other all.
            isolated: whether CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) are left out where there
                are others ("avoid"), or are as all others ("use").
            cores: "all", or the "fast" ones of a machine whose cores are not alike: performance cores, priority cores.
            cpus_per_gpu: so many CPUs (hardware threads) near each GPU, whole cores first. None: each gets its share.
            memory_per_gpu: so much memory for each GPU from the NUMA nodes beside it, in bytes or as a text like "64GiB".
            hugepages_per_gpu: so many huge pages of each size for each GPU from the NUMA nodes beside it, such as
                {"2MiB": 1024}.
            gpus_per_nic: a NIC serves at most so many GPUs. None: as many as it has to where all GPUs use NICs.

        Raises InvalidRequestError for unknown names and contradictions, and UnsatisfiableError where there are not
        enough GPUs, or none for which there is what is required.

        >>> import nvtopo
        >>> place = nvtopo.preset("dgx-a100").place(gpus=2, exclude=["GPU0"], reserve_cpus="0-1")
        >>> len(place.gpus), place.optimal
        (2, True)
        """

    def explain(
        self,
        gpus: int,
        *,
        only: Iterable[int | str] | None = None,
        exclude: Iterable[int | str] = (),
        include: Iterable[int | str] = (),
        objectives: Iterable[str] | None = None,
        require: Iterable[str] = (),
        prefer: Iterable[str] = (),
        free: bool = False,
        free_memory: int | str | None = None,
        allowed_sets: Iterable[Iterable[int | str]] | None = None,
        mix: Mapping[int, float] | None = None,
        tolerance: float | None = None,
        reserve_cpus: CpuSet | Iterable[int] | str | None = None,
        allowed_cpus: CpuSet | Iterable[int] | str | None = None,
        isolated: Literal["avoid", "use"] = "avoid",
        cores: Literal["all", "fast"] = "all",
        cpus_per_gpu: int | None = None,
        memory_per_gpu: int | str | None = None,
        hugepages_per_gpu: Mapping[int | str, int] | None = None,
        gpus_per_nic: int | None = None,
    ) -> Explanation:
        """As place, and what would have been chosen instead: the next best set, and the free GPUs with the lowest numbers.

        The arguments are those of place, and so is what it raises.

        >>> import nvtopo
        >>> why = nvtopo.preset("dgx-1-v100").explain(gpus=2, exclude=[0])
        >>> why.placement.gpus, why.next.gpus, why.first_fit.gpus
        ([2, 3], [4, 7], [1, 2])
        """

    def place_instance(
        self,
        size: int | str,
        *,
        only: Iterable[int | str] | None = None,
        exclude: Iterable[int | str] = (),
    ) -> InstancePlacement:
        """Finds the place for a new instance on a MIG-enabled GPU that leaves the most room for further instances.

        Args:
            size: a profile, such as "3g.40gb", or a number of compute slices, such as 3.
            only: choose among these GPUs. None: among all MIG-enabled ones.
            exclude: not on these.

        Raises InvalidRequestError where no MIG-enabled GPU has such a profile, and UnsatisfiableError where none has room. GPUs
        on which the places of present instances are not known, which drivers tell to administrators only, are not chosen.

        >>> import json, nvtopo
        >>> gpu = {"parent": 0, "index": 0, "model": "NVIDIA H100", "memory_bytes": 80 << 30,
        ...        "mig": {"current": True, "pending": True}}
        >>> topology = {"source": "nvml", "nvlink_known": True, "nodes": [{"machine": {}}, {"gpu": gpu}]}
        >>> mig = nvtopo.loads(json.dumps({"format": "nvtopo-topology", "version": 1, "topology": topology}))
        >>> mig.place_instance("1g.10gb")
        <InstancePlacement of 1g.10gb: GPU0 from memory slice 6>
        """

    def preferred_allocation(
        self, available: Sequence[str], size: int, *, must_include: Sequence[str] = ()
    ) -> list[str]:
        """Chooses which of the available devices a container should get: the decision of a device plugin for Kubernetes
        (GetPreferredAllocation).

        Args:
            available: the devices by the plugin's names: the GPU's UUID, index or PCI address, "nvidia0" by its device file, or
                the UUID of a MIG instance; "::" and a number behind it make it one of several replicas.
            size: the number of devices for the container.
            must_include: those that must be among them.

        Returns names from available, in their order. NVLink groups stay whole, and a single GPU comes from a group that is
        broken already. GPUs that work less well, that cannot be used, and names that this topology does not know come last,
        and never are a reason to fail.

        Raises InvalidRequestError where fewer devices are available than asked for, or what must be included is not
        available.

        >>> import nvtopo
        >>> bridged = nvtopo.preset("rtx-a6000-4-bridged")
        >>> bridged.preferred_allocation(["0", "2", "3"], 1), bridged.preferred_allocation(["0", "2", "3"], 2)
        (['0'], ['2', '3'])
        """

    def cpus(
        self,
        *,
        reserve: CpuSet | Iterable[int] | str | None = None,
        allowed: CpuSet | Iterable[int] | str | None = None,
        isolated: Literal["avoid", "use"] = "avoid",
        cores: Literal["all", "fast"] = "all",
    ) -> Shares:
        """Deals the CPUs out to all GPUs: each gets its share of those nearest to it.

        Args:
            reserve: CPUs that are kept for others.
            allowed: only these CPUs are dealt out. None: on a topology of this machine those of the calling
                thread, on any other all.
            isolated: whether CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) are left out where there
                are others ("avoid"), or are as all others ("use").
            cores: "all", or the "fast" ones of a machine whose cores are not alike: performance cores, priority cores.

        >>> import nvtopo
        >>> share = nvtopo.preset("dgx-h100").cpus(reserve="0-1").per_gpu[7]
        >>> share.index, str(share.cpus), str(share.mems)
        (7, '98-111,210-223', '1')
        """

    def split_cpus(self, cpus: CpuSet | Iterable[int] | str, parts: int) -> list[CpuSet]:
        """Splits CPUs into parts of about equal size, for the workers of one rank. Near cores stay together, and cores stay whole
        as long as there are enough; where there are more parts than CPUs, some are alike.

        Args:
            cpus: the CPUs, such as those of a placement or of a rank's part.
            parts: the number of parts.

        Raises InvalidRequestError for more parts than CPUs can be numbered.

        >>> import nvtopo
        >>> dgx = nvtopo.preset("dgx-h100")
        >>> [str(cpus) for cpus in dgx.split_cpus("0-13,112-125", 2)]
        ['0-6,112-118', '7-13,119-125']
        """

    def visible_gpus(self, environ: Mapping[str, str] | None = None) -> VisibleGpus:
        """The GPUs that CUDA_VISIBLE_DEVICES shows a process, as CUDA reads it, counted as CUDA_DEVICE_ORDER says.

        Args:
            environ: the variables of the process. None: os.environ.

        >>> import nvtopo
        >>> dgx = nvtopo.preset("dgx-h100")
        >>> visible = dgx.visible_gpus({"CUDA_VISIBLE_DEVICES": "3,1,-1,2"})
        >>> visible.gpus, visible.order
        ([3, 1], 'known')
        """

    def cuda_order(self, order: str = "FASTEST_FIRST") -> list[int] | None:
        """The indices of the GPUs in the order in which CUDA counts them. None where nobody can tell: CUDA puts the fastest
        first, and the GPUs are not known to be of one model.

        Args:
            order: what CUDA_DEVICE_ORDER says: "PCI_BUS_ID", or anything else for the fastest first, as CUDA reads it.

        >>> import nvtopo
        >>> nvtopo.preset("dgx-h100").cuda_order()
        [0, 1, 2, 3, 4, 5, 6, 7]
        """

    def plan(
        self,
        ranks: int | None = None,
        *,
        policy: str = "exclusive",
        smt: Literal["all", "one"] = "all",
        scope: Literal["affinity", "cpuset"] = "affinity",
        gpus_per_rank: int | None = None,
        distribution: Literal["block", "cyclic"] | None = None,
        cores_per_rank: int | None = None,
        reserve_cpus: CpuSet | Iterable[int] | str | None = None,
        allowed_cpus: CpuSet | Iterable[int] | str | None = None,
        isolated: Literal["avoid", "use"] = "avoid",
        cores: Literal["all", "fast"] = "all",
        environ: Mapping[str, str] | None = None,
    ) -> Plan:
        """Works out what each rank of a job on this machine gets.

        Local rank n uses the n-th of the visible GPUs; where there are more ranks than GPUs, they begin again at the first.

        Args:
            ranks: how many. None: on a topology of this machine as many as the launcher says; else one for each visible
                GPU.
            policy: how CPUs are dealt out; `cpu_policies()` lists the names.
            smt: "all" threads of a core, or "one".
            scope: on a topology of this machine, what allowed_cpus=None means: the "affinity" of the calling thread, or
                all that the kernel would let it have ("cpuset"). Under a launcher that binds each rank by itself, only
                "cpuset" gives all ranks the same plan.
            gpus_per_rank: so many GPUs for each rank. 0: ranks use no GPU, and share the CPUs equally. None: one, which ranks
                share where they are more than the GPUs.
            distribution: "block": neighbouring ranks on neighbouring GPUs, or NUMA nodes where they use no GPU. "cyclic":
                in turns. None: "block", but ranks that share GPUs take turns.
            cores_per_rank: so many cores of those that each rank would get; the rest stays free. None: all.
            reserve_cpus: CPUs that are kept for others.
            allowed_cpus: only these CPUs are dealt out. None: see scope; on any other topology all.
            isolated: whether CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) are left out where there
                are others ("avoid"), or are as all others ("use").
            cores: "all", or the "fast" ones of a machine whose cores are not alike: performance cores, priority cores.
            environ: the variables that say which GPUs are visible. None: on a topology of this machine os.environ, on
                any other all GPUs are visible.

        Raises InvalidRequestError for unknown names and for no ranks, UnsatisfiableError where there are fewer GPUs or cores
        than each rank is to get.

        >>> import nvtopo
        >>> plan = nvtopo.preset("dgx-h100").plan(ranks=2, policy="node", smt="one")
        >>> [(part.gpu, str(part.cpus)) for part in plan]
        [(0, '0-55'), (1, '0-55')]
        >>> plan = nvtopo.preset("dgx-h100").plan(gpus_per_rank=4, cores_per_rank=8)
        >>> [(part.gpus, str(part.cpus)) for part in plan]
        [([0, 1, 2, 3], '0-7,112-119'), ([4, 5, 6, 7], '56-63,168-175')]
        """

    def rank_map(
        self,
        *,
        tp: int = 1,
        cp: int = 1,
        ep: int = 1,
        dp: int = 1,
        pp: int = 1,
        traffic: Mapping[str, int | str] = {},
        model: str | None = None,
        order: str | None = None,
        gpus: Iterable[int | str] | None = None,
    ) -> RankMap:
        """Finds the GPUs for the ranks of a parallel job, so that it communicates in the least time.

        Args:
            tp, cp, ep, dp, pp: the sizes of tensor, context, expert, data and pipeline parallelism.
            traffic: what a rank sends in each dimension in one step: {"tp": "34.4GB", "pp": 10**9}. It counts before
                what follows from the model.
            model: the transformer from which the traffic follows, such as
                "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B"; micro-batch, expert-parameters
                and top-k may be added.
            order: how ranks run through the dimensions, in Megatron's words ("tp-cp-ep-dp-pp") or DeepSpeed's
                ("pipe,data,model").
            gpus: the GPUs to map to in the order in which the ranks see them, as many as there are ranks. None: all
                that can be used.

        Raises InvalidRequestError for contradictions and for unknown traffic, UnsatisfiableError where the
        number of GPUs is another.

        >>> import nvtopo
        >>> model = "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B"
        >>> nvtopo.preset("dgx-1-v100").rank_map(tp=2, dp=4, model=model).gpu_of_rank
        [0, 3, 1, 2, 4, 7, 5, 6]
        """

    def bandwidth_matrix(self) -> BandwidthMatrix:
        """Returns the bandwidths between all devices, as a matrix that `numpy.asarray` takes without a copy.

        >>> import nvtopo
        >>> nvtopo.preset("dgx-1-v100").bandwidth_matrix()[0, 3]
        50.0
        """

    def to_json(self) -> str:
        """The topology as JSON that load and loads read back, equal in everything."""

    def diff(self, other: Topology, *, structure: bool = False) -> Diff:
        """Returns the differences between this machine and another, or the same later.

        GPUs are matched by UUID, else by PCI address, else by number. With structure, only what the machines are built of
        and how it is connected counts, without numbers, names, addresses, serial numbers, software and settings.

        >>> import nvtopo
        >>> dgx = nvtopo.preset("dgx-h100")
        >>> bool(dgx.diff(dgx))
        False
        """

    def write(self, format: str, node: str | None = None, devices: Sequence[str] | None = None) -> Written:
        """Writes the topology in the format of another program; `writers()` lists the names.

        Args:
            node: the name of the machine in its cluster, for formats that name it (Slurm's and libvirt's).
            devices: the devices that a virtual machine gets by PCI passthrough: GPUs ("GPU0", "0-3"), NICs ("mlx5_0") or PCI
                addresses. Every format describes that guest then.

        Raises InvalidRequestError for an unknown name, for a device that is not there or listed twice, and where the format demands
        a fact that nobody knows.

        >>> import nvtopo
        >>> dgx = nvtopo.preset("dgx-a100")
        >>> dgx.write("json").text == dgx.to_json()
        True
        >>> dgx.write("libvirt-xml", node="vm1", devices=["GPU0", "mlx5_0"]).text.count("<hostdev ")
        2
        """

    def to_text(self) -> str:
        """The topology as text for people, with tables."""

    @overload
    def draw(
        self,
        format: Literal["svg", "html"] = "svg",
        *,
        gpus: int | Placement | None = None,
        theme: Literal["auto", "light", "dark"] = "auto",
        scale: float = 2.0,
    ) -> str:
        """Draws the topology as "svg", as "html" (a page to click in, which needs no network), or as "png".

        Args:
            gpus: what to highlight: so many of the best GPUs, or a Placement. None: nothing.
            theme: "light", "dark", or as the viewer prefers ("auto").
            scale: the pixels of a PNG for each unit of the drawing.

        >>> import nvtopo
        >>> nvtopo.preset("gh200").draw(gpus=1)[:4]
        '<svg'
        """

    @overload
    def draw(
        self,
        format: Literal["png"],
        *,
        gpus: int | Placement | None = None,
        theme: Literal["auto", "light", "dark"] = "auto",
        scale: float = 2.0,
    ) -> bytes:
        """Draws the topology as "svg", as "html" (a page to click in, which needs no network), or as "png".

        Args:
            gpus: what to highlight: so many of the best GPUs, or a Placement. None: nothing.
            theme: "light", "dark", or as the viewer prefers ("auto").
            scale: the pixels of a PNG for each unit of the drawing.

        >>> import nvtopo
        >>> nvtopo.preset("gh200").draw(gpus=1)[:4]
        '<svg'
        """

    def to_svg(self) -> str:
        """A picture of the topology (SVG), as draw makes it."""

    def _repr_svg_(self) -> str:
        """The topology as notebooks show it: the picture."""

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
    def firmware(self) -> str | None:
        """The version of its firmware (VBIOS), such as "96.00.74.00.0D", or None."""

    @property
    def address(self) -> str | None:
        """The PCI address, such as "0000:1b:00.0", or None."""

    @property
    def pcie(self) -> PcieLink | None:
        """Its PCIe link, or None."""

    @property
    def memory(self) -> int | None:
        """Its memory in bytes, or None."""

    @property
    def cpus(self) -> CpuSet | None:
        """The CPUs nearest to it. None: unknown."""

    @property
    def nodes(self) -> NodeSet | None:
        """The NUMA nodes nearest to it. None: unknown."""

    @property
    def mig(self) -> bool | None:
        """True for a MIG-enabled GPU, which programs use by its instances. None: unknown."""

    @property
    def instances(self) -> list[GpuInstance]:
        """Its MIG instances."""

    @property
    def fabric(self) -> Fabric | None:
        """Its place in an NVLink fabric, or None."""

    @property
    def nvlinks(self) -> list[NvLink]:
        """Its NVLinks one by one, as far as the driver tells them. `Topology.pair` sums those between two GPUs."""

    @property
    def unusable(self) -> str | None:
        """The reason why no job can use it, such as "has fallen off the bus". None: no fault is known."""

    @property
    def processes(self) -> int | None:
        """The number of processes that used it when the topology was made, or None."""

    @property
    def memory_used(self) -> int | None:
        """Its memory that was in use then, in bytes, or None."""

    @property
    def memory_free(self) -> int | None:
        """Its memory that a new process could have had then, in bytes, or None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class GpuInstance:
    """A MIG instance: a part of a GPU that programs use as a GPU."""

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
        """The number of compute slices of the GPU that it has, or None."""

    @property
    def memory(self) -> int | None:
        """Its memory in bytes, or None."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class InstancePlacement:
    """The place for a new instance on a MIG-enabled GPU. Made by Topology.place_instance."""

    @property
    def gpu(self) -> int:
        """The index of the GPU."""

    @property
    def profile(self) -> str | None:
        """The name of its profile, such as "3g.40gb", or None where the memory of the GPU is not known."""

    @property
    def slices(self) -> int:
        """The number of compute slices."""

    @property
    def start(self) -> int:
        """The first memory slice."""

    @property
    def size(self) -> int:
        """The number of memory slices."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Fabric:
    """The place of a GPU in an NVLink fabric."""

    @property
    def state(self) -> str:
        """The state of its registration: "not-started", "in-progress", "completed" or "unknown"."""

    @property
    def status(self) -> int | None:
        """The result of the registration as NVML numbers errors; 0 is success. None: unknown."""

    @property
    def cluster(self) -> str | None:
        """The UUID of the NVLink domain; None within one server."""

    @property
    def clique(self) -> int | None:
        """The number of the group in the domain whose GPUs reach each other, or None."""

    @property
    def health(self) -> int | None:
        """NVML's health mask, or None."""

    @property
    def health_summary(self) -> int | None:
        """NVML's number for the health as a whole: 1 healthy, 2 unhealthy, 3 of limited capacity; or None."""

    @property
    def faults(self) -> list[str]:
        """The names of the faults that the driver reports, such as "degraded-bandwidth"."""

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
        """True where it is up. None: unknown."""

    @property
    def generation(self) -> int | None:
        """The generation of NVLink, from 1, as the driver tells it, or None."""

    @property
    def gb_per_s(self) -> float | None:
        """The rate that the driver reports, one direction, in GB/s (1e9 bytes per second). None: unknown."""

    @property
    def far(self) -> str | None:
        """The device at its other end: "gpu", "switch", "cpu", or "device" of unknown kind. None: unknown."""

    @property
    def far_address(self) -> str | None:
        """The PCI address of the device at its other end, or None."""

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
        """The number of lanes that it runs with now, or None."""

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
        """The PCI address, such as "0000:1b:00.0", or None."""

    @property
    def pcie(self) -> PcieLink | None:
        """Its PCIe link, or None."""

    @property
    def rdma_device(self) -> str | None:
        """The RDMA device, such as "mlx5_0", or None."""

    @property
    def port(self) -> int | None:
        """The number of the RDMA device's port that the facts here are of, from 1. None: unknown."""

    @property
    def net_devices(self) -> list[str]:
        """The network interfaces, such as ["eth0"]."""

    @property
    def model(self) -> str | None:
        """The maker's name for it: the type of the RDMA device ("MT4129") or the driver of the interface. Or None."""

    @property
    def firmware(self) -> str | None:
        """The version of its firmware, or None."""

    @property
    def state(self) -> str | None:
        """The state of its port: "down", "initialize", "armed" or "active". Only an active one carries data. None: unknown."""

    @property
    def link_layer(self) -> str | None:
        """The link layer of its port: "infiniband" or "ethernet". None: unknown."""

    @property
    def gb_per_s(self) -> float | None:
        """The rate of its port, one direction, in GB/s (1e9 bytes per second). None: unknown."""

    @property
    def measured_gb_per_s(self) -> float | None:
        """The measured rate of its port, one direction, in GB/s (1e9 bytes per second). None: not measured."""

    @property
    def mtu(self) -> int | None:
        """The largest packet of its interface in bytes, or None."""

    @property
    def bond(self) -> str | None:
        """The bond that its interface belongs to, such as "bond0", or None."""

    @property
    def cpus(self) -> CpuSet | None:
        """The CPUs nearest to it. None: unknown."""

    @property
    def nodes(self) -> NodeSet | None:
        """The NUMA nodes nearest to it. None: unknown."""

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
        """Huge pages on it, by increasing size; sizes without pages with a count of 0. Empty: unknown."""

    @property
    def gpu(self) -> str | None:
        """The PCI address of the GPU whose memory it is, or None."""

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
        """The number of pages."""

    @property
    def free(self) -> int:
        """The number of free pages."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class P2p:
    """Peer-to-peer access of two GPUs, as `nvidia-smi topo -p2p` names it: "OK", or the reason why
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
    """The best path between two devices."""

    @property
    def path(self) -> str | None:
        """The class of the best path as nvidia-smi names it: "NVL" for NVLink, "PIX", "PXB", "PHB", "NODE", "SYS", …
        None: unknown.
        """

    @property
    def nvlinks(self) -> int:
        """The number of NVLinks that the pair can use at once; 0 where the path is not NVLink."""

    @property
    def gb_per_s(self) -> float | None:
        """The bandwidth of the path, one direction, in GB/s (1e9 bytes per second). None: unknown."""

    @property
    def basis(self) -> str | None:
        """The basis of the bandwidth: "measured", "reported", "nominal", "typical" or "assumed". None: it is not."""

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
        """Remarks for people: shared or remote CPUs, unknown locality."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Placement:
    """The GPUs for a job, and what belongs to each. Made by Topology.place.

    Equal to another that says the same. Unpickling computes it again from its topology and arguments, and raises ValueError
    where this version of nvtopo answers otherwise.

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
        """True where it is proven that no set of GPUs is better."""

    @property
    def why(self) -> str:
        """The reason for the choice, in one sentence."""

    @property
    def preference(self) -> str | None:
        """The first of what was preferred that can be met. None: nothing was preferred, or nothing can be met."""

    @property
    def unmet(self) -> list[str]:
        """The preferences before that one, and why each cannot be met."""

    @property
    def remarks(self) -> list[str]:
        """Remarks for people about the CPUs and memory given."""

    def env(self, export: Iterable[str] = ()) -> dict[str, str]:
        """The variables that show a process just these GPUs, in this order: CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES.

        Set them before the process starts CUDA, and alike in all processes of a job.

        Args:
            export: further variables, the same for all ranks: "ib-hca" (NCCL_IB_HCA: the RDMA devices beside these GPUs),
                "vllm-nics" (VLLM_GPU_NIC_PCIE_MAPPING).

        Raises InvalidRequestError for other names.

        >>> import nvtopo
        >>> place = nvtopo.preset("dgx-h100").place(gpus=2)
        >>> place.env()
        {'CUDA_DEVICE_ORDER': 'PCI_BUS_ID', 'CUDA_VISIBLE_DEVICES': '0,1'}
        >>> place.env(["ib-hca"])["NCCL_IB_HCA"]
        '=mlx5_0,mlx5_3'
        """

    def to_json(self) -> str:
        """The placement as JSON for programs."""

    def to_text(self) -> str:
        """The placement as text for people, with tables."""

    def _repr_html_(self) -> str:
        """The placement as notebooks show it."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

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
        """The PCI address, such as "0000:1b:00.0", or None."""

    @property
    def cpus(self) -> CpuSet:
        """Its share of the CPUs; disjoint between GPUs wherever there are enough CPUs."""

    @property
    def mems(self) -> NodeSet:
        """The NUMA nodes to take memory from; empty when unknown."""

    @property
    def memory(self) -> dict[int, int] | None:
        """The bytes of memory that it is to have of each node, such as {0: 68719476736}. None: none was requested, or
        the memory of its nodes is unknown."""

    @property
    def huge_pages(self) -> dict[int, dict[int, int]] | None:
        """The huge pages that it is to have of each node, by size, such as {0: {2097152: 1024}}. None: none were requested, or
        the memory of its nodes is unknown."""

    @property
    def nics(self) -> list[str]:
        """The names of the NICs nearest to it, all of one path class."""

    @property
    def nic_path(self) -> str | None:
        """The class of the path to these NICs, such as "PIX". None: there is no NIC, or no path is known."""

    @property
    def nic(self) -> str | None:
        """The name of the NIC to use, so that none serves more GPUs than its share."""

    @property
    def nic_shared_with(self) -> list[int]:
        """The indices of the other GPUs of the machine that share this NIC, whoever uses them."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Score:
    """The value of a placement by one objective."""

    @property
    def objective(self) -> str:
        """The objective's name."""

    @property
    def value(self) -> float | None:
        """The value in its unit. None: something that it rests on is unknown."""

    @property
    def unit(self) -> str:
        """The unit: "GB/s" (1e9 bytes per second, one direction), "NUMA nodes", or "share" (a part of 1)."""

    @property
    def bound(self) -> float | None:
        """No set of GPUs is better than this. None: no bound is known."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class BestSet:
    """The best set of GPUs by a matrix. Made by best_set."""

    @property
    def gpus(self) -> list[int]:
        """The rows of the chosen GPUs, increasing."""

    @property
    def value(self) -> float | None:
        """The worst pair of the set or the sum of its pairs, in the unit of the matrix. One GPU has no pair and is worth 0.
        None: a pair of the set is unknown."""

    @property
    def bound(self) -> float:
        """No set is worth more, unknown pairs taken as 0."""

    @property
    def proven(self) -> bool:
        """True where no set is worth more, and none that is worth as much has lower GPUs: always, where there are 16 GPUs or fewer.
        Sums are of numbers to one part in 4 billion of the greatest."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class BandwidthMatrix(Buffer):
    """The bandwidths between all devices, one direction, in GB/s: a row for each of `Topology.devices`, and in it a
    column for each. NaN where nothing is known, and from a device to itself.

    It never changes, and `memoryview` and `numpy.asarray` take it without a copy, by the buffer protocol.

    >>> import nvtopo
    >>> rates = nvtopo.preset("dgx-1-v100").bandwidth_matrix()
    >>> rates.shape, rates[0, 3], rates.tolist()[0][1]
    ((12, 12), 50.0, 25.0)
    >>> memoryview(rates)[0, 3]
    50.0
    """

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""

    def tolist(self) -> list[list[float]]:
        """The rows as lists of numbers."""

    def __getitem__(self, key: tuple[int, int], /) -> float: ...
    def __len__(self) -> int: ...

@final
class VisibleGpus:
    """The GPUs that a process sees, and how sure that is. Made by Topology.visible_gpus."""

    @property
    def gpus(self) -> list[int]:
        """The indices of the GPUs, each once, in the order in which CUDA counts them as far as `order` knows it."""

    @property
    def devices(self) -> list[tuple[int, str | None]]:
        """The devices as CUDA counts them, in that order: the index of the GPU, and the name of the MIG instance where it is
        one and not the whole GPU ("" where it has none).
        """

    @property
    def order(self) -> str:
        """The certainty of that order: "known"; "assumed", where the models of the GPUs are unknown; or "unknown", where they are
        several.
        """

    @property
    def unresolved(self) -> bool:
        """True where the variable names devices that the topology does not know: then `gpus` is empty although there may be some."""

    @property
    def remarks(self) -> list[str]:
        """Remarks for people: why a list ended early, what was assumed, what CUDA will not do."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Explanation:
    """A placement beside the next best set and first fit. Made by Topology.explain. Unpickling computes it again, as that of a Placement.

    >>> import nvtopo
    >>> why = nvtopo.preset("dgx-1-v100").explain(gpus=2)
    >>> why.first_fit.gpus, str(why.first_fit.loss)
    ([0, 1], 'ring: 25 GB/s instead of 50 GB/s')
    """

    @property
    def placement(self) -> Placement:
        """The GPUs for the job."""

    @property
    def next(self) -> Alternative | None:
        """The best set besides, under the same constraints. None: there is no other."""

    @property
    def first_fit(self) -> Alternative | None:
        """The free GPUs with the lowest indices, as a scheduler that only counts GPUs takes them. None: they are the chosen ones,
        or others were included.
        """

    def to_json(self) -> str:
        """The explanation as JSON for programs."""

    def to_text(self) -> str:
        """The explanation as text for people."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Alternative:
    """A set of GPUs that was not chosen."""

    @property
    def gpus(self) -> list[int]:
        """The indices of its GPUs."""

    @property
    def score(self) -> list[Score]:
        """One value for each objective, most important first."""

    @property
    def meets(self) -> bool:
        """True where it meets the requirements, and the preference that the chosen set meets."""

    @property
    def loss(self) -> Loss | None:
        """The first objective by which it differs from what was chosen. None: both are as good, and the lowest indices
        decided.
        """

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Loss:
    """The objective by which an alternative is worse, and by how much. `str()` says it in words."""

    @property
    def objective(self) -> str:
        """The objective's name."""

    @property
    def value(self) -> float | None:
        """The value of the alternative, in the unit. None: something that it rests on is unknown."""

    @property
    def chosen(self) -> float | None:
        """The value of the chosen set, in the unit. Equal where only the nearness of the paths differs."""

    @property
    def unit(self) -> str:
        """The unit, as in Score."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Plan:
    """The GPUs, CPUs, memory and NICs of each rank of a job on one machine: a sequence of one Part for each local rank. Made by
    Topology.plan.

    Every rank works it out alone: the same topology, variables and rules give the same plan everywhere.

    `plan[n]` is the part of local rank n, and `plan[2:4]` a list of parts. Unpickling computes the plan again, and raises
    ValueError where this version of nvtopo answers otherwise.

    >>> import nvtopo
    >>> plan = nvtopo.preset("dgx-h100").plan(ranks=8)
    >>> len(plan), plan[5].gpu, str(plan[5].cpus), plan[5].nic
    (8, 5, '70-83,182-195', 'mlx5_9')
    >>> print(plan.format("rankfile-ompi5").splitlines()[1])
    rank 0=localhost slot=0-27
    """

    @property
    def policy(self) -> str:
        """The policy by which the CPUs were dealt out."""

    @property
    def remarks(self) -> list[str]:
        """Remarks for people."""

    def format(self, name: str, *, memory: str | None = None) -> str:
        """The plan as a launcher takes it; `launch_formats()` lists the names.

        Args:
            memory: how ranks are to take memory: "preferred", "local", "bind" or "interleave"; "none" says nothing of it.
                None: "preferred" for numactl and systemd, "none" for others.

        Raises InvalidRequestError for an unknown name, where a rank has no CPUs, and where the format cannot say how
        memory is to be taken.

        >>> import nvtopo
        >>> print(nvtopo.preset("dgx-a100").plan(ranks=2).format("taskset"), end="")
        taskset -c 48-55,176-183
        taskset -c 56-63,184-191
        """

    def to_json(self) -> str:
        """The plan as JSON for programs."""

    def to_text(self) -> str:
        """The plan as a table for people; `str()` gives the same."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: int, /) -> Part: ...
    @overload
    def __getitem__(self, key: slice, /) -> list[Part]: ...
    def __iter__(self) -> Iterator[Part]: ...
    def _repr_html_(self) -> str:
        """The plan as notebooks show it."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Part:
    """The part of one rank in a plan. bind takes it. Unpickling computes the plan again, as that of a Plan."""

    @property
    def rank(self) -> int:
        """The local rank."""

    @property
    def gpu(self) -> int | None:
        """The index of its GPU, of several the first, or None where it has none."""

    @property
    def gpus(self) -> list[int]:
        """The indices of its GPUs."""

    @property
    def instances(self) -> list[str]:
        """The names of the MIG instances that it uses of them; empty where it uses whole GPUs."""

    @property
    def cpus(self) -> CpuSet:
        """Its CPUs; empty where it sees no GPU, for then nothing is known of where to run."""

    @property
    def mems(self) -> NodeSet:
        """The NUMA nodes to take memory from; empty when unknown."""

    @property
    def own_cores(self) -> int:
        """The number of cores that no other rank shares; 0 where all are shared or that is unknown."""

    @property
    def nics(self) -> list[str]:
        """The names of the NICs to use, one for each of its GPUs as far as known."""

    @property
    def nic(self) -> str | None:
        """The name of the NIC to use, of several the first, or None where none is known."""

    @property
    def remarks(self) -> list[str]:
        """Remarks for people."""

    def split_cpus(self, parts: int) -> list[CpuSet]:
        """Splits its CPUs into parts for the workers of the rank, as Topology.split_cpus does: one for each worker of a
        DataLoader, which binds itself to its part as it starts.

        >>> import nvtopo
        >>> workers = nvtopo.preset("dgx-h100").plan(ranks=8)[0].split_cpus(2)
        >>> [str(cpus) for cpus in workers]
        ['0-6,112-118', '7-13,119-125']
        >>> bind_worker = lambda worker: os.sched_setaffinity(0, workers[worker])  # DataLoader(worker_init_fn=bind_worker)
        """

    def env(
        self, export: Iterable[str] = (), *, environ: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The variables that go with it. Unasked, only OMP_NUM_THREADS, where it is not set and the cores are its own.

        Args:
            export: what else to tell: "gpus" (CUDA_VISIBLE_DEVICES, the same for all ranks), "threads" (OMP_NUM_THREADS
                even where it is set), "ib-hca" (NCCL_IB_HCA, the same for all ranks), "ucx-device" (UCX_NET_DEVICES),
                "uccl-device" (UCCL_P2P_RDMA_DEV), "nvshmem-hca" (NVSHMEM_HCA_LIST), "vllm-nics"
                (VLLM_GPU_NIC_PCIE_MAPPING, the same for all ranks).
            environ: the variables that are set. None: os.environ.

        Raises InvalidRequestError for other names.

        >>> import nvtopo
        >>> nvtopo.preset("dgx-h100").plan(ranks=8)[1].env(environ={})
        {'OMP_NUM_THREADS': '14'}
        """

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Binding:
    """A binding for the block of a `with` statement. Made by bound."""

    def __enter__(self) -> Bound: ...
    def __exit__(self, *_error: object) -> None: ...

@final
class Request:
    """A job's request to an Allocator. The arguments are those of Topology.place.

    An Allocator places for others, so the CPUs of the calling thread are no limit here: allowed_cpus=None allows all.

    >>> import nvtopo
    >>> nvtopo.Request(2, require=["nvlink-group"])
    <Request of 2 GPUs>
    """

    def __new__(
        cls,
        gpus: int,
        *,
        only: Iterable[int | str] | None = None,
        exclude: Iterable[int | str] = (),
        include: Iterable[int | str] = (),
        objectives: Iterable[str] | None = None,
        require: Iterable[str] = (),
        prefer: Iterable[str] = (),
        free: bool = False,
        free_memory: int | str | None = None,
        allowed_sets: Iterable[Iterable[int | str]] | None = None,
        mix: Mapping[int, float] | None = None,
        tolerance: float | None = None,
        reserve_cpus: CpuSet | Iterable[int] | str | None = None,
        allowed_cpus: CpuSet | Iterable[int] | str | None = None,
        isolated: Literal["avoid", "use"] = "avoid",
        cores: Literal["all", "fast"] = "all",
        cpus_per_gpu: int | None = None,
        memory_per_gpu: int | str | None = None,
        hugepages_per_gpu: Mapping[int | str, int] | None = None,
        gpus_per_nic: int | None = None,
    ) -> Request: ...
    @property
    def gpus(self) -> int:
        """The number of GPUs."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Job:
    """A job of an Allocator. Equal to another where both have the same number; an Allocator gives each number once.

    Unpickling computes its placement again. Pickling raises TypeError where that depends on the CPUs, memory or NICs that
    other jobs had when it came, and not on their GPUs only.
    """

    @property
    def number(self) -> int:
        """Its number on its Allocator, from 0 on in the order in which jobs came."""

    @property
    def placement(self) -> Placement:
        """The GPUs of the job and what belongs to each."""

    @property
    def gpus(self) -> list[int]:
        """The indices of its GPUs in the order to use."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Batch:
    """Jobs that were placed together. Made by Allocator.place_all."""

    @property
    def jobs(self) -> list[Job]:
        """The jobs, in the order of the requests."""

    @property
    def share(self) -> float:
        """The bandwidth of the rings of a job with several GPUs, as a part of the best of its size on the empty machine,
        averaged over these jobs; 1 without any.
        """

    @property
    def optimal(self) -> bool:
        """True where no division gives them more together."""

    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Allocator:
    """A machine and the jobs on it: jobs come and go, and each gets the best of what is free.

    A request is a Request, or a number of GPUs. Any number of threads may use an Allocator at once.

    Raises UnsupportedError for a machine of more than 128 GPUs.

    >>> import nvtopo
    >>> allocator = nvtopo.Allocator(nvtopo.preset("dgx-1-v100"))
    >>> job = allocator.place(2)
    >>> job.gpus, allocator.free, allocator.what_if(2).gpus
    ([0, 3], [1, 2, 4, 5, 6, 7], [1, 2])
    >>> allocator.release(job)
    >>> len(allocator.free)
    8
    """

    def __new__(cls, topology: Topology) -> Allocator: ...
    @property
    def free(self) -> list[int]:
        """The indices of the GPUs that no job has and that can be used."""

    @property
    def jobs(self) -> list[Job]:
        """The jobs, oldest first."""

    def place(self, request: Request | int) -> Job:
        """Places a job.

        Raises as Topology.place does, and then nothing changes.
        """

    def what_if(self, request: Request | int) -> Placement:
        """Returns the placement that a job would get now. Nothing changes.

        Raises as Topology.place does.
        """

    def release(self, job: Job) -> None:
        """Ends a job and frees its GPUs, CPUs, memory and NICs.

        Raises InvalidRequestError where there is no such job.
        """

    def place_all(self, requests: Sequence[Request | int]) -> Batch:
        """Places many jobs at once, so that their rings carry the most together: not one after another, where the first takes
        what a later one needs. Either all are placed, or none.

        Raises UnsatisfiableError where there is no room for all.

        >>> import nvtopo
        >>> allocator = nvtopo.Allocator(nvtopo.preset("dgx-1-v100"))
        >>> batch = allocator.place_all([2, 2, nvtopo.Request(4, require=["nvlink-group"])])
        >>> batch.share, batch.optimal, allocator.free
        (1.0, True, [])
        """

    def room_for(self, request: Request | int) -> tuple[int, bool]:
        """Counts the jobs like this that there is room for at once, and tells whether there is certainly none for one more.

        >>> import nvtopo
        >>> allocator = nvtopo.Allocator(nvtopo.preset("rtx-a6000-4-bridged"))
        >>> allocator.room_for(nvtopo.Request(2, require=["nvlink-group"]))
        (2, True)
        """

@final
class Chooser:
    """Chooses GPUs of one machine from any that are free, and says nothing else of them. The answers are those of
    Topology.place, and are memoized: a repeated request costs next to nothing.

    Args:
        topology: the machine.
        objectives: what counts, most important first, as in Topology.place.
        mix: how often jobs of each size come, as in Topology.place.

    Raises UnsupportedError for a machine of more than 128 GPUs.

    >>> import nvtopo
    >>> chooser = nvtopo.Chooser(nvtopo.preset("dgx-1-v100"))
    >>> chooser.choose(range(8), 2), chooser.choose_mask(0b1111_0110, 2)
    ([0, 3], 6)
    """

    def __new__(
        cls,
        topology: Topology,
        *,
        objectives: Iterable[str] | None = None,
        mix: Mapping[int, float] | None = None,
    ) -> Chooser: ...
    def choose(self, free: Iterable[int | str], count: int) -> list[int] | None:
        """The indices of the best `count` of the free GPUs, increasing. None: there are not so many, or `count` is 0.

        Args:
            free: the free GPUs, each named as in Topology.place.
            count: how many.

        Raises InvalidRequestError where there is no such GPU.
        """

    def choose_mask(self, free: int, count: int) -> int | None:
        """As choose, in bits: bit n stands for `Topology.gpus[n]`, which is the GPU of index n where the indices have no gaps.
        Bits of no GPU are not looked at.

        Args:
            free: the free GPUs, below 2 to the power of 128.
            count: how many.

        Raises OverflowError for negative and larger numbers.
        """

@final
class RankGroup:
    """Ranks that communicate, and the bandwidth of their GPUs."""

    @property
    def ranks(self) -> list[int]:
        """The ranks in the order of the group; of a pipeline, two neighbouring stages."""

    @property
    def gpus(self) -> list[int]:
        """The indices of their GPUs, in the same order."""

    @property
    def gb_per_s(self) -> float:
        """The bandwidth of these together, one direction, in GB/s (1e9 bytes per second)."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class DimensionTime:
    """The communication time of one dimension of a job in one step."""

    @property
    def dimension(self) -> str:
        """The dimension: "tp", "cp", "ep", "dp", "edp" or "pp"."""

    @property
    def bytes(self) -> int:
        """The bytes that a rank sends."""

    @property
    def groups(self) -> int:
        """The number of groups; of a pipeline, of pairs of neighbouring stages."""

    @property
    def seconds(self) -> float:
        """The time of the slowest group, in seconds."""

    @property
    def worst(self) -> RankGroup:
        """The slowest group, the first of several."""

    @property
    def launcher_seconds(self) -> float:
        """The time of the slowest group in the launcher's order, in seconds."""

    @property
    def launcher_worst(self) -> RankGroup:
        """The slowest group in the launcher's order."""

    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class RankMap:
    """The GPUs for the ranks of a parallel job, so that it communicates in the least time. Made by Topology.rank_map.
    Unpickling computes it again, as that of a Placement.

    >>> import nvtopo
    >>> ranks = nvtopo.preset("dgx-1-v100").rank_map(tp=2, pp=4, traffic={"tp": "8GB", "pp": 10**9})
    >>> ranks.seconds < ranks.launcher_seconds, ranks.optimal, len(ranks.gpu_of_rank)
    (True, True, 8)
    """

    @property
    def shape(self) -> str:
        """The sizes of the job as its order names them, such as "tp 2 × dp 4"."""

    @property
    def order(self) -> str:
        """The order in which ranks run through the dimensions, such as "tp-cp-ep-dp-pp"."""

    @property
    def gpu_of_rank(self) -> list[int]:
        """The index of the GPU of each rank."""

    @property
    def launcher_order(self) -> list[int]:
        """The same in the launcher's order."""

    @property
    def seconds(self) -> float:
        """The communication time of one step, in seconds."""

    @property
    def launcher_seconds(self) -> float:
        """The same in the launcher's order."""

    @property
    def gain(self) -> float:
        """The speedup over the launcher's order; 1 where nothing is gained."""

    @property
    def bound_seconds(self) -> float:
        """The lower bound of the time of any mapping, in seconds."""

    @property
    def optimal(self) -> bool:
        """True where no mapping takes less time."""

    @property
    def dimensions(self) -> list[DimensionTime]:
        """The times of the dimensions that communicate."""

    def env(self) -> dict[str, str]:
        """The variables with which a launcher that gives local rank n the n-th visible GPU gives each rank its own:
        CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES. The deepspeed command sorts what it finds there, so that the order is
        lost: start such jobs with torchrun.
        """

    def to_json(self) -> str:
        """The mapping as JSON for programs."""

    def to_text(self) -> str:
        """The mapping as text for people, with tables; `str()` gives the same."""

    def _repr_html_(self) -> str:
        """The mapping as notebooks show it."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Bound:
    """The result of bind."""

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
        """The number of threads that were moved."""

    @property
    def memory(self) -> str | None:
        """The memory policy now: "preferred", "local", "bind" or "interleave". None: it is as it was."""

    @property
    def mems(self) -> NodeSet | None:
        """The nodes of that policy. None: the policy is as it was, or it names none."""

    @property
    def warnings(self) -> list[str]:
        """Warnings: each says what was refused or could not be done."""

    @property
    def remarks(self) -> list[str]:
        """Remarks for people about the CPUs and memory given."""

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
        """Returns True where the sets share no index. Takes any iterable of indices."""

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
        """Returns True where the sets share no index. Takes any iterable of indices."""

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
    """The base of all errors of nvtopo. Its subclasses say which kind of thing went wrong.

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
    """The request is wrong in itself: an unknown name, a contradiction, a number out of range. Also a ValueError."""

class UnsatisfiableError(NvtopoError):
    """The request is sound, but this machine cannot satisfy it."""

class IoError(NvtopoError, OSError):
    """A file could not be read, or a system call failed. Also an OSError, with `errno` where there is one."""

class WrongMachineError(NvtopoError):
    """The topology is not known to be this machine's, and the call would change this machine."""

class RefusedError(NvtopoError, PermissionError):
    """The kernel or the sandbox refused the call. Also a PermissionError."""

class UnsupportedError(NvtopoError):
    """This build or this system cannot do it."""

def _remake(name: str, fields: object) -> object:
    """Makes an object again of what it was pickled to."""
