# `make run` shows the whole system at work, `make test` runs the tests. Both need Python 3.10+ and set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Many tests wait for programs that they start: three workers use two cores.
PYTEST ?= -n 3 --dist loadfile --no-loadscope-reorder
ARGS := $(if $(CAMERA),--camera "$(CAMERA)") $(if $(CLIP),--clip "$(CLIP)")

.PHONY: run test check docs bench faults train-setup clean

run: $(VENV)/demo.stamp
	$(BIN)/python -m demo $(ARGS)

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(PYTEST)

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/check_language.py
	$(BIN)/python .ci/check_links.py

docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo build/site/index.html

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.speed.stages

faults: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.faults $(FAULTS)

train-setup: $(VENV)/train.stamp

clean:
	rm -rf $(VENV) out build dist

$(VENV)/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or newer is needed, such as: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	touch $@

$(VENV)/demo.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --progress-bar on --editable '.[edge,update,collector]' --group demo
	touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp
	$(BIN)/python -m pip install --progress-bar on --editable '.[fleet,report,scale,sync]' --group dev
	touch $@

$(VENV)/docs.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --progress-bar on --group docs
	touch $@

$(VENV)/train.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --progress-bar on --group train
	touch $@
