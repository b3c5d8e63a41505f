"""The examples run on a machine without a GPU too."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import SOURCE


def test_bind_rank() -> None:
    example = SOURCE / "examples" / "python" / "bind_rank.py"
    for rank in ("0", "1"):
        out = subprocess.run(
            [sys.executable, str(example), "--gpus", "2"],
            env=os.environ | {"LOCAL_RANK": rank},
            capture_output=True,
            text=True,
            cwd="/",
        )
        assert out.returncode == 0, out.stderr
        assert f"rank {rank}: GPU" in out.stdout
