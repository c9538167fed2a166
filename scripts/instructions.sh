#!/usr/bin/env bash
# Counts the instructions of small hot operations and compares them with benchmarks/small/expected.tsv.
#   scripts/instructions.sh             fails where an operation takes a tenth more than expected
#   scripts/instructions.sh --update    writes what it counts into the table, after a change that is meant to
# Needs valgrind: installed where that is allowed; else the script says that it counted nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
crate=benchmarks/small
expected=$crate/expected.tsv
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

if ! command -v valgrind >/dev/null; then
  [ "$(id -u)" = 0 ] && { apt-get update -qq && apt-get install -qq -y valgrind; } >/dev/null 2>&1 || true
  command -v valgrind >/dev/null || { echo "SKIPPED: no instruction was counted: valgrind is missing and can't be installed"; exit 0; }
fi

cargo build --quiet --release --locked --manifest-path $crate/Cargo.toml
program=$CARGO_TARGET_DIR/release/array-format-small-operations
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# One thread decodes and encodes: what waiting threads do to pass the time is no work of ours.
count() { # CASE N: the instructions of the whole program
  RAYON_NUM_THREADS=1 valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "$program" "$1" "$2" 2>"$scratch/log" \
    || { cat "$scratch/log" >&2; exit 1; }
  sed -n 's/.*I *refs: *//p' "$scratch/log" | tr -d ,
}

each() { # CASE N: the instructions of one operation
  local once twice
  once=$(count "$1" "$2")
  twice=$(count "$1" $((2 * $2)))
  echo $(((twice - once) / $2))
}

while IFS=$'\t' read -r name n; do
  least=$(each "$name" "$n")
  # Hash tables are seeded anew in every run, so that one run can be unlucky.
  for _ in 1 2 3 4; do
    limit=$(awk -F'\t' -v name="$name" '$1 == name { print int($2 * 1.1) }' $expected)
    [ "$least" -gt "${limit:-$least}" ] || break
    again=$(each "$name" "$n")
    least=$((again < least ? again : least))
  done
  printf '%s\t%d\n' "$name" "$least"
done < <("$program") >"$scratch/counted.tsv"

if [ "${1:-}" = --update ]; then
  cp "$scratch/counted.tsv" $expected
  cat $expected
  exit
fi

awk -F'\t' '
  NR == FNR { expected[$1] = $2; next }
  !($1 in expected) { printf "%-20s %12d  not in the table: scripts/instructions.sh --update\n", $1, $2; bad = 1; next }
  {
    ratio = $2 / expected[$1]
    remark = ratio > 1.1 ? "MORE: a regression, or run --update and say why in the commit" : ratio < 0.9 ? "less: run --update, to hold it" : ""
    printf "%-20s %12d  %.3f of %d  %s\n", $1, $2, ratio, expected[$1], remark
    if (ratio > 1.1) bad = 1
    delete expected[$1]
  }
  END {
    for (name in expected) { printf "%s is in the table and was not counted\n", name; bad = 1 }
    exit bad
  }
' $expected "$scratch/counted.tsv"
