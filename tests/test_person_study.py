"""A person as the oracle: the same DAG, which ends at queries that wait."""

import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from conftest import SMALL, Workflow
from safetensors.numpy import load_file

from dagal import artifacts
from dagal.labeling import answers

NAMES = [str(digit) for digit in range(10)]
PERSON = SMALL | {
    "study": "person",
    "dataset": {"name": "digits_unlabeled", "loader": "digits", "labels": "test"},
    "pool": {"initial": {"size": 20}},
    "oracle": {"kind": "person", "classes": NAMES},
    "methods": {"entropy": {}},
}


def label(folder, truth_N, unsure=()):
    """Answer all that waits, by the truth; two annotators would differ in nothing."""
    waiting = artifacts.read_json(folder / "waiting.json")
    left = sorted({image for query in waiting["queries"] for image in query["left"]})
    about = {"annotator": "anna", "source": "page", "at": answers.now()}
    given = [
        about
        | ({"id": i, "state": "unsure"} if i in unsure else {"id": i, "state": "labeled", "label": NAMES[truth_N[i]]})
        for i in left
    ]
    answers.append(answers.log_of(folder), given)
    return waiting["queries"]


@pytest.mark.slow
def test_labels_of_a_person_and_of_the_simulated_oracle_lead_to_the_same_models(tmp_path):
    """Two cycles, the second after a kill. Nothing of the truth is there to be read; the last run leaves the labels of the whole pool."""
    workflow = Workflow(tmp_path)
    simulated = PERSON | {"study": "simulated", "dataset": {"name": "digits"}, "oracle": {}}
    workflow.write(simulated)
    workflow.snakemake("results/simulated/seed0/entropy/cycle2/metrics.json")
    (truth_N,) = artifacts.read(tmp_path / "results/datasets/digits/truth.h5", "truth", "labels")

    workflow.write(PERSON)
    folder = tmp_path / "results/person"
    done = workflow.snakemake()
    assert "the initial set (seed 0) waits for 20 of 20 labels" in done.stderr
    assert not (tmp_path / "results/datasets/digits_unlabeled/truth.h5").exists()
    assert [query["purpose"] for query in label(folder, truth_N)] == ["initial"]

    started = subprocess.Popen(workflow.command(), cwd=tmp_path, env=workflow.environment, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    while not (folder / "seed0/start-mlp/cycle0/labeled.h5").exists():
        assert started.poll() is None
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    shutil.rmtree(tmp_path / ".snakemake/locks")  # as --unlock does
    done = workflow.snakemake("--rerun-incomplete")
    assert "the query of entropy in cycle 1 (seed 0) waits for 10 of 10 labels" in done.stderr
    (query,) = label(folder, truth_N)
    assert query["table"] == "results/person/seed0/entropy/cycle1/query.csv" and len(query["ids"]) == 10
    closed = folder / "seed0/initial_answers.json"
    before = closed.read_bytes()

    done = workflow.snakemake()
    (query,) = label(folder, truth_N)
    assert (query["method"], query["cycle"]) == ("entropy", 2) and closed.read_bytes() == before
    done = workflow.snakemake("results/person/seed0/entropy/cycle2/predicted_labels.csv", "results/person/summary.csv")
    assert "all labels are there" in done.stderr and artifacts.read_json(folder / "waiting.json")["queries"] == []
    for cycle in (1, 2):
        mine, theirs = (tmp_path / f"results/{study}/seed0/entropy/cycle{cycle}" for study in ("person", "simulated"))
        ids = [artifacts.read(place / "labeled.h5", "labeled", "ids", "labels") for place in (mine, theirs)]
        np.testing.assert_array_equal(ids[0], ids[1])
        weights = [load_file(place / "model.safetensors") for place in (mine, theirs)]
        assert weights[0].keys() == weights[1].keys()
        assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    rows = artifacts.read_csv(mine / "predicted_labels.csv")
    assert len(rows) == 1437 and [row["by"] for row in rows].count("person") == 40
    certain = [float(row["probability"]) for row in rows[:-40]]
    assert certain == sorted(certain)
    metrics, of_simulated = (json.loads((place / "metrics.json").read_text()) for place in (mine, theirs))
    assert all(metrics[name] == of_simulated[name] for name in ("accuracy", "accuracy_per_class", "labels_per_class"))
    assert 0 < metrics["agreement"] < 1 and metrics["unknown"] is None
