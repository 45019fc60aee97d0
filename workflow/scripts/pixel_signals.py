"""One pass of a segmenter over its unlabeled pool -> the scores of its images or regions, their classes and embeddings."""

from contextlib import nullcontext

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import devices, inference, segmenter
from dagal.pool import unlabeled
from dagal.seeding import seed_for
from dagal.tasks.segmentation import signals
from dagal.tasks.segmentation.regions import REGIONS, Partition

job = start()
source, settings, wanted = job.input, job.params.learner, set(job.params.signals)
device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
model = segmenter.load(source.model, device)
job.ready()
ids = unlabeled(source.split, source.labeled)
labeled_ids = np.sort(artifacts.read(source.labeled, "labeled", "ids")[0])
found = {name: [] for name in (*signals.OF_PROBABILITIES, "embeddings") if name in wanted}
divided = artifacts.opened(source.regions, REGIONS) if source.regions else nullcontext()
with artifacts.opened(source.images, "images", cached=False) as file, divided as regions:
    if regions:
        partition = Partition(regions)
        of_image = list(signals.by_image(partition, ids))  # (image, numbers of its regions)
        asked, join = np.array([image for image, _ in of_image], np.int64), np.concatenate
    else:
        asked, join = ids, np.stack

    def images(ids):
        return inference.stream(file["images"], ids, device, settings["batch_size"])

    def outputs(ids):
        return segmenter.predict(model, images(ids), settings["precision"])

    for place, (probs_C_H_W, embedding_D) in enumerate(outputs(asked)) if found else ():
        probs_C_H_W = probs_C_H_W.cpu().numpy()
        if regions:
            image, numbers = of_image[place]
            told = signals.of_regions(probs_C_H_W, partition.map(image), numbers, found)
        else:
            told = signals.of_image(probs_C_H_W, found) | {"embeddings": embedding_D.cpu().numpy()}
        for name, values in found.items():
            values.append(told[name])
    data = {name: join(values) for name, values in found.items()}
    if "bald" in wanted:
        seed = seed_for(int(job.wildcards.seed), "draws", job.wildcards.cycle)
        drawn = segmenter.mutual_information(model, images(asked), job.params.draws, seed, settings["precision"])
        if regions:
            data["bald"] = np.concatenate([
                signals.means(pixels_H_W.cpu().numpy(), partition.map(image), numbers)
                for pixels_H_W, (image, numbers) in zip(drawn, of_image, strict=True)
            ])  # fmt: skip
        else:
            data["bald"] = np.array([float(pixels_H_W.mean()) for pixels_H_W in drawn])
    for name, at in (("predicted_loss", ids), ("labeled_predicted_loss", labeled_ids)):
        if name in wanted:
            losses = segmenter.predicted_losses(model, images(at), settings["precision"])
            data[name] = np.concatenate([losses_B.cpu().numpy() for losses_B in losses])
    if wanted & {"labeled_embeddings", "labeled_predicted_loss"}:
        data |= {"labeled_ids": labeled_ids}
    if "labeled_embeddings" in wanted:
        data["labeled_embeddings"] = np.stack([embedding_D.cpu().numpy() for _, embedding_D in outputs(labeled_ids)])
artifacts.write(job.output.pixel_signals, signals.PIXEL_SIGNALS, job.origin, {"ids": ids, **data})
print(f"{', '.join(sorted(wanted))} of {len(ids):,} unlabeled {'regions' if regions else 'images'}")
