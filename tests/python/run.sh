#!/bin/sh
# Tests the Python package as users get it: builds the wheel, installs it into a virtual environment of its own, and
# runs pytest, mypy's stub test and mypy on the example there. Safe to repeat.
#
# Usage: tests/python/run.sh [DIRECTORY OF THE ENVIRONMENT] [ARGUMENTS FOR PYTEST …]
#
# PYTHON names the interpreter that is tested, python3 unless told. For one without the interpreter's lock (python3.14t)
# there is neither HiGHS nor mypy nor kubernetes-validate, so what needs them is left out.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
environment=${1:-$root/target/python-venv}
[ $# -eq 0 ] || shift
interpreter=${PYTHON:-python3}
free_threaded=$("$interpreter" -c 'import sysconfig; print(sysconfig.get_config_var("Py_GIL_DISABLED") or 0)')
wheels=$root/target/wheels
say() { printf '== %s\n' "$*"; }

if [ ! -x "$environment/bin/python" ]; then
    say "making the environment $environment"
    "$interpreter" -m venv "$environment"
fi
environment=$(cd "$environment" && pwd)
python=$environment/bin/python

if [ "$free_threaded" = 1 ]; then
    wheels=$wheels/free-threaded
    say "installing maturin, pytest, numpy and jsonschema"
    # Later versions of jsonschema need a module that switches the lock on.
    "$python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' pytest numpy 'jsonschema<4.18'
    set -- --ignore test_integer_program.py --ignore test_kubernetes.py "$@"
else
    say "installing maturin, pytest, mypy, numpy, jsonschema, Kubernetes' schemas and the solver of integer programs HiGHS"
    "$python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' pytest mypy numpy jsonschema \
        types-jsonschema 'highspy>=1.7,<2' 'kubernetes-validate>=1.37' pyyaml types-PyYAML
fi

say "building the wheel in $wheels"
rm -f "$wheels"/nvtopo-*.whl
(cd "$root/nvtopo-py" && "$environment/bin/maturin" build --release --interpreter "$python" --out "$wheels")

say "installing the wheel"
"$python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheels"/nvtopo-*.whl

cd "$root/tests/python"
export NVTOPO_WHEELS="$wheels"
say "pytest"
"$python" -m pytest -q -p no:cacheprovider "$@" .
if [ "$free_threaded" = 1 ]; then
    say "done"
    exit
fi
# Not from the source tree, whose package has no extension module.
say "stubs against the module"
(cd "$environment" && "$python" -m mypy.stubtest nvtopo)
say "types of the example and of the tests"
"$python" -m mypy --strict --cache-dir "$root/target/mypy" "$root/examples/python" "$root/tests/python"
say "done"
