"""One pass of a segmenter over its unlabeled pool -> the scores of its images, their classes and embeddings."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import devices, inference, segmenter
from dagal.pool import unlabeled
from dagal.seeding import seed_for
from dagal.tasks.segmentation.signals import PIXEL_SCORES, PIXEL_SIGNALS, reduced

job = start()
source, settings, wanted = job.input, job.params.learner, set(job.params.signals)
device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
model = segmenter.load(source.model, device)
job.ready()
ids = unlabeled(source.split, source.labeled)
labeled_ids = np.sort(artifacts.read(source.labeled, "labeled", "ids")[0])
read = [name for name in PIXEL_SCORES if name in wanted]
found = {name: [] for name in (*read, "class_shares", "embeddings") if name in wanted}
with artifacts.opened(source.images, "images", cached=False) as file:

    def images(ids):
        return inference.stream(file["images"], ids, device, settings["batch_size"])

    def outputs(ids):
        return segmenter.predict(model, images(ids), settings["precision"])

    for probs_C_H_W, embedding_D in outputs(ids) if found else ():
        probs_C_P = probs_C_H_W.flatten(1).cpu().numpy()
        of_image = reduced(probs_C_P, read) | {
            "class_shares": probs_C_P.mean(1, dtype=np.float64), "embeddings": embedding_D.cpu().numpy(),
        }  # fmt: skip
        for name, values in found.items():
            values.append(of_image[name])
    data = {name: np.stack(values) for name, values in found.items()}
    if "bald" in wanted:
        seed = seed_for(int(job.wildcards.seed), "draws", job.wildcards.cycle)
        drawn = segmenter.mutual_information(model, images(ids), job.params.draws, seed, settings["precision"])
        data["bald"] = np.array([float(pixels_H_W.mean()) for pixels_H_W in drawn])
    for name, at in (("predicted_loss", ids), ("labeled_predicted_loss", labeled_ids)):
        if name in wanted:
            losses = segmenter.predicted_losses(model, images(at), settings["precision"])
            data[name] = np.concatenate([losses_B.cpu().numpy() for losses_B in losses])
    if wanted & {"labeled_embeddings", "labeled_predicted_loss"}:
        data |= {"labeled_ids": labeled_ids}
    if "labeled_embeddings" in wanted:
        data["labeled_embeddings"] = np.stack([embedding_D.cpu().numpy() for _, embedding_D in outputs(labeled_ids)])
artifacts.write(job.output.pixel_signals, PIXEL_SIGNALS, job.origin, {"ids": ids, **data})
print(f"{', '.join(sorted(wanted))} of {len(ids):,} unlabeled images")
