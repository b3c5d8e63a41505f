"""A Slurm of one node, this machine, for as long as it is needed: munged, slurmctld and slurmd in a scratch folder."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

from jobs import Failed, Skipped, clean

DAEMONS = ["munged", "slurmctld", "slurmd", "srun", "sbatch", "sinfo"]
CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
SlurmctldPort=17817
SlurmdPort=17818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Sockets=1 CoresPerSocket={cpus} ThreadsPerCore=1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def one_node(folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """The variables by which srun finds it."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [name for name in DAEMONS if shutil.which(name, path=path) is None]
    if missing:
        raise Skipped(f"{', '.join(missing)} not found: apt-get install slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        raise Skipped("the daemons run as root only")
    # Slurm has this name in its messages to itself.
    host = socket.gethostname().split(".")[0]
    for name in ["state", "spool"]:
        (folder / name).mkdir(parents=True)
    # So that tasks can reach the socket.
    for above in [folder, folder.parent]:
        above.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, cpus=os.cpu_count()))
    variables = {"SLURM_CONF": str(configuration), "PATH": path}
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [
        f"--pid-file={folder}/munged.pid",
        f"--seed-file={folder}/munged.seed",
        f"--log-file={folder}/munged.log",
    ]
    started = []
    try:
        for command in [munged, ["slurmctld", "-D"], ["slurmd", "-D"]]:
            with (folder / f"{command[0]}.out").open("w") as output:
                started.append(subprocess.Popen(command, env=clean(variables), stdout=output, stderr=output))
            time.sleep(1)
        wait_until_idle(variables, folder)
        yield variables
    finally:
        for daemon in reversed(started):
            daemon.terminate()
            daemon.wait(timeout=30)


def wait_until_idle(variables: dict[str, str], folder: pathlib.Path) -> None:
    state = ""
    for _ in range(40):
        told = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env=clean(variables), capture_output=True, text=True, check=False
        )
        state = told.stdout.strip() + told.stderr.strip()
        if told.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "".join(path.read_text()[-1500:] for path in sorted(folder.glob("*.log")) + sorted(folder.glob("*.out")))
    raise Failed(f"the node does not come up: {state}\n{logs}")
