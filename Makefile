# `make demo` or `make test` is all there is to type: each installs into .venv first, once.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
EXTRAS ?= test,words
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PORT ?= 7860

.DEFAULT_GOAL := help
.PHONY: help install app demo test slow soak clean

help:
	@echo "make demo     install, fill a real photo, draw the demo set, train with captions, evaluate"
	@echo "make app      install what the page needs, serve it and open it in the browser; PORT=8000 chooses the port"
	@echo "make test     install, lint, check the format and the types, run the tests"
	@echo "make slow     the tests left out of make test because they take long"
	@echo "make soak     kill builds, trainings, evaluations and fills 300 times, see that nothing is lost"
	@echo "make install  install into $(VENV) and stop"
	@echo "make clean    remove demo/ and the caches; $(VENV) and runs/ stay"
	@echo "PYTHON=python3.12 make demo   chooses the interpreter, 3.10 or newer, that makes $(VENV)"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "error: $(PYTHON) is missing or older than Python 3.10; say PYTHON=... make" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c $(CONSTRAINTS) -e '.[$(EXTRAS)]'
	@touch $@

# A photo by Rachel Michetti, CC0, that comes with scikit-image; its saucer's edge is filled.
COFFEE = $$($(BIN)/python -c 'import os, skimage; print(os.path.join(os.path.dirname(skimage.__file__), "data", "coffee.png"))')

demo: $(INSTALLED)
	@rm -rf demo/run
	$(BIN)/python -m inpaint fill "$(COFFEE)" --box 420,130,64,64 --caption "a cup of coffee on a wooden table" --out demo/filled
	@echo "the first picture    demo/filled/coffee_0.png"
	$(BIN)/python data_prep/build_h5.py --demo --out demo/demo.h5
	$(BIN)/python train_inpaint.py --data demo/demo.h5 --use-captions --recipe demo --out demo/run
	$(BIN)/python evaluate.py --checkpoint demo/run/best.pt --data demo/demo.h5 --split test \
		--json demo/test.json --grid demo/grid.png
	@echo
	@echo "a real photo, filled demo/filled/coffee_0.png, four samples in demo/filled/coffee_grid.png"
	@echo "the grid             demo/grid.png"
	@echo "the figures, JSON    demo/test.json"
	@echo "the TensorBoard log  $(BIN)/tensorboard --logdir demo/run"

app: $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c $(CONSTRAINTS) -e '.[app]'
	$(BIN)/python -m inpaint serve --port $(PORT) --open

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

soak: $(INSTALLED)
	$(BIN)/python tests/soak.py

clean:
	rm -rf demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
