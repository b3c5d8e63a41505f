"""Trains a line on two processes, each bound beside its GPU before Python starts. Runs without a GPU, over Gloo:

    torchrun --nproc-per-node 2 --no-python nvtopo exec -- python torchrun_gloo.py

`nvtopo run --nproc-per-node 2 -- python torchrun_gloo.py` does without torchrun.
"""

import os

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
rank = int(os.environ["LOCAL_RANK"])
device = torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")
torch.manual_seed(rank)
model = DistributedDataParallel(torch.nn.Linear(1, 1).to(device))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(100):
    x = torch.rand(32, 1, device=device)
    loss = torch.nn.functional.mse_loss(model(x), 3 * x + 1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"rank {rank}: CPUs {sorted(os.sched_getaffinity(0))}, loss {loss.item():.4f}", flush=True)
dist.destroy_process_group()
