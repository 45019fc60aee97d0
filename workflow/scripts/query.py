"""Scores (and what else the selector reads) -> the ids to be labeled, in order of choice.

Of a pool in shards: first the ids that are chosen from each of them, then from these.
"""

import numpy as np
from job import start

from dagal import artifacts
from dagal.acquisition import methods
from dagal.errors import UserError
from dagal.pool import part_of
from dagal.query_table import query_table
from dagal.seeding import generator

job = start()
job.ready()
source, params = job.input, job.params
seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
candidates, score_N = artifacts.read(source.scores, "scores", "ids", "score")
purpose, shard, parts = ["select", cycle], job.wildcards.get("shard"), source.get("shards")
with artifacts.opened(
    source.labeled, "labeled"
) as file:  # images of the last query that nobody could name are made up for
    in_vain = np.sum(file["unanswered_cycle"][()] == cycle - 1) if "unanswered_cycle" in file else 0
budget = min(params.budget + int(in_vain), max(params.budget, len(candidates)))
if budget > len(candidates):
    raise UserError(f"budget {budget} is larger than the {len(candidates)} candidates left in cycle {cycle}.")
if shard:
    part, purpose = part_of(len(candidates), 1, int(shard), params.shards), [*purpose, "shard", int(shard)]
    candidates, score_N = candidates[part], score_N[part]
    budget = min(budget, len(candidates))
elif parts:
    chosen = np.sort(np.concatenate([artifacts.read(part, "query", "ids")[0] for part in parts]))
    candidates, score_N = chosen, score_N[np.searchsorted(candidates, chosen)]

options = dict(params.options)
if options.get("weight") == "auto":
    options["weight"] = artifacts.read_json(source.weight)["weight"]
rng = generator(seed, *purpose)
positions, certificate = methods.query(
    params.select, source, candidates, score_N, budget, cycle, rng, options, job.task
)
if parts and "radius" in certificate:  # by the triangle inequality (dagal.acquisition.covers)
    certificate["radius"] += max(artifacts.attributes(part, "query")["radius"] for part in parts)
data = {"ids": candidates[positions], "score": score_N[positions]}
given = {name: value for name, value in options.items() if value is not None}  # HDF5 knows no null
artifacts.write(job.output.query, methods.QUERY, job.origin, data, **given, **certificate)
if not shard:
    told = source.predictions, params.told_by
    columns = query_table(source.images, source.labeled, *told, data["ids"], data["score"], source.regions)
    artifacts.write_csv(job.output.table, list(columns), zip(*columns.values(), strict=True))
found = ", ".join(f"{name} {value:.6g}" for name, value in certificate.items())
print(f"{len(positions):,} of {len(candidates):,} candidates{': ' if found else ''}{found}")
