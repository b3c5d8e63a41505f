"""Many threads at once, which all share what there is: without the interpreter's lock, they run at the same time."""

from __future__ import annotations

import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import nvtopo

THREADS = 8
ROUNDS = 40


def test_the_lock_stays_off() -> None:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        # Modules that need it switch it on when they are imported, with a warning.
        assert not sys._is_gil_enabled()  # type: ignore[attr-defined]


def test_answers_do_not_depend_on_who_else_asks() -> None:
    # Nobody has asked this machine anything yet, so that all begin with nothing kept.
    topology = nvtopo.loads(nvtopo.preset("dgx-2").to_json())
    chooser = nvtopo.Chooser(topology)
    start = Barrier(THREADS)

    def ask(thread: int) -> list[tuple[int, int, list[Any]]]:
        start.wait()
        told = []
        for turn in range(ROUNDS):
            count = 1 + (turn + thread) % 8
            place = topology.place(count, only=free(turn))
            rest = [topology.plan(count).to_json(), hash(topology), topology.bandwidth_matrix()[0, count]]
            told.append((count, turn, [place, chooser.choose(free(turn), count), *rest]))
        return told

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for told in pool.map(ask, range(THREADS)) for answer in told]
    assert len(answers) == THREADS * ROUNDS
    first: dict[tuple[int, int], list[Any]] = {}
    for count, turn, answer in answers:
        assert first.setdefault((count, turn), answer) == answer
    alone = nvtopo.preset("dgx-2")
    for (count, turn), (place, chosen, *_) in first.items():
        assert chosen == place.gpus == alone.place(count, only=free(turn)).gpus


def free(turn: int) -> list[int]:
    return [gpu for gpu in range(16) if (gpu * 7 + turn) % 3]


def test_jobs_never_overlap() -> None:
    allocator = nvtopo.Allocator(nvtopo.preset("dgx-2"))
    start = Barrier(THREADS)

    def work(thread: int) -> int:
        start.wait()
        placed = 0
        for turn in range(ROUNDS):
            try:
                job = allocator.place(1 + (turn + thread) % 3)
            except nvtopo.UnsatisfiableError:
                continue
            others = [other for other in allocator.jobs if other.number != job.number]
            assert not set(job.gpus) & {gpu for other in others for gpu in other.gpus}
            allocator.release(job)
            placed += 1
        return placed

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) >= ROUNDS
    assert allocator.jobs == [] and len(allocator.free) == 16
