#!/bin/sh
# Builds NVIDIA's own mock of NVML outside of this repository and holds nvtopo against it: its profiles and faults, and the
# profiles that `nvtopo convert --to mock-nvml` writes.
#
# Usage: scripts/mock-nvml.sh [NVTOPO [SOURCES]]
#
# NVTOPO is the command to check, nvtopo by default; SOURCES a checkout of https://github.com/NVIDIA/k8s-test-infra, which is
# cloned where it is left out. Needs Go, a C compiler and the network. Without them it says so and does nothing.
set -eu

nvtopo=$(command -v "${1:-nvtopo}") || { echo "skipped: ${1:-nvtopo} is missing"; exit 0; }
tests=$(cd "$(dirname "$0")/../tests/mock-nvml" && pwd)
for program in go cc git make python3; do
    command -v $program >/dev/null || { echo "skipped: $program is missing"; exit 0; }
done
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
sources=${2:-}
if [ -z "$sources" ]; then
    sources=$folder/sources
    git clone --quiet --depth 1 https://github.com/NVIDIA/k8s-test-infra "$sources" || { echo "skipped: no network"; exit 0; }
fi
cp -r "$sources/pkg/gpu/mocknvml" "$sources/pkg/gpu/mocknvml.build"
trap 'rm -rf "$sources/pkg/gpu/mocknvml.build"; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
GOFLAGS=-buildvcs=false make -C "$sources/pkg/gpu/mocknvml.build" NO_PADDING=1 >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
profiles=$sources/deployments/nvml-mock/helm/nvml-mock/profiles
python3 "$tests/written.py" "$sources/pkg/gpu/mocknvml.build" "$profiles" "$nvtopo"
python3 "$tests/check.py" "$sources/pkg/gpu/mocknvml.build" "$profiles" "$nvtopo"
