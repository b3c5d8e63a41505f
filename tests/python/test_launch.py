"""The helpers for frameworks, with modules in the frameworks' place that answer as they do."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import nvtopo
import nvtopo.launch
import pytest

LIKE_THIS = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t{0}\nGPU1\tNV4\t X \t{1}\n"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments that nvtopo.bind is given. Nothing is bound."""
    made: list[tuple[Any, ...]] = []

    def bind(*arguments: Any, **options: Any) -> str:
        made.append((*arguments, options))
        return "bound"

    monkeypatch.setattr(nvtopo.launch, "bind", bind)
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "LOCAL_SIZE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return made


def module(name: str, **content: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(content)
    return made


def test_nothing_is_imported_but_what_is_asked_for() -> None:
    code = "import sys, nvtopo.launch; print({'torch', 'ray', 'mpi4py', 'accelerate', 'horovod'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told == "set()\n"
    assert "launch" not in subprocess.run(
        [sys.executable, "-c", "import sys, nvtopo; print([name for name in sys.modules if 'nvtopo' in name])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_options_are_those_of_bind() -> None:
    own = set(nvtopo.launch.Options.__annotations__)
    assert own == set(inspect.signature(nvtopo.bind).parameters) - {"target", "local_rank", "local_size"}


def test_torchrun_and_deepspeed_read_their_variables(
    calls: list[tuple[Any, ...]], dgx: nvtopo.Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    launchers: list[Callable[..., nvtopo.Bound]] = [nvtopo.launch.torchrun, nvtopo.launch.deepspeed]
    for launcher in launchers:
        with pytest.raises(nvtopo.InvalidRequestError, match="LOCAL_RANK is not set: .* by " + launcher.__name__):
            launcher(dgx)
    monkeypatch.setenv("LOCAL_RANK", "3")
    with pytest.raises(nvtopo.InvalidRequestError, match="LOCAL_WORLD_SIZE"):
        nvtopo.launch.torchrun(dgx)
    nvtopo.launch.deepspeed(dgx, memory="none")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_SIZE", "5")
    nvtopo.launch.torchrun(dgx, policy="node", trust=True)
    nvtopo.launch.deepspeed(dgx)
    assert calls == [
        (dgx, 3, {"local_size": None, "memory": "none"}),
        (dgx, 3, {"local_size": 4, "policy": "node", "trust": True}),
        (dgx, 3, {"local_size": 5}),
    ]
    monkeypatch.setenv("LOCAL_RANK", "three")
    with pytest.raises(nvtopo.InvalidRequestError, match="'three' and not a number"):
        nvtopo.launch.torchrun(dgx)


def test_frameworks_are_asked(
    calls: list[tuple[Any, ...]], dgx: nvtopo.Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvtopo.launch.horovod(module("hvd", local_rank=lambda: 2, local_size=lambda: 6), dgx)
    state = types.SimpleNamespace(local_process_index=1)
    monkeypatch.setitem(sys.modules, "accelerate", module("accelerate", PartialState=lambda: state))
    nvtopo.launch.accelerate(dgx)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    nvtopo.launch.accelerate()

    class Communicator:
        def __init__(self, rank: int, size: int) -> None:
            self.rank, self.size, self.freed = rank, size, False

        def Get_rank(self) -> int:
            return self.rank

        def Get_size(self) -> int:
            return self.size

        def Split_type(self, kind: str, key: int) -> Communicator:
            assert (kind, key) == ("shared", self.rank)
            return here

        def Free(self) -> None:
            self.freed = True

    here = Communicator(1, 4)
    mpi = module("mpi4py.MPI", COMM_WORLD=Communicator(9, 16), COMM_TYPE_SHARED="shared")
    monkeypatch.setitem(sys.modules, "mpi4py", module("mpi4py", MPI=mpi))
    nvtopo.launch.mpi4py(dgx)
    assert here.freed
    nvtopo.launch.mpi4py(dgx, comm=Communicator(5, 6), on_error="warn")
    assert calls[0] == (dgx, 2, {"local_size": 6})
    assert calls[1] == (dgx, 1, {"local_size": None})
    assert calls[2][0].origin in ("machine", "unknown") and calls[2][1:] == (1, {"local_size": 8})
    assert calls[3:] == [(dgx, 1, {"local_size": 4}), (dgx, 1, {"local_size": 4, "on_error": "warn"})]


def test_ray_says_which_gpus_an_actor_has(
    calls: list[tuple[Any, ...]], dgx: nvtopo.Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, list[str]] = {"GPU": []}
    context = types.SimpleNamespace(get_accelerator_ids=lambda: given)
    monkeypatch.setitem(sys.modules, "ray", module("ray", get_runtime_context=lambda: context))
    with pytest.raises(nvtopo.InvalidRequestError, match="no GPU: ask for some"):
        nvtopo.launch.ray(dgx)
    given["GPU"] = ["5", "1"]
    nvtopo.launch.ray(dgx, trust=True)
    place, options = calls.pop()
    assert sorted(place.gpus) == [1, 5] and options == {"trust": True}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,1")
    nvtopo.launch.ray(dgx)
    assert calls == [(dgx, {})]


def test_a_rank_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    topology = nvtopo.loads(LIKE_THIS.format(cpus[-1], cpus[0]))
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    try:
        bound = nvtopo.launch.torchrun(topology, trust=True, threads="calling", memory="none")
        assert os.sched_getaffinity(0) == {cpus[-1]} == set(bound.after)
    finally:
        os.sched_setaffinity(0, cpus)
