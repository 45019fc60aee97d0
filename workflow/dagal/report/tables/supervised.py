"""metrics.json of the supervised baselines -> supervised.csv, a row per learner, size and seed."""

from dagal import artifacts
from dagal.report.item import Item


def make(job):
    params = job.params
    rows = []
    for (learner, size, seed), path in zip(params.baselines, job.input.nodes, strict=True):
        found = artifacts.read_json(path)
        rows.append([params.study, learner, size, seed, found["labels"], *(found[name] for name in params.measured)])
    artifacts.write_csv(job.output.supervised, ["study", "learner", "size", "seed", "labels", *params.measured], rows)


ITEM = Item(
    make=make,
    reads=lambda study, at: {"nodes": [study.path(node, "metrics") for node in study.supervised()]},
    writes={"supervised": "{results}/supervised.csv"},
    settings=lambda study, at: {
        "study": study.name,
        "baselines": [(node.branch.learner, node.branch.size, node.seed) for node in study.supervised()],
        "measured": list(study.measures),
    },
    when=lambda study: bool(study.supervised()),
    caption="""
    Models trained on labels that were drawn at random from pool and initial set, by the same settings as the methods: what the
    same number of labels gives without active learning (``size`` all: what all labels give).
    """,
    category="Tables",
    labels={"supervised": "supervised baselines"},
)
