"""dagal: deep active learning as a DAG of files. README.md tells how to use it, docs/settings.md what can be set."""

import atexit
import os
import sys
from pathlib import Path

from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.27")

# A study is complete by itself: --configfile replaces config.yaml instead of being merged into it.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


sys.path.insert(0, str(Path(workflow.current_basedir) / "workflow"))
sys.setrecursionlimit(10_000)  # 120 cycles are a chain of 600 jobs

from dagal.config.loader import head
from dagal.inspect import failures, labels
from dagal.inspect.progress import Progress
from dagal.plan import record, waiting
from dagal.plan.check import planned
from dagal.plan.job import FOLDER
from dagal.plan.rules import Rules
from dagal.plan.study import WILDCARDS
from dagal.report import registry

files = workflow.overwrite_configfiles or "config.yaml"
study, size = planned(files, dict(workflow.config_settings.config), trusted=workflow.touch)
if workflow.is_main_process:
    record.tell_raw_changes(study)
# where a person labels, the plan ends at the queries that wait
reached, targets = waiting.goals(study)
# cluster jobs start cold, and so do those of --use-conda, whose interpreters differ
with_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
warm = workflow.is_main_process and not with_conda
plan = Rules(reached, size, ancient, "python" if with_conda else sys.executable, warm, workflow)


progress = Progress(path for path in targets if path.endswith("metrics.json"))
quiet = workflow.output_settings.quiet or ()
if workflow.is_main_process and Quietness.ALL not in quiet:
    progress.listen(logger, instead=Quietness.RULES in quiet)
captions = registry.write_captions(FOLDER / "captions")
described = head(files)


report: "workflow/report/workflow.rst"


onstart:
    record.begin(study, described)
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    # by its default of 100 starts a second Snakemake looks at all waiting jobs once a second for every job that has finished:
    # a third of a core after 100 jobs, all of one in a large study
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    progress.stop()
    record.end(study, described)


onerror:
    progress.stop()
    record.end(study, described)
    atexit.register(failures.tell, Path(), sys.stderr)  # below all that Snakemake has to say


if study.by_person and workflow.is_main_process:
    atexit.register(labels.tell, study, sys.stderr)


wildcard_constraints:
    **WILDCARDS,


include: "rules/data.smk"
include: "rules/cycle.smk"


for rules_of_task in study.task.rules:

    include: f"rules/{rules_of_task}"


if study.by_person:

    include: "rules/person.smk"

    for rules_of_task in study.task.rules_by_person:

        include: f"rules/{rules_of_task}"


include: "rules/report.smk"


rule all:
    default_target: True
    input:
        targets,
