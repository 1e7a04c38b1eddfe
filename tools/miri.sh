#!/usr/bin/env bash
# Undefined behaviour: miri, of nightly Rust, interprets the unit tests of kernels, where buffers and casts of memory are.
# (Bytes from outside are decoded under an AddressSanitizer by `make fuzz`.)
# usage: miri.sh    Needs nightly Rust with the components miri and rust-src.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
if ! "$cargo" +nightly miri --version >/dev/null 2>&1; then
  echo "miri: needs nightly Rust with miri: rustup toolchain install nightly --component miri,rust-src" >&2
  exit 1
fi
# Interpreted code takes hundreds of times as long: few cases of each property, and tests left out that are long on
# purpose. The vector units of processors are not interpreted: the plain loops run.
slow=(order::narrow order::select distance:: scratch_stays_below function::cuda filter::components filter::stream filter::window)
skipped=()
for tests in "${slow[@]}"; do skipped+=(--skip "$tests"); done
target_dir=$(tools/target_dir.sh)
MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=2 CARGO_TARGET_DIR=$target_dir/miri \
  "$cargo" +nightly miri test -p blockwise-kernels --lib -- "${skipped[@]}"
