"""Results of a small study whose files are made up: every file that its plan names, with the contents that readers look at."""

import zlib
from pathlib import Path

import numpy as np
from conftest import SMALL
from safetensors.numpy import save

from dagal import artifacts, config, storage
from dagal.inspect.results import Results, described
from dagal.plan import Study, environment, record

CLASSES, TRAIN, TEST = 10, 80, 40
INITIAL = np.arange(20)
NAMES = [str(k) for k in range(CLASSES)]
PROCESSOR = "made up, AVX2"


def results(home: Path, salt: str = "", **changes) -> Path:
    """The folder of the results, below home/results; another ``salt`` gives other models and what follows from them."""
    study = Study(config.load(SMALL | changes))
    found = Results(home / study.results, study, {})
    for (stage, wildcards), about in described(study).items():
        place = dict(wildcards)
        for name, path in about["output"].items():
            target = found.path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, name, stage, place, salt, study)
        found.path(about["log"]).write_text("made up\n")
    about = {"dagal_version": "0", "settings": study.settings, "code": record.code(study), "inputs": {}}
    now = environment.now() | {"commit": "0" * 40}
    artifacts.write_json(found.folder / "study.json", about | {"environments": [now]})
    return found.folder


def write(path: Path, name: str, stage: str, place: dict, salt: str, study: Study) -> None:
    """One output; what a model or what follows from it holds depends on its place and the salt."""
    rng = np.random.default_rng(zlib.crc32(repr((stage, name, sorted(place.items()), salt)).encode()))
    origin = artifacts.provenance(stage, {}, int(place.get("seed", -1)))
    cycle = int(place.get("cycle", 0))
    labeled = np.arange(20 + 10 * cycle)  # every method asks for the next ten
    unlabeled = np.arange(len(labeled), TRAIN)
    if name == "benchmark":
        artifacts.write_costs(path, ["2.0", "1.5", "80.0", "0.5", "70.0"], PROCESSOR)
    elif path.name == "images.h5":
        data = {"images": rng.integers(0, 256, (TRAIN + TEST, 8, 8, 1), np.uint8)}
        data["file"] = np.array([f"raw/{k}.png".encode() for k in range(TRAIN + TEST)])
        artifacts.write(path, "images", origin, data)
    elif path.name == "truth.h5":
        artifacts.write(path, "truth", origin, {"labels": np.arange(TRAIN + TEST) % CLASSES}, class_names=NAMES)
    elif path.name == "split.h5":
        ids = np.arange(TRAIN + TEST)
        data = {"pool": ids[20:TRAIN], "initial": INITIAL, "validation": ids[:0], "test": ids[TRAIN:]}
        artifacts.write(path, "split", origin, data)
    elif path.name == "labeled.h5":
        data = {"ids": labeled, "labels": labeled % CLASSES, "cycle": np.maximum(0, labeled // 10 - 1)}
        artifacts.write(path, "labeled", origin, data, class_names=NAMES)
    elif path.suffix == ".safetensors":
        content = save({"weight": rng.random((4, 3), np.float32)}, {"dagal": f'{{"checksum": "{storage.FIELD}"}}'})
        storage.write_bytes(path, storage.with_field(content))
    elif path.name == "predictions.h5":
        data = {"ids": np.arange(TRAIN, TRAIN + TEST), "probabilities": rng.dirichlet(np.ones(CLASSES), TEST)}
        artifacts.write(path, "predictions", origin, data)
    elif path.name == "signals.h5":
        data = {"ids": unlabeled, "probabilities": rng.dirichlet(np.ones(CLASSES), len(unlabeled))}
        artifacts.write(path, "signals", origin, data)
    elif path.name == "trajectory.h5":
        data = {"ids": unlabeled, "trajectory": rng.integers(0, CLASSES, (2, len(unlabeled)))}
        artifacts.write(path, "trajectory", origin, data)
    elif path.name == "history.h5":
        artifacts.write(path, "history", origin, {"loss": rng.random(2)})
    elif path.name == "scores.h5":
        before = np.arange(10 + 10 * cycle, TRAIN)
        artifacts.write(path, "scores", origin, {"ids": before, "score": rng.random(len(before))})
    elif path.name == "query.h5":
        asked = np.arange(10 + 10 * cycle, 20 + 10 * cycle)
        artifacts.write(path, "query", origin, {"ids": asked, "score": rng.random(10)})
    elif path.name == "metrics.json":
        artifacts.write_json(
            path, {"created_by": stage, "labels": len(labeled), "accuracy": 0.5 + 0.1 * cycle + rng.random() / 50}
        )
    elif path.suffix == ".csv":
        artifacts.write_csv(path, *table(path.name, study))
    else:
        path.write_bytes(rng.bytes(50))


def table(name: str, study: Study) -> tuple[list[str], list[list]]:
    """Columns and rows; of metrics.csv those that readers look at."""
    if name != "metrics.csv":
        return ["study", "value"], [[study.name, 1]]
    header = ["study", "method", "learner", "deployable", "seed", "cycle", "labels", "accuracy"]
    rows = [
        [study.name, method, "mlp", True, seed, cycle, 20 + 10 * cycle, 0.5 + 0.1 * cycle]
        for method in study.methods
        for seed in study.seeds
        for cycle in study.cycles
    ]
    return header, rows
