"""images.h5 + truth.h5 -> the pool, initial, validation and test ids of one seed."""

import importlib

import h5py
import numpy as np
from job import start

from dagal import artifacts
from dagal.pool import channel_statistics, make_split, thumbnails

origin = start(snakemake)
seed = int(snakemake.wildcards.seed)
(labels_N,) = artifacts.read(snakemake.input.truth, "truth", "labels")
class_names = artifacts.attributes(snakemake.input.truth, "truth")["class_names"]
with artifacts.opened(snakemake.input.images, "images") as file:

    def kcenter(ids, size, start, rng):
        # not an import statement, so that only splits of this kind depend on the module
        module = importlib.import_module("dagal.acquisition.kcenter")
        return module.kcenter_initial(thumbnails(file["images"], ids), size, start, rng)

    split = make_split(file["split"][()], labels_N, len(class_names), snakemake.params.pool, seed, kcenter)
    mean_C, std_C = channel_statistics(file["images"], np.union1d(split["pool"], split["initial"]))
artifacts.write(
    snakemake.output[0],
    "split",
    origin,
    {**split, "channel_mean": mean_C, "channel_std": std_C},
    class_names=np.array(class_names, h5py.string_dtype()),
)
for name, ids in split.items():
    print(f"{name}: {len(ids):,} ids, per class {np.bincount(labels_N[ids], minlength=len(class_names)).tolist()}")
