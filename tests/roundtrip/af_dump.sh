#!/usr/bin/env bash
# Imports a file, compacts, and dumps what is in the result: af_dump.sh SOURCE [ignored]. AF names the command.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
code=0
"$AF" import "$folder/a.af" "$1" >/dev/null || code=$?
[ "$code" = 0 ] || [ "$code" = 3 ] # 3: something was left out, and said so
"$AF" compact "$folder/a.af" >/dev/null
"$AF" verify --statistics "$folder/a.af" >/dev/null
"$AF" dump "$folder/a.af"
