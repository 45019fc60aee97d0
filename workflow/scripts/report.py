"""One table or figure of a study, by its name in the registry of the report."""

from job import start

from dagal.report.registry import ITEMS

job = start()
ITEMS.find(job.params["item"]).make(job)
