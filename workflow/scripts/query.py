"""Scores (and what else the selector reads) -> the ids to be labeled, in order of choice."""

import json
from pathlib import Path

from job import start

from dagal import artifacts
from dagal.acquisition import methods
from dagal.errors import UserError
from dagal.seeding import generator

job = start()
job.ready()
source, params = job.input, job.params
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
candidates, score_N = artifacts.read(source.scores, "scores", "ids", "score")
if params.budget > len(candidates):
    raise UserError(f"budget {params.budget} is larger than the {len(candidates)} candidates left in cycle {cycle}.")

options = dict(params.options)
if options.get("weight") == "auto":
    options["weight"] = json.loads(Path(source.weight).read_text())["weight"]
rng = generator(seed, "select", cycle)
positions, certificate = methods.query(
    params.select, source, candidates, score_N, params.budget, cycle, rng, options, job.task
)
data = {"ids": candidates[positions], "score": score_N[positions]}
given = {name: value for name, value in options.items() if value is not None}  # HDF5 knows no null
artifacts.write(job.output.query, methods.QUERY, job.origin, data, **given, **certificate)
found = ", ".join(f"{name} {value:.6g}" for name, value in certificate.items())
print(f"{len(positions):,} of {len(candidates):,} candidates{': ' if found else ''}{found}")
