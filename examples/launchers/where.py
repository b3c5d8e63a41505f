"""Tells where each rank may run. Any launcher, no framework:

    nvtopo run --nproc-per-node 2 --label -- python where.py
    mpirun -np 2 nvtopo exec --scope cpuset -- python where.py
    mpiexec -n 2 nvtopo exec --scope cpuset -- python where.py
    horovodrun -np 2 nvtopo exec -- python where.py
    sbatch srun.sbatch

Without a GPU nothing is bound, and that is told.
"""

import os

# The order in which nvtopo asks for them.
NAMES = ["LOCAL_RANK", "HOROVOD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"]

rank = next((os.environ[name] for name in NAMES if name in os.environ), None)
cpus = sorted(os.sched_getaffinity(0))
threads = os.environ.get("OMP_NUM_THREADS", "not set")
print(f"rank {rank}: CPUs {cpus}, OMP_NUM_THREADS {threads}", flush=True)
