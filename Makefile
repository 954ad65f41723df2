# Three commands for people: make run, make test, make check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.stamp-run
DEV_STAMP := $(VENV)/.stamp-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
ARGS ?=
# Two of these commands at once in a new clone: one installs, the other waits for it.
ALONE := $(shell test -w . && command -v flock > /dev/null && echo flock .make.lock)
INSTALL := @$(if $(ALONE),flock -n .make.lock true || echo "Another make installs here: waiting for it ..." >&2;) \
	$(ALONE) $(MAKE) --no-print-directory -s
unexport PYTHONDONTWRITEBYTECODE  # what is run more than once need not be compiled each time: a third of a second a start

.PHONY: installed installed-run run test check faults sim kill-matrix mutants soak fuzz-gate strangers bench fix requirements clean cover trailing-fuzz

run: installed-run           ## paper trading on the practice market (ARGS="--port 8081" adds options)
	@exec $(BIN)/tradingd run $(ARGS)

test: installed              ## every test (TESTS=tests/risk narrows it)
	$(BIN)/python -m pytest -n $(or $(JOBS),2) --dist worksteal $(or $(TESTS),tests)

check: installed             ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: installed            ## live sessions while the practice exchange misbehaves (SESSIONS=5 SEED=1)
	@$(BIN)/python -u -m tests.e2e.fault_sessions --sessions $(or $(SESSIONS),5) --first $(or $(SEED),1)

strangers: installed         ## live sessions on exchanges that somebody else might have written (VENUE=coinbase ROUNDS=3 KILLS=1, WILD=1 heaps faults)
	@$(BIN)/python -u -m tests.strangers.$(if $(WILD),wild,campaign) --venue $(or $(VENUE),binance) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(KILLS),--kills) $(if $(SEED),--seed $(SEED))

fuzz-gate: installed         ## a million random accounts and orders against the gate (PAIRS=10000 makes it fewer)
	$(BIN)/python -m tests.risk.fuzz_gate --pairs $(or $(PAIRS),1000000)

bench: installed             ## measure; figures in bench.json
	$(BIN)/python -m benchmarks

sim: installed               ## lives of a daemon in virtual time, with faults: SEEDS=0-300, FAULTS=file.json or WILD=1, TRACE=seed
	@$(BIN)/python -m simulator --seeds $(or $(SEEDS),0-99) $(if $(FAULTS),--faults $(FAULTS)) $(if $(WILD),--wild) $(if $(TRACE),--trace $(TRACE)) $(if $(SECONDS),--seconds $(SECONDS))

kill-matrix: installed       ## kill -9 at every step of an order's life, live on a practice exchange, TIMES=3
	@$(BIN)/python -m tests.e2e.kill_matrix --times $(or $(TIMES),3)

mutants: installed           ## seeded bugs in a copy of the tree: do the tests notice? (ONLY=text narrows it)
	@$(BIN)/python -m tests.mutants $(if $(ONLY),--only "$(ONLY)")

soak: installed              ## does anything grow in MINUTES=10? memory slope, loop lag, descriptors
	@$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),10)

trailing-fuzz: installed     ## trails and engine against a plain loop over orders, for TICKS=5000000 random ticks
	TRADINGD_FUZZ_TICKS=$(or $(TICKS),5000000) $(BIN)/python -m pytest -q tests/orders/test_trailing_against_plain_loop.py tests/orders/test_engine_against_plain_loop.py

cover: installed
	$(BIN)/python -m pytest tests --cov --cov-report=term-missing:skip-covered

fix: installed
	$(BIN)/ruff check --fix .

requirements: installed      ## refresh the hashed pins
	$(PIP) install uv
	UV_CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 requirements/run.in -o requirements/run.txt
	UV_CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 requirements/dev.in -c requirements/run.txt -o requirements/dev.txt

installed:
	$(INSTALL) $(DEV_STAMP)

installed-run:
	$(INSTALL) $(RUN_STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tradingd needs Python 3.11 or newer: set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating $(VENV) (first time only, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(BIN)/python requirements/run.txt pyproject.toml
	@echo "Installing pinned, hashed requirements ..."
	@$(PIP) install --require-hashes --no-deps -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q agents bus exchanges market orders risk store tradingd
	@touch $@

$(DEV_STAMP): $(RUN_STAMP) requirements/dev.txt
	@$(PIP) install --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
