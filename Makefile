# Everything a clone needs: Python 3.11 or newer, make and git.
PYTHON ?= python3
UV ?= uv
WORKERS ?= 2
# a third of what these take they wait
SYSTEM_WORKERS ?= 3
EXAMPLES ?= 5000
SEED ?= $(shell date +%s)
SEEDS ?= 20
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# what has a target of its own is not run twice where its environment is there
ALONE := $(addprefix --ignore=tests/,torch feast_store label_studio ray_cluster mlflow_server deploy)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-cluster test test-system test-torch feast test-feast labelstudio test-labelstudio ray test-ray mlflow test-mlflow test-deploy docs screenshots newcomer oldest reliability check audit advisories release verify-release lock soak

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { sub("%", "NAME", $$1); printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: .venv/test.stamp ## install anew with all that its tests need into .venv
	@echo "Ready: $(BIN)/anew --help"

demo: .venv/run.stamp ## watch the loop on a real stream: a model goes stale, is replaced, and a bad one is rolled back
	@$(BIN)/anew demo

demo-cluster: build/ray/stamp ## the same with facts in PostgreSQL, rows in S3 and trainings on Ray, all started by it
	@build/ray/bin/python -m tests.ray_cluster.cluster_demo anew-demo-cluster $(ARGS)

test: check ## run lint, types, layers and all but the long tests
	@$(BIN)/python -m pytest -m "not system" $(ALONE) -n $(WORKERS) --reliability=build/reliability.json

test-system: .venv/test.stamp ## run the tests with real programs and real faults
	@$(BIN)/python -m pytest -m system $(ALONE) -n $(SYSTEM_WORKERS) --dist loadfile --no-loadscope-reorder --reliability=build/reliability.json

test-torch: build/torch/stamp ## run the tests that need PyTorch, which is installed beside .venv for them
	@build/torch/bin/python -m pytest tests/torch

feast: build/feast/stamp ## install Feast into build/feast, an environment of its own
	@echo "Ready: export ANEW_FEAST_PYTHON=$(CURDIR)/build/feast/bin/python"

test-feast: .venv/test.stamp build/feast/stamp ## run the tests with a real feature store
	@$(BIN)/python -m pytest tests/feast_store

labelstudio: build/labelstudio/stamp ## install Label Studio into build/labelstudio, an environment of its own
	@echo "Ready: build/labelstudio/bin/label-studio start"

test-labelstudio: .venv/test.stamp build/labelstudio/stamp ## run the tests with a real Label Studio
	@$(BIN)/python -m pytest tests/label_studio --reliability=build/reliability.json

ray: build/ray/stamp ## install Ray into build/ray, an environment over .venv
	@echo "Ready: build/ray/bin/anew, which knows stores.compute: ray"

test-ray: build/ray/stamp ## run the tests with a real Ray cluster of this machine
	@build/ray/bin/python -m pytest tests/ray_cluster -n $(WORKERS) --dist loadscope $(ARGS)

mlflow: build/mlflow/stamp ## install an MLflow server into build/mlflow, an environment of its own
	@echo "Ready: build/mlflow/bin/mlflow server"

test-mlflow: .venv/test.stamp build/mlflow/stamp ## run the tests with a real MLflow server
	@$(BIN)/python -m pytest tests/mlflow_server --reliability=build/reliability.json

test-deploy: .venv/test.stamp build/deploy/stamp ## hold the manifests in deploy/ and the dashboard for Grafana against the schemas of those who read them
	@$(BIN)/python -m pytest tests/deploy

docs: .venv/test.stamp build/docs/stamp ## build the documentation with its reference into build/docs/site, strictly
	@rm -rf build/docs/pages build/docs/site && cp -r docs build/docs/pages
	@$(BIN)/python -m tests.docs.reference build/docs/pages/reference
	@NO_MKDOCS_2_WARNING=1 build/docs/env/bin/mkdocs --quiet build
	@$(BIN)/python -m tests.docs.offline build/docs/site
	@echo "Ready: build/docs/site/index.html"

screenshots: .venv/test.stamp ## take the pictures of the dashboard in docs/images from a run of the demo (needs a Chromium)
	@$(BIN)/anew demo --folder build/pictured
	@$(BIN)/python -m tests.docs.screenshots build/pictured docs/images

reliability: .venv/test.stamp ## write the rows of the fault matrix, with what the last tests found, into the README
	@ANEW_SOAK_DEPENDENCIES=1 $(BIN)/python -m pytest --collect-only -qq --reliability=build/reliability.json >/dev/null
	@$(BIN)/python -m tests.reliability build/reliability.json README.md

newcomer: .venv/test.stamp ## take a newcomer's path from the built wheel in an empty environment: demo, own CSV, dashboard
	@rm -rf build/newcomer
	@$(BIN)/python tests/docs/newcomer.py build/newcomer $(BESIDE)

oldest: .venv/test.stamp ## take the same path with the oldest packages that pyproject.toml admits
	@rm -rf build/oldest
	@$(BIN)/python tests/docs/newcomer.py build/oldest requirements/oldest.txt

check: .venv/test.stamp ## run lint, format, types and layers alone
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: .venv/test.stamp ## hold the locks against the advisories on record, and look for names that may be traps
	@$(BIN)/python -m tests.supply.audit $(ARGS)

advisories: .venv/test.stamp ## put on record what FROM, a checkout of the PyPA's advisory database, says of what is locked
	@test -d "$(FROM)" || { echo "name a checkout of the advisory database: make advisories FROM=/path/to/advisory-database" >&2; exit 2; }
	@$(BIN)/python -m tests.supply.advisory "$(FROM)"

release: .venv/test.stamp ## build, describe and sign a release of the commit into dist, as in `make release KEY=private.pem`
	@test -f "$(KEY)" || { echo "a release is signed: make release KEY=/path/to/private.pem (openssl genpkey -algorithm ed25519)" >&2; exit 2; }
	@$(BIN)/python -m tests.supply.audit --release
	@$(BIN)/python -m tests.supply.release build dist --key "$(KEY)"

verify-release: .venv/test.stamp ## say whether DIST, a folder with a release, is what the holder of KEY=public.pem signed
	@$(BIN)/python -m tests.supply.release verify "$(or $(DIST),dist)" --key "$(KEY)"

bench-%: .venv/test.stamp ## run bench/NAME.py, as in `make bench-serve`
	@test -f bench/$(subst -,_,$*).py || { echo "there is no bench/$(subst -,_,$*).py; there are: $$(ls bench)" >&2; exit 2; }
	@$(BIN)/python bench/$(subst -,_,$*).py $(ARGS)

soak: .venv/test.stamp ## run the campaigns, which take hours: laws on many stories, a month, kills, swaps, disks, backups, old and new dependencies (EXAMPLES, SEED, SEEDS)
	@echo "The laws on $(EXAMPLES) stories each, then the rows $(CAMPAIGN); seed $(SEED)."
	@ANEW_LAWS_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/laws --hypothesis-seed=$(SEED) --timeout=0 --reliability=build/reliability.json
	@ANEW_SOAK_SEED=$(SEED) ANEW_SOAK_DAYS=30 ANEW_SOAK_EVENTS=1000000 ANEW_SOAK_RETRAINS=100 ANEW_SOAK_KILLS=50 \
	  ANEW_SOAK_SEEDS=$(SEEDS) ANEW_SOAK_KILLS_A_SEED=200 ANEW_SOAK_SWAPS=1000 ANEW_SOAK_DEPENDENCIES=1 \
	  $(BIN)/python -m pytest tests --rows=$(CAMPAIGN) --randomly-seed=$(SEED) --reliability=build/reliability.json
CAMPAIGN := K2,K9,S1,D3,D4,D5,D7,D8,D18,D19,D20,D21,O4,O5

# One resolution of everything, which the locks are then cut from: they cannot disagree. It starts from nothing, since uv
# takes an output that exists for a wish.
lock: ## resolve the newest releases that pyproject.toml admits, and the oldest, into requirements/ (needs uv, and where PyTorch for CPUs is: TORCH_WHEELS)
	@command -v $(UV) >/dev/null || { echo "uv resolves the locks and is not here: install it (pip install uv) or name it (make lock UV=/path/to/uv)" >&2; exit 1; }
	@rm -rf build/lock && mkdir -p build/lock
	@$(UV) pip compile pyproject.toml --all-extras --group dev $(LOCK) --output-file build/lock/all.txt
	@$(UV) pip compile pyproject.toml --group build $(LOCK) --generate-hashes --constraint build/lock/all.txt --output-file build/lock/run.txt
	@$(UV) pip compile pyproject.toml --group dev $(LOCK) --generate-hashes --constraint build/lock/all.txt --output-file build/lock/test.txt
	@$(UV) pip compile pyproject.toml --group build $(LOCK) --generate-hashes --resolution lowest-direct --output-file build/lock/oldest.txt
	@$(UV) pip compile requirements/feast.in $(LOCK) --generate-hashes --output-file build/lock/feast.txt
	@$(UV) pip compile requirements/labelstudio.in $(LOCK) --generate-hashes --output-file build/lock/labelstudio.txt
	@$(UV) pip compile requirements/mlflow.in $(LOCK) --generate-hashes --output-file build/lock/mlflow.txt
	@$(UV) pip compile requirements/ray.in $(LOCK) --generate-hashes --constraint build/lock/all.txt --output-file build/lock/ray.txt
	@$(UV) pip compile requirements/torch.in $(LOCK) --generate-hashes $(if $(TORCH_WHEELS),--find-links $(TORCH_WHEELS)) --constraint build/lock/all.txt --output-file build/lock/torch.txt
	@$(UV) pip compile requirements/docs.in $(LOCK) --generate-hashes --output-file build/lock/docs.txt
	@$(UV) pip compile requirements/deploy.in $(LOCK) --generate-hashes --output-file build/lock/deploy.txt
	@mv build/lock/run.txt build/lock/test.txt build/lock/oldest.txt build/lock/feast.txt build/lock/labelstudio.txt build/lock/ray.txt build/lock/torch.txt build/lock/mlflow.txt build/lock/docs.txt build/lock/deploy.txt requirements/
LOCK := --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url --custom-compile-command "make lock"

# The stamps say which locks .venv was installed from; the larger lock pins the smaller one's releases too.
.venv/run.stamp: requirements/run.txt pyproject.toml .venv/bin/python
	$(call install,what anew runs with,requirements/run.txt)
	@touch $@

.venv/test.stamp: requirements/test.txt requirements/run.txt pyproject.toml .venv/bin/python
	$(call install,what anew and its tests run with,requirements/test.txt)
	@touch .venv/run.stamp $@

# These locks are whole and their releases agree, so nothing is resolved again; what is not imported is not compiled either.
build/feast/stamp: requirements/feast.txt
	@echo "Installing Feast into build/feast: about a minute."
	@rm -rf build/feast && $(PYTHON) -m venv build/feast
	@build/feast/bin/python -m pip --disable-pip-version-check install -qq --no-deps --no-compile --require-hashes --requirement requirements/feast.txt
	@touch $@

build/labelstudio/stamp: requirements/labelstudio.txt
	@echo "Installing Label Studio, a gigabyte, into build/labelstudio: about a minute."
	@rm -rf build/labelstudio && $(PYTHON) -m venv build/labelstudio
	@build/labelstudio/bin/python -m pip --disable-pip-version-check install -qq --no-deps --no-compile --require-hashes --requirement requirements/labelstudio.txt
	@touch $@

build/mlflow/stamp: requirements/mlflow.txt
	@echo "Installing an MLflow server into build/mlflow: half a minute."
	@rm -rf build/mlflow && $(PYTHON) -m venv build/mlflow
	@build/mlflow/bin/python -m pip --disable-pip-version-check install -qq --no-deps --no-compile --require-hashes --requirement requirements/mlflow.txt
	@touch $@

build/deploy/stamp: requirements/deploy.txt
	@echo "Installing what reads manifests into build/deploy: a few seconds."
	@rm -rf build/deploy && $(PYTHON) -m venv build/deploy
	@build/deploy/bin/python -m pip --disable-pip-version-check install -qq --require-hashes --requirement requirements/deploy.txt
	@touch $@

build/docs/stamp: requirements/docs.txt
	@echo "Installing MkDocs into build/docs/env: half a minute."
	@rm -rf build/docs/env && $(PYTHON) -m venv build/docs/env
	@build/docs/env/bin/python -m pip --disable-pip-version-check install -qq --require-hashes --requirement requirements/docs.txt
	@touch $@

# Both see what .venv has, with the releases that it has.
define over
@rm -rf $(1) && $(BIN)/python -m venv $(1)
@$(BIN)/python -c "import site, sysconfig; print('import site; site.addsitedir(' + repr(sysconfig.get_path('purelib')) + ')')" \
  >"$$($(1)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/anew.pth"
endef

build/ray/stamp: .venv/test.stamp requirements/ray.txt Makefile
	@echo "Installing Ray into build/ray: half a minute."
	$(call over,build/ray)
	@build/ray/bin/python -m pip --disable-pip-version-check install -qq --no-compile --require-hashes --requirement requirements/ray.txt
	@printf '#!/bin/sh\nexec "%s/build/ray/bin/python" -P -m anew.cli "$$@"\n' "$(CURDIR)" >build/ray/bin/anew && chmod +x build/ray/bin/anew
	@touch $@

# Elsewhere than on Linux, PyTorch's releases are for CPUs; there those are in an index of their own, which the user names.
build/torch/stamp: .venv/test.stamp requirements/torch.txt Makefile
	@echo "Installing PyTorch into build/torch: about a minute."
	$(call over,build/torch)
	@build/torch/bin/python -m pip --disable-pip-version-check install -qq --no-compile --require-hashes --requirement requirements/torch.txt || { echo "On Linux, PyTorch for CPUs comes from an index of its own; name it in PIP_EXTRA_INDEX_URL, or a folder with its wheel in PIP_FIND_LINKS. The lock knows its wheel for Python 3.11 on x86-64." >&2; exit 1; }
	@touch $@

define install
@echo "Installing $(1) into .venv: about a minute the first time."
@$(PIP) install -qq --require-hashes --requirement $(2)
@$(PIP) install -qq --no-deps --no-build-isolation --editable .
@$(BIN)/python -c "import lightgbm" 2>/dev/null || { echo "LightGBM does not load. It needs the system's OpenMP: apt-get install libgomp1 (Debian, Ubuntu), dnf install libgomp (Fedora), brew install libomp (macOS)." >&2; exit 1; }
endef

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "anew needs Python 3.11 or newer; there is no $(PYTHON) here. Name yours: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "anew needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name a newer one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments. Debian and Ubuntu keep that apart: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
