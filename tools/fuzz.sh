#!/usr/bin/env bash
# Fuzzes every target (or those named) for so many seconds each, from seeds of the tests' corpus.
# usage: fuzz.sh SECS [TARGET...]    Needs nightly Rust and cargo-fuzz; PYTHON with the packages of the oracle tests.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
secs=$1
shift
cargo=${CARGO:-cargo}
if ! "$cargo" +nightly fuzz --version >/dev/null 2>&1; then
  echo "fuzz: needs nightly Rust and cargo-fuzz: rustup toolchain install nightly; cargo install --locked cargo-fuzz" >&2
  exit 1
fi
seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
"${PYTHON:-python3}" ../tests/corpus/make_corpus.py "$seeds/corpus" >/dev/null
"${PYTHON:-python3}" seeds.py "$seeds/corpus" "$seeds/seeds"
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <("$cargo" +nightly fuzz list); fi
"$cargo" +nightly fuzz build
failed=()
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target"
  echo "== $target, $secs s"
  "$cargo" +nightly fuzz run "$target" "corpus/$target" "$seeds/seeds/$target" -- -max_total_time="$secs" -timeout=20 \
    -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 >"$seeds/log" 2>&1 || failed+=("$target")
  grep -E '^stat::number_of_executed_units|SUMMARY|panicked|Test unit written|ERROR' "$seeds/log" || true
done
echo "fuzz: $((${#targets[@]} - ${#failed[@]}))/${#targets[@]} targets without a finding${failed[*]:+; found in: ${failed[*]}}"
[ ${#failed[@]} = 0 ]
