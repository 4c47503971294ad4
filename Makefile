# Everything a person or CI runs. Needs Python 3.11 or newer with venv, and make; nothing else.
#
#   make run                      set up .venv, open the workbench (ARGS="-m MODEL" for its options)
#   make test                     set up .venv, run every test (ARGS="tests/unit -k table" for some)
#   make install                  put `qwill` into ~/.local/bin, with a venv of its own
#   make setup TORCH=cpu          pick the torch build: cpu (small), cuda or rocm
#
# Without TORCH the package index decides; on Linux that is the CUDA build. TORCH_INDEX=URL names another one,
# for another ROCm release, say. Choosing again replaces the build that is there.

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PREFIX ?= $(HOME)/.local
INSTALLED := $(PREFIX)/share/qwill/venv
ARGS ?=
WORKERS ?= 3
MINUTES ?= 30
TORCH ?=
ifneq ($(filter-out cpu cuda rocm,$(TORCH)),)
$(error TORCH is "$(TORCH)"; it can be cpu, cuda or rocm)
endif
TORCH_INDEX ?= $(if $(filter cpu,$(TORCH)),https://download.pytorch.org/whl/cpu,$(if \
	$(filter rocm,$(TORCH)),https://download.pytorch.org/whl/rocm7.2))
PIP_FLAGS := --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
READY := $(VENV)/.ready$(addprefix -,$(TORCH))
unexport PYTHONDONTWRITEBYTECODE  # each process would compile Qwill anew, and the tests start hundreds

CHECK_PYTHON = test -n "$(PYTHON)" || \
	{ echo "Qwill needs Python 3.11 or newer; say where it is with make PYTHON=/path/to/python3"; exit 1; }; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	{ echo "Python's venv module is missing; on Debian: apt install python3-venv"; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help setup run test check faults soak deep bench install uninstall clean

help:  ## what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(READY)  ## create .venv with everything; quick when nothing changed

$(READY): pyproject.toml constraints.txt
	@$(CHECK_PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH),$(BIN)/python -m pip uninstall -q -y torch)
	$(BIN)/python -m pip install -q --no-compile $(PIP_FLAGS) -e '.[dev]'
# pip would compile on one core.
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	$(if $(TORCH),rm -f $(VENV)/.ready-*)
	touch $(VENV)/.ready $@

run: setup  ## open the workbench
	$(BIN)/qwill $(ARGS)

# A file at a time to whoever is free, in this order: the long ones first, or the end waits for one of them.
# One thread each: two tests at once that both compute on all cores wait for each other.
test: setup  ## every test; those of a person's patience have the machine to themselves
ifeq ($(ARGS),)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
		-m "not alone" tests/e2e tests/faults tests/engine tests/protocol tests/tui tests/unit
	$(BIN)/python -m pytest -q -m alone tests/e2e
else
	$(BIN)/python -m pytest -q $(ARGS)
endif

check: setup  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: setup  ## deaths and full disks in full counts; takes an hour
	QWILL_FAULTS=1 $(BIN)/python -m pytest -q -s tests/faults $(ARGS)

soak: setup  ## chat, runs and a monitor for MINUTES (30): what leaks, and what is burnt while idle
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.soak $(MINUTES) $(ARGS)

deep: setup  ## what `make test` leaves out for time: the same promises in more shapes
	QWILL_FAULTS=1 $(BIN)/python -m pytest -q tests/engine tests/protocol tests/unit/test_systemd.py \
		tests/e2e/test_real_models.py tests/e2e/test_own_pairs.py tests/e2e/test_cli_train.py tests/e2e/test_tour.py \
		tests/e2e/test_drops.py tests/e2e/test_remote_workbench.py \
		tests/e2e/test_wire_budgets.py tests/e2e/test_wire_deaths.py tests/e2e/test_wire_tmux.py $(ARGS)

bench: setup  ## start-up, first paint and speed of the demo, as numbers (ARGS="-m MODEL" for another)
	$(BIN)/python -m tests.bench.startup
	$(BIN)/qwill bench decode $(ARGS)
	$(BIN)/qwill bench ttft $(ARGS)

install:  ## put qwill on the PATH (~/.local/bin)
	@$(CHECK_PYTHON)
	test -x $(INSTALLED)/bin/python || $(PYTHON) -m venv $(INSTALLED)
	$(if $(TORCH),$(INSTALLED)/bin/python -m pip uninstall -q -y torch)
	$(INSTALLED)/bin/python -m pip install -q $(PIP_FLAGS) .
	mkdir -p $(PREFIX)/bin
	ln -sf $(INSTALLED)/bin/qwill $(PREFIX)/bin/qwill
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) echo "qwill is installed: run it with qwill";; \
		*) echo "qwill is installed; add $(PREFIX)/bin to your PATH, or run $(PREFIX)/bin/qwill";; esac

uninstall:  ## take it away again; chats and settings stay
	rm -rf $(INSTALLED) $(PREFIX)/bin/qwill

clean:  ## remove the venv and all caches
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
