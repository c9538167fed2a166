#!/usr/bin/env bash
# The main job on real data, on the local disk: pack, list, read, change, look back, compact, verify.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet -p array-format-cli
af="${CARGO_TARGET_DIR:-target}/debug/af"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
file="$out/ocean.af"
run() { printf '\n$ af %s\n' "${*//$out\//}"; "$af" "$@"; }

mapfile -t sources < <(find data -name '*.nc' | sort)
run import "$file" "${sources[@]}"
run ls "$file" atlantic_profiles
run info "$file" ostia_monthly/surface_temperature
run cat "$file" atlantic_profiles/theta '0:3, 2, 0:8'
run set "$file" atlantic_profiles/theta '0, 2, 0:2' 12.5 -m 'recalibrated'
run cat "$file" atlantic_profiles/theta '0, 2, 0:4'
run cat "$file" atlantic_profiles/theta '0, 2, 0:4' --version 1
run log "$file" --changes
run stats "$file" atlantic_profiles/theta
run compact "$file"
run verify "$file" --statistics
ls -l "$out"
