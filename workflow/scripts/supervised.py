"""Labels of a supervised baseline: those of a random draw from what the methods may have labeled, pool and initial set."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.errors import UserError
from dagal.seeding import generator

job = start()
regions = {"regions": job.input.regions} if job.input.regions else {}
available = np.sort(np.concatenate(artifacts.read(job.input.split, "split", "pool", "initial")))
size = len(available) if job.wildcards.size == "all" else int(job.wildcards.size)
if size > len(available):
    raise UserError(
        f"config key 'supervised' asks for {size} labels, but there are {len(available)} images; make it smaller."
    )
# the first of one order, so that a larger baseline holds the smaller ones
ids = np.sort(generator(job.origin["seed"], "supervised").permutation(available)[:size])
with artifacts.opened(job.input.truth, "truth") as truth:
    answers = job.task.ask(truth, ids, job.params.oracle, job.origin["seed"], **regions)
    data = {"ids": ids, "cycle": np.zeros(len(ids), np.int64), **answers}
    artifacts.write(
        job.output.labeled, job.task.labeled, job.origin, data, class_names=artifacts.attribute(truth, "class_names")
    )
print(f"{size:,} of {len(available):,} images")
