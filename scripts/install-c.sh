#!/bin/sh
# Builds the C library and installs it: the header with that for C++, both libraries with the links that the linker and the loader look for,
# nvtopo.pc for pkg-config, a package for CMake, and the manual page nvtopo(3). Needs cargo and the linker that cargo needs.
#
#     sh scripts/install-c.sh PREFIX
#     sh scripts/install-c.sh --built FOLDER PREFIX     what cargo has built there, without building: for root, or a package
#
# DESTDIR, where set, stands before PREFIX in all paths but those in the installed files. LIBDIR, where set, stands in place
# of PREFIX/lib, and MANDIR in place of PREFIX/share/man. LD, OBJCOPY and AR are the tools for another target than this.
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
mandir=$(absolute "${MANDIR:-$prefix/share/man}")
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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The archive that cargo makes defines all symbols of Rust's standard library, which would clash with those of another
# archive from Rust. Here is one object, whose other symbols are local. The bitcode of the standard library goes: tools
# would take it for the object.
sed -n 's/^[a-z][a-z0-9_ ]*[ *]\(nvtopo_[a-z0-9_]*\)(.*/\1/p' include/nvtopo.h >"$work/functions"
[ -s "$work/functions" ] || fail "include/nvtopo.h declares no function"
# shellcheck disable=SC2046
"${LD:-ld}" -r -S --gc-sections $(sed 's/^/-u /' "$work/functions") -o "$work/all.o" "$built/libnvtopo.a"
"${OBJCOPY:-objcopy}" --keep-global-symbols="$work/functions" --remove-section=.llvmbc --remove-section=.llvmcmd \
    "$work/all.o" "$work/nvtopo.o"
rm "$work/all.o"
"${AR:-ar}" crs "$work/libnvtopo.a" "$work/nvtopo.o"

system_libraries='-lgcc_s -lutil -lrt -lpthread -lm -ldl'
cat >"$work/nvtopo.pc" <<END
prefix=$(escaped "$prefix")
includedir=\${prefix}/include
libdir=$(escaped "$libdir")

Name: nvtopo
Description: The GPUs, NVLinks, PCIe, NUMA nodes, CPUs and NICs of a server, and the best GPUs for a job
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lnvtopo
Libs.private: $system_libraries
END

# CMake's package is found from where it lies, so that a folder can be moved as a whole.
case $libdir in
    "$prefix"/*) include="\${nvtopo_libdir}/$(printf '%s' "${libdir#"$prefix"/}" | sed 's/[^/][^/]*/../g')/include" ;;
    *) include=$prefix/include ;;
esac
cat >"$work/nvtopo-config.cmake" <<END
# nvtopo::nvtopo is the shared library, nvtopo::static the archive. find_package(nvtopo $version) sets nothing else.
get_filename_component(nvtopo_libdir "\${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
get_filename_component(nvtopo_includedir "$include" ABSOLUTE)
if(NOT TARGET nvtopo::nvtopo)
    add_library(nvtopo::nvtopo SHARED IMPORTED)
    set_target_properties(nvtopo::nvtopo PROPERTIES
        IMPORTED_LOCATION "\${nvtopo_libdir}/libnvtopo.so.$version"
        IMPORTED_SONAME "$soname"
        INTERFACE_INCLUDE_DIRECTORIES "\${nvtopo_includedir}")
    add_library(nvtopo::static STATIC IMPORTED)
    set_target_properties(nvtopo::static PROPERTIES
        IMPORTED_LOCATION "\${nvtopo_libdir}/libnvtopo.a"
        INTERFACE_INCLUDE_DIRECTORIES "\${nvtopo_includedir}"
        INTERFACE_LINK_LIBRARIES "$(echo "$system_libraries" | sed 's/ /;/g')")
endif()
unset(nvtopo_libdir)
unset(nvtopo_includedir)
END

# What the SONAME promises: before 1.0, programs for 0.1 run with 0.1.x.
series=${version%.*}
cat >"$work/nvtopo-config-version.cmake" <<END
set(PACKAGE_VERSION "$version")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION OR PACKAGE_FIND_VERSION VERSION_LESS "$series")
    set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
    if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
        set(PACKAGE_VERSION_EXACT TRUE)
    endif()
endif()
END

install -d "$root$prefix/include" "$root$libdir/pkgconfig" "$root$libdir/cmake/nvtopo" "$root$mandir/man3"
install -m 644 include/nvtopo.h include/nvtopo.hpp "$root$prefix/include"
install -m 644 "$work/libnvtopo.a" "$root$libdir/libnvtopo.a"
install -m 755 "$built/libnvtopo.so" "$root$libdir/libnvtopo.so.$version"
# Programs look for the name with the number when they start, linkers for the one without.
ln -sf "libnvtopo.so.$version" "$root$libdir/$soname"
ln -sf "$soname" "$root$libdir/libnvtopo.so"
install -m 644 "$work/nvtopo.pc" "$root$libdir/pkgconfig/nvtopo.pc"
install -m 644 "$work/nvtopo-config.cmake" "$work/nvtopo-config-version.cmake" "$root$libdir/cmake/nvtopo"
install -m 644 docs/man/nvtopo.3 "$root$mandir/man3/nvtopo.3"
echo "installed nvtopo $version into $root$prefix; flags: PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs nvtopo"
