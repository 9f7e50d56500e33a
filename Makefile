PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
LOWEST_TESTS := $(addprefix tests/,agents/base/test_cli.py agents/common/test_checkpoints.py $(addprefix trading_env/,data/test_market.py \
	data/test_time_columns.py features/test_build.py kernel/test_account.py envs/test_parity.py))
.DEFAULT_GOAL := help
.PHONY: help venv demo certify certify-quick labs docs test test-fast lint types format lowest

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

venv: $(VENV)/.ready ## set up .venv with the pinned set of constraints.txt

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trading-env needs Python >= 3.11; set PYTHON=")'
	@echo 'Setting up $(VENV): about 90 s with a fast connection, most of it for torch, of which pip reports the progress.'
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --disable-pip-version-check -c constraints.txt pip -e '.[dev]'
	@touch $@
	@echo 'Ready: $(BIN)/python, or "source $(BIN)/activate" and then python.'

demo: venv ## train DQN and SB3's DQN on a bundled stock, print and save the comparison (1 to 4 minutes)
	$(BIN)/python -m benchmarks compare --demo

certify: venv ## agents on problems whose optimum is known (hours; what is kept is not trained again)
	$(BIN)/python -m benchmarks certify

certify-quick: venv ## its short form (2 minutes)
	$(BIN)/python -m benchmarks certify --quick

labs: venv ## run all notebooks of the course, and check all solutions and planted mistakes (4 minutes)
	$(BIN)/python -m pytest -n auto -q tests/course

docs: venv ## build the site into site/, with pages for every public name and lab (half a minute)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo 'Ready: site/index.html; with search: $(BIN)/python -m http.server -d site'

lint: venv ## ruff, lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: venv ## mypy, strict on trading_env and agents
	$(BIN)/mypy

lowest: ## the core and the agents with the lowest versions that pyproject.toml allows, in .venv-lowest (5 minutes)
	rm -rf $(LOWEST)
	$(PYTHON) -m venv --without-pip $(LOWEST)
	$(PYTHON) .ci/lowest.py agents > $(LOWEST)/requirements.txt
	$(PYTHON) -m pip --python $(LOWEST)/bin/python install -q --disable-pip-version-check -r $(LOWEST)/requirements.txt
	PYTHONPATH=. $(LOWEST)/bin/python -m agents.dqn --env CartPole-v1 --total-timesteps 500 --no-progress-bar
	PYTHONPATH=. $(LOWEST)/bin/python -m pytest -q -p no:cacheprovider $(LOWEST_TESTS)

test: lint types ## lint, types and tests, on every core
	$(BIN)/python -m pytest -n auto

test-fast: venv ## the files of tests that take a few seconds at most (about a minute)
	$(BIN)/python -m pytest -n auto -q -m 'not slow'

format: venv ## ruff's formatter and its fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
