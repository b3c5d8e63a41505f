#!/bin/sh
# Scrapes a running nvtopod 200 times a second for some seconds (60), and prints its memory before and after.
# Fails where memory, threads or open files grow.
set -eu
cd "$(dirname "$0")/.."
NVTOPOD_SCRAPE_SECONDS="${1:-60}" exec cargo test --quiet --package nvtopo-serve --test main scrapes -- --nocapture
