"""Raw data -> images.h5 and the sealed truth.h5, or, where a person labels, the labels that are given."""

from job import start

from dagal import datasets

job = start()
job.ready()
datasets.prepare(
    job.params.dataset, job.output.images, job.output.get("truth") or job.output.given, job.origin, job.threads
)
