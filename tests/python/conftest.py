"""The common part of all tests. They test the installed wheel, never the source tree."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True

import nvtopo  # noqa: E402

SOURCE = Path(__file__).resolve().parents[2]
DATA = SOURCE / "tests" / "data"

if "site-packages" not in Path(nvtopo.__file__).parts:
    pytest.exit(f"nvtopo is imported from {nvtopo.__file__}, not from an installed wheel", returncode=2)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away what a launcher or a scheduler around the tests has set."""
    for name in ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def dgx() -> nvtopo.Topology:
    return nvtopo.preset("dgx-h100")


@pytest.fixture(scope="session")
def dgx1() -> nvtopo.Topology:
    return nvtopo.preset("dgx-1-v100")
