"""One rank of a job: notes where each of its threads may run, and the variables that it finds.

    rank.py [--gloo] FOLDER        # writes FOLDER/PROCESS.json

With --gloo the ranks first add up their numbers through torch.distributed, so that torch's threads are there too.
"""

import json
import os
import pathlib
import re
import sys
import threading


def main() -> None:
    arguments = [word for word in sys.argv[1:] if not word.startswith("--local_rank")]
    if "--gloo" in arguments:
        add_up()
    stop = threading.Event()
    threading.Thread(target=stop.wait).start()
    note(arguments[-1])
    stop.set()
    if "--gloo" in arguments:
        leave()


def note(folder: str) -> None:
    """Writes what this process is bound to and finds, for whoever started it."""
    found = {"threads": threads(), "environment": dict(os.environ), "arguments": sys.argv[1:]}
    pathlib.Path(folder, f"{os.getpid()}.json").write_text(json.dumps(found))


def threads() -> list[str]:
    """The CPUs of each thread, as the kernel's list."""
    status = pathlib.Path("/proc/self/task").glob("*/status")
    return [re.search(r"^Cpus_allowed_list:\s*(\S+)", path.read_text(), re.MULTILINE)[1] for path in status]


def add_up() -> None:
    import torch
    import torch.distributed

    torch.distributed.init_process_group("gloo")
    total = torch.tensor([float(os.environ["RANK"]) + 1])
    torch.distributed.all_reduce(total)
    ranks = torch.distributed.get_world_size()
    if total.item() != ranks * (ranks + 1) / 2:
        raise SystemExit(f"{ranks} ranks add up to {total.item()}")
    # Starts the threads of the pool, where there are more than one.
    torch.rand(512, 512) @ torch.rand(512, 512)


def leave() -> None:
    import torch.distributed

    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
