"""Two Ray actors, each bound beside the GPU that Ray gave it. Without a GPU two are pretended, and nothing is bound:

    python ray_actors.py

Ray tells an actor its GPU when the process runs already, so it binds itself, with all threads that Ray has started.
"""

import os

import nvtopo.launch
import ray


@ray.remote(num_gpus=1)
class Worker:
    def __init__(self) -> None:
        self.bound = nvtopo.launch.ray()

    def where(self) -> str:
        gpu = os.environ["CUDA_VISIBLE_DEVICES"]
        return f"GPU {gpu}, CPUs {sorted(os.sched_getaffinity(0))}, {self.bound.threads} threads moved"


gpus = len(nvtopo.discover().gpus)
ray.init(num_gpus=gpus or 2, include_dashboard=False)
workers = [Worker.remote() for _ in range(gpus or 2)]
for rank, where in enumerate(ray.get([worker.where.remote() for worker in workers])):
    print(f"rank {rank}: {where}", flush=True)
ray.shutdown()
