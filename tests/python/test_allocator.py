"""Jobs that come and go, and choosing alone."""

from __future__ import annotations

import threading

import nvtopo
import pytest


def test_jobs_come_and_go(dgx1: nvtopo.Topology) -> None:
    allocator = nvtopo.Allocator(dgx1)
    assert allocator.free == list(range(8)) and allocator.jobs == []
    first = allocator.place(2)
    second = allocator.place(nvtopo.Request(2, only=[4, 5, 6, 7]))
    assert first.gpus == first.placement.gpus == [0, 3] and set(second.gpus) < {4, 5, 6, 7}
    assert allocator.jobs == [first, second] and first != second and len({first, second, allocator.jobs[0]}) == 2
    assert (first.number, second.number) == (0, 1)
    assert not set(first.gpus + second.gpus) & set(allocator.free)
    assert allocator.what_if(2).gpus == [1, 2] and len(allocator.jobs) == 2
    assert repr(allocator) == "<Allocator of 2 jobs and 4 free GPUs>" and repr(first).startswith("<Job 0: GPU0,GPU3 on")
    allocator.release(first)
    with pytest.raises(nvtopo.InvalidRequestError, match="released before"):
        allocator.release(first)
    assert allocator.jobs == [second] and 0 in allocator.free


def test_jobs_keep_what_they_were_given(dgx: nvtopo.Topology) -> None:
    allocator = nvtopo.Allocator(dgx)
    request = nvtopo.Request(1, cpus_per_gpu=60, memory_per_gpu="600GiB")
    assert allocator.room_for(request) == (2, True)
    first, second = allocator.place(request), allocator.place(request)
    assert first.gpus == [0] and second.gpus == [4] and not first.placement.cpus & second.placement.cpus
    with pytest.raises(nvtopo.UnsatisfiableError, match="of memory left"):
        allocator.place(request)
    # GPU1's share, less what the first job took of it.
    assert not allocator.what_if(nvtopo.Request(1, only=[1])).cpus & first.placement.cpus
    allocator.release(first)
    assert allocator.place(request).gpus == [0]


def test_what_cannot_be_placed_changes_nothing(dgx1: nvtopo.Topology) -> None:
    allocator = nvtopo.Allocator(dgx1)
    allocator.place(6)
    with pytest.raises(nvtopo.UnsatisfiableError):
        allocator.place(3)
    with pytest.raises(nvtopo.UnsatisfiableError):
        allocator.place_all([1, 1, 1])
    assert len(allocator.jobs) == 1 and len(allocator.free) == 2
    for wrong in ("2", None, 1.5):
        with pytest.raises(TypeError):
            allocator.place(wrong)  # type: ignore[arg-type]
    with pytest.raises(nvtopo.InvalidRequestError):
        allocator.place(-1)


def test_many_jobs_at_once(dgx1: nvtopo.Topology) -> None:
    allocator = nvtopo.Allocator(dgx1)
    batch = allocator.place_all([2, 2, nvtopo.Request(4)])
    assert batch.optimal and batch.share == 1.0 and allocator.free == []
    assert [len(job.gpus) for job in batch.jobs] == [2, 2, 4] and allocator.jobs == batch.jobs
    assert repr(batch) == "<Batch of 3 jobs, share 1>"


def test_room() -> None:
    allocator = nvtopo.Allocator(nvtopo.preset("rtx-a6000-4-bridged"))
    assert allocator.room_for(nvtopo.Request(2, require=["nvlink-group"])) == (2, True)
    assert allocator.room_for(nvtopo.Request(3, require=["nvlink-group"])) == (0, True)
    assert allocator.room_for(1)[0] == 4


def test_a_request_takes_what_place_takes(dgx: nvtopo.Topology) -> None:
    words = {"exclude": ["GPU0"], "objectives": ["pair-sum"], "mix": {1: 1.0}, "reserve_cpus": "0-1"}
    request = nvtopo.Request(2, **words)  # type: ignore[arg-type]
    assert request.gpus == 2 and repr(request) == "<Request of 2 GPUs>"
    assert str(nvtopo.Allocator(dgx).what_if(request)) == str(dgx.place(2, **words))  # type: ignore[arg-type]
    allowed = nvtopo.Allocator(dgx).place(nvtopo.Request(1, allowed_cpus="0-3"))
    assert allowed.placement.cpus <= nvtopo.CpuSet("0-3")


def test_threads_share_a_node(dgx: nvtopo.Topology) -> None:
    allocator = nvtopo.Allocator(dgx)
    threads = [threading.Thread(target=allocator.place, args=(1,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert allocator.free == [] and len({job.gpus[0] for job in allocator.jobs}) == 8


def test_choosing_alone(dgx1: nvtopo.Topology) -> None:
    chooser = nvtopo.Chooser(dgx1)
    assert chooser.choose(range(8), 2) == [0, 3] == dgx1.place(2).gpus
    assert chooser.choose(["GPU1", 2, 4, 5], 2) == [1, 2]
    assert chooser.choose_mask(0b1111_1111, 2) == 0b1001 and chooser.choose_mask(1, 2) is None
    assert chooser.choose([], 1) is None and chooser.choose([0], 0) is None
    # Bits of no GPU are not looked at.
    assert chooser.choose_mask((1 << 128) - 1, 8) == 255
    for wrong in (-1, 1 << 128):
        with pytest.raises(OverflowError):
            chooser.choose_mask(wrong, 1)
    with pytest.raises(nvtopo.InvalidRequestError):
        chooser.choose([8], 1)
    assert repr(chooser) == "<Chooser of 8 GPUs>"


def test_choosing_by_objectives_and_mix(dgx1: nvtopo.Topology) -> None:
    chooser = nvtopo.Chooser(dgx1, objectives=["pair-sum"], mix={2: 1.0})
    assert chooser.choose(range(8), 3) == dgx1.place(3, objectives=["pair-sum"], mix={2: 1.0}).gpus
    with pytest.raises(nvtopo.InvalidRequestError, match="ring"):
        nvtopo.Chooser(dgx1, objectives=["speed"])
