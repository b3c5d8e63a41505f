"""A rank that binds itself by what its communicator says, and not by its launcher's variables.

mpi4py_job.py TOPOLOGY FOLDER
"""

import os
import sys

import nvtopo.launch
from rank import note

# What mpiexec set must not be what it goes by.
told = {name: os.environ.pop(name) for name in ("MPI_LOCALRANKID", "MPI_LOCALNRANKS") if name in os.environ}
nvtopo.launch.mpi4py(nvtopo.load(sys.argv[1]), trust=True, scope="cpuset")
os.environ.update(told)
note(sys.argv[2])
