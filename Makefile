# Both targets work as the first command on a fresh machine with Python 3.11 to 3.14 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BASE := .venv
DEV := .venv-dev
NEWEST := .venv-newest
# Versions that the tests passed with; CONSTRAINTS= takes the newest. Other Pythons beside it: make test PYTHON=python3.13 DEV=.venv-3.13
CONSTRAINTS ?= constraints.txt
CONSTRAINT = $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: demo test pytest newest lint docs benchmark clean

# Base install only: no torch. make demo PHOTO=yours.jpg predicts on yours.
demo: $(BASE)/.installed
	$(BASE)/bin/python examples/demo.py $(if $(PHOTO),"$(PHOTO)")

# Side by side: the types take a quarter of a minute on one core, and some tests wait.
test: $(DEV)/.installed
	$(MAKE) --jobs 2 lint pytest

# One thread a worker: threads of several workers that wait for each other take three times as long, and more. Tests
# start many Pythons, which without stored bytecode would each compile the package again.
# ORDER=random runs them in random order and prints its seed; `python -m pytest -p randomly --randomly-seed SEED` repeats it.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
PYTEST_OPTIONS := -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(if $(filter random,$(ORDER)),-p randomly -v)

pytest: $(DEV)/.installed
	$(PYTEST) $(DEV)/bin/python -m pytest $(PYTEST_OPTIONS)

# All tests with the newest releases of all packages, in an environment that each call brings up to date.
newest:
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev,all]'
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --no-deps mediapipe rtmlib
	$(NEWEST)/bin/python -m pip list --format freeze | grep -E '^(torch|numpy|opencv|onnx)'
	$(PYTEST) $(NEWEST)/bin/python -m pytest $(PYTEST_OPTIONS)

lint: $(DEV)/.installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/pyrefly check --python-interpreter-path $(DEV)/bin/python
	$(DEV)/bin/lint-imports
	$(DEV)/bin/python tools/filler_names.py

# The site in site/: open site/index.html, no server needed.
docs: $(DEV)/.installed
	NO_MKDOCS_2_WARNING=1 $(DEV)/bin/python -m mkdocs build --strict

benchmark: $(DEV)/.installed
	$(DEV)/bin/python benchmarks/evaluation.py
	$(DEV)/bin/python benchmarks/large_files.py evaluation

# Not compiled: that takes as long as all the rest of installing, and the demo needs little of it. Python compiles and
# stores the bytecode of what is imported by itself.
$(BASE)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(BASE)
	$(BASE)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check $(CONSTRAINT) \
	  --editable .
	touch $@

# mediapipe and rtmlib ask for two more OpenCVs, in the place of the headless one, which serves them as well.
$(DEV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python -m pip install --quiet $(CONSTRAINT) --editable '.[dev,all]'
	$(DEV)/bin/python -m pip install --quiet $(CONSTRAINT) --no-deps mediapipe rtmlib
	touch $@

clean:
	rm -rf $(BASE) $(DEV) .venv-* $(NEWEST) demo site
