"""What a table or figure of a study declares, in the one file that makes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def nothing(study, at) -> dict:
    return {}


@dataclass(frozen=True)
class Item:
    """A table or figure: ``make(job)`` reads the files of ``job.input``, by ``job.params``, and writes those of ``job.output``.

    The other functions take the study (`dagal.plan.Study`) and where the job stands (`dagal.plan.At`), as those of a step of the DAG
    (`dagal.tasks.Stage`) do: ``reads`` returns paths by their names, ``settings`` plain values; ``writes`` holds patterns such as
    ``{results}/metrics.csv``. ``when`` tells whether a study has the item; of one with wildcards in its patterns, such as
    ``{method}``, a study has the ``variants`` that are listed.

    ``labels`` holds the outputs that the report shows, under which name; they have a ``caption`` (reStructuredText) and a
    ``category``. ``environment`` is the file of envs/ that holds what ``make`` imports.
    """

    make: Callable[..., None]
    writes: Mapping[str, str]
    reads: Callable[..., dict]
    settings: Callable[..., dict] = nothing
    writes_besides: Callable[..., dict] = lambda study: {}  # outputs that only some studies have
    when: Callable[..., bool] = lambda study: True
    variants: Callable[..., list[dict]] = lambda study: [{}]
    caption: str = ""
    category: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: str = "light"


def classifies(study) -> bool:
    """Whether the study asks for classes: what `Item.when` is for most analyses."""
    return study.task.name == "classification" and study.settings["cycles"] > 0


def interval(study) -> str:
    """The kind of interval (`dagal.report.significance.interval`) that the tables and bands of a study have."""
    return study.settings["plots"].get("interval", "t")
