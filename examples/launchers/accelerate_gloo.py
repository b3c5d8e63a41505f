"""Adds up numbers by accelerate, each process bound beside its GPU before Python starts. Runs without a GPU, over Gloo:

accelerate launch --multi_gpu --num_processes 2 --no_python nvtopo exec -- python accelerate_gloo.py
"""

import os

import torch
from accelerate import Accelerator

accelerator = Accelerator(cpu=not torch.cuda.is_available())
rank = accelerator.local_process_index
total = accelerator.reduce(torch.tensor([rank + 1.0], device=accelerator.device))
print(f"rank {rank}: CPUs {sorted(os.sched_getaffinity(0))}, sum {total.item()}", flush=True)
accelerator.end_training()
