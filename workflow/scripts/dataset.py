"""Raw data -> images.h5 and the sealed truth.h5."""

from job import start

from dagal import datasets

job = start()
job.ready()
datasets.prepare(job.params.dataset, job.output.images, job.output.truth, job.origin, job.threads)
