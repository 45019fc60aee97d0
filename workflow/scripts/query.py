"""Scores (and what else the selector reads) -> the ids to be labeled, in order of choice."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.acquisition import methods
from dagal.errors import UserError
from dagal.seeding import generator

origin = start(snakemake)
source, params = snakemake.input, snakemake.params
seed, cycle = int(snakemake.wildcards.seed), int(snakemake.wildcards.cycle)
candidates, score_N = artifacts.read(source.scores, "scores", "ids", "score")
if params.budget > len(candidates):
    raise UserError(f"budget {params.budget} is larger than the {len(candidates)} candidates left in cycle {cycle}.")

function = methods.find("select", params.select)
context = {
    "score_N": score_N,
    "n_candidates": len(candidates),
    "n_classes": len(artifacts.attributes(source.labeled, "labeled")["class_names"]),
    "budget": params.budget,
    "cycle": cycle,
    "rng": generator(seed, "select", cycle),
}
positions = np.asarray(function(**methods.gather(function, source, candidates, context), **params.options), np.int64)
if len(positions) != params.budget or len(np.unique(positions)) != len(positions):
    raise UserError(f"selector {params.select!r} did not return {params.budget} different positions.")
artifacts.write(snakemake.output[0], "query", origin, {"ids": candidates[positions], "score": score_N[positions]})
print(f"{len(positions):,} of {len(candidates):,} candidates")
