#!/usr/bin/env bash
# The long form of the harnesses in crates/array-format-torture, built in release, on the disk of the target directory:
# - kills: a process that commits, compacts, collects, tags and joins is killed with SIGKILL at random moments (AF_KILLS, 500 times). After each
#   kill nothing acknowledged may be missing, every version must be whole, and the next commit must work.
# - writers: 2 and 4, threads and processes, make AF_COMMITS (200) commits each on one file, with disjoint and with overlapping changes, beside
#   readers that check each version and a process that compacts and collects.
# An argument is a filter for the names of tests: scripts/torture.sh killed
set -euo pipefail
cd "$(dirname "$0")/.."
export AF_KILLS=${AF_KILLS:-500} AF_COMMITS=${AF_COMMITS:-200}
# One test after the other: each has the disk and the cores for itself.
exec cargo test --locked --release -p array-format-torture --test torture -- --nocapture --test-threads=1 "$@"
