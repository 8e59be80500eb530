# The first `make sim` on a machine installs the light package; nothing else is needed before it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: sim test slow lint bench clean

sim: .venv/light
	$(BIN)/python -m ssdsim policy=topk_outcomes

test: .venv/dev
	$(BIN)/python -m pytest -n auto -m "not slow"

slow: .venv/dev
	$(BIN)/python -m pytest -n auto -m slow

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/light
	$(BIN)/python -m ssdsim.bench

clean:
	rm -rf .venv outputs multirun

.venv/light: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/dev: .venv/light
	$(PIP) --editable ".[dev]"
	touch $@
