"""A study as a plan: its nodes, the path of every file, and what each stage of a node reads. No Snakemake, no file is opened."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

from dagal import tasks
from dagal.acquisition import methods
from dagal.labeling import by_person
from dagal.learners import LATER_SETTINGS
from dagal.plan import stages
from dagal.report import registry
from dagal.tasks import Stage, needs

# where things are; a pattern of a stage begins with one of these
PLACES = {
    "results": "results/{study}",
    "dataset": "results/datasets/{dataset}",
    "source": "results/datasets/{source}",
    "seed_folder": "results/{study}/seed{seed}",
    "node": "results/{study}/seed{seed}/{branch}/cycle{cycle}",
    "start": "results/{study}/seed{seed}/start-{learner}/cycle0",
    "supervised": "results/{study}/seed{seed}/supervised{size}-{learner}/cycle0",
    "regions": "results/datasets/{dataset}/regions_{regions}",
    "flow": "results/datasets/{dataset}/flow_{flow}_stride{stride}/{shard}of{shards}",
}
# kind of file of a node -> its name
FILES = {
    "labeled": "labeled.h5",
    "model": "model.safetensors",
    "history": "history.h5",
    "predictions": "predictions.h5",
    "signals": "signals.h5",
    "scores": "scores.h5",
    "query": "query.h5",
    "metrics": "metrics.json",
    "stopping": "stopping.json",
    "pseudo_labels": "pseudo_labels.h5",
    "detections": "detections.h5",
}

# patterns of the wildcards
WILDCARDS = {
    "adversary": r"\w+",
    "backbone": r"\w+(-seed\d+)?",
    "branch": r"\w+(-\w+)?",
    "cycle": r"\d+",
    "flow": r"dis|raft|true",
    "learner": r"\w+",
    "member": r"[1-9]\d*",
    "method": r"\w+",
    "repeat": r"[1-9]\d*",
    "seed": r"\d+",
    "shard": r"\d+",
    "size": r"\d+|all",
    "source": r"\w+",
    "tracker": r"flow|feature_correlation|siamfc|true_flow",
}


@dataclass(frozen=True)
class Branch:
    """A line of nodes: the cycles of a ``method``; the ``start`` (cycle 0) that all methods of a learner share; a ``supervised`` baseline."""

    kind: str
    learner: str
    method: str | None = None
    size: int | str | None = None  # labels of a supervised baseline, or "all"

    @property
    def name(self) -> str:
        """Its folder."""
        folders = {"method": self.method, "start": f"start-{self.learner}"}
        return folders.get(self.kind) or f"supervised{self.size}-{self.learner}"


@dataclass(frozen=True)
class Node:
    """One model: what is trained in a cycle of a branch, for one seed, and all that is computed from it."""

    seed: int
    branch: Branch
    cycle: int


class At(SimpleNamespace):
    """Where a job stands: its wildcards, with ``seed`` as a number (the study's first one where there is none) and ``node``, if it has one."""


class Study:
    """The plan of the study that checked ``settings`` describe (`dagal.config.load`).

    The methods of a seed and learner share the node of cycle 0; every other node belongs to one method.
    """

    def __init__(self, settings: dict):
        self.settings = settings
        self.name = settings["study"]
        self.task = tasks.find(settings["task"])
        self.by_person = by_person(settings)
        # where a person labels, the splits tell which of these sets there are (`dagal.plan.waiting`)
        self.held_out = settings.get("held_out", {"test": True, "validation": True})
        self.measures = self.task.measures
        if self.by_person and not self.held_out["test"]:
            self.measures = (self.task.without_test, *self.task.measures)
        self.steps = (
            stages.STAGES
            | dict(self.task.stages)
            | (stages.BY_PERSON | dict(self.task.by_person) if self.by_person else {})
        )
        self.seeds = settings["seeds"]
        self.cycles = range(settings["cycles"] + 1)
        self.methods = settings["methods"]
        used = dict.fromkeys(method["learner"] for method in self.methods.values())
        self.learners = {name: settings["learners"][name] for name in used}
        named = (learner.get(key) for learner in self.learners.values() for key in ("backbone", "starts_from"))
        backbones = dict.fromkeys(filter(None, named))
        self.backbones = {name: settings["backbones"][name] for name in backbones}
        self.stopping = any(settings["stopping"].values())
        self.branches = {branch.name: branch for branch in self._branches()}
        loader = settings["dataset"]["loader"]
        self.auto_weight = [name for name, one in self.methods.items() if one["select_options"].get("weight") == "auto"]
        self.rendered = loader == "synthia_al"
        # labeled data sets that embeddings are learnt on; none is the study's own
        sources = [one["source"] for one in self.backbones.values() if one.get("source")]
        self.sources = {source_name(source): source for source in sources}

    def _branches(self):
        for learner in self.learners:
            yield Branch("start", learner)
            for size in self.settings["supervised"]:
                yield Branch("supervised", learner, size=size)
        for name, method in self.methods.items():
            yield Branch("method", method["learner"], name)

    @functools.cached_property
    def report(self) -> dict[str, Stage]:
        """The tables and figures that the study has, in the order of the report."""
        return {name: report_stage(item) for name, item in registry.items(self).items()}

    @property
    def targets(self) -> list[str]:
        """What a run is asked for: its tables and figures, and the measures of all its models."""
        models = [self.path(node, "metrics") for node in [*self.nodes(), *self.supervised()]]
        return [*registry.targets(self), *models]

    @property
    def stages(self) -> dict[str, Stage]:
        """Every stage by the name of its rule."""
        return self.steps | self.report

    def stage(self, name: str) -> Stage:
        return self.steps[name] if name in self.steps else report_stage(registry.ITEMS.find(name))

    # ------------------------------------------------------------------------------------------------------- nodes

    def node(self, seed: int, method: str, cycle: int) -> Node:
        """The node of a method's model in a cycle: at cycle 0 the start that it shares with the methods of its learner."""
        learner = self.methods[method]["learner"]
        return Node(seed, self.branches[method if cycle else f"start-{learner}"], cycle)

    def parent(self, node: Node) -> Node | None:
        """The node of the cycle before, whose model a query of this one reads; None at a start or a baseline."""
        return self.node(node.seed, node.branch.method, node.cycle - 1) if node.branch.kind == "method" else None

    def nodes(self) -> list[Node]:
        """Every node of the chains of all methods, the shared ones once."""
        found = [
            self.node(seed, method, cycle) for seed in self.seeds for method in self.methods for cycle in self.cycles
        ]
        return list(dict.fromkeys(found))

    def supervised(self) -> list[Node]:
        """The nodes of the supervised baselines: one model for each learner, size and seed."""
        baselines = [branch for branch in self.branches.values() if branch.kind == "supervised"]
        return [Node(seed, branch, 0) for branch in baselines for seed in self.seeds]

    def repeats(self) -> list[str]:
        """What the last models of all chains predict when they are trained once more."""
        last = [self.node(seed, method, self.cycles[-1]) for method in self.methods for seed in self.seeds]
        return [self.file(node, f"repeat{k}.h5") for node in last for k in range(1, self.settings["repeats"] + 1)]

    def at(self, wildcards: Mapping) -> At:
        """Where a job with these wildcards stands."""
        found = At(**wildcards)
        found.seed = int(wildcards.get("seed", self.seeds[0]))
        if "backbone" in wildcards:  # with the seed that it is trained for, if it is one for each
            found.backbone, _, seed = wildcards["backbone"].partition("-seed")
            found.seed = int(seed or found.seed)
        found.node = None
        if "branch" in wildcards:
            found.node = Node(found.seed, self.branches[wildcards["branch"]], int(wildcards["cycle"]))
        return found

    # ------------------------------------------------------------------------------------------------------- paths

    @functools.cached_property
    def places(self) -> dict[str, str]:
        """Patterns of `PLACES`, with braces around what is left to wildcards."""
        video = self.settings["video"]
        known = {"study": self.name, "dataset": self.settings["dataset"]["name"]}
        known |= {"regions": regions_name(self.settings["regions"])}
        known |= {"stride": video["flow_stride"], "shards": video["shards"]}
        places = {name: fill(pattern, known) for name, pattern in PLACES.items()}
        images = places["dataset"] if self.settings["pool"]["noise"]["kind"] == "none" else places["seed_folder"]
        return places | {"backbone": f"{images}/backbones/{{backbone}}"}

    def pattern(self, pattern: str, **wildcards) -> str:
        """A pattern that begins with a place, with the given wildcards filled in and the others in braces."""
        place, _, rest = pattern.removeprefix("{").partition("}")
        return fill(self.places[place] + rest, wildcards)

    @property
    def results(self) -> str:
        return self.places["results"]

    @property
    def dataset(self) -> str:
        return self.places["dataset"]

    @property
    def truth(self) -> str:
        return f"{self.dataset}/truth.h5"

    @property
    def clean_images(self) -> str:
        """The images of the data set, without the noise of a pool."""
        return f"{self.dataset}/images.h5"

    def images(self, seed: int) -> str:
        """The images that a seed's models see: with noise in the pool, every seed has images of its own."""
        noise = self.settings["pool"]["noise"]["kind"] != "none"
        return f"{self.seed_folder(seed)}/images.h5" if noise else self.clean_images

    @property
    def regions(self) -> str | list:
        """The regions of images that are asked for; nothing where whole images are."""
        return f"{self.places['regions']}/regions.h5" if self.settings["regions"] else []

    def seed_folder(self, seed: int) -> str:
        return f"{self.results}/seed{seed}"

    def split(self, seed: int) -> str:
        return f"{self.seed_folder(seed)}/split.h5"

    def answers(self, at: "Node | int", purpose: str = "query") -> str:
        """The file of the answers to a query, or to the ``initial`` or ``test`` set of a seed: written when the last one is there."""
        return self.file(at, "answers.json") if purpose == "query" else f"{self.seed_folder(at)}/{purpose}_answers.json"

    def told(self, seed: int) -> str:
        """The truth, as far as people told it, about the test and the validation set of a seed."""
        return f"{self.seed_folder(seed)}/told.h5"

    def stop_set(self, seed: int) -> str:
        return f"{self.seed_folder(seed)}/stop_set.h5"

    def folder(self, node: Node) -> str:
        return f"{self.results}/seed{node.seed}/{node.branch.name}/cycle{node.cycle}"

    def file(self, node: Node, name: str) -> str:
        """Any file in a node's folder."""
        return f"{self.folder(node)}/{name}"

    def path(self, node: Node, kind: str) -> str:
        """The file of a node of a kind of `FILES`."""
        return self.file(node, FILES[kind])

    def table(self, name: str) -> str:
        return f"{self.results}/{name}.csv"

    def backbone(self, at: At) -> str:
        """Folder of a backbone: of the study's own where its pool has noise, else shared by all studies of the data set."""
        name = f"{at.backbone}-seed{at.seed}" if self.is_per_seed(at.backbone) else at.backbone
        return fill(self.places["backbone"], {"backbone": name, "seed": at.seed})

    def is_per_seed(self, backbone: str) -> bool:
        """Whether a backbone is trained once for each seed."""
        return self.backbones[backbone].get("per_seed", False)

    def source_folder(self, source: dict) -> str:
        return fill(self.places["source"], {"source": source_name(source)})

    # ---------------------------------------------------------------------------------------------------- learners

    def backbones_of(self, *kinds: str) -> list[str]:
        """Names of the backbones of these kinds that a learner of the study uses."""
        return [name for name, settings in self.backbones.items() if settings["kind"] in kinds]

    def learner_of(self, node: Node) -> dict:
        """All settings of a node's learner; a supervised baseline learns from labels alone."""
        settings = self.settings["learners"][node.branch.learner]
        if node.branch.kind != "supervised":
            return settings
        return settings | dict.fromkeys(settings.keys() & {"pseudo_labels", "fixmatch"})

    def training_settings(self, node: Node) -> dict:
        """Settings that the training of a node depends on.

        Where the job runs does not belong to them, nor what it sees (an input), nor what only other nodes of the branch do. A key
        that came later is left out where it changes nothing, so that it does not rerun what is finished.
        """
        apart = ("device", "backbone", "starts_from", "finetune_every")
        settings = {
            key: value
            for key, value in self.learner_of(node).items()
            if key not in apart and not (key in LATER_SETTINGS and value == LATER_SETTINGS[key])
        }
        settings["weights"] = self.weights(node) or None
        if prediction := settings.get("loss_prediction"):  # its later key
            settings["loss_prediction"] = {key: value for key, value in prediction.items() if value is not None}
        if node.branch.kind != "method" and "warm_start" in settings:
            settings["warm_start"] = False
        if not self.has_pseudo_labels(node) and "pseudo_labels" in settings:
            settings["pseudo_labels"] = None
        return settings

    def weights(self, node: Node) -> str | list:
        """The file of weights that a node's learner starts from, if any: those of a backbone of the study, or the user's."""
        settings = self.learner_of(node)
        if not settings.get("starts_from"):
            return settings["weights"] or []
        return self.weights_of_backbone(At(backbone=settings["starts_from"], seed=node.seed))

    def weights_of_backbone(self, at: At) -> str:
        """The file of a backbone's weights: the user's, or what its pre-training writes."""
        settings = self.backbones[at.backbone]
        return settings["weights"] if settings["kind"] == "file" else f"{self.backbone(at)}/backbone.safetensors"

    def warm_start(self, node: Node, file: str) -> str | list:
        """The file of the previous cycle's node that a warm start goes on from, if the learner does."""
        return self.file(self.parent(node), file) if self.training_settings(node).get("warm_start") else []

    def learner_input(self, node: Node) -> str:
        """What a node's learner sees: the images, or their features by its backbone."""
        if not self.learner_of(node).get("backbone"):
            return self.images(node.seed)
        return f"{self.newest_backbone(node, node.cycle)}/features.h5"

    def newest_backbone(self, node: Node, last: int) -> str:
        """Folder of a branch's backbone at cycle ``last``: of the node that fine-tuned it last, else its first one."""
        for cycle in range(last, -1, -1):
            one = (
                self.node(node.seed, node.branch.method, cycle)
                if node.branch.method
                else Node(node.seed, node.branch, 0)
            )
            if self.is_finetuned(one):
                return self.folder(one)
        return self.backbone(At(backbone=self.learner_of(node)["backbone"], seed=node.seed))

    def is_finetuned(self, node: Node) -> bool:
        """Whether a node trains its backbone further: its number of labels has reached a multiple of finetune_every."""
        every = self.learner_of(node).get("finetune_every")
        if not every or node.branch.kind == "supervised":
            return False
        budget = self.settings["budget"]
        labels = self.settings["pool"]["initial"]["size"] + node.cycle * budget
        return labels // every > ((labels - budget) // every if node.cycle else 0)

    def is_two_model(self, branch: Branch) -> bool:
        """Whether a branch follows the two-model framework (003 sec. 3.5)."""
        settings = self.learner_of(Node(0, branch, 0)).get("pseudo_labels")
        return bool(settings) and settings["kind"] == "two_model"

    def has_pseudo_labels(self, node: Node) -> bool:
        """Whether a model is trained on pseudo-labels; CEAL takes them from the previous cycle's model, so its first has none."""
        given = bool(self.learner_of(node).get("pseudo_labels"))
        return self.is_two_model(node.branch) or (node.cycle > 0 and given)

    # --------------------------------------------------------------------------------------------- what methods read

    @functools.cache  # noqa: B019  one study a process
    def signals(self, method: str) -> list[tuple[str, str]]:
        """(kind of file, data set) of every signal that a method reads, its adversary's training included."""
        settings = self.methods[method]
        found = methods.signals(settings, self.task)
        return sorted({*found, *self.task.reads_besides(settings, self.settings)})

    @functools.cache  # noqa: B019
    def signal_kinds(self, method: str) -> set[str]:
        """Kinds of files that the score and the selector of a method read."""
        return {kind for kind, _ in methods.signals(self.methods[method], self.task)}

    def asked_by(self, node: Node) -> list[str]:
        """The methods whose queries read what a node's model tells: at a start all of its learner, at a baseline none."""
        if node.branch.kind == "start":
            return [name for name, method in self.methods.items() if method["learner"] == node.branch.learner]
        return [node.branch.method] if node.branch.method else []

    def signal_file(self, method: str, kind: str) -> str:
        """Name, without ending, of the file behind a kind of signal of a method."""
        return self.task.file_of(self.methods[method], kind)

    def deployable(self, method: str) -> bool:
        """Whether a method can be used without the hidden labels; one that takes over queries, if those can."""
        asking = self.methods[method].get("transfer") or method
        return not self.signal_kinds(asking) & self.task.sealed

    def overview(self) -> dict[str, dict]:
        """Learner of each method, and whether it is deployable."""
        return {
            method: {"learner": settings["learner"], "deployable": self.deployable(method)}
            for method, settings in self.methods.items()
        }

    @functools.cache  # noqa: B019
    def _kinds(self, part: str, function: str) -> list[str]:
        """Kinds of files that a score or selector reads."""
        arguments = methods.inputs(methods.find(part, function, self.task))
        return sorted({self.task.signals[argument][0] for argument in arguments if argument in self.task.signals})

    def signal_files(self, node: Node, part: str) -> dict[str, str]:
        """What the score or the selector of a node's method reads: files of the parent's, and of the data set."""
        method, parent = node.branch.method, self.parent(node)
        found = {"labeled": self.path(parent, "labeled")}
        for kind in self._kinds(part, self.methods[method][part]):
            if kind in ("truth", "images"):
                found[kind] = f"{self.dataset}/{kind}.h5"
            elif kind == "query":  # of the method whose queries this one takes over
                found[kind] = self.path(self.node(node.seed, self.methods[method]["transfer"], node.cycle), kind)
            else:
                found[kind] = self.file(parent, f"{self.signal_file(method, kind)}.h5")
        if part == "select" and method in self.auto_weight:
            found["weight"] = f"{self.results}/lambda/{method}.json"
        return found

    def looked_up(self, part: str, function: str) -> list:
        """What a job finds by the name of a score or selector: the function, and the signals behind its arguments."""
        found = methods.find(part, function, self.task)
        arguments = [argument for argument in methods.inputs(found) if argument in self.task.signals]
        return [found, *(signal for argument in arguments for signal in self.looked_up_signal(argument))]

    def looked_up_signal(self, argument: str) -> list:
        return [[argument, *self.task.signals[argument]]]

    # ---------------------------------------------------------------------------------------------------- stopping

    def stop_records(self) -> list[str]:
        """stopping.json of every node: which of them a table has to leave out."""
        return [self.path(node, "stopping") for node in self.nodes()] if self.stopping else []

    def stop_record(self, stage: str, at: At) -> str | None:
        """The stopping.json that decides whether a job has anything to do; None where chains do not stop, or where it has in any case.

        The lambda study takes the first query of the first seed even of a chain that stops before it.
        """
        whose = self.stage(stage).stopped_by
        if not self.stopping or not whose or (whose == "before" and at.node.branch.kind != "method"):
            return None
        if at.seed == self.seeds[0] and self._in_lambda_study(stage, at.node):
            return None
        return self.path(at.node if whose == "here" else self.parent(at.node), "stopping")

    def _in_lambda_study(self, stage: str, node: Node) -> bool:
        if node.branch.kind == "start":
            return any(method in self.auto_weight for method in self.asked_by(node))
        return stage == "score" and node.cycle == 1 and node.branch.method in self.auto_weight


def report_stage(item) -> Stage:
    """A table or figure (`dagal.report.item.Item`) as a step of the DAG."""
    return Stage(
        "report",
        item.writes,
        item.reads,
        item.settings,
        lambda study, at: [item.make],
        writes_besides=item.writes_besides,
        environment=item.environment,
        needs=needs.report,
    )


def fill(pattern: str, known: Mapping) -> str:
    """A pattern with the known wildcards filled in and the others left in braces."""
    for name, value in known.items():
        pattern = pattern.replace(f"{{{name}}}", str(value))
    return pattern


def source_name(source: dict) -> str:
    """A source takes the size of the study's images: the plain name is left to studies on the source itself, in their size."""
    size = [f"{source['image_size']}px"] if source["image_size"] else []
    return "_".join([source["name"], *size, *(["gray"] if source["grayscale"] else [])])


def regions_name(regions: dict | None) -> str:
    """Regions of one kind and size are shared by all studies of a data set."""
    if not regions:
        return "none"
    sizes = {"grid": ("rows", "columns"), "superpixels": ("number", "compactness")}[regions["kind"]]
    return "_".join([regions["kind"], *(f"{regions[size]:g}" for size in sizes)])
