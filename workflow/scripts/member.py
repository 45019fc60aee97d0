"""One further member of a deep ensemble: the learner trained again from another initialisation and order."""

from job import start

from dagal import artifacts
from dagal.learners import architectures, devices, training

origin = start(snakemake)
settings, source, wildcards = snakemake.params.learner, snakemake.input, snakemake.wildcards
device = devices.prepare(snakemake.resources.get("gpu", 0), settings["threads"])
purpose = (int(wildcards.cycle), "member", int(wildcards.member))
model, _ = training.from_scratch(source, settings, int(wildcards.seed), purpose, device)
with artifacts.opened(source.images, "images") as file:
    height, width, channels = file["images"].shape[1:]
architectures.save(snakemake.output[0], model, settings, (channels, height, width), origin)
