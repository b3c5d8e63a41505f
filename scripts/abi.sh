#!/bin/sh
# Compares the C library of this checkout with that of another commit by abidiff: functions that left or changed, structs and
# enums that changed. Fails where programs that were built with the other one would break. Functions that are new are told.
#
#     sh scripts/abi.sh [BASE]                                   a commit; main unless it is said
#     sh scripts/abi.sh --built OLD OLD_HEADERS NEW              two libraries that are built already
set -eu
cd "$(dirname "$0")/.."
command -v abidiff >/dev/null || { echo "abi.sh: there is no abidiff: on Debian it is in abigail-tools" >&2; exit 2; }
work=$(mktemp -d)
if [ "${1-}" = --built ]; then
    old=$2 old_headers=$3 new=$4
    trap 'rm -rf "$work"' EXIT
else
    base=${1:-main}
    trap 'git worktree remove --force "$work/base" 2>/dev/null; rm -rf "$work"' EXIT
    git worktree add --quiet --detach "$work/base" "$base"
    # Line tables say nothing of types.
    export CARGO_PROFILE_DEV_DEBUG=2
    cargo build --quiet --package nvtopo-capi --target-dir target/abi
    (cd "$work/base" && cargo build --quiet --package nvtopo-capi --target-dir "$OLDPWD/target/abi-base")
    old=target/abi-base/debug/libnvtopo.so old_headers=$work/base/include new=target/abi/debug/libnvtopo.so
fi
code=0
abidiff --headers-dir1 "$old_headers" --headers-dir2 include --drop-private-types "$old" "$new" || code=$?
# abidiff's bits: 1 and 2 are its own errors, 4 a change, 8 one that breaks programs.
if [ $((code & 3)) -ne 0 ]; then
    echo "abi.sh: abidiff failed" >&2
    exit 2
elif [ $((code & 8)) -ne 0 ]; then
    echo "abi.sh: programs that were built before would break: see the SONAME in nvtopo-capi/build.rs" >&2
    exit 1
fi
