# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= runs/quick

.PHONY: leaderboard test test-slow lint format type bench board docs clean

leaderboard: $(VENV)/.installed
	$(BIN)/adaps leaderboard run --suite quick --out $(OUT)

test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow"

test-slow: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup -m slow

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test
	$(BIN)/adaps bench

# The official board from its records: tables and pictures in docs, and the board's own site in build/board.
board: $(VENV)/.installed
	$(BIN)/python docs/make_board.py build/board

# The site, into build/site; a broken link or an unresolved reference is an error.
docs: $(VENV)/.installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html is the site's first page"

# torch goes first and alone, at a fixed version: an open range may pull gigabytes of CUDA libraries.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV), once: first torch (some hundred megabytes), then the other libraries"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[leaderboard]"
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing the libraries of the tests into $(VENV), once"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
