"""VAE and discriminator trained on the labeled and unlabeled images (or features) of a node -> how labeled each unlabeled one looks."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.seeding import seed_for

job = start()

import torch  # noqa: E402  a chain that stopped needs none

from dagal.learners import adversary, devices, inference  # noqa: E402

source, settings = job.input, job.params.adversary
device = devices.prepare(job.gpu, job.params.threads)
job.ready()
seed = seed_for(int(job.wildcards.seed), "adversary", job.wildcards.cycle)
ids = unlabeled(source.split, source.labeled)
order = np.argsort(artifacts.read(source.labeled, "labeled", "ids")[0])  # signals of labeled ids ascend
labeled_ids, labels = (values[order] for values in artifacts.read(source.labeled, "labeled", "ids", "labels"))
reads = {}
if settings["kind"] == "ta_vaal":  # ranks are predicted losses through a sigmoid (TA-VAAL, sec. 3.2)
    losses = artifacts.read(source.signals, "signals", "labeled_predicted_loss", "predicted_loss")
    ranks_L, ranks_U = (torch.sigmoid(torch.from_numpy(loss)).numpy() for loss in losses)
    reads = {"ranks_L": ranks_L, "ranks_U": ranks_U}
elif settings["kind"] == "sraal":
    reads = {"labels_L": labels, "probs_U": artifacts.read(source.signals, "signals", "probabilities")[0]}

mean_C, std_C = artifacts.read(source.split, "split", "channel_mean", "channel_std")
with inference.inputs_of(source.inputs) as inputs:
    pools = [inference.images_of(inputs, rows, torch.device("cpu")) for rows in (labeled_ids, ids)]
    if pools[0].dtype.is_floating_point:  # the statistics are those of the pixels
        mean_C = std_C = None
    networks, history = adversary.train(*pools, settings, seed, device, channel_mean=mean_C, channel_std=std_C, **reads)
    batches = (batch.to(device) for batch in pools[1].split(4 * settings["batch_size"]))
    looks_labeled = adversary.discriminate(networks, batches, reads.get("ranks_U"))
history["discriminator_loss"] = history.pop("discriminator")
data = {"ids": ids, "discriminator": looks_labeled, **history}
artifacts.write(job.output.adversary, adversary.ADVERSARY, job.origin, data)
print(f"{len(ids):,} unlabeled images: D from {looks_labeled.min():.4f} to {looks_labeled.max():.4f}")
