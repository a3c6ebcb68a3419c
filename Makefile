# Everything runs from a virtual environment that is made on first use, and again when pyproject.toml
# changes. PYTHON chooses the interpreter, JOBS=N runs N tests at once, ARGS goes to pytest.

PYTHON ?= python3
VENV ?= .venv
JOBS ?=
ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest $(if $(JOBS),-n $(JOBS)) $(ARGS)
# What is run again on the other PostgreSQL versions: the tests that look closest at the SQL.
SQL_TESTS := tests/test_contract.py $(addprefix tests/,schema races queues messages hibernation management sqlclient)
# What runs through PgBouncer: with a direct URL to listen on, and without any LISTEN.
POOLER_MODES ?= listen poll
POOLER_TESTS ?= $(addprefix tests/,workflows steps messages queues transactions management client debounce \
	hibernation schedules identity roles pooler)
SOURCES := pyengine tests

# The tests that are over in minutes and need nothing but a server.
QUICK := -m "not slow and not chaos"

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Whose home can't be written to has no cache either.
export PYRIGHT_PYTHON_CACHE_DIR := $(abspath $(VENV))/pyright

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml
	@echo "installing into $(VENV), once"
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "no virtual environment: on Debian, apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.PHONY: demo
demo: $(INSTALLED) ## Run the example: order workflows that survive a crash
	@$(BIN)/python -m pyengine.examples.orders

.PHONY: test
test: $(INSTALLED) ## Run the tests, without the slow ones and those that kill servers
	$(PYTEST) $(QUICK)

.PHONY: test-all
test-all: $(INSTALLED) ## Run all tests
	$(PYTEST)

.PHONY: test-servers
test-servers: $(INSTALLED) ## Run the tests of the SQL on every other PostgreSQL version that is here (SERVERS=directory)
	@for bindir in $${SERVERS:-$$($(BIN)/python -m tests.tools.servers)}; do \
		echo "PostgreSQL in $$bindir"; \
		PYENGINE_PG_BINDIR=$$bindir \
			$(PYTEST) -q -m "not slow and not chaos and not packaging" $(SQL_TESTS) || exit 1; \
	done

# What npm installs for the tests in Node: exactly what package-lock.json names, outside of the sources.
NODE_STAMP := $(VENV)/node/.installed
$(NODE_STAMP): tests/languages/node/package.json tests/languages/node/package-lock.json
	@mkdir -p $(VENV)/node
	@cp $^ $(VENV)/node/
	@npm ci --prefix $(VENV)/node --no-audit --no-fund --silent || \
		{ echo "npm can't install pg: Node 18 or later and its registry are needed" >&2; exit 1; }
	@touch $@

.PHONY: test-languages
test-languages: $(INSTALLED) $(NODE_STAMP) ## Put the workers in Python, Node and psql through the conformance suite (installs pg from npm into .venv)
	PYENGINE_REQUIRE_LANGUAGES=1 $(PYTEST) tests/languages

.PHONY: test-pooler
test-pooler: $(INSTALLED) ## Run the functional tests through PgBouncer (apt install --no-install-recommends pgbouncer)
	@$(BIN)/python -m tests.tools.pooler || exit 1; \
	for mode in $(POOLER_MODES); do \
		echo "through PgBouncer, wake-ups: $$mode"; \
		PYENGINE_TEST_POOLER=$$mode $(PYTEST) -q $(QUICK) $(POOLER_TESTS) || exit 1; \
	done

.PHONY: test-campaigns
test-campaigns: $(INSTALLED) ## Run each chaos campaign for a few seconds (SEED=N)
	$(PYTEST) -q -m campaign tests/chaos

.PHONY: chaos
chaos: $(INSTALLED) ## Prove the promises under faults: CAMPAIGN=failovers SEED=7 MINUTES=30 PACE=4 WORKERS=6 YEARS=10
	@$(BIN)/python -m tests.chaos $(CAMPAIGN) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(PACE),--pace $(PACE)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(YEARS),--years $(YEARS))

.PHONY: gate
gate: $(INSTALLED) ## Let calls meet statement by statement in every order there is time for: MINUTES=30 SEED=7 PAIR=finish-cancel (needs gcc)
	@$(BIN)/python -m tests.gate $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(PAIR),--pair "$(PAIR)")

.PHONY: control
control: $(INSTALLED) ## See that the campaigns' checker finds the known faults of a DBOS release (from PyPI, into .bench/; a minute)
	@$(BIN)/python -m tests.control

.PHONY: coverage
coverage: $(INSTALLED) ## Run the tests and print which lines of Python and which SQL they ran
	@rm -f .coverage .coverage.*
	@server=$$($(BIN)/python -m tests.tools.servers --with-plpgsql-check); \
	if [ -z "$$server" ]; then \
		echo "plpgsql_check is not installed: functions of SQL are counted, statements skipped"; \
	fi; \
	PYENGINE_PG_BINDIR=$${server:-$$PYENGINE_PG_BINDIR} COVERAGE_FILE=$(CURDIR)/.coverage \
		$(BIN)/coverage run -m pytest $(if $(JOBS),-n $(JOBS)) $(QUICK) --sql-coverage $(ARGS); \
	status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report; \
	exit $$status

.PHONY: check
check: lint types contracts verify test ## Run what CI runs

.PHONY: lint
lint: $(INSTALLED) ## Check style: Python and SQL
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/python -m tests.tools.lint_sql

.PHONY: format
format: $(INSTALLED) ## Format the Python code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: types
types: $(INSTALLED) ## Check types, with mypy and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

.PHONY: contracts
contracts: $(INSTALLED) ## Check that imports go one way only
	$(BIN)/lint-imports

.PHONY: generate
generate: $(INSTALLED) ## Write sql/snapshot.sql and the reference in sql/README.md
	$(BIN)/python -m tests.tools.snapshot
	$(BIN)/python -m tests.tools.sql_reference

.PHONY: verify
verify: $(INSTALLED) ## Fail if a generated file is out of date
	$(BIN)/python -m tests.tools.snapshot --verify
	$(BIN)/python -m tests.tools.sql_reference --verify

.PHONY: check-plpgsql
check-plpgsql: $(INSTALLED) ## Check function bodies (apt install --no-install-recommends postgresql-15-plpgsql-check)
	@server=$$($(BIN)/python -m tests.tools.servers --with-plpgsql-check); \
	if [ -z "$$server" ]; then \
		echo "plpgsql_check is not installed: apt install --no-install-recommends postgresql-15-plpgsql-check"; \
		exit 1; \
	fi; \
	PYENGINE_PG_BINDIR=$$server $(BIN)/python -m pytest $(ARGS) tests/schema/test_plpgsql_check.py

.PHONY: mutants
mutants: $(INSTALLED) ## Take the guards of the SQL away one by one and see that the tests notice: ONLY=lock PROCESSES=2 (long)
	@$(BIN)/python -m tests.tools.mutants --only "$(ONLY)" --processes $(or $(PROCESSES),2)

.PHONY: audit
audit: $(INSTALLED) ## Look for known holes in the dependencies and for risky code (installs pip-audit and bandit into .venv/audit)
	@$(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install --quiet pip-audit bandit
	@$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/audit/requirements.txt
	@# What ruff's S rules look at line by line, with a reason for each exception, is left to them.
	$(VENV)/audit/bin/bandit --quiet --recursive --severity-level medium --confidence-level medium --skip B108,B301 pyengine
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $(VENV)/audit/requirements.txt

.PHONY: bench
bench: $(INSTALLED) ## Measure beside the peers: WORKLOAD=W1,W4d ROUNDS=3 SUBJECT=pyengine,dbos
	@$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@$(BIN)/python -m tests.bench

.PHONY: psql
psql: $(INSTALLED) ## Open psql on the embedded server, or where PYENGINE_DATABASE_URL says
	@$(BIN)/pyengine psql

.PHONY: build
build: $(INSTALLED) ## Build the wheel and the source distribution into dist/
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m pytest $(ARGS) tests/schema/test_packaging.py

.PHONY: release-migrations
release-migrations: $(INSTALLED) ## Freeze the migrations of a release
	$(BIN)/python -m tests.tools.release_migrations

.PHONY: clean
clean: ## Remove everything that make made
	rm -rf $(VENV) .bench build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
