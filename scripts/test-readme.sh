#!/bin/sh
# Runs every block of the README in order, as a reader would who has just installed Debian: in a new system that has a Rust
# toolchain and the packages that the README asks for, and a copy of the repository in which nothing is built. Then builds C
# programs by pkg-config and by CMake against the installed library, without the toolchain.
#
#     sh scripts/test-readme.sh [--all] [FOLDER]
#
# Needs root, debootstrap, a Rust toolchain and the network. FOLDER (target/debian) holds the system; it is made where it is
# missing, and used again. The block that runs all tests takes long and is left out without --all. Blocks below
# `<!-- test: hardware -->` run with a preset, stand-ins for launchers, and nothing bound. CARGO_PROFILE_… and CARGO_BUILD_…
# hold there too: CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off makes it quick.
set -eu

cd "$(dirname "$0")/.."
all=
[ "${1-}" != --all ] || { all=1; shift; }
folder=${1:-$PWD/target/debian}
packages=$(sed -n 's/.*`apt-get install \([^`]*\)`.*/\1/p' README.md)
[ -n "$packages" ] || { echo "the README names no packages" >&2; exit 2; }

if [ ! -e "$folder/etc/debian_version" ]; then
    debootstrap --variant=minbase --include=ca-certificates bookworm "$folder"
fi
# By apt, as the reader does: it takes what they recommend too, such as the headers of C for gcc.
# shellcheck disable=SC2086
chroot "$folder" apt-get install -y -qq $packages >/dev/null

# The toolchain as rustup would install it, and how this machine reaches the network.
toolchain=$(rustc --print sysroot)
mkdir -p "$folder/opt/rust" "$folder/etc/ssl/certs" "$folder/srv"
cp -a "$toolchain/bin" "$toolchain/lib" "$folder/opt/rust/"
cp -L /etc/resolv.conf "$folder/etc/resolv.conf"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
passed=$(env | grep -iE '^(https?_proxy|no_proxy|SSL_CERT_FILE|PIP_CERT|CARGO_(PROFILE|BUILD)_[A-Z_]*)=' || true)

# A home and a repository in which nothing was built.
rm -rf "$folder/srv/home" "$folder/srv/nvtopo"
mkdir -p "$folder/srv/home" "$folder/srv/nvtopo"
git archive HEAD | tar -x -C "$folder/srv/nvtopo"

for file in proc sys dev; do
    mountpoint -q "$folder/$file" || mount --rbind "/$file" "$folder/$file"
    # What is unmounted there stays mounted here.
    mount --make-rslave "$folder/$file"
done
trap 'umount -R "$folder/proc" "$folder/sys" "$folder/dev" 2>/dev/null || umount -l "$folder/proc" "$folder/sys" "$folder/dev"' EXIT

python3 - "$folder/srv/nvtopo/README.md" "$folder/srv/blocks" <<'PYTHON'
import pathlib
import re
import sys

text = pathlib.Path(sys.argv[1]).read_text()
out = pathlib.Path(sys.argv[2])
out.mkdir(exist_ok=True)
for old in out.iterdir():
    old.unlink()
blocks = re.findall(r"^(?:<!-- test: ([a-z ]+) -->\n)?```(sh|console|python)\n(.*?)^```$", text, re.M | re.S)
assert blocks
for number, (marks, language, body) in enumerate(blocks):
    if language == "console":
        body = "".join(line[2:] + "\n" for line in body.splitlines() if line.startswith("$ "))
    if language == "python" and "hardware" in marks:
        stand_ins = "nvtopo.discover = lambda: nvtopo.preset('dgx-h100')\nnvtopo.bind = lambda place: None\n"
        body = "import nvtopo\n" + stand_ins + body
    suffix = "py" if language == "python" else "sh"
    # What needs the command comes after what installs it.
    order = 0 if "build" in marks else 1
    mark = "hardware" if "hardware" in marks else "plain"
    (out / f"{order}-{number:02}-{mark}.{suffix}").write_text(body)
PYTHON

run() {
    # shellcheck disable=SC2086
    chroot "$folder" env -i HOME=/srv/home PATH=/srv/home/.cargo/bin:/opt/rust/bin:/usr/local/bin:/usr/bin:/bin $passed "$@"
}

for block in "$folder"/srv/blocks/*; do
    name=${block##*/}
    script="cd /srv/nvtopo && exec"
    case $name in
        *hardware.sh)
            script="export NVTOPO_FROM=preset:dgx-h100 NVTOPO_DRY_RUN=1 NVTOPO_TRUST_TOPOLOGY=1
                mkdir -p /srv/home/stand-ins && cd /srv/home/stand-ins
                for name in torchrun srun; do ln -sf /srv/nvtopo/nvtopo-cli/tests/docs/programs/launcher \$name; done
                ln -sf /srv/nvtopo/nvtopo-cli/tests/docs/programs/python python
                export PATH=/srv/home/stand-ins:\$PATH; $script"
            ;;
    esac
    if [ -z "$all" ] && grep -q scripts/test.sh "$block"; then
        echo "== left out without --all: $(cat "$block")"
        continue
    fi
    echo "== $name"
    cat "$block"
    case $name in
        *.py) run /srv/home/nvtopo/bin/python "/srv/blocks/$name" ;;
        *) run sh -c "$script sh -e /srv/blocks/$name" ;;
    esac || { echo "== failed: $name" >&2; exit 1; }
done
echo "== every block of the README runs"

# The C library serves a machine that has no Rust: there a project outside the repository finds what was installed.
chroot "$folder" apt-get install -y -qq cmake pkg-config >/dev/null
rm -rf "$folder/srv/bare"
mkdir -p "$folder/srv/bare"
cp "$folder/srv/nvtopo/examples/c/place.c" "$folder/srv/bare/"
cat >"$folder/srv/bare/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.18)
project(bare C)
find_package(nvtopo 0.1 REQUIRED CONFIG)
foreach(kind nvtopo static)
    add_executable(place_${kind} place.c)
    target_link_libraries(place_${kind} PRIVATE nvtopo::${kind})
endforeach()
CMAKE
cat >"$folder/srv/bare/build.sh" <<'BUILD'
if command -v cargo || command -v rustc; then exit 1; fi
prefix=$HOME/.local
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
cc place.c $(pkg-config --cflags --libs nvtopo) -Wl,-rpath,"$prefix/lib" -o place_shared
cc place.c $(pkg-config --cflags nvtopo) "$prefix/lib/libnvtopo.a" $(pkg-config --static --libs nvtopo | sed 's/-lnvtopo//') -o place_static
cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build build >/dev/null
for program in ./place_shared ./place_static build/place_nvtopo build/place_static; do
    echo "$program: $($program 4 preset:dgx-h100 | head -1)"
done
BUILD
chroot "$folder" env -i HOME=/srv/home PATH=/usr/bin:/bin sh -ec 'cd /srv/bare && exec sh -e build.sh'
echo "== C programs build and run without Rust"
