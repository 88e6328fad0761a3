# Needs Python >= 3.11 with pip, and make. Everything else goes into .venv and .uv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV = $(shell command -v uv || echo .uv/bin/uv)
PYTEST = $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test test-all check site clean

demo: $(VENV)/.installed  ## digits end to end: subsets, shards, runs, fidelity, site
	$(BIN)/lotterybench demo

test: $(VENV)/.installed-dev  ## the fast tests: no GPU, no network
	$(PYTEST)

test-all: $(VENV)/.installed-dev  ## everything but what needs a GPU or the real Hub
	$(PYTEST) -m "not gpu and not hub"

check: $(VENV)/.installed-dev  ## lint, types, committed data, committed site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lotterybench check subsets reference_results
	$(BIN)/lotterybench site check

site: $(VENV)/.installed  ## render the committed board anew
	$(BIN)/lotterybench site build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "lotterybench needs Python >= 3.11: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@command -v uv >/dev/null || test -x .uv/bin/uv \
	  || $(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .uv uv
	$(UV) venv --quiet --python "$(PYTHON)" $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(UV) pip install --quiet --python $(VENV)/bin/python --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(UV) pip install --quiet --python $(VENV)/bin/python --editable '.[test,dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf .venv .uv out
