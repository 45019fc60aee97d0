"""What people answered about the initial set, or about a query -> the labeled set of the node; it follows that of the node before."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling.answers import log_of

job = start()
closed = artifacts.read_json(job.input.answers)
given, class_names, cycle = (
    closed["answers"],
    closed["class_names"],
    int(job.wildcards.cycle) if job.input.labeled else 0,
)
asked = np.array(closed["ids"], np.int64)
if job.input.get("query"):
    (query,) = artifacts.read(job.input.query, "query", "ids")
    if not np.array_equal(query, asked):
        raise UserError(
            f"{job.input.query} asks for other images than when {job.input.answers} was written: run again, and it waits for their labels."
        )
if job.input.labeled and job.study.training_settings(job.study.at(vars(job.wildcards)).node).get("warm_start"):
    before = artifacts.attributes(job.input.labeled, "labeled")["class_names"]
    if len(before) < len(class_names):
        raise UserError(
            f"{class_names[len(before)]} is a new class, and a warm start goes on from a model without it: set warm_start of the learner "
            "to false."
        )
is_labeled = np.array([answer["state"] == "labeled" for answer in given])
ids, unanswered = asked[is_labeled], asked[~is_labeled]
new = {"ids": ids, "cycle": np.full(len(ids), cycle)}
new |= {"unanswered": unanswered, "unanswered_cycle": np.full(len(unanswered), cycle)}
answers = job.task.told(
    [answer for answer in given if answer["state"] == "labeled"], class_names, log_of(job.study.results).parent
)
if job.input.labeled:
    with artifacts.opened(job.input.labeled, "labeled") as file:
        labeled = artifacts.datasets(file)
    new = {name: np.concatenate([labeled.pop(name), values]) for name, values in new.items()}
    answers = job.task.append(labeled, answers)
artifacts.write(job.output.labeled, job.task.labeled, job.origin, new | answers, class_names=class_names)
print(f"{len(ids):,} labeled, {len(unanswered):,} answered without a label; {len(new['ids']):,} labels in all")
