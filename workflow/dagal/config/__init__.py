"""The config of a study: a typed model with every default, limit and meaning, and the loader that checks a file against it."""

from collections.abc import Sequence
from pathlib import Path

from dagal.config import methods
from dagal.config.checks import check_combinations, check_files, check_pool, pool_size
from dagal.config.fields import Mistake, fill
from dagal.config.loader import Resolved, located, read
from dagal.config.study import Study
from dagal.tasks.adversaries import KINDS

__all__ = ["check_files", "check_pool", "load", "pool_size"]


def load(config: dict | str | Path | Sequence[str | Path], overrides: dict | None = None) -> dict:
    """The resolved study: checked, with all defaults, keys sorted (so that equal settings compare equal), methods in their order.

    ``config``: the path of a study, several of which the later ones win, or its content. ``overrides``: top-level keys over it.
    Raises UserError: one sentence that names the file and the line, the key, its value and what is allowed.
    """
    settings, places = read(config, overrides)
    with located(places):
        resolved = Resolved(resolve(settings))
    resolved.places = places
    return resolved


def resolve(settings: dict) -> dict:
    """`load` for settings as they are written. Raises Mistake."""
    adversaries = settings.setdefault("adversaries", {})
    if isinstance(adversaries, dict):
        for kind in KINDS:
            adversaries.setdefault(kind, {})
    if isinstance(settings.get("methods"), dict):
        settings["methods"] = {name: given or {} for name, given in settings["methods"].items()}
    study = fill(Study, settings, "", {})
    resolved = study.plain() | {"task": study.dataset.task}
    check_combinations(resolved)
    for name, adversary in resolved["adversaries"].items():
        adversary["kind"] = adversary["kind"] or name
        if adversary["kind"] not in KINDS:
            raise Mistake(f"adversaries.{name}.kind", f"is missing; allowed: {', '.join(KINDS)}.")
    composed = {name: methods.complete(name, given, resolved) for name, given in resolved["methods"].items()}
    resolved = _sorted(resolved)
    resolved["methods"] = {name: _sorted(given) for name, given in composed.items()}
    return resolved


def _sorted(value):
    return {key: _sorted(value[key]) for key in sorted(value)} if isinstance(value, dict) else value
