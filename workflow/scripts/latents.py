"""VAE of all training images, without labels -> their latents, on which the first labeled set is chosen (SRAAL, alg. 1)."""

import numpy as np
import torch
from job import start

from dagal import artifacts
from dagal.learners import adversary, checkpoints, devices, inference, vae
from dagal.pool import channel_statistics
from dagal.seeding import seed_for

job = start()
settings = job.params.adversary | {"kind": "vaal", "weight": 0}  # nothing to hide: there are no labels yet
device = devices.prepare(job.gpu, job.threads)
checkpoint = checkpoints.of(job, job.output.latents, device, "step")
with artifacts.opened(job.input.images, "images", cached=False) as file:
    ids = np.flatnonzero(file["split"][()] == 0)
    mean_C, std_C = channel_statistics(file["images"], ids)
    images = inference.images_of(file["images"], ids, torch.device("cpu"), height=settings.get("height"))
    seed = seed_for(int(job.wildcards.seed), "latents")
    networks, _ = adversary.train(
        images, images, settings, seed, device, channel_mean=mean_C, channel_std=std_C, checkpoint=checkpoint
    )
    batches = (batch.to(device) for batch in images.split(4 * settings["batch_size"]))
    latents_N_D = adversary.latents(networks, batches)
artifacts.write(job.output.latents, vae.LATENTS, job.origin, {"ids": ids, "latents": latents_N_D})
checkpoint.remove()
print(f"latents of {len(ids):,} images, {latents_N_D.shape[1]} dimensions")
