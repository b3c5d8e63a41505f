"""Plans for all ranks of a machine, and what is visible to them."""

from __future__ import annotations

import json
import pickle

import nvtopo
import pytest


def test_a_plan_is_a_sequence_of_parts(dgx: nvtopo.Topology) -> None:
    plan = dgx.plan(ranks=8)
    assert len(plan) == 8 and [part.rank for part in plan] == list(range(8))
    assert plan[5] == plan[-3] != plan[4] and len({plan[5], plan[-3]}) == 1
    assert (plan.policy, plan.remarks) == ("exclusive", [])
    for wrong in (8, -9):
        with pytest.raises(IndexError, match="8 ranks"):
            plan[wrong]
    assert repr(plan) == "<Plan of 8 ranks by the policy exclusive>"
    assert str(plan) == plan.to_text() and "own cores" in str(plan) and len(json.loads(plan.to_json())["ranks"]) == 8


def test_a_part(dgx: nvtopo.Topology) -> None:
    part = dgx.plan(ranks=8)[5]
    assert (part.gpu, part.gpus, part.instances) == (5, [5], [])
    assert part.cpus == nvtopo.CpuSet("70-83,182-195") and part.mems == nvtopo.NodeSet([1])
    assert (part.own_cores, part.nic, part.nics, part.remarks) == (14, "mlx5_9", ["mlx5_9"], [])
    assert repr(part) == "<Part of rank 5: GPU5, CPUs 70-83,182-195>"


def test_the_environment_of_a_part(dgx: nvtopo.Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    part = dgx.plan(ranks=8)[1]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert part.env() == {"OMP_NUM_THREADS": "14"}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert part.env() == {} and part.env(["threads"]) == {"OMP_NUM_THREADS": "14"}
    assert part.env(["gpus"])["CUDA_VISIBLE_DEVICES"] == "0,1,2,3,4,5,6,7"
    with pytest.raises(nvtopo.InvalidRequestError, match="ucx-device"):
        part.env(["all"])


def test_rules(dgx: nvtopo.Topology) -> None:
    plan = dgx.plan(2, policy="node", smt="one")
    assert [str(part.cpus) for part in plan] == ["0-55", "0-55"] and plan[0].own_cores == 0
    assert nvtopo.CpuSet("0-1").isdisjoint(dgx.plan(2, reserve_cpus="0-1")[0].cpus)
    assert all(part.cpus <= nvtopo.CpuSet("0-15") for part in dgx.plan(2, allowed_cpus=range(16)))
    for policy in nvtopo.cpu_policies():
        assert dgx.plan(8, policy=policy).policy == policy
    for wrong in ({"policy": "every"}, {"smt": "two"}, {"scope": "all"}):
        with pytest.raises(nvtopo.InvalidRequestError, match="there are"):
            dgx.plan(8, **wrong)  # type: ignore[arg-type]
    with pytest.raises(nvtopo.InvalidRequestError):
        dgx.plan(0)


def test_which_gpus_the_ranks_see(dgx: nvtopo.Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"CUDA_VISIBLE_DEVICES": "5,4"}
    assert [part.gpu for part in dgx.plan(environ=seen)] == [5, 4]
    assert [part.gpu for part in dgx.plan(3, environ=seen)] == [5, 4, 5]
    assert len(dgx.plan(environ={"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4"})) == 4
    # The GPUs that this process sees are not those of another machine.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,4")
    assert [part.gpu for part in dgx.plan()] == list(range(8))


def test_what_each_rank_gets(dgx: nvtopo.Topology) -> None:
    block = dgx.plan(gpus_per_rank=2)
    assert [part.gpus for part in block] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert len(block[1].nics) == 2
    cyclic = dgx.plan(gpus_per_rank=2, distribution="cyclic", cores_per_rank=4)
    assert cyclic[1].gpus == [1, 5] and cyclic[1].own_cores == 4
    assert any("stay free" in remark for remark in cyclic.remarks)
    assert pickle.loads(pickle.dumps(cyclic)) == cyclic
    alone = dgx.plan(4, gpus_per_rank=0)
    assert [(part.gpu, part.own_cores) for part in alone] == [(None, 28)] * 4
    assert str(alone[3].cpus) == "84-111,196-223"
    assert pickle.loads(pickle.dumps(alone)) == alone
    with pytest.raises(nvtopo.UnsatisfiableError, match="3 GPUs each"):
        dgx.plan(3, gpus_per_rank=3)
    with pytest.raises(nvtopo.InvalidRequestError, match="how many ranks"):
        dgx.plan(gpus_per_rank=0)
    with pytest.raises(nvtopo.InvalidRequestError, match="block and cyclic"):
        dgx.plan(4, distribution="sideways")  # type: ignore[arg-type]


def test_launch_formats(dgx: nvtopo.Topology) -> None:
    plan = dgx.plan(ranks=4)
    for name in nvtopo.launch_formats():
        assert plan.format(name).endswith("\n")
    assert plan.format("taskset").splitlines()[0] == f"taskset -c {plan[0].cpus}"
    ranks = [line for line in plan.format("rankfile-ompi5").splitlines() if line.startswith("rank ")]
    # Open MPI counts CPUs core by core, not as the kernel does.
    assert ranks[3] == "rank 3=localhost slot=84-111"
    with pytest.raises(nvtopo.InvalidRequestError, match="rankfile-ompi5"):
        plan.format("lsf")
    assert plan.format("docker", memory="bind").splitlines()[3] == f"--cpuset-cpus={plan[3].cpus} --cpuset-mems=0"
    assert "mem" not in plan.format("numactl", memory="none")
    with pytest.raises(nvtopo.InvalidRequestError, match="mpich cannot say"):
        plan.format("mpich", memory="bind")
    with pytest.raises(nvtopo.InvalidRequestError, match="no memory policy 'hard'"):
        plan.format("docker", memory="hard")
    with pytest.raises(nvtopo.UnsatisfiableError, match="rank 0"):
        dgx.plan(1, environ={"CUDA_VISIBLE_DEVICES": ""}).format("taskset")


def test_visible_gpus(dgx: nvtopo.Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    visible = dgx.visible_gpus({"CUDA_VISIBLE_DEVICES": "3,1,-1,2"})
    assert (visible.gpus, visible.devices, visible.unresolved) == ([3, 1], [(3, None), (1, None)], False)
    assert repr(visible) == "<VisibleGpus [3, 1], order known>"
    assert visible == dgx.visible_gpus({"CUDA_VISIBLE_DEVICES": "3,1"})
    twice = dgx.visible_gpus({"CUDA_VISIBLE_DEVICES": "3,3"})
    assert twice.gpus == [] and "second time" in twice.remarks[0]
    assert dgx.visible_gpus().gpus == list(range(8))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5c3ee4a8")
    unknown = dgx.visible_gpus()
    assert unknown.unresolved and unknown.gpus == []


def test_the_order_of_cuda(dgx: nvtopo.Topology) -> None:
    assert dgx.cuda_order() == dgx.cuda_order("PCI_BUS_ID") == list(range(8))
    bare = nvtopo.loads("\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n")
    assert bare.cuda_order() is None and bare.cuda_order("PCI_BUS_ID") == [0, 1]
    assert bare.visible_gpus({}).order == "assumed"


def test_a_plan_is_sliced_as_a_list(dgx: nvtopo.Topology) -> None:
    plan = dgx.plan(8)
    parts = list(plan)
    for cut in (slice(2, 4), slice(None), slice(None, None, 2), slice(-3, None), slice(None, None, -1), slice(9, 20)):
        assert plan[cut] == parts[cut]
    with pytest.raises(ValueError, match="zero"):
        plan[::0]
    with pytest.raises(TypeError):
        plan["1"]  # type: ignore[call-overload]


def test_cpus_of_a_rank_are_split_for_workers(dgx: nvtopo.Topology) -> None:
    part = dgx.plan(8)[5]
    workers = part.split_cpus(3)
    assert [len(worker) for worker in workers] == [8, 10, 10]
    assert set().union(*workers) == set(part.cpus) and workers == dgx.split_cpus(part.cpus, 3)
    assert all(not workers[one] & workers[other] for one in range(3) for other in range(one))
    assert part.split_cpus(0) == []
    with pytest.raises(nvtopo.InvalidRequestError):
        part.split_cpus(-1)
    with pytest.raises(nvtopo.InvalidRequestError, match="parts"):
        part.split_cpus(10**9)
