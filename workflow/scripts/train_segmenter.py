"""labeled.h5 -> segmenter, from scratch or from the model of the cycle before, its history, and the masks that it predicts for test and
validation images."""

import numpy as np
import torch
from job import start

from dagal import artifacts
from dagal.learners import checkpoints, devices, inference, segmenter
from dagal.seeding import seed_for
from dagal.tasks.segmentation.signals import PREDICTIONS

SHOWN = 8  # test images whose entropy is kept for pictures

job = start()
settings, source = job.params.learner, job.input
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
# enlarging maps has no deterministic gradient on a GPU
device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
test, validation, mean_C, std_C = artifacts.read(
    source.split, "split", "test", "validation", "channel_mean", "channel_std"
)
held_out = np.concatenate([test, validation])
with (
    artifacts.opened(source.images, "images", cached=False) as file,
    artifacts.opened(source.labeled, "labeled") as labeled,
):
    n_classes = len(artifacts.attribute(labeled, "class_names"))
    ids, cpu = labeled["ids"][()], torch.device("cpu")
    images = inference.images_of(file["images"], ids, cpu, segmenter.HELD_BYTES)
    masks = inference.images_of(labeled["masks"], np.arange(len(ids)), cpu, segmenter.HELD_BYTES)
    torch.manual_seed(seed_for(seed, "initialise", cycle))
    if source.parent:
        model = segmenter.load(source.parent, device)
    else:
        model = devices.place(segmenter.build(settings, n_classes, tuple(images.shape[1:]), mean_C, std_C), device)
    print(f"training on {len(ids):,} images, {n_classes} classes", flush=True)
    checkpoint = checkpoints.of(job, job.output.model, device)
    history = segmenter.fit(model, images, masks, settings, seed_for(seed, "train", cycle), checkpoint)
    shape = (len(held_out), *images.shape[2:])
    with artifacts.create(job.output.predictions, PREDICTIONS, job.origin) as writer:
        writer.dataset("ids", held_out.shape, np.int64)[...] = held_out
        predicted = writer.dataset("masks", shape, np.uint8)
        places = np.unique(np.linspace(0, len(test) - 1, SHOWN).astype(int)).tolist()
        writer.dataset("shown", (len(places),), np.int64)[...] = places
        shown = writer.dataset("entropy", (len(places), *shape[1:]), np.uint8)
        batches = inference.stream(file["images"], held_out, device, settings["batch_size"])
        for row, (probs_C_H_W, _) in enumerate(segmenter.predict(model, batches, settings["precision"])):
            predicted[row] = probs_C_H_W.argmax(0).to(torch.uint8).cpu().numpy()
            if row in places:
                share = segmenter.entropy(probs_C_H_W[None])[0] / np.log(n_classes)
                shown[places.index(row)] = (255 * share).round().to(torch.uint8).cpu().numpy()
segmenter.save(job.output.model, model, settings, tuple(images.shape[1:]), job.origin)
artifacts.write(job.output.history, segmenter.HISTORY, job.origin, history)
checkpoint.remove()
