"""images.h5 + truth.h5 (or, where a person labels, the labels that are given) -> the pool, initial, validation and test ids of one seed."""

import importlib

import h5py
import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import SPLIT, channel_statistics, make_split, thumbnails

job = start()
seed = int(job.wildcards.seed)
given, labels_N = None, None
if job.input.get("given"):
    (given,) = artifacts.read(job.input.given, "given", "ids")
    class_names = artifacts.attributes(job.input.given, "given")["class_names"]
else:
    with artifacts.opened(job.input.truth, "truth") as file:
        class_names = artifacts.attribute(file, "class_names")
        labels_N = file["labels"][()] if "labels" in file else None
with artifacts.opened(job.input.images, "images", cached=False) as file:

    def kcenter(ids, size, start, rng):
        # not an import statement, so that only splits of this kind depend on the module
        module = importlib.import_module("dagal.acquisition.kcenter")
        if job.input.latents:
            every, latents_N_D = artifacts.read(job.input.latents, "latents", "ids", "latents")
            features = latents_N_D[np.searchsorted(every, ids)]
        else:
            features = thumbnails(file["images"], ids)
        return module.kcenter_initial(features, size, start, rng)

    if (
        labels_N is None
    ):  # frames of videos have no class, and what is not labeled: nothing that needs one may be set for them
        labels_N = np.zeros(len(file["split"]), np.int64)
    group_N = file["group"][()] if "group" in file else None
    pool, of_regions = job.params.pool, job.params.get("regions") == "regions"
    if of_regions:  # the initial set is drawn from all regions, below
        pool = pool | {"initial": pool["initial"] | {"size": 0}}
    split = make_split(file["split"][()], labels_N, len(class_names), pool, seed, kcenter, group_N, given)
    mean_C, std_C = channel_statistics(file["images"], np.union1d(split["pool"], split["initial"]))
for name, ids in split.items():
    per_class = np.bincount(labels_N[ids], minlength=len(class_names)).tolist() if labels_N.any() else "unknown"
    print(f"{name}: {len(ids):,} ids, per class {per_class}")
if job.input.regions:
    module = importlib.import_module("dagal.tasks.segmentation.regions")  # as above
    size = job.params.pool["initial"]["size"] if of_regions else None
    with artifacts.opened(job.input.regions, module.REGIONS) as file:
        split = module.split_regions(split, module.Partition(file), size, seed)
    print(f"regions: {len(split['pool']):,} in the pool, {len(split['initial']):,} in the initial set")
artifacts.write(
    job.output.split,
    SPLIT,
    job.origin,
    {**split, "channel_mean": mean_C, "channel_std": std_C},
    class_names=np.array(class_names, h5py.string_dtype()),
)
