#!/bin/sh
# Opens the pages of `nvtopo draw` and `nvtopo report` in Chromium, by Playwright: check.mjs says what is looked at. Skipped where no Chromium, node or
# npm is. The pictures of the screen, to be looked at, lie in target/browser/screens.
#
# Usage: tests/browser/run.sh COMMAND, the command nvtopo as built
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
nvtopo=$1
folder=$root/target/browser
chromium=
for name in chromium chromium-browser google-chrome; do
    [ -n "$chromium" ] || chromium=$(command -v "$name" || true)
done
for tool in node npm; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is not here (apt-get install nodejs npm)"; exit 0; }
done
[ -n "$chromium" ] || { echo "skipped: no Chromium is here (apt-get install chromium)"; exit 0; }

mkdir -p "$folder/pages"
rm -f "$folder"/pages/*
[ -d "$folder/node_modules/playwright-core" ] ||
    npm install --silent --no-save --prefix "$folder" 'playwright-core@^1.50'

draw() {
    name=$1
    shift
    for kind in html svg; do
        "$nvtopo" -q draw "$@" -o "$folder/pages/$name.$kind"
    done
}
for preset in dgx-1-v100 dgx-2 dgx-a100 dgx-h100 gh200 gb200-nvl72-tray l40s-8-pcie rtx-a6000-4-bridged; do
    draw "$preset" --from "preset:$preset"
done
draw chosen --from preset:dgx-1-v100 --gpus 3
draw damaged --from "$root/tests/data/topo-m/h100-8gpu-13nic-header-flush-left-cut.txt" --gpus 3
draw cpus-unknown --from "$root/tests/data/topo-m/topo-empty-affinities-spaces.txt"
draw hwloc --from "$root/tests/data/hwloc-xml/llnl-coral-lassen.xml" --gpus 3
for machine in rack irregular faults; do
    python3 "$root/tests/browser/machines.py" "$machine" >"$folder/pages/$machine.json"
    draw "$machine" --from "$folder/pages/$machine.json"
    "$nvtopo" -q report --from "$folder/pages/$machine.json" -o "$folder/pages/report-$machine.html"
done
"$nvtopo" -q baseline --from preset:dgx-h100 -o "$folder/accepted.json"
for preset in dgx-h100 dgx-2; do
    "$nvtopo" -q report --from "preset:$preset" --baseline "$folder/accepted.json" -o "$folder/pages/report-$preset.html"
done
"$nvtopo" -q report --from "$root/tests/data/audit/azurehpc-health-checks/bad_nvlink_status.txt" \
    -o "$folder/pages/report-nvlink-status.html"
node "$root/tests/browser/check.mjs" "$folder/node_modules/playwright-core/index.mjs" "$chromium" \
    "$folder/pages" "$folder/screens"
