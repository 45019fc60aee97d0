"""Raw data -> images.h5 and the sealed truth.h5; what the user has to know of them is shown."""

from job import start

from dagal import artifacts, datasets

job = start()
job.ready()
datasets.prepare(job.params.dataset, job.output.images, job.output.truth, job.origin, job.threads)
notes = artifacts.attributes(job.output.images, "images").get("notes", [])
job.tell(f"{job.params.dataset['name']}: {note}" for note in notes)
