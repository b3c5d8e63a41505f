"""horovodrun, told that Horovod was built with Gloo and MPI: only its way to start ranks is tried, no collectives."""

import horovod.runner.launch as launch

# It starts this file anew in its helpers.
if __name__ == "__main__":
    for name in ["gloo_built", "mpi_built"]:
        setattr(launch, name, lambda verbose=False: True)
    launch.run_commandline()
