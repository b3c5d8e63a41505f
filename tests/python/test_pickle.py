"""What is nothing but its fields goes through pickle and copy, and comes to other processes, as what it was."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle

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
        *ranks,
        ranks[0].worst,
    ]


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
    sent = values()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(echo, sent) == sent


def test_what_another_version_wrote_is_refused() -> None:
    remake = _nvtopo._remake
    for name, fields in (("Gpu", (1,)), ("Nothing", ()), ("BandwidthMatrix", (1.0, 2.0))):
        with pytest.raises(ValueError, match="another version"):
            remake(name, fields)
    with pytest.raises(TypeError):
        remake("PcieLink", ("4", 1, 2, 3))
