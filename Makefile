# One command for each job; CI calls the same ones.  `make help` lists them.

VENV := build/venv
PY := $(VENV)/bin/python

# zig compiles musl once, and not for each test run: those have a home in memory.
export ZIG_GLOBAL_CACHE_DIR := $(CURDIR)/build/zig

.PHONY: help demo test check check-python check-c check-flows docs cross wheels-check attack mutants coverage sanitize fuzz prove corpus tools endurance bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## set up, run a small app at http://demo.localhost/, and show who runs as what
	@sh tests/demo/demo.sh

test: ## set up, and run every test (as root, or through sudo -n: the privileged ones too)
	@sh tests/run.sh $(ARGS)

check: check-python check-c check-flows ## formats, types, what compilers and analysers say of the C, the workflows

check-python: $(VENV)/check
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	PATH=$(CURDIR)/$(VENV)/bin:$$PATH cython-lint --max-line-length 120 locald

check-c: $(VENV)/check
	$(VENV)/bin/clang-format --dry-run -Werror csrc/*.[ch] csrc/shim/*.[ch] csrc/preload/*.[ch]
	PATH=$(CURDIR)/$(VENV)/bin:$$PATH sh tests/warnings.sh

FLOWS := .github/workflows/*.yml
check-flows: $(VENV)/check
	$(VENV)/bin/zizmor --quiet --offline --persona auditor $(FLOWS)
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows $(FLOWS)
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout $(FLOWS)

docs: $(VENV)/check ## the documents as a site, in build/site; a link to what is not there is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

cross: $(VENV)/cross ## compile shim and extensions for macOS and for musl, with ziglang
	$(PY) tests/cross.py

wheels-check: $(VENV)/wheels ## a release as far as it can be built here: each kind of wheel, looked at, installed and run
	$(PY) -P -m pytest -q -rP -o python_files='check_*.py' -o pythonpath='tests/lib csrc tests/wheel' tests/wheel $(ARGS)

attack: ## the helper called with a hundred thousand random command lines
	@LOCALD_ATTACK_VECTORS=100000 sh tests/run.sh -q tests/root/test_hostile.py -k random

mutants: $(VENV)/test ## break each rule of the helper once, and see its test fail (ARGS=WORD: only some)
	@sh tests/inside.sh $(CURDIR)/$(PY) tests/mutants.py $(ARGS)

coverage: $(VENV)/test ## which branches of the privileged C the tests take; each other one needs its reason
	@sh tests/inside.sh $(CURDIR)/$(PY) tests/coverage.py

sanitize: $(VENV)/test ## the tests of --preload, its library under gcc's ASan and UBSan
	@sh tests/inside.sh env LOCALD_TEST_SANITIZED=1 $(CURDIR)/$(PY) -P -m pytest -q tests/root/test_preload_calls.py

FUZZ_S := 60
fuzz: ## try the pure parts of our C with inputs that nobody thought of, FUZZ_S=60 seconds for each
	@sh fuzz/run.sh $(FUZZ_S)

prove: ## prove that no input of those parts leads to undefined behaviour (Frama-C, some minutes)
	@sh fuzz/prove/run.sh

corpus: $(VENV)/test ## the corpus of bad requests through nginx and HAProxy too; writes docs/corpus.md
	@PYTHONPATH=tests/lib $(PY) -P -B tests/proxy/compare.py

tools: $(VENV)/test ## dev servers of npm and PyPI, installed and started for real; writes docs/devservers.md (4 GB, half an hour)
	@sh tests/tools/run.sh $(ARGS)

endurance: $(VENV)/test ## 10 GB bodies both ways through the proxy, whose memory must stay where it was (some minutes)
	@sh tests/inside.sh env LOCALD_ENDURANCE_GB=10 $(CURDIR)/$(PY) -P -m pytest -q -s tests/proxy/test_endurance.py

bench: $(VENV)/bench ## measure beside the peers that are installed (ARGS="proxy https": only those parts)
	sh bench/run.sh $(ARGS)

clean: ## remove what was built
	rm -rf build dist *.egg-info locald/*.so locald/*/*.so

# One virtual environment of the project's own; each stamp says which extra is in it, and is made anew with what is
# compiled, so that what is tested is what is there.
COMPILED := $(wildcard csrc/*.[ch] csrc/*.py csrc/shim/*.[ch] csrc/preload/*.[ch] locald/*.p[yx][xd] locald/*/*.p[yx][xd])
$(VENV)/%: pyproject.toml setup.py locald/__init__.py $(COMPILED)
	@sh tests/venv.sh $(VENV) $*
	@touch $@
