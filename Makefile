# make demo    render two small data sets, train MIP and DMPT on them, test them
# make test    run the tests, but for the slow ones
# make test-slow    run those: compiled and exported programs, several processes, trainings through the command line
# make test-min    run the tests under each lower bound of pyproject.toml, on the oldest Python at hand
# make test-new    run them under the newest of everything, without constraints.txt
#   TORCHREID_SRC=/path/to/deep-person-reid make test    run them on that checkout, or on an emulated one: TORCHREID_SRC=emulated
# make check   lint and type-check
# Each creates .venv when it is missing and installs what it needs.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# make docs      bring the pages' tables of keys and of results up to date, and build the documentation site
# make coverage  run the tests, and list the lines of the package that they do not run
# make fuzz      look for files that break a parser: make fuzz TARGET=yaml SECONDS=600
# make bounds    write requirements/min.txt from pyproject.toml
# make licences  write docs/licences.md from what make test-new has installed

EXTRAS := fast,parquet,search,milvus,mlflow,export,openvino,visual,test
OLDEST  = $(firstword $(foreach minor,10 11 12 13,$(shell python3.$(minor) -c '' 2>/dev/null && echo python3.$(minor))) $(PYTHON))

.PHONY: demo test test-slow test-min test-new check docs coverage fuzz bounds licences clean

demo: $(VENV)/.ready
	$(BIN)/python tools/train_net.py --config-file configs/mip/quickstart.yaml --overwrite
	$(BIN)/python tools/train_net.py --config-file configs/dmpt/quickstart.yaml --overwrite

test: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow" $(PYTEST_ARGS)

test-slow: $(VENV)/.ready-test $(VENV)/.ready-docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow $(PYTEST_ARGS)

test-min: .venv-min/.ready
	OMP_NUM_THREADS=1 .venv-min/bin/python -m pytest -n 2 -m "not slow" --junitxml=build/min.xml $(PYTEST_ARGS)
	.venv-min/bin/python tests/helpers/versions_table.py min "lower bounds" build/min.xml

test-new: .venv-new/.ready
	OMP_NUM_THREADS=1 .venv-new/bin/python -m pytest -n 2 -m "not slow" --junitxml=build/new.xml $(PYTEST_ARGS)
	.venv-new/bin/python tests/helpers/versions_table.py new newest build/new.xml

check: $(VENV)/.ready-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.ready-docs
	$(BIN)/python -m promptreid.config.document docs/config.md
	$(BIN)/python -m promptreid.runs.tables.document docs/results.md README.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

coverage: $(VENV)/.ready-test
	$(PIP) --editable '.[coverage]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow" --cov=promptreid --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

SECONDS ?= 60
fuzz: $(VENV)/.ready-test
	$(PIP) --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.run $(TARGET) --seconds $(SECONDS)

bounds: $(VENV)/.ready-test
	$(BIN)/python tests/helpers/lower_bounds.py

licences: .venv-new/.ready
	.venv-new/bin/python -m pip install --quiet ruff mypy
	.venv-new/bin/python tests/helpers/licences.py

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

$(VENV)/.ready-docs: $(VENV)/.ready
	$(PIP) --editable '.[docs]'
	@touch $@

.venv-min/.ready: requirements/min.txt pyproject.toml setup.py
	@test -x .venv-min/bin/python || $(OLDEST) -m venv .venv-min
	.venv-min/bin/python -m pip install --quiet --upgrade pip
	.venv-min/bin/python -m pip install --quiet --requirement requirements/min.txt --editable '.[$(EXTRAS)]'
	@touch $@

.venv-new/.ready: pyproject.toml setup.py
	@test -x .venv-new/bin/python || $(PYTHON) -m venv .venv-new
	.venv-new/bin/python -m pip install --quiet --upgrade pip
	.venv-new/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[$(EXTRAS)]'
	@touch $@
