#!/bin/sh
# Prints the sizes in MB of the command and the C libraries that cargo has built for release, as they are installed.
set -eu
cd "$(dirname "$0")/.."
built=${CARGO_TARGET_DIR:-target}/release
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
sh scripts/install-c.sh --built "$built" "$stage" >/dev/null
for file in "$built/nvtopo" "$stage"/lib/libnvtopo.so.*.* "$built/libnvtopo.a" "$stage/lib/libnvtopo.a"; do
    case $file in
        "$built/libnvtopo.a") name='libnvtopo.a of cargo' ;;
        *) name=$(basename "$file") ;;
    esac
    wc -c <"$file" | awk -v name="$name" '{ printf "%-24s %6.1f MB\n", name, $1 / 1e6 }'
done
