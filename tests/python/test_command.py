"""The command that the wheel installs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nvtopo
import pytest

SCRIPT = str(Path(sys.executable).parent / "nvtopo")


@pytest.fixture(params=[[SCRIPT], [sys.executable, "-m", "nvtopo"]], ids=["script", "module"])
def command(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, input=text, capture_output=True, text=True, cwd="/", timeout=60)


def test_exit_code_0(command: list[str]) -> None:
    out = run(*command, "place", "--gpus", "2", "--from", "preset:dgx-h100", "--format", "json")
    assert out.returncode == 0 and out.stderr == ""
    assert out.stdout == nvtopo.preset("dgx-h100").place(2).to_json()
    assert run(*command, "--version").stdout == f"nvtopo {nvtopo.__version__}\n"


def test_exit_code_1(command: list[str]) -> None:
    out = run(*command, "place", "--gpus", "9", "--from", "preset:dgx-h100")
    assert (out.returncode, out.stdout) == (1, "") and "9 GPUs" in out.stderr


def test_exit_code_2(command: list[str]) -> None:
    out = run(*command, "place", "--cpus", "4")
    assert out.returncode == 2 and "nvtopo place --help tells more" in out.stderr
    out = run(*command, "--from", "/no/such/file")
    assert out.returncode == 2 and "/no/such/file" in out.stderr


def test_standard_input(command: list[str]) -> None:
    out = run(*command, "--from", "-", text="\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n")
    assert out.returncode == 0 and "NV4" in out.stdout


def test_exec_becomes_the_command(command: list[str]) -> None:
    source = ["--from", "preset:l40s-8-pcie", "--trust-topology"]
    code = "import os, signal; print(os.environ['CUDA_VISIBLE_DEVICES']); raise SystemExit(7)"
    out = run(*command, "exec", "--gpus", "1", "--only", "0", *source, "--", sys.executable, "-c", code)
    assert (out.returncode, out.stdout) == (7, "0\n"), out.stderr
