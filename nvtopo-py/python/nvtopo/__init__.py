"""The GPUs, NVLinks, PCIe, NUMA nodes, CPUs and NICs of a server, and the best GPUs for a job.

    import nvtopo

    topo = nvtopo.discover()            # or nvtopo.load("topo.txt"), nvtopo.preset("dgx-h100")
    place = topo.place(gpus=4)
    nvtopo.bind(place)                  # CPUs and memory beside this rank's GPU

Importing it does nothing but load the extension module: no driver is opened, no thread is started.
"""

from collections.abc import Set as _Set

from ._nvtopo import (
    Bound,
    CpuSet,
    Fabric,
    Gpu,
    GpuInstance,
    HugePages,
    InvalidInputError,
    InvalidRequestError,
    IoError,
    Nic,
    NodeSet,
    NumaNode,
    NvLink,
    NvtopoError,
    P2p,
    Pair,
    PcieLink,
    PlacedGpu,
    Placement,
    RefusedError,
    Score,
    Share,
    Shares,
    Topology,
    UnsatisfiableError,
    UnsupportedError,
    WrongMachineError,
    __version__,
    bind,
    discover,
    load,
    loads,
    open,
    preset,
    presets,
    snapshot,
)

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
    "__version__",
    "bind",
    "discover",
    "load",
    "loads",
    "open",
    "preset",
    "presets",
    "snapshot",
]

_Set.register(CpuSet)
_Set.register(NodeSet)
