"""The simulated annotator: only the annotation of the queried ids leaves the sealed truth."""

import numpy as np
from job import start

from dagal import artifacts

job = start()
regions = {"regions": job.input.regions} if job.input.regions else {}
(query,) = artifacts.read(job.input.query, "query", "ids")
with (
    artifacts.opened(job.input.labeled, "labeled") as file,
    artifacts.opened(job.input.truth, "truth") as truth,
):
    labeled = artifacts.datasets(file, held=False)
    ids = labeled.pop("ids")
    if len(np.intersect1d(ids, query)):
        raise ValueError("the query holds ids that are labeled already")
    answers = job.task.ask(truth, query, job.params.oracle, job.origin["seed"], **regions)
    class_names = artifacts.attribute(truth, "class_names")
    data = {
        "ids": np.concatenate([ids, query]),
        "cycle": np.concatenate([labeled["cycle"], np.full(len(query), int(job.wildcards.cycle))]),
        **job.task.append(labeled, answers),
    }
    artifacts.write(job.output.labeled, job.task.labeled, job.origin, data, class_names=class_names)
print(f"{len(query):,} annotated, {len(ids) + len(query):,} in all")
