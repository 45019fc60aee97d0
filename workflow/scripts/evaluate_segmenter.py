"""Predicted masks against the truth, image by image -> metrics.json."""

import math

import numpy as np
from job import start

from dagal import artifacts
from dagal.tasks.segmentation.answers import images_of
from dagal.tasks.segmentation.evaluation import confusion, intersection_over_union

job = start()
with artifacts.opened(job.input.labeled, "labeled") as file:
    pixels_L_C, clicks_L, n_images = file["pixels"][()], file["clicks"][()], len(images_of(file))
    class_names = artifacts.attribute(file, "class_names").tolist()
(test,) = artifacts.read(job.input.split, "split", "test")
matrices = np.zeros((2, len(class_names), len(class_names)), np.int64)  # of the test set, of the validation set
with (
    artifacts.opened(job.input.predictions, "predictions") as found,
    artifacts.opened(job.input.truth, "truth") as truth,
):
    ids = found["ids"][()]
    for row, i in enumerate(ids.tolist()):
        matrices[int(row >= len(test))] += confusion(truth["masks"][i], found["masks"][row], len(class_names))


def mean_iou(matrix):
    iou_C = intersection_over_union(matrix)
    return None if np.isnan(iou_C).all() else float(np.nanmean(iou_C))


iou_C = intersection_over_union(matrices[0]).tolist()
metrics = {
    **job.origin,
    "cycle": int(job.wildcards.cycle),
    "labels": len(pixels_L_C),
    "mean_iou": mean_iou(matrices[0]),
    "pixel_accuracy": float(np.trace(matrices[0]) / max(1, matrices[0].sum())),
    "validation_mean_iou": mean_iou(matrices[1]),
    "labeled_images": n_images,
    "labeled_pixels": int(pixels_L_C.sum()),
    "clicks": int(clicks_L.sum()),
    "class_names": class_names,
    "iou_per_class": [None if math.isnan(iou) else iou for iou in iou_C],
    "labels_per_class": pixels_L_C.sum(0).tolist(),
    "confusion": matrices[0].tolist(),
}
artifacts.write_json(job.output.metrics, metrics)
print(
    f"{len(pixels_L_C):,} labels in {n_images:,} images: mean IoU {metrics['mean_iou']:.4f} over {len(test):,} images"
)
