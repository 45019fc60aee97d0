"""Scores (and what else the selector reads) -> the ids to be labeled, in order of choice."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from job import start

from dagal import artifacts
from dagal.acquisition import methods
from dagal.balance import required_per_class
from dagal.errors import UserError
from dagal.seeding import generator

origin = start(snakemake)
source, params = snakemake.input, snakemake.params
seed, cycle = int(snakemake.wildcards.seed), int(snakemake.wildcards.cycle)
candidates, score_N = artifacts.read(source.scores, "scores", "ids", "score")
if params.budget > len(candidates):
    raise UserError(f"budget {params.budget} is larger than the {len(candidates)} candidates left in cycle {cycle}.")

labels, labeled_in = artifacts.read(source.labeled, "labeled", "labels", "cycle")
n_classes = len(artifacts.attributes(source.labeled, "labeled")["class_names"])
counts_C = np.bincount(labels, minlength=n_classes)
function = methods.find("select", params.select)
context = {
    "score_N": score_N,
    "n_candidates": len(candidates),
    "n_classes": n_classes,
    "budget": params.budget,
    "cycle": cycle,
    "rng": generator(seed, "select", cycle),
    "required_C": required_per_class(counts_C, params.budget, int(np.sum(labeled_in == 0)), cycle),
}
options = dict(params.options)
if options.get("weight") == "auto":
    options["weight"] = json.loads(Path(source.weight).read_text())["weight"]
selected = function(**methods.gather(function, source, candidates, context), **options)
# a selector may return a dataclass: the positions first, then what it certifies (a bound, a radius)
certificate = dataclasses.asdict(selected) if dataclasses.is_dataclass(selected) else {"positions": selected}
positions = np.asarray(certificate.pop("positions"), np.int64)
if len(positions) != params.budget or len(np.unique(positions)) != len(positions):
    raise UserError(f"selector {params.select!r} did not return {params.budget} different positions.")
data = {"ids": candidates[positions], "score": score_N[positions]}
artifacts.write(snakemake.output[0], "query", origin, data, **options, **certificate)
found = ", ".join(f"{name} {value:.6g}" for name, value in certificate.items())
print(f"{len(positions):,} of {len(candidates):,} candidates{': ' if found else ''}{found}")
