"""Methods: which score and selector a name in the config stands for, and what these read.

A score or selector is a function in ``scores.py`` (of frames of a video: ``frame_scores.py``) / ``selection.py``, or the
function of the same name in a file of its own beside them (``acquisition/my_score.py`` with ``def my_score(...)``). It
declares what it reads by its argument names.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.artifacts import Kind
from dagal.balance import required_per_class
from dagal.errors import UserError
from dagal.geometry import pairs

SCORES = Kind(
    "scores",
    1,
    {
        "ids": "candidate ids (n,), ascending",
        "score": "acquisition score (n,), larger = more worth a label",
    },
)

QUERY = Kind(
    "query",
    1,
    {
        "ids": "queried ids (b,) in order of choice",
        "score": "acquisition score of each queried id (b,)",
    },
)

# what else each may ask for
CONTEXT = {
    "score": ("n_candidates", "n_classes", "cycle", "rng"),
    "select": ("n_candidates", "n_classes", "cycle", "rng", "budget", "score_N", "required_C", "labels_L"),
}

HOMES = {"score": ("scores", "frame_scores", "pixel_scores"), "select": ("selection",)}


def compose(name: str, settings: dict, task) -> dict:
    """The method's settings with ``score`` and ``select`` filled in.

    They come from the config, else from the task's ``methods``, else they are the method's own name and the default selector.
    ``task``: a `dagal.tasks.Task`, here and below.
    """
    return {"score": name, **task.default, **task.methods.get(name, {}), **settings}


def find(part: str, name: str, task) -> Callable:
    """The function behind a ``score`` or ``select`` name. Raises UserError for an unknown name or argument."""
    function = _find(part, name)
    if function is None:
        raise UserError(f"unknown {part} {name!r}; allowed: {', '.join(available(part, task))}")
    allowed = (*task.signals, *CONTEXT[part])
    unknown = [argument for argument in inputs(function) if argument not in allowed]
    if unknown:
        raise UserError(
            f"{part} {name!r} asks for {unknown[0]!r}, which a {part} of {task.name} does not get; it may ask for "
            f"{', '.join(allowed)}, or have options with a default value"
        )
    return function


def _find(part: str, name: str) -> Callable | None:
    return next(filter(None, (_function(module, name) for module in (*HOMES[part], name))), None)


def _function(module: str, name: str) -> Callable | None:
    try:
        found = getattr(importlib.import_module(f"dagal.acquisition.{module}"), name, None)
    except ModuleNotFoundError as error:
        if error.name == f"dagal.acquisition.{module}":
            return None
        raise UserError(f"acquisition/{module}.py cannot be loaded: {error}.") from None
    except Exception as error:  # somebody's own file can fail in any way
        raise UserError(f"acquisition/{module}.py cannot be loaded: {type(error).__name__}: {error}.") from None
    return found if inspect.isfunction(found) else None


def available(part: str, task) -> list[str]:
    """Names that `find` knows.

    A function of a file of its own is a selector if it asks for the budget, else a score.
    """
    homes = [importlib.import_module(f"dagal.acquisition.{home}") for home in HOMES[part]]
    names = {path.stem for path in Path(__file__).parent.glob("*.py")} - {
        "__init__",
        "methods",
        *sum(HOMES.values(), ()),
    }
    for home in homes:
        names |= {*getattr(home, "FILES", ())}
        names |= {name for name, found in vars(home).items() if getattr(found, "__module__", None) == home.__name__}
    functions = {name: _find(part, name) for name in names}
    return sorted(
        name
        for name, f in functions.items()
        if f
        and not name.startswith("_")
        and (part == "select") == ("budget" in inputs(f))
        and set(inputs(f)) <= {*task.signals, *CONTEXT[part]}
    )


def inputs(function: Callable) -> list[str]:
    """Arguments without default: what the workflow hands in."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty]


def options(function: Callable) -> dict:
    """Arguments with their defaults: what the config may set as ``score_options`` / ``select_options``."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def signals(settings: dict, task) -> list[tuple[str, str]]:
    """(kind of file, data set) of every signal that a composed method reads, sorted."""
    functions = [find(part, settings[part], task) for part in HOMES]
    read = {argument for function in functions for argument in inputs(function)}
    return sorted({task.signals[argument] for argument in read & set(task.signals)})


def gather(function: Callable, files: dict[str, str], ids: np.ndarray, context: dict, task) -> dict:
    """The arguments that a score or selector asks for, restricted to the candidates with ascending ``ids``.

    ``files`` maps artifact kinds to paths. The axis of the candidates is the place of N in the argument's shape suffix; M
    stands for their detections, and the images behind L are the labeled ones.
    """
    arguments = {}
    for argument in inputs(function):
        if argument not in task.signals:
            arguments[argument] = context[argument]
            continue
        kind, name = task.signals[argument]
        suffix = [part for part in argument.split("_") if len(part) == 1]
        with artifacts.opened(files[kind], kind) as file:
            if "M" in suffix:
                positions = _positions(files[kind], file["ids"][()], ids)
                offsets = file["offsets"][()]
                frame_M, member_M = pairs(offsets[positions], offsets[positions + 1])
                arguments[argument] = frame_M if name == "offsets" else file[name][()][member_M]
            elif "N" in suffix:
                values, axis = file[name], suffix.index("N")
                # the truth and the list of images have a row for every id
                every = np.arange(len(values)) if kind in ("truth", "images") else file["ids"][()]
                positions = _positions(files[kind], every, ids)
                if axis == 0:  # only the rows of the candidates are in memory
                    arguments[argument] = artifacts.rows(values, positions)
                else:
                    arguments[argument] = values[()].take(positions, axis) if len(ids) < len(every) else values[()]
            elif kind == "query":
                arguments[argument] = _positions(files[kind], ids, file[name][()])
            elif kind == "images":
                (labeled,) = artifacts.read(files["labeled"], "labeled", "ids")
                arguments[argument] = file[name][()][labeled]
            else:
                arguments[argument] = file[name][()]
    return arguments


def _positions(path: str, every: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Positions of ids in ascending ids."""
    positions = np.searchsorted(every, ids)
    if not np.array_equal(every.take(positions, mode="clip"), ids):
        raise UserError(f"{path} lacks some of the candidates; delete it and run again.")
    return positions


def query(
    name: str, files: dict, ids: np.ndarray, score_N: np.ndarray, budget: int, cycle: int, rng, options: dict, task
) -> tuple[np.ndarray, dict]:
    """Run a selector on candidates: positions (b,) int64 in order of choice, and what it certifies (a bound, a radius).

    ``files`` as in `gather`, with ``labeled``. Raises UserError if the selector does not return ``budget`` different positions.
    """
    function = find("select", name, task)
    context = {
        "score_N": score_N, "n_candidates": len(ids), "budget": budget, "cycle": cycle, "rng": rng,
    }  # fmt: skip
    with artifacts.opened(files["labeled"], "labeled") as file:
        context["n_classes"] = len(artifacts.attribute(file, "class_names"))
        counts_C = None
        if "pixels" in file:  # the classes of an image share it
            pixels_L_C = file["pixels"][()]
            counts_C = (pixels_L_C / np.maximum(1, pixels_L_C.sum(1, keepdims=True))).sum(0)
        elif "labels" in file:
            counts_C = np.bincount(file["labels"][()], minlength=context["n_classes"])
            context["labels_L"] = file["labels"][()][np.argsort(file["ids"][()])]  # in the order of centers_L_D
        if counts_C is not None:
            n_initial = int(np.sum(file["cycle"][()] == 0))
            context["required_C"] = required_per_class(counts_C, budget, n_initial, cycle)
    selected = function(**gather(function, files, ids, context, task), **options)
    # a selector may return a dataclass: the positions first, then the certificate
    certificate = dataclasses.asdict(selected) if dataclasses.is_dataclass(selected) else {"positions": selected}
    positions = np.asarray(certificate.pop("positions"), np.int64)
    if len(positions) != budget or len(np.unique(positions)) != len(positions):
        raise UserError(f"selector {name!r} did not return {budget} different positions.")
    return positions, certificate
