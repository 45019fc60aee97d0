"""Rendered roads -> the network of SiamFC, trained to follow their objects. A killed run goes on where it was."""

import torch
from job import start

from dagal.learners import checkpoints, devices, weights
from dagal.pace import Reporter
from dagal.tasks.detection import siamfc

job = start()
settings = job.params.siamfc
device = devices.prepare(job.gpu, job.threads)
checkpoint = checkpoints.of(job, job.output.network, device)
clips, found = siamfc.clips(settings["clips"]), []
report = Reporter(len(clips), "clips")
for clip in clips:
    found.append(siamfc.pairs(clip))
    report(len(found))
exemplars, searches = (torch.cat(crops) for crops in zip(*found, strict=True))
print(f"training on {len(exemplars):,} pairs of {len(clips)} rendered clips", flush=True)
model = siamfc.fit(exemplars, searches, settings["epochs"], device, checkpoint)
weights.write(job.output.network, model, {"siamfc": settings, **job.origin})
checkpoint.remove()
