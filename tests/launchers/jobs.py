"""Runs a job of two ranks and holds what its ranks found against `nvtopo plan`.

The machine is a text of two GPUs, each beside one CPU of this machine, and the first beside the later CPU: a launcher
that binds by itself, or binds nothing, gets another answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EXAMPLES = ROOT / "examples/launchers"
LIMIT = 180
RANKS = 2
# Local rank as nvtopo reads it.
RANK_NAMES = ["LOCAL_RANK", "HOROVOD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"]
# What another launcher around this one has set.
FOREIGN = ("SLURM", "OMPI", "PMI", "PMIX", "NVTOPO", "CUDA_VISIBLE", "OMP_", "MASTER_", "RANK", "LOCAL_", "WORLD_")


class Skipped(Exception):
    """A launcher cannot be tried here; why."""


class Failed(Exception):
    """A job did something else than it should."""


class Bench:
    """The machine that is bound by, and what has been held against it."""

    def __init__(self, nvtopo: pathlib.Path) -> None:
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < RANKS:
            raise Skipped(f"two ranks need two CPUs, and only CPU {cpus[0]} may be used")
        self.nvtopo = nvtopo
        self.cpus = [cpus[-1], cpus[0]]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nvtopo-launchers-"))
        self.topology = self.folder / "topology.txt"
        rows = [
            f"GPU{i}\t{' X ' if i == 0 else 'NV4'}\t{'NV4' if i == 0 else ' X '}\t{cpu}\t0\n"
            for i, cpu in enumerate(self.cpus)
        ]
        self.topology.write_text("\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\n" + "".join(rows))
        self.planned = json.loads(self.plan("json"))["ranks"]
        self.bind = ["--from", str(self.topology), "--trust-topology", "--scope", "cpuset"]
        self.exec = [str(nvtopo), "exec", *self.bind, "--"]

    def close(self) -> None:
        shutil.rmtree(self.folder)

    def plan(self, form: str) -> str:
        """What nvtopo plan prints for the two ranks in a form."""
        command = [self.nvtopo, "plan", "--from", self.topology, "--ranks", str(RANKS), "--format", form]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=clean({})).stdout

    def rankfile(self, form: str) -> str:
        path = self.folder / form
        path.write_text(self.plan(form))
        return str(path)

    def job(
        self,
        command: Callable[[list[str]], Sequence[str]],
        *,
        python: pathlib.Path | str = sys.executable,
        gloo: bool = False,
        environment: Mapping[str, str] | None = None,
        expected: Sequence[str] | None = None,
        omp: bool = False,
    ) -> str:
        """Runs the command that `command` makes of a rank's, and holds its ranks against the plan or `expected`, which has the
        CPUs of each.

        `omp`: whether OMP_NUM_THREADS must be the number of cores of the plan.
        """
        notes = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        rank = [str(python), str(HERE / "rank.py"), *(["--gloo"] if gloo else []), str(notes)]
        words = [str(word) for word in command(rank)]
        ended = subprocess.run(
            words, capture_output=True, text=True, timeout=LIMIT, env=clean(environment or {}), cwd=self.folder
        )
        shown = f"{' '.join(words)}\n{ended.stdout}{ended.stderr}"
        if ended.returncode:
            raise Failed(f"ended with {ended.returncode}: {shown}")
        found = [json.loads(path.read_text()) for path in notes.iterdir()]
        expected = expected or [rank["cpus"] for rank in self.planned]
        if len(found) != len(expected):
            raise Failed(f"{len(found)} ranks told what they found: {shown}")
        return self.compare(found, expected, omp, shown)

    def example(
        self, command: Sequence[object], environment: Mapping[str, str] | None = None, output: str | None = None
    ) -> str:
        """Runs an example as its head says, by the nvtopo that is tried; both ranks must tell where they are.

        `output`: the pattern of a file that it writes, where it does not print.
        """
        more = dict(environment or {})
        more["PATH"] = f"{self.nvtopo.parent}:{more.get('PATH', os.environ['PATH'])}"
        words = [str(word) for word in command]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, env=clean(more), cwd=EXAMPLES)
        told = ended.stdout
        if output:
            written = list(EXAMPLES.glob(output))
            told += "".join(path.read_text() for path in written)
            for path in written:
                path.unlink()
        # Where nothing keeps lines whole, two ranks may share one.
        lines = sorted(re.findall(r"rank \d+: .*?(?=rank \d+: |$)", told, re.MULTILINE))
        if ended.returncode or [line[:7] for line in lines] != ["rank 0:", "rank 1:"]:
            raise Failed(f"ended with {ended.returncode}: {' '.join(words)}\n{told}{ended.stderr}")
        return "; ".join(lines)

    def compare(self, found: list[dict], expected: Sequence[str], omp: bool, shown: str) -> str:
        """Every thread of every rank against the CPUs that it should have."""
        threads = 0
        ranks = set()
        for note in found:
            name, rank = local_rank(note["environment"])
            ranks.add(rank)
            if set(note["threads"]) != {expected[rank]}:
                raise Failed(f"rank {rank} runs on {note['threads']} and not on {expected[rank]}: {shown}")
            threads += len(note["threads"])
            set_to = note["environment"].get("OMP_NUM_THREADS")
            if omp and set_to != str(self.planned[rank]["own_cores"]):
                raise Failed(f"rank {rank} found OMP_NUM_THREADS={set_to}: {shown}")
        if ranks != set(range(len(expected))):
            raise Failed(f"the ranks are {sorted(ranks)}: {shown}")
        return f"{len(found)} ranks by {name}, {threads} threads on CPUs {' and '.join(expected)}" + (
            ", OMP_NUM_THREADS" if omp else ""
        )


@contextlib.contextmanager
def cpuset_with_a_hole() -> Iterator[list[str]]:
    """The words before a command that runs it in a cpuset of all CPUs but the first."""
    cpus = sorted(os.sched_getaffinity(0))[1:]
    if not cpus:
        raise Skipped("a cpuset with a hole needs two CPUs")
    # Control groups of version 1 have a folder for cpusets.
    first = pathlib.Path("/sys/fs/cgroup/cpuset")
    root = first if first.is_dir() else first.parent
    folder = root / "nvtopo-launchers"
    try:
        if root != first:
            (root / "cgroup.subtree_control").write_text("+cpuset")
        folder.mkdir(exist_ok=True)
        (folder / "cpuset.cpus").write_text(",".join(str(cpu) for cpu in cpus))
        mems = root / ("cpuset.mems" if root == first else "cpuset.mems.effective")
        (folder / "cpuset.mems").write_text(mems.read_text())
    except OSError as error:
        raise Skipped(f"a cpuset cannot be made here: {error}") from error
    try:
        yield ["sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "sh"]
    finally:
        folder.rmdir()


def local_rank(environment: Mapping[str, str]) -> tuple[str, int]:
    """By which variable, and which."""
    for name in RANK_NAMES:
        if name in environment:
            return name, int(environment[name])
    raise Failed("a rank found no variable that says which it is")


def clean(more: Mapping[str, str]) -> dict[str, str]:
    """This environment without what an outer launcher or a person has set for ranks, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | dict(more)


def version(command: Sequence[str | pathlib.Path], word: str = "", more: Mapping[str, str] | None = None) -> str:
    """The first line of the output that holds a word."""
    ended = subprocess.run(command, capture_output=True, text=True, env=clean(more or {}), check=False)
    lines = [line.strip() for line in (ended.stdout + ended.stderr).splitlines() if word in line and line.strip()]
    return lines[0] if lines else "version unknown"
