PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# How many processes run the tests.
TEST_WORKERS ?= 2

# `make lock` keeps the versions that are locked unless told otherwise: LOCK_FLAGS=--upgrade
LOCK_VENV  := .venv-lock
LOCK_STAMP := $(LOCK_VENV)/.installed
LOCK_FLAGS ?=
PIP_TOOLS  := pip-tools==7.6.2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# $(1) is the folder of the environment to create, if it is not there yet.
define create_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Cellstack needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
	echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	exit 1; }
@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1)
endef

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(STAMP): requirements.lock pyproject.toml
	$(call create_venv,$(VENV))
	@echo "Installing into $(VENV) (a minute or two the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: install
install: $(STAMP) ## Create .venv with the locked dependencies and the project in it

.PHONY: quickstart
quickstart: install ## Install, then run a small search from beginning to end
	@$(BIN)/nas search quickstart

.PHONY: end-to-end
end-to-end: install ## Search, stack, train, test and transfer on CIFAR-10, small; NAS_DATA names its folder
	@$(BIN)/python tests/end_to_end.py

.PHONY: test
test: install ## Run the tests
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: test-slow
test-slow: install ## Run the tests that take longer
	@$(BIN)/python -m pytest -m slow

.PHONY: check
check: install ## Check style, formatting and types
	@echo "ruff check"
	@$(BIN)/ruff check
	@echo "ruff format --check"
	@$(BIN)/ruff format --check
	@echo "mypy"
	@$(BIN)/mypy

.PHONY: format
format: install ## Format the code and fix what can be fixed
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

.PHONY: benchmark
benchmark: install ## Run every program in tests/benchmarks, one after another
	@for file in $(sort $(wildcard tests/benchmarks/*.py)); do \
		case $$file in */_*|*/conftest.py) continue;; esac; \
		echo "$$file"; \
		$(BIN)/python $$file || exit 1; \
	done

.PHONY: gpu-campaign
gpu-campaign: install ## Measure everything worth measuring on a GPU into runs/gpu_campaign; tiny where there is none
	@$(BIN)/python tools/gpu_campaign.py

$(LOCK_STAMP): Makefile
	$(call create_venv,$(LOCK_VENV))
	@echo "Installing $(PIP_TOOLS) into $(LOCK_VENV)"
	@$(LOCK_VENV)/bin/python -m pip install -qq --disable-pip-version-check "$(PIP_TOOLS)"
	@touch $@

# The oldest supported Python writes the lock, as newer ones need no package more.
# What differs between machines stays out of it: hashes and the local tag of the
# PyTorch build, the CUDA packages that some builds ask for, and where the packages
# were found.
.PHONY: lock
lock: $(LOCK_STAMP) ## Write requirements.lock anew (LOCK_FLAGS=--upgrade takes newer versions)
	@$(LOCK_VENV)/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "The lock is written with Python 3.11: rm -r $(LOCK_VENV); make PYTHON=python3.11 lock" >&2; exit 1; }
	@echo "Resolving cellstack[all,dev] (about a minute)"
	@rm -f $(LOCK_VENV)/resolved
	@test ! -e requirements.lock || cp requirements.lock $(LOCK_VENV)/resolved
	@$(LOCK_VENV)/bin/pip-compile --quiet --no-config --extra all --extra dev --strip-extras --allow-unsafe \
		--no-header --annotation-style=line --no-emit-options \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		$(LOCK_FLAGS) --output-file $(LOCK_VENV)/resolved pyproject.toml
	@{ echo "# Written by 'make lock': what cellstack[all,dev] needs, for Python 3.11 and 3.12."; \
		sed -E -n -e '/^(nvidia-|cuda-|triton)/d' \
			-e 's/^([A-Za-z0-9._-]+==[^+ ;]+)\+[A-Za-z0-9.]+/\1/' \
			-e 's/cellstack, cellstack \(pyproject.toml\)/cellstack/; s/ \(pyproject.toml\)//' \
			-e 's/ +# via/  # via/' -e '/^[A-Za-z0-9._-]+==/p' $(LOCK_VENV)/resolved | LC_ALL=C sort; \
	} > $(LOCK_VENV)/written
	@mv $(LOCK_VENV)/written requirements.lock
	@grep -c == requirements.lock | sed 's/$$/ packages in requirements.lock/'

.PHONY: catalogue
catalogue: install ## Write docs/catalogue.md anew
	@$(BIN)/python tools/catalogue.py

.PHONY: course
course: catalogue ## Write docs/catalogue.md and docs/course.md anew
	@$(BIN)/python tools/course.py

.PHONY: bubbles
bubbles: install ## Draw docs/pictures/imagenet_bubbles.svg anew
	@$(BIN)/python tools/bubbles.py

.PHONY: clean
clean: ## Remove the environment, the caches and what was built
	@rm -rf $(VENV) $(LOCK_VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find nas search_spaces tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
