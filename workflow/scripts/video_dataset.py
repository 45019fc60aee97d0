"""Videos, rendered or from files -> images.h5 and the sealed truth.h5."""

from job import start

from dagal.datasets import synthia_al, videos

origin = start(snakemake)
settings, paths = snakemake.params.dataset, (snakemake.output.images, snakemake.output.truth)
if settings["loader"] == "synthia_al":
    synthia_al.prepare(settings, *paths, origin, snakemake.threads)
else:
    videos.prepare_videos(videos.LOADERS[settings["loader"]](settings), settings, *paths, origin)
