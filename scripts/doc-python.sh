#!/bin/sh
# Writes the pages of the Python package to target/doc/python with pdoc: of the wheel that tests/python/run.sh has installed,
# or else of one that is built here. Safe to repeat.
#
# Usage: sh scripts/doc-python.sh [DIRECTORY OF THE ENVIRONMENT]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
environment=${1:-$root/target/python-venv}
python=$environment/bin/python

[ -x "$python" ] || python3 -m venv "$environment"
"$python" -m pip install --quiet --disable-pip-version-check 'pdoc>=15,<17'
if ! "$python" -c 'import nvtopo' 2>/dev/null; then
    "$python" -m pip install --quiet --disable-pip-version-check "$root/nvtopo-py"
fi
pages=$root/target/doc/python
rm -rf "$pages"
# Not from the source tree, whose package has no extension module.
cd "$environment"
"$python" -W error::UserWarning -m pdoc --docformat markdown -o "$pages" nvtopo nvtopo.k8s nvtopo.launch
# A page with all names, or pdoc has not read the module.
"$python" - "$pages" <<'END'
import pathlib
import sys

import nvtopo

page = (pathlib.Path(sys.argv[1]) / "nvtopo.html").read_text()
missing = [name for name in nvtopo.__all__ if not name.startswith("_") and f'id="{name}"' not in page]
if missing:
    sys.exit(f"the pages lack {', '.join(missing)}")
END
echo "$pages/nvtopo.html"
