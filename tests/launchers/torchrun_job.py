"""A rank that binds itself by torchrun's variables, once torch runs with threads of its own.

torchrun_job.py TOPOLOGY FOLDER
"""

import sys

import nvtopo.launch
import torch
from rank import note

torch.set_num_threads(2)
torch.rand(512, 512) @ torch.rand(512, 512)
nvtopo.launch.torchrun(nvtopo.load(sys.argv[1]), trust=True, scope="cpuset")
note(sys.argv[2])
