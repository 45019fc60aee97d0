# make run               the study of config.yaml (make run CONFIG=experiments/<study>.yaml for another), and its page
# make report            Snakemake's own report besides: the graph of the jobs, their run times, all files with captions
# make resume            the same after a kill or a power cut; make unlock alone says that no Snakemake runs here any more
# make label IMAGES=photos CLASSES="cat dog" NAME=pets   from images without labels to the page on which you label them; and to go on
# make run-video         the small study of rendered videos
# make run-segmentation  the small study of rendered scenes with a class for every pixel
# make run-camera-traps  the small study of rendered camera traps
# make chaos             what kills, full disks, flipped bits and the like do to a study (N=200: an hour)
# make bench             what all of it costs here, beside other tools (a quarter of an hour)
# make test              everything CI checks; make quick leaves out the end-to-end tests
VENV := .venv
PYTHON := $(VENV)/bin/python
SNAKEMAKE = $(VENV)/bin/snakemake --configfile $(CONFIG) --quiet rules
CONFIG := config.yaml
UV_VERSION := 0.13.8
PYTHONS := python3.11 python3.12 python3.13 python3.14 python3

.PHONY: run report label resume unlock run-video run-segmentation run-camera-traps test quick lint format docs lock clean check-readers check-hostile chaos slurm check-slurm check-conda check-labeling fuzz bench bench-selection

run: $(VENV)/.ready
	@name=$$($(PYTHON) -m dagal config --name $(CONFIG)) && study=results/$$name && \
	$(SNAKEMAKE) && \
	echo "page of the study: $$study/report/index.html" && \
	echo "result table: $$study/summary.csv (all measurements: $$study/metrics.csv)"

report: run
	@study=results/$$($(PYTHON) -m dagal config --name $(CONFIG)) && \
	$(SNAKEMAKE) --report $$study/report.html && echo "Snakemake's report: $$study/report.html"

# IMAGES: a folder of images without labels; CLASSES: the names of their classes, between blanks
NAME := labels

label: $(VENV)/.ready
	@[ -e $(NAME).yaml ] || $(PYTHON) -m dagal new $(NAME) --images $(IMAGES) --classes $(CLASSES)
	@$(VENV)/bin/snakemake --configfile $(NAME).yaml --quiet rules && $(PYTHON) -m dagal label results/$(NAME)

resume: unlock
	@$(MAKE) --no-print-directory run

unlock: $(VENV)/.ready
	@$(SNAKEMAKE) --unlock

run-video:
	@$(MAKE) --no-print-directory run CONFIG=experiments/video_small.yaml

run-segmentation:
	@$(MAKE) --no-print-directory run CONFIG=experiments/segmentation_small.yaml

run-camera-traps: data/raw/camera_traps_rendered data/raw/camera_traps_rendered_source
	@$(MAKE) --no-print-directory run CONFIG=experiments/camera_traps_miniature.yaml

data/raw/camera_traps_rendered: | $(VENV)/.ready
	$(PYTHON) -m dagal camera-traps $@ --images 600

data/raw/camera_traps_rendered_source: | $(VENV)/.ready
	$(PYTHON) -m dagal camera-traps $@ --images 1000 --seed 1

# every test file on a core of its own, whose threads would wait for each other
PYTEST = OMP_NUM_THREADS=1 $(PYTHON) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: lint
	$(PYTEST)

quick: lint
	$(PYTEST) -m "not slow"

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/snakefmt --check Snakefile workflow/Snakefile rules
	$(VENV)/bin/snakemake --lint
	$(VENV)/bin/snakemake --lint --configfile experiments/video_small.yaml

format: $(VENV)/.ready
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/snakefmt Snakefile workflow/Snakefile rules

# after a change of the config: the JSON schema for editors and the tables of settings
docs: $(VENV)/.ready
	$(PYTHON) -m dagal.config

# after a change of pyproject.toml; names no host
lock: $(VENV)/.ready
	$(VENV)/bin/uv pip compile pyproject.toml --universal --generate-hashes --no-header --quiet -o requirements.lock

clean:
	rm -rf results .snakemake

$(VENV)/.ready: requirements.lock
	@for python in $(PYTHONS) none; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then break; fi; \
	done; \
	[ $$python != none ] || { echo "dagal needs Python 3.11 or newer, which none of $(PYTHONS) is; install one."; exit 1; }; \
	$$python -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(VENV)/bin/uv pip sync --quiet --require-hashes --compile-bytecode --python $(PYTHON) requirements.lock
	echo "$(CURDIR)/workflow" > "$$($(PYTHON) -c 'import site; print(site.getsitepackages()[0])')/dagal.pth"
	touch $@

# the plug-in for profiles/slurm, beside the environment: docs/clusters.md
slurm: .slurm/.ready

.slurm/.ready: profiles/slurm/requirements.txt | $(VENV)/.ready
	$(VENV)/bin/uv pip install --quiet --require-hashes --no-deps --compile-bytecode --python $(PYTHON) --target .slurm -r $<
	touch $@

# as root, with the packages slurm-wlm and munge: studies on a Slurm of this machine's own, with jobs and nodes that die (minutes)
check-slurm: .slurm/.ready
	CHECK_SLURM=1 $(PYTHON) -m pytest tests/test_slurm.py

# odd inputs of every kind, built from scratch: what is read of each (a minute)
check-readers: $(VENV)/.ready
	$(PYTHON) tests/odd_inputs

# hostile inputs of every kind, built from scratch: what is said of each (a minute)
check-hostile: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(PYTHON) tests/hostile

# a whole small study with --use-conda, by conda or by the stand-in of the tests (three minutes)
check-conda: $(VENV)/.ready
	OMP_NUM_THREADS=1 DAGAL_WHOLE=1 $(PYTHON) -m pytest -q tests/test_conda.py

# whole studies that are labeled in a browser by keyboard and mouse, and by another tool's file (minutes; needs chromium)
check-labeling: $(VENV)/.ready
	OMP_NUM_THREADS=1 DAGAL_WHOLE=1 $(PYTHON) -m pytest -q tests/test_label_study.py

# files with a few bytes changed, for as long as SECONDS says: what readers die of is kept and printed
SECONDS := 60
fuzz: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(PYTHON) tests/hostile/_fuzz.py $(SECONDS) $(SEED)

# kills, full and read-only disks (root only), flipped bits, ...; each time the study has to end with the same bytes
N := 200
chaos: $(VENV)/.ready
	PYTHONPATH=workflow:tests $(PYTHON) tests/chaos.py $(N)

# CIFAR10=<folder or archive of images>: the other tools on it, too
bench: $(VENV)/.ready .peers/.ready
	OMP_NUM_THREADS=1 $(PYTHON) benchmarks/bench.py $(if $(CIFAR10),--cifar10 $(CIFAR10))

# without them the table says so
.peers/.ready: benchmarks/peers.txt | $(VENV)/.ready
	$(VENV)/bin/uv pip install --quiet --require-hashes --no-deps --python $(PYTHON) --target .peers -r $< \
		&& touch $@ || echo "the other tools could not be installed"

# time and memory of the selectors over growing pools, into benchmarks/ (half an hour)
bench-selection: $(VENV)/.ready
	$(PYTHON) benchmarks/selection.py
