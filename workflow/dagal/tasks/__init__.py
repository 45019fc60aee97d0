"""What can be learned, one folder for each task; and what a step of the DAG is."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from dagal.artifacts import Kind
from dagal.registry import Registry
from dagal.tasks.needs import Need

# adding a task: one folder here, one file in rules/, one line
TASKS = Registry(
    {
        "classification": "dagal.tasks.classification:TASK",
        "detection": "dagal.tasks.detection:TASK",
        "segmentation": "dagal.tasks.segmentation:TASK",
    }
)


QUERY_CYCLE = r"[1-9]\d*"  # a query needs a node before


def nothing(study, at) -> dict:
    return {}


def any_of(names: Iterable[str]) -> str:
    """A pattern that matches just these names; none where there is no name."""
    return "|".join(names) or "(?!)"


@dataclass(frozen=True)
class Stage:
    """One step of the DAG: a rule of the same name, and what each of its jobs reads, is set to and writes.

    The functions take the study (`dagal.plan.Study`) and where the job stands (`dagal.plan.At`): they say nothing of Snakemake.
    ``script`` is in workflow/scripts; ``writes`` names the outputs, by patterns such as ``{node}/scores.h5`` (see
    `dagal.plan.study.PLACES`); ``log`` is the pattern of its log and benchmark files without their ending, by default that of
    the first output.
    """

    script: str
    writes: Mapping[str, str]
    reads: Callable[..., dict] = nothing  # named inputs: a path, or a list of paths
    settings: Callable[..., dict] = nothing  # its own settings, and nothing else: when these change the job runs again
    looks_up: Callable[..., Iterable] = nothing  # what it finds by a name in its settings: part of its code digest
    writes_besides: Callable[..., dict] = lambda study: {}  # outputs that only some studies have
    where: Callable[..., dict] = lambda study: {}  # patterns of its wildcards, where these are narrower than usual
    log: str | None = None
    environment: str = "light"  # of envs/, and which libraries a warm process has loaded
    threads: Callable[..., int] = lambda study, at: 1
    gpu: Callable[..., int] = lambda study, at: 0
    needs: Callable[..., Need] = lambda study, at, size: Need()  # what it takes besides loading its libraries
    # the jobs of a node that give the same name are submitted to a cluster together
    group: Callable[..., str | None] = lambda study, at: None
    # whose stopping.json says that the chain had stopped before this job: of the node "before", of the node itself ("here"), or None
    stopped_by: str | None = None
    # whether a stopped chain takes over the files of the node before; else its files are left out
    goes_on: bool = False


@dataclass(frozen=True)
class Task:
    """What an answer is, and which signals, methods, measures, learners and steps a study of it has."""

    name: str
    # data sets of the answers in labeled.h5, with their descriptions
    answer: Mapping[str, str]
    # (truth file, ids, the config's `oracle`, seed) -> answers: only the rows asked for leave the sealed truth; where a study asks for
    # regions, it gets the path of regions.h5 as `regions`
    ask: Callable
    # (earlier answers, later ones) -> both
    append: Callable
    # argument of a score or selector -> (kind of file, data set) of the signal that it stands for
    signals: Mapping[str, tuple[str, str]]
    # kinds of files that are made from the hidden labels: a method that reads them cannot be deployed
    sealed: frozenset
    # what the name of a method stands for, where it is not the score of that name with the selector of `default`
    methods: Mapping[str, Mapping]
    default: Mapping[str, str]
    # numbers in metrics.json: what performance is measured by comes first
    measures: tuple[str, ...]
    # where a person labels and there is no test set, what performance is measured by instead
    without_test: str = field(default="", kw_only=True)
    per_class: str  # the first of them for each class
    # architecture -> typed section of its settings
    learners: Registry
    # steps by the names of their rules, and the files in rules/ that declare them
    stages: Mapping[str, Stage]
    rules: tuple[str, ...]
    # (answers of people, names of the classes, folder of masks) -> answers, as `ask` has them; None where nobody can be asked
    told: Callable | None = None
    told_as: str = "label"  # the field of an answer that a label is in (`dagal.labeling.answers`)
    # (such answers, their ids, ids that were asked for, number of images) -> data sets of the truth that holds them
    known: Callable | None = None
    # steps that a study has where a person labels, instead of or besides those above
    by_person: Mapping[str, Stage] = field(default_factory=dict)
    rules_by_person: tuple[str, ...] = ()  # the files that declare those besides
    # (settings of a method, the study's settings) -> (kind of file, data set) of signals that are read besides those of score and selector
    reads_besides: Callable = lambda method, settings: []
    # those of the measures that say what the labels have cost, besides their number
    costs: tuple[str, ...] = ()
    # (settings of a method, kind of signal) -> the file's name without ending
    file_of: Callable = lambda method, kind: kind

    @property
    def labeled(self) -> Kind:
        """labeled.h5: grows by appending, in the order in which the labels came."""
        ids = {"ids": "labeled ids (L,) in the order in which they were labeled"}
        cycle = {"cycle": "cycle in which each id was labeled (L,), 0 = initial set"}
        unanswered = {
            "unanswered": "ids that people were asked for and gave no label to (U,), in that order; only where a person labels",
            "unanswered_cycle": "cycle in which each of these was asked for (U,)",
        }
        return Kind("labeled", 1, ids | dict(self.answer) | cycle | unanswered)


def learner(study, at) -> dict:
    """`Stage.settings` of a job of a node's learner."""
    return {"learner": study.training_settings(at.node)}


def threads(study, at) -> int:
    """`Stage.threads` of a job of a node's learner."""
    return study.learner_of(at.node)["threads"]


def gpu(study, at) -> int:
    """`Stage.gpu` of a job of a node's learner."""
    return 0 if study.learner_of(at.node)["device"] == "cpu" else 1


def find(name: str) -> Task:
    """The task of that name. Raises KeyError."""
    return TASKS.find(name)
