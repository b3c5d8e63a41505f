"""Every kind of error has its class, and each class that can be met is met."""

from __future__ import annotations

import pickle
from pathlib import Path

import nvtopo
import nvtopo.k8s
import pytest
from nvtopo import _nvtopo


def test_every_kind_has_a_class_of_its_own() -> None:
    classes = _nvtopo._ERROR_KINDS
    assert len(classes) >= 7
    assert len(set(classes.values())) == len(classes)
    for kind, cls in classes.items():
        assert cls is not nvtopo.NvtopoError, f"{kind} has no class"
        assert issubclass(cls, nvtopo.NvtopoError)
        assert cls.__module__ == "nvtopo" and getattr(nvtopo, cls.__name__) is cls
        assert cls.__name__ in nvtopo.__all__
        assert cls.__doc__ and cls.kind.replace("-", "") == kind.lower()


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (nvtopo.InvalidInputError, ValueError),
        (nvtopo.InvalidRequestError, ValueError),
        (nvtopo.IoError, OSError),
        (nvtopo.RefusedError, PermissionError),
    ],
)
def test_built_in_classes_catch_them(cls: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(cls, builtin)


def test_invalid_input_says_where() -> None:
    text = '{"format": "nvtopo-topology",\n "version": }'
    with pytest.raises(nvtopo.InvalidInputError) as caught:
        nvtopo.loads(text, name="broken.json")
    error = caught.value
    assert (error.kind, error.input_name, error.line) == ("invalid-input", "broken.json", 2)
    assert error.column is not None and error.message
    assert str(error).startswith("broken.json:2:")


@pytest.mark.parametrize("text", ["", "  \n", "hello", b"\xff\xfe\x00", "{}"])
def test_invalid_input(text: str | bytes) -> None:
    with pytest.raises(nvtopo.InvalidInputError) as caught:
        nvtopo.loads(text)
    assert caught.value.input_name == "<string>"


def test_invalid_request(dgx: nvtopo.Topology) -> None:
    with pytest.raises(nvtopo.InvalidRequestError) as caught:
        nvtopo.preset("dgx-h10")
    assert "dgx-h100" in (caught.value.advice or "")
    for wrong in (0, -1, 2**70):
        with pytest.raises((nvtopo.InvalidRequestError, nvtopo.UnsatisfiableError)):
            dgx.place(wrong)
    with pytest.raises(nvtopo.InvalidRequestError):
        dgx.place(1, only=[8])
    with pytest.raises(nvtopo.InvalidRequestError):
        dgx.place(1, exclude=[-1])
    with pytest.raises(nvtopo.InvalidRequestError):
        dgx.place(1, objectives=["fastest"])
    with pytest.raises(nvtopo.InvalidRequestError):
        dgx.pair(0, "mlx5_99")
    with pytest.raises(nvtopo.InvalidRequestError):
        nvtopo.open()


def test_unsatisfiable(dgx: nvtopo.Topology) -> None:
    with pytest.raises(nvtopo.UnsatisfiableError) as caught:
        dgx.place(9)
    assert caught.value.kind == "unsatisfiable" and caught.value.line is None


def test_io(tmp_path: Path) -> None:
    with pytest.raises(nvtopo.IoError) as caught:
        nvtopo.load(tmp_path / "missing.txt")
    assert caught.value.errno == 2
    assert "missing.txt" in str(caught.value)


def test_wrong_machine(dgx: nvtopo.Topology) -> None:
    with pytest.raises(nvtopo.WrongMachineError) as caught:
        nvtopo.bind(dgx, 0)
    assert "trusted" in (caught.value.advice or "")


def test_refused(dgx: nvtopo.Topology) -> None:
    beyond = nvtopo.loads("\tGPU0\tCPU Affinity\nGPU0\t X \t60000-60001\n")
    with pytest.raises(nvtopo.RefusedError) as caught:
        nvtopo.bind(beyond.place(1), trust=True)
    assert "60000-60001" in str(caught.value)


def test_wrong_types_are_type_errors(dgx: nvtopo.Topology) -> None:
    with pytest.raises(TypeError):
        nvtopo.bind(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        dgx.place(1, only="0")
    with pytest.raises(TypeError):
        dgx.place(1, only=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        dgx.place("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="argument 'exclude'"):
        dgx.explain(1, exclude=None)  # type: ignore[arg-type]
    for asked in (dgx.place, dgx.explain, nvtopo.Request):
        with pytest.raises(TypeError, match=r"\(\) got an unexpected keyword argument 'exclud'"):
            asked(1, exclud=[0])  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="positional"):
            asked(1, [0])  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        dgx.pair(0, 1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        nvtopo.loads(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        nvtopo.Topology()


def test_errors_are_pickled_with_what_they_say() -> None:
    with pytest.raises(nvtopo.InvalidInputError) as caught:
        nvtopo.loads("hello", name="x.txt")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is nvtopo.InvalidInputError
    assert (str(again), again.input_name) == (str(caught.value), "x.txt")


def test_messages_name_arguments_and_not_options(tmp_path: Path) -> None:
    other = tmp_path / "topo.txt"
    other.write_text("\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0\nGPU1\tNV4\t X \t0\n")
    with pytest.raises(nvtopo.WrongMachineError) as caught:
        nvtopo.bind(nvtopo.load(other))
    assert "trust=True" in str(caught.value) and "trust=True" in (caught.value.advice or "")
    assert "--" not in str(caught.value)
    with pytest.raises(nvtopo.UnsatisfiableError) as unknown:
        nvtopo.k8s.kubelet_config(nvtopo.load(other), reserved_memory=1 << 30)
    assert "reserved_memory" in str(unknown.value) and "--" not in str(unknown.value)


def test_options_of_other_programs_stay() -> None:
    with pytest.raises(nvtopo.InvalidInputError) as caught:
        nvtopo.loads("index, name\n", name="query.csv")
    assert "--query-gpu" in str(caught.value) or "nvidia-smi" in str(caught.value)
