"""Features of a backbone -> places in a plane (t-SNE) of some images of the pool and of what each method asked for first."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item, classifies
from dagal.seeding import generator, seed_for
from dagal.stopping import last_cycles, passed_through

POOL, QUERIED = 1000, 50  # images, and of each query


def make(job):
    source, seed = job.input, job.params.seed
    (labels_N,) = artifacts.read(source.truth, "truth", "labels")
    names = artifacts.attributes(source.truth, "truth")["class_names"]
    (pool,) = artifacts.read(source.split, "split", "pool")
    shown = {"pool": np.sort(generator(seed, "projection").permutation(pool)[:POOL])}
    last_cycle = last_cycles(source.stop_records)
    for path in source.queries:
        _, method, cycle = artifacts.node(path)
        if not passed_through(last_cycle, seed, method, cycle):
            shown[method] = artifacts.read(path, "query", "ids")[0][:QUERIED]
    ids = np.unique(np.concatenate(list(shown.values())))
    with artifacts.opened(source.features, "features") as file:
        places_n_2 = plane(artifacts.rows(file["features"], ids), seed_for(seed, "t-SNE") % 2**32)
    rows = []
    for kind, members in shown.items():
        at = places_n_2[np.searchsorted(ids, members)]
        rows += [[kind, *place, names[label]] for place, label in zip(at, labels_N[members], strict=True)]
    artifacts.write_csv(job.output.projection, ["kind", "x", "y", "class_name"], rows)


def plane(features_n_D: np.ndarray, seed: int) -> np.ndarray:
    """Places (n,2) of points whose neighbours stay near (t-SNE, van der Maaten and Hinton 2008), from their principal components."""
    from sklearn.manifold import TSNE

    n = len(features_n_D)
    perplexity = min(30, (n - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(features_n_D)


def methods(study) -> list[str]:
    """The methods of the first learner on a backbone."""
    learner = next((name for name, about in study.learners.items() if about.get("backbone")), None)
    return [name for name, about in study.methods.items() if about["learner"] == learner]


def reads(study, at):
    seed, names = study.seeds[0], methods(study)
    return {
        "features": study.learner_input(study.node(seed, names[0], 0)),
        "split": study.split(seed),
        "truth": study.truth,
        "queries": [study.path(study.node(seed, name, 1), "query") for name in names],
        "stop_records": study.stop_records(),
    }


ITEM = Item(
    make=make,
    reads=reads,
    writes={"projection": "{results}/projection.csv"},
    settings=lambda study, at: {"seed": study.seeds[0]},
    when=lambda study: classifies(study) and bool(methods(study)),
)
