"""Binding, each time in a process of its own, and read back from /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import nvtopo
import pytest

CPUS = sorted(os.sched_getaffinity(0))

pytestmark = pytest.mark.skipif(len(CPUS) < 2, reason="there is one CPU only")

# Two GPUs, each beside one CPU of this machine.
MATRIX = (
    "\tGPU0\tGPU1\tCPU Affinity\n"
    f"GPU0\t X \tNV4\t{CPUS[0]}\n"
    f"GPU1\tNV4\t X \t{CPUS[-1]}\n"
)

SCRIPT = """
import json, os, re, sys, threading, warnings
import nvtopo

topo = nvtopo.loads(sys.argv[1])
stop = threading.Event()
threads = [threading.Thread(target=stop.wait) for _ in range(3)]
for thread in threads:
    thread.start()
try:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        bound = eval(sys.argv[2])
    answer = {name: getattr(bound, name) for name in ("gpus", "threads", "memory", "warnings", "remarks")}
    answer["heard"] = [(warning.category.__name__, str(warning.message)) for warning in heard]
    answer["before"], answer["after"] = str(bound.before), str(bound.after)
    answer["repr"] = repr(bound)
except nvtopo.NvtopoError as error:
    answer = {"error": type(error).__name__}
allowed = {}
for task in os.listdir("/proc/self/task"):
    status = open(f"/proc/self/task/{task}/status").read()
    allowed[task] = re.search(r"Cpus_allowed_list:\\s*(\\S+)", status).group(1)
answer["main"] = allowed.pop(str(os.getpid()))
answer["others"] = sorted(allowed.values())
stop.set()
print(json.dumps(answer))
"""


def run(call: str, **environment: str) -> Any:
    clean = {name: value for name, value in os.environ.items() if "RANK" not in name and "CUDA" not in name}
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, MATRIX, call],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=os.sep,
    )
    return json.loads(out.stdout)


def listed(*cpus: int) -> str:
    return str(nvtopo.CpuSet(cpus))


def test_all_threads_of_a_rank() -> None:
    for rank, cpu in enumerate((CPUS[0], CPUS[-1])):
        answer = run(f"nvtopo.bind(topo.place(2), {rank}, trust=True)")
        assert answer["main"] == listed(cpu) and answer["others"] == [listed(cpu)] * 3
        assert answer["before"] == listed(*CPUS) and answer["after"] == listed(cpu)
        assert (answer["gpus"], answer["threads"]) == ([rank], 4)
        assert "4 threads" in answer["repr"]


def test_a_rank_beyond_the_placement_is_an_error() -> None:
    for call, variables in (("topo.place(2), 2", {}), ("topo.place(1)", {"LOCAL_RANK": "1"})):
        answer = run(f"nvtopo.bind({call}, trust=True)", **variables)
        assert answer["error"] == "InvalidRequestError"


def test_the_calling_thread_only() -> None:
    answer = run("nvtopo.bind(topo.place(2), 1, threads='calling', trust=True)")
    assert answer["main"] == listed(CPUS[-1]) and answer["others"] == [listed(*CPUS)] * 3
    assert answer["threads"] == 1


@pytest.mark.parametrize("target", ["topo", "topo.place(2)"])
def test_the_launcher_s_rank(target: str) -> None:
    call = f"nvtopo.bind({target}, trust=True)"
    assert run(call, LOCAL_RANK="1")["gpus"] == [1]
    assert run(call, SLURM_LOCALID="0", OMPI_COMM_WORLD_LOCAL_RANK="1")["gpus"] == [1]
    assert run(call)["gpus"] == [0, 1]
    assert run(call, LOCAL_RANK="x")["error"] == "InvalidRequestError"
    assert run(f"nvtopo.bind({target}, 0, trust=True)", LOCAL_RANK="1")["gpus"] == [0]


def test_the_number_of_ranks() -> None:
    answer = run("nvtopo.bind(topo, 1, local_size=2, trust=True)")
    assert answer["gpus"] == [1] and not any("how many ranks" in remark for remark in answer["remarks"])
    # Told by nobody, CPUs are shared by node.
    assert any("how many ranks" in remark for remark in run("nvtopo.bind(topo, 1, trust=True)")["remarks"])
    launched = run("nvtopo.bind(topo, 1, trust=True)", LOCAL_RANK="1", LOCAL_WORLD_SIZE="2")
    assert not any("how many ranks" in remark for remark in launched["remarks"])
    assert run("nvtopo.bind(topo, 2, local_size=2, trust=True)")["error"] == "InvalidRequestError"


def test_the_environment_is_read_from_os_environ() -> None:
    assert run("os.environ.update(LOCAL_RANK='1') or nvtopo.bind(topo, trust=True)")["gpus"] == [1]


def test_visible_gpus() -> None:
    answer = run("nvtopo.bind(topo, trust=True)", CUDA_VISIBLE_DEVICES="1", LOCAL_RANK="0")
    assert answer["gpus"] == [1] and answer["main"] == listed(CPUS[-1])
    hidden = run("nvtopo.bind(topo, trust=True)", CUDA_VISIBLE_DEVICES="")
    assert hidden["gpus"] == [] and hidden["main"] == listed(*CPUS) and hidden["remarks"]


def test_what_nobody_can_tell_is_not_bound_by() -> None:
    # The text tells no models, so how CUDA counts is an assumption, unless the variable says it.
    assumed = run("nvtopo.bind(topo, trust=True)", CUDA_VISIBLE_DEVICES="1")
    assert assumed["gpus"] == [1] and any("CUDA_DEVICE_ORDER" in remark for remark in assumed["remarks"])
    sure = run("nvtopo.bind(topo, trust=True)", CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID")
    assert sure["gpus"] == [1] and not any("CUDA_DEVICE_ORDER" in remark for remark in sure["remarks"])
    # Nor does it tell UUIDs.
    unknown = run("nvtopo.bind(topo, trust=True)", CUDA_VISIBLE_DEVICES="GPU-5c3ee4a8")
    assert unknown["gpus"] == [] and unknown["main"] == listed(*CPUS)
    assert any("UUIDs" in remark for remark in unknown["remarks"])


def test_reserved_cpus() -> None:
    answer = run(f"nvtopo.bind(topo, trust=True, reserve_cpus=[{CPUS[0]}])")
    assert answer["main"] == listed(CPUS[-1])
    wrong = run(f"nvtopo.bind(topo.place(1), trust=True, reserve_cpus=[{CPUS[0]}])")
    assert wrong["error"] == "InvalidRequestError"


@pytest.mark.parametrize("target", ["topo", "topo.place(2)", "nvtopo.preset('gh200')"])
def test_without_trust_nothing_is_touched(target: str) -> None:
    answer = run(f"nvtopo.bind({target}, 0)")
    assert answer["error"] == "WrongMachineError"
    assert answer["main"] == listed(*CPUS) and answer["others"] == [listed(*CPUS)] * 3


def test_another_machine_is_refused_in_spite_of_trust() -> None:
    document = json.loads(nvtopo.discover().to_json())
    origin = document["topology"].get("origin")
    if not origin or "machine" not in origin:
        pytest.skip("this machine has no identity")
    identity = origin["machine"]
    origin["machine"] = {name: "0" * len(value) for name, value in identity.items() if value}
    with pytest.raises(nvtopo.WrongMachineError):
        nvtopo.bind(nvtopo.loads(json.dumps(document)), trust=True)


def test_wrong_arguments() -> None:
    assert run("nvtopo.bind(topo, -1, trust=True)")["error"] == "InvalidRequestError"
    assert run("nvtopo.bind(topo, threads='some', trust=True)")["error"] == "InvalidRequestError"
    assert run("nvtopo.bind(topo, on_error='never', trust=True)")["error"] == "InvalidRequestError"
    assert run("nvtopo.bind(topo, memory='all', trust=True)")["error"] == "InvalidRequestError"


def test_a_part_of_a_plan() -> None:
    answer = run("nvtopo.bind(topo.plan(2)[1], trust=True)")
    assert answer["gpus"] == [1] and answer["main"] == listed(CPUS[-1])
    assert run("nvtopo.bind(topo.plan(2)[1], 1, trust=True)")["error"] == "InvalidRequestError"


def test_policies() -> None:
    answer = run("nvtopo.bind(topo, 0, local_size=2, policy='machine', trust=True)")
    assert len(nvtopo.CpuSet(answer["main"])) >= 1
    assert run("nvtopo.bind(topo, policy='every', trust=True)")["error"] == "InvalidRequestError"
    for word in ("policy='node'", "smt='one'", "scope='cpuset'"):
        for target in ("topo.place(2)", "topo.plan(2)[0]"):
            assert run(f"nvtopo.bind({target}, trust=True, {word})")["error"] == "InvalidRequestError"


def test_the_scope_undoes_what_a_launcher_did() -> None:
    narrow = f"os.sched_setaffinity(0, [{CPUS[0]}]) or nvtopo.bind(topo, 1, local_size=2, trust=True, threads='calling'"
    assert run(f"{narrow})")["main"] == listed(CPUS[0])
    assert run(f"{narrow}, scope='cpuset')")["main"] == listed(CPUS[-1])


@pytest.mark.parametrize("memory", ["preferred", "local", "bind", "interleave", "none"])
def test_memory_policies(memory: str) -> None:
    text = MATRIX.replace("CPU Affinity\n", "CPU Affinity\tNUMA Affinity\n")
    text = text.replace(f"\t{CPUS[0]}\n", f"\t{CPUS[0]}\t0\n").replace(f"\t{CPUS[-1]}\n", f"\t{CPUS[-1]}\t0\n")
    answer = run(f"nvtopo.bind(nvtopo.loads({text!r}), 0, trust=True, memory={memory!r})")
    # A sandbox may refuse it, which is a warning.
    assert answer["memory"] == (None if memory == "none" or answer["warnings"] else memory)


def test_errors_as_warnings() -> None:
    answer = run("nvtopo.bind(topo, on_error='warn')")
    assert answer["gpus"] == [] and answer["threads"] == 0 and answer["main"] == listed(*CPUS)
    ((category, message),) = answer["heard"]
    assert category == "RuntimeWarning" and "unknown origin" in message and answer["warnings"] == [message]
    assert run("nvtopo.bind(topo, on_error='warn', trust=True)", LOCAL_RANK="x")["heard"][0][0] == "RuntimeWarning"
    assert run("nvtopo.bind(topo, policy='every', on_error='warn')")["error"] == "InvalidRequestError"


def test_nothing_to_bind_to() -> None:
    # A GPU of whose CPUs nothing is known.
    blind = "nvtopo.loads('\\tGPU0\\nGPU0\\t X \\n')"
    for call in ("nvtopo.bind({}, trust=True{})", "nvtopo.bound({}, trust=True{}).__enter__()"):
        left = run(call.format(blind, ""))
        assert left["threads"] == 0 and left["main"] == listed(*CPUS) and left["remarks"]
        refused = run(call.format(blind, ", require=True"))
        assert refused["error"] == "UnsatisfiableError" and refused["main"] == listed(*CPUS)
        warned = run(call.format(blind, ", require=True, on_error='warn'"))
        assert "nothing to bind to" in warned["warnings"][0] and warned["main"] == listed(*CPUS)
    assert run("nvtopo.bind(topo, 0, trust=True, require=True)")["main"] == listed(CPUS[0])


def test_for_a_while() -> None:
    inside = "[b := nvtopo.bound(topo, 1, local_size=2, trust=True), d := b.__enter__(), os.sched_getaffinity(0)]"
    answer = run(f"(lambda x: x[1] if x[2] == {{{CPUS[-1]}}} and x[0].__exit__(None, None, None) is None else None)({inside})")
    assert answer["gpus"] == [1] and answer["main"] == listed(*CPUS) and answer["others"] == [listed(*CPUS)] * 3


def test_blocks_nest_and_end_where_they_began() -> None:
    topo = nvtopo.loads(MATRIX)
    before = os.sched_getaffinity(0)
    outer = nvtopo.bound(topo, 0, local_size=2, trust=True, memory="none")
    with outer as first, outer as again:
        assert os.sched_getaffinity(0) == {CPUS[0]} == set(again.after) and set(first.before) == before
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ZeroDivisionError), outer:
        1 / 0
    assert os.sched_getaffinity(0) == before
    with pytest.raises(nvtopo.InvalidRequestError, match="not entered"):
        outer.__exit__(None, None, None)
    with pytest.raises(nvtopo.WrongMachineError), nvtopo.bound(topo):
        pass
    with pytest.warns(RuntimeWarning, match="unknown origin"), nvtopo.bound(topo, on_error="warn") as nothing:
        assert nothing.threads == 0
    assert os.sched_getaffinity(0) == before


def test_hazards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"):
        monkeypatch.delenv(name, raising=False)
    assert nvtopo.hazards() == []
    monkeypatch.setenv("OMP_PLACES", "cores")
    (warning,) = nvtopo.hazards()
    assert warning.startswith("OMP_PLACES=cores undoes the binding")
    assert nvtopo.hazards({"OMP_PROC_BIND": "false"}) == []
