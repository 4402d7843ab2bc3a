# Each target makes its own virtual environment where there is none: Python 3.11 or later and make are enough.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help demo test stack stack-test lint format bench proof fuzz clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.installed  ## three real services, ten real requests, one ID each: how it looks
	@$(BIN)/trackline demo $(ARGS)

test: $(VENV)/.installed  ## all tests, with coverage; COVERAGE=no without it, in less time
ifeq ($(COVERAGE),no)
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report
endif

stack: $(VENV)/.installed  ## find or build Filebeat 9 and 7, the OpenTelemetry Collector and Elasticsearch (the first time: minutes)
	@$(BIN)/python tests/stack/binaries.py

OLDER = filebeat.py filebeat_containers.py filebeat_fleet.py filebeat_hostile.py filebeat_security.py logrotate.py loss.py search_shipped.py
stack-test: $(VENV)/.installed  ## tests with these (minutes); STRICT=1 fails without them, ARGS="--full" is the whole proof
	@$(BIN)/python tests/stack/binaries.py || true
	TRACKLINE_STACK_STRICT=$(STRICT) $(BIN)/python -m pytest tests/stack $(ARGS)
	TRACKLINE_STACK_STRICT=$(STRICT) $(BIN)/python -m pytest $(addprefix tests/stack/test_,$(OLDER)) --filebeat 7 $(ARGS)

lint: $(VENV)/.installed  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed  ## ruff's formatter and safe fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.installed-bench  ## side by side with the peers (minutes); ARGS="--quick --parts A" for less
	$(BIN)/python bench/bench.py $(ARGS)

proof: $(VENV)/.installed  ## 1.6 million lines of gunicorn's workers, and the audit of them (a minute or two)
	$(BIN)/python bench/proof.py $(ARGS)

fuzz: $(VENV)/.installed-fuzz  ## coverage-guided fuzzing of the parsers, ten minutes; ARGS="-max_total_time=60" for less
	@mkdir -p fuzz/corpus
	$(BIN)/python fuzz/parsers.py -max_total_time=600 -rss_limit_mb=2048 -print_final_stats=1 $(ARGS) fuzz/corpus fuzz/seeds

clean:  ## the virtual environment and everything that was made
	rm -rf $(VENV) .coverage* bench/out dist

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "trackline needs Python 3.11 or later; '$(PYTHON)' is not. Say: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,httpx,zstd]' --group test --group lint
	@# What pip refuses beside the newest of others, and works: arq wants redis<6, the other 0.66b1 of what it stands on.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps arq $(addprefix opentelemetry-instrumentation-,\
	  aio-pika aiohttp-client flask threading urllib3 wsgi)
	@touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt atheris
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed bench/requirements.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement bench/requirements.txt
	@touch $@
