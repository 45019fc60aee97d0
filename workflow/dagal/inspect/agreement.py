"""``python -m dagal agreement results/STUDY``: how far the annotators of a study agree, and where they do not."""

import argparse
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from dagal.datasets.decoding import counted
from dagal.errors import UserError
from dagal.labeling import agreement, answers

SHOWN = 50  # conflicts


def add_command(commands) -> None:
    """Add ``agreement`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "agreement",
        help="how far several annotators agree",
        description="Print how far the annotators of a study agree (kappa, overlap of boxes and masks), how good each of them is by the "
        "estimate of Dawid and Skene, and the images on which they differ, which wait for another answer.",
    )
    parser.add_argument("results", type=Path, metavar="results/STUDY", help="folder of the study")
    parser.add_argument("--names", action="store_true", help="print the names of the annotators")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print tables. Raises UserError if nobody has answered yet."""
    log = answers.log_of(options.results)
    latest = answers.latest(answers.read(log))
    if not latest:
        raise UserError(f"{log} holds no answer yet: label first.")
    names = list(dict.fromkeys(name for given in latest.values() for name in given))
    shown = {name: name if options.names else f"annotator {k}" for k, name in enumerate(names, 1)}
    several = {image: given for image, given in latest.items() if len(given) > 1}
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(
        f"{counted(len(latest), 'image')} answered by {counted(len(names), 'annotator')}, "
        f"{len(several):,} of them by several"
    )
    if not several:
        return
    console.print(_pairs(several, names, shown, log.parent))
    labels = any(answer["label"] is not None for given in several.values() for answer in given.values())
    if labels:
        value, n, votes = fleiss(several)
        console.print(f"Fleiss' kappa {_text(value)} ({counted(n, 'image')} with {votes} answers each)")
        probs, accuracy, images, classes = estimate(latest, names)
        table = Table("annotator", "answers", "right, by Dawid and Skene", box=None, padding=(0, 3, 0, 0))
        for name in names:
            n = sum(name in given for given in latest.values())
            table.add_row(shown[name], f"{n:,}", _text(accuracy[name]))
        console.print(table)
    decided = agreement.resolve(several, log.parent)
    conflicts = [image for image, answer in decided.items() if answer is None]
    console.print(
        f"{counted(len(conflicts), 'image')} in conflict" + (", waiting for another answer" if conflicts else "")
    )
    if not conflicts:
        return
    table = Table(
        "id", "answers", *(["most probable", "probability"] if labels else []), box=None, padding=(0, 3, 0, 0)
    )
    for image in conflicts[:SHOWN]:
        votes = Counter(_vote(answer) for answer in several[image].values())
        row = [str(image), ", ".join(f"{n} {vote}" for vote, n in votes.most_common())]
        if labels:
            place = images.get(image)
            best = None if place is None else int(probs[place].argmax())
            row += ["-", "-"] if best is None else [classes[best], f"{probs[place, best]:.2f}"]
        table.add_row(*row)
    console.print(table)
    if len(conflicts) > SHOWN:
        console.print(f"and {len(conflicts) - SHOWN:,} more")


def _pairs(several: dict, names: list[str], shown: dict[str, str], folder: Path) -> Table:
    """Of each pair of annotators: images that both answered, mean similarity, and Cohen's kappa where answers are classes."""
    table = Table("annotators", "", "images of both", "agreement", "Cohen's kappa", box=None, padding=(0, 3, 0, 0))
    for one, other in combinations(names, 2):
        both = [(given[one], given[other]) for given in several.values() if one in given and other in given]
        if both:
            alike = np.mean([agreement.similarity(*pair, folder) for pair in both])
            classes = all(answer["boxes"] is None and answer["mask"] is None for pair in both for answer in pair)
            kappa = cohen([[_vote(answer) for answer in pair] for pair in both]) if classes else np.nan
            table.add_row(shown[one], shown[other], f"{len(both):,}", f"{alike:.3f}", _text(kappa))
    return table


def _vote(answer: dict) -> str:
    """An answer in a word; boxes and masks by what they hold."""
    if answer["state"] != "labeled":
        return answer["state"].replace("_", " ")
    if answer["label"] is not None:
        return answer["label"]
    return "a mask" if answer["boxes"] is None else f"with {len(answer['boxes'])} boxes"


def _text(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def cohen(votes_N_2: list) -> float:
    """Cohen's kappa of two annotators, "unsure" and "no class" being classes; NaN where all answers are one."""
    from sklearn.metrics import cohen_kappa_score

    one, other = zip(*votes_N_2, strict=True)
    return cohen_kappa_score(one, other) if len({*one, *other}) > 1 else np.nan


def fleiss(several: dict) -> tuple[float, int, int]:
    """Fleiss' kappa over the images with the commonest number of answers; how many these are, and that number."""
    from statsmodels.stats.inter_rater import fleiss_kappa

    sizes = Counter(len(given) for given in several.values())
    size = max(sizes, key=lambda size: (sizes[size], size))
    votes = [[_vote(answer) for answer in given.values()] for given in several.values() if len(given) == size]
    classes = sorted({vote for own in votes for vote in own})
    table_N_C = np.array([[own.count(name) for name in classes] for own in votes])
    return (float(fleiss_kappa(table_N_C)) if len(classes) > 1 else np.nan), len(votes), size


def estimate(latest: dict, names: list[str]) -> tuple[np.ndarray, dict[str, float], dict[int, int], list[str]]:
    """Dawid and Skene's estimate from all labels: the probability of each class (N,C), how often each annotator is right, id -> row, classes."""
    labels = [
        (image, name, answer["label"])
        for image, given in latest.items()
        for name, answer in given.items()
        if answer["label"] is not None
    ]
    images = {image: row for row, image in enumerate(dict.fromkeys(image for image, *_ in labels))}
    classes = sorted({label for *_, label in labels})
    item_V = np.array([images[image] for image, *_ in labels])
    annotator_V = np.array([names.index(name) for _, name, _ in labels])
    class_V = np.array([classes.index(label) for *_, label in labels])
    probs_N_C, _, rates_A_C_C = agreement.dawid_skene(item_V, annotator_V, class_V, len(classes))
    accuracy = dict.fromkeys(names, np.nan)
    for place, name in enumerate(names):
        own_N = item_V[annotator_V == place]
        if len(own_N):  # by the classes that this annotator saw
            share_C = probs_N_C[own_N].mean(0)
            accuracy[name] = float(np.nansum(share_C * rates_A_C_C[place].diagonal()))
    return probs_N_C, accuracy, images, classes
