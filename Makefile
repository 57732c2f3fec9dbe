# Needs python3 (3.10, 3.11 or 3.12) with venv, make and the package registry; everything else
# goes into $(VENV). "make PYTHON=python3.12 setup" picks another interpreter.

PYTHON ?= python3
VENV ?= .venv
OUT ?= out

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
READY := $(VENV)/.ready
READY_ALL := $(VENV)/.ready-all

.DEFAULT_GOAL := help
.PHONY: help setup setup-all demo test check lint types clean

help:
	@echo "make demo       set up, then run camera -> masks -> clouds -> grasps over ROS 2 into $(OUT)/demo"
	@echo "make test       set up, then run the tests; those of extras that are not there are skipped"
	@echo "make check      set up all, then lint, types and all tests: what CI runs"
	@echo "make setup      create the environment in $(VENV)"
	@echo "make setup-all  the same with every extra: path-traced pictures, clusters"
	@echo "make clean      remove outputs and caches, keep $(VENV)"

setup: $(READY)
setup-all: $(READY_ALL)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; ok = (3, 10) <= v <= (3, 12); ok or sys.exit("error: Python %d.%d does not work, 3.10, 3.11 and 3.12 do: make PYTHON=python3.12 ..." % v)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no venv module: install it first (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(READY): setup.py constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable '.[torch,simulation,evaluation,exr,adaptation,ros,dev]'
	@touch $@

$(READY_ALL): $(READY)
	$(PIP_INSTALL) --editable '.[all]'
	@touch $@

demo: $(READY)
	$(BIN)/repsam demo --out $(OUT)/demo

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

check: $(READY_ALL) lint types test

clean:
	rm -rf $(OUT) build install log dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find launch repsam_ros test -name __pycache__ -prune -exec rm -rf {} +
