# Two commands matter to a new user: `make run` and `make test`. Each sets up what it needs first.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := books tap-opsmerge target-quickbooks tap-quickbooks-payments target-opsmerge target-duckdb sandbox
SOURCES := $(PACKAGES:%=%/src)
UV := $(BIN)/uv

# A set-up is current while neither the lock nor a package's metadata changed.
RUNTIME := .venv/.runtime-installed
DEVELOPMENT := .venv/.development-installed

.PHONY: catalogs help setup run test check format bench soak reset-demo lock clean

help: ## What each command does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(RUNTIME) ## One virtual environment with Meltano, the plugins and the simulators

run: $(RUNTIME) ## The whole flow on the bundled simulators, ending with the drift report
	@$(BIN)/python scripts/demo.py

test: $(DEVELOPMENT) ## All tests
	@$(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

check: $(DEVELOPMENT) ## Format, lint, types, layers, and no vendor's name where it should not stand
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/python scripts/vendor_names.py

format: $(DEVELOPMENT) ## Put the code into its one format
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

bench: $(DEVELOPMENT) ## Benchmarks, as ratios in one run, into docs/benchmarks.md
	@$(BIN)/python bench/run.py

soak: $(DEVELOPMENT) ## Long proof runs
	@$(BIN)/python -m pytest -q -m soak

reset-demo: ## Forget the demo's simulators, store, warehouse and Meltano state
	@rm -rf .demo warehouse/demo plans/demo
	@[ ! -x $(BIN)/python ] || $(BIN)/python scripts/forget_demo_state.py

catalogs: $(RUNTIME) ## What each tap sends, by `select` and `metadata` of meltano.yml
	@$(BIN)/python scripts/catalogs.py

lock: $(DEVELOPMENT) ## Resolve anew, for every supported Python, into the committed lock files
	@$(UV) lock --quiet --upgrade
	@$(UV) export --frozen --no-dev --no-emit-workspace --no-header --no-annotate --quiet -o requirements.lock
	@$(UV) export --frozen --only-dev --no-emit-workspace --no-header --no-annotate --quiet -o requirements-dev.lock
	@awk '/^uv==/ {on=1; print; next} on && /^    --hash/ {print; next} {on=0}' requirements.lock > requirements-uv.lock

clean: ## Remove the virtual environment and all caches
	@rm -rf .venv .meltano .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis transform/target

.venv/bin/uv: requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.version_info >= (3, 14))' \
	  || { echo "Python 3.11 to 3.13 is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv (once, under a minute) ..." >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-uv.lock
	@touch $@

# Third-party packages by hash, then our own editable: pip and uv refuse hashes on editable packages.
# Byte-compiled once, here: Meltano starts several Python processes in each run.
$(RUNTIME): .venv/bin/uv requirements.lock $(PACKAGES:%=%/pyproject.toml)
	@$(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation $(PACKAGES:%=-e ./%)
	@$(BIN)/python -m compileall -q $(SOURCES)
	@mkdir -p .meltano && chmod 700 .meltano # Meltano puts plugin settings there, secrets among them
	@touch $@

$(DEVELOPMENT): $(RUNTIME) requirements-dev.lock
	@$(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements-dev.lock
	@touch $@
