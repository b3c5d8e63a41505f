#!/bin/sh
# Feeds one reader with changed inputs until the time is over: fuzz.sh READER [SECONDS].
#
# Readers: hwloc-xml, json, kubernetes, lscpu, lspci, measured, nccl-xml, numactl, nvlink-status, rdma, slurm, smi, smi-matrix,
# snapshot. `written` is for all writers. Needs a nightly compiler and cargo-fuzz (`cargo install cargo-fuzz`). What breaks is left in
# fuzz/artifacts.
set -eu
cd "$(dirname "$0")/.."
reader=${1:?a reader}
seconds=${2:-600}
seeds=fuzz/corpus/$reader
mkdir -p "$seeds"
target=text
case $reader in
hwloc-xml) find tests/data/hwloc-xml -name '*.xml' -size -200k -exec cp {} "$seeds" \; ;;
nccl-xml) cp tests/data/nccl-xml/*.xml tests/data/nccl-xml/*.txt "$seeds" ;;
lscpu) cp tests/data/numa/lscpu-* "$seeds" ;;
numactl) cp tests/data/numa/numactl-* "$seeds" ;;
lspci) cp tests/data/lspci/*.txt "$seeds" ;;
rdma) find tests/data/rdma -type f ! -name '*.md' -exec cp {} "$seeds" \; ;;
smi) find tests/data/smi -type f ! -name '*.md' -size -200k -exec cp {} "$seeds" \; ;;
written)
    target=written
    find tests/data -type f ! -name '*.md' ! -name '*.gz' ! -name '*.bz2' -size -20k -exec cp {} "$seeds" \;
    ;;
slurm) cp tests/data/slurm/*.conf tests/data/slurm/*.txt "$seeds" ;;
smi-matrix) cp tests/data/topo-m/*.txt "$seeds" ;;
nvlink-status) cp tests/data/nvlink-status/*.txt "$seeds" ;;
kubernetes) cp tests/data/k8s/nodes/*.yaml "$seeds" ;;
measured) cp tests/data/measured/* tests/data/perftest/*.txt "$seeds" ;;
json)
    cargo build --release --quiet --package nvtopo-cli
    target/release/nvtopo presets --format json | sed -n 's/.*"name": *"\([^"]*\)".*/\1/p' | while read -r preset; do
        target/release/nvtopo show --from "preset:$preset" --format json >"$seeds/$preset.json"
    done
    ;;
snapshot)
    target=snapshot
    cargo build --release --quiet --package nvtopo-cli
    target/release/nvtopo snapshot --redact -o - | gunzip >"$seeds/here.tar"
    ;;
*)
    echo "there is no reader '$reader'" >&2
    exit 2
    ;;
esac
exec cargo +nightly fuzz run "$target" "$seeds" -- -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -max_len=262144
