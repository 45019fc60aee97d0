"""A backbone, trained further on a node's labels -> the node's backbone and the features of all images by it."""

from job import start

from dagal import artifacts
from dagal.seeding import seed_for

job = start()

from dagal.learners import backbones, checkpoints, devices, embedding, inference, weights  # noqa: E402  a chain that stopped needs no torch

source, settings, output = job.input, job.params.backbone, job.output
seed = seed_for(int(job.wildcards.seed), "finetune", int(job.wildcards.cycle))
device = devices.prepare(job.gpu, settings["threads"])
checkpoint = checkpoints.of(job, output.backbone, device)
ids, labels = artifacts.read(source.labeled, "labeled", "ids", "labels")
with artifacts.opened(source.images, "images", cached=False) as file:
    height, width, channels = file["images"].shape[1:]
    backbone = devices.place(backbones.load(source.backbone, (channels, height, width)), device)
    print(f"fine-tuning the embedding on {len(ids):,} labels", flush=True)
    images = inference.images_of(file["images"], ids, device)
    embedding.train(
        backbone,
        images,
        labels,
        settings,
        settings["finetune_epochs"],
        settings["finetune_lr"],
        seed,
        device,
        checkpoint,
    )
    about = {"backbone": weights.read(source.backbone)[0]["backbone"], "shape": (channels, height, width)}
    weights.write(output.backbone, backbone, {**about, **job.origin})
    backbones.write_features(output.features, job.origin, backbone, file, device, settings["precision"])
checkpoint.remove()
