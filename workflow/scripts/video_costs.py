"""Benchmark files -> seconds per 1,000 frames of each stage that sees all training frames."""

import csv
from pathlib import Path

from job import start

from dagal import artifacts

start(snakemake)
source = snakemake.input
(split_N,) = artifacts.read(source.images, "images", "split")
n_training, n_frames = int((split_N == 0).sum()), len(split_N)


def seconds(paths):
    return sum(float(next(csv.DictReader(Path(path).open(), delimiter="\t"))["s"]) for path in paths)


rows = [
    ["rendering" if snakemake.params.rendered else "reading", n_frames, 1, seconds([source.dataset]) / n_frames * 1000]
]
rows.append(["optical flow", n_training, 1, seconds(source.flow) / n_training * 1000])
with Path(source.costs).open() as file:
    costs = list(csv.DictReader(file))
for rule in sorted(
    {row["rule"] for row in costs if row["rule"].startswith(("detections", "tracks", "coherence", "errors"))}
):
    times = [float(row["seconds"]) for row in costs if row["rule"] == rule]
    rows.append([rule, n_training, len(times), sum(times) / len(times) / n_training * 1000])
artifacts.write_csv(snakemake.output[0], ["stage", "frames", "jobs", "seconds_per_1000_frames"], rows)
for stage, frames, jobs, cost in rows:
    print(f"{stage}: {cost:.2f} s per 1,000 frames ({frames:,} frames, mean of {jobs} jobs)")
