#!/bin/sh
# Tests the Python package as users get it: builds the wheel, installs it into a virtual environment of its own, and
# runs pytest, mypy's stub test and mypy on the example there. Safe to repeat.
#
# Usage: tests/python/run.sh [DIRECTORY OF THE ENVIRONMENT] [ARGUMENTS FOR PYTEST …]
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
environment=${1:-$root/target/python-venv}
[ $# -eq 0 ] || shift
wheels=$root/target/wheels
say() { printf '== %s\n' "$*"; }

if [ ! -x "$environment/bin/python" ]; then
    say "making the environment $environment"
    python3 -m venv "$environment"
fi
environment=$(cd "$environment" && pwd)
python=$environment/bin/python

say "installing maturin, pytest, mypy, numpy, jsonschema and the solver of integer programs HiGHS"
"$python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' pytest mypy numpy jsonschema \
    types-jsonschema 'highspy>=1.7,<2'

say "building the wheel in $wheels"
rm -f "$wheels"/nvtopo-*.whl
(cd "$root/nvtopo-py" && "$environment/bin/maturin" build --release --interpreter "$python" --out "$wheels")

say "installing the wheel"
"$python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheels"/nvtopo-*.whl

cd "$root/tests/python"
export NVTOPO_WHEELS="$wheels"
say "pytest"
"$python" -m pytest -q -p no:cacheprovider "$@" .
# Not from the source tree, whose package has no extension module.
say "stubs against the module"
(cd "$environment" && "$python" -m mypy.stubtest nvtopo)
say "types of the example and of the tests"
"$python" -m mypy --strict --cache-dir "$root/target/mypy" "$root/examples/python" "$root/tests/python"
say "done"
