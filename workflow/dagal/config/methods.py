"""Methods of a study: composed, and their names and options checked against the functions behind them."""

import functools
import inspect
import json
import typing
from collections.abc import Callable
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dagal import tasks
from dagal.acquisition import methods
from dagal.config.fields import Mistake, Section, Variants, Whole, did_you_mean, requirement_of, setting, shown, words
from dagal.config.video import SiamFC
from dagal.errors import UserError
from dagal.labeling import by_person
from dagal.tasks import Task
from dagal.tasks.classification.signals import OF_SVM
from dagal.tasks.segmentation.signals import OF_REGIONS

# selectors that can choose from what they chose from parts of the pool
IN_SHARDS = ("top_k", "kcenter_cover", "badge_cover")
OPTION_RULES = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


ADVERSARY = setting(
    "Which adversarial training the method reads, a name in `adversaries`.", None, otherwise="the method's own"
)


class Method(Section):
    label = "all tasks"
    sparse = True
    score: str | None = setting(
        "Acquisition score: a function of `acquisition/scores.py` or of a file of its own beside it.",
        None,
        otherwise="same as the method's name",
    )
    select: str | None = setting(
        "Selector: a function of `acquisition/selection.py` or of a file of its own beside it.",
        None,
        otherwise="the method's own, or `top_k` (videos: `temporal_spread`)",
    )
    score_options: dict = setting(
        "Options of the score: its arguments with a default value (`python -m dagal methods NAME` lists them).", {}
    )
    select_options: dict = setting(
        "Options of the selector: its arguments with a default value. `weight: auto` takes the weight lambda of class balance "
        "from the lambda study.",
        {},
        papers="003: `weight` 0.6 (CIFAR-10), 2 (CIFAR-100)",
    )
    subset: Whole = setting(
        "Rank only a random subset of this many budgets; 0 ranks the whole pool.", 0, ge=0, papers="004: 10"
    )
    shards: Whole = setting(
        "Jobs over which the selection is spread; each chooses a whole batch from a part of the candidates, and the selector then "
        f"chooses among these ([scale](scale.md)). With {', '.join(f'`{name}`' for name in IN_SHARDS)} only.",
        1,
        ge=1,
        le=10_000,
    )
    learner: str | None = setting("Name of the learner, where there are several.", None, otherwise="the only learner")


class ClassificationMethod(Method):
    label = "classification"
    draws: Literal["dropout", "ensemble", "ensemble_dropout"] | None = setting(
        "Where the draws of a method that reads them (`bald`, `variation_ratio`, ...) come from: `signals.draws` passes with "
        "dropout, a deep ensemble of `signals.members` models, or that many passes of each of these models.",
        None,
        otherwise="the method's own, or `dropout`",
    )
    transfer: str | None = setting(
        "Name of another method, whose query the method takes over in every cycle: its own learner is trained on the labels that "
        "the other one chose.",
        None,
        otherwise="it asks for images itself",
    )
    adversary: str | None = ADVERSARY


class SegmentationMethod(Method):
    label = "segmentation"
    adversary: str | None = ADVERSARY


class DetectionMethod(Method):
    label = "detection"
    tracker: Literal["flow", "siamfc", "feature_correlation", "true_flow"] = setting(
        "What follows the detections of temporal coherence: `video.flow`, the Siamese network of `video.siamfc`, correlation of the "
        "detector's own features, or the motion of the renderer.",
        "flow",
        papers="003, ch. 2: flow and SiamFC",
    )


class MethodVariants(Variants):
    """The sections of tasks; a task without one of its own has the keys of all."""

    def choose(self, value: dict, key: str, context: dict) -> tuple[str, type[Section]]:
        task = context["dataset"].task
        return task, self.table().get(task, Method)


METHOD = MethodVariants(
    "",
    lambda: {
        "classification": ClassificationMethod,
        "detection": DetectionMethod,
        "segmentation": SegmentationMethod,
    },
)


def complete(name: str, given: dict, study: dict) -> dict:
    """The method's settings with score, selector and learner filled in and checked. Raises Mistake."""
    key, task = f"methods.{name}", tasks.find(study["task"])
    if name.startswith("start"):
        raise Mistake(key, "begins with 'start', as the shared nodes of cycle 0 do; rename it.")
    if given.get("transfer"):
        check_transfer(name, given, study)
        given = {"score": "random", "select": "transfer"} | given
    settings = methods.compose(name, given, task)
    if settings["select"] == "transfer" and not settings.get("transfer"):
        raise Mistake(key, "takes over the query of another method: name it, as in transfer: entropy.")
    for part in methods.HOMES:
        check_options(part, settings, given, key, task)
    if settings["shards"] > 1 and settings["select"] not in IN_SHARDS:
        raise Mistake(
            f"{key}.shards",
            f"is {settings['shards']}, but the selector is {settings['select']}; take one of {', '.join(IN_SHARDS)}.",
        )
    read = methods.signals(settings, task)
    kinds, signals = {kind for kind, _ in read}, {signal for _, signal in read}
    if by_person(study) and kinds & task.sealed:
        raise Mistake(key, "reads the hidden labels, which nobody has where a person labels: delete it.")
    if study["regions"] and (lacking := sorted(signals - OF_REGIONS)):
        raise Mistake(
            key,
            f"reads {lacking[0]} of whole images, which regions have not; take another method, or delete 'regions'.",
        )
    if "adversary" in kinds:
        settings.setdefault("adversary", name)
        if settings["adversary"] not in study["adversaries"]:
            raise Mistake(
                f"{key}.adversary", f"is {settings['adversary']!r}; allowed: {', '.join(study['adversaries'])}."
            )
    elif "adversary" in settings:
        raise Mistake(f"{key}.adversary", f"is {settings['adversary']!r}, but the method reads none; delete it.")
    if settings.get("tracker", "flow") != "flow" and "coherence" not in kinds:
        raise Mistake(f"{key}.tracker", f"is {settings['tracker']!r}, but the method follows no detections; delete it.")
    if settings.get("tracker") == "true_flow" and study["dataset"]["loader"] != "synthia_al":
        raise Mistake(
            f"{key}.tracker",
            "is true_flow, which only rendered videos (synthia_al) have; take flow, siamfc or feature_correlation.",
        )
    if settings.get("tracker") == "siamfc":
        study["video"].setdefault("siamfc", SiamFC().plain())
    learners = list(study["learners"])
    if "learner" not in settings and len(learners) > 1:
        raise Mistake(key, f"must name its learner, as there are several; allowed: {', '.join(learners)}.")
    settings.setdefault("learner", learners[0])
    if settings["learner"] not in learners:
        raise Mistake(f"{key}.learner", f"is {settings['learner']!r}; allowed: {', '.join(learners)}.")
    check_learner(key, settings, signals, study, task)
    return settings


def check_transfer(name: str, given: dict, study: dict) -> None:
    """A method that takes over queries names one that asks for images itself, has no query of its own, and runs all its cycles."""
    key, others = (
        f"methods.{name}.transfer",
        [one for one, other in study["methods"].items() if not other.get("transfer")],
    )
    if given["transfer"] not in others:
        raise Mistake(key, f"is {given['transfer']!r}; must be one of {', '.join(others)}.")
    own = [option for option in ("score", "select", "subset", "adversary") if given.get(option)]
    if own:
        raise Mistake(
            f"methods.{name}.{own[0]}", "says how to ask, but the method takes over the query of another; delete it."
        )
    if any(study["stopping"].values()):
        raise Mistake(
            key, "needs all queries of the other method, but 'stopping' may end its chain; delete one of them."
        )


def check_learner(key: str, settings: dict, signals: set[str], study: dict, task: Task) -> None:
    """Whether the method's learner gives the signals that it reads."""
    learner = study["learners"][settings["learner"]]
    adversary = study["adversaries"].get(settings.get("adversary"), {})
    if adversary.get("height") and learner.get("backbone"):
        raise Mistake(
            f"adversaries.{settings['adversary']}.height",
            "is set, but the features of a backbone are no images; delete it.",
        )
    place = f"learners.{settings['learner']}"
    predicted = {"predicted_loss", "labeled_predicted_loss"}
    trained_on = {signal for _, signal in task.reads_besides(settings, study)}
    if predicted & (signals | trained_on) and not learner.get("loss_prediction"):
        raise Mistake(
            key,
            f"reads predicted losses, but '{place}.loss_prediction' is not set; set it, as in loss_prediction: {{loss: margin}}.",
        )
    svm = learner["architecture"] == "svm"
    if signals & OF_SVM and not svm:
        raise Mistake(key, "reads the boundaries of an SVM: name a learner of architecture svm.")
    draws = settings["draws"] if "draws" in signals else None
    if svm and ("trajectory" in signals or draws in ("ensemble", "ensemble_dropout")):
        what = "a trajectory over epochs" if "trajectory" in signals else "an ensemble"
        raise Mistake(
            key, f"reads {what}, which a svm, trained without epochs and chance, has not; name another learner."
        )
    if draws in ("dropout", "ensemble_dropout") and not learner.get("dropout"):
        raise Mistake(
            key, f"reads stochastic draws, but '{place}.dropout' is 0, which makes all draws equal; set it above 0."
        )


def known(task: Task) -> list[str]:
    """Names that stand for a method by themselves: compositions, then scores."""
    return list(dict.fromkeys([*task.methods, *methods.available("score", task)]))


def check_options(part: str, settings: dict, given: dict, key: str, task: Task) -> None:
    """The function behind a score or selector exists, and takes the options. Raises Mistake."""
    name = settings[part]
    place = f"{key}.{part}" if part in given else key
    try:
        function = methods.find(part, name, task)
    except UserError as error:
        raise unknown(part, name, place, task, error) from None
    allowed = methods.options(function)
    for option, value in settings[f"{part}_options"].items():
        place = f"{key}.{part}_options.{option}"
        if option not in allowed:
            names = ", ".join(allowed) or "none"
            raise Mistake(place, f"is no option of {name!r}{did_you_mean(option, list(allowed))}; allowed: {names}.")
        adapter = option_types(function)[option]
        for attempt in (value, *([int(value)] if isinstance(value, float) and value.is_integer() else [])):
            try:
                adapter.validate_json(json.dumps(attempt))
            except ValidationError:
                continue
            break
        else:
            raise Mistake(place, f"is {shown(value)}: {requirement_of(adapter.json_schema(), value)}")
        if attempt is not value:
            settings[f"{part}_options"][option] = attempt


def unknown(part: str, name: str, place: str, task: Task, error: UserError) -> Mistake:
    """The mistake of a name behind which no score or selector is found."""
    what = {"score": "score", "select": "selector"}
    other = "select" if part == "score" else "score"
    if name in methods.available(other, task):
        hint = f"select: {name}" if part == "score" else f"score: {name}"
        return Mistake(place, f"is the {what[other]} {name!r}, not a {what[part]}; write `{hint}`.")
    for home in map(tasks.find, tasks.TASKS):
        if name in methods.available(part, home):
            fitting = known(task) if part == "score" else methods.available("select", task)
            return Mistake(
                place,
                f"is the {what[part]} {name!r} of {home.name}, which reads what a study of {task.name} does not have; take one of "
                f"{', '.join(fitting)}.",
            )
    if not str(error).startswith("unknown "):
        return Mistake(place, f"cannot be used: {error}")
    if part == "select":
        names = methods.available("select", task)
        return Mistake(
            place, f"is {name!r}, which is no selector{did_you_mean(name, names)}; allowed: {', '.join(names)}."
        )
    names = known(task)
    selectors = [selector for selector in methods.available("select", task) if selector not in names]
    return Mistake(
        place,
        f"is no method or score of {task.name}: {name!r} is unknown{did_you_mean(name, [*names, *selectors])}; methods: "
        f"{', '.join(names)}; selectors, as in `select: top_k`: {', '.join(selectors)}.",
    )


@functools.cache
def option_types(function: Callable) -> dict[str, TypeAdapter]:
    """Option -> its type, from the annotations of the function; an option without one takes anything."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {name: TypeAdapter(hints.get(name, typing.Any), config=OPTION_RULES) for name in methods.options(function)}


def option_table(function: Callable) -> list[tuple[str, str, object]]:
    """(name, type in words, default) of every option."""
    types = option_types(function)
    return [(name, words(types[name].json_schema()), value) for name, value in methods.options(function).items()]


def summary(function: Callable) -> str:
    """The first line of a function's docstring."""
    return (inspect.getdoc(function) or "").split("\n")[0]
