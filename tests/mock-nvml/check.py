"""Holds nvtopo against NVIDIA's own mock of NVML: its profiles, and the faults that it can inject.

The mock is a part of https://github.com/NVIDIA/k8s-test-infra (pkg/gpu/mocknvml). Check that out outside of this repository and
build it with its Makefile, which needs Go and a C compiler. Then:

    python3 tests/mock-nvml/check.py LIBRARY PROFILES NVTOPO

with the folder of the mock's libnvidia-ml.so.1, the folder of its profiles (deployments/nvml-mock/helm/nvml-mock/profiles), and
the command that is tested.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

library, profiles, command = (Path(argument).absolute() for argument in sys.argv[1:4])

# For each profile the GPUs, their model, and what two of them exchange over NVLink in MB/s; None: no NVLink is up.
PROFILES = {
    "a100": (8, "NVIDIA A100-SXM4-40GB", 300_000),
    "b200": (8, "NVIDIA B200", None),
    "gb200": (8, "NVIDIA GB200", 900_000),
    "gb300": (8, "NVIDIA GB300 NVL", 900_000),
    "h100": (8, "NVIDIA H100 80GB HBM3", 450_000),
    "l40s": (8, "NVIDIA L40S", None),
    "t4": (4, "NVIDIA T4", None),
}

# What the mock calls a fault of the fabric, and what nvtopo does.
HEALTH = {
    "degraded_bandwidth": "degraded-bandwidth",
    "route_recovery": "route-recovery",
    "route_unhealthy": "unhealthy-route",
    "access_timeout_recovery": "access-timeout-recovery",
}
CONFIGURATION = {
    "no_partition": "no-partition",
    "insufficient_nvlinks": "insufficient-nvlinks",
    "incompatible_gpu_fw": "incompatible-firmware",
    "invalid_location": "invalid-location",
    "incorrect_sysguid": "incorrect-system-guid",
    "incorrect_chassis_sn": "incorrect-chassis-serial",
    "gpu_state_invalid": "invalid-gpu-state",
}
# Those that keep a GPU from the fabric, so that it is not chosen together with others.
CUT_OFF = set(CONFIGURATION.values()) - {"insufficient-nvlinks"}


def ask(profile: str, overrides: str, *arguments: str, code: int = 0) -> Any:
    """The answer of nvtopo on a machine of the mock, as JSON; None where it ends with another exit code than 0."""
    with tempfile.TemporaryDirectory() as folder:
        config, faults = Path(folder) / "config.yaml", Path(folder) / "overrides.yaml"
        config.write_text((profiles / f"{profile}.yaml").read_text())
        faults.write_text(overrides)
        own = {
            "LD_LIBRARY_PATH": str(library),
            "MOCK_NVML_CONFIG": str(config),
            "MOCK_NVML_OVERRIDES": str(faults),
        }
        done = subprocess.run(
            [command, *arguments, "--format", "json"], env=os.environ | own, capture_output=True, text=True
        )
        assert done.returncode == code, (profile, overrides, done.stderr)
        return json.loads(done.stdout) if code == 0 else None


def gpus(topology: Any) -> list[Any]:
    return [node["gpu"] for node in topology["topology"]["nodes"] if "gpu" in node]


def chosen(placement: Any) -> Any:
    return placement["gpus"]


def on_gpu(gpu: int, block: str) -> str:
    return f"devices:\n  {gpu}:\n{block}"


failed = 0


def expect(what: str, found: object, wanted: object) -> None:
    global failed
    if found != wanted:
        failed += 1
        print(f"{what}: found {found}, wanted {wanted}")


for profile, (count, model, rate) in PROFILES.items():
    found = gpus(ask(profile, "", "show"))
    expect(f"{profile}: GPUs", [gpu["index"] for gpu in found], list(range(count)))
    expect(f"{profile}: models", {gpu["model"] for gpu in found}, {model})
    expect(f"{profile}: faults", [gpu for gpu in found if "unusable" in gpu or gpu.get("fabric", {}).get("faults")], [])
    scores = {score["objective"]: score["value"] for score in ask(profile, "", "place", "--gpus", "4")["score"]}
    if rate is not None:
        expect(f"{profile}: ring", scores["ring"], rate / 1000)

blocks = {f"        {name}: true\n": word for name, word in HEALTH.items()}
blocks |= {f"        incorrect_configuration: {name}\n": word for name, word in CONFIGURATION.items()}
for profile in ("gb200", "gb300"):
    for block, word in blocks.items():
        overrides = on_gpu(0, "    fabric:\n      health:\n" + block)
        found = gpus(ask(profile, overrides, "show"))
        expect(f"{profile}: {word}", [gpu["fabric"].get("faults", []) for gpu in found], [[word]] + [[]] * 7)
        placement = ask(profile, overrides, "place", "--gpus", "4")
        expect(f"{profile}: {word} is not among the first", 0 in chosen(placement), False)
        expect(f"{profile}: {word} is told", any("GPU0" in text for text in placement["remarks"]), True)
        if word in CUT_OFF:
            refused = ask(profile, overrides, "place", "--gpus", "8", code=1)
            expect(f"{profile}: {word} is never chosen with others", refused, None)
            named = ask(profile, overrides, "place", "--gpus", "8", "--include", "0")
            expect(f"{profile}: {word} is chosen where named", chosen(named), list(range(8)))
            alone = ask(profile, overrides, "place", "--gpus", "1", "--only", "0")
            expect(f"{profile}: {word} is chosen alone", chosen(alone), [0])
        else:
            all_of_them = ask(profile, overrides, "place", "--gpus", "8")
            expect(f"{profile}: all are chosen", chosen(all_of_them), list(range(8)))

for profile in ("a100", "h100", "gb200", "l40s"):
    for mode in ("lost", "fallen_off_bus"):
        overrides = on_gpu(2, f"    failure:\n      mode: {mode}\n")
        found = gpus(ask(profile, overrides, "show"))
        expect(f"{profile}: {mode}", [gpu["index"] for gpu in found if gpu.get("unusable")], [2])
        placement = ask(profile, overrides, "place", "--gpus", "7")
        expect(f"{profile}: {mode} is never chosen", chosen(placement), [0, 1, 3, 4, 5, 6, 7])

print("the mock and nvtopo disagree" if failed else "nvtopo reads the mock's machines and faults right")
sys.exit(failed > 0)
