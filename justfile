# The recipes of developers. `just check` is exactly what CI runs.

# Everything that must pass before a commit.
check: format lint test doc test-driver test-python

# Formatting.
format:
    cargo fmt --all --check

# Lints: no warning is left.
lint:
    cargo clippy --workspace --all-targets --all-features -- --deny warnings

# Tests in Rust, of the command, and of the C library from C and C++.
test:
    cargo test --workspace --all-features

# Documentation: no broken link.
doc:
    RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps --package nvtopo-core --all-features

# Holds the stand-in for NVIDIA's library against NVIDIA's own Python client, and nvtopo against both.
test-driver:
    cargo build --quiet --package nvtopo-cli --package fake-nvml
    python3 -m venv target/driver
    target/driver/bin/pip install --quiet 'nvidia-ml-py>=13,<14'
    target/driver/bin/python tests/fake-nvml/check.py target/debug

# Holds nvtopo against NVIDIA's own mock of NVML, and the profiles that nvtopo writes for it. Needs Go and the network, or a
# checkout of NVIDIA/k8s-test-infra.
test-mock *SOURCES:
    cargo build --quiet --package nvtopo-cli
    sh scripts/mock-nvml.sh target/debug/nvtopo {{SOURCES}}

# Builds the wheel, installs it into an environment of its own, and tests that.
test-python:
    sh tests/python/run.sh

# The same by an interpreter without the interpreter's lock, such as python3.14t.
test-free-threaded PYTHON:
    PYTHON={{PYTHON}} sh tests/python/run.sh target/free-threaded-venv

# Opens the pages of `nvtopo draw` and `nvtopo report` in a browser: clicks, keys, search, widths, where every text lies, and
# paper. Skipped where no Chromium is.
test-browser:
    cargo build --quiet --package nvtopo-cli
    sh tests/browser/run.sh target/debug/nvtopo

# Writes the pages of the Python package to target/doc/python.
doc-python:
    sh scripts/doc-python.sh

# Builds a wheel for older systems (manylinux_2_28), by zig.
wheel:
    sh scripts/wheel.sh

# Tries nvtopo under torchrun, DeepSpeed, accelerate, Open MPI, MPICH, Intel MPI, horovodrun, srun and Ray, as far as they
# can be installed. With --large, PyTorch too (5.5 GB). `just test-python` makes the wheel that Ray's test needs.
test-launchers *OPTIONS:
    cargo build --quiet --package nvtopo-cli
    python3 tests/launchers/check.py {{OPTIONS}} target/debug/nvtopo

# Placement, ranks and the device plugin's division beside brute force, loading, discovery beside hwloc, memory, size and
# start-up, each against its limit. Needs libhwloc-dev and libudev-dev.
bench:
    cargo bench --quiet --package nvtopo-simulate --bench placement --bench partition
    cargo bench --quiet --package nvtopo-draw --features png --bench draw
    cargo bench --quiet --package nvtopo-core --bench first --bench choose --bench ranks --bench load --bench memory
    cargo bench --quiet --package nvtopo-core --features hwloc --bench discover
    python3 scripts/place_and_show.py
    python3 scripts/footprint.py

# Runs every block of the README in a new Debian, which is made in target/debian. Needs root, debootstrap and the network;
# with --all, all tests run there too.
test-readme *OPTIONS:
    sh scripts/test-readme.sh {{OPTIONS}}

# Feeds one reader, or all writers (`written`), with changed inputs; scripts/fuzz.sh lists the readers. Needs nightly and
# cargo-fuzz.
fuzz READER SECONDS="600":
    sh scripts/fuzz.sh {{READER}} {{SECONDS}}

# Damages recorded texts at random for some seconds, and puts each through the readers, all writers, a comparison and a picture.
attack SECONDS="600":
    NVTOPO_ATTACK_SECONDS={{SECONDS}} cargo test --package nvtopo-core --all-features --test formats mutations -- --nocapture

# Changes the solver and the queries in one small way after another, and lists the changes that no test sees. All of them take
# days: name files or globs, such as nvtopo-core/src/query/nics.rs. Needs cargo-mutants.
mutants *FILES="nvtopo-core/src/solve/**/*.rs nvtopo-core/src/query/**/*.rs":
    cargo mutants --package nvtopo-core --output target {{prepend("--file '", append("'", FILES))}}

# Holds what nvtopo depends on against deny.toml: licenses, versions, where it comes from, known holes. Needs cargo-deny, and
# the network for the holes: `just deny licenses bans sources` leaves them out.
deny *CHECKS:
    cargo deny check {{CHECKS}}

# Writes again what is generated and committed: the C header, the JSON Schema, and the pictures of presets.
generate:
    NVTOPO_UPDATE=1 cargo test --quiet --package nvtopo-capi --test header
    NVTOPO_UPDATE=1 cargo test --quiet --package nvtopo-core --features schema --test integration schema
    NVTOPO_UPDATE=1 cargo test --quiet --package nvtopo-draw --test svg the_pictures_in_the_docs

# What the command and the C libraries weigh, as released.
sizes:
    cargo build --release --quiet --package nvtopo-cli --package nvtopo-capi
    sh scripts/sizes.sh

# The tests in C under AddressSanitizer with UndefinedBehaviorSanitizer, and under helgrind.
sanitize-c:
    sh scripts/sanitize-c.sh

# Compares the interface of the C library with that of another commit: a change that breaks programs fails. Needs abidiff.
abi BASE="main":
    sh scripts/abi.sh {{BASE}}
