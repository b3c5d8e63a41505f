"""Choosing GPUs."""

from __future__ import annotations

import json
import pickle
from xml.etree import ElementTree

import nvtopo
import pytest


def test_place(dgx1: nvtopo.Topology) -> None:
    place = dgx1.place(gpus=4, exclude=[0])
    assert place.gpus == [4, 5, 6, 7] and place.optimal
    assert [gpu.index for gpu in place.per_gpu] == place.gpus
    assert "NVLink" in place.why and isinstance(place.remarks, list)
    assert str(place) == f"GPU4,GPU5,GPU6,GPU7 on CPUs {place.cpus}" and repr(place) == f"<Placement {place}>"
    union = nvtopo.CpuSet()
    for gpu in place.per_gpu:
        union |= gpu.cpus
    assert union == place.cpus and place.mems == {1}
    assert "GPU4" in place.to_text()


def test_gpus_by_every_name(dgx1: nvtopo.Topology) -> None:
    address = dgx1.gpus[2].address
    assert address is not None
    assert dgx1.place(3, only=(0, "GPU1", address)).gpus == [0, 1, 2]
    assert dgx1.place(1, include={"3"}).gpus == [3]
    assert dgx1.place(2, only=iter([5, 6]), objectives=["pair-sum"]).gpus == [5, 6]


def test_what_belongs_to_a_gpu(dgx: nvtopo.Topology) -> None:
    gpu = dgx.place(1, only=[0]).per_gpu[0]
    assert (gpu.index, gpu.nics, gpu.nic_path, gpu.uuid) == (0, ["mlx5_0"], "PIX", None)
    assert gpu.cpus == nvtopo.CpuSet("0-13,112-125") and gpu.mems == nvtopo.NodeSet([0])
    assert gpu.address == dgx.gpus[0].address


def test_what_a_job_needs_beside_its_gpus(dgx: nvtopo.Topology) -> None:
    place = dgx.place(2, cpus_per_gpu=8, memory_per_gpu="600GiB", hugepages_per_gpu={"2MiB": 16, 1 << 30: 1})
    assert place.gpus == [0, 4]  # one half has memory for one of them
    gpu = place.per_gpu[1]
    assert gpu.memory == {1: 600 << 30} and gpu.mems == {1} and len(gpu.cpus) == 8
    assert gpu.huge_pages is None and any("2 MiB pages of NUMA node 1" in remark for remark in place.remarks)
    assert dgx.place(2).per_gpu[0].memory is None
    assert dgx.explain(2, memory_per_gpu=600 << 30).placement.gpus == [0, 4]
    with pytest.raises(nvtopo.UnsatisfiableError, match="112 CPUs are left near GPU0"):
        dgx.place(1, cpus_per_gpu=113)
    for wrong in ({"memory_per_gpu": "64"}, {"memory_per_gpu": -1}, {"hugepages_per_gpu": {"2MiB": -1}}, {"cpus_per_gpu": -1}):
        with pytest.raises(nvtopo.InvalidRequestError):
            dgx.place(1, **wrong)


def test_scores(dgx: nvtopo.Topology) -> None:
    first = dgx.place(2).score[0]
    assert (first.objective, first.value, first.unit) == ("ring", 450.0, "GB/s")
    assert first.bound is None or first.bound >= 450.0


def test_constraints_and_preferences() -> None:
    bridged = nvtopo.preset("rtx-a6000-4-bridged")
    assert bridged.place(2, require=["nvlink-group", "at-least:50"]).gpus == [0, 1]
    with pytest.raises(nvtopo.UnsatisfiableError, match="at most 2 can be had"):
        bridged.place(3, require=["nvlink-group"])
    place = bridged.place(3, prefer=["nvlink-group"])
    assert place.preference is None and place.unmet[0].startswith("nvlink-group: ")
    assert bridged.place(2, prefer=["nvlink-group"]).preference == "nvlink-group"
    with pytest.raises(nvtopo.InvalidRequestError, match="at-least"):
        bridged.place(2, require=["rack"])


def test_a_mix_of_jobs_decides_what_is_left(dgx: nvtopo.Topology) -> None:
    for mix in ({1: 1.0}, {2: 0.5, 4: 0.5}):
        assert dgx.place(2, mix=mix).score[-1].objective == "remainder"
    with pytest.raises(nvtopo.InvalidRequestError):
        dgx.place(2, mix={})


def test_each_gpu_has_a_nic_of_its_own(dgx: nvtopo.Topology) -> None:
    nics = [gpu.nic for gpu in dgx.place(8).per_gpu]
    assert len(set(nics)) == 8 and nics[0] == "mlx5_0"


@pytest.mark.parametrize("cpus", ["0-1", [0, 1], nvtopo.CpuSet("0-1")])
def test_cpu_limits(dgx: nvtopo.Topology, cpus: nvtopo.CpuSet | list[int] | str) -> None:
    assert nvtopo.CpuSet("0-1").isdisjoint(dgx.place(1, only=[0], reserve_cpus=cpus).cpus)
    assert dgx.place(8, allowed_cpus=cpus).cpus == {0, 1}


def test_environment(dgx: nvtopo.Topology) -> None:
    assert dgx.place(2, only=[5, 3]).env() == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "3,5",
    }


def test_uuids_are_used_where_all_are_known(dgx: nvtopo.Topology) -> None:
    document = json.loads(dgx.to_json())
    gpus = [node["gpu"] for node in document["topology"]["nodes"] if "gpu" in node]
    for number, gpu in enumerate(gpus):
        gpu["uuid"] = f"GPU-{number:08x}-0000-0000-0000-000000000000"
    topo = nvtopo.loads(json.dumps(document))
    place = topo.place(1, only=["GPU-00000003"])
    assert place.env()["CUDA_VISIBLE_DEVICES"] == topo.gpus[3].uuid == place.per_gpu[0].uuid


def test_json(dgx: nvtopo.Topology) -> None:
    place = dgx.place(2)
    document = json.loads(place.to_json())
    assert document["gpus"] == place.gpus and document["optimal"] is True and document["why"] == place.why


def test_what_would_have_been_chosen_instead(dgx1: nvtopo.Topology) -> None:
    why = dgx1.explain(gpus=2)
    assert why.placement.gpus == dgx1.place(2).gpus
    first_fit = why.first_fit
    assert first_fit is not None and first_fit.gpus == [0, 1] and first_fit.loss is not None
    loss = first_fit.loss
    assert str(loss) == "ring: 25 GB/s instead of 50 GB/s"
    assert (loss.objective, loss.value, loss.chosen, loss.unit) == ("ring", 25.0, 50.0, "GB/s")
    assert first_fit.score[0].value == 25.0 and repr(first_fit) == "<Alternative GPU0,GPU1>"
    assert why.next is not None and why.next != first_fit
    assert "first fit" in why.to_text() and json.loads(why.to_json())
    assert repr(why) == f"<Explanation of {why.placement}>"
    assert dgx1.explain(8).next is None and dgx1.explain(8).first_fit is None
    with pytest.raises(nvtopo.UnsatisfiableError):
        dgx1.explain(9)


def test_notebooks_show_a_table(dgx: nvtopo.Topology) -> None:
    place = dgx.place(2)
    assert place._repr_html_() == f"<pre>{place.to_text()}</pre>"
    assert dgx.plan(2)._repr_html_().startswith("<pre>")


def test_notebooks_show_a_picture(dgx: nvtopo.Topology) -> None:
    picture = dgx._repr_svg_()
    assert picture == dgx.to_svg() and ElementTree.fromstring(picture).tag.endswith("}svg")
    assert all(gpu.name in picture for gpu in dgx.gpus)


def test_pictures_are_drawn_in_every_format(dgx: nvtopo.Topology) -> None:
    assert dgx.draw() == dgx.to_svg()
    assert dgx.draw("png", scale=1).startswith(b"\x89PNG") and dgx.draw("html").startswith("<!doctype html>")
    place = dgx.place(2)
    assert dgx.draw(gpus=place) == dgx.draw(gpus=2) and "rank 1" in dgx.draw(gpus=2)
    assert dgx.draw(theme="dark") != dgx.draw(theme="light")
    with pytest.raises(nvtopo.InvalidRequestError, match="there is no picture 'gif'"):
        dgx.draw("gif")  # type: ignore[call-overload]
    with pytest.raises(nvtopo.InvalidRequestError, match="there is no theme 'blue'"):
        dgx.draw(theme="blue")  # type: ignore[call-overload]
    with pytest.raises(nvtopo.InvalidRequestError, match="is no scale"):
        dgx.draw("png", scale=0)
    with pytest.raises(nvtopo.UnsatisfiableError):
        dgx.draw(gpus=99)


def test_models_memory_and_allowed_sets(dgx: nvtopo.Topology) -> None:
    model = dgx.gpus[0].model
    assert model is not None
    assert dgx.place(2, only=[f"model:{model}"]).gpus == dgx.place(2).gpus
    with pytest.raises(nvtopo.InvalidRequestError, match="no GPU is of a model 'T4'"):
        dgx.place(2, exclude=["model:T4"])
    assert len(dgx.place(2, require=["same-model", "gpu-memory:40GiB"]).gpus) == 2
    with pytest.raises(nvtopo.UnsatisfiableError, match="at least 1 TiB of memory each"):
        dgx.place(2, require=["gpu-memory:1TiB"])
    halves: list[list[int | str]] = [[0, 1, 2, 3], ["GPU4", "5-7"]]
    place = dgx.place(4, allowed_sets=halves, exclude=[0])
    assert place.gpus == [4, 5, 6, 7] and pickle.loads(pickle.dumps(place)) == place
    with pytest.raises(nvtopo.UnsatisfiableError, match="the nearest have 4"):
        dgx.place(3, allowed_sets=halves)
    with pytest.raises(nvtopo.InvalidRequestError, match="there is no allowed set"):
        dgx.place(3, allowed_sets=[])


def test_variables_for_all_ranks(dgx: nvtopo.Topology) -> None:
    place = dgx.place(2)
    assert set(place.env()) == {"CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"}
    told = place.env(["ib-hca"])
    assert told["NCCL_IB_HCA"] == "=" + ",".join(nic for gpu in place.per_gpu for nic in gpu.nics)
    assert {**place.env(), "NCCL_IB_HCA": told["NCCL_IB_HCA"]} == told
    for wrong in ("ucx-device", "threads", "everything"):
        with pytest.raises(nvtopo.InvalidRequestError, match=wrong):
            place.env([wrong])
