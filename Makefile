# Everything runs in .venv, made from a bare python3 >= 3.11. `make demo` and `make test` need nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Beyond four processes the tests that start processes of their own get in each other's way.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal
SDK_VENV := .venv-sdk
SDK_READY := $(SDK_VENV)/.ready

.PHONY: help setup demo test test-sdk dry-run check fast-test format docs torture clean

help:
	@echo "make demo    set up, then train for real on this machine: validate, plan, submit, report"
	@echo "make test    set up, then every test"
	@echo "make check   set up, then linters, types, import contracts, spelling and the fast tests"
	@echo "make torture set up, then the tests that kill and disturb thousands of times; half an hour"
	@echo "make test-sdk  set up .venv-sdk with the SageMaker SDK, 1 GB, then the tests that need it"
	@echo "make dry-run set up, then the container lanes: build the CPU image, check it, rehearse in it; best as root"
	@echo "make format  rewrite the code in the house format"
	@echo "make docs    regenerate what is generated under docs/"
	@echo "make clean   remove .venv, .venv-sdk and everything that was built"

setup: $(READY)

# PIP_CONSTRAINT also pins what the build itself installs. torch is pinned there: an open range would
# fetch gigabytes of CUDA libraries on machines without a GPU.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("cloudcpt needs Python 3.11 or newer; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --editable '.[train,data,distributed,fake,dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/python recipes/demo/run.py

test: $(READY)
	$(PYTEST)

# Of its own, because the SDK cannot take the versions in constraints.txt. One of its dependencies, smdebug_rulesconfig,
# installs its tests as a package called `tests`, which would hide ours. Most of what comes is never imported, so pip
# compiles nothing: that would be another 350 MB.
$(SDK_READY): pyproject.toml constraints-sdk.txt
	$(PYTHON) -m venv $(SDK_VENV)
	PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=constraints-sdk.txt $(SDK_VENV)/bin/python -m pip install --quiet --no-compile --editable '.[sagemaker,fake,dev]' sagemaker-mlops
	rm -rf $(SDK_VENV)/lib/python*/site-packages/tests
	@touch $(SDK_READY)

# The import comes first: where the SDK is missing the tests skip themselves, and that is no success here.
test-sdk: $(SDK_READY)
	$(SDK_VENV)/bin/python -c 'import sagemaker.train'
	$(SDK_VENV)/bin/python -m pytest moto_tests/test_sdk_request.py tests/aws/test_sdk_extra.py

# A lane that this machine does not allow says "not run" and why; only one that failed is a failure.
dry-run: $(READY)
	PYTHON=$(BIN)/python container/lane

torture: $(READY)
	$(BIN)/python -m pytest -m torture

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(PYTEST) -m 'not train and not slow'

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) $(SDK_VENV) build
