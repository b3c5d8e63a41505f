"""Which rank of a parallel job uses which GPU."""

from __future__ import annotations

import json

import nvtopo
import pytest

MODEL = "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B"


def test_a_model(dgx1: nvtopo.Topology) -> None:
    ranks = dgx1.rank_map(tp=2, dp=4, model=MODEL)
    assert ranks.gpu_of_rank == [0, 3, 1, 2, 4, 7, 5, 6] and ranks.launcher_order == list(range(8))
    assert ranks.optimal and ranks.bound_seconds == ranks.seconds
    assert ranks.gain == pytest.approx(ranks.launcher_seconds / ranks.seconds) and ranks.gain > 1
    assert (ranks.shape, ranks.order) == ("tp 2 × dp 4", "tp-cp-ep-dp-pp")
    assert ranks.env() == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "0,3,1,2,4,7,5,6"}
    assert str(ranks) == ranks.to_text() and "in the launcher's order" in str(ranks)
    assert json.loads(ranks.to_json()) and repr(ranks).startswith("<RankMap tp 2 × dp 4: GPUs [0, 3,")


def test_dimensions(dgx1: nvtopo.Topology) -> None:
    ranks = dgx1.rank_map(tp=2, pp=4, traffic={"tp": "8GB", "pp": 10**9})
    tp, pp = ranks.dimensions
    assert (tp.dimension, tp.bytes, tp.groups) == ("tp", 8 * 10**9, 4)
    assert (pp.dimension, pp.bytes, pp.groups) == ("pp", 10**9, 6)
    assert ranks.seconds == pytest.approx(tp.seconds + pp.seconds)
    assert len(tp.worst.ranks) == len(tp.worst.gpus) == 2
    assert tp.worst.gpus == [ranks.gpu_of_rank[rank] for rank in tp.worst.ranks]
    assert tp.seconds == pytest.approx(8 / tp.worst.gb_per_s) and tp.launcher_seconds > tp.seconds
    assert tp.launcher_worst.gb_per_s < tp.worst.gb_per_s and tp != pp


def test_the_order_and_the_gpus(dgx1: nvtopo.Topology) -> None:
    ranks = dgx1.rank_map(tp=2, dp=2, traffic={"model": 10**9, "data": 0}, order="pipe,data,model", gpus=[3, "GPU2", 1, 0])
    assert ranks.order == "pipe,data,model" and ranks.launcher_order == [3, 2, 1, 0]
    assert sorted(ranks.gpu_of_rank) == [0, 1, 2, 3]


def test_what_is_wrong(dgx1: nvtopo.Topology) -> None:
    with pytest.raises(nvtopo.InvalidRequestError, match="tp"):
        dgx1.rank_map(tp=2, dp=4)
    with pytest.raises(nvtopo.UnsatisfiableError):
        dgx1.rank_map(tp=2, traffic={"tp": 1})
    with pytest.raises(nvtopo.InvalidRequestError):
        dgx1.rank_map(tp=0)
    for words in ({"traffic": {"xp": 1}}, {"traffic": {"tp": "much"}}, {"model": "layers"}, {"order": "tp-tp"}):
        with pytest.raises(nvtopo.InvalidRequestError):
            dgx1.rank_map(tp=8, **words)
