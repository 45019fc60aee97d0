"""A task more is one folder, one file of rules and one line: a made-up one (an answer of one number per image) runs from end to end."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import Workflow, copied_project

from dagal import artifacts

HERE = Path(__file__).parent / "third_task"
STUDY = {
    "study": "numbers",
    "dataset": {"name": "digits", "task": "regression"},
    "pool": {"initial": {"size": 60}},
    "budget": 60,
    "cycles": 1,
    "seeds": [0],
    "learners": {"ridge": {"architecture": "ridge", "alpha": 10.0}},
    "methods": {"random": {}, "kcenter_greedy": {}},
}


@pytest.mark.slow
def test_a_task_more(tmp_path):
    root = copied_project(tmp_path / "project")
    shutil.copytree(HERE / "regression", root / "workflow/dagal/tasks/regression")
    shutil.copy2(HERE / "regression.smk", root / "rules")
    registry = root / "workflow/dagal/tasks/__init__.py"
    line = '"detection": "dagal.tasks.detection:TASK",'
    text = registry.read_text()
    assert line in text
    registry.write_text(text.replace(line, line + '\n        "regression": "dagal.tasks.regression:TASK",'))

    folder = tmp_path / "runs"
    folder.mkdir()
    workflow = Workflow(folder, root)
    workflow.write(STUDY)
    workflow.snakemake()
    results = folder / "results/numbers"
    metrics = pd.read_csv(results / "metrics.csv")
    assert metrics["labels"].tolist() == [60, 120] * 2
    errors = metrics["mean_squared_error"].to_numpy()
    assert (
        errors[0] == errors[2] and (errors[[1, 3]] < errors[0]).all() and errors.max() < 8.3
    )  # of the mean alone: 8.3
    for method in STUDY["methods"]:
        ids, labels = artifacts.read(results / f"seed0/{method}/cycle1/labeled.h5", "labeled", "ids", "labels")
        (truth,) = artifacts.read(folder / "results/datasets/digits/truth.h5", "truth", "labels")
        assert len(set(ids)) == 120 and (labels == truth[ids]).all()
    assert (results / "figures/learning_curves.png").exists() and not (results / "classes.csv").exists()
    assert workflow.planned() == {}

    workflow.write(STUDY | {"methods": {"entropy": {}}})
    done = workflow.snakemake(check=False)
    assert done.returncode and "methods.entropy" in done.stderr and "regression" in done.stderr
    workflow.write(STUDY | {"learners": {"mlp": {"architecture": "mlp", "epochs": 1}}})
    done = workflow.snakemake(check=False)
    assert "must be one of ridge" in done.stderr and "Traceback" not in done.stderr
