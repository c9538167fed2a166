#!/usr/bin/env bash
# Makes ./.venv with the pinned Python packages that the tests need (tests/requirements.txt). Does nothing if it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=tests/requirements.txt
if [ -x .venv/bin/python ] && cmp -s "$wanted" .venv/installed.txt; then
  echo "python environment: .venv (up to date)"
  exit 0
fi

python=
for candidate in python3.11 python3; do
  if command -v "$candidate" >/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || { echo "error: no python3 here; install Python 3.11 or later" >&2; exit 1; }

"$python" -m venv .venv || {
  echo "error: $python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2
  exit 1
}
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
cp "$wanted" .venv/installed.txt # last: an interrupted run starts over
echo "python environment: .venv"
