"""What the rules hand to Snakemake: inputs, outputs, settings, code and resources of a stage, as functions of the wildcards."""

import functools
import inspect
import math
import os
import shlex
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dagal.learners import leases
from dagal.plan import job
from dagal.plan.code import WORKFLOW
from dagal.plan.study import Study, fill
from dagal.tasks.needs import Size


def with_signature(function: Callable) -> Callable:
    """A function whose parameters are known: Snakemake asks for them several times a job, which is about 4 % of planning."""
    function.__signature__ = inspect.signature(function)
    return function


# megabytes of a job before it reads anything, by its environment, and of CUDA
LIBRARIES = {"light": 200, "torch": 800, "analysis": 500}
CUDA = 4000


class Request(NamedTuple):
    """Megabytes and minutes that a job is given, and how many jobs are submitted together."""

    memory: int
    minutes: int
    together: int


def rounded(number: float, to: int) -> int:
    """The next larger multiple."""
    return math.ceil(number / to) * to


class Rules:
    """The declarations of a study's rules.

    ``size``: that of its images; ``ancient``: Snakemake's flag for inputs whose age does not matter; ``python``: the command that
    runs a script; ``warm``: whether jobs are forked by a process that has the libraries loaded (see workflow/scripts/warm.py);
    ``workflow``: Snakemake's, which knows where jobs run once the first of them is looked at.
    """

    def __init__(self, study: Study, size: Size, ancient: Callable[[str], str], python: str, warm: bool, workflow):
        self.study, self.size, self.ancient, self.workflow = study, size, ancient, workflow
        longest = workflow.global_resources.get("runtime")
        self.longest = longest and longest.value  # minutes that a cluster allows, by --resources
        self._requests: dict[tuple, Request] = {}
        self.settings_file = job.store(study.settings)
        self.cold = f"{python} {shlex.quote(str(WORKFLOW / 'scripts' / 'job.py'))}"
        # "0": none; the path of a socket: a server that several runs share, until the process ends whose number ends the path
        server = os.environ.get("DAGAL_WARM") or f"{job.FOLDER}/warm-{zlib.crc32(python.encode()):08x}-{os.getpid()}"
        client = f"{python} -IS {shlex.quote(str(WORKFLOW / 'scripts' / 'warm.py'))} {shlex.quote(server)}"
        self.warm = client if warm and server != "0" else None

    def reads(self, stage: str) -> Callable:
        """Input function: the named inputs of a stage's jobs."""

        def inputs(wildcards):
            found = job.reads(self.study, stage, self._at(wildcards))
            # a job that did its work keeps the result, whatever is decided later; one that found its chain stopped left a link,
            # which is made anew when the decision changes
            if (
                self.study.stage(stage).stopped_by
                and "stop_record" in found
                and not Path(fill(self._first(stage), dict(wildcards.items()))).is_symlink()
            ):
                found["stop_record"] = self.ancient(found["stop_record"])
            return found

        return with_signature(inputs)

    def writes(self, stage: str) -> dict[str, str]:
        """The named outputs of a stage."""
        return job.writes(self.study, stage)

    def where(self, stage: str) -> dict[str, str]:
        """Patterns of the wildcards of a stage, where these are narrower than usual."""
        return self.study.stage(stage).where(self.study)

    def log(self, stage: str) -> str:
        return job.stem(self.study, stage) + ".log"

    def settings(self, stage: str) -> Callable:
        """Params function: the settings that a stage's jobs depend on."""
        return with_signature(lambda wildcards: self.study.stage(stage).settings(self.study, self._at(wildcards)))

    def code(self, stage: str) -> Callable:
        """Params function: the digest of the code that a stage's jobs depend on."""
        return with_signature(lambda wildcards: job.code(self.study, stage, self._at(wildcards)))

    def threads(self, stage: str) -> Callable:
        return with_signature(lambda wildcards: self.study.stage(stage).threads(self.study, self._at(wildcards)))

    def gpu(self, stage: str) -> Callable:
        """Resource function: GPUs of a stage's jobs."""

        def gpu(wildcards):
            self._count_cards()
            return self.study.stage(stage).gpu(self.study, self._at(wildcards))

        return with_signature(gpu)

    @functools.cache  # noqa: B019  one study a process
    def _count_cards(self) -> None:
        """Where jobs run on this machine, have as many with a GPU at once as its cards hold, unless ``--resources gpu=`` says how many."""
        here = self.workflow.is_main_process and not self.workflow.non_local_exec_or_dryrun
        if here and "gpu" not in self.workflow.global_resources:
            self.workflow.register_resource("gpu", len(leases.cards()) * self.study.settings["jobs_per_gpu"])

    def memory(self, stage: str) -> Callable:
        """Resource function: megabytes of a stage's jobs, more with each attempt."""
        return with_signature(lambda wildcards, attempt: attempt * self._first_attempt(stage, wildcards).memory)

    def runtime(self, stage: str) -> Callable:
        """Resource function: minutes of a stage's jobs, more with each attempt.

        Snakemake itself caps those of single jobs by ``--resources runtime=``, but not the sum of what it submits together.
        """

        def runtime(wildcards, attempt):
            first = self._first_attempt(stage, wildcards)
            wanted = attempt * first.minutes
            return wanted if self.longest is None else max(1, min(wanted, self.longest // first.together))

        return with_signature(runtime)

    def group(self, stage: str) -> Callable:
        """Group function: the name of what a cluster is given together with a stage's jobs, if anything is."""

        def group(wildcards):
            name = self.study.stage(stage).group(self.study, self._at(wildcards))
            return (
                f"{name}_{wildcards.seed}_{wildcards.branch}_{wildcards.cycle}"
                if name and not self.workflow.local_exec
                else None
            )

        return group

    def _first_attempt(self, stage: str, wildcards) -> Request:
        """What a job is to be given at first; the same for all seeds."""
        place = stage, *(item for item in wildcards.items() if item[0] != "seed")
        if place not in self._requests:
            declared, at = self.study.stage(stage), self._at(wildcards)
            need, name = declared.needs(self.study, at, self.size), declared.group(self.study, at)
            megabytes = LIBRARIES[declared.environment] + CUDA * declared.gpu(self.study, at) + need.memory / 1e6
            self._requests[place] = Request(
                rounded(1.25 * megabytes, 500),
                rounded(1 + 2 * need.seconds / 60, 10),
                sum(one.group(self.study, at) == name for one in self.study.steps.values()) if name else 1,
            )
        return self._requests[place]

    def conda(self, stage: str) -> str:
        return f"../envs/{self.study.stage(stage).environment}.yaml"

    def command(self, stage: str) -> Callable:
        """Params function: the shell command of a job, its script with the settings of the study and where the job stands.

        What a job reads and is set to follows from these (`dagal.plan.job.describe`), so each can be run by hand. Snakemake does not
        compare params that depend on threads and resources, so where the clone lies reruns nothing.
        """
        script, environment = shlex.quote(str(job.script(self.study, stage))), self.study.stage(stage).environment

        def command(wildcards, threads, resources):
            # the libraries of a warm process run with one thread
            start = f"{self.warm} {environment}" if self.warm and threads == 1 else self.cold
            place = [f"{name}={value}" for name, value in sorted(wildcards.items())]
            words = [
                start,
                script,
                str(self.settings_file),
                stage,
                f"threads={threads}",
                f"gpu={resources.get('gpu', 0)}",
            ]
            return " ".join([*words, *place])

        return with_signature(command)

    def _at(self, wildcards):
        return self.study.at(dict(wildcards.items()))

    def _first(self, stage: str) -> str:
        return next(iter(self.writes(stage).values()))
