"""Binds the process that runs this by what its framework knows of its rank: a line each.

    import nvtopo.launch

    nvtopo.launch.torchrun()            # this machine, bound as torchrun's local rank

`nvtopo.bind` reads the variables of every launcher by itself, and `nvtopo exec` does before Python starts. These are for
what only a framework can say: an MPI communicator, Horovod's ranks, the GPUs that Ray gave an actor; and for a program that
wants an error where the framework it is written for did not start it. No framework is imported before its helper is called.

Each takes what `nvtopo.bind` takes: `target` is a topology (None: this machine), a placement or a part of a plan, and the
keywords go with it. Each answers what `nvtopo.bind` answers. Call it before threads and memory are taken, as `bind` says.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from . import Bound, CpuSet, InvalidRequestError, Part, Placement, Topology, bind, discover

if TYPE_CHECKING:
    from typing import Unpack

__all__ = ["Options", "accelerate", "deepspeed", "horovod", "mpi4py", "ray", "torchrun"]


class Options(TypedDict, total=False):
    """The keywords of `nvtopo.bind` but for the rank and the size, which the framework says."""

    threads: Literal["all", "calling"]
    trust: bool
    reserve_cpus: CpuSet | Iterable[int] | str | None
    policy: str | None
    smt: Literal["all", "one"] | None
    isolated: Literal["avoid", "use"] | None
    cores: Literal["all", "fast"] | None
    memory: Literal["preferred", "local", "bind", "interleave", "none"]
    scope: Literal["affinity", "cpuset"] | None
    require: bool
    on_error: Literal["raise", "warn"]


def torchrun(target: Placement | Topology | Part | None = None, **options: Unpack[Options]) -> Bound:
    """In a rank of torchrun or of torch's elastic agent: LOCAL_RANK and LOCAL_WORLD_SIZE.

    Raises InvalidRequestError where neither started this process, and what `nvtopo.bind` raises.
    """
    return _bind(target, _variable("LOCAL_RANK", "torchrun"), _variable("LOCAL_WORLD_SIZE", "torchrun"), options)


def deepspeed(target: Placement | Topology | Part | None = None, **options: Unpack[Options]) -> Bound:
    """In a rank of the command `deepspeed`: LOCAL_RANK and LOCAL_SIZE. Where MPI or Slurm starts the ranks, call it after
    `deepspeed.init_distributed`, which sets LOCAL_RANK; the size is theirs then.

    Raises InvalidRequestError where LOCAL_RANK is not set, and what `nvtopo.bind` raises.
    """
    size = _variable("LOCAL_SIZE", "deepspeed") if "LOCAL_SIZE" in os.environ else None
    return _bind(target, _variable("LOCAL_RANK", "deepspeed"), size, options)


def accelerate(target: Placement | Topology | Part | None = None, **options: Unpack[Options]) -> Bound:
    """In a process of `accelerate launch`, by its `PartialState`, which is made where there is none yet.

    Raises what `nvtopo.bind` raises.
    """
    from accelerate import PartialState  # type: ignore[import-not-found, import-untyped, unused-ignore]

    size = _variable("LOCAL_WORLD_SIZE", "accelerate") if "LOCAL_WORLD_SIZE" in os.environ else None
    return _bind(target, PartialState().local_process_index, size, options)


def horovod(hvd: Any, target: Placement | Topology | Part | None = None, **options: Unpack[Options]) -> Bound:
    """In a Horovod job. `hvd` is its module, such as `horovod.torch`, after `hvd.init()`.

    Raises what `nvtopo.bind` raises.
    """
    return _bind(target, hvd.local_rank(), hvd.local_size(), options)


def mpi4py(
    target: Placement | Topology | Part | None = None, *, comm: Any = None, **options: Unpack[Options]
) -> Bound:
    """In an MPI job, by which ranks of a communicator share this machine's memory, whatever mpirun sets.

    All ranks of it must call this, as it splits the communicator.

    Args:
        comm: the communicator of the job. None: MPI.COMM_WORLD.

    Raises what `nvtopo.bind` raises.
    """
    from mpi4py import MPI  # type: ignore[import-not-found, import-untyped, unused-ignore]

    comm = MPI.COMM_WORLD if comm is None else comm
    here = comm.Split_type(MPI.COMM_TYPE_SHARED, key=comm.Get_rank())
    try:
        rank, size = here.Get_rank(), here.Get_size()
    finally:
        here.Free()
    return _bind(target, rank, size, options)


def ray(target: Topology | None = None, **options: Unpack[Options]) -> Bound:
    """In a Ray actor or task, beside the GPUs that Ray gave it, with all threads that Ray has started by then. Ray tells
    them by CUDA_VISIBLE_DEVICES, unless it is configured not to; then by its runtime context.

    Raises InvalidRequestError where Ray gave it no GPU, and what `nvtopo.bind` raises.
    """
    from ray import get_runtime_context  # type: ignore[import-not-found, import-untyped, unused-ignore]

    gpus = get_runtime_context().get_accelerator_ids().get("GPU", [])
    if not gpus:
        raise InvalidRequestError("Ray gave this actor no GPU: ask for some, as in @ray.remote(num_gpus=1)")
    topology = discover() if target is None else target
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return bind(topology, **options)
    return bind(topology.place(len(gpus), only=[int(gpu) if gpu.isdecimal() else gpu for gpu in gpus]), **options)


def _bind(target: Placement | Topology | Part | None, rank: int, size: int | None, options: Options) -> Bound:
    return bind(discover() if target is None else target, rank, local_size=size, **options)


def _variable(name: str, launcher: str) -> int:
    value = os.environ.get(name)
    if value is None:
        raise InvalidRequestError(f"{name} is not set: this process was not started by {launcher}")
    try:
        return int(value)
    except ValueError:
        raise InvalidRequestError(f"{name} is {value!r} and not a number") from None
