"""Tries nvtopo under real launchers: every thread of every rank is held against `nvtopo plan`.

    check.py [--large] [--only NAME,…] NVTOPO      # what `just test-launchers` calls

Installs the launchers into target/launchers. PyTorch and what needs it (torchrun, DeepSpeed, accelerate) take 5.5 GB
and are installed with --large only; where they are there already, they are used. Open MPI 4 and Slurm come from
Debian's packages. A launcher that cannot be tried is SKIPPED, with the reason; exits with 1 when one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import traceback
import venv
from collections.abc import Callable, Iterator

from jobs import HERE, RANKS, ROOT, Bench, Failed, Skipped, clean, cpuset_with_a_hole, version
from slurm import one_node

INSTALLED = ROOT / "target/launchers"
AS_ROOT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_ALLOW_RUN_AS_ROOT": "1",
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
# What is tried, and the job that tries it; without a job, the version of the launcher.
Tries = Iterator[tuple[str, Callable[[], str] | None]]
large = False


def environment(name: str, *packages: str, build: dict[str, str] | None = None) -> pathlib.Path:
    """The folder of programs of a virtual environment with these packages."""
    programs = INSTALLED / name / "bin"
    if not (INSTALLED / name / "complete").exists():
        venv.create(INSTALLED / name, with_pip=True)
        install = [programs / "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        ended = subprocess.run(install, capture_output=True, text=True, env=clean(build or {}), check=False)
        if ended.returncode:
            raise Skipped(f"pip install {' '.join(packages)} failed: {ended.stderr.strip().splitlines()[-1]}")
        (INSTALLED / name / "complete").touch()
    return programs


def wheel(programs: pathlib.Path) -> pathlib.Path:
    """Installs the wheel of nvtopo there; the interpreter."""
    wheels = sorted((ROOT / "target/wheels").glob("nvtopo-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise Skipped("there is no wheel of nvtopo: run just test-python")
    install = [
        programs / "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--force-reinstall",
        "--no-deps",
        wheels[-1],
    ]
    subprocess.run(install, check=True)
    return programs / "python"


def torch_environment() -> pathlib.Path:
    if not large and not (INSTALLED / "torch/complete").exists():
        raise Skipped("PyTorch takes 5.5 GB: pass --large to install it")
    return environment("torch", "torch", "deepspeed", "accelerate")


def package(programs: pathlib.Path, name: str) -> str:
    code = f"import importlib.metadata as m; print('{name}', m.version('{name}'))"
    return version([programs / "python", "-c", code], name)


def try_nvtopo(bench: Bench) -> Tries:
    run = [bench.nvtopo, "run", "--nproc-per-node", RANKS, *bench.bind]
    yield version([bench.nvtopo, "--version"]), None
    yield "nvtopo run", lambda: bench.job(lambda rank: [*run, "--", *rank], omp=True)
    yield "nvtopo run --label", lambda: bench.job(lambda rank: [*run, "--label", "--", *rank], omp=True)
    example = ["nvtopo", "run", "--nproc-per-node", RANKS, "--label", "--", sys.executable, "where.py"]
    yield "where.py", lambda: bench.example(example)


def try_torchrun(bench: Bench) -> Tries:
    programs = torch_environment()
    python = programs / "python"
    run = [programs / "torchrun", "--nproc-per-node", RANKS, "--standalone"]
    yield package(programs, "torch") + ", with Gloo", None
    yield (
        "torchrun --no-python nvtopo exec",
        lambda: bench.job(lambda rank: [*run, "--no-python", *bench.exec, *rank], python=python, gloo=True),
    )
    threads = [*bench.exec[:-1], "--export", "threads", "--"]
    yield (
        "… --export threads",
        lambda: bench.job(lambda rank: [*run, "--no-python", *threads, *rank], python=python, gloo=True, omp=True),
    )
    as_module = [*run, "-m", "nvtopo", *bench.exec[1:]]

    def module() -> str:
        wheel(programs)
        return bench.job(lambda rank: [*as_module, *rank], python=python, gloo=True)

    yield "torchrun -m nvtopo exec", module
    itself = HERE / "torchrun_job.py"
    yield (
        "nvtopo.launch.torchrun in two ranks",
        lambda: bench.job(lambda rank: [*run, itself, bench.topology, rank[-1]], python=python),
    )
    own = [bench.nvtopo, "run", "--nproc-per-node", RANKS, *bench.bind, "--"]
    yield (
        "nvtopo run, in torchrun's place",
        lambda: bench.job(lambda rank: [*own, *rank], python=python, gloo=True, omp=True),
    )
    example = [*run, "--no-python", "nvtopo", "exec", "--", python, "torchrun_gloo.py"]
    yield "torchrun_gloo.py", lambda: bench.example(example)


def try_deepspeed(bench: Bench) -> Tries:
    programs = torch_environment()
    python = programs / "python"
    found = {"PATH": f"{programs}:{os.environ['PATH']}"}
    run = [programs / "deepspeed", "--num_gpus", RANKS, "--master_port", "29611", "--no_python"]
    yield package(programs, "deepspeed") + ", with Gloo", None
    plain = [*run, "--no_local_rank", *bench.exec]
    yield (
        "deepspeed --no_python --no_local_rank nvtopo exec",
        lambda: bench.job(lambda rank: [*plain, *rank], python=python, gloo=True, environment=found),
    )
    ranked = [*run, *bench.exec]
    yield (
        "deepspeed --no_python nvtopo exec (its --local_rank comes first)",
        lambda: bench.job(lambda rank: [*ranked, *rank], python=python, gloo=True, environment=found),
    )
    example = [*run, "--no_local_rank", "nvtopo", "exec", "--", python, "deepspeed_gloo.py"]
    yield "deepspeed_gloo.py", lambda: bench.example(example, found)


def try_accelerate(bench: Bench) -> Tries:
    programs = torch_environment()
    run = [
        programs / "accelerate",
        "launch",
        "--multi_gpu",
        "--num_processes",
        RANKS,
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
    ]
    run += ["--dynamo_backend", "no", "--main_process_port", "29612", "--no_python"]
    yield package(programs, "accelerate") + ", with Gloo", None
    yield (
        "accelerate launch --multi_gpu --no_python nvtopo exec",
        lambda: bench.job(lambda rank: [*run, *bench.exec, *rank], python=programs / "python", gloo=True),
    )
    example = [*run, "nvtopo", "exec", "--", programs / "python", "accelerate_gloo.py"]
    yield "accelerate_gloo.py", lambda: bench.example(example)


def try_openmpi_4(bench: Bench) -> Tries:
    mpirun = shutil.which("mpirun")
    if mpirun is None or "4." not in version([mpirun, "--version"], "Open MPI"):
        raise Skipped("Open MPI 4 not found: apt-get install openmpi-bin")
    run = [mpirun, "-np", RANKS, "--oversubscribe"]
    physical = ["--mca", "rmaps_rank_file_physical", "1", "--rankfile", bench.rankfile("rankfile-ompi4")]
    yield from open_mpi(bench, run, physical)


def try_openmpi_5(bench: Bench) -> Tries:
    programs = environment("openmpi", "openmpi==5.*")
    run = [programs / "mpirun", "-np", RANKS]
    by_rankfile = ["--use-hwthread-cpus", "--map-by", "rankfile:file=" + bench.rankfile("rankfile-ompi5")]
    yield from open_mpi(bench, run, by_rankfile)
    yield "mpirun with nvtopo plan's rankfile in a cpuset with a hole", lambda: with_a_hole(bench, run[0])


def with_a_hole(bench: Bench, mpirun: pathlib.Path) -> str:
    """Ranks without GPUs, as many as have a CPU of their own, on the machine as it is."""
    with cpuset_with_a_hole() as inside:
        ranks = min(RANKS, len(os.sched_getaffinity(0)) - 1)
        plan = [*inside, bench.nvtopo, "plan", "--gpus-per-rank", "0", "--ranks", ranks, "--format"]

        def printed(form: str) -> str:
            words = [str(word) for word in [*plan, form]]
            return subprocess.run(words, check=True, capture_output=True, text=True, env=clean({})).stdout

        rankfile = bench.folder / "rankfile-with-a-hole"
        rankfile.write_text(printed("rankfile-ompi5"))
        run = [*inside, mpirun, "-np", ranks, "--use-hwthread-cpus", "--map-by", f"rankfile:file={rankfile}"]
        expected = [rank["cpus"] for rank in json.loads(printed("json"))["ranks"]]
        return bench.job(lambda rank: [*run, *rank], environment=AS_ROOT, expected=expected)


def open_mpi(bench: Bench, run: list, rankfile: list) -> Tries:
    yield version([run[0], "--version"], "Open MPI") + ", binds each of two ranks to one core by itself", None
    yield (
        "mpirun nvtopo exec --scope cpuset",
        lambda: bench.job(lambda rank: [*run, *bench.exec, *rank], environment=AS_ROOT, omp=True),
    )
    # The narrow binding of mpirun is kept where nobody asks for more.
    kept = [str(cpu) for cpu in sorted(bench.cpus)]
    narrow = [word for word in bench.exec if word not in ("--scope", "cpuset")]
    yield (
        "mpirun nvtopo exec --scope affinity",
        lambda: bench.job(lambda rank: [*run, *narrow, *rank], environment=AS_ROOT, expected=kept),
    )
    yield (
        "mpirun with nvtopo plan's rankfile",
        lambda: bench.job(lambda rank: [*run, *rankfile, *rank], environment=AS_ROOT),
    )
    yield (
        "where.py",
        lambda: bench.example([*run, "nvtopo", "exec", "--scope", "cpuset", "--", sys.executable, "where.py"], AS_ROOT),
    )


def try_mpich(bench: Bench) -> Tries:
    programs = environment("mpich", "mpich", "mpi4py")
    yield from hydra(bench, programs, "mpich")
    yield (
        "nvtopo.launch.mpi4py in two ranks",
        lambda: bench.job(
            lambda rank: [
                *[programs / "mpiexec", "-n", RANKS, wheel(programs), HERE / "mpi4py_job.py"],
                *[bench.topology, rank[-1]],
            ]
        ),
    )


def try_intel_mpi(bench: Bench) -> Tries:
    yield from hydra(bench, environment("impi-rt", "impi-rt"), "impi-rt")


def hydra(bench: Bench, programs: pathlib.Path, name: str) -> Tries:
    run = [programs / "mpiexec", "-n", RANKS]
    yield package(programs, name) + ", by Hydra", None
    yield "mpiexec nvtopo exec", lambda: bench.job(lambda rank: [*run, *bench.exec, *rank], omp=True)
    yield (
        "where.py",
        lambda: bench.example([*run, "nvtopo", "exec", "--scope", "cpuset", "--", sys.executable, "where.py"]),
    )
    by_plan = bench.plan("mpich" if name == "mpich" else "intel-mpi").split()
    yield f"mpiexec {' '.join(by_plan)}", lambda: bench.job(lambda rank: [*run, *by_plan, *rank])


def try_horovodrun(bench: Bench) -> Tries:
    # Without collectives, which nothing here needs, it builds in seconds.
    programs = environment(
        "horovod", "horovod==0.28.1", build={"HOROVOD_WITHOUT_MPI": "1", "HOROVOD_WITHOUT_GLOO": "1"}
    )
    run = [programs / "python", HERE / "horovodrun.py", "-np", RANKS]
    yield package(programs, "horovod") + ", its launch path only, without collectives", None
    yield (
        "horovodrun --gloo nvtopo exec",
        lambda: bench.job(lambda rank: [*run, "--gloo", *bench.exec, *rank], omp=True),
    )
    yield "where.py", lambda: bench.example([*run, "--gloo", "nvtopo", "exec", "--", sys.executable, "where.py"])
    if shutil.which("mpirun") is None:
        raise Skipped("for --mpi, mpirun is not found: apt-get install openmpi-bin")
    yield (
        "horovodrun --mpi nvtopo exec",
        lambda: bench.job(lambda rank: [*run, "--mpi", *bench.exec, *rank], environment=AS_ROOT, omp=True),
    )
    binding = "--mca rmaps_rank_file_physical 1 --rankfile " + bench.rankfile("horovodrun")
    yield (
        "horovodrun --mpi --binding-args with nvtopo plan's rankfile",
        lambda: bench.job(lambda rank: [*run, "--mpi", "--binding-args", binding, *rank], environment=AS_ROOT),
    )


def try_srun(bench: Bench) -> Tries:
    with one_node(bench.folder / "slurm") as variables:
        run = ["srun", "--ntasks", RANKS, "--mem", "0"]
        path = variables["PATH"]
        yield (
            version([shutil.which("srun", path=path), "--version"], "slurm", variables) + ", one node, task/affinity",
            None,
        )
        yield (
            "srun nvtopo exec",
            lambda: bench.job(lambda rank: [*run, *bench.exec, *rank], environment=variables, omp=True),
        )
        by_plan = bench.plan("srun").split()
        yield (
            f"srun {' '.join(by_plan)}",
            lambda: bench.job(lambda rank: [*run, *by_plan, *rank], environment=variables),
        )
        own = [bench.nvtopo, "run", "--nproc-per-node", RANKS, *bench.bind, "--"]
        yield (
            "srun nvtopo run",
            lambda: bench.job(
                lambda rank: ["srun", "--ntasks", 1, "--cpus-per-task", RANKS, *own, *rank],
                environment=variables,
                omp=True,
            ),
        )
        yield "srun.sbatch", lambda: bench.example(["sbatch", "--wait", "srun.sbatch"], variables, output="where-*.txt")


def try_ray(bench: Bench) -> Tries:
    programs = environment("ray", "ray[default]")
    python = wheel(programs)
    yield package(programs, "ray") + ", with two pretended GPUs", None
    yield (
        "nvtopo.launch.ray in two actors",
        lambda: bench.job(lambda rank: [python, HERE / "ray_job.py", bench.topology, rank[-1]]),
    )
    yield "ray_actors.py", lambda: bench.example([python, "ray_actors.py"])


LAUNCHERS: dict[str, Callable[[Bench], Tries]] = {
    "nvtopo": try_nvtopo,
    "openmpi-4": try_openmpi_4,
    "openmpi-5": try_openmpi_5,
    "mpich": try_mpich,
    "intel-mpi": try_intel_mpi,
    "srun": try_srun,
    "horovodrun": try_horovodrun,
    "torchrun": try_torchrun,
    "deepspeed": try_deepspeed,
    "accelerate": try_accelerate,
    "ray": try_ray,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="install PyTorch too")
    parser.add_argument("--only", default=",".join(LAUNCHERS), help=f"of {', '.join(LAUNCHERS)}")
    parser.add_argument("nvtopo", type=pathlib.Path, help="the command")
    arguments = parser.parse_args()
    global large
    large = arguments.large
    bench = Bench(arguments.nvtopo.resolve())
    counts = {"passed": 0, "FAILED": 0, "SKIPPED": 0}
    try:
        for name in arguments.only.split(","):
            print(f"\n== {name}", flush=True)
            for verdict in try_launcher(LAUNCHERS[name], bench):
                counts[verdict] += 1
    finally:
        bench.close()
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return int(counts["FAILED"] > 0)


def try_launcher(launcher: Callable[[Bench], Tries], bench: Bench) -> Iterator[str]:
    """The verdicts, each of which is printed."""
    tries = launcher(bench)
    while True:
        what = "cannot be tried"
        try:
            what, job = next(tries)
            if job is None:
                print(f"         {what}", flush=True)
                continue
            verdict, answer = "passed", job()
        except StopIteration:
            return
        except Skipped as why:
            verdict, answer = "SKIPPED", str(why)
        except (Failed, subprocess.SubprocessError, OSError) as why:
            verdict, answer = "FAILED", str(why)
        except Exception:
            verdict, answer = "FAILED", traceback.format_exc()
        print(f"{verdict:<8} {what}: {answer[-3000:]}", flush=True)
        yield verdict


if __name__ == "__main__":
    sys.exit(main())
