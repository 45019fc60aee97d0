"""One pass of a model over its unlabeled pool -> the signals that the branch's methods read."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.tasks.classification.signals import SIGNALS_FILE

job = start()
source, wanted, settings = job.input, job.params.signals, job.params.learner
labeled_ids = np.sort(artifacts.read(source.labeled, "labeled", "ids")[0])
ids = unlabeled(source.split, source.labeled)


def infer(writer, ids, *names):
    """Stream the images through the model, writing those of its outputs that are wanted."""
    batches = inference.stream(inputs, ids, device, job.params.batch_size)
    outputs, first = {}, 0
    for batch in inference.predict(model, batches, settings["precision"]):
        for name, values in zip(names, batch, strict=True):
            if name in wanted:
                if name not in outputs:
                    outputs[name] = writer.dataset(name, (len(ids), *values.shape[1:]), np.float32)
                outputs[name][first : first + len(values)] = values
        first += len(batch[0])


with artifacts.create(job.output.signals, SIGNALS_FILE, job.origin) as writer:
    writer.dataset("ids", ids.shape, np.int64)[...] = ids
    if set(wanted) <= {"trajectory"}:
        job.ready()
    if "trajectory" in wanted:
        (trajectory_E_N,) = artifacts.read(source.history, "history", "trajectory")
        writer.dataset("trajectory", trajectory_E_N.shape, trajectory_E_N.dtype)[...] = trajectory_E_N
    if set(wanted) - {"trajectory"}:
        from dagal.learners import architectures, devices, inference  # torch costs seconds; a trajectory needs none

        device = devices.prepare(job.gpu, settings["threads"])
        model = architectures.load(source.model, device)
        job.ready()
        with inference.inputs_of(source.inputs) as inputs:
            if {"probabilities", "embeddings", "predicted_loss", "logits"} & set(wanted):
                infer(writer, ids, "probabilities", "embeddings", "predicted_loss", "logits")
            if "weight_norms" in wanted:
                norms_C = model.head.weight.detach().norm(dim=1).cpu().numpy()
                writer.dataset("weight_norms", norms_C.shape, norms_C.dtype)[...] = norms_C
            if {"labeled_embeddings", "labeled_predicted_loss"} & set(wanted):
                writer.dataset("labeled_ids", labeled_ids.shape, np.int64)[...] = labeled_ids
                infer(writer, labeled_ids, None, "labeled_embeddings", "labeled_predicted_loss", None)
print(f"{', '.join(wanted)} of {len(ids):,} unlabeled images")
