"""The stub says word by word what the module says, the examples in it are true, and the wheel is complete."""

from __future__ import annotations

import ast
import builtins
import doctest
import inspect
import os
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nvtopo
import nvtopo.k8s
import pytest
from nvtopo import _nvtopo

PACKAGE = Path(nvtopo.__file__).parent


def documented() -> Iterator[tuple[str, str]]:
    """Every name that the stub documents, with its text there."""
    tree = ast.parse((PACKAGE / "_nvtopo.pyi").read_text())
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("__"):
                    yield f"{node.name}.{member.name}", ast.get_docstring(member) or ""


def at_run_time(name: str) -> str:
    found: object = _nvtopo
    for part in name.split("."):
        found = getattr(found, part)
    return inspect.cleandoc(found.__doc__ or "")


@pytest.mark.parametrize(("name", "text"), list(documented()), ids=lambda value: value.split("\n")[0][:30])
def test_the_stub_and_the_module_say_the_same(name: str, text: str) -> None:
    assert text, f"{name} is not documented in the stub"
    assert text == at_run_time(name)


@pytest.mark.parametrize(("name", "text"), [pair for pair in documented() if ">>>" in pair[1]])
def test_examples(name: str, text: str) -> None:
    example = doctest.DocTestParser().get_doctest(at_run_time(name), {}, name, None, 0)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


def test_everything_public_is_exported() -> None:
    public = {name for name in vars(_nvtopo) if not name.startswith("_")} - {"main"}
    of_kubernetes = {name for name in public if name.startswith("k8s_")}
    assert {f"k8s_{name}" for name in nvtopo.k8s.__all__} == of_kubernetes
    public -= of_kubernetes
    # `from nvtopo import *` shadows no built-in name.
    assert set(nvtopo.__all__) == (public - set(dir(builtins))) | {"__version__"}
    assert all(hasattr(nvtopo, name) for name in public)


def test_the_wheel() -> None:
    wheels = os.environ.get("NVTOPO_WHEELS")
    if wheels is None:
        pytest.skip("run.sh says where the wheel is")
    (wheel,) = Path(wheels).glob("nvtopo-*.whl")
    # The stable interface is for interpreters with the lock; others have a wheel for each version.
    one_version = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    # 4 MB for what binds and places, 2 MB for answers for Kubernetes, 2 MB for pictures (PNG among them) and for the
    # formats of other programs, and 2 MB for audits, fleets, reports, drills and measurements.
    assert wheel.stat().st_size < 10_000_000 and ("-abi3-" in wheel.name) is not one_version
    names = zipfile.ZipFile(wheel).namelist()
    module = f"_nvtopo{sysconfig.get_config_var('EXT_SUFFIX') if one_version else '.abi3.so'}"
    for name in ("py.typed", "_nvtopo.pyi", "__init__.py", "__main__.py", "launch.py", module):
        assert f"nvtopo/{name}" in names
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    assert b"Requires-Dist" not in zipfile.ZipFile(wheel).read(metadata)
