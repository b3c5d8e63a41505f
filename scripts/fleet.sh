#!/bin/sh
# Makes a fleet of nodes (10,000, or the number given), reads it, and prints the time and the peak of memory.
set -eu
cd "$(dirname "$0")/.."
NVTOPO_FLEET_NODES="${1:-10000}" cargo test --release --package nvtopo-audit --test main \
    fleet::a_fleet_is_read_with_flat_memory -- --exact --nocapture | grep ' nodes in '
