"""One table or figure of a study, which has the name of its stage in the registry of the report."""

from job import start

from dagal.report.registry import ITEMS

job = start()
ITEMS.find(job.stage).make(job)
