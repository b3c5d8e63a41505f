"""Holds the profiles that `nvtopo convert --to mock-nvml` writes against NVIDIA's own mock of NVML, which reads them.

    python3 tests/mock-nvml/written.py LIBRARY PROFILES NVTOPO

with the same arguments as check.py. A machine is written, read again through the mock, and compared: every cell of the matrix,
and every fact of the GPUs. What the mock cannot tell is written here once more, and has to be in a note.
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
data = Path(__file__).absolute().parent.parent / "data"

MACHINES = [
    "preset:dgx-1-v100",
    "preset:dgx-2",
    "preset:dgx-a100",
    "preset:hgx-a100-4",
    "preset:dgx-h100",
    "preset:dgx-b200",
    "preset:gb200-nvl72-tray",
    "preset:l40s-8-pcie",
    "preset:rtx-a6000-4-bridged",
    *sorted(str(path) for path in (data / "mock-nvml").glob("*.json")),
    *sorted(str(path) for path in (data / "topo-m").glob("*.txt")),
]

# The mock shows no more GPUs, and these classes of paths as another.
MOST = 8
OTHERWISE = {("PXB", "PHB"), ("NODE", "PHB"), ("PIX", "PHB"), ("SYS", "PHB"), ("PHB", "SYS"), ("PXB", "SYS"), ("PIX", "SYS")}
FACTS = ["index", "uuid", "address", "minor", "model", "memory", "serial", "firmware", "fabric", "unusable"]

failed = 0


def expect(what: str, found: object, wanted: object) -> None:
    global failed
    if found != wanted:
        failed += 1
        print(f"{what}: found {found}, wanted {wanted}")


def run(*arguments: str, profile: Path | None = None) -> tuple[int, str, str]:
    own = {} if profile is None else {"LD_LIBRARY_PATH": str(library), "MOCK_NVML_CONFIG": str(profile)}
    done = subprocess.run([command, *arguments], env=os.environ | own, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def matrix(text: str) -> dict[tuple[int, int | str], str]:
    """The cells of the first GPUs by their places, and their CPU and NUMA affinity."""
    lines = text.split("\n")
    names = lines[0].split("\t")[1:]
    places = {name: place for place, name in enumerate(name for name in names if name.startswith("GPU") and name[3:].isdigit())}
    cells: dict[tuple[int, int | str], str] = {}
    for line in lines[1:]:
        row, *values = line.split("\t")
        if places.get(row, MOST) >= MOST:
            continue
        for name, value in zip(names, values, strict=False):
            column = places.get(name, name)
            if (column < MOST) if isinstance(column, int) else column.endswith("Affinity"):
                # Two spellings of older drivers.
                cells[places[row], column] = {"SOC": "SYS", "0-0": "0"}.get(value, value)
    return cells


def gpus(text: str) -> list[dict[str, Any]]:
    nodes = json.loads(text)["topology"]["nodes"]
    return [node["gpu"] for node in nodes if "gpu" in node]


def facts(gpu: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    return {name: gpu.get(name) for name in FACTS if known.get(name) is not None}


compared = 0
with tempfile.TemporaryDirectory() as folder:
    profile = Path(folder) / "config.yaml"
    for machine in MACHINES:
        name = Path(machine).name
        code, _, notes = run("convert", "--from", machine, "--to", "mock-nvml", "-o", str(profile))
        if code != 0:
            # Texts without GPUs, and GPUs of AMD.
            expect(f"{name}: refused with a reason", "mock of NVML is of" in notes or "no GPU" in notes, True)
            continue
        shown = run("convert", "--quiet", "--to", "topo-m", profile=profile)[1]
        original = run("convert", "--quiet", "--from", machine, "--to", "topo-m")[1]
        own, wanted = matrix(shown), matrix(original)
        known = gpus(run("show", "--format", "json", "--from", machine)[1])[:MOST]
        read = gpus(run("show", "--format", "json", profile=profile)[1])
        expect(f"{name}: GPUs", len(read), len(known))
        lost = {place for place, gpu in enumerate(known) if gpu.get("unusable") == "has fallen off the bus"}
        compared += 1
        for cell, word in wanted.items():
            found = own.get(cell)
            if word == found or word.strip() in ("", "N/A") or lost & set(cell):
                continue
            if cell[1] == "NUMA Affinity":
                note = "shows one NUMA node"
            elif (word, found) in OTHERWISE:
                note = "knows the paths PIX, PHB and SYS only"
            else:
                note = "nothing explains it"
            expect(f"{name} {cell}: {found} for {word} is noted", note in notes, True)
        for gpu, other in zip(read, known, strict=False):
            wanted_facts = facts(other, other)
            if wanted_facts.get("index") != gpu["index"]:
                expect(f"{name}: numbers are noted", "under other numbers" in notes, True)
                wanted_facts.pop("index")
            if wanted_facts.get("unusable") not in (None, "has fallen off the bus"):
                expect(f"{name}: usable is noted", "shows these as usable" in notes, True)
                wanted_facts.pop("unusable")
            found_facts = {key: value for key, value in facts(gpu, other).items() if key in wanted_facts}
            if "unusable" not in wanted_facts:
                expect(f"{name} GPU{other['index']}", found_facts, wanted_facts)

    # What was read through the mock, written and read again is the same.
    for path in sorted(profiles.glob("*.yaml")):
        first = run("show", "--format", "json", profile=path)[1]
        saved = Path(folder) / "machine.json"
        saved.write_text(first)
        run("convert", "--from", str(saved), "--to", "mock-nvml", "-o", str(profile))
        again = run("show", "--format", "json", profile=profile)[1]
        compared += 1
        expect(f"{path.name} written and read again", gpus(again), gpus(first))
        before, after = (json.loads(text)["topology"] for text in (first, again))
        expect(f"{path.name}: links", after["links"], before["links"])

print(f"{compared} machines compared")
print("the mock shows them otherwise" if failed else "the mock gives the machines back")
sys.exit(failed > 0)
