#!/usr/bin/env bash
# What `make test` runs, once what it needs is there: every Rust test, models of threads, a minute of fuzzing for each target, the
# command line beside Python's array libraries, runs on Slurm. Fuzzing takes one processor, and tests on Slurm mostly wait for its time
# limits, so both go on beside the others; what they say is shown at the end, and the others end before that where they fail.
# usage: test.sh MODELS [PYTEST_ARGS...]   MODELS are cargo's arguments for the models, in one word; PYTHON names an interpreter with the
# packages of the oracle tests. With PYTEST_ARGS, which choose some of the Python tests, nothing goes on beside and nothing is fuzzed.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
read -ra models <<<"$1"
shift

"$cargo" build --workspace --features cuda,s3 --bins --tests --examples
debug=$(tools/target_dir.sh)/debug
export BLOCKWISE_ARRAYCTL=$debug/arrayctl BLOCKWISE_MANY_NODES=$debug/examples/many_nodes

scratch=$(mktemp -d)
names=() pids=()
beside() { # NAME COMMAND...
  local name=$1
  shift
  set -m # in a group of its own, which an interrupt reaches only from here
  "$@" >"$scratch/$name" 2>&1 </dev/null &
  set +m
  names+=("$name") pids+=($!)
}
finish() {
  local code=$? number
  trap - EXIT INT TERM
  for number in "${!names[@]}"; do
    local name=${names[number]} ended=0
    wait "${pids[number]}" || ended=$?
    echo "== $name"
    cat "$scratch/$name"
    [ "$ended" = 0 ] || { echo "== $name: failed ($ended)"; code=1; }
  done
  rm -rf "$scratch"
  exit "$code"
}
stop() { # tests on Slurm end their daemons on an interrupt
  for pid in "${pids[@]}"; do kill -INT -- "-$pid" 2>/dev/null || true; done
  exit 130
}
trap finish EXIT
trap stop INT TERM

python_tests=(tests/oracle tests/slurm "$@")
if [ $# = 0 ]; then
  python_tests=(tests/oracle)
  beside slurm "$PYTHON" -m pytest tests/slurm -rs
  beside fuzz env FUZZ_SANITIZER=none FUZZ_SEED=1 FUZZ_JOBS=1 tools/fuzz.sh 60
fi
NO_PROXY=127.0.0.1 "$cargo" test --workspace --features cuda,s3 --no-fail-fast
"$cargo" "${models[@]}"
"$PYTHON" -m pytest -rs "${python_tests[@]}"
