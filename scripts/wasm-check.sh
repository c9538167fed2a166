#!/usr/bin/env bash
# Builds array-format-core for wasm32-unknown-unknown: the decoding core must reach the browser.
# Uses the toolchain's own target if it has one, else Debian's compiler, which builds the standard library too.
set -euo pipefail
cd "$(dirname "$0")/.."

build=(build --locked --release -p array-format-core --target wasm32-unknown-unknown)
if [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown)" ]; then
  exec cargo "${build[@]}"
fi

packages=(rustc-web cargo-web rust-web-src lld)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "skipped: no wasm32 target here, and only root on Debian can install ${packages[*]}"
    exit 0
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/wasm-ld
exec /usr/bin/cargo "${build[@]}" -Zbuild-std=std,panic_abort --target-dir "${CARGO_TARGET_DIR:-target}/wasm"
