"""labeled.h5 -> detector, from scratch or from the model of the cycle before, its history, and its detections on the test set."""

import numpy as np
import torch
from job import start

from dagal import artifacts
from dagal.learners import checkpoints, detector, devices, inference
from dagal.seeding import seed_for
from dagal.tasks.detection import detections

job = start()
settings, source = dict(job.params.learner), job.input
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
# deterministic RoI pooling on a GPU would be compiled, and slow
device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
if cycle == 0 and settings["initial_epochs"]:
    settings["epochs"] = settings["initial_epochs"]

names = ("ids", "boxes", "box_labels", "offsets")
ids, boxes, labels, offsets = artifacts.read(source.labeled, "labeled", *names)
n_classes = len(artifacts.attributes(source.labeled, "labeled")["class_names"])
test, mean_C, std_C = artifacts.read(source.split, "split", "test", "channel_mean", "channel_std")
boxes, labels = (list(torch.from_numpy(rows).to(device).split(np.diff(offsets).tolist())) for rows in (boxes, labels))
with artifacts.opened(source.images, "images") as file:
    images = inference.images_of(file["images"], ids, device)
    if source.parent:
        model = detector.load(source.parent, device)
    else:
        torch.manual_seed(seed_for(seed, "initialise", cycle))
        model = detector.build(settings, n_classes, tuple(images.shape[1:]), mean_C, std_C).to(device)
    checkpoint = checkpoints.of(job, job.output.model, device)
    history = detector.fit(model, images, boxes, labels, settings, seed_for(seed, "train", cycle), checkpoint)
    batches = inference.stream(file["images"], test, device, settings["batch_size"])
    found = detections.table(detector.detect_frames(model, batches))

detector.save(job.output.model, model, settings, tuple(images.shape[1:]), job.origin)
artifacts.write(job.output.history, detector.HISTORY, job.origin, history)
artifacts.write(job.output.predictions, detections.PREDICTIONS, job.origin, {"ids": test, **found})
checkpoint.remove()
print(f"{len(found['labels']):,} detections in {len(test):,} test frames")
