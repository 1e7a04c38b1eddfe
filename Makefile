# What a developer types. Needs rustup's cargo, a C compiler and make; what else is missing the scripts in tools/
# provide, or name the command that does. Set CACHE to keep the private environments outside the clone.
# PYTEST_ARGS and BENCH_ARGS go to pytest and to benches/bench.py; FUZZ_SECS and FUZZ_TARGETS say what `make fuzz` does.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: demo test faults miri fuzz dist lint layers bench doc book fmt clean help

CARGO ?= cargo
CACHE ?= $(CURDIR)/.cache
SCALE ?= 1
PYTEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_SECS ?= 3600
FUZZ_TARGETS ?=
export CACHE
# Threads in every order that shuttle comes to. Loops over elements need not be fast there, only soon built.
MODELS := test --config profile.dev.opt-level=0 --config profile.dev.package.blockwise-kernels.opt-level=0 \
  -p blockwise-kernels -p blockwise-core --features blockwise-core/shuttle --test models

demo: ## tour on real data: what it did, how fast, within what memory
	CMAKE="$$(tools/cmake.sh)"; export CMAKE
	$(CARGO) run --release -p arrayctl -- demo

test: ## every test: Rust, the command line against Python's array libraries, Slurm, a minute of fuzzing for each target
	python="$$(tools/venv.sh oracle tests/oracle/requirements.txt)"
	CMAKE="$$(tools/cmake.sh)"; export CMAKE
	export BLOCKWISE_ORACLE_PYTHON="$$python"
	if [ "$$(uname -s)" = Linux ]; then # NVIDIA's compiler of kernels, which needs no device
	  cuda="$$(tools/venv.sh cuda gpu/tests/requirements.txt)"
	  BLOCKWISE_CUDA_LIBRARIES="$$(echo "$${cuda%/bin/python}"/lib/python3.*/site-packages/nvidia/cu13/lib)"
	  export BLOCKWISE_CUDA_LIBRARIES
	fi
	PYTHON="$$python" tools/test.sh "$(MODELS)" $(PYTEST_ARGS)

faults: ## the whole fault plan of docs/reliability.md, with figures (an hour; power cuts, full disks and Slurm need root)
	python="$$(tools/venv.sh oracle tests/oracle/requirements.txt)"
	CMAKE="$$(tools/cmake.sh)"; export CMAKE
	$(CARGO) build --workspace --features cuda --bins --example many_nodes
	BLOCKWISE_SCHEDULES=20000 $(CARGO) $(MODELS)
	debug="$$(tools/target_dir.sh)/debug"
	export BLOCKWISE_ARRAYCTL="$$debug/arrayctl" BLOCKWISE_MANY_NODES="$$debug/examples/many_nodes"
	BLOCKWISE_FAULT_ROUNDS="$${BLOCKWISE_FAULT_ROUNDS:-10}" "$$python" -m pytest tests/slurm -rs $(PYTEST_ARGS)
	BLOCKWISE_FAULTS=full "$$python" -m pytest tests/oracle/test_faults.py tests/oracle/test_fault_plan.py \
	  tests/oracle/test_corpus.py tests/oracle/test_memory.py $(PYTEST_ARGS)

miri: ## undefined behaviour, looked for in the unit tests of kernels (nightly Rust with miri and rust-src)
	tools/miri.sh

fuzz: ## every parser and decoder on bytes that nobody wrote, FUZZ_SECS each, and random stores beside zarr-python (nightly Rust)
	python="$$(tools/venv.sh oracle tests/oracle/requirements.txt)"
	CMAKE="$$(tools/cmake.sh)"; export CMAKE
	PYTHON="$$python" tools/fuzz.sh $(FUZZ_SECS) $(FUZZ_TARGETS)
	$(CARGO) build -p arrayctl
	BLOCKWISE_ARRAYCTL="$$(tools/target_dir.sh)/debug/arrayctl" BLOCKWISE_DIFFERENTIAL_SECS=$(FUZZ_SECS) \
	  "$$python" -m pytest tests/oracle/test_differential.py $(PYTEST_ARGS)

dist: ## a release in dist/: stripped program, completions, manual pages, checksum
	CMAKE="$$(tools/cmake.sh)"; export CMAKE
	tools/dist.sh

lint: ## format, clippy, API documentation, file rules, licences and advisories
	CMAKE="$$(tools/cmake.sh)"; export CMAKE
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --features cuda,s3 --all-targets -- -D warnings
	$(CARGO) clippy -p blockwise-gpu --all-targets -- -D warnings
	$(CARGO) clippy -p blockwise-io --no-default-features -- -D warnings
	$(MAKE) --no-print-directory doc
	tools/files.sh
	tools/deny.sh

layers: ## the rule of who may import whom, and the proof that the check bites
	python3="$$(tools/python.sh)"
	"$$python3" tools/test_layers.py
	"$$python3" tools/layers.py

bench: ## blockwise beside its peers, one same-run table into benches/RESULTS.md (SCALE=0.25 for a quick one)
	python="$$(tools/venv.sh peers benches/peers/requirements.txt)"
	CMAKE="$$(tools/cmake.sh)"; export CMAKE
	$(CARGO) build --release -p arrayctl
	$(CARGO) build --release -p blockwise --examples
	release="$$(tools/target_dir.sh)/release"
	"$$python" benches/bench.py --arrayctl "$$release/arrayctl" --codec-floor "$$release/examples/codec_floor" \
	  --examples "$$release/examples" --scale $(SCALE) $(BENCH_ARGS)

doc: ## API documentation, warnings are errors
	CMAKE="$$(tools/cmake.sh)"; export CMAKE
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --features cuda,s3 --no-deps

book: ## the book of docs/ as HTML, its links checked (builds mdBook once, four minutes, where it is not there)
	tools/book.sh

fmt: ## format the Rust code
	$(CARGO) fmt --all

clean: ## remove build products and the private environments
	$(CARGO) clean
	rm -rf "$(CACHE)"

help: ## this list
	@sed -n 's/^\([a-z]*\): ## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.ONESHELL:
