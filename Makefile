# Each target makes the environment that it needs, and uses it again the next time.
# All that a machine must have is python3 (3.11 or later) and make.

PYTHON ?= python3
PIP := -m pip install --quiet --disable-pip-version-check
# What the tests of imports and contracts need beside the wheel.
TOOLS := beartype pytest pytest-randomly pytest-socket
# Where a newer Python is found beside this one, the tests of imports and contracts run there too.
PYTHON312 ?= $(shell sh .ci/find-python 3.12)

.PHONY: help demo test test-full test-core test-312 test-lowest lint format wheel clean

help: ## Tell what there is to make.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: .venv-demo/ready ## Make a scene, segment it with real weights, and say where the picture is.
	.venv-demo/bin/samdomain demo --out demo --overwrite

test: test-full test-core test-312 ## Run every test, in every environment.

test-full: .venv/ready wheel ## The whole suite, with every extra.
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses 2 --dist loadfile

test-core: .venv-core/ready ## Imports and contracts, from the wheel, with no extra.
	.ci/test-wheel .venv-core

test-312: ## Imports and contracts on Python 3.12 with the geo extra, where there is one.
	@if [ -n "$(PYTHON312)" ]; then $(MAKE) --no-print-directory .venv-312/ready && .ci/test-wheel .venv-312; \
	else echo "no Python 3.12 here: skipped"; fi

test-lowest: wheel ## The suite with the oldest libraries that pyproject.toml admits; by hand.
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python $(PIP) uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct '.[embedded,geo,test]'
	.venv-lowest/bin/python -m pytest -W default

lint: .venv/ready ## Check style, types, layers and spelling.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright --pythonpath .venv/bin/python
	.venv/bin/lint-imports
	.venv/bin/codespell

format: .venv/ready ## Format, and fix what can be fixed.
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

wheel: .venv/ready ## Build the wheel once.
	rm -rf dist
	.venv/bin/python -m build --wheel --no-isolation --outdir dist . >/dev/null

clean: ## Remove environments and what was built.
	rm -rf .venv .venv-* dist demo

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) --editable '.[all,test]' hatchling
	touch $@

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(PIP) --editable '.[embedded,geo]'
	touch $@

.venv-core/ready: pyproject.toml | wheel
	$(PYTHON) -m venv .venv-core
	.venv-core/bin/python .ci/link-packages .venv
	.venv-core/bin/python $(PIP) dist/*.whl $(TOOLS)
	touch $@

.venv-312/ready: pyproject.toml | wheel
	$(PYTHON312) -m venv .venv-312
	.venv-312/bin/python .ci/link-packages .venv
	.venv-312/bin/python $(PIP) "$$(echo dist/*.whl)[embedded,geo]" $(TOOLS) rio-cogeo
	touch $@
