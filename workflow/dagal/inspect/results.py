"""The results of a study as the commands find them: in any folder, by the settings that lie in its study.json."""

import graphlib
from dataclasses import dataclass
from pathlib import Path

from dagal import artifacts, config
from dagal.errors import UserError
from dagal.plan import Study, graph, job
from dagal.plan.graph import Job

HOME = Path("results")  # where the plan has the results of all studies


@dataclass(frozen=True)
class Results:
    """The folder of a study, and its plan; ``record`` is what study.json holds."""

    folder: Path
    study: Study
    record: dict

    def path(self, planned: str | Path) -> Path:
        """Where a file of the plan lies: the study's own in its folder, those of data sets beside that, others where it was run."""
        planned = Path(planned)
        if planned.is_relative_to(self.study.results):
            return self.folder / planned.relative_to(self.study.results)
        return self.folder.parent / planned.relative_to(HOME) if planned.is_relative_to(HOME) else self.home / planned

    @property
    def home(self) -> Path:
        """Where Snakemake ran."""
        return self.folder.parent.parent


def opened(folder: str | Path) -> Results:
    """The results in a folder. Raises UserError if it holds none, or those of another version of dagal."""
    folder = Path(folder).resolve()
    if folder.is_relative_to(Path.cwd()) and len(folder.relative_to(Path.cwd()).parts) > 1:  # else it lacks parents
        folder = folder.relative_to(Path.cwd())
    if not (folder / "study.json").is_file():
        raise UserError(f"{folder} holds no study.json, so no results of a study: give a folder as results/digits.")
    record = artifacts.read_json(folder / "study.json")
    return Results(folder, planned(record["settings"], folder / "study.json"), record)


def named(place: str | Path) -> Results:
    """The results in a folder, or those of a study by its YAML file, which may not have begun; of a run in the present folder."""
    place = Path(place)
    if place.suffix not in (".yaml", ".yml"):
        return opened(place)
    study = Study(config.load(place))
    return Results(Path(study.results), study, {})


def planned(settings: dict, source: Path) -> Study:
    """The plan of stored settings. Raises UserError if they are of a version of dagal that knew other keys."""
    try:
        return Study(settings)
    except (KeyError, TypeError):
        raise UserError(
            f"{source} is of another version of dagal: take that version, or run the study again."
        ) from None


def described(study: Study) -> dict[Job, dict]:
    """Every job of the study, with what it reads, writes and is set to (`dagal.plan.job.describe`); each after those that it reads from."""
    jobs = sorted(graph.jobs(study, study.targets), key=place)
    found = {one: job.describe(study, one[0], dict(one[1])) for one in jobs}
    maker = {path: one for one, about in found.items() for path in about["output"].values()}
    before = {one: [maker[path] for path in read(about) if path in maker] for one, about in found.items()}
    return {one: found[one] for one in graphlib.TopologicalSorter(before).static_order()}


def place(one: Job) -> tuple:
    """What jobs are sorted by, as far as they do not read from each other."""
    stage, wildcards = one
    values = dict(wildcards)
    return int(values.get("seed", 0)), int(values.get("cycle", 0)), values.get("branch", ""), stage, wildcards


def read(about: dict) -> list[str]:
    """All files that a described job reads."""
    lists = [[value] if isinstance(value, str) else value for value in about["input"].values()]
    return [path for paths in lists for path in paths]


def made(about: dict) -> list[str]:
    """The files that a described job makes, without what it cost."""
    return [path for name, path in about["output"].items() if name != "benchmark"]


def title(one: Job) -> str:
    """ "train of entropy, seed 0, cycle 3"."""
    stage, wildcards = one
    values = dict(wildcards)
    branch = f" of {values.pop('branch')}" if "branch" in values else ""
    return ", ".join([f"{stage}{branch}", *(f"{name} {value}" for name, value in sorted(values.items(), reverse=True))])
