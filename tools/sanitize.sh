#!/usr/bin/env bash
# Undefined behaviour, looked for by two tools of nightly Rust: miri interprets the tests of kernels, and an AddressSanitizer watches the
# tests of what decodes other people's bytes. `make fuzz` builds its targets with that sanitizer too.
# usage: sanitize.sh [miri] [address]    Needs nightly Rust with the components miri and rust-src.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
if ! "$cargo" +nightly miri --version >/dev/null 2>&1; then
  echo "sanitize: needs nightly Rust with miri: rustup toolchain install nightly --component miri,rust-src" >&2
  exit 1
fi
target_dir=$(tools/target_dir.sh)
[ $# -gt 0 ] || set -- miri address
for tool in "$@"; do
  case $tool in
    miri)
      # Interpreted code takes hundreds of times as long: few cases of each property, and those left out whose arrays are large on
      # purpose. The vector units of processors are not interpreted: the plain loops run.
      slow=(order:: distance:: filter::components filter::stream)
      skipped=()
      for tests in "${slow[@]}"; do skipped+=(--skip "$tests"); done
      MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=2 CARGO_TARGET_DIR=$target_dir/miri \
        "$cargo" +nightly miri test -p blockwise-kernels --lib -- "${skipped[@]}"
      ;;
    address)
      # The standard library is not rebuilt: its memory comes from the sanitizer's allocator all the same.
      RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$target_dir/sanitize \
        "$cargo" +nightly test --config profile.dev.opt-level=0 --config profile.dev.package.blockwise-kernels.opt-level=0 \
        --target "$("$cargo" +nightly -vV | sed -n 's/^host: //p')" -p blockwise-io --no-default-features --lib codec
      ;;
    *)
      echo "sanitize: no tool $tool" >&2
      exit 1
      ;;
  esac
done
