#!/usr/bin/env bash
# Runs peers.py, or with --world first world.py, with this package and those of requirements.txt, in a virtual environment below target/ that is
# made when it is missing or out of date. Other arguments go to the script. PYTHON names another interpreter than python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
wanted=$here/requirements.txt

version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))') || {
  echo "error: $python does not run; install Python 3.11 or later, or name one in PYTHON" >&2
  exit 1
}
environment=$here/../../target/venv-peers-$version
if ! cmp -s "$wanted" "$environment/installed.txt"; then
  "$python" -m venv "$environment" || {
    echo "error: $python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2
    exit 1
  }
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
  cp "$wanted" "$environment/installed.txt" # last: an interrupted run starts over
fi
(cd "$here/../.." && "$environment/bin/maturin" build --quiet --locked --release --interpreter "$environment/bin/python" --manifest-path python/Cargo.toml --out target/wheels/release)
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$here"/../../target/wheels/release/*.whl
script=peers.py
if [ "${1:-}" = --world ]; then
  script=world.py
  shift
fi
exec "$environment/bin/python" "$here/$script" "$@"
