#!/bin/sh
# Runs the tests in C under sanitizers: what they do with the library's memory and threads. The library itself is built without;
# AddressSanitizer sees its allocations all the same, and helgrind what its threads touch. ThreadSanitizer would not see how the
# library's threads wait for each other.
#
#     sh scripts/sanitize-c.sh [FOLDER]     FOLDER: what cargo has built; else it is built here
set -eu
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then
    built=$1
else
    cargo build --quiet --package nvtopo-capi
    built=${CARGO_TARGET_DIR:-target}/debug
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh scripts/install-c.sh --built "$built" "$work" >/dev/null

compile() {
    # shellcheck disable=SC2086
    gcc -std=c11 -g -pthread $2 -I"$work/include" "$1" -L"$work/lib" -lnvtopo -Wl,-rpath,"$work/lib" -o "$work/program"
}

for file in tests/capi/*.c; do
    name=$(basename "$file" .c)
    # A child of a process with threads is not what sanitizers follow.
    [ "$name" != fork ] || continue
    compile "$file" '-fsanitize=address,undefined -fno-sanitize-recover=all'
    "$work/program" || { echo "$name fails under AddressSanitizer or UndefinedBehaviorSanitizer" >&2; exit 1; }
    # Discovery has threads of its own, which wait for each other by futexes: helgrind does not follow these.
    case $name in
        snapshot | topology)
            echo "$name passes, without helgrind"
            continue
            ;;
    esac
    compile "$file" ''
    valgrind --tool=helgrind --quiet --error-exitcode=99 "$work/program" || { echo "$name fails under helgrind" >&2; exit 1; }
    echo "$name passes"
done
