# make run    set up and check the flights example; ends with 0 when the checks ran, whatever they found
# make test   set up and pass the tests
# make prove  the long proofs behind the claims of the documentation
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test prove lab docs clean setup

setup: .venv/.ready

.venv/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("prodnb needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

run: .venv/.ready
	$(BIN)/prodnb example flights .
	$(BIN)/prodnb run || test $$? -eq 1

test: .venv/.ready
	$(BIN)/ruff check prodnb nbs templates tests benchmarks
	$(BIN)/ruff format --check nbs templates tests benchmarks
	$(BIN)/python -m compileall -q prodnb  # hundreds of processes import it, also where no bytecode is written
	$(BIN)/python -m pytest -m "not prove" -n 2 --dist loadfile
	$(BIN)/nbdev-test nbs

prove: .venv/.ready
	$(BIN)/python -m pytest -m prove

lab: .venv/.ready
	$(BIN)/prodnb lab

clean:
	rm -rf build dist _docs _proc *.egg-info .pytest_cache .ruff_cache .hypothesis
