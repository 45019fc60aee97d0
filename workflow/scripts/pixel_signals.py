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
data = {name: np.empty(len(ids)) for name in (*PIXEL_SCORES, "bald") if name in wanted}
with artifacts.opened(source.images, "images", cached=False) as file:

    def images(ids):
        return inference.stream(file["images"], ids, device, settings["batch_size"])

    def outputs(ids):
        return segmenter.predict(model, images(ids), settings["precision"])

    shares, embeddings = [], []
    for row, (probs_C_H_W, embedding_D) in enumerate(outputs(ids)):
        probs_C_P = probs_C_H_W.flatten(1).cpu().numpy()
        for name, value in reduced(probs_C_P).items() if wanted & set(PIXEL_SCORES) else ():
            if name in wanted:
                data[name][row] = value
        shares.append(probs_C_P.mean(1, dtype=np.float64))
        embeddings.append(embedding_D.cpu().numpy())
    if "class_shares" in wanted:
        data["class_shares"] = np.stack(shares)
    if "embeddings" in wanted:
        data["embeddings"] = np.stack(embeddings)
    if "bald" in wanted:
        seed = seed_for(int(job.wildcards.seed), "draws", job.wildcards.cycle)
        drawn = segmenter.mutual_information(model, images(ids), job.params.draws, seed, settings["precision"])
        data["bald"][:] = [float(pixels_H_W.mean()) for pixels_H_W in drawn]
    if "labeled_embeddings" in wanted:
        data |= {"labeled_ids": labeled_ids}
        data["labeled_embeddings"] = np.stack([embedding_D.cpu().numpy() for _, embedding_D in outputs(labeled_ids)])
artifacts.write(job.output.pixel_signals, PIXEL_SIGNALS, job.origin, {"ids": ids, **data})
print(f"{', '.join(sorted(wanted))} of {len(ids):,} unlabeled images")
