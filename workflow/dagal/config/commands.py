"""The commands of the config: ``dagal config``, ``dagal methods``, ``dagal new``."""

import argparse
import json
import os
import textwrap
from pathlib import Path

import yaml

from dagal.acquisition import methods as catalogue
from dagal.config import load
from dagal.config import methods as method_settings
from dagal.config.fields import NAME, did_you_mean
from dagal.config.publish import ROOT
from dagal.config.study import Study
from dagal.errors import UserError
from dagal.tasks import TASKS
from dagal.tasks import find as find_task

LABELING = """\
# {name}: images that a person labels, and a model that says which of them to label next. Every key: docs/settings.md.
# Run: snakemake --configfile {file}; then `dagal label results/{name}`, and again (docs/labeling.md).
study: {name}

dataset:
  name: {name}
  loader: image_folder
  path: {images}
  labels: none  # some: images in a folder of their class have that label
  image_size: 64

oracle:
  kind: person
  classes: {classes}  # new ones may be added at the end later

pool:
  test: 100  # labeled first, drawn at random: tells how good the model is; without it, cross-validation has to
  initial: {{size: 50}}  # labels before the first query

budget: 50  # labels per cycle
cycles: 10  # as many as you like; make it smaller to end a study
seeds: [0]

learners:
  resnet18:
    architecture: resnet18
    epochs: 60
    batch_size: 32
    optimizer: {{lr: 0.01, weight_decay: 0.0005}}
    schedule: {{name: cosine}}
    augmentation: {{pad: 4, flip: true}}

methods:  # python -m dagal methods lists them
  entropy:
"""

START = """\
# {name}: what the study asks, and where its data comes from. Every key: docs/settings.md. Run: snakemake --configfile {file}
study: {name}

dataset:
  name: digits  # the digits bundled with scikit-learn; for a folder of images of your own, one folder per class:
  # name: leaves
  # loader: image_folder
  # path: data/raw/leaves
  # image_size: 64  # needed if the files differ in size

pool:
  initial: {{size: 50, kind: random}}  # labels before the first query

budget: 50  # labels per cycle
cycles: 4
seeds: [0, 1, 2]  # independent repeats

learners:
  mlp:
    architecture: mlp  # for images larger than digits a ResNet, as resnet18
    dropout: 0.2  # bald needs it
    epochs: 50
    batch_size: 32
    optimizer: {{name: adam, lr: 0.001}}
    device: cpu  # auto takes a GPU where there is one

methods:  # python -m dagal methods lists them
  random:
  entropy:
  diverse:  # a name of your own: any score with any selector
    score: distance_to_labeled
    select: kcenter_greedy
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the three commands to the command line."""
    keep = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "config",
        help="print a study with all defaults, and where each value stands",
        description="Print the resolved study as YAML; a comment tells the file and the line of each value, or default.",
        epilog="examples:\n  dagal config config.yaml\n  dagal config experiments/ta_vaal_cifar10.yaml mine.yaml",
        formatter_class=keep,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a study; of several the later ones win, key by key")
    parser.add_argument("--name", action="store_true", help="print the name of the study alone, if it has no mistake")
    parser.set_defaults(run=print_config)
    parser = commands.add_parser(
        "methods",
        help="list the methods with their options",
        description="List what a name under methods may stand for: score, selector, options with type and default, what they read.",
        epilog="examples:\n  dagal methods\n  dagal methods --task detection\n  dagal methods entropy_cb",
        formatter_class=keep,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one method, score or selector")
    parser.add_argument("--task", choices=list(TASKS), default="classification", help="by default classification")
    parser.set_defaults(run=lambda options: print(listed(options.task, options.name), end=""))
    parser = commands.add_parser(
        "new",
        help="write a starting study",
        description="Write NAME.yaml, a commented study that runs as it is.",
        epilog="examples:\n  dagal new leaves\n  dagal new leaves --images photos --classes healthy rust",
        formatter_class=keep,
    )
    parser.add_argument("name", metavar="NAME", help="name of the study: letters, digits and _")
    parser.add_argument("--images", metavar="FOLDER", help="images without labels: a study that a person labels")
    parser.add_argument("--classes", nargs="+", metavar="CLASS", help="names of the classes of these images")
    parser.set_defaults(run=lambda options: print(new(options.name, options.images, options.classes)))


def print_config(options: argparse.Namespace) -> None:
    study = load(options.files)
    print(study["study"] if options.name else annotated(study), end="\n" if options.name else "")


def annotated(study: dict) -> str:
    """A resolved study as YAML with the place of each value, in the order of the documentation."""
    lines = list(_lines(as_written(study), "", study.places))
    width = min(60, max(len(line) for line, _ in lines))
    return "".join(f"{line:<{width}}  # {place}\n" if place else f"{line}\n" for line, place in lines)


def as_written(study: dict) -> dict:
    """A resolved study with the keys of a file, in the order of the documentation."""
    found = {name: study[name] for name in Study.model_fields if name in study}
    return found | {"dataset": {"name": study["dataset"]["name"], "task": study["task"], **study["dataset"]}}


def _lines(value: dict, key: str, places: dict):
    indent = "  " * (key.count(".") + 1 if key else 0)
    for name, entry in value.items():
        dotted = f"{key}.{name}" if key else name
        if isinstance(entry, dict) and entry:
            yield f"{indent}{name}:", ""
            yield from _lines(entry, dotted, places)
        else:
            text = yaml.safe_dump(entry, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
            yield f"{indent}{name}: {text}", places.get(dotted, "default")


def listed(task: str, name: str | None = None) -> str:
    """The methods of a task, or one method, score or selector of it."""
    names = method_settings.known(find_task(task))
    selectors = catalogue.available("select", find_task(task))
    if name is None:
        own = [selector for selector in selectors if selector not in names]
        return "\n".join([*(_method(entry, task) for entry in names), *(_part("select", entry, task) for entry in own)])
    if name in names:
        return _method(name, task)
    if name in selectors:
        return _part("select", name, task)
    raise UserError(
        f"{name!r} is no method, score or selector of {task}{did_you_mean(name, [*names, *selectors])}; `dagal methods --task {task}` "
        "lists them."
    )


def _method(name: str, task: str) -> str:
    settings = catalogue.compose(name, {}, find_task(task))
    read = sorted({f"{signal} ({kind})" for kind, signal in catalogue.signals(settings, find_task(task))})
    besides = "".join(f", {key}: {settings[key]}" for key in ("adversary",) if key in settings)
    return (
        f"{name}:  score: {settings['score']}, select: {settings['select']}{besides}\n"
        f"  reads: {', '.join(read) or 'nothing'}\n"
        + _about("score", settings["score"], task)
        + _about("select", settings["select"], task)
    )


def _part(part: str, name: str, task: str) -> str:
    return f"{name}:  a selector, for `select: {name}`\n" + _about(part, name, task)


def _about(part: str, name: str, task: str) -> str:
    function = catalogue.find(part, name, find_task(task))
    text = textwrap.fill(
        f"{part} {name}: {method_settings.summary(function)}", 120, initial_indent="  ", subsequent_indent="    "
    )
    options = [
        f"    {part}_options.{option}: {kind}; by default {json.dumps(default)}\n"
        for option, kind, default in method_settings.option_table(function)
    ]
    return f"{text}\n{''.join(options)}"


def new(name: str, images: str | None = None, classes: list[str] | None = None) -> str:
    """Write a starting study, of a folder of images that a person labels if there is one; what was written, in one sentence."""
    if images is not None and len(set(classes or [])) < 2:
        raise UserError("--images needs the names of two classes or more, as in --classes healthy rust.")
    if images is not None and not Path(images).exists():
        raise UserError(f"{images} is not there: give the folder of the images.")
    text = START if images is None else LABELING
    values = (
        {} if images is None else {"images": json.dumps(images), "classes": json.dumps(classes, ensure_ascii=False)}
    )
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name of a study: it may hold only letters, digits and _.")
    path = Path(f"{name}.yaml")
    schema = ROOT / "config/study.schema.json"
    # where the package is installed without the repository there is none
    first = f"# yaml-language-server: $schema={os.path.relpath(schema)}\n" if schema.exists() else ""
    try:
        with path.open("x") as file:
            file.write(first + text.format(name=name, file=path, **values))
    except FileExistsError:
        raise UserError(f"{path} exists already and is left as it is; take another name.") from None
    return f"{path} is written: change it, look at it with `dagal config {path}`, run it with `snakemake --configfile {path}`."
