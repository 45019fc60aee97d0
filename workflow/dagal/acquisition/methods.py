"""Methods: which score and selector a name in the config stands for, and what these read.

A score or selector is a function in ``scores.py`` / ``selection.py``, or the function of the same name in a file of its
own beside them (``acquisition/my_score.py`` with ``def my_score(...)``). It declares what it reads by its argument names.
"""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dagal import artifacts
from dagal.errors import UserError

# argument of a score or selector -> (artifact, data set) of the signal that it stands for
SIGNALS = {
    "probs_N_C": ("signals", "probabilities"),
    "embeddings_N_D": ("signals", "embeddings"),
    "centers_L_D": ("signals", "labeled_embeddings"),
    "trajectory_E_N": ("signals", "trajectory"),
    "draws_T_N_C": ("draws", "draws"),
    "boundary_N": ("boundary", "distance"),
    "truth_N": ("truth", "labels"),
}
# what else each may ask for
CONTEXT = {
    "score": ("n_candidates", "n_classes", "cycle", "rng"),
    "select": ("n_candidates", "n_classes", "cycle", "rng", "budget", "score_N", "required_C"),
}

# names whose score or selector is not "the score of that name, top k of it"
METHODS = {
    "oracle": {"score": "misclassified"},
    "kcenter_greedy": {"score": "distance_to_labeled", "select": "kcenter_greedy"},
    "core_set": {"score": "distance_to_labeled", "select": "core_set"},
    "typiclust": {"score": "distance_to_labeled", "select": "typiclust"},
    "probcover": {"score": "distance_to_labeled", "select": "probcover"},
    "dal": {"score": "distance_to_labeled", "select": "dal"},
    "badge": {"score": "gradient_norm", "select": "badge"},
    "batch_bald": {"score": "bald", "select": "batch_bald"},
    "diverse_mini_batch": {"score": "margin", "select": "diverse_mini_batch"},
    "entropy_cb": {"score": "entropy", "select": "class_balanced"},
    "bald_cb": {"score": "bald", "select": "class_balanced"},
    "kcenter_cb": {"score": "distance_to_labeled", "select": "kcenter_class_balanced"},
    "entropy_pseudo_label": {"score": "entropy", "select": "pseudo_label"},
}

HOMES = {"score": "scores", "select": "selection"}


def compose(name: str, settings: dict) -> dict:
    """The method's settings with ``score`` and ``select`` filled in: config, else `METHODS`, else its own name and top_k."""
    return {"score": name, "select": "top_k", **METHODS.get(name, {}), **settings}


def find(part: str, name: str) -> Callable:
    """The function behind a ``score`` or ``select`` name. Raises UserError for an unknown name or argument."""
    function = _function(HOMES[part], name) or _function(name, name)
    if function is None:
        raise UserError(f"unknown {part} {name!r}; allowed: {', '.join(available(part))}")
    allowed = (*SIGNALS, *CONTEXT[part])
    unknown = [argument for argument in inputs(function) if argument not in allowed]
    if unknown:
        raise UserError(
            f"{part} {name!r} asks for {unknown[0]!r}, which a {part} does not get; it may ask for {', '.join(allowed)}, "
            "or have options with a default value"
        )
    return function


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


def available(part: str) -> list[str]:
    """Names that `find` knows. A function of a file of its own is a selector if it asks for the budget, else a score."""
    home = importlib.import_module(f"dagal.acquisition.{HOMES[part]}")
    names = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__", "methods", *HOMES.values()}
    names |= {*getattr(home, "FILES", ())}
    names |= {name for name, found in vars(home).items() if getattr(found, "__module__", None) == home.__name__}
    functions = {name: _function(HOMES[part], name) or _function(name, name) for name in names}
    return sorted(
        name
        for name, f in functions.items()
        if f and not name.startswith("_") and (part == "select") == ("budget" in inputs(f))
    )


def inputs(function: Callable) -> list[str]:
    """Arguments without default: what the workflow hands in."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty]


def options(function: Callable) -> dict:
    """Arguments with their defaults: what the config may set as ``score_options`` / ``select_options``."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def signals(settings: dict) -> list[tuple[str, str]]:
    """(artifact, data set) of every signal that a composed method reads, sorted."""
    functions = [find(part, settings[part]) for part in HOMES]
    return sorted({SIGNALS[argument] for function in functions for argument in inputs(function) if argument in SIGNALS})


def gather(function: Callable, files: dict[str, str], ids: np.ndarray, context: dict) -> dict:
    """The arguments that a score or selector asks for, restricted to the candidates with ascending ``ids``.

    ``files`` maps artifact kinds to paths. The axis of the candidates is the place of N in the argument's shape suffix.
    """
    arguments = {}
    for argument in inputs(function):
        if argument not in SIGNALS:
            arguments[argument] = context[argument]
            continue
        kind, name = SIGNALS[argument]
        suffix = argument.split("_")[1:]
        with artifacts.opened(files[kind], kind) as file:
            if "N" not in suffix:
                arguments[argument] = file[name][()]
            else:
                every = np.arange(len(file[name])) if kind == "truth" else file["ids"][()]
                positions = np.searchsorted(every, ids)
                if not np.array_equal(every.take(positions, mode="clip"), ids):
                    raise UserError(f"{files[kind]} lacks some of the candidates; delete it and run again.")
                values = file[name][()]
                if len(ids) < len(every):
                    values = values.take(positions, axis=suffix.index("N"))
                arguments[argument] = values
    return arguments


def source(function: Callable) -> str:
    """The file that defines a score or selector."""
    return inspect.getsourcefile(function)
