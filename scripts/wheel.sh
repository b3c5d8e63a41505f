#!/bin/sh
# Builds a wheel for older systems (manylinux_2_28: glibc 2.28 or later, as RHEL 8 and Debian 10 have it) on any newer one:
# zig links against the older symbols. Safe to repeat.
#
# Usage: sh scripts/wheel.sh [DIRECTORY FOR THE WHEEL]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
wheels=${1:-$root/target/wheels/manylinux}
environment=$root/target/wheel-venv
policy=manylinux_2_28

[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' ziglang
mkdir -p "$wheels"
rm -f "$wheels"/nvtopo-*.whl
# maturin finds zig by the environment's python.
(cd "$root/nvtopo-py" && PATH="$environment/bin:$PATH" maturin build --release --zig --compatibility "$policy" --out "$wheels")
for wheel in "$wheels"/nvtopo-*.whl; do
    case $wheel in
    *"$policy"*) echo "$wheel" ;;
    *)
        echo "$wheel is not for $policy" >&2
        exit 1
        ;;
    esac
done
