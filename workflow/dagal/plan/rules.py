"""What the rules hand to Snakemake: inputs, outputs, settings, code and resources of a stage, as functions of the wildcards."""

import inspect
import os
import shlex
import zlib
from collections.abc import Callable
from pathlib import Path

from dagal.plan import job
from dagal.plan.code import WORKFLOW
from dagal.plan.study import Study, fill


def with_signature(function: Callable) -> Callable:
    """A function whose parameters are known: Snakemake asks for them several times a job, which is about 4 % of planning."""
    function.__signature__ = inspect.signature(function)
    return function


class Rules:
    """The declarations of a study's rules.

    ``ancient``: Snakemake's flag for inputs whose age does not matter; ``python``: the command that runs a script; ``warm``: whether
    jobs are forked by a process that has the libraries loaded (see workflow/scripts/warm.py).
    """

    def __init__(self, study: Study, ancient: Callable[[str], str], python: str, warm: bool):
        self.study, self.ancient = study, ancient
        self.settings_file = job.store(study.settings)
        self.cold = f"{python} {shlex.quote(str(WORKFLOW / 'scripts' / 'job.py'))}"
        server = job.FOLDER / f"warm-{zlib.crc32(python.encode()):08x}-{os.getpid()}"
        self.warm = f"{python} -IS {shlex.quote(str(WORKFLOW / 'scripts' / 'warm.py'))} {server}" if warm else None

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
        return with_signature(lambda wildcards: self.study.stage(stage).gpu(self.study, self._at(wildcards)))

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
