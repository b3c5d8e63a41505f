"""Bind each rank of a training job beside its GPU, before anything else is imported.

    python bind_rank.py                                     # one process
    torchrun --nproc-per-node 4 bind_rank.py                # or mpirun, srun, deepspeed, … with --gpus 4

All ranks ask the same question of the same machine, so all get the same answer without talking to each other.
On a machine without GPUs it shows on a preset what it would do, and binds nothing.
"""

from __future__ import annotations

import argparse
import os

import nvtopo


def this_machine() -> tuple[nvtopo.Topology, bool]:
    """The topology to choose from, and whether it is real."""
    topo = nvtopo.discover()
    if topo.gpus:
        return topo, True
    print("no GPU here: showing what would be done on a DGX H100")
    return nvtopo.preset("dgx-h100"), False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=os.environ.get("LOCAL_WORLD_SIZE", "1"), help="one for each rank here")
    count = parser.parse_args().gpus

    topo, real = this_machine()
    place = topo.place(count, allowed_cpus=os.sched_getaffinity(0) if real else None)
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    gpu = place.per_gpu[rank]
    print(f"rank {rank}: GPU{gpu.index}, CPUs {gpu.cpus}, memory of node {gpu.mems}, NICs {', '.join(gpu.nics)}")
    if rank == 0:
        print(place.why)

    if real:
        # The same variables in every rank, before CUDA starts; then rank n uses device n.
        os.environ.update(place.env())
        bound = nvtopo.bind(place, local_rank=rank)
        print(f"rank {rank}: {bound.threads} threads moved from CPUs {bound.before} to {bound.after}")
        for warning in bound.warnings:
            print(f"rank {rank}: {warning}")

    # import torch; torch.cuda.set_device(rank); …


if __name__ == "__main__":
    main()
