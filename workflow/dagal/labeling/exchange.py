"""``python -m dagal export-query`` and ``import-answers``: what waits for other tools, and back what was answered there."""

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dagal import storage
from dagal.datasets.decoding import counted
from dagal.errors import UserError
from dagal.labeling import agreement, answers, waiting
from dagal.labeling.formats import FORMATS
from dagal.labeling.formats.reading import Found
from dagal.labeling.waiting import Waiting

MOST_TOLD = 50  # problems of a file
MOST_LETTERS = 100  # of the name of an annotator


def add_command(commands) -> None:
    """Add ``export-query`` and ``import-answers`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "export-query",
        help="write what waits for labels for another tool",
        description="Write the images of a study that wait for labels, with the file that another tool for labeling needs.",
    )
    parser.add_argument("results", type=Path, metavar="results/STUDY", help="folder of the study")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write, which must be empty or new")
    parser.add_argument("--format", required=True, choices=FORMATS, help="of the tool")
    parser.add_argument("--annotator", metavar="NAME", help="leave out what this annotator has answered")
    parser.add_argument("--conflicts", action="store_true", help="only the images on which annotators differ")
    parser.add_argument(
        "--suggestions",
        action="store_true",
        help="with the class that the model predicts, which biases annotators (label_studio)",
    )
    parser.set_defaults(run=export)
    parser = commands.add_parser(
        "import-answers",
        help="take in what was labeled in another tool",
        description="Check the file of another tool completely, tell all that is wrong with it, and take its answers in if nothing is.",
    )
    parser.add_argument("results", type=Path, metavar="results/STUDY", help="folder of the study")
    parser.add_argument("file", type=Path, metavar="FILE", help="what the tool exported (yolo: a folder)")
    parser.add_argument("--format", required=True, choices=FORMATS, help="of the file")
    parser.add_argument("--annotator", metavar="NAME", help="who answered, if the file does not tell it")
    parser.add_argument("--partial", action="store_true", help="images without an answer in the file go on waiting")
    parser.add_argument(
        "--empty",
        action="store_true",
        help="images without a box were looked at: nothing is on them (coco, cvat, yolo)",
    )
    parser.add_argument(
        "--replace", action="store_true", help="answers that differ from earlier ones of the annotator replace them"
    )
    parser.set_defaults(run=take)


def export(options: argparse.Namespace) -> None:
    """Write the folder. Raises UserError if nothing is to be written, or the format cannot hold it."""
    what, form, out = waiting.read(options.results), FORMATS.find(options.format), options.out
    _check_holds(options.format, what)
    if options.suggestions and (options.format, what.field) != ("label_studio", "label"):
        raise UserError("--suggestions are classes in the format label_studio: leave it away here.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty: name a new folder.")
    latest = answers.latest(answers.read(what.log))
    ids = [image for image in what.ids if options.annotator not in latest.get(image, {})]
    if options.conflicts:
        several = {image: latest[image] for image in ids if len(latest.get(image, {})) > 1}
        decided = agreement.resolve(several, what.log.parent)
        ids = [image for image in several if decided[image] is None]
    if not ids:
        raise UserError(
            f"nothing is left to be labeled of the {len(what.ids):,} images that wait in {options.results}."
        )
    advice = form.write(what, ids, out, what.suggestions() if options.suggestions else {})
    print(f"{counted(len(ids), 'image')} written to {out}.", advice, sep="\n")


def _check_holds(name: str, what: Waiting) -> None:
    if what.field not in FORMATS.find(name).fields:
        fitting = [other for other in FORMATS if what.field in FORMATS.find(other).fields]
        kind = {"label": "classes of images", "boxes": "boxes", "mask": "masks"}[what.field]
        raise UserError(f"--format {name} cannot hold {kind}: take {' or '.join(fitting)}.")


def take(options: argparse.Namespace) -> None:
    """Append the answers of a file to the log. Raises UserError, with nothing written, if anything is wrong with it."""
    what, path = waiting.read(options.results), options.file
    _check_holds(options.format, what)
    found = Found(path, what, options.empty)
    FORMATS.find(options.format).read(found)
    log = answers.read(what.log)
    new = checked(found, log, options.format, options.annotator, options.partial, options.replace)
    if found.problems:
        for problem in found.problems[:MOST_TOLD]:
            print(UserError(problem), file=sys.stderr)  # names in it cannot steer the terminal
        more = f", of which {MOST_TOLD} are told" if len(found.problems) > MOST_TOLD else ""
        raise UserError(f"{path} has {counted(len(found.problems), 'problem')}{more}; nothing was taken in.")
    _append(what.log, new)
    states = ", ".join(f"{n:,} {state.replace('_', ' ')}" for state, n in Counter(one["state"] for one in new).items())
    known = len(found.answers) - len(new)
    print(f"{counted(len(new), 'answer')} taken in{f' ({states})' if new else ''}, {known:,} were known.")


def checked(
    found: Found, log: list[dict], source: str, annotator: str | None, partial: bool, replace: bool
) -> list[dict]:
    """The answers that are new, ready for the log but for their masks (H,W); what is wrong with them all becomes a problem."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    folder = found.waiting.log.parent
    last = {(answer["id"], answer["annotator"]): answer for answer in log}
    given: dict[tuple, dict] = {}
    new, nameless = [], []
    for answer in found.answers:
        where, who = answer.pop("where"), annotator or answer.get("annotator") or ""
        if not who.strip() or len(who) > MOST_LETTERS or not who.isprintable():
            nameless.append(where)
            continue
        answer = answers.FIELDS | {name: value for name, value in answer.items() if value is not None}
        answer |= {"annotator": who, "at": answer.get("at") or now, "source": source}
        image, key = answer["id"], (answer["id"], who)
        if key in given:
            first, place = given[key]
            if not _same(answer, first, folder):
                place = place.removeprefix(f"{found.path}, ")
                found.problem(
                    where, f"another answer of the same annotator about id {image} stands at {place}: keep one."
                )
            continue
        given[key] = answer, where
        earlier = last.get(key)
        if earlier and earlier["state"] != "withdrawn" and _same(answer, earlier, folder):
            continue
        if earlier and earlier["state"] in answers.ANSWERED and not replace:
            found.problem(
                where,
                f"id {image} has another answer of this annotator, of {earlier['at']}: add --replace if this one is right.",
            )
        new.append(answer)
    if nameless:
        found.problem(
            nameless[0],
            f"nobody is named who gave {'this answer' if len(nameless) == 1 else f'{len(nameless):,} answers, of which this is the first'}, "
            f"in {MOST_LETTERS} letters or fewer: add --annotator NAME.",
        )
    answered = {image for image, _ in given} | answers.latest(log).keys() | (found.seen if found.problems else set())
    if not partial:
        _check_complete(found, answered)
    return new


def _check_complete(found: Found, answered: set[int]) -> None:
    """Make a problem of the images that nobody has answered."""
    what = found.waiting
    missing = [image for image in what.ids if image not in answered]
    if missing:
        empty = what.field == "boxes" and not found.empty
        found.problem(
            str(found.path),
            f"{len(missing):,} of the {len(what.ids):,} images that wait have no answer, such as {what.names[missing[0]]}: label them, "
            f"or add --partial to have them wait{', or --empty if images without a box were looked at' if empty else ''}.",
        )


def _same(answer: dict, other: dict, folder: Path) -> bool:
    """Whether two answers say the same; masks are arrays, or the names of files in the folder."""
    first, second = (
        {name: one[name] for name in ("state", "label", "comment")} | {"boxes": one["boxes"] and sorted(one["boxes"])}
        for one in (answer, other)
    )
    masks = [
        agreement.read_mask(folder, one["mask"]) if isinstance(one["mask"], str) else one["mask"]
        for one in (answer, other)
    ]
    return first == second and np.array_equal(*masks)


def _append(log: Path, new: list[dict]) -> None:
    """Write the masks, then the answers that name them."""
    import cv2

    named = []
    for answer in new:
        if answer["mask"] is not None:
            there = {path.name for path in (log.parent / "masks").glob(f"{answer['id']}-*.png")}
            number = next(k for k in range(1, len(there) + 2) if f"{answer['id']}-{k}.png" not in there)
            name = f"masks/{answer['id']}-{number}.png"
            storage.write_bytes(log.parent / name, cv2.imencode(".png", answer["mask"])[1].tobytes())
            answer = answer | {"mask": name}
        named.append(answer)
    if named:
        answers.append(log, named)
