"""A process with threads that forks: no child waits for a thread that it does not have."""

import os
import signal
import threading
import warnings

import nvtopo

FORKS = 500
# Seconds after which a child counts as one that hangs: far more than an answer takes.
PATIENCE = 60


def test_a_child_of_a_process_with_threads_never_hangs() -> None:
    machines = [nvtopo.preset("dgx-1-v100")]
    ended = threading.Event()

    def keep_asking() -> None:
        gpus = 1
        while not ended.is_set():
            machines[-1].place(gpus=gpus)
            gpus = gpus % 8 + 1

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    failed = 0
    try:
        for _ in range(FORKS):
            # Nobody has asked this one before.
            machines.append(nvtopo.preset("dgx-1-v100"))
            with warnings.catch_warnings():
                # Python warns of just what is tried here.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                signal.alarm(PATIENCE)
                found = machines[-1].place(gpus=4).gpus
                os._exit(0 if found == [0, 1, 2, 3] else 1)
            _, status = os.waitpid(child, 0)
            failed += status != 0
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failed == 0
