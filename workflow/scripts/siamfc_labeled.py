"""labeled.h5 -> the network of SiamFC of a node, trained to follow the objects of the frames labeled by then. A killed run goes on where it was."""

from job import start

from dagal import artifacts
from dagal.learners import checkpoints, devices, weights
from dagal.seeding import generator, seed_for
from dagal.tasks.detection import siamfc

job = start()
settings, source = job.params.siamfc, job.input
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
device = devices.prepare(job.gpu, job.threads)
checkpoint = checkpoints.of(job, job.output.network, device)
ids, offsets, boxes, labels = artifacts.read(source.labeled, "labeled", "ids", "offsets", "boxes", "box_labels")
with artifacts.opened(source.images, "images") as file:
    partners = siamfc.same_objects(file["video"][()][ids], file["frame"][()][ids], offsets, boxes, labels)
    rng = generator(seed, "siamfc", "pairs", cycle)
    exemplars, searches = siamfc.labeled_pairs(file["images"], ids, offsets, boxes, partners, rng)
print(f"training on {len(exemplars):,} pairs of objects in {len(ids):,} labeled frames", flush=True)
model = siamfc.fit(exemplars, searches, settings["epochs"], device, checkpoint, seed_for(seed, "siamfc", cycle))
weights.write(job.output.network, model, {"siamfc": settings, **job.origin})
checkpoint.remove()
