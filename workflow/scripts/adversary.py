"""VAE and discriminator trained on the labeled and unlabeled images (or features) of a node -> how labeled each unlabeled one looks."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import ranked, unlabeled
from dagal.seeding import seed_for

job = start()

import torch  # noqa: E402  a chain that stopped needs none

from dagal.learners import adversary, checkpoints, devices, inference  # noqa: E402

source, settings = job.input, job.params.adversary
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
settings = settings | {"steps": settings["steps"] + cycle * settings["added_steps"]}
device = devices.prepare(job.gpu, job.params.threads)
checkpoint = checkpoints.of(job, job.output.adversary, device, "step")
job.ready()
ids = unlabeled(source.split, source.labeled)
at_U = np.searchsorted(ids, ranked(ids, job.params.ranked, seed, cycle + 1))  # what the next query ranks
order = np.argsort(artifacts.read(source.labeled, "labeled", "ids")[0])  # signals of labeled ids ascend
labeled_ids, labels = (values[order] for values in artifacts.read(source.labeled, "labeled", "ids", "labels"))
reads, ranks = {}, None
if settings["kind"] == "ta_vaal":

    def ranks_of(losses_L, losses_U):
        return adversary.ranks_of(losses_L, settings), adversary.ranks_of(losses_U, settings)

    names = ("labeled_predicted_loss", "predicted_loss")
    last = ranks_of(*artifacts.read(source.signals, "signals", *names))
    epochs = zip(*artifacts.read(source.ranks, "ranks", *names), strict=True) if source.ranks else []
    ranks = last[1][1].numpy()
    trained_on = adversary.ranks_of_steps(settings["ranks"], last, [ranks_of(*losses) for losses in epochs])
    reads = {"ranks": [pair and (pair[0], pair[1][:, at_U]) for pair in trained_on]}
elif settings["kind"] == "sraal":
    reads = {"labels_L": labels, "probs_U": artifacts.read(source.signals, "signals", "probabilities")[0][at_U]}

mean_C, std_C = artifacts.read(source.split, "split", "channel_mean", "channel_std")
with inference.inputs_of(source.inputs) as inputs:
    pools = [inference.images_of(inputs, rows, torch.device("cpu")) for rows in (labeled_ids, ids[at_U])]
    if pools[0].dtype.is_floating_point:  # the statistics are those of the pixels
        mean_C = std_C = None
    training_seed = seed_for(seed, "adversary", job.wildcards.cycle)
    networks, history = adversary.train(
        *pools, settings, training_seed, device, channel_mean=mean_C, channel_std=std_C, checkpoint=checkpoint, **reads
    )
    every = pools[1] if len(at_U) == len(ids) else inference.images_of(inputs, ids, torch.device("cpu"))
    batches = (batch.to(device) for batch in every.split(4 * settings["batch_size"]))
    looks_labeled = adversary.discriminate(networks, batches, ranks)
history["discriminator_loss"] = history.pop("discriminator")
data = {"ids": ids, "discriminator": looks_labeled, **history}
artifacts.write(job.output.adversary, adversary.ADVERSARY, job.origin, data)
checkpoint.remove()
print(f"{len(ids):,} unlabeled images: D from {looks_labeled.min():.4f} to {looks_labeled.max():.4f}")
