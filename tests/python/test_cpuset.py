"""CpuSet and NodeSet are sets to Python, and two types."""

from __future__ import annotations

import copy
import os
import pickle
import random
from collections.abc import Hashable, Set

import nvtopo
import pytest
from nvtopo import CpuSet, NodeSet


def test_made_of_texts_and_numbers() -> None:
    assert str(CpuSet("16-23,0-7")) == "0-7,16-23"
    assert CpuSet([3, 1, 2, 2]) == CpuSet("1-3") == CpuSet(CpuSet("1-3")) == CpuSet({1, 2, 3})
    assert CpuSet(range(0, 8, 2)) == CpuSet("0-7:2")
    assert CpuSet() == CpuSet("") == set() and not CpuSet()
    assert eval(repr(CpuSet("0-7,9"))) == CpuSet("0-7,9")
    assert repr(NodeSet([1])) == "NodeSet('1')"


@pytest.mark.parametrize("text", ["a", "3-1", "0-", "70000", "-1"])
def test_bad_texts(text: str) -> None:
    with pytest.raises(nvtopo.InvalidInputError):
        CpuSet(text)


@pytest.mark.parametrize("number", [-1, 65536, 2**40])
def test_numbers_out_of_range(number: int) -> None:
    with pytest.raises(nvtopo.InvalidRequestError):
        CpuSet([number])
    assert number not in CpuSet("0-9")


def test_masks() -> None:
    assert CpuSet.from_mask("ff").to_mask() == "000000ff"
    assert CpuSet.from_mask("00000001,00000000") == {32}
    with pytest.raises(nvtopo.InvalidInputError):
        CpuSet.from_mask("0xg")


def test_is_a_set() -> None:
    cpus = CpuSet("0-3")
    assert isinstance(cpus, Set) and isinstance(cpus, Hashable)
    assert list(cpus) == [0, 1, 2, 3] and len(cpus) == 4
    strange: list[object] = ["2", None, 2.5, -2, 2**80]
    assert 2 in cpus and 4 not in cpus and not any(item in cpus for item in strange)
    assert {cpus: 1}[CpuSet([0, 1, 2, 3])] == 1
    assert hash(cpus) == hash(frozenset(cpus)) and cpus == frozenset(cpus) and {0, 1, 2, 3} == cpus
    assert cpus.isdisjoint([4]) and not cpus.isdisjoint("3-5")


def test_agrees_with_frozenset() -> None:
    chance = random.Random(1)
    for _ in range(300):
        a, b = (frozenset(chance.sample(range(12), chance.randrange(8))) for _ in range(2))
        x, y = CpuSet(a), CpuSet(b)
        for other in (y, b, set(b)):
            assert x & other == a & b and isinstance(x & other, CpuSet)
            assert x | other == a | b and x - other == a - b and x ^ other == a ^ b
            assert (x <= other, x < other, x >= other, x > other) == (a <= b, a < b, a >= b, a > b)
            assert (x == other, x != other) == (a == b, a != b)
        assert a & y == a & b and a | y == a | b and a - y == a - b and a ^ y == a ^ b
        assert isinstance(a - y, CpuSet) and (a <= y) == (a <= b)


def test_nodes_are_not_cpus() -> None:
    assert CpuSet([1]) != NodeSet([1])
    with pytest.raises(TypeError):
        CpuSet(NodeSet([1]))
    with pytest.raises(TypeError):
        CpuSet([1]) | NodeSet([1])
    with pytest.raises(TypeError):
        CpuSet([1]) <= NodeSet([1])
    with pytest.raises(TypeError):
        CpuSet(b"0-3")
    with pytest.raises(TypeError):
        CpuSet([1]) & [1]  # type: ignore[operator]


def test_copies_and_pickles() -> None:
    for made in (CpuSet("0-7,9"), NodeSet("0,8")):
        assert pickle.loads(pickle.dumps(made)) == made
        assert type(copy.deepcopy(made)) is type(made)


def test_goes_where_the_kernel_takes_cpus() -> None:
    before = os.sched_getaffinity(0)
    first = CpuSet([min(before)])
    try:
        os.sched_setaffinity(0, first)
        assert CpuSet(os.sched_getaffinity(0)) == first
    finally:
        os.sched_setaffinity(0, before)
