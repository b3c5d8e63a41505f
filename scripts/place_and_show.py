"""Prints how long `nvtopo place` takes beside `nvtopo show` on every preset, whole processes: the choice is what differs.

    python3 scripts/place_and_show.py [COMMAND]

COMMAND is the release build by default. Runs alternate, so that a busy machine slows both: the ratio of the medians counts.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 41


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parent.parent / "target"))
    nvtopo = sys.argv[1] if len(sys.argv) > 1 else str(target / "release" / "nvtopo")
    listed = json.loads(subprocess.check_output([nvtopo, "presets", "--format", "json"]))
    print(f"{'machine':<22} {'GPUs':>4} {'show':>9} {'place':>9} {'ratio':>6}")
    for preset in listed["presets"]:
        source = ["--from", f"preset:{preset['name']}"]
        shown = json.loads(subprocess.check_output([nvtopo, "show", *source, "--format", "json"]))
        gpus = min(4, sum(name.startswith("GPU") for name in shown["devices"]))
        rounds = [
            (seconds([nvtopo, "show", *source]), seconds([nvtopo, "place", *source, "--gpus", str(gpus)]))
            for _ in range(ROUNDS)
        ]
        show, place = (statistics.median(column) for column in zip(*rounds))
        times = f"{show * 1e3:>6.1f} ms {place * 1e3:>6.1f} ms"
        print(f"{preset['name']:<22} {gpus:>4} {times} {place / show:>5.2f}x")


main()
