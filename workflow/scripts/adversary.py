"""VAE and discriminator trained on the labeled and unlabeled images (or features) of a node -> how labeled each unlabeled one looks."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import ranked, unlabeled
from dagal.seeding import seed_for
from dagal.tasks.adversaries import LOSSES

job = start()

import torch  # noqa: E402  a chain that stopped needs none

from dagal.learners import adversary, checkpoints, devices, inference  # noqa: E402

source, settings, cpu = job.input, job.params.adversary, torch.device("cpu")
seed, cycle, height = int(job.wildcards.seed), int(job.wildcards.cycle), settings.get("height")
settings = settings | {"steps": settings["steps"] + cycle * settings["added_steps"]}
device = devices.prepare(job.gpu, job.params.threads)
checkpoint = checkpoints.of(job, job.output.adversary, device, "step")
job.ready()
ids = unlabeled(source.split, source.labeled)
at_U = np.searchsorted(ids, ranked(ids, job.params.ranked, seed, cycle + 1))  # what the next query ranks
signals, probabilities = job.task.signals["probs_N_C"]
reads, ranks_L, ranks = {}, None, None
if settings["kind"] == "ta_vaal":

    def ranks_of(losses_L, losses_U):
        return adversary.ranks_of(losses_L, settings), adversary.ranks_of(losses_U, settings)

    last = ranks_of(*artifacts.read(source.signals, signals, *LOSSES))
    epochs = zip(*artifacts.read(source.ranks, "ranks", *LOSSES), strict=True) if source.ranks else []
    ranks_L, ranks = last[0][1].numpy(), last[1][1].numpy()
    trained_on = adversary.ranks_of_steps(settings["ranks"], last, [ranks_of(*losses) for losses in epochs])
    reads = {"ranks": [pair and (pair[0], pair[1][:, at_U]) for pair in trained_on]}
elif settings["kind"] == "sraal":
    reads = {"probs_U": artifacts.read(source.signals, signals, probabilities)[0][at_U]}

mean_C, std_C = artifacts.read(source.split, "split", "channel_mean", "channel_std")
with inference.inputs_of(source.inputs) as inputs, artifacts.opened(source.labeled, "labeled") as labeled:
    order = np.argsort(labeled["ids"][()])  # signals of labeled ids ascend
    if settings["kind"] == "sraal" and "masks" in labeled:
        reads["labels_L"] = inference.images_of(labeled["masks"], order, cpu, height=height)
    elif settings["kind"] == "sraal":
        reads["labels_L"] = labeled["labels"][()][order]
    pools = [inference.images_of(inputs, rows, cpu, height=height) for rows in (labeled["ids"][()][order], ids[at_U])]
    if pools[0].dtype.is_floating_point:  # the statistics are those of the pixels
        mean_C = std_C = None
    training_seed = seed_for(seed, "adversary", job.wildcards.cycle)
    networks, history = adversary.train(
        *pools, settings, training_seed, device, channel_mean=mean_C, channel_std=std_C, checkpoint=checkpoint, **reads
    )
    every = pools[1] if len(at_U) == len(ids) else inference.images_of(inputs, ids, cpu, height=height)

    def discriminated(images, ranks):
        return adversary.discriminate(networks, (b.to(device) for b in images.split(4 * settings["batch_size"])), ranks)

    looks_labeled = discriminated(every, ranks)
    auc = adversary.told_apart(discriminated(pools[0], ranks_L), looks_labeled)  # one more pass over the labeled images
history["discriminator_loss"] = history.pop("discriminator")
data = {"ids": ids, "discriminator": looks_labeled, "auc": auc, **history}
artifacts.write(job.output.adversary, adversary.ADVERSARY, job.origin, data)
checkpoint.remove()
print(f"{len(ids):,} unlabeled images: D from {looks_labeled.min():.4f} to {looks_labeled.max():.4f}, AUC {auc:.3f}")
