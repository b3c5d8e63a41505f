"""Holds the stand-in for NVIDIA's library against NVIDIA's own Python client, and nvtopo's reading against both.

For every preset the client (`nvidia-ml-py`) reads the stand-in, which is found as `libnvidia-ml.so.1` like the real
one. What it read must be what the preset's document says, and the numbers of NVLinks that `nvtopo` finds on the same
library must be what the client counted. Nothing of nvtopo is used to read on the client's side.

Usage: check.py FOLDER, where FOLDER holds `nvtopo` and `libfake_nvml.so` (such as `target/debug`).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

CPU_WORDS = 1024
# kB/s of a PCIe lane, and its generation.
GENERATIONS = {250_000: 1, 500_000: 2, 984_615: 3, 1_969_231: 4, 3_938_462: 5, 7_562_500: 6}


def ask():
    """In a process of its own: everything that the client reads, as JSON."""
    import pynvml as nvml

    def optional(call, *arguments):
        try:
            return call(*arguments)
        except nvml.NVMLError_NotSupported:
            return None

    def number_set(words):
        return [place * 64 + bit for place, word in enumerate(words) for bit in range(64) if word >> bit & 1]

    def links(gpu):
        found = []
        for link in range(nvml.NVML_NVLINK_MAX_LINKS):
            try:
                if not nvml.nvmlDeviceGetNvLinkState(gpu, link):
                    continue
            except (nvml.NVMLError_InvalidArgument, nvml.NVMLError_NotSupported):
                break
            kind = nvml.nvmlDeviceGetNvLinkRemoteDeviceType(gpu, link)
            far = nvml.nvmlDeviceGetNvLinkRemotePciInfo(gpu, link).busId
            assert nvml.nvmlDeviceGetNvLinkVersion(gpu, link) > 0
            assert nvml.nvmlDeviceGetNvLinkCapability(gpu, link, nvml.NVML_NVLINK_CAP_P2P_SUPPORTED) == 1
            found.append((kind, far.lower()))
        return found

    nvml.nvmlInit()
    assert nvml.nvmlSystemGetNVMLVersion().endswith(nvml.nvmlSystemGetDriverVersion())
    assert nvml.nvmlSystemGetCudaDriverVersion() == nvml.nvmlSystemGetCudaDriverVersion_v2() == 12080
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    gpus = []
    for index, gpu in enumerate(handles):
        uuid, bus_id = nvml.nvmlDeviceGetUUID(gpu), nvml.nvmlDeviceGetPciInfo(gpu).busId
        for other in (nvml.nvmlDeviceGetHandleByUUID(uuid), nvml.nvmlDeviceGetHandleByPciBusId(bus_id)):
            assert nvml.nvmlDeviceGetIndex(other) == nvml.nvmlDeviceGetMinorNumber(other) == index
        memory = nvml.nvmlDeviceGetMemoryInfo(gpu).total
        assert nvml.nvmlDeviceGetMemoryInfo(gpu, version=nvml.nvmlMemory_v2).total == memory
        assert nvml.nvmlDeviceGetArchitecture(gpu) != nvml.NVML_DEVICE_ARCH_UNKNOWN
        mig = optional(nvml.nvmlDeviceGetMigMode, gpu)
        gpus.append({
            "model": nvml.nvmlDeviceGetName(gpu),
            "uuid": uuid,
            "bus_id": bus_id.lower(),
            "memory": memory,
            "capability": nvml.nvmlDeviceGetCudaComputeCapability(gpu),
            "cpus": number_set(nvml.nvmlDeviceGetCpuAffinity(gpu, CPU_WORDS)),
            "nodes": number_set(nvml.nvmlDeviceGetMemoryAffinity(gpu, 16, nvml.NVML_AFFINITY_SCOPE_NODE)),
            "pcie": optional(nvml.nvmlDeviceGetMaxPcieLinkGeneration, gpu),
            "width": optional(nvml.nvmlDeviceGetCurrPcieLinkWidth, gpu),
            "mig": bool(mig and mig[0]),
            "links": links(gpu),
            "levels": [
                nvml.nvmlDeviceGetTopologyCommonAncestor(gpu, other) for other in handles if other is not gpu
            ],
        })
    nvml.nvmlShutdown()
    json.dump(gpus, sys.stdout)


def number_list(text):
    """`0-3,8` as numbers."""
    numbers = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def expected(document):
    """What the document of a machine says of its GPUs."""
    topology = document["topology"]
    nodes = [next(iter(node.items())) for node in topology["nodes"]]
    gpus = {place: dict(body, ends=Counter()) for place, (kind, body) in enumerate(nodes) if kind == "gpu"}
    for place, gpu in gpus.items():
        above = gpu["parent"]
        while above and nodes[above][0] != "numa_node":
            above = nodes[above][1].get("parent", 0)
        gpu["numa"] = nodes[above][1] if above else None
    for link in topology["links"]:
        for own, far in (link["between"], link["between"][::-1]):
            if own in gpus and link["kind"] == "pcie" and far == gpus[own]["parent"]:
                rate = link["rate"]["mb_per_s"] * 1000 // link["lanes"]
                gpus[own]["pcie"] = min(GENERATIONS, key=lambda known: abs(known - rate))
            if own in gpus and link["kind"] == "nvlink":
                end = ("gpu", gpus[far]["index"]) if far in gpus else ("switch",)
                gpus[own]["ends"][end] += link["lanes"]
    return sorted(gpus.values(), key=lambda gpu: gpu["index"])


def counted(gpus):
    """How many links of each GPU lead where, by what the client read."""
    index = {gpu["bus_id"]: index for index, gpu in enumerate(gpus)}
    return [
        Counter(("switch",) if kind == 2 else ("gpu", index[far]) for kind, far in gpu["links"]) for gpu in gpus
    ]


def compare(name, read, truth):
    assert len(read) == len(truth), name
    for own, gpu, ends in zip(read, truth, counted(read)):
        what = f"{name}, GPU{gpu['index']}"
        assert own["model"] == gpu["model"], what
        assert own["memory"] == gpu["memory_bytes"], what
        assert own["cpus"] == number_list(gpu["numa"]["cpus"]), what
        assert own["nodes"] == [gpu["numa"]["os_index"]], what
        assert own["width"] == 16 and GENERATIONS[gpu["pcie"]] == own["pcie"], what
        assert "address" not in gpu or own["bus_id"].endswith(gpu["address"]), what
        assert ends == gpu["ends"], (what, ends, gpu["ends"])
        assert set(own["levels"]) <= {10, 20, 30, 40, 50}, what


def compare_nvtopo(name, found, read):
    """The pairs as nvtopo found them on the same library."""
    ends = counted(read)
    words = found["matrix"]
    for a in range(len(read)):
        for b in range(len(read)):
            links = ends[a][("gpu", b)] or min(ends[a][("switch",)], ends[b][("switch",)])
            word = words[a][b]
            assert a == b or (word == f"NV{links}" if links else not word.startswith("NV")), (name, a, b, word)


def main(folder):
    nvtopo = str(folder / "nvtopo")
    presets = json.loads(subprocess.check_output([nvtopo, "presets", "--format", "json"]))["presets"]
    with tempfile.TemporaryDirectory() as place:
        os.symlink(folder / "libfake_nvml.so", Path(place) / "libnvidia-ml.so.1")
        machine = Path(place) / "machine.json"

        def run(command, faults=""):
            own = {"LD_LIBRARY_PATH": place, "FAKE_NVML_MACHINE": str(machine), "FAKE_NVML_FAULTS": faults}
            return subprocess.run(command, env=os.environ | own, capture_output=True, text=True)

        client = [sys.executable, __file__, "--ask"]
        for preset in (preset["name"] for preset in presets):
            text = subprocess.check_output([nvtopo, "show", "--from", f"preset:{preset}", "--format", "json"])
            machine.write_bytes(text)
            asked = run(client)
            assert asked.returncode == 0, f"{preset}: {asked.stderr}"
            read = json.loads(asked.stdout)
            compare(preset, read, expected(json.loads(text)))
            found = run([nvtopo, "show", "--from", "live", "--format", "json"])
            assert found.returncode == 0, f"{preset}: {found.stderr}"
            compare_nvtopo(preset, json.loads(found.stdout), read)
            print(f"{preset}: {len(read)} GPUs, {sum(len(gpu['links']) for gpu in read)} ends of NVLinks")
        for fault, error in (
            ("mismatch", "NVMLError_LibRmVersionMismatch"),
            ("not-loaded", "NVMLError_DriverNotLoaded"),
            ("lost:0", "NVMLError_GpuIsLost"),
            ("failing:nvmlDeviceGetName", "NVMLError_Unknown"),
        ):
            asked = run(client, fault)
            assert error in asked.stderr, f"{fault}: {asked.stderr}"
            print(f"{fault}: {error}")


if __name__ == "__main__":
    ask() if sys.argv[1] == "--ask" else main(Path(sys.argv[1]).resolve())
