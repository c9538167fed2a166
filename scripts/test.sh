#!/usr/bin/env bash
# Runs every test of the project, or only the stages that are named: scripts/test.sh lint test
# Needs a Rust toolchain and Python 3.11; installs the rest below .venv and target.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

fmt() {
  cargo fmt --all --check
  local crate
  for crate in fuzz benchmarks benchmarks/small benchmarks/stores; do cargo fmt --check --manifest-path "$crate/Cargo.toml"; done
}
lint() { cargo clippy --locked --workspace --all-targets -- -D warnings; }
doc() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps; }
deny() { scripts/deny.sh; }
wasm() { scripts/wasm-check.sh; }

instructions() { scripts/instructions.sh; }

# Of the whole workspace, as all that is built for tests: of one package, shared crates have other features and are compiled again.
built() { cargo build --locked --workspace --bins --examples; }

examples() { # each of them is registered under the name of its file
  local file
  built
  for file in examples/*.rs; do
    echo "-- $file"
    "$target/debug/examples/$(basename "$file" .rs)"
  done
}

python() { # the reader written from docs/format.md alone; `af import` against netCDF4-python
  scripts/python-env.sh
  built
  AF="$target/debug/af" AF_DUMP="$target/debug/examples/dump_source" .venv/bin/python -m pytest -q -n 2 tests/python_reader tests/roundtrip
}

package() { # the Python package, as it is installed, and its example
  scripts/python-package.sh
  .venv/bin/python examples/sea_surface.py "$target/sea_surface.png"
}

servers() { # object stores and web servers on the loopback
  # Of the others, those that do again on servers what they do on disk.
  scripts/servers.sh bash -euo pipefail -c '
    scripts/python-package.sh bash -c "cd python && python -m pytest tests/test_s3.py"
    cargo test --locked --workspace --test servers --test stores
    cargo test --locked --workspace --test never --test torture -- helps_to_keep lost_on
  '
}

# Only where it is named: builds with a sanitizer double the time of all the others.
fuzz() { scripts/fuzz.sh 20; }

# Last, so that the summaries end the output.
tests() {
  # The test of the order of system calls skips itself, and says so, where it is missing.
  command -v strace >/dev/null || { [ "$(id -u)" = 0 ] && apt-get install -qq -y strace >/dev/null 2>&1; } || true
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace --no-fail-fast
    cargo test --locked --workspace --doc
  else
    cargo test --locked --workspace --no-fail-fast
  fi
}

stages=("$@")
[ $# -gt 0 ] || stages=(fmt lint doc deny wasm instructions examples python package servers tests)
trap '[ $? = 0 ] || echo "== $stage failed"' EXIT
for stage in "${stages[@]}"; do
  case $stage in fmt | lint | doc | deny | wasm | instructions | examples | python | package | servers | tests | fuzz) ;; *) echo "no stage $stage" >&2; exit 2 ;; esac
  echo "== $stage"
  start=$SECONDS
  "$stage"
  echo "== $stage: $((SECONDS - start)) s"
done
