#!/bin/sh
# Feeds one reader with changed inputs until the time is over: fuzz.sh READER [SECONDS].
#
# Readers: hwloc-xml, json, kubernetes, measured, nvlink-status, slurm, smi-matrix, snapshot. Needs a nightly compiler and cargo-fuzz
# (`cargo install cargo-fuzz`). What breaks a reader is left in fuzz/artifacts.
set -eu
cd "$(dirname "$0")/.."
reader=${1:?a reader}
seconds=${2:-600}
seeds=fuzz/corpus/$reader
mkdir -p "$seeds"
target=text
case $reader in
hwloc-xml) find tests/data/hwloc-xml -name '*.xml' -size -200k -exec cp {} "$seeds" \; ;;
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
