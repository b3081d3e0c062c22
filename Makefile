# `make test` is all a newcomer needs; the other targets are what CI runs besides.
.PHONY: test test-python wheel setup demo loom mutants fuzz stress soak scribble bench bench-durable bench-python doc lint ci clean slow-disk

CARGO ?= cargo
# What is built and tested besides the default; all at once, so that nothing is built twice.
FEATURES ?= crlog-flusher/zmq
LOOM_FLAGS = --cfg loom --cfg debug_assertions
SECONDS ?= 60
SEED ?= 1
MINUTES ?= 20

# Installs what the tests can use, as far as this user may, and says what is missing.
setup:
	@sh tests/setup.sh

# Everything but the model checker and the long runs: 10 minutes at most on 2 cores.
test: setup
	CARGO="$(CARGO)" bash tests/run.sh --workspace --features $(FEATURES)
	python/tests/run.sh

# The Python package alone, in an environment of its own; ARGS go to pytest.
test-python:
	python/tests/run.sh $(ARGS)

# The Python package as a wheel for this kind of Linux and newer ones, in target/wheels.
wheel:
	python/tests/run.sh --version >/dev/null
	$(or $(CARGO_TARGET_DIR),target)/python/bin/pip install --quiet 'maturin>=1.7,<2'
	$(or $(CARGO_TARGET_DIR),target)/python/bin/maturin build --release --manifest-path python/Cargo.toml

demo:
	$(CARGO) run --release --bin crlog -- demo

# Every interleaving of the ring's roles, within bounds that take minutes.
loom:
	RUSTFLAGS="$(RUSTFLAGS) --cfg loom" CARGO_TARGET_DIR=target/loom $(CARGO) test --release -p crlog --lib loom

# Each deliberate fault must be caught by the model or test that is named for it.
mutants:
	bash tests/mutants.sh

# Any bytes as a segment, a header, a configuration, and any text as an argument, coverage-guided, for SECONDS.
fuzz:
	bash fuzz/run.sh $(SECONDS)

# Real processes killed and stopped at random for SECONDS, everything verified afterwards.
stress:
	$(CARGO) run --release --bin crlog -- stress --seconds $(SECONDS) --processes 4 --sidecars 1 \
	  --kill-producers --kill-flushers --stop-producers --seed $(SEED)

# A disk that stalls for ten seconds, twice (the tests have one of two seconds).
slow-disk:
	$(CARGO) test --test disks -- --ignored --nocapture

# Rounds of every known fault for MINUTES, all of it from one SEED (random unless given), each round verified.
# As root also a disk that fills up.
soak:
	$(CARGO) run --release --bin crlog -- soak --minutes $(MINUTES) $(if $(filter command line environment,$(origin SEED)),--seed $(SEED))

# Random words into a live segment for MINUTES.
scribble:
	MINUTES=$(MINUTES) SEED=$(SEED) $(CARGO) test --release --test scribble -- --ignored

bench:
	$(CARGO) bench

# Durable records alone: group commit against one fsync for each record.
bench-durable:
	$(CARGO) bench --bench durable

# Python's handlers beside each other: what a call costs, lines a second. ROUNDS, RECORDS, PROCESSES, MAX_BYTES.
bench-python:
	python/tests/run.sh --bench

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --features $(FEATURES) --no-deps

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features $(FEATURES) -- -D warnings

ci:
	bash .ci/run
