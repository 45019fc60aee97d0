"""The labeled set of cycle 0: the annotation of the initial ids."""

import numpy as np
from job import start

from dagal import artifacts

job = start()
regions = {"regions": job.input.regions} if job.input.regions else {}
(ids,) = artifacts.read(job.input.split, "split", "initial")
with artifacts.opened(job.input.truth, "truth") as truth:
    answers = job.task.ask(truth, ids, job.params.oracle, job.origin["seed"], **regions)
    data = {"ids": ids, "cycle": np.zeros(len(ids), np.int64), **answers}
    artifacts.write(
        job.output.labeled, job.task.labeled, job.origin, data, class_names=artifacts.attribute(truth, "class_names")
    )
