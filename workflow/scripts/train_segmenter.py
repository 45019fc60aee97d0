"""labeled.h5 -> segmenter, from scratch or from the model of the cycle before, its history, and the masks that it predicts for test and
validation images."""

import numpy as np
import torch
from job import start

from dagal import artifacts
from dagal.learners import checkpoints, devices, inference, pixel_trajectory, segmenter
from dagal.tasks.segmentation.signals import FOLLOWED, PREDICTIONS

SHOWN = 8  # test images whose entropy is kept for pictures

job = start()
settings, source = job.params.learner, job.input
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
# enlarging maps has no deterministic gradient on a GPU
device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
test, validation = artifacts.read(source.split, "split", "test", "validation")
held_out = np.concatenate([test, validation])
# what is recorded besides changes no model (see pixel_trajectory.py)
asked_by = job.study.asked_by(job.study.at(vars(job.wildcards)).node)
read = {kind for method in asked_by for kind, _ in job.study.signals(method)}
checkpoint, follows = checkpoints.of(job, job.output.model, device), [kind for kind in FOLLOWED if kind in read]
model, history, image_shape = segmenter.fit_node(
    source, settings, seed, cycle, device, job.origin, job.output.model, follows, checkpoint
)
shape = (len(held_out), *image_shape[1:])
with (
    artifacts.opened(source.images, "images", cached=False) as file,
    artifacts.create(job.output.predictions, PREDICTIONS, job.origin) as writer,
):
    writer.dataset("ids", held_out.shape, np.int64)[...] = held_out
    predicted = writer.dataset("masks", shape, np.uint8)
    places = np.unique(np.linspace(0, len(test) - 1, SHOWN).astype(int)).tolist()
    writer.dataset("shown", (len(places),), np.int64)[...] = places
    shown = writer.dataset("entropy", (len(places), *shape[1:]), np.uint8)
    batches = inference.stream(file["images"], held_out, device, settings["batch_size"])
    for row, (probs_C_H_W, _) in enumerate(segmenter.predict(model, batches, settings["precision"])):
        predicted[row] = probs_C_H_W.argmax(0).to(torch.uint8).cpu().numpy()
        if row in places:
            share = segmenter.entropy(probs_C_H_W[None])[0] / np.log(model.n_classes)
            shown[places.index(row)] = (255 * share).round().to(torch.uint8).cpu().numpy()
segmenter.save(job.output.model, model, settings, image_shape, job.origin)
artifacts.write(job.output.history, segmenter.HISTORY, job.origin, history)
checkpoint.remove()
pixel_trajectory.remove(job.output.model)
