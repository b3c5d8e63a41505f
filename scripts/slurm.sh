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

# Starts a cluster of one node that is a preset, and runs a check.
cluster() {
    preset=$1
    mkdir -p "$folder/dev" "$folder/state" "$folder/spool"
    "$nvtopo" convert --quiet --from "preset:$preset" --to gres.conf --node n1 -o "$folder/gres.conf"
    for number in 0 1 2 3 4 5 6 7; do
        [ -e "$folder/dev/nvidia$number" ] || mknod "$folder/dev/nvidia$number" c 1 3
    done
    sed -i "s|File=/dev/|File=$folder/dev/|" "$folder/gres.conf"
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
$("$nvtopo" convert --quiet --from "preset:$preset" --to slurm.conf --node n1) NodeAddr=127.0.0.1 NodeHostname=$(hostname -s)
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
    scontrol show node n1 >"$folder/node.log" 2>&1 || fail "$preset: the controller does not answer"
    grep -q 'State=IDLE ' "$folder/node.log" || fail "$preset: the node is not idle"
}

end_cluster() {
    kill "$node" "$controller"
    wait "$node" "$controller" 2>/dev/null || :
}

# Runs a job and prints its GPUs and CPUs, as `0-1 0-19`.
job() {
    srun "$@" sh -c 'scontrol show job -d $SLURM_JOB_ID' >"$folder/job.log" 2>&1 || fail "srun $*"
    sed -n 's/.*CPU_IDs=\([^ ]*\).*GRES=gpu[^(]*(IDX:\([^)]*\)).*/\2 \1/p' "$folder/job.log"
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

# A DGX-1: two sockets, NVLinks that differ from pair to pair.
cluster dgx-1-v100
slurmd -G >"$folder/gres.log" 2>&1
same "$(grep -c 'Gres Name=gpu' "$folder/gres.log")" 8 "GPUs that slurmd reads"
same "$(sed -n 's/.*File=.*nvidia3 .*Cores=\([^ ]*\) .*Links=\([-0-9,]*\).*/\1 \2/p' "$folder/gres.log")" "0-19 2,1,2,-1,0,0,0,1" "cores and links of GPU 3"
same "$(sed -n 's/ *Gres=\(.*\)/\1/p' "$folder/node.log" | sed 's/(.*//')" gpu:tesla_v100-sxm2-32gb:8 "GPUs of the node"
same "$(sed -n 's/.*\(CPUTot=[0-9]*\) .*/\1/p' "$folder/node.log")" CPUTot=80 "CPUs of the node"
same "$(sed -n 's/.*\(ThreadsPerCore=[0-9]*\).*/\1/p' "$folder/node.log")" ThreadsPerCore=2 "threads of a core"
same "$(job -n 1 --gres=gpu:2 --gres-flags=enforce-binding)" "0,3 0-1" "GPUs and CPUs of a job for 2"
same "$(job -n 1 -c 40 --gres=gpu:4 --gres-flags=enforce-binding)" "0-3 0-39" "GPUs and CPUs of a job for 4 with a socket"
end_cluster
echo "all is well"
