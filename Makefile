# `make play`, `make train` and `make test` need nothing but Python 3.11 or newer and make; the first of them makes .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that share the tests, by file. Many more make tests slow that start processes of their own.
WORKERS ?= 2
PINS := pyproject.toml constraints.txt

.PHONY: play train test test-slow test-all lint docs bench soak clean
.DELETE_ON_ERROR:

# The page, with a game against a trained network that comes with selfplay.
play: $(VENV)/.installed
	$(BIN)/selfplay serve

train: $(VENV)/.installed
	$(BIN)/selfplay train configs/connect_four.yaml

PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# All but the tests that are marked slow.
test: $(VENV)/.installed-dev
	$(PYTEST) -m 'not slow'

test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m slow

test-all: $(VENV)/.installed-dev
	$(PYTEST)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages and a reference of the Python interface, in site/. Its search needs a server: python -m http.server -d site
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(VENV)/.installed
	set -e; for script in $(filter-out %/bench_report.py,$(wildcard benchmarks/bench_*.py)); do $(BIN)/python $$script; done

soak: $(VENV)/.installed
	$(BIN)/python benchmarks/soak.py --out runs/soak-$$(date +%Y%m%d-%H%M%S)

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
	find games nets search selfplay tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'error: Python 3.11 or newer is needed; name it with make PYTHON=python3.11' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(PINS)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@
