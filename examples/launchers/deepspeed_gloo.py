"""Adds up numbers by DeepSpeed, each process bound beside its GPU before Python starts. Runs without a GPU, over Gloo:

deepspeed --num_gpus 2 --no_python --no_local_rank nvtopo exec -- python deepspeed_gloo.py
"""

import os

import deepspeed
import deepspeed.comm as dist
import torch

deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo")
rank = int(os.environ["LOCAL_RANK"])
device = torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")
total = torch.tensor([rank + 1.0], device=device)
dist.all_reduce(total)
print(f"rank {rank}: CPUs {sorted(os.sched_getaffinity(0))}, sum {total.item()}", flush=True)
