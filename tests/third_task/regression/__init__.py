"""Regression: an answer is one number per image. A made-up third task, for the test that adds it."""

from typing import Literal

import numpy as np
from pydantic import BaseModel

from dagal import artifacts
from dagal.registry import Registry
from dagal.tasks import Stage, Task


class Ridge(BaseModel, extra="forbid"):
    """Linear regression on the pixels."""

    architecture: Literal["ridge"]
    alpha: float = 1.0


def ask(truth, ids, oracle, seed):
    return {"labels": artifacts.rows(truth["labels"], ids)}


def append(earlier, later):
    return {"labels": np.concatenate([earlier["labels"], later["labels"]])}


def fit_reads(study, at):
    files = {"images": study.clean_images, "split": study.split(at.seed)}
    return files | {"labeled": study.path(at.node, "labeled")}


def evaluate_reads(study, at):
    return {"predictions": study.path(at.node, "predictions"), "truth": study.truth} | {
        "labeled": study.path(at.node, "labeled")
    }


TASK = Task(
    name="regression",
    answer={"labels": "number given to each id (L,)"},
    ask=ask,
    append=append,
    signals={"embeddings_N_D": ("signals", "embeddings"), "centers_L_D": ("signals", "labeled_embeddings")},
    sealed=frozenset({"truth"}),
    methods={"kcenter_greedy": {"score": "distance_to_labeled", "select": "kcenter_greedy"}},
    default={"select": "top_k"},
    measures=("mean_squared_error",),
    per_class=None,
    learners=Registry({"ridge": "dagal.tasks.regression:Ridge"}),
    stages={
        "train": Stage(
            "dagal/tasks/regression/fit.py",
            {"predictions": "{node}/predictions.h5"},
            fit_reads,
            lambda study, at: {"alpha": study.learner_of(at.node)["alpha"]},
            log="{node}/train",
        ),
        "signals": Stage("dagal/tasks/regression/embed.py", {"signals": "{node}/signals.h5"}, fit_reads),
        "evaluate": Stage(
            "dagal/tasks/regression/evaluate.py",
            {"metrics": "{node}/metrics.json"},
            evaluate_reads,
            log="{node}/evaluate",
        ),
    },
    rules=("regression.smk",),
)
