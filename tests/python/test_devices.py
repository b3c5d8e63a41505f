"""The facts of GPUs, NICs and NUMA nodes, from a document that has all of them."""

from __future__ import annotations

import json
from typing import Any

import nvtopo
import pytest

UUID = "GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab"
SLOW = {"generation": 1, "width": 8}
FAST = {"generation": 5, "width": 16}


def document() -> dict[str, Any]:
    gpu = {
        "parent": 0,
        "index": 0,
        "minor": 3,
        "model": "NVIDIA H100 80GB HBM3",
        "compute_capability": "9.0",
        "uuid": UUID,
        "serial": "1652222012345",
        "address": "0000:1b:00.0",
        "pci": {"link": {"now": SLOW, "device": FAST, "port": {"generation": 4, "width": 16}}},
        "mig": {"current": True, "pending": True},
        "fabric": {"state": "completed", "status": 0, "clique": 7},
        "nvlinks": [
            {"number": 0, "up": True, "generation": 4, "reported_mb_per_s": 26562, "far": {"gpu": "0000:43:00.0"}},
            {"number": 1, "up": False},
            {"number": 2, "up": True, "far": {"switch": None}},
        ],
    }
    instance = {"parent": 1, "uuid": "MIG-c6d4f1ef", "gpu_instance": 1, "compute_instance": 0, "profile": "1g.10gb"}
    nic = {
        "parent": 0,
        "name": "mlx5_0",
        "rdma_device": "mlx5_0",
        "port": 2,
        "net_devices": ["ibs1"],
        "model": "MT4129",
        "firmware": "28.39.1002",
        "state": "active",
        "link_layer": "infiniband",
        "mb_per_s": 50000,
        "measured_mb_per_s": 46100,
        "mtu": 4092,
        "bond": "bond0",
    }
    numa = {
        "parent": 0,
        "os_index": 1,
        "cpus": "0-3",
        "memory_bytes": 1024,
        "huge_pages": [{"size_bytes": 2097152, "total": 512, "free": 500}],
        "gpu": "0000:1b:00.0",
    }
    return {
        "format": "nvtopo-topology",
        "version": 1,
        "topology": {
            "source": "nvml",
            "nvlink_known": True,
            "nodes": [
                {"machine": {"hypervisor": "KVM", "driver": "570.124.06", "cuda": "12.8"}},
                {"gpu": gpu},
                {"gpu_instance": instance},
                {"gpu": {"parent": 0, "index": 1, "unusable": "has fallen off the bus"}},
                {"nic": nic},
                {"numa_node": numa},
            ],
            "links": [
                {
                    "between": [1, 3],
                    "kind": "nvlink",
                    "lanes": 1,
                    "rate": {"mb_per_s": 25000, "basis": "nominal"},
                    "reported_mb_per_s": 26562,
                }
            ],
            "p2p": [{"between": [1, 3], "read": "OK", "write": "TNS"}],
        },
    }


@pytest.fixture(scope="module")
def topo() -> nvtopo.Topology:
    return nvtopo.loads(json.dumps(document()))


def test_a_gpu(topo: nvtopo.Topology) -> None:
    gpu, lost = topo.gpus
    assert (gpu.minor, gpu.serial, gpu.uuid) == (3, "1652222012345", UUID)
    assert (gpu.compute_capability, gpu.architecture) == ("9.0", "Hopper")
    assert gpu.mig is True and gpu.unusable is None
    assert gpu.pcie is not None
    assert (gpu.pcie.generation, gpu.pcie.width, gpu.pcie.max_generation, gpu.pcie.max_width) == (1, 8, 4, 16)
    assert gpu.fabric is not None
    assert (gpu.fabric.state, gpu.fabric.status, gpu.fabric.cluster, gpu.fabric.clique) == ("completed", 0, None, 7)
    first, second, third = gpu.nvlinks
    assert (first.number, first.up, first.generation, first.gb_per_s) == (0, True, 4, 26.562)
    assert (first.far, first.far_address) == ("gpu", "0000:43:00.0")
    assert (second.up, second.gb_per_s, second.far) == (False, None, None)
    assert (third.far, third.far_address) == ("switch", None)
    (instance,) = gpu.instances
    assert (instance.uuid, instance.profile, instance.memory) == ("MIG-c6d4f1ef", "1g.10gb", None)
    assert (instance.gpu_instance, instance.compute_instance, instance.slices) == (1, 0, None)
    assert lost.unusable == "has fallen off the bus"
    assert (lost.minor, lost.architecture, lost.mig, lost.pcie, lost.fabric) == (None, None, None, None, None)
    assert lost.instances == [] and lost.nvlinks == []
    assert gpu == topo.gpus[0] and hash(gpu) == hash(topo.gpus[0]) and gpu != lost
    assert "1g" in repr(nvtopo.loads(json.dumps(document()).replace('"uuid": "MIG-c6d4f1ef", ', "")).gpus[0].instances)


def test_a_nic(topo: nvtopo.Topology) -> None:
    (nic,) = topo.nics
    assert nic.port == 2
    assert (nic.model, nic.firmware, nic.state, nic.link_layer) == ("MT4129", "28.39.1002", "active", "infiniband")
    assert (nic.gb_per_s, nic.measured_gb_per_s, nic.mtu, nic.bond) == (50.0, 46.1, 4092, "bond0")
    assert nic.pcie is None and nic.net_devices == ["ibs1"]


def test_the_machine(topo: nvtopo.Topology) -> None:
    assert (topo.hypervisor, topo.driver, topo.cuda) == ("KVM", "570.124.06", "12.8")
    (node,) = topo.numa_nodes
    assert (node.index, node.memory, node.gpu) == (1, 1024, "0000:1b:00.0")
    assert node.cpus == nvtopo.CpuSet("0-3")
    (pages,) = node.huge_pages
    assert (pages.size, pages.total, pages.free) == (2097152, 512, 500)
    text = json.dumps(document())
    assert nvtopo.loads(text.replace('"KVM"', '"n/a"')).hypervisor == ""
    assert nvtopo.loads(text.replace('"hypervisor": "KVM", ', "")).hypervisor is None
    assert "virtual machine (KVM)" in topo.to_text()


def test_peer_to_peer(topo: nvtopo.Topology, dgx: nvtopo.Topology) -> None:
    p2p = topo.p2p(1, UUID)
    assert p2p is not None
    assert (p2p.read, p2p.write, p2p.nvlink, p2p.atomics) == ("OK", "TNS", None, None)
    assert p2p == topo.p2p(0, "GPU1")
    assert dgx.p2p(0, 1) is None and topo.p2p(0, 0) is None
    with pytest.raises(nvtopo.InvalidRequestError):
        topo.p2p(0, 9)


def test_reported_rates(topo: nvtopo.Topology) -> None:
    assert topo.pair(0, 1).gb_per_s == 25.0
    reported = topo.with_reported_rates().pair(0, 1)
    assert (reported.gb_per_s, reported.basis) == (26.562, "reported")
    assert topo.with_reported_rates() != topo


def test_what_is_lost_is_never_chosen(topo: nvtopo.Topology) -> None:
    # GPU0 is MIG-enabled, and chosen where it is named.
    place = topo.place(1, include=[0], allowed_cpus="0-3")
    assert place.gpus == [0]
    assert any("GPU1 cannot be used" in remark for remark in place.remarks)
    with pytest.raises(nvtopo.UnsatisfiableError, match="MIG-enabled, and not chosen for whole GPUs: GPU0"):
        topo.place(1)
    with pytest.raises(nvtopo.UnsatisfiableError, match="fallen off the bus"):
        topo.place(2)
    with pytest.raises(nvtopo.InvalidRequestError, match="a part of GPU0"):
        topo.place(1, only=["MIG-c6d4f1ef"])


def test_a_new_instance_of_a_divided_gpu() -> None:
    described = document()
    nodes = described["topology"]["nodes"]
    nodes[1]["gpu"]["memory_bytes"] = 80 << 30
    nodes[2]["gpu_instance"]["placement"] = {"start": 4, "size": 1}
    divided = nvtopo.loads(json.dumps(described))
    place = divided.place_instance("1g.10gb")
    assert (place.gpu, place.profile, place.slices, place.start, place.size) == (0, "1g.10gb", 1, 6, 1)
    assert place == divided.place_instance(1, only=["GPU0"]) and hash(place) == hash(divided.place_instance(1))
    assert repr(place) == "<InstancePlacement of 1g.10gb: GPU0 from memory slice 6>"
    with pytest.raises(nvtopo.UnsatisfiableError, match="has room for 7g.80gb"):
        divided.place_instance("7g.80gb")
    for size, said in (("1g.5gb", "there are 1g.10gb"), (6, "6g"), (-1, "no size"), ("half", "'half' is no size")):
        with pytest.raises(nvtopo.InvalidRequestError, match=said):
            divided.place_instance(size)
    with pytest.raises(nvtopo.UnsatisfiableError, match="divided"):
        divided.place_instance(1, exclude=[0])
    with pytest.raises(TypeError):
        divided.place_instance(1.5)  # type: ignore[arg-type]
    # Where present instances lie, drivers tell to administrators only.
    del nodes[2]["gpu_instance"]["placement"]
    with pytest.raises(nvtopo.UnsatisfiableError, match="hidden"):
        nvtopo.loads(json.dumps(described)).place_instance(1)
