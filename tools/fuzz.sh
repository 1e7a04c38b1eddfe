#!/usr/bin/env bash
# Fuzzes every target (or those named) for so many seconds each, several at a time, from seeds of the tests' corpus.
# usage: fuzz.sh SECS [TARGET...]    PYTHON names an interpreter with the packages of the oracle tests.
#   FUZZ_SANITIZER  address (needs nightly Rust; what `make fuzz` takes) or none (any Rust; what `make test` takes)
#   FUZZ_JOBS       targets at a time, all processors unless said
#   FUZZ_SEED       of the inputs, so that a run says what the one before it said; new ones every time unless said
# Inputs that fail are kept under fuzz/ in cargo's target folder, and what was learnt for the next time, but with a seed.
# libFuzzer comes with libfuzzer-sys; the flags are those that cargo-fuzz gives (github.com/rust-fuzz/cargo-fuzz).
set -euo pipefail
secs=$1
shift
cd "$(dirname "$0")/.."
out=$(tools/target_dir.sh)/fuzz
cargo=${CARGO:-cargo} sanitizer=${FUZZ_SANITIZER:-address} toolchain=() profile=dev folder=debug
coverage=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares)
case $sanitizer in
  none) ;;
  address)
    toolchain=(+nightly) profile=release folder=release
    if ! "$cargo" +nightly --version >/dev/null 2>&1; then
      echo "fuzz: an AddressSanitizer needs nightly Rust: rustup toolchain install nightly; or FUZZ_SANITIZER=none without one" >&2
      exit 1
    fi
    coverage+=(-Zsanitizer=address)
    # Rust and the C++ of libFuzzer each bring a table of the same name.
    export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_odr_violation=0}
    ;;
  *) echo "fuzz: FUZZ_SANITIZER is address or none, not $sanitizer" >&2; exit 1 ;;
esac
all=$(sed -n 's|^path = "targets/\(.*\)\.rs"|\1|p' fuzz/Cargo.toml)
for target in "${@:-}"; do
  [ -z "$target" ] || grep -qx "$target" <<<"$all" || { echo "fuzz: there is no target $target, but" $all >&2; exit 1; }
done
[ $# -gt 0 ] || set -- $all

# A target triple, even the host's own, keeps the flags from build scripts and macros.
host=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
target_dir=$out/$sanitizer
RUSTFLAGS="${coverage[*]} --cfg fuzzing" "$cargo" "${toolchain[@]}" build --manifest-path fuzz/Cargo.toml --locked \
  --target "$host" --target-dir "$target_dir" --profile "$profile" --bins
programs=$target_dir/$host/$folder

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" tests/corpus/make_corpus.py "$scratch/corpus" >/dev/null
"${PYTHON:-python3}" fuzz/seeds.py "$scratch/corpus" "$scratch/seeds"

learnt=$out/corpus
[ -z "${FUZZ_SEED:-}" ] || learnt=$scratch/learnt

fuzz() { # TARGET
  local target=$1 log=$scratch/$1.log
  mkdir -p "$learnt/$target" "$out/artifacts/$target"
  "$programs/$target" -max_total_time="$secs" -timeout=100 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -seed="${FUZZ_SEED:-0}" -artifact_prefix="$out/artifacts/$target/" "$learnt/$target" "$scratch/seeds/$target" >"$log" 2>&1 &&
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, $secs s, without a finding" && return
  touch "$scratch/$target.failed"
  echo "$target: a finding"
  grep -E 'panicked|ERROR|SUMMARY|Test unit written' "$log" || tail -n 20 "$log"
}
export -f fuzz
export learnt out programs scratch secs
printf '%s\n' "$@" | xargs -P "${FUZZ_JOBS:-$(getconf _NPROCESSORS_ONLN)}" -I{} bash -c 'fuzz {}'
failed=$(find "$scratch" -name '*.failed' | wc -l)
echo "fuzz: $(($# - failed))/$# targets without a finding"
[ "$failed" = 0 ]
