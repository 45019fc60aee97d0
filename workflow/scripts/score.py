"""Signals of the parent's model -> one score per candidate, larger = query first."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.acquisition import methods
from dagal.errors import UserError
from dagal.pool import ranked, unlabeled
from dagal.seeding import generator

job = start()
source, params = job.input, job.params
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
candidates = unlabeled(source.split, source.labeled)
if source.withheld:  # the two-model framework asks among the rest (003 sec. 3.5)
    candidates = np.setdiff1d(candidates, artifacts.read(source.withheld, "pseudo_labels", "ids")[0])
candidates = ranked(candidates, params.subset * params.budget, seed, cycle)

function = methods.find("score", params.score, job.task)
job.ready()
context = {
    "n_candidates": len(candidates),
    "n_classes": len(artifacts.attributes(source.labeled, "labeled")["class_names"]),
    "cycle": cycle,
    "rng": generator(seed, "score", cycle),
}
score_N = np.asarray(
    function(**methods.gather(function, source, candidates, context, job.task), **params.options), np.float64
)
if score_N.shape != candidates.shape:
    raise UserError(f"score {params.score!r} returned shape {score_N.shape} for {len(candidates)} candidates.")
if not np.isfinite(score_N).all():
    raise UserError(
        f"score {params.score!r} returned {np.sum(~np.isfinite(score_N))} values that are not finite numbers."
    )
artifacts.write(job.output.scores, methods.SCORES, job.origin, {"ids": candidates, "score": score_N})
print(f"{len(candidates):,} candidates, score {score_N.min():.4g} to {score_N.max():.4g}")
