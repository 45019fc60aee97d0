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
    "truth_N": ("truth", "labels"),
}
# what else they may ask for
CONTEXT = ("n_candidates", "n_classes", "budget", "cycle", "rng", "score_N")

# names whose score or selector is not "the score of that name, top k of it"
METHODS = {
    "oracle": {"score": "misclassified"},
    "kcenter_greedy": {"score": "distance_to_labeled", "select": "kcenter_greedy"},
}

HOMES = {"score": "scores", "select": "selection"}


def compose(name: str, settings: dict) -> dict:
    """The method's settings with ``score`` and ``select`` filled in: config, else `METHODS`, else its own name and top_k."""
    return {"score": name, "select": "top_k", **METHODS.get(name, {}), **settings}


def find(part: str, name: str) -> Callable:
    """The function behind a ``score`` or ``select`` name. Raises UserError for an unknown name or argument."""
    function = None
    for module in (HOMES[part], name):
        try:
            function = vars(importlib.import_module(f"dagal.acquisition.{module}")).get(name)
        except ModuleNotFoundError as error:
            if error.name != f"dagal.acquisition.{module}":
                raise UserError(f"{part} {name!r} cannot be loaded: {error}.") from None
        if inspect.isfunction(function):
            break
    else:
        raise UserError(f"unknown {part} {name!r}; allowed: {', '.join(available(part))}")
    unknown = [argument for argument in inputs(function) if argument not in (*SIGNALS, *CONTEXT)]
    if unknown:
        raise UserError(
            f"{part} {name!r} asks for the unknown argument {unknown[0]!r}; allowed: {', '.join((*SIGNALS, *CONTEXT))}, "
            "or an option with a default value"
        )
    return function


def available(part: str) -> list[str]:
    """Names that `find` knows: public functions of the home module and files of their own."""
    home = importlib.import_module(f"dagal.acquisition.{HOMES[part]}")
    built_in = [n for n, f in vars(home).items() if inspect.isfunction(f) and f.__module__ == home.__name__]
    helpers = {"__init__", "methods", "distances", *HOMES.values()}
    own = [p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in helpers]
    return sorted(built_in + own)


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
