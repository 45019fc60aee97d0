"""The classes that a model gives to the unlabeled images on which it is surest -> pseudo_labels.h5."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.acquisition.scores import entropy, label_dispersion
from dagal.errors import UserError
from dagal.learners import pseudo_labels
from dagal.pool import unlabeled
from dagal.seeding import generator

job = start()
source, params = job.input, job.params
settings, cycle = params.learner["pseudo_labels"], int(job.wildcards.cycle)
ids = unlabeled(source.split, source.labeled)
if settings.get("certainty") == "dispersion":
    n_classes = len(artifacts.attributes(source.labeled, "labeled")["class_names"])
    (trajectory_E_N,) = artifacts.read(source.history, "history", "trajectory")
    labels_N, uncertainty_N = trajectory_E_N[-1], label_dispersion(trajectory_E_N, n_classes)
else:
    from dagal.learners import architectures, devices, inference  # torch costs seconds; a trajectory needs none

    device = devices.prepare(job.gpu, params.learner["threads"])
    model = architectures.load(source.teacher, device)
    with inference.inputs_of(source.inputs) as inputs:
        probs_N_C = inference.probabilities(model, inputs, ids, params.batch_size, params.learner["precision"])
    labels_N, uncertainty_N = probs_N_C.argmax(1), entropy(probs_N_C)

if settings["kind"] == "ceal":
    chosen = pseudo_labels.below_threshold(uncertainty_N, settings["threshold"], settings["decay"], cycle)
else:
    n_training = sum(map(len, artifacts.read(source.split, "split", "pool", "initial")))
    n = pseudo_labels.number(settings["share"], n_training)
    if n > len(ids):
        raise UserError(
            f"pseudo_labels.share {settings['share']} asks for {n} pseudo-labels, but cycle {cycle} leaves only {len(ids)} "
            "unlabeled images; make it smaller, or the study shorter."
        )
    rng = generator(int(job.wildcards.seed), "pseudo_labels", cycle)
    chosen = pseudo_labels.most_certain(uncertainty_N, n, rng)
data = {"ids": ids[chosen], "labels": labels_N[chosen].astype(np.int64), "uncertainty": uncertainty_N[chosen]}
artifacts.write(job.output.pseudo_labels, pseudo_labels.PSEUDO_LABELS, job.origin, data)
print(f"{len(chosen):,} of {len(ids):,} unlabeled images get a pseudo-label")
