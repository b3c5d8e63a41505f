"""Answers of nvtopo survive pickle and copy, and reach other processes unchanged."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import nvtopo
import pytest
from nvtopo import _nvtopo
from test_devices import document

MODEL = "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B"


def values() -> list[object]:
    described = nvtopo.loads(json.dumps(document()))
    gpu = described.gpus[0]
    dgx = nvtopo.preset("dgx-1-v100")
    place = dgx.place(2, allowed_cpus="0-79")
    why = dgx.explain(5)
    assert gpu.fabric is not None and gpu.pcie is not None and why.first_fit is not None
    assert why.first_fit.loss is not None
    ranks = dgx.rank_map(tp=2, dp=4, model=MODEL).dimensions
    shares = dgx.cpus()
    return [
        *described.gpus,
        *described.nics,
        *described.numa_nodes,
        *described.notes,
        *dgx.gpus,
        *dgx.nics,
        gpu.fabric,
        gpu.pcie,
        *gpu.nvlinks,
        *gpu.instances,
        *described.numa_nodes[0].huge_pages,
        described.p2p(0, 1),
        dgx.pair(0, 3),
        dgx.pair(0, 0),
        *place.per_gpu,
        *place.score,
        why.first_fit,
        why.first_fit.loss,
        *why.first_fit.score,
        shares,
        *shares.per_gpu,
        dgx.visible_gpus({"CUDA_VISIBLE_DEVICES": "3,1"}),
        dgx.write("json"),
        *ranks,
        ranks[0].worst,
    ]


def answers() -> list[object]:
    """The answers that unpickling computes again."""
    described = nvtopo.loads(json.dumps(document()))
    instance = described.gpus[0].instances[0].uuid
    assert instance is not None
    dgx, dgx1 = nvtopo.preset("dgx-h100"), nvtopo.preset("dgx-1-v100")
    node = nvtopo.Allocator(dgx1)
    first = node.place(2)
    request = nvtopo.Request(
        2,
        only=range(1, 8),
        exclude=["GPU7"],
        include=[2],
        objectives=["ring", "nic"],
        require=["nvlink-group", "at-least:12.5"],
        prefer=["numa-node"],
        mix={1: 0.3, 4: 0.9},
        reserve_cpus="0-1",
        allowed_cpus=range(70),
        cpus_per_gpu=4,
        memory_per_gpu="1GiB",
        hugepages_per_gpu={"2MiB": 16},
        gpus_per_nic=2,
    )
    batch = nvtopo.Allocator(dgx1).place_all([2, nvtopo.Request(3), 2])
    visible = {"CUDA_VISIBLE_DEVICES": "3,1,2"}
    plan = dgx.plan(5, policy="node", smt="one", reserve_cpus="0-1", allowed_cpus="0-99", environ=visible)
    divided = described.plan(environ={"CUDA_VISIBLE_DEVICES": instance})
    assert divided[0].instances == [instance]
    return [
        dgx.place(2),
        dgx1.place(5, exclude=["GPU0"], mix={1: 0.1, 2: 0.2}),
        nvtopo.Allocator(dgx1).what_if(request),
        dgx1.explain(5),
        dgx1.explain(8),
        request,
        nvtopo.Request(3, objectives=[]),
        first,
        node.place(2),
        node.what_if(nvtopo.Request(3, require=["nvlink-group"])),
        *node.jobs,
        batch,
        plan,
        plan[3],
        divided,
        *divided,
        dgx.plan(),
        dgx1.rank_map(tp=2, dp=4, model=MODEL),
        dgx1.rank_map(tp=2, pp=2, traffic={"tp": "8GB", "pp": 10**9}, order="pipe,data,model", gpus=[0, "GPU5", 2, 7]),
    ]


def texts(value: object) -> list[str]:
    told = [getattr(value, name)() for name in ("to_json", "to_text", "_repr_html_", "_repr_svg_") if hasattr(value, name)]
    return [repr(value), str(value), *told]


@pytest.mark.parametrize("value", answers(), ids=lambda value: type(value).__name__)
def test_answers_come_back(value: object) -> None:
    copies = [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in [*copies, copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(copies[0]))]:
        assert again == value and type(again) is type(value) and not again != value
        assert texts(again) == texts(value)
        if is_hashable(value):
            assert hash(again) == hash(value)
        for name in dir(value):
            if not name.startswith("_") and not callable(getattr(value, name)):
                assert getattr(again, name) == getattr(value, name), name


def test_different_answers_are_not_equal() -> None:
    dgx, dgx1 = nvtopo.preset("dgx-h100"), nvtopo.preset("dgx-1-v100")
    pairs: list[tuple[object, object]] = [
        (dgx1.place(2), dgx1.place(3)),
        (dgx1.place(2), dgx1.place(2, reserve_cpus="0")),
        (dgx1.place(2), dgx1.place(2, objectives=["nic"])),
        (dgx1.explain(2), dgx1.explain(2, exclude=[1])),
        (dgx.plan(2), dgx.plan(3)),
        (dgx.plan(2), dgx.plan(2, smt="one")),
        (dgx1.rank_map(tp=2, dp=4, model=MODEL), dgx1.rank_map(tp=4, dp=2, model=MODEL)),
        (nvtopo.Request(2), nvtopo.Request(2, exclude=[0])),
        (nvtopo.Request(2), nvtopo.Request(2, objectives=[])),
        (nvtopo.Allocator(dgx1).place_all([2, 2]), nvtopo.Allocator(dgx1).place_all([2, 4])),
    ]
    for one, other in pairs:
        assert one != other and not one == other, (one, other)
        assert one != 1
    # The arguments may differ where the answer is the same.
    assert dgx1.place(2) == dgx1.place(2, allowed_cpus="0-79")


def test_a_request_that_came_back_asks_for_the_same() -> None:
    request = next(value for value in answers() if isinstance(value, nvtopo.Request))
    again = pickle.loads(pickle.dumps(request))
    node = nvtopo.Allocator(nvtopo.preset("dgx-1-v100"))
    assert node.what_if(again) == node.what_if(request)
    assert node.what_if(request) != node.what_if(2)


def test_a_job_that_came_back_is_released() -> None:
    node = nvtopo.Allocator(nvtopo.preset("dgx-1-v100"))
    job = node.place(2)
    node.release(pickle.loads(pickle.dumps(job)))
    assert len(node.free) == 8 and not node.jobs


def test_a_part_that_came_back_tells_the_same_variables() -> None:
    part = nvtopo.preset("dgx-h100").plan(environ={"CUDA_VISIBLE_DEVICES": "3,1,2"})[1]
    exports = ["gpus", "threads", "ib-hca", "ucx-device"]
    told = part.env(exports, environ={})
    assert told["CUDA_VISIBLE_DEVICES"] == "3,1,2"
    assert pickle.loads(pickle.dumps(part)).env(exports, environ={}) == told


def test_what_depends_on_more_than_the_gpus_of_others_is_not_pickled() -> None:
    node = nvtopo.Allocator(nvtopo.preset("dgx-h100"))
    # 112 CPUs are beside each half: the first job leaves too few of its half for the second, whatever GPUs are free there.
    needy = nvtopo.Request(1, cpus_per_gpu=64)
    first, beside = node.place(needy), node.what_if(needy)
    second = node.place(needy)
    assert pickle.loads(pickle.dumps(first)).gpus == [0] and second.gpus == [4]
    for value in (beside, second, second.placement):
        with pytest.raises(TypeError, match="other jobs on its Allocator"):
            pickle.dumps(value)


def changed(value: Any, change: Callable[[list[Any]], None]) -> object:
    """Returns the result of a pickle of which another version wrote a part."""
    remake, (name, fields) = value.__reduce__()
    fields = list(fields)
    change(fields)
    again: object = remake(name, tuple(fields))
    return again


def test_what_would_be_answered_otherwise_is_refused() -> None:
    dgx, dgx1 = nvtopo.preset("dgx-h100"), nvtopo.preset("dgx-1-v100")

    def put(index: int, other: Any) -> Callable[[list[Any]], None]:
        def change(fields: list[Any]) -> None:
            fields[index] = other.__reduce__()[1][1][index]

        return change

    place, other = dgx1.place(2), dgx1.place(2, exclude=[0])
    plan, ranks = dgx.plan(2), dgx1.rank_map(tp=2, dp=4, model=MODEL)
    for value in (place, plan, plan[1], ranks, dgx1.explain(5)):
        assert changed(value, lambda fields: None) == value
    with pytest.raises(ValueError, match="this placement was pickled by another version .* otherwise"):
        changed(place, put(3, other))
    with pytest.raises(ValueError, match="this placement"):
        changed(place, lambda fields: fields.__setitem__(0, dgx))
    with pytest.raises(ValueError, match="this explanation"):
        changed(dgx1.explain(5), put(1, dgx1.explain(5, exclude=[0])))
    with pytest.raises(ValueError, match="this plan"):
        changed(plan, put(-1, dgx.plan(2, smt="one")))
    with pytest.raises(ValueError, match="this plan"):
        changed(plan, lambda fields: fields.__setitem__(-1, fields[-1][:1]))
    with pytest.raises(ValueError, match="this mapping"):
        changed(ranks, put(2, dgx1.rank_map(tp=4, dp=2, model=MODEL)))
    with pytest.raises(ValueError, match="another version"):
        changed(plan[1], lambda fields: fields.__setitem__(1, 2))


def is_hashable(value: object) -> bool:
    return type(value).__hash__ is not None


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_values_come_back(value: object) -> None:
    copies = [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in [*copies, copy.copy(value), copy.deepcopy(value)]:
        assert again == value and type(again) is type(value)
        assert (repr(again), str(again)) == (repr(value), str(value))
        if is_hashable(value):
            assert hash(again) == hash(value)
        for name in dir(value):
            if not name.startswith("_"):
                assert getattr(again, name) == getattr(value, name), name


def test_a_matrix_comes_back() -> None:
    matrix = nvtopo.preset("dgx-1-v100").bandwidth_matrix()
    again = pickle.loads(pickle.dumps(matrix))
    assert again.shape == matrix.shape and str(again.tolist()) == str(matrix.tolist())


def test_what_binding_did_comes_back() -> None:
    text = "\tGPU0\tCPU Affinity\nGPU0\t X \t60000\n"
    with pytest.warns(RuntimeWarning):
        done = nvtopo.bind(nvtopo.loads(text), on_error="warn")
    assert pickle.loads(pickle.dumps(done)) == done and done.warnings


def echo(value: object) -> object:
    return value


def test_other_processes_get_values() -> None:
    sent = [*values(), *answers()]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(echo, sent) == sent


def test_what_another_version_wrote_is_refused() -> None:
    remake = _nvtopo._remake
    for name, fields in (("Gpu", (1,)), ("Nothing", ()), ("BandwidthMatrix", (1.0, 2.0))):
        with pytest.raises(ValueError, match="another version"):
            remake(name, fields)
    with pytest.raises(TypeError):
        remake("PcieLink", ("4", 1, 2, 3))
