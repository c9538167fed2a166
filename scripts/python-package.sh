#!/usr/bin/env bash
# Builds the Python package, installs it into ./.venv, and runs its tests there, or what is named: scripts/python-package.sh python -m pytest python/tests/test_xarray.py
# AF_PYTHON_PROFILE=release: as users get it; otherwise with the code that the tests of Rust have built.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/python-env.sh
profile=${AF_PYTHON_PROFILE:-dev}
wheels=${CARGO_TARGET_DIR:-target}/wheels/$profile
rm -rf "$wheels"
features=()
[ "$profile" = release ] || features=(--features as-tested)
.venv/bin/maturin build --quiet --locked --profile "$profile" "${features[@]}" --interpreter .venv/bin/python --manifest-path python/Cargo.toml --out "$wheels"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheels"/*.whl
export PATH=$PWD/.venv/bin:$PATH
[ $# -gt 0 ] || set -- bash -euo pipefail -c 'cd python && python -m mypy && python -m pytest -n 2 --dist loadfile'
"$@"
