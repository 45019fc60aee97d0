"""What one job reads, writes and is set to: the same for Snakemake, which plans it, and for the script, which does it."""

from pathlib import Path

from dagal import artifacts
from dagal.errors import UserError
from dagal.plan.code import WORKFLOW, digest
from dagal.plan.study import At, Study, fill

FOLDER = Path(".snakemake/dagal")  # of the settings that jobs are started with


def store(settings: dict) -> Path:
    """Write the checked settings of a study where its jobs find them, under a name that follows from them."""
    path = FOLDER / f"{settings['study']}-{artifacts.params_hash(settings)}.json"
    try:
        kept = path.exists() and artifacts.read_json(path) == settings
    except UserError:  # damaged, or of an earlier version
        kept = False
    if not kept:
        artifacts.write_json(path, settings)
    return path


def stored(path: str | Path) -> Study:
    """The study that `store` wrote."""
    return Study(artifacts.read_json(path))


def reads(study: Study, stage: str, at: At) -> dict[str, str | list[str]]:
    """The named inputs of a job; ``stop_record`` where its chain may have stopped before."""
    found = dict(study.stage(stage).reads(study, at))
    record = study.stop_record(stage, at)
    return found | {"stop_record": record} if record else found


def writes(study: Study, stage: str) -> dict[str, str]:
    """The named outputs of a stage, with wildcards in braces; the last one, ``benchmark``, holds what the job cost."""
    declared = study.stage(stage)
    patterns = {**declared.writes_besides(study), **declared.writes}
    found = {name: study.pattern(pattern) for name, pattern in patterns.items()}
    return found | {"benchmark": stem(study, stage) + ".benchmark.tsv"}


def stem(study: Study, stage: str) -> str:
    """The log and the benchmark file of a stage, without their endings and with wildcards in braces."""
    declared = study.stage(stage)
    return study.pattern(declared.log or next(iter(declared.writes.values())).rsplit(".", 1)[0])


def script(study: Study, stage: str) -> Path:
    """The script of a stage: a word is one of workflow/scripts; a task may have some of its own, named from workflow/ on."""
    name = study.stage(stage).script
    return WORKFLOW / (name if "/" in name else f"scripts/{name}.py")


def code(study: Study, stage: str, at: At) -> str:
    """The digest of the code that a job depends on."""
    return digest(script(study, stage), study.stage(stage).looks_up(study, at))


def describe(study: Study, stage: str, wildcards: dict[str, str]) -> dict:
    """All that a script has to know of its job (see workflow/scripts/job.py)."""
    at = study.at(wildcards)
    return {
        "input": reads(study, stage, at),
        "output": {name: fill(pattern, wildcards) for name, pattern in writes(study, stage).items()},
        "params": study.stage(stage).settings(study, at),
        "log": fill(stem(study, stage), wildcards) + ".log",
        "goes_on": study.stage(stage).goes_on,
    }
