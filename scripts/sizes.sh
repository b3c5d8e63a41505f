#!/bin/sh
# Prints the sizes in MB of the command, the wheel and the C libraries that cargo has built for release, as they are installed,
# beside those before formats, pictures, audit and reports came.
#
# Why they grew: the core reads and writes the formats of other programs and compares machines; pictures need resvg and its
# fonts; the command and the wheel have audits, reports, drills, validation and Kubernetes objects besides. The wheel holds the
# command and the extension module.
set -eu
cd "$(dirname "$0")/.."
built=${CARGO_TARGET_DIR:-target}/release
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
sh scripts/install-c.sh --built "$built" "$stage" >/dev/null
line() {
    wc -c <"$2" | awk -v name="$1" -v before="$3" '{ printf "%-24s %6.1f MB, before %4.1f MB\n", name, $1 / 1e6, before }'
}
line nvtopo "$built/nvtopo" 5.9
for wheel in "${CARGO_TARGET_DIR:-target}"/wheels/*.whl; do
    [ ! -e "$wheel" ] || line wheel "$wheel" 3.4
done
line libnvtopo.so "$(echo "$stage"/lib/libnvtopo.so.*.*)" 5.3
line libnvtopo.a "$stage/lib/libnvtopo.a" 17.8
