# make demo and make test need make and Python 3.11 or later, nothing else: both make .venv and install into it.
# PYTHON=… picks an interpreter; VENV=… another place than .venv.

VENV ?= .venv
PYTHON ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
DEMO := demo/outpatient.837 demo/professional.837 demo/office-visit.fhir.json demo/inpatient.837 demo/expanded-access.json \
	demo/prior-authorization.json
ASK := $(BIN)/chartulary ask requirements --code 38228 --payer medicare --setting outpatient

.DEFAULT_GOAL := help
.PHONY: help demo test mutants lint audit docs wheel clean

help:
	@echo 'make demo    hold the claims of demo/ against the register, then ask it what 38228 required'
	@echo 'make test    run the tests; CI=1 make test runs the slow ones too'
	@echo 'make mutants one fault after another in the register: do the suites notice?'
	@echo 'make lint    ruff, mypy, and the register by its own linter'
	@echo 'make audit   known vulnerabilities of what is installed'
	@echo 'make docs    build the documentation into site/, to be read from the disk or a server'
	@echo 'make wheel   build dist/*.whl'
	@echo 'make clean   remove .venv and what the others made'

# --- Running ----------------------------------------------------------------------------------------------------------

# Exit code 1 says that a claim violates something, as some here do on purpose.
demo: $(VENV)/.installed
	@printf '\n==> chartulary validate demo/…\n\n'
	@$(BIN)/chartulary validate $(DEMO) || [ $$? -eq 1 ]
	@printf '==> What did 38228 require on 25 June 2025, the last day of KX?\n\n'
	@$(ASK) --dos 2025-06-25
	@printf '\n==> And on 26 June 2025?\n\n'
	@$(ASK) --dos 2025-06-26
	@printf '\n==> And on 1 July 2025, as known on 1 September 2025, before anyone had published the change?\n\n'
	@$(ASK) --dos 2025-07-01 --as-known-on 2025-09-01

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

mutants: $(VENV)/.installed
	$(BIN)/chartulary test policies --mutate --at-least 95

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/chartulary fmt --check policies ontology shapes docs tests/data/questions tests/data/rdf
	$(BIN)/chartulary lint policies

audit: $(VENV)/.installed-dev
	$(BIN)/python tools/audit.py

# The variable keeps an advertisement of Material's out of the output.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'open site/index.html'

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis

# --- Installing -------------------------------------------------------------------------------------------------------
# The package is installed editable: only a change of pyproject.toml installs again.

$(VENV)/bin/python:
	@for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        echo "making $(VENV) with $$($$python --version)"; \
	        $$python -m venv $(VENV) && exit 0; \
	        rm -rf $(VENV); \
	        echo "make: $$python cannot make a virtual environment: install its venv module (Debian, Ubuntu: python3-venv)" >&2; \
	        exit 1; \
	    fi; \
	done; \
	echo 'make: Python 3.11 or later is needed, and $(or $(PYTHON),none here) is not that; PYTHON=/path/to/python3 names one' >&2; \
	exit 1

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo 'installing into $(VENV)'
	@$(PIP) install --editable .
	@touch $@

# --group came with pip 25.1; the pip of a new virtual environment may be older.
$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo 'installing into $(VENV), with what the tests need'
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable . --group dev
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	@echo 'installing into $(VENV), with what the documentation needs'
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable . --group docs
	@touch $@ $(VENV)/.installed
