"""What a table or figure of a study declares, in the one file that makes it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """A table or figure: the functions of a `dagal.plan.Study` tell whether a study has it, what it reads and what it writes.

    ``make(job)`` reads the files of ``job.input``, with the settings ``job.params``, and writes those of ``job.output``. ``reads`` and
    ``outputs`` return paths by their names, ``settings`` plain values. What is made once for each method, say, has ``variants``: each is
    handed by name to these three, and belongs to the name of its job.

    ``labels`` holds the outputs that the report shows, under which name; they have a ``caption`` (reStructuredText) and a
    ``category``. ``environment`` is the file of envs/ that holds what ``make`` imports.
    """

    make: Callable[..., None]
    reads: Callable[..., dict]
    outputs: Callable[..., dict[str, str]]
    settings: Callable[..., dict] = lambda study, **variant: {}
    when: Callable[..., bool] = lambda study: True
    variants: Callable[..., list[dict]] = lambda study: [{}]
    caption: str = ""
    category: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    environment: str = "light"


def classifies(study) -> bool:
    """Whether the study asks for classes: what `when` is for most analyses."""
    return study.task.name == "classification" and study.settings["cycles"] > 0


@dataclass(frozen=True)
class Planned:
    """A job of a study that makes an item, with the paths and settings of that study."""

    name: str
    item: str  # name in `dagal.report.registry.ITEMS`
    code: str  # "module:attribute" of its function
    inputs: dict[str, str | list[str]]
    outputs: dict[str, str]
    settings: dict
    caption: str
    category: str
    labels: dict[str, dict[str, str]]  # of the outputs that the report shows
    environment: str


def planned(study, name: str, item: Item, variant: dict) -> Planned:
    """The job that makes an item, or one variant of it."""
    outputs = item.outputs(study, **variant)
    labels = {key: label.format(**variant) for key, label in item.labels.items()}
    return Planned(
        name="_".join([name, *map(str, variant.values())]),
        item=name,
        code=f"{item.make.__module__}:{item.make.__qualname__}",
        inputs=item.reads(study, **variant),
        outputs=outputs,
        settings=item.settings(study, **variant),
        caption=inspect.cleandoc(item.caption),
        category=item.category,
        labels={key: {"table" if outputs[key].endswith(".csv") else "figure": label} for key, label in labels.items()},
        environment=item.environment,
    )
