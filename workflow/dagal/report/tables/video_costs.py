"""Benchmark files -> seconds per 1,000 frames of each stage that sees all training frames."""

import csv
from pathlib import Path

from dagal import artifacts
from dagal.report.item import Item
from dagal.report.temporal_coherence import shards, trackers


def make(job):
    source = job.input
    (split_N,) = artifacts.read(source.images, "images", "split")
    n_training, n_frames = int((split_N == 0).sum()), len(split_N)
    first = "rendering" if job.params.rendered else "reading"
    rows = [[first, n_frames, 1, seconds([source.dataset]) / n_frames * 1000]]
    rows.append(["optical flow", n_training, 1, seconds(source.flow) / n_training * 1000])
    with Path(source.costs).open() as file:
        costs = list(csv.DictReader(file))
    of_signals = ("detections", "tracks", "coherence", "errors")
    for rule in sorted({row["rule"] for row in costs if row["rule"].startswith(of_signals)}):
        times = [float(row["seconds"]) for row in costs if row["rule"] == rule]
        rows.append([rule, n_training, len(times), sum(times) / len(times) / n_training * 1000])
    artifacts.write_csv(job.output.video_costs, ["stage", "frames", "jobs", "seconds_per_1000_frames"], rows)
    for stage, frames, jobs, cost in rows:
        print(f"{stage}: {cost:.2f} s per 1,000 frames ({frames:,} frames, mean of {jobs} jobs)")


def seconds(paths):
    """Wall time of the jobs with these benchmark files."""
    return sum(float(next(csv.DictReader(Path(path).open(), delimiter="\t"))["s"]) for path in paths)


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "images": study.clean_images,
        "dataset": f"{study.dataset}/dataset.benchmark.tsv",
        "flow": shards(study, study.settings["video"]["flow"], "benchmark.tsv"),
        "costs": study.table("costs"),
    },
    writes={"video_costs": "{results}/video_costs.csv"},
    settings=lambda study, at: {"rendered": study.rendered},
    when=lambda study: bool(trackers(study)),
    caption="""
    Seconds of wall time per 1,000 frames of each stage that goes through all training frames. Rendering uses several cores.
    """,
    category="Tables",
    labels={"video_costs": "seconds per 1,000 frames"},
)
