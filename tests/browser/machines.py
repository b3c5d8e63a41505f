"""Prints a made machine as nvtopo's JSON, for pictures that no preset shows.

    python3 tests/browser/machines.py rack|irregular|faults
"""

import json
import random
import sys
from typing import Any

GIB = 1 << 30
EVIL = '</script><img src=x onerror="alert(1)"> \'quoted\' & {{DATA}}'


class Made:
    """A machine in the making."""

    def __init__(self, **machine: Any) -> None:
        self.nodes: list[dict[str, Any]] = [{"machine": machine}]
        self.links: list[dict[str, Any]] = []

    def add(self, kind: str, parent: int, **facts: Any) -> int:
        self.nodes.append({kind: {"parent": parent, **facts}})
        return len(self.nodes) - 1

    def link(self, a: int, b: int, kind: str, lanes: int, mb_per_s: int) -> None:
        rate = {"mb_per_s": mb_per_s, "basis": "nominal"}
        self.links.append({"between": sorted([a, b]), "kind": kind, "lanes": lanes, "rate": rate})

    def text(self) -> str:
        topology = {"source": "sysfs", "nvlink_known": True, "nodes": self.nodes, "links": self.links}
        return json.dumps({"format": "nvtopo-topology", "version": 1, "topology": topology})


def rack() -> Made:
    """72 GPUs on one fabric, two beside each of 36 CPUs."""
    made = Made(product="72 GPUs on NVSwitches")
    switch = made.add("nvswitch", 0)
    for number in range(36):
        package = made.add("package", 0, os_index=number, model="NVIDIA Grace CPU")
        cpus = f"{72 * number}-{72 * number + 71}"
        numa = made.add("numa_node", package, os_index=number, cpus=cpus, memory_bytes=480 * GIB)
        for index in (2 * number, 2 * number + 1):
            gpu = made.add("gpu", numa, index=index, model="NVIDIA GB200", memory_bytes=185 * GIB)
            made.link(gpu, switch, "nvlink", 18, 900_000)
            made.link(gpu, numa, "c2c", 5, 225_000)
    return made


def irregular() -> Made:
    """128 GPUs of which some pairs have NVLinks, by chance."""
    made = Made(product="128 irregular GPUs")
    gpus = []
    for number in range(16):
        cpus = f"{16 * number}-{16 * number + 15}"
        numa = made.add("numa_node", 0, os_index=number, cpus=cpus, memory_bytes=64 * GIB)
        bridge = made.add("host_bridge", numa)
        for _ in range(2):
            switch = made.add("pcie_switch", bridge)
            made.link(switch, bridge, "pcie", 16, 31_500)
            for _ in range(4):
                gpu = made.add("gpu", switch, index=len(gpus), model="NVIDIA A100", memory_bytes=80 * GIB)
                made.link(gpu, switch, "pcie", 16, 31_500)
                gpus.append(gpu)
    chance = random.Random(7)
    for a in range(len(gpus)):
        for b in chance.sample(range(len(gpus)), 6):
            if a < b:
                lanes = chance.choice([1, 2, 4])
                made.link(gpus[a], gpus[b], "nvlink", lanes, 25_000 * lanes)
    return made


def faults() -> Made:
    """Names that try to break out, a GPU off the bus, MIG instances, disks, a NIC that is down, few allowed CPUs."""
    made = Made(product=EVIL, allowed_cpus="0-7")
    package = made.add("package", 0, os_index=0, model="A CPU with a name " + "that goes on and on " * 20)
    numa = made.add("numa_node", package, os_index=0, cpus="0-31", memory_bytes=64 * GIB)
    bridge = made.add("host_bridge", numa, address="0000:00:00.0")
    switch = made.add("pcie_switch", bridge, address="0000:01:00.0")
    made.link(switch, bridge, "pcie", 16, 31_500)
    more: list[dict[str, Any]] = [{}, {"unusable": "has fallen off the bus"}, {"mig": {"current": True, "pending": True}}]
    for index, facts in enumerate(more):
        gpu = made.add("gpu", switch, index=index, model=EVIL, memory_bytes=80 * GIB, **facts)
        made.link(gpu, switch, "pcie", 16, 31_500)
    for number in range(3):
        made.add("gpu_instance", gpu, gpu_instance=number, profile="1g.10gb")
    made.add("nic", switch, name="a_network_interface_with_a_long_name", state="down", mb_per_s=25_000)
    for number in range(4):
        made.add("nvme", bridge, name=f"nvme{number}", size_bytes=3840 * GIB)
    return made


print({"rack": rack, "irregular": irregular, "faults": faults}[sys.argv[1]]().text())
