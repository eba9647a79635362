# Needs make and Python ≥ 3.11, nothing else: every target makes .venv and installs what it uses.
# pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, …) pass through from the environment.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$python && break; done)
FRONT_END := $(shell find js -name node_modules -prune -o -type f -print)
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2); test $$n -gt 4 && echo 4 || echo $$n)

# the workers share the cores
test test-fast: export OMP_NUM_THREADS ?= 1
# files are read and written as UTF-8 wherever they are: a default encoding would be an error in the package
test test-fast: export PYTHONWARNDEFAULTENCODING = 1

.PHONY: help demo test test-fast jupyter lint docs wheel browser clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.core  ## answer a question about a scene, explain the answer, write demo.html
	$(BIN)/dexar demo

test: $(VENV)/.dev browser  ## every test (Python and TypeScript)
	$(BIN)/python js/hatch_build.py test
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

test-fast: $(VENV)/.dev  ## the unit and contract tests that take a minute or two together
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "(unit or contract) and not slow"

jupyter: $(VENV)/.jupyter  ## JupyterLab on the first notebook
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01_first_look.ipynb

lint: $(VENV)/.dev  ## ruff, mypy, biome, tsc
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python js/hatch_build.py run check

docs: $(VENV)/.dev  ## build/docs/index.html, the reference made from the docstrings
	$(BIN)/python -W ignore -m tests.reference build/docs

wheel: $(VENV)/.dev  ## dist/*.whl, with what it holds
	$(BIN)/python -m hatchling build -t wheel -d dist
	@$(BIN)/python -m zipfile -l dist/dexar_widgets-*.whl | sort -k4 -n -r | head -12; du -h dist/*.whl

browser: $(VENV)/.dev
	@if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		lacking="$$($(BIN)/python -m tests.browser.hosts.engines)"; \
		test -z "$$lacking" || { echo "Installing $$lacking for the browser tests …"; apt-get update -qq >/dev/null; }; \
		for package in $$lacking; do \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$$package" >/dev/null \
			|| echo "$$package could not be installed: its browser tests will be listed as not run."; done; fi

clean:  ## remove everything that was made or installed
	rm -rf $(VENV) build dist js/node_modules dexar_widgets/widgets/static demo.html
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed, and none was found as python3. Install it, or say where it is:' \
		'make PYTHON=/path/to/python3.12 …' >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo 'The environment .venv could not be made. On Debian and Ubuntu:' \
		'apt-get install python3-venv' >&2; exit 1; }
	@touch $@

$(VENV)/.core: $(VENV)/.python pyproject.toml constraints.txt $(FRONT_END)
	@echo 'Installing into $(VENV) (minutes the first time, seconds after) …'
	@$(PIP) --editable .
	@touch $@

$(VENV)/.jupyter: $(VENV)/.python pyproject.toml constraints.txt $(FRONT_END)
	@echo 'Installing into $(VENV) (minutes the first time, seconds after) …'
	@$(PIP) --editable '.[jupyter,eval]'
	@touch $@ $(VENV)/.core

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt $(FRONT_END)
	@echo 'Installing into $(VENV) (minutes the first time, seconds after) …'
	@$(PIP) --editable '.[dev]'
	@node="$$($(BIN)/python js/hatch_build.py needs)"; test -z "$$node" || $(PIP) "$$node"
	@touch $@ $(VENV)/.core $(VENV)/.jupyter
