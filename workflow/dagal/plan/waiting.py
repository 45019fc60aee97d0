"""A person as the oracle: how far each chain of a study can go, where it waits for labels, and the answers once they are complete.

A chain ends at the first query that is not answered. The next run goes on from there: when all images of a query are answered, its
answers are copied from the log (`dagal.labeling.answers`) into a file beside it, its own ids alone, and that file is what the
chain's next job reads. Later answers to other queries change no byte of it.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling import agreement, answers
from dagal.plan.study import Node, Study
from dagal.report import registry

GIVEN = "given"  # annotator and source of the labels that a data set brings


@dataclass(frozen=True)
class Query:
    """Images whose labels a study needs: the ``initial`` set or the ``test`` set (with validation) of a seed, or a ``query`` of a method."""

    purpose: str
    seed: int
    method: str | None
    cycle: int
    ids: list[int]  # in order of choice
    file: str  # of its answers, written when the last one is there
    table: str | None = None

    @property
    def name(self) -> str:
        """ "the query of entropy in cycle 2 (seed 0)"."""
        of_method = f"the query of {self.method} in cycle {self.cycle}"
        names = {"query": of_method, "initial": "the initial set", "test": "the test set"}
        return f"{names[self.purpose]} (seed {self.seed})"


@dataclass(frozen=True)
class Reach:
    """How far a study can go: files to make, the queries that wait, and the last cycle that each chain can train (-1: none).

    ``held_out`` tells whether the splits have a test and a validation set.
    """

    targets: list[str]
    waiting: list[Query]
    cycles: dict[tuple[int, str], int]
    finished: dict[tuple[int, str], Node]  # the last node of each chain that asks for nothing more
    held_out: dict[str, bool]


class Answers:
    """What people answered to a study."""

    def __init__(self, study: Study):
        self.settings, self.told_as = study.settings["oracle"], study.task.told_as
        self.log = answers.log_of(study.results)
        every = answers.read(self.log)
        if all(answer["source"] != GIVEN for answer in every):
            every += given(study)
        self.latest = answers.latest(every)

    def of(self, image: int) -> tuple[str, dict | None]:
        """`agreement.decided` of an image. Raises UserError for a class that the study does not have."""
        state, content = agreement.decided(self.latest.get(image, {}), self.settings["annotators"], self.log.parent)
        if content and content["state"] == "labeled":
            if content[self.told_as] is None:
                raise UserError(f"{self.log} has an answer without {self.told_as} for image {image}: answer again.")
            named = [content["label"]] if self.told_as == "label" else [box[4] for box in content["boxes"] or []]
            if foreign := [name for name in named if name not in self.settings["classes"]]:
                raise UserError(
                    f"{self.log} has {foreign[0]!r} for image {image}, which is none of oracle.classes: add the class at their end, or "
                    "answer again."
                )
        return state, content

    def left(self, query: Query, state: str | None = None) -> list[int]:
        """Images of a query that are not decided yet; with ``state`` those that are in it."""
        found = [(image, self.of(image)[0]) for image in query.ids]
        return [image for image, is_in in found if (is_in == state if state else is_in != "decided")]

    def close(self, query: Query) -> bool:
        """Whether a query is answered; its file of answers is then there."""
        names, closed = self.settings["classes"], Path(query.file)
        if closed.exists():
            before = artifacts.read_json(closed)
            if before["ids"] == query.ids:
                check_names(before["class_names"], names, query)
                return True
        if self.left(query):
            return False
        given = [self.of(image)[1] for image in query.ids]
        if query.purpose == "initial" and not any(answer["state"] == "labeled" for answer in given):
            raise UserError(
                f"{query.name} has no image with a label, so that nothing can be learnt: make pool.initial.size larger."
            )
        artifacts.write_json(closed, {"ids": query.ids, "answers": given, "class_names": names})
        return True


def check_names(before: list[str], now: list[str], query: Query) -> None:
    """Raise UserError unless the classes are those of earlier answers, and perhaps new ones after them."""
    if now[: len(before)] != before:
        raise UserError(
            f"config key 'oracle.classes' is {', '.join(now)}, but {query.name} was answered with {', '.join(before)}: keep these in this "
            "order, and add new ones at the end."
        )


def reach(study: Study) -> Reach:
    """How far a study can go with the answers that are there; queries whose last answer came are closed."""
    known = Answers(study)
    targets, waiting, cycles, finished, held_out = [], [], {}, {}, {"test": False, "validation": False}
    for seed in study.seeds:
        cycles |= {(seed, method): -1 for method in study.methods}
        targets.append(study.split(seed))
        sets = list(first_sets(study, seed, held_out))
        open_sets = [one for one in sets if not known.close(one)]
        waiting += open_sets
        if not sets or open_sets:
            continue
        for method in study.methods:
            for cycle in study.cycles:
                node = study.node(seed, method, cycle)
                cycles[seed, method] = cycle
                targets.append(study.path(node, "metrics"))
                if cycle == study.cycles[-1] or has_stopped(study, node):
                    finished[seed, method] = node
                    break
                query = query_of(study, seed, method, cycle + 1)
                targets.append(query.table)
                if not query.ids:
                    break
                if not known.close(query):
                    waiting.append(query)
                    break
    return Reach(list(dict.fromkeys(targets)), waiting, cycles, finished, held_out)


def first_sets(study: Study, seed: int, held_out: dict[str, bool]) -> Iterator[Query]:
    """The test set, with the validation set, and the initial set of a seed, once they are drawn; ``held_out`` is told which there are."""
    if not Path(study.split(seed)).exists():
        return
    test, validation, initial = artifacts.read(study.split(seed), "split", "test", "validation", "initial")
    held_out |= {"test": bool(len(test)), "validation": bool(len(validation))}
    if len(test) or len(validation):
        ids = [*test.tolist(), *validation.tolist()]
        yield Query("test", seed, None, 0, ids, study.answers(seed, "test"))
    yield Query("initial", seed, None, 0, initial.tolist(), study.answers(seed, "initial"))


def query_of(study: Study, seed: int, method: str, cycle: int) -> Query:
    """The query of a method; it has no ids while it is not made, or where its chain stopped before."""
    node = study.node(seed, method, cycle)
    path = Path(study.path(node, "query"))
    made = path.exists() and not path.is_symlink()
    ids = artifacts.read(path, "query", "ids")[0].tolist() if made else []
    return Query("query", seed, method, cycle, ids, study.answers(node), study.file(node, "query.csv"))


def has_stopped(study: Study, node: Node) -> bool:
    """Whether a chain has stopped at a node, as far as is known."""
    record = Path(study.path(node, "stopping"))
    return study.stopping and record.exists() and artifacts.read_json(record)["stopped"]


def given(study: Study) -> list[dict]:
    """The labels that the data set brings, which are added to the log as its first answers."""
    path = Path(study.dataset) / "given.h5"
    if not path.exists():
        return []
    with artifacts.opened(path, "given") as file:
        ids, labels = file["ids"][()].tolist(), file["labels"][()].tolist()
        names = [str(name) for name in artifacts.attribute(file, "class_names")]
    if foreign := sorted({names[label] for label in labels} - {*study.settings["oracle"]["classes"]}):
        raise UserError(
            f"{study.settings['dataset']['path']} has labels of class {foreign[0]}, which is none of oracle.classes: add it there."
        )
    about = {"annotator": GIVEN, "source": GIVEN, "state": "labeled", "at": answers.now()}
    found = [
        answers.FIELDS | about | {"id": image, "label": names[label]} for image, label in zip(ids, labels, strict=True)
    ]
    if found:
        answers.append(answers.log_of(study.results), found)
    return found


def goals(study: Study) -> tuple[Study, list[str]]:
    """The study as far as it can go, and the files that are to be made.

    Results from elsewhere have no record of what their tables were made of: a node that is missing is made in any case.
    Where a person labels, tables and figures are made when no chain waits any more, of the cycles that all have. Mistakes end the program with a sentence.
    """
    if not study.by_person:
        return study, study.targets
    try:
        found = reach(study)
    except UserError as error:
        sys.exit(f"dagal: {error}")
    common = max(0, min(found.cycles.values()))
    reached = Study(study.settings | {"cycles": common, "held_out": found.held_out})
    tables = registry.targets(reached) if found.finished.keys() == found.cycles.keys() else []
    return reached, [*found.targets, *predicted(study, found), *tables]


def predicted(study: Study, found: Reach) -> list[str]:
    """The tables of the whole pool at the ends of chains, where the task has such tables."""
    name = "predicted_labels"
    return (
        [study.file(node, f"{name}.csv") for node in dict.fromkeys(found.finished.values())]
        if name in study.steps
        else []
    )


def write(study: Study) -> list[str]:
    """Write `answers.WAITING`, from what is on the disk, for the page and other tools; what a study waits for, in lines for the screen."""
    found, known = reach(study), Answers(study)
    oracle = study.settings["oracle"]
    listed = [
        {name: getattr(query, name) for name in ("purpose", "seed", "method", "cycle", "ids", "table")}
        | {"left": known.left(query), "conflicts": known.left(query, "conflict")}
        for query in found.waiting
    ]
    about = {
        "task": study.task.name,
        "class_names": oracle["classes"],
        "images": study.clean_images,
        "answers": str(known.log),
        "annotators": oracle["annotators"],
        "suggestions": oracle["suggestions"],
        "queries": listed,
    }
    artifacts.write_json(Path(study.results) / answers.WAITING, about)
    return lines(study, found, listed)


def lines(study: Study, found: Reach, listed: list[dict]) -> list[str]:
    """What is said at the end of a run."""
    told = new_classes(study, found)
    if not listed:
        tables = predicted(study, found)
        if found.finished and all(Path(path).exists() for path in [*found.targets, *tables]):
            return [
                *told,
                "all labels are there"
                + (f"; those of the whole pool, as predicted: {', '.join(tables)}" if tables else ""),
            ]
        drawn = all(Path(study.split(seed)).exists() for seed in study.seeds)
        return [*told, "all answers that were asked for are there: run snakemake again to go on"] if drawn else told
    left = sorted({image for query in listed for image in query["left"]})
    told += [
        f"{query.name} waits for {len(entry['left']):,} of {len(query.ids):,} labels"
        + (f", {len(entry['conflicts']):,} of them in conflict" if entry["conflicts"] else "")
        + (f": {query.table}" if query.table else "")
        for query, entry in zip(found.waiting, listed, strict=True)
    ]
    together = f"{len(left):,} images wait for their labels, each asked for once: `dagal label {study.results}`, then snakemake again"
    return [*told, together]


def new_classes(study: Study, found: Reach) -> list[str]:
    """Which chains go on without a class that was added: a model knows those that there were when its labels were complete."""
    classes, told = study.settings["oracle"]["classes"], []
    for (seed, method), cycle in found.cycles.items():
        if cycle >= 0:
            node = study.node(seed, method, cycle)
            closed = study.answers(node) if cycle else study.answers(seed, "initial")
            if new := classes[len(artifacts.read_json(closed)["class_names"]) :]:
                know = (
                    f"know it from cycle {cycle + 1} on"
                    if cycle < study.cycles[-1]
                    else "do not know it: set cycles higher"
                )
                told.append(f"{', '.join(new)} is new: the models of {method} (seed {seed}) {know}")
    return told
