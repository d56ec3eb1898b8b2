# make demo    render two small data sets, train MIP and DMPT on them, test them
# make test    run the tests, but for the slow ones
# make test-slow    run those: compiled and exported programs, several processes, trainings through the command line
# make check   lint and type-check
# Each creates .venv when it is missing and installs what it needs.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# make docs    bring the tables of keys in docs/config.md up to date

.PHONY: demo test test-slow check docs clean

demo: $(VENV)/.ready
	$(BIN)/python tools/train_net.py --config-file configs/mip/quickstart.yaml --overwrite
	$(BIN)/python tools/train_net.py --config-file configs/dmpt/quickstart.yaml --overwrite

test: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow" $(PYTEST_ARGS)

test-slow: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow $(PYTEST_ARGS)

check: $(VENV)/.ready-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.ready
	$(BIN)/python -m promptreid.config.document docs/config.md

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache build plugin/*.egg-info

# torch goes first: torchreid's own metadata name no dependency, so nothing else would hold its version.
$(VENV)/.ready: pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "promptreid needs Python 3.10 or newer: make PYTHON=python3.11 ..." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "no module venv: on Debian or Ubuntu, apt-get install python3-venv" >&2; exit 2; }
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/.ready-check: $(VENV)/.ready
	$(PIP) --editable '.[check]'
	@touch $@
