"""Opening topologies, and what can be asked of one."""

from __future__ import annotations

import copy
import ctypes
import gc
import json
import math
import os
import pickle
import sys
import threading
import time
from pathlib import Path

import numpy
import nvtopo
import pytest
from conftest import DATA

MATRIX = "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV4\t0-15\t0\nGPU1\tNV4\t X \t16-31\t1\n"


def test_discover_answers_on_any_machine() -> None:
    topo = nvtopo.discover()
    assert topo.origin in ("machine", "unknown")
    assert len(topo.devices) == len(topo.gpus) + len(topo.nics) == len(topo.matrix)
    if not Path("/dev/nvidiactl").exists():
        assert topo.gpus == []
        with pytest.raises(nvtopo.UnsatisfiableError):
            topo.place(1)


def test_a_snapshot_is_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "machine.tar.gz"
    for redact in (False, True):
        assert nvtopo.snapshot(path, redact) == path.stat().st_size
        topo = nvtopo.load(path)
        assert topo.origin == ("unknown" if redact else nvtopo.discover().origin)
        assert topo.devices == nvtopo.discover().devices or redact
    with pytest.raises(nvtopo.IoError, match="cannot write"):
        nvtopo.snapshot(tmp_path / "no" / "where", redact=True)


@pytest.mark.parametrize("name", nvtopo.presets())
def test_every_preset_opens_and_reads_back(name: str) -> None:
    topo = nvtopo.preset(name)
    assert topo.gpus and topo.origin == f"preset:{name}"
    again = nvtopo.loads(topo.to_json())
    assert again == topo and hash(again) == hash(topo) and again.matrix == topo.matrix
    assert topo == nvtopo.open(f"preset:{name}")


def test_formats_of_other_programs(dgx: nvtopo.Topology) -> None:
    for name in nvtopo.writers():
        written = dgx.write(name)
        assert written.text.endswith("\n") and str(written) == written.text
        assert all(note.text for note in written.notes)
    assert dgx.write("json").text == dgx.to_json() and dgx.write("json").notes == []
    with pytest.raises(nvtopo.InvalidRequestError, match="json"):
        dgx.write("docx")
    assert "NodeName=n7 " in dgx.write("slurm.conf", node="n7").text
    guest = dgx.write("libvirt-xml", node="vm1", devices=["GPU0", "GPU1"])
    assert "<name>vm1</name>" in guest.text and "guest-cpus" in {note.code for note in guest.notes}
    assert nvtopo.loads(dgx.write("nccl-xml", devices=["0-1"]).text).gpus[1].name == "GPU1"
    with pytest.raises(nvtopo.InvalidRequestError, match="twice"):
        dgx.write("json", devices=["0", "GPU0"])


def test_preset_facts(dgx: nvtopo.Topology) -> None:
    gpu = dgx.gpus[0]
    assert (gpu.index, gpu.name, gpu.uuid) == (0, "GPU0", None)
    assert gpu.model and "H100" in gpu.model and gpu.address
    assert gpu.cpus == nvtopo.CpuSet("0-55,112-167") and gpu.nodes == nvtopo.NodeSet([0])
    assert dgx.devices[:8] == [f"GPU{index}" for index in range(8)]
    assert dgx.devices[8:] == [nic.name for nic in dgx.nics]
    assert dgx.matrix[0][:2] == ["X", "NV18"]
    assert dgx.nvlink_groups == [[f"GPU{index}" for index in range(8)]]
    assert repr(dgx) == f"<Topology of 8 GPUs and {len(dgx.nics)} NICs, origin preset:dgx-h100>"
    assert "GPU7" in dgx.to_text() and "\x1b" not in dgx.to_text()
    json.loads(dgx.to_json())


def test_pairs_by_every_name(dgx: nvtopo.Topology) -> None:
    pair = dgx.pair(0, 1)
    assert (pair.path, pair.nvlinks, pair.gb_per_s, pair.basis) == ("NVL", 18, 450.0, "nominal")
    address = dgx.gpus[1].address
    assert address is not None
    assert pair == dgx.pair("GPU0", "1") == dgx.pair("0", address) and hash(pair) == hash(dgx.pair(0, 1))
    nic = dgx.pair("GPU0", dgx.nics[0].name)
    assert nic.path == "PIX" and nic.nvlinks == 0
    own = dgx.pair(0, 0)
    assert (own.path, own.gb_per_s, own.basis) == ("X", None, None)


def test_load_takes_paths_of_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "topo.txt"
    file.write_text(MATRIX)
    topo = nvtopo.load(file)
    assert topo == nvtopo.load(str(file)) == nvtopo.loads(MATRIX) == nvtopo.loads(MATRIX.encode())
    assert topo.matrix == [["X", "NV4"], ["NV4", "X"]] and topo.origin == "unknown"
    assert nvtopo.open(file) == topo


def test_load_takes_paths_only() -> None:
    for name in ("live", "preset:dgx-h100", "-"):
        with pytest.raises(nvtopo.IoError):
            nvtopo.load(name)


def test_recorded_matrices_open() -> None:
    files = sorted((DATA / "topo-m").rglob("*.txt"))
    assert files
    opened = 0
    for file in files:
        try:
            topo = nvtopo.load(file)
        except nvtopo.InvalidInputError:
            continue
        opened += 1
        assert all(len(row) == len(topo.devices) for row in topo.matrix)
    assert opened > len(files) // 2


def test_frozen_equal_and_pickled(dgx: nvtopo.Topology, dgx1: nvtopo.Topology) -> None:
    assert dgx != dgx1 and dgx == nvtopo.preset("dgx-h100") and dgx.gpus == nvtopo.preset("dgx-h100").gpus
    assert pickle.loads(pickle.dumps(dgx)) == dgx and copy.deepcopy(dgx) == dgx
    assert len({dgx, nvtopo.preset("dgx-h100")}) == 1
    with pytest.raises(AttributeError):
        dgx.gpus[0].index = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        dgx.gpus = []  # type: ignore[misc]


def test_shares(dgx: nvtopo.Topology) -> None:
    shares = dgx.cpus(reserve="0-1", allowed=nvtopo.CpuSet("0-27"))
    assert [share.index for share in shares.per_gpu] == list(range(8))
    assert 0 not in shares.per_gpu[0].cpus and shares.per_gpu[0].mems == {0}
    assert shares.remarks  # The GPUs of node 1 have none of their own CPUs.
    plain = dgx.cpus()
    union = nvtopo.CpuSet()
    for share in plain.per_gpu:
        assert union.isdisjoint(share.cpus)
        union |= share.cpus
    assert str(union) == "0-223"


def test_the_bandwidth_matrix(dgx1: nvtopo.Topology) -> None:
    rates = dgx1.bandwidth_matrix()
    size = len(dgx1.devices)
    assert rates.shape == (size, size) and len(rates) == size and repr(rates) == f"<BandwidthMatrix of {size} devices>"
    for a in range(8):
        for b in range(8):
            known = dgx1.pair(a, b).gb_per_s
            assert math.isnan(rates[a, b]) if known is None else rates[a, b] == known
    assert rates[0, 3] == rates.tolist()[0][3] == 50.0 and math.isnan(rates[0, 0])
    for wrong in ((size, 0), (0, size)):
        with pytest.raises(IndexError):
            rates[wrong]


def test_numpy_takes_the_matrix_without_a_copy(dgx1: nvtopo.Topology) -> None:
    rates = dgx1.bandwidth_matrix()
    array = numpy.asarray(rates)
    assert array.dtype == numpy.float64 and array.shape == rates.shape and array[0, 3] == 50.0
    assert numpy.shares_memory(array, numpy.asarray(rates)) and not array.flags.writeable
    assert array.strides == (8 * len(rates), 8) and array.flags.c_contiguous
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    assert not hasattr(rates, "__array_interface__")
    before = array.copy()
    del rates
    numpy.testing.assert_array_equal(array, before)


def test_a_view_shows_the_matrix_where_it_lies(dgx1: nvtopo.Topology) -> None:
    rates = dgx1.bandwidth_matrix()
    size = len(rates)
    with memoryview(rates) as view:
        assert (view.format, view.itemsize, view.ndim, view.nbytes) == ("d", 8, 2, 8 * size * size)
        assert (view.shape, view.strides, view.readonly, view.c_contiguous) == ((size, size), (8 * size, 8), True, True)
        assert view[0, 3] == 50.0 and str(view.tolist()) == str(rates.tolist())
        with pytest.raises(TypeError, match="read-only"):
            view[0, 3] = 1
    empty = {"source": "sysfs", "nvlink_known": True, "nodes": [{"machine": {}}]}
    document = {"format": "nvtopo-topology", "version": 1, "topology": empty}
    nothing = memoryview(nvtopo.loads(json.dumps(document)).bandwidth_matrix())
    assert (nothing.shape, nothing.nbytes, nothing.tolist()) == ((0, 0), 0, [])


def test_a_view_keeps_the_matrix(dgx1: nvtopo.Topology) -> None:
    views = [memoryview(dgx1.bandwidth_matrix()) for _ in range(100)]
    gc.collect()
    others = [dgx1.bandwidth_matrix() for _ in range(100)]
    assert all(view[0, 3] == 50.0 for view in views) and len(others) == 100
    rates = dgx1.bandwidth_matrix()
    before = sys.getrefcount(rates)
    view, array = memoryview(rates), numpy.asarray(rates)
    assert sys.getrefcount(rates) > before
    view.release()
    del array
    assert sys.getrefcount(rates) == before


class View(ctypes.Structure):
    """Python's Py_buffer."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
        ("strides", ctypes.POINTER(ctypes.c_ssize_t)),
        ("suboffsets", ctypes.POINTER(ctypes.c_ssize_t)),
        ("internal", ctypes.c_void_p),
    ]


SIMPLE, WRITABLE, FORMAT, ND, STRIDES, C_CONTIGUOUS, F_CONTIGUOUS = 0, 1, 4, 8, 0x18, 0x38, 0x58


def asked(rates: nvtopo.BandwidthMatrix, flags: int) -> View:
    view = View()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(rates), ctypes.byref(view), flags)
    return view


def test_a_view_has_what_is_asked_for(dgx1: nvtopo.Topology) -> None:
    rates = dgx1.bandwidth_matrix()
    before = sys.getrefcount(rates)
    for flags in (SIMPLE, ND, STRIDES, C_CONTIGUOUS, STRIDES | FORMAT, C_CONTIGUOUS | FORMAT):
        view = asked(rates, flags)
        assert (bool(view.shape), bool(view.strides)) == (flags & ND == ND, flags & STRIDES == STRIDES), flags
        assert view.format == (b"d" if flags & FORMAT else None) and view.readonly == 1
        assert (view.ndim, view.itemsize, view.len) == (2 if flags & ND else 1, 8, 8 * len(rates) ** 2)
        assert view.obj is rates and not view.suboffsets
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    for flags in (WRITABLE, WRITABLE | STRIDES, WRITABLE | STRIDES | FORMAT, F_CONTIGUOUS):
        with pytest.raises(BufferError, match="BandwidthMatrix"):
            asked(rates, flags)
    assert sys.getrefcount(rates) == before


def test_the_interpreter_lock_is_released() -> None:
    """Another thread runs while the core works: it could not take one step if the lock were held."""
    size = 400
    header = "".join(f"\tGPU{index}" for index in range(size))
    rows = (
        f"GPU{row}" + "".join("\t X " if row == column else "\tSYS" for column in range(size))
        for row in range(size)
    )
    text = "\n".join([header, *rows]) + "\n"
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    steps = 0
    started, done = threading.Event(), threading.Event()

    def count() -> None:
        nonlocal steps
        started.set()
        while not done.is_set():
            steps += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=count)
    try:
        thread.start()
        started.wait()
        before = steps
        nvtopo.loads(text)
        after = steps
    finally:
        done.set()
        sys.setswitchinterval(switch)
        thread.join()
    assert after > before


def test_threads_share_a_topology() -> None:
    topo = nvtopo.preset("dgx-2")
    answers: list[list[int]] = []
    threads = [threading.Thread(target=lambda: answers.append(topo.place(4).gpus)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and all(answer == answers[0] for answer in answers)


def test_import_starts_nothing() -> None:
    import subprocess

    code = "import os, nvtopo; print(len(os.listdir('/proc/self/task')), open('/proc/self/maps').read().count('libnvidia'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=os.sep)
    assert out.stdout.split() == ["1", "0"]


def test_a_gpu_by_each_of_its_names(dgx: nvtopo.Topology) -> None:
    assert dgx.gpu(3) == dgx.gpu("GPU3") == dgx.gpus[3]
    for name in (8, "GPU8", "mlx5_0", -1, "GPU-00000000-0000-0000-0000-000000000000"):
        with pytest.raises(nvtopo.InvalidRequestError):
            dgx.gpu(name)
