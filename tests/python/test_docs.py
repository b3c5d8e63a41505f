"""The programs in the README and in docs/ run as they stand there.

A block below `<!-- test: hardware -->` needs GPUs: there the machine is a preset, and nothing is bound.
"""

from __future__ import annotations

import re
from pathlib import Path

import nvtopo
import pytest
from conftest import SOURCE

# Its program needs the files that its commands make: test_kubernetes.py runs it.
ELSEWHERE = "kubernetes.md"
BLOCK = re.compile(r"^(?:<!-- test: ([a-z ]+) -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """The document, the comment above the block, and the program of each block."""
    documents = [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]
    return [
        (document.name, *match)
        for document in documents
        if document.name != ELSEWHERE
        for match in BLOCK.findall(document.read_text())
    ]


def test_there_are_programs() -> None:
    assert {"README.md", "python.md"} <= {document for document, _, _ in blocks()}


@pytest.mark.parametrize(("document", "marks", "program"), blocks())
def test_programs_of_the_documents_run(
    document: str, marks: str, program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        # Set and taken out, so that what the program sets goes with the test.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    if "hardware" in marks:
        monkeypatch.setattr(nvtopo, "discover", lambda: nvtopo.preset("dgx-h100"))
        monkeypatch.setattr(nvtopo, "bind", bound)
    exec(compile(program, document, "exec"), {})


def bound(place: nvtopo.Placement) -> None:
    """Stands in for a binding: one to a preset is refused."""
    assert isinstance(place, nvtopo.Placement)
