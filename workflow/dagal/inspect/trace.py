"""``python -m dagal trace ID STUDY``: one sample through a study, where it is from, who asked for it when, and what the models made of it."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.acquisition.scores import label_dispersion
from dagal.datasets.origins import origins
from dagal.errors import UserError
from dagal.inspect.console import plain_console, plain_table, printable
from dagal.inspect.results import Results, opened
from dagal.inspect.show import draw_sheet
from dagal.query_table import TELLING, predicted

COLUMNS = ("method", "seed", "cycle", "class", "prob.", "dispersion", "score", "rank", "place")
ROLES = ("initial", "pool", "validation", "test")


@dataclass(frozen=True)
class Step:
    """What the model of a cycle made of a sample, and what the query after it did; None for what no file tells.

    ``rank`` is that of its score among ``candidates``, ``place`` that in the query, both from 1.
    """

    seed: int
    method: str
    cycle: int
    predicted: int | None = None
    probability: float | None = None
    dispersion: float | None = None  # of the classes predicted after the epochs of its training
    score: float | None = None
    rank: int | None = None
    candidates: int | None = None
    place: int | None = None


def add_command(commands) -> None:
    parser = commands.add_parser(
        "trace",
        help="follow one sample through a study",
        description="Tell the file of a sample and its part in each split, which method asked for it when, and, of each model, the class "
        "that it predicted, its probability, label dispersion, and the score and rank in the query after it.",
    )
    parser.add_argument("id", type=int, metavar="ID", help="position in images.h5, as in every artifact")
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of its results, as results/digits")
    parser.add_argument("--method", metavar="NAME", help="this method alone")
    parser.add_argument("--seed", type=int, metavar="N", help="this seed alone")
    parser.add_argument("--picture", type=Path, metavar="OUT.png", help="write the image to this file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print all that the files of a study tell of a sample. Raises UserError if there is no such sample, method or seed."""
    results, sample = opened(options.study), options.id
    study, images = results.study, results.path(results.study.clean_images)
    if not images.is_file():
        raise UserError(
            f"{images} is missing, so nothing tells where sample {sample} is from: bring the data set along."
        )
    with artifacts.opened(images, "images") as file:
        if not 0 <= sample < len(file["images"]):
            raise UserError(f"{images} has the ids 0 to {len(file['images']) - 1}, and {sample} is none of them.")
        pixels = file["images"][sample : sample + 1]
    for option, given, known in (("method", options.method, study.methods), ("seed", options.seed, study.seeds)):
        if given is not None and given not in known:
            raise UserError(f"--{option} {given} is none of the study's: {', '.join(map(str, known))}.")
    methods = [options.method] if options.method else list(study.methods)
    seeds = study.seeds if options.seed is None else [options.seed]

    names = class_names(results)
    origin = {name: values[0] for name, values in origins(images, np.array([sample])).items()}
    label = truth(results, sample)
    print(f"sample {sample} of {images}" + "".join(f", {name} {printable(value)}" for name, value in origin.items()))
    print(f"true class: {class_name(label, names)}" if label is not None else "true class: not one for the whole image")
    for seed in seeds:
        print(f"seed {seed}: {role(results, seed, sample)}")
    if options.picture:
        draw_sheet(pixels, [[f"id {sample}", str(origin.get("file", ""))]], options.picture)
        print(f"picture: {options.picture}")
    print_chains([list(steps(results, sample, seed, method)) for method in methods for seed in seeds], names)


def print_chains(chains: list[list[Step]], names: list[str]) -> None:
    """A row for each chain, then one for each of its models."""
    console = plain_console()
    table = plain_table("method", "seed", "asked for", "classes predicted", "dispersion")
    for chain in chains:
        told = [step.predicted for step in chain if step.predicted is not None]
        spread = f"{label_dispersion(np.array(told)[:, None], max(told) + 1)[0]:.2f}" if len(told) > 1 else ""
        classes = " ".join("." if step.predicted is None else str(step.predicted) for step in chain)
        table.add_row(chain[0].method, str(chain[0].seed), when(chain), classes, spread)
    print("\nover the cycles")
    console.print(table)
    table = plain_table(*COLUMNS, numbers=True)
    for step in (step for chain in chains for step in chain):
        if any(value is not None for value in (step.predicted, step.score, step.place)):
            table.add_row(*cells(step, names))
    if table.row_count:
        print("\nthe model of each cycle: what it predicted; then score, rank and place in the query after it")
        console.print(table)


def cells(step: Step, names: list[str]) -> list[str]:
    """A step as a row of the table."""
    numbers = ["" if value is None else f"{value:.3g}" for value in (step.probability, step.dispersion, step.score)]
    rank = "" if step.rank is None else f"{step.rank}/{step.candidates}"
    asked = "" if step.place is None else str(step.place)
    return [step.method, str(step.seed), str(step.cycle), class_name(step.predicted, names), *numbers, rank, asked]


def when(chain: list[Step]) -> str:
    """In which cycle, and where in its query, a chain asked for the sample."""
    found = [step for step in chain if step.place is not None]
    return f"cycle {found[0].cycle + 1}, place {found[0].place}" if found else "never"


def steps(results: Results, sample: int, seed: int, method: str) -> Iterator[Step]:
    """What a chain tells of a sample, model by model; files that are not there tell nothing."""
    study = results.study
    for cycle in study.cycles:
        node, found = study.node(seed, method, cycle), {}
        found["predicted"], found["probability"] = prediction(results, node, method, sample)
        trajectory = results.path(study.file(node, "trajectory.h5"))
        if (row := row_of(trajectory, sample)) is not None:
            with artifacts.open_hdf5(trajectory) as file:
                classes_E_1 = file["trajectory"][:, row : row + 1]
            if found["predicted"] is None:
                found["predicted"] = int(classes_E_1[-1, 0])
            found["dispersion"] = float(label_dispersion(classes_E_1, int(classes_E_1.max()) + 1)[0])
        if cycle < study.cycles[-1]:
            after = study.node(seed, method, cycle + 1)
            scores, query = (results.path(study.path(after, kind)) for kind in ("scores", "query"))
            if (row := row_of(scores, sample)) is not None:
                (score_N,) = artifacts.read(scores, "scores", "score")
                found |= {
                    "score": float(score_N[row]),
                    "rank": 1 + int((score_N > score_N[row]).sum()),
                    "candidates": len(score_N),
                }
            if (row := row_of(query, sample)) is not None:
                found["place"] = row + 1
        yield Step(seed, method, cycle, **found)


def prediction(results: Results, node, method: str, sample: int) -> tuple[int | None, float | None]:
    """Class and probability that a node's model gave to a sample: in its signals, or, of the test and validation set, its predictions."""
    study = results.study
    kinds = {(kind, study.signal_file(method, kind)) for kind, name in study.task.signals.values() if name in TELLING}
    for kind, name in [*sorted(kinds, reverse=True), ("predictions", "predictions")]:
        path = results.path(study.file(node, f"{name}.h5"))
        row = row_of(path, sample)
        if row is None:
            continue
        if kind == "predictions":
            with artifacts.open_hdf5(path) as file:
                if "probabilities" not in file or "offsets" in file:  # of pixels or boxes
                    continue
                probs_C = file["probabilities"][row]
            return int(probs_C.argmax()), float(probs_C.max())
        with artifacts.open_hdf5(path) as file:
            if not {*file} & {*TELLING}:
                continue
        class_n, probability_n = predicted(path, kind, np.array([sample]))
        if class_n[0] >= 0:
            return int(class_n[0]), float(probability_n[0])
    return None, None


def row_of(path: Path, sample: int) -> int | None:
    """The row of a sample in an artifact; None if it is not in it, or the artifact is not there, as after a chain had stopped."""
    if not path.is_file() or path.is_symlink():
        return None
    with artifacts.open_hdf5(path) as file:
        rows = np.flatnonzero(file["ids"][()] == sample) if "ids" in file else []
    return int(rows[0]) if len(rows) else None


def role(results: Results, seed: int, sample: int) -> str:
    """Which part of a seed's split a sample belongs to."""
    split = results.path(results.study.split(seed))
    if not split.is_file():
        return "not split yet"
    with artifacts.opened(split, "split") as file:
        parts = [name for name in ROLES if name in file and (file[name][()] == sample).any()]
    return ", ".join(parts) or "in no part: left out to make classes rare"


def class_names(results: Results) -> list[str]:
    path = results.path(results.study.truth)
    return [str(name) for name in artifacts.attributes(path, "truth").get("class_names", [])] if path.is_file() else []


def truth(results: Results, sample: int) -> int | None:
    """The class of a sample of classification."""
    path = results.path(results.study.truth)
    if not path.is_file():
        return None
    with artifacts.opened(path, "truth") as file:
        return int(file["labels"][sample]) if "labels" in file else None


def class_name(label: int | None, names: list[str]) -> str:
    if label is None:
        return ""
    return (
        printable(f"{label} {names[label]}") if 0 <= label < len(names) and names[label] != str(label) else str(label)
    )
