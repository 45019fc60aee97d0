"""The labels of a study that people label: what it waits for, what they cost and bring (``dagal progress``), and corrections (``dagal relabel``)."""

import argparse
from itertools import takewhile
from pathlib import Path
from typing import TextIO

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling import agreement, answers, spending
from dagal.pace import duration
from dagal.plan import waiting
from dagal.plan.study import Study
from dagal.stopping import reason_to_stop

STABLE = {"threshold": 0.99, "cycles": 3}  # Stabilizing Predictions, as the paper has it
OTHER_STATES = ("unsure", "no_class")


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the two commands to the command line."""
    keep = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "progress",
        help="what a study that people label waits for, and what its labels cost and bring",
        description="Print what a study waits for, the labels spent, the pace, what the next batch may bring, whether the predictions are "
        "stable, and the share of accepted suggestions.",
        epilog="example:\n  dagal progress results/leaves",
        formatter_class=keep,
    )
    parser.add_argument("results", metavar="RESULTS", help="folder of the study, as results/leaves")
    parser.set_defaults(run=lambda options: print("\n".join(screen(study_of(options.results)))))
    parser = commands.add_parser(
        "relabel",
        help="correct the label of an image, and say what is trained again",
        description="Say which models the correction of a label has trained again; with --yes correct it. It settles conflicts, too.",
        epilog="example:\n  dagal relabel results/leaves 17 rust",
        formatter_class=keep,
    )
    parser.add_argument("results", metavar="RESULTS", help="folder of the study, as results/leaves")
    parser.add_argument("id", metavar="ID", type=int, help="id of the image, as in query.csv")
    parser.add_argument("label", metavar="CLASS", help=f"name of the class, or {' or '.join(OTHER_STATES)}")
    parser.add_argument("--yes", action="store_true", help="do it")
    parser.set_defaults(run=lambda options: print("\n".join(relabel(**without_run(options)))))


def without_run(options: argparse.Namespace) -> dict:
    return {name: getattr(options, name) for name in ("results", "id", "label", "yes")}


def study_of(results: str) -> Study:
    """The study of a folder of results. Raises UserError unless people label it."""
    path = Path(results) / "study.json"
    if not path.exists():
        raise UserError(f"{path} is not there: give the folder of a study that has been run, as results/leaves.")
    settings, waits = artifacts.read_json(path)["settings"], Path(results) / answers.WAITING
    if waits.exists():  # a run that had nothing to make has written no record, but may have met new classes
        settings["oracle"]["classes"] = artifacts.read_json(waits)["class_names"]
    study = Study(settings)
    if not study.by_person:
        raise UserError(f"{results} is a study with simulated annotators: nobody labels it.")
    return study


def tell(study: Study, screen_file: TextIO) -> None:
    """The last words of a run; what waits is written for the page and other tools (`waiting.write`)."""
    try:
        told = screen(study)
    except UserError as error:
        told = [str(error)]
    for line in told:
        print(f"dagal: {line}", file=screen_file)


def screen(study: Study) -> list[str]:
    """What labels cost and bring, and, last, what the study waits for."""
    waits = waiting.write(study)
    log = answers.read(answers.log_of(study.results))
    return [*chains(study), *people(study, log), *waits]


def people(study: Study, log: list[dict]) -> list[str]:
    """Pace of those who answer and what they made of suggestions; nothing while nobody answered."""
    found, seconds = [], spending.seconds_per_answer(log)
    n_given = sum(answer["source"] != waiting.GIVEN for answer in log)
    if seconds:
        about = artifacts.read_json(Path(study.results) / answers.WAITING)
        left = len({image for query in about["queries"] for image in query["left"]})
        rest = f"; the {left:,} that are left take about {duration(left * seconds)}" if left else ""
        found.append(f"{n_given:,} answers, {3600 / seconds:,.0f} an hour{rest}")
    right, shown = spending.accepted(log)
    if shown:
        found.append(f"{right:,} of {shown:,} suggestions were accepted ({right / shown:.0%})")
    return found


def chains(study: Study) -> list[str]:
    """A line for each chain that has a model: labels, performance, what the next batch may bring, and how stable predictions are."""
    found = []
    for (seed, method), last in waiting.reach(
        study
    ).cycles.items():  # after a correction there may be older models beyond
        paths = [Path(study.path(study.node(seed, method, cycle), "metrics")) for cycle in range(last + 1)]
        known = [artifacts.read_json(path) for path in takewhile(Path.exists, paths)]
        if known:
            measures = (study.task.measures[0], study.task.without_test)
            measure = next((name for name in measures if known[-1].get(name) is not None), None)
            found.append(chain(f"{method}, seed {seed}", known, measure, study.settings["budget"]))
    return found


def chain(name: str, metrics: list[dict], measure: str | None, budget: int) -> str:
    """ "entropy, seed 0: 40 labels, accuracy 0.612, ..." of the metrics of its nodes in their order."""
    last = metrics[-1]
    told, gain = [f"{last['labels']:,} labels"], None
    if measure:
        told.append(f"{measure.replace('_', ' ')} {last[measure]:.3f}")
        gain = spending.expected_gain([one["labels"] for one in metrics], [one[measure] for one in metrics], budget)
    if last.get("unanswered"):
        told.append(f"{last['unanswered']:,} asked for in vain")
    if gain is not None:
        told.append(f"{budget:,} more may bring {gain:+.3f}")
    if last.get("agreement") is not None:
        told.append(f"{last['agreement']:.0%} of the predictions as before")
    stable = reason_to_stop([None], [one.get("kappa") for one in metrics[1:]], None, STABLE, None)
    return f"{name}: {', '.join(told)}" + (f"; {stable}" if stable else "")


def relabel(results: str, id: int, label: str, yes: bool) -> list[str]:
    """What a corrected label changes; with ``yes`` it is written, and the answers that hold the image are opened again."""
    study = study_of(results)
    classes = study.settings["oracle"]["classes"]
    if label not in (*classes, *OTHER_STATES):
        raise UserError(f"{label!r} is none of the classes ({', '.join(classes)}), nor {' or '.join(OTHER_STATES)}.")
    with artifacts.opened(study.clean_images, "images", cached=False) as file:
        if not 0 <= id < len(file["split"]):
            raise UserError(
                f"{id} is no id of an image: those of {study.clean_images} are 0 to {len(file['split']) - 1}."
            )
    told, files = [], []
    for name, closed, later, what in closed_sets(study):
        if id in artifacts.read_json(closed)["ids"]:
            told.append(f"{name} has image {id}: {what}")
            files += [closed, *later]
    if not told:
        told = [f"no answer that a model learns from has image {id}: nothing is made again"]
    if not yes:
        return [*told, "nothing is changed yet: do it by --yes"]
    state = {"state": label} if label not in classes else {"state": "labeled", "label": label}
    about = {"id": id, "annotator": agreement.DECISION, "source": agreement.DECISION, "at": answers.now()}
    answers.append(answers.log_of(study.results), [about | state])
    for path in files:
        Path(path).unlink(missing_ok=True)
    return [*told, f"image {id} is {label}: run snakemake again"]


def closed_sets(study: Study) -> list[tuple[str, str, list[str], str]]:
    """(name, file of answers, what of later queries is to be asked anew, what is made again) of all that has been answered."""
    found, cycles = [], study.cycles
    for seed in study.seeds:
        queries = {
            method: [waiting.query_of(study, seed, method, cycle) for cycle in cycles[1:]] for method in study.methods
        }
        every = [query for chain in queries.values() for query in chain]
        every_model = f"all models of seed {seed} are trained again, and their queries asked anew"
        test = study.answers(seed, "test")
        found.append(
            (f"the test set (seed {seed})", test, [], f"all models of seed {seed} are measured again, none is trained")
        )
        found.append(
            (f"the initial set (seed {seed})", study.answers(seed, "initial"), asked_anew(study, every), every_model)
        )
        for method, chain in queries.items():
            for place, query in enumerate(chain):
                last = f" to {cycles[-1]}" if query.cycle < cycles[-1] else ""
                what = f"the models of {method} (seed {seed}) from cycle {query.cycle}{last} are trained again, and later queries asked anew"
                found.append((query.name, query.file, asked_anew(study, chain[place + 1 :]), what))
    return [one for one in found if Path(one[1]).exists()]


def asked_anew(study: Study, queries: list[waiting.Query]) -> list[str]:
    """Files of queries that a model chose which is trained again: it may choose others, and what is answered stays in the log."""
    return [
        path
        for query in queries
        for path in (query.file, study.path(study.node(query.seed, query.method, query.cycle), "query"))
    ]
