"""DeepFool distance of every unlabeled image, or of its features, to the decision boundary of the model."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import unlabeled

job = start()

from dagal.learners import architectures, classifier, devices, inference  # noqa: E402  a chain that stopped needs no torch
from dagal.learners.deepfool import BOUNDARY, deepfool_distance  # noqa: E402

source = job.input
device = devices.prepare(job.gpu, job.params.learner["threads"])
ids = unlabeled(source.split, source.labeled)
model = architectures.load(source.model, device)
with inference.inputs_of(source.inputs) as inputs:
    of_images = inputs.ndim > 2

    def logits(moved):
        """Of features, or of intensities that are moved as floats."""
        return model(classifier.standardise(moved, model.channel_mean, model.channel_std) if of_images else moved)

    parts = (
        deepfool_distance(logits, batch.float(), min(10, model.head.out_features)).cpu().numpy()
        for batch in inference.stream(inputs, ids, device, job.params.batch_size)
    )
    distance_N = inference.filled(np.empty(len(ids), np.float32), parts)
artifacts.write(job.output.boundary, BOUNDARY, job.origin, {"ids": ids, "distance": distance_N})
print(f"distance of {len(ids):,} images")
