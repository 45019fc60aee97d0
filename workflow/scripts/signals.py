"""One pass of a model over its unlabeled pool, or a part of it -> the signals that the branch's methods read.

Where several jobs do a part each, a last one makes of their files the same file as a single pass.
"""

from contextlib import ExitStack

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import part_of, unlabeled
from dagal.tasks.classification.signals import OF_LABELED, OF_POOL, SIGNALS_FILE, gathered, record

job = start()
source, wanted, settings = job.input, set(job.params.signals), job.params.learner
batch_size, shard, parts = job.params.batch_size, job.wildcards.get("shard"), source.get("shards")
labeled_ids = np.sort(artifacts.read(source.labeled, "labeled", "ids")[0])
ids = unlabeled(source.split, source.labeled)
if shard:
    ids = ids[part_of(len(ids), batch_size, int(shard), job.params.shards)]
    if shard != "0":  # one of the jobs is enough for what is not of the pool
        wanted -= {"weight_norms", *OF_LABELED}

with artifacts.create(job.output.signals, SIGNALS_FILE, job.origin) as writer, ExitStack() as stack:
    writer.dataset("ids", ids.shape, np.int64)[...] = ids
    if not parts:
        # torch costs seconds; putting parts together needs none
        from dagal.learners import architectures, devices, inference

        device = devices.prepare(job.gpu, settings["threads"])
        model = architectures.load(source.model, device)
        inputs = stack.enter_context(inference.inputs_of(source.inputs))
    job.ready()

    def batches(ids, which, names):
        """Of the outputs for the images with these ids."""
        if parts:
            return gathered(parts if which == "ids" else parts[:1], which, names, batch_size)
        return inference.predict(model, inference.stream(inputs, ids, device, batch_size), settings["precision"])

    if wanted & set(OF_POOL):
        record(writer, wanted, len(ids), OF_POOL, batches(ids, "ids", OF_POOL))
    if "weight_norms" in wanted:
        if parts:
            (norms_C,) = artifacts.read(parts[0], "signals", "weight_norms")
        else:
            norms_C = model.head.weight.detach().norm(dim=1).cpu().numpy()
        writer.dataset("weight_norms", norms_C.shape, norms_C.dtype)[...] = norms_C
    if wanted & set(OF_LABELED):
        writer.dataset("labeled_ids", labeled_ids.shape, np.int64)[...] = labeled_ids
        record(writer, wanted, len(labeled_ids), OF_LABELED, batches(labeled_ids, "labeled_ids", OF_LABELED))
print(f"{', '.join(sorted(wanted))} of {len(ids):,} unlabeled images")
