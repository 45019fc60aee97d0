"""The images with the most queried regions (or the first ones queried) -> what the model that was asked takes their pixels for."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import devices, inference, segmenter
from dagal.tasks.segmentation.signals import PREDICTIONS

SHOWN = 4

job = start()
source, settings = job.input, job.params.learner
device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
model = segmenter.load(source.model, device)
(ids,) = artifacts.read(source.query, "query", "ids")
if source.regions:
    ids = ids // artifacts.read(source.regions, "regions", "counts")[0].max()
images, first, times = np.unique(ids, return_index=True, return_counts=True)
images = images[np.lexsort((first, -times))[:SHOWN]]
masks, entropies = [], []
with artifacts.opened(source.images, "images", cached=False) as file:
    batches = inference.stream(file["images"], images, device, settings["batch_size"])
    for probs_C_H_W, _ in segmenter.predict(model, batches, settings["precision"]):
        share_H_W = segmenter.entropy(probs_C_H_W[None])[0] / np.log(len(probs_C_H_W))
        masks.append(probs_C_H_W.argmax(0).cpu().numpy().astype(np.uint8))
        entropies.append((255 * share_H_W).round().cpu().numpy().astype(np.uint8))
data = {"ids": images, "masks": np.stack(masks), "shown": np.arange(len(images)), "entropy": np.stack(entropies)}
artifacts.write(job.output.queried, PREDICTIONS, job.origin, data)
