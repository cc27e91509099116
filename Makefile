# make setup  the virtual environment in .venv, with all dependencies
# make demo   a replay of generated attacks, with a report of the alerts
# make bench  speed and cost, each figure beside its alternative
# make docs   the documentation as a site in build/site; fails if a page is not current
# make docs-assets  renews the output of commands in the documentation and the examples
# make test-full  the random tests of make test-all with many more examples
# make test-configured  the tests in copies of the repository with six configurations of users
# make test-users  the steps of a user with the built wheel, from the installation to an upload
# make test-matrix  the wheel with other versions of panther_analysis_tool and other dependencies
# make attacks  hostile input, kills and failures: attacks tried and withstood, by area
# make mutants  mutation testing of the helpers and the correlation evaluator
# make audit  known vulnerabilities of the exact versions in constraints.txt
# make sbom   the bill of materials of an installation, as CycloneDX, in build/sbom.cdx.json
# make release  all checks, then the wheel, its bill of materials, hashes, notes and the tag
# make lint   formatting, types, layers, and panther-analysis' own lint of the content
# make test   quick checks: formatting, types, panther_analysis_tool test, the quick tests
# make test-all  the checks of CI: lint, panther_analysis_tool test without and with an instance, all tests

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DEMO := build/demo
CONTENT := rules global_helpers data_models

# Tests start hundreds of processes; without compiled modules, each compiles this package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo bench docs docs-assets test test-all test-full test-configured test-users \
	test-matrix attacks mutants audit sbom release lint content-test pytest format clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: .venv/ready

demo: .venv/ready
	@rm -rf $(DEMO)
	$(BIN)/local-panther simulate $(DEMO)/denied --shuffle --duplicates 0.1 --background 5000 \
		--blocklisted arn:aws:iam::123456789012:role/FullAdminRole
	$(BIN)/local-panther simulate $(DEMO)/succeeded --principal role --rotate-sessions --succeed 2 \
		--start 2026-01-05T14:00:00 --seed 2 --background 0
	$(BIN)/local-panther replay $(DEMO) --include-disabled --report $(DEMO)/report.html

bench: .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(BIN)/python -m benchmarks

# A separate environment: mkdocs needs a newer Pygments than panther_analysis_tool.
docs: .venv/ready-dev
	$(BIN)/python docs/tools/outputs.py --check
	$(PYTHON) -m venv .venv/docs
	.venv/docs/bin/pip install --quiet --disable-pip-version-check -r docs/tools/requirements.txt
	NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs build --strict --quiet

docs-assets: .venv/ready-dev
	$(BIN)/python docs/tools/outputs.py
	$(BIN)/python docs/tools/picture.py

test: .venv/ready-dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --strict local_panther
	$(BIN)/panther_analysis_tool test --show-failures-only
	TEST_SCALE=quick $(BIN)/pytest --numprocesses auto --dist worksteal -m "not long and not process"

test-all: lint content-test pytest

test-full: .venv/ready-dev
	TEST_SCALE=full $(BIN)/pytest --numprocesses auto --dist worksteal

test-configured: .venv/ready-dev
	$(BIN)/python -m tests.configured

test-users: .venv/ready-dev
	TEST_SCALE=full $(BIN)/pytest --numprocesses auto --dist loadfile \
		tests/test_user_paths.py tests/test_installation.py tests/ci

test-matrix: .venv/ready-dev
	$(BIN)/python -m tests.matrix

attacks: .venv/ready-dev
	$(BIN)/python -m tests.attacks --numprocesses auto --dist worksteal

mutants:
	$(PYTHON) -m venv .venv/mutation
	.venv/mutation/bin/pip install --quiet --disable-pip-version-check \
		-r tests/mutation/requirements.txt . -c constraints.txt
	.venv/mutation/bin/pip uninstall --quiet --yes local-panther # a copy is mutated
	.venv/mutation/bin/python tests/mutation/run.py

# --strict: a version that cannot be looked up is a failure
audit:
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.venv/audit/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt

# All packages of an installation, with versions and licences.
sbom:
	$(PYTHON) -m venv .venv/sbom
	.venv/sbom/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0
	$(PYTHON) -m venv --clear .venv/shipped
	.venv/shipped/bin/pip install --quiet --disable-pip-version-check . -c constraints.txt
	mkdir -p build
	.venv/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-file build/sbom.cdx.json .venv/shipped/bin/python

release: .venv/ready-dev
	$(MAKE) test-all docs test-users audit sbom
	$(BIN)/python tools/release.py

lint: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict local_panther benchmarks tools
	MYPYPATH=global_helpers $(BIN)/mypy --strict global_helpers/*.py
	$(BIN)/lint-imports --no-logo
	$(BIN)/black --quiet --check $(CONTENT)
	$(BIN)/isort --quiet --check-only $(CONTENT)
	$(BIN)/pylint --score=n $(CONTENT)
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(CONTENT)
	$(BIN)/hadolint Dockerfile
	$(BIN)/zizmor --quiet --offline --no-progress .github examples action.yml
	$(BIN)/codespell

content-test: .venv/ready
	$(BIN)/panther_analysis_tool test --show-failures-only
	$(BIN)/local-panther test --show-failures-only

pytest: .venv/ready-dev
	$(BIN)/pytest --numprocesses auto --dist worksteal

format: .venv/ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build

.venv/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	@rm -rf local_panther.egg-info # an older set-up leaves it, with old versions
	$(BIN)/pip install --quiet --disable-pip-version-check -e . -c constraints.txt
	@touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@
