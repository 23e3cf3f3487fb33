# `make study` runs the study and builds the book, `make check` checks in minutes, `make test` everything.
# Both can be stopped at any moment and go on where they were.

PROFILE ?= laptop-eps
VENV := .venv
PY := $(VENV)/bin/python

BUILD := build/$(PROFILE)

# Compiled programs are kept, so that a second run does not compile again.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.jax_cache
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.1
export PYTHONUNBUFFERED = 1
# Where this is set, as in many containers, every process would compile the sources of all that it imports anew: three
# seconds for JAX alone.
export PYTHONDONTWRITEBYTECODE =
# XLA takes its working memory anew for each call; in pages of 2 MB it is there sooner, and a
# training step on a CPU takes a sixth to a third less. Only glibc listens.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

# An environment is named by the hash of what was asked for: the same list is installed once.
hash = $(shell cat $(1) constraints.txt | cksum | cut -d' ' -f1)
ENV := $(VENV)/ready-$(call hash,requirements.txt)
DEV := $(VENV)/dev-$(call hash,requirements.txt requirements-dev.txt)

.PHONY: help study notebook lab book links pdf gpu-study compact bench check test lint types env dev
.DEFAULT_GOAL := help

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Snakemake wants a cache at home, which in a container may be missing or read-only.
study: $(ENV)  ## run the notebooks at PROFILE (laptop-eps) and build the book
	@XDG_CACHE_HOME="$(CURDIR)/.snakemake" $(PY) -m snakemake --profile launch/profiles/local --config profile=$(PROFILE)
	@$(PY) -c 'import pathlib, sys; print("The book is built; open", pathlib.Path(sys.argv[1]).absolute().as_uri())' \
		$(BUILD)/_build/html/index.html

notebook: $(ENV)  ## run one notebook anew: make notebook N=04_sampling ARGS="-p steps 4,8"
	@test -n "$(N)" || { echo 'Which notebook? For instance: make notebook N=04_sampling'; exit 2; }
	@$(PY) -m ldm notebook $(N) --profile $(PROFILE) --out $(BUILD)/notebooks $(ARGS)

lab: $(ENV)  ## JupyterLab, where notebooks/*.py open as notebooks
	@PYTHONPATH="$(CURDIR)" JUPYTER_CONFIG_PATH="$(CURDIR)/tools/jupyter" $(VENV)/bin/jupyter lab $(ARGS)

book: $(ENV)  ## build the book from the notebooks as last executed
	@$(PY) book/build.py --out $(BUILD)

links: $(ENV)  ## check every link of the built book (ARGS=--within: without the network)
	@$(PY) book/links.py --out $(BUILD) $(ARGS)

pdf: $(DEV)  ## print the built book into one PDF
	@$(PY) book/pdf.py --out $(BUILD)

gpu-study: $(ENV)  ## do of the queue for a GPU what fits: make gpu-study ARGS="--minutes 9" (--plan: list it)
	@$(PY) -m launch.gpu $(ARGS)

compact: $(ENV)  ## merge the rows of runs/ into results/, the files to commit
	@$(PY) -m ldm compact

bench: $(DEV)  ## images a second, beside the same network in torch
	@$(PY) -m benchmarks $(ARGS)

# Style and types are checked beside the tests: pyright takes one core for half a minute. What they find is said last.
tested = found=$$(mktemp); trap 'kill $$! 2>/dev/null; rm -f $$found' EXIT INT TERM; $(MAKE) -s lint >$$found 2>&1 & \
	$(PY) -m pytest -n 2 --dist worksteal $(1) $(ARGS); tests=$$?; wait $$! || { cat $$found; exit 1; }; exit $$tests

# The quick tests see neither the references nor a browser, even where they are installed. On the way it is checked that
# what networks, diffusion and the judges of pictures take and give has the shapes that they say. On the tests of these
# rooms that costs a tenth more than without (85 s of CPU for 76). The rest of ldm.metrics, which says few shapes and
# is called most, would cost half as much again; to `make test` networks alone added a fifth.
SHAPES := ldm.networks,ldm.diffusion,ldm.metrics.perceptual
QUICK := -p tests.without --ignore tests/references --jaxtyping-packages=$(SHAPES),beartype.beartype \
	-m "not (references or browser or study or slow)"

check: $(DEV)  ## run the tests that are quick and need no torch, no browser and no study
	@$(call tested,$(QUICK))

test: $(DEV)  ## run every test
	@$(call tested)

lint: $(DEV) types  ## style, the order of imports, spelling, types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet .
	@$(VENV)/bin/lint-imports --no-logo
	@$(VENV)/bin/codespell

types: $(DEV)  ## the types of ldm/, by pyright: half a minute
	@test -x $(VENV)/bin/pyright || { echo "pyright is not in $(VENV): run make dev."; exit 1; }
	@$(VENV)/bin/pyright

env: $(ENV)  ## the environment of the study
dev: $(DEV)  ## the environment of the tests

$(ENV):
	@tools/environment $(VENV) requirements.txt $@

$(DEV):
	@tools/environment $(VENV) requirements-dev.txt $@
	@touch $(ENV)
