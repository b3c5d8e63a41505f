#!/bin/sh
# Checks `nvtopo convert --to gres.conf` and `--to slurm.conf` with a real Slurm: a cluster of one node on loopback, whose GPUs
# are device files like /dev/null. Slurm must read the files, show the node, and give jobs GPUs with the cores and links written.
#
# Usage: scripts/slurm.sh [NVTOPO]    (the command to check, nvtopo by default)
#
# Needs root and Debian's packages slurm-wlm and munge. Without them it says so and does nothing.
set -eu

nvtopo=${1:-nvtopo}
for program in slurmctld slurmd srun scontrol munged mknod; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "skipped: $program is missing"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: Slurm's daemons need root here"; exit 0; }
PATH=$PATH:/usr/sbin:/sbin
folder=$(mktemp -d)
chmod 755 "$folder"
daemons=
stop() {
    for pid in $daemons; do kill "$pid" 2>/dev/null || :; done
    wait 2>/dev/null || :
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

fail() { echo "FAILED: $*"; tail -n 20 "$folder"/*.log; exit 1; }

# Starts a cluster of one node that is a preset or a machine of a file, and runs a check.
cluster() {
    machine=$1
    mkdir -p "$folder/dev/nvidia-caps" "$folder/state" "$folder/spool"
    "$nvtopo" convert --quiet --from "$machine" --to gres.conf --node n1 -o "$folder/gres.conf"
    sed -i "s|/dev/|$folder/dev/|g" "$folder/gres.conf"
    sed -n 's/^[^#].*File[s]*=\([^ ]*\).*/\1/p' "$folder/gres.conf" | tr , '\n' | while read -r file; do
        [ -e "$file" ] || mknod "$file" c 1 3
    done
    cat >"$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
$("$nvtopo" convert --quiet --from "$machine" --to slurm.conf --node n1) NodeAddr=127.0.0.1 NodeHostname=$(hostname -s)
PartitionName=all Nodes=n1 Default=YES State=UP
END
    export SLURM_CONF="$folder/slurm.conf"
    rm -rf "$folder/state" "$folder/spool"
    mkdir "$folder/state" "$folder/spool"
    slurmctld -D >"$folder/slurmctld.log" 2>&1 &
    controller=$!
    slurmd -D >"$folder/slurmd.log" 2>&1 &
    node=$!
    daemons="$daemons $controller $node"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        scontrol show node n1 2>/dev/null | grep -q 'State=IDLE ' && break
        sleep 0.5
    done
    scontrol show node n1 >"$folder/node.log" 2>&1 || fail "$machine: the controller does not answer"
    grep -q 'State=IDLE ' "$folder/node.log" || fail "$machine: the node is not idle"
}

end_cluster() {
    kill "$node" "$controller"
    wait "$node" "$controller" 2>/dev/null || :
}

# Runs a job and prints its GPUs, its CPUs, and what CUDA is told, as `0-1 0-19 0,1`.
job() {
    srun "$@" sh -c 'scontrol show job -d $SLURM_JOB_ID; echo "cuda=$CUDA_VISIBLE_DEVICES"' >"$folder/job.log" 2>&1 || fail "srun $*"
    sed -n 's/.*CPU_IDs=\([^ ]*\).*GRES=gpu[^(]*(IDX:\([^)]*\)).*/\2 \1/p' "$folder/job.log" | tr '\n' ' '
    sed -n 's/^cuda=//p' "$folder/job.log"
}

# The cores and links that slurmd read for a device file.
of_file() {
    sed -n "s|.*File=[^ ]*nvidia$1 .*Cores=\([^ ]*\) .*Links=\([-0-9,]*\).*|\1 \2|p" "$folder/gres.log"
}

same() {
    [ "$1" = "$2" ] || fail "$3: $2 expected, $1 found"
    echo "ok  $3: $1"
}

dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 2>/dev/null
chmod 400 "$folder/munge.key"
munged --foreground --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" >"$folder/munge.log" 2>&1 &
daemons=$!
sleep 1

data=$(dirname "$0")/../tests/data/slurm

# A DGX-1: two sockets, NVLinks that differ from pair to pair.
cluster preset:dgx-1-v100
slurmd -G >"$folder/gres.log" 2>&1
same "$(grep -c 'Gres Name=gpu' "$folder/gres.log")" 8 "GPUs that slurmd reads"
same "$(of_file 3)" "0-19 2,1,2,-1,0,0,0,1" "cores and links of GPU 3"
same "$(sed -n 's/ *Gres=\(.*\)/\1/p' "$folder/node.log" | sed 's/(.*//')" gpu:tesla_v100-sxm2-32gb:8 "GPUs of the node"
same "$(sed -n 's/.*\(CPUTot=[0-9]*\) .*/\1/p' "$folder/node.log")" CPUTot=80 "CPUs of the node"
same "$(sed -n 's/.*\(ThreadsPerCore=[0-9]*\).*/\1/p' "$folder/node.log")" ThreadsPerCore=2 "threads of a core"
same "$(job -n 1 --gres=gpu:2 --gres-flags=enforce-binding)" "0,3 0-1 0,3" "GPUs and CPUs of a job for 2"
same "$(job -n 1 -c 40 --gres=gpu:4 --gres-flags=enforce-binding)" "0-3 0-39 0,1,2,3" "GPUs and CPUs of a job for 4 with a socket"
end_cluster

# Device files are numbered in another order than the PCI bus. Slurm numbers GPUs, for jobs and CUDA, by the bus.
cluster "$data/made-swapped-minors.json"
slurmd -G >"$folder/gres.log" 2>&1
same "$(of_file 2)" "0-3 -1,4,0,0" "cores and links of the first GPU, whose file is the third"
same "$(of_file 1)" "4-7 0,0,4,-1" "cores and links of the last GPU, whose file is the second"
same "$(job -n 1 --gres=gpu:2 --gres-flags=enforce-binding)" "0-1 0-1 0,1" "GPUs and CPUs of a job for 2"
end_cluster

# Threads of a core are neighbours, sockets take turns by cores, and the first GPUs are near the second socket.
cluster "$data/made-neighbour-threads.json"
slurmd -G >"$folder/gres.log" 2>&1
same "$(of_file 0)" "4-7 -1,0,0,0" "cores and links of the first GPU"
same "$(of_file 3)" "0-3 0,0,0,-1" "cores and links of the last GPU"
same "$(job -n 1 -c 8 --gres=gpu:2 --gres-flags=enforce-binding)" "2-3 0-7 2,3" "GPUs of a job for the first socket"
end_cluster

# Two MIG instances, and a GPU that is not divided. Instances are counted as devices.
cluster "$data/made-mig.json"
slurmd -G >"$folder/gres.log" 2>&1
same "$(of_file -cap148)" "0-3 -1,0,0" "cores and links of the first instance"
same "$(of_file 0)" "4-7 0,0,-1" "cores and links of the whole GPU"
model=nvidia_a100-sxm4-40gb
same "$(sed -n 's/ *Gres=\(.*\)/\1/p' "$folder/node.log" | sed 's/([^)]*)//g')" "gpu:${model}_3g.20gb:2,gpu:$model:1" "devices of the node"
same "$(job -n 1 --gres="gpu:${model}_3g.20gb:2" --gres-flags=enforce-binding)" "0-1 0-1 0,1" "instances of a job for 2"
same "$(job -n 1 --gres="gpu:$model:1" --gres-flags=enforce-binding)" "2 8-9 2" "GPU of a job for a whole one"
end_cluster
echo "all is well"
