# Two commands do everything on a fresh machine with Python ≥ 3.11 and make: `make demo`, `make test`.
.DEFAULT_GOAL := help
.PHONY: help demo test test-deploy soak check fix bench lock wheel docs clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := .venv-deploy
TOOLS_STAMP := $(TOOLS)/.installed

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Pinned versions with hashes; uv if it is there, pip otherwise.
$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed, $(PYTHON) is older: make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing: apt install python3-venv (Debian, Ubuntu)"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --python $(BIN)/python --require-hashes -r requirements/dev.txt && \
	  uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q \
	    --require-hashes -r requirements/dev.txt && \
	  $(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .; \
	fi
	@touch $@

demo: $(STAMP)  ## A real Pulsar, 20 s of load, verified: the whole thing in a minute
	@$(BIN)/iot-producer demo

test: $(STAMP)  ## All tests, those with real services too
	$(BIN)/python -m pytest -q -rs -m "not integration and not deploy" -n auto
	$(BIN)/python -m pytest -q -rs -m "integration and not soak" -n 2 --dist loadfile --durations=40

# Tools that judge scripts, manifests, images and Terraform: apart, for they share no versions with us.
$(TOOLS_STAMP): requirements/deploy.txt
	$(PYTHON) -m venv --clear $(TOOLS)
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --python $(TOOLS)/bin/python --require-hashes -r requirements/deploy.txt; \
	else \
	  $(TOOLS)/bin/python -m pip install --disable-pip-version-check --progress-bar off -q \
	    --require-hashes -r requirements/deploy.txt; \
	fi
	@touch $@

test-deploy: $(STAMP) $(TOOLS_STAMP)  ## Image, scripts, manifests, Terraform, dashboards: needs packages, see tests/deploy
	PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(BIN)/python -m pytest -q -rs -m deploy tests/deploy \
	  -n 2 --dist loadfile --durations=15

soak: $(STAMP)  ## Every fault five times, the long ones too; half an hour of load (IOT_SOAK_MINUTES)
	for i in 1 2 3 4 5; do \
	  $(BIN)/python -m pytest -q -m integration tests/integration/test_native_faults_*.py || exit 1; \
	done
	$(BIN)/python -m pytest -q -m soak tests/integration/test_native_memory.py

check: $(STAMP)  ## Format, lint, types, layers, unit tests but the slow: under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -m "not integration and not deploy and not slow" -n auto \
	  --hypothesis-profile=quick

fix: $(STAMP)  ## Format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## How fast each stage is here, next to a reference
	@$(BIN)/iot-producer bench --results benchmarks/results

docs: $(STAMP)  ## Write the generated reference pages again
	$(BIN)/python -m iot_producer.reference_pages docs/reference

wheel: $(STAMP)  ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

lock: $(STAMP)  ## Resolve requirements/*.txt again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra all --group dev pyproject.toml -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --group deploy -o requirements/deploy.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header pyproject.toml -o requirements/runtime.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --group image -o requirements/image-build.txt

clean:  ## Remove what was built; downloads stay in the user's cache
	rm -rf $(VENV) $(TOOLS) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
