# make run    sets everything up and makes the sample cards      make test   all tests
# make check  format, lint, types, import contracts, tests       make setup  packages and .venv alone
# make chaos  every chip torn at every command, then 200 seeded rounds of trouble (ROUNDS=20 SEED=5 for others)
# make bench  every figure beside its reference, and a page of them: build/bench.html

SHELL := /bin/bash
# Debian keeps pcscd in /usr/sbin, which is not on the PATH of an ordinary user.
export PATH := $(PATH):/usr/sbin:/sbin
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
BIN := .venv/bin
STATE ?= state
RECORDS ?= simulators/records

# What the line itself needs, and what the judges in the tests need besides.
RUN_PACKAGES := softhsm2 pcscd vsmartcard-vpcd opensc openssl libpcsclite-dev python3-venv python3-dev gcc iproute2 util-linux
TEST_PACKAGES := tesseract-ocr poppler-utils cups-ipp-utils postgresql

.PHONY: run test check setup packages test-packages format lint types contracts bench chaos

run: setup
	$(BIN)/perso run --records $(RECORDS) --state $(STATE)

test: setup test-packages
	$(BIN)/pytest

check: setup lint types contracts test

setup: packages .venv/.ready

packages:
	@$(call install,$(RUN_PACKAGES))

test-packages:
	@$(call install,$(TEST_PACKAGES))

# Installs what is missing; without root or sudo it says what is missing and goes on.
define install
missing=$$(for package in $(1); do dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q '^install ok' || echo $$package; done); \
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" = 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; \
else echo "not installed, and neither root nor sudo:" $$missing; exit 0; fi; \
echo "installing" $$missing; \
$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null
endef

.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

bench: setup
	$(BIN)/perso bench all --json --records $(RECORDS) --page build/bench.html

ROUNDS ?= 200
SEED ?= 1

chaos: setup test-packages
	$(BIN)/pytest -q --thorough tests/chaos/test_torn_at_every_apdu.py tests/chaos/test_faults_of_both_kinds.py
	$(BIN)/python -m tests.chaos.rounds --rounds $(ROUNDS) --seed $(SEED)
