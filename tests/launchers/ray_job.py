"""Two Ray actors, one for each pretended GPU, which bind themselves once Ray has told them their GPU.

ray_job.py TOPOLOGY FOLDER
"""

import os
import sys

import ray


@ray.remote(num_gpus=1)
class Worker:
    def __init__(self, topology: str) -> None:
        import nvtopo.launch

        # All threads: Ray has started many by now.
        self.bound = nvtopo.launch.ray(nvtopo.load(topology), trust=True)

    def note(self) -> dict:
        from rank import threads

        # Ray tells no rank; the GPU stands for it.
        environment = dict(os.environ) | {"LOCAL_RANK": os.environ["CUDA_VISIBLE_DEVICES"]}
        return {"threads": threads(), "environment": environment, "process": os.getpid()}


def main() -> None:
    import json
    import pathlib

    here = str(pathlib.Path(__file__).resolve().parent)
    ray.init(num_gpus=2, num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": here}})
    workers = [Worker.remote(sys.argv[1]) for _ in range(2)]
    for note in ray.get([worker.note.remote() for worker in workers]):
        pathlib.Path(sys.argv[2], f"{note['process']}.json").write_text(json.dumps(note))
    ray.shutdown()


if __name__ == "__main__":
    main()
