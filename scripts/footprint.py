"""The cost of the command and the wheel: start-up time, also beside taskset's, memory, size, and a placement from Python, each
beside its limit.

Needs a release build and, for the wheel, what `just test-python` built. Exits with 1 when a limit is passed.
"""

import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND = ["nvtopo", "place", "--gpus", "4", "--from", "preset:dgx-h100"]
PYTHON = ROOT / "target/python-venv/bin/python"
# Processor time in microseconds: of a request that was asked before, and of ones that were not, since each has another mix.
PLACE = """
import itertools, statistics, time, timeit, nvtopo
topo = nvtopo.preset("dgx-h100")
mixes = itertools.cycle([{size: 1 + turn / 1000 * (size == 1) for size in range(1, 9)} for turn in range(130)])
def median(call):
    times = timeit.repeat(call, timer=time.thread_time, number=1000, repeat=15)
    return statistics.median(times) * 1e3
print(median(lambda: topo.place(gpus=4)), median(lambda: topo.place(gpus=4, mix=next(mixes))))
"""


def main() -> int:
    subprocess.run(["cargo", "build", "--release", "--quiet", "--package", "nvtopo-cli"], cwd=ROOT, check=True)
    binary = ROOT / "target/release/nvtopo"
    seconds = sorted(run(binary) for _ in range(30))
    rows = [("median wall time of " + " ".join(COMMAND), seconds[len(seconds) // 2] * 1e3, 10, "ms")]
    rows.append(("largest memory of it", peak_memory(binary), 10, "MB"))
    rows.append(("size of the stripped command", binary.stat().st_size / 1e6, 21, "MB"))
    wheels = sorted((ROOT / "target/wheels").glob("*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    if wheels:
        rows.append((f"size of the wheel {wheels[-1].name}", wheels[-1].stat().st_size / 1e6, 10, "MB"))
    else:
        print("no wheel yet: run just test-python", file=sys.stderr)
    rows += beside_taskset(binary)
    if PYTHON.exists():
        again, first = map(float, subprocess.check_output([PYTHON, "-c", PLACE], text=True).split())
        print(f"{'topo.place(gpus=4, mix=…) of a dgx-h100, asked the first time':<64} {first:8.2f} µs")
        rows.append(("topo.place(gpus=4) of a dgx-h100, asked again", again, 3, "µs"))
    for name, value, limit, unit in rows:
        print(f"{name:<64} {value:8.2f} {unit}, limit {limit} {unit}")
    return int(any(value > limit for _, value, limit, _ in rows))


def beside_taskset(binary: pathlib.Path) -> list[tuple[str, float, float, str]]:
    """Returns the time that binding by nvtopo takes longer than binding by taskset, turn by turn.

    The fastest of many runs is what they cost; the others tell what else this machine was doing.
    """
    cpus = sorted(os.sched_getaffinity(0))
    ways = {"taskset": ["taskset", "-c", str(cpus[0])], "nvtopo exec": [str(binary), "exec", "--"]}
    if (PYTHON.parent / "nvtopo").exists():
        ways["python -m nvtopo exec"] = [str(PYTHON), "-m", "nvtopo", "exec", "--"]
        ways["the wheel's nvtopo exec"] = [str(PYTHON.parent / "nvtopo"), "exec", "--"]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(60):
        for name, way in ways.items():
            start = time.perf_counter()
            subprocess.run([*way, "true"], check=True, stderr=subprocess.DEVNULL)
            taken[name].append((time.perf_counter() - start) * 1e3)
    fastest = {name: min(times) for name, times in taken.items()}
    for name, times in taken.items():
        print(f"{' '.join([name, 'true']):<64} {min(times):8.2f} ms at best, {statistics.median(times):.2f} ms in the median")
    limits = {"nvtopo exec": 3.0, "python -m nvtopo exec": 20.0, "the wheel's nvtopo exec": 20.0}
    return [(f"{name} beyond taskset", fastest[name] - fastest["taskset"], limit, "ms") for name, limit in limits.items() if name in fastest]


def run(binary: pathlib.Path) -> float:
    start = time.perf_counter()
    subprocess.run([binary, *COMMAND[1:]], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def peak_memory(binary: pathlib.Path) -> float:
    """The peak resident memory in MB, read while the command waits to write its answer.

    What wait4 tells would count this interpreter, from which the command was started.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    with subprocess.Popen([binary, *COMMAND[1:]], stdout=writer) as child:
        os.close(writer)
        status = pathlib.Path(f"/proc/{child.pid}")
        while "pipe_write" not in (status / "wchan").read_text() and "S (sleeping)" not in (status / "status").read_text():
            time.sleep(0.01)
        peak = re.search(r"VmHWM:\s+(\d+) kB", (status / "status").read_text())
        while os.read(reader, 1 << 16):
            pass
    os.close(reader)
    if child.returncode or peak is None:
        raise SystemExit("the command failed")
    return int(peak[1]) * 1024 / 1e6


if __name__ == "__main__":
    raise SystemExit(main())
