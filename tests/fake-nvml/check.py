"""Holds the stand-in for NVIDIA's library against NVIDIA's own Python client, and nvtopo's reading against both.

For every preset, and for machines with faults, the client (`nvidia-ml-py`) reads the stand-in, which is found as
`libnvidia-ml.so.1` like the real one. What it read must be what the preset's document says, and what `nvtopo` finds on
the same library must be what the client read, fact by fact. Nothing of nvtopo is used to read on the client's side.

Usage: check.py FOLDER, where FOLDER holds `nvtopo` and `libfake_nvml.so` (such as `target/debug`).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from ctypes import byref
from pathlib import Path

CPU_WORDS = 1024
# kB/s of a PCIe lane, and its generation.
P2P_WORDS = ["OK", "CNS", "GNS", "TNS", "DR", "NS", "U"]
FABRIC_STATES = ["", "not-started", "in-progress", "completed"]
# By NVML's number for the version, from 1.
NVLINK_GENERATIONS = [None, 1, 2, 2, 3, 3, 4, 5, 6]
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

    def fields(gpu, wanted):
        """The values of fields with their scopes; `None` for those that are not there."""
        types = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
        read = nvml.nvmlDeviceGetFieldValues(gpu, wanted)
        return [
            getattr(field.value, types[field.valueType]) if field.nvmlReturn == nvml.NVML_SUCCESS else None
            for field in read
        ]

    def counters(gpu, link):
        old = [optional(nvml.nvmlDeviceGetNvLinkErrorCounter, gpu, link, counter) for counter in range(4)]
        new = fields(gpu, [(field, link) for field in range(206, 216)])
        sent = fields(gpu, [(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, link)])[0]
        return [None not in old, None not in new, sent is not None]

    def links(gpu):
        found = []
        for link in range(nvml.NVML_NVLINK_MAX_LINKS):
            try:
                if not nvml.nvmlDeviceGetNvLinkState(gpu, link):
                    found.append({"number": link, "up": False})
                    continue
            except (nvml.NVMLError_InvalidArgument, nvml.NVMLError_NotSupported):
                break
            kind = nvml.nvmlDeviceGetNvLinkRemoteDeviceType(gpu, link)
            far = nvml.nvmlDeviceGetNvLinkRemotePciInfo(gpu, link).busId
            assert nvml.nvmlDeviceGetNvLinkCapability(gpu, link, nvml.NVML_NVLINK_CAP_P2P_SUPPORTED) == 1
            own, common = fields(
                gpu, [(nvml.NVML_FI_DEV_NVLINK_GET_SPEED, link), nvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON]
            )
            assert own is None or own == common
            found.append({
                "number": link,
                "up": True,
                "version": nvml.nvmlDeviceGetNvLinkVersion(gpu, link),
                "speed": common,
                "kind": kind,
                "far": far.lower(),
                "counters": counters(gpu, link),
            })
        total = fields(gpu, [(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, 2**32 - 1)])[0]
        assert (total is not None) == bool(found)
        return found

    def fabric(gpu):
        read = []
        for name, struct in (
            ("nvmlDeviceGetGpuFabricInfo", nvml.c_nvmlGpuFabricInfo_t()),
            ("nvmlDeviceGetGpuFabricInfoV", nvml.c_nvmlGpuFabricInfo_v2_t()),
            ("nvmlDeviceGetGpuFabricInfoV", nvml.c_nvmlGpuFabricInfo_v3_t()),
        ):
            if optional(getattr(nvml, name), gpu, byref(struct)) is None:
                return None
            # NVML's state is one byte. The client reads the three behind it too, in which there may be anything.
            state = struct.state & 0xFF
            read.append([bytes(struct.clusterUuid).hex(), struct.status, struct.cliqueId, state])
        assert read[0] == read[1] == read[2], read
        wrong = nvml.c_nvmlGpuFabricInfo_v2_t()
        wrong.version = 0x01000010
        try:
            nvml.nvmlDeviceGetGpuFabricInfoV(gpu, byref(wrong))
        except nvml.NVMLError_ArgumentVersionMismatch:
            pass
        else:
            raise AssertionError("a version that does not exist")
        return read[0] + [struct.healthMask]

    def instances(gpu):
        found = []
        for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
            try:
                own = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
            except nvml.NVMLError_NotFound:
                continue
            assert nvml.nvmlDeviceIsMigDeviceHandle(own) and not nvml.nvmlDeviceIsMigDeviceHandle(gpu)
            parent = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(own)
            assert nvml.nvmlDeviceGetUUID(parent) == nvml.nvmlDeviceGetUUID(gpu)
            uuid = nvml.nvmlDeviceGetUUID(own)
            assert nvml.nvmlDeviceGetGpuInstanceId(nvml.nvmlDeviceGetHandleByUUID(uuid)) == index + 1
            attributes = nvml.nvmlDeviceGetAttributes(own)
            number = nvml.nvmlDeviceGetGpuInstanceId(own)
            try:
                info = nvml.nvmlGpuInstanceGetInfo(nvml.nvmlDeviceGetGpuInstanceById(gpu, number))
                placement = {"start": info.placement.start, "size": info.placement.size}
            except nvml.NVMLError_NoPermission:
                placement = None
            found.append({
                "uuid": uuid,
                "gpu_instance": number,
                "compute_instance": nvml.nvmlDeviceGetComputeInstanceId(own),
                "profile": nvml.nvmlDeviceGetName(own).partition(" MIG ")[2],
                "slices": attributes.computeInstanceSliceCount,
                "memory_bytes": attributes.memorySizeMB << 20,
                "placement": placement,
            })
        return found

    nvml.nvmlInit()
    assert nvml.nvmlSystemGetNVMLVersion().endswith(nvml.nvmlSystemGetDriverVersion())
    assert nvml.nvmlSystemGetCudaDriverVersion() == nvml.nvmlSystemGetCudaDriverVersion_v2() == 12080
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    gpus = []
    for index, gpu in enumerate(handles):
        uuid, bus = nvml.nvmlDeviceGetUUID(gpu), nvml.nvmlDeviceGetPciInfo(gpu)
        for other in (nvml.nvmlDeviceGetHandleByUUID(uuid), nvml.nvmlDeviceGetHandleByPciBusId(bus.busId)):
            assert nvml.nvmlDeviceGetIndex(other) == index
        memory = nvml.nvmlDeviceGetMemoryInfo(gpu).total
        assert nvml.nvmlDeviceGetMemoryInfo(gpu, version=nvml.nvmlMemory_v2).total == memory
        assert nvml.nvmlDeviceGetArchitecture(gpu) != nvml.NVML_DEVICE_ARCH_UNKNOWN
        c2c = fields(gpu, [nvml.NVML_FI_DEV_C2C_LINK_COUNT])[0] or 0
        of_c2c = [
            fields(gpu, [(nvml.NVML_FI_DEV_C2C_LINK_GET_STATUS, link), (nvml.NVML_FI_DEV_C2C_LINK_GET_MAX_BW, link)])
            for link in range(c2c)
        ]
        others = [other for other in handles if other is not gpu]
        gpus.append({
            "model": nvml.nvmlDeviceGetName(gpu),
            "minor": nvml.nvmlDeviceGetMinorNumber(gpu),
            "serial": optional(nvml.nvmlDeviceGetSerial, gpu),
            "uuid": uuid,
            "bus_id": bus.busId.lower(),
            "pci": [bus.pciDeviceId, bus.pciSubSystemId],
            "memory": memory,
            "capability": nvml.nvmlDeviceGetCudaComputeCapability(gpu),
            "cpus": number_set(nvml.nvmlDeviceGetCpuAffinity(gpu, CPU_WORDS)),
            "nodes": number_set(nvml.nvmlDeviceGetMemoryAffinity(gpu, 16, nvml.NVML_AFFINITY_SCOPE_NODE)),
            "pcie": optional(nvml.nvmlDeviceGetMaxPcieLinkGeneration, gpu),
            "pcie_now": optional(nvml.nvmlDeviceGetCurrPcieLinkGeneration, gpu),
            "pcie_own": optional(nvml.nvmlDeviceGetGpuMaxPcieLinkGeneration, gpu),
            "width": optional(nvml.nvmlDeviceGetCurrPcieLinkWidth, gpu),
            "mig": optional(nvml.nvmlDeviceGetMigMode, gpu),
            "instances": instances(gpu),
            "fabric": fabric(gpu),
            "recovery": fields(gpu, [nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])[0],
            "c2c": [speed for up, speed in of_c2c if up],
            "links": links(gpu),
            "levels": [nvml.nvmlDeviceGetTopologyCommonAncestor(gpu, other) for other in others],
            "p2p": [
                [nvml.nvmlDeviceGetP2PStatus(gpu, other, way) for way in range(4)] for other in handles[index + 1:]
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
    up = [[link for link in gpu["links"] if link["up"]] for gpu in gpus]
    return [
        Counter(("switch",) if link["kind"] == 2 else ("gpu", index[link["far"]]) for link in links) for links in up
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


def has_counters(gpu):
    """Which counters the generation has: those up to Hopper, those from Blackwell on, and bytes."""
    blackwell = gpu["capability"][0] >= 10
    return [not blackwell, blackwell, True]


def compare_nvtopo(name, found, read):
    """What nvtopo found on the same library, with what the client read."""
    ends = counted(read)
    words = found["matrix"]
    for a in range(len(read)):
        for b in range(len(read)):
            links = ends[a][("gpu", b)] or min(ends[a][("switch",)], ends[b][("switch",)])
            word = words[a][b]
            assert a == b or (word == f"NV{links}" if links else not word.startswith("NV")), (name, a, b, word)

    topology = found["topology"]
    nodes = [next(iter(node.items())) for node in topology["nodes"]]
    places = {body["index"]: place for place, (kind, body) in enumerate(nodes) if kind == "gpu"}
    numa = {body["os_index"] for kind, body in nodes if kind == "numa_node"}
    p2p = {tuple(pair["between"]): pair for pair in topology.get("p2p", [])}
    for index, own in enumerate(read):
        what = f"{name}, GPU{index}"
        gpu = nodes[places[index]][1]
        assert own["bus_id"].endswith(gpu["address"]), what
        for fact in ("minor", "uuid", "model"):
            assert gpu[fact] == own[fact], (what, fact)
        assert gpu.get("serial") == own["serial"], what
        assert gpu["compute_capability"] == "{}.{}".format(*own["capability"]), what
        assert gpu["memory_bytes"] == own["memory"], what
        halves = [half for number in own["pci"] for half in (number & 0xFFFF, number >> 16)]
        assert [gpu["pci"][key] for key in ("vendor", "device", "subsystem_vendor", "subsystem_device")] == halves
        link = gpu["pci"]["link"]
        assert link["now"] == {"generation": own["pcie_now"], "width": own["width"]}, what
        assert link["device"]["generation"] == own["pcie_own"], what
        assert link["port"]["generation"] == own["pcie"], what
        mig = own["mig"] and {"current": bool(own["mig"][0]), "pending": bool(own["mig"][1])}
        assert gpu.get("mig") == mig, what
        assert ("unusable" in gpu) == (own["recovery"] in (1, 2)), what
        compare_fabric(what, gpu.get("fabric"), own["fabric"])
        compare_ports(what, gpu.get("nvlinks", []), own["links"], own["capability"][0] == 9)
        assert all(link["counters"] == has_counters(own) for link in own["links"] if link["up"]), what
        parts = [body for kind, body in nodes if kind == "gpu_instance" and body["parent"] == places[index]]
        for part, instance in zip(parts, own["instances"], strict=True):
            assert {key: part.get(key) for key in instance} == instance, (what, part, instance)
        # This machine's kernel need not have the CPUs that C2C leads to.
        known = own["nodes"][0] in numa
        c2c = [link for link in topology["links"] if link["kind"] == "c2c" and places[index] in link["between"]]
        assert [(link["lanes"], link["reported_mb_per_s"]) for link in c2c] == (
            [(len(own["c2c"]), sum(own["c2c"]))] if own["c2c"] and known else []
        ), what
        for other, statuses in zip(range(index + 1, len(read)), own["p2p"]):
            pair = p2p[tuple(sorted((places[index], places[other])))]
            assert [pair[way] for way in ("read", "write", "nvlink", "atomics")] == [
                P2P_WORDS[status] for status in statuses
            ], what


def compare_fabric(what, found, read):
    if read is None or read[3] == 0:
        assert found is None, what
        return
    cluster, status, clique, state, health = read
    completed = state == 3
    assert found["state"] == FABRIC_STATES[state], what
    assert found.get("status") == (status if completed else None), what
    assert found.get("clique") == (clique if completed else None), what
    assert found.get("cluster", "").replace("-", "") == (cluster if int(cluster, 16) else ""), what
    assert found["health"] == health, what


def compare_ports(what, found, read, hopper):
    for port, link in zip(found, read, strict=True):
        assert (port["number"], port["up"]) == (link["number"], link["up"]), what
        if link["up"]:
            assert port["reported_mb_per_s"] == link["speed"], what
            assert port["generation"] == (4 if hopper else NVLINK_GENERATIONS[link["version"]]), what
            kind, far = next(iter(port["far"].items())) if isinstance(port["far"], dict) else (port["far"], None)
            assert kind == ("switch" if link["kind"] == 2 else "gpu"), what
            assert far is None and link["far"].startswith("ffffffff") or link["far"].endswith(far), what


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

        def both(name, preset, faults=""):
            """What the client read; compared with what nvtopo finds."""
            text = subprocess.check_output([nvtopo, "show", "--from", f"preset:{preset}", "--format", "json"])
            machine.write_bytes(text)
            asked = run(client, faults)
            assert asked.returncode == 0, f"{name}: {asked.stderr}"
            read = json.loads(asked.stdout)
            found = run([nvtopo, "show", "--from", "live", "--format", "json"], faults)
            assert found.returncode == 0, f"{name}: {found.stderr}"
            compare_nvtopo(name, json.loads(found.stdout), read)
            return read, json.loads(text)

        def audited(*arguments):
            """The verdicts of an audit of this machine, which the stand-in gives GPUs."""
            asked = run([nvtopo, "audit", "--format", "json", "--fail-on", "never", *arguments])
            assert asked.returncode == 0, asked.stderr
            return {found["subject"]: found for found in json.loads(asked.stdout)["findings"]}

        for preset in (preset["name"] for preset in presets):
            read, document = both(preset, preset)
            compare(preset, read, expected(document))
            print(f"{preset}: {len(read)} GPUs, {sum(len(gpu['links']) for gpu in read)} ends of NVLinks")
        # Counters are judged by two readings of the live driver, and limits by the process that is named.
        machine.write_bytes(
            subprocess.check_output([nvtopo, "show", "--from", "preset:dgx-h100", "--format", "json"])
        )
        for found in audited("--wait", "1s", "--only", "nvlink-errors").values():
            assert found["status"] == "pass", found
        for found in audited("--pid", str(os.getpid()), "--only", "gpu-cpus-allowed").values():
            assert found["status"] != "unknown" and f"process {os.getpid()}" in found["text"], found
        print("audited: counters of two readings, and the limits of a process")
        for preset, faults in (
            ("dgx-a100", "mig:2,mig:4:1g+1g,mig-pending:1"),
            ("dgx-h100", "mig:0,root"),
            ("dgx-h100", "fabric:in-progress"),
            ("dgx-h100", "fabric:failed,recovery:3:1,recovery:5:2"),
            ("dgx-h100", "down:2:17,anonymous"),
            ("dgx-h100", "asleep:2:5"),
            ("dgx-1-v100", "down:0:0"),
            ("hgx-a100-4", "p2p:4"),
            ("gh200", "c2c-down:0:3"),
        ):
            read, _ = both(f"{preset} with {faults}", preset, faults)
            print(f"{preset} with {faults}: as the client reads it")
        for fault, error in (
            ("mismatch", "NVMLError_LibRmVersionMismatch"),
            ("not-loaded", "NVMLError_DriverNotLoaded"),
            ("lost:0", "NVMLError_GpuIsLost"),
            ("stuck:0", "NVMLError_ResetRequired"),
            ("denied:0", "NVMLError_NoPermission"),
            ("failing:nvmlDeviceGetName", "NVMLError_Unknown"),
        ):
            asked = run(client, fault)
            assert error in asked.stderr, f"{fault}: {asked.stderr}"
            print(f"{fault}: {error}")


if __name__ == "__main__":
    ask() if sys.argv[1] == "--ask" else main(Path(sys.argv[1]).resolve())
