#!/bin/sh
# Builds the C library and installs it: the header, both libraries with the links that the linker and the loader look for,
# and nvtopo.pc for pkg-config.
#
#     sh scripts/install-c.sh PREFIX
#     sh scripts/install-c.sh --built FOLDER PREFIX     what cargo has built there, without building: for root, or a package
#
# DESTDIR, where set, stands before PREFIX in all paths but those in nvtopo.pc. LIBDIR, where set, stands in place of
# PREFIX/lib.
set -eu

fail() {
    echo "install-c.sh: $1" >&2
    exit 2
}
usage='usage: sh scripts/install-c.sh [--built FOLDER] PREFIX'

built=
prefix=
while [ $# -gt 0 ]; do
    case $1 in
        --built)
            [ $# -ge 2 ] || fail "$usage"
            built=$2
            shift
            ;;
        --built=*) built=${1#*=} ;;
        -h | --help)
            echo "$usage"
            exit 0
            ;;
        -*) fail "unknown option $1; $usage" ;;
        *)
            [ -z "$prefix" ] || fail "$usage"
            prefix=$1
            ;;
    esac
    shift
done
[ -n "$prefix" ] || fail "$usage"

# nvtopo.pc is read from anywhere.
here=$PWD
absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s\n' "$here/$1" ;;
    esac
}
prefix=$(absolute "$prefix")
prefix=${prefix%/}
libdir=$(absolute "${LIBDIR:-$prefix/lib}")
[ -z "$built" ] || built=$(absolute "$built")
root=${DESTDIR:+$(absolute "$DESTDIR")}

cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)
soname=$(sed -n 's/.*-soname,\(libnvtopo\.so\.[0-9]*\)".*/\1/p' nvtopo-capi/build.rs)
[ -n "$version" ] && [ -n "$soname" ] || fail "the version is not where it was: see Cargo.toml and nvtopo-capi/build.rs"

if [ -z "$built" ]; then
    # Cargo says where it puts things, by whichever configuration.
    told=$(cargo build --release --package nvtopo-capi --message-format json-render-diagnostics)
    built=$(printf '%s\n' "$told" | sed -n 's/.*"\([^"]*\)\/libnvtopo\.so".*/\1/p' | head -n 1)
    [ -n "$built" ] || fail "cargo built no libnvtopo.so: only Linux has one"
fi
for library in libnvtopo.so libnvtopo.a; do
    [ -f "$built/$library" ] || fail "there is no $library in $built: cargo build --release --package nvtopo-capi makes it"
done

# pkg-config wants spaces and backslashes escaped.
escaped() {
    printf '%s\n' "$1" | sed 's/[\\ ]/\\&/g'
}
pc=$(mktemp)
trap 'rm -f "$pc"' EXIT
cat >"$pc" <<END
prefix=$(escaped "$prefix")
includedir=\${prefix}/include
libdir=$(escaped "$libdir")

Name: nvtopo
Description: The GPUs, NVLinks, PCIe, NUMA nodes, CPUs and NICs of a server, and the best GPUs for a job
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lnvtopo
Libs.private: -lgcc_s -lutil -lrt -lpthread -lm -ldl
END

install -d "$root$prefix/include" "$root$libdir/pkgconfig"
install -m 644 include/nvtopo.h "$root$prefix/include/nvtopo.h"
install -m 644 "$built/libnvtopo.a" "$root$libdir/libnvtopo.a"
install -m 755 "$built/libnvtopo.so" "$root$libdir/libnvtopo.so.$version"
# Programs look for the name with the number when they start, linkers for the one without.
ln -sf "libnvtopo.so.$version" "$root$libdir/$soname"
ln -sf "$soname" "$root$libdir/libnvtopo.so"
install -m 644 "$pc" "$root$libdir/pkgconfig/nvtopo.pc"
echo "installed nvtopo $version into $root$prefix; flags: PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs nvtopo"
