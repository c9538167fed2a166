#!/usr/bin/env bash
# Fuzzes: scripts/fuzz.sh [seconds of each, 3600 unless told] [target...]. Fails where something is found; the inputs that did it stay in
# target/fuzz/artifacts. What was learned stays in target/fuzz/corpus, where the next run goes on; delete it to begin with fuzz/seeds alone.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-3600}
[ $# -eq 0 ] || shift
targets=("$@")
[ $# -gt 0 ] || targets=(index file codecs operations)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/fuzz

tools=$target/tools
if ! cargo fuzz --version >/dev/null 2>&1; then # a built one, from crates.io
  [ -x "$tools/bin/cargo-fuzz" ] || cargo install --quiet --locked --root "$tools" cargo-fuzz@0.13.2
  PATH=$tools/bin:$PATH
fi
# Sanitizers are for nightly compilers, and in the stable one behind this door.
export RUSTC_BOOTSTRAP=1
# As sharp, and twice as fast: less memory kept back after it was freed, shorter traces of where it came from.
export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=8:malloc_context_size=4:detect_leaks=0}
build=(--fuzz-dir fuzz --target-dir "$out" --sanitizer address)
cargo fuzz build "${build[@]}"

# An input that takes more than these is a finding. A read may hold more than the index does: what a block's bytes have earned.
limits() {
  case $1 in
    index) echo -max_len=4096 -malloc_limit_mb=64 ;;
    file) echo -max_len=128 -malloc_limit_mb=256 ;;
    codecs) echo -max_len=4096 -malloc_limit_mb=64 ;;
    operations) echo -max_len=91 -malloc_limit_mb=64 ;;
    *) echo "no target $1" >&2; return 2 ;;
  esac
}

summary=() found=0
for name in "${targets[@]}"; do
  options=$(limits "$name")
  mkdir -p "$out/corpus/$name" "$out/artifacts/$name"
  log=$out/$name.log
  echo "== $name: $seconds s, log in $log"
  # shellcheck disable=SC2086
  if cargo fuzz run "${build[@]}" "$name" "$out/corpus/$name" "fuzz/seeds/$name" -- $options \
    -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 \
    -dict=fuzz/array-format.dict -artifact_prefix="$out/artifacts/$name/" >"$log" 2>&1; then
    end="nothing found"
  else
    found=1 end="FOUND SOMETHING"
    grep -nE "panicked at|^==[0-9]+==ERROR|SUMMARY|Test unit written" -A2 "$log" | tail -n 30 || true
    tail -n 3 "$log"
  fi
  stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
  summary+=("$name: $(stat number_of_executed_units) executions, $(stat average_exec_per_sec) a second: $end")
done
echo "== fuzzing"
printf '%s\n' "${summary[@]}"
exit "$found"
