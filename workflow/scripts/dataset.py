"""Raw data -> images.h5 and the sealed truth.h5."""

from job import start

from dagal import datasets

origin = start(snakemake)
datasets.prepare(snakemake.params.dataset, snakemake.output.images, snakemake.output.truth, origin)
