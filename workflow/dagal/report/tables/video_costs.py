"""Benchmark files -> seconds per 1,000 frames of each stage that sees all training frames."""

from dagal import artifacts
from dagal.report.item import Item
from dagal.report.temporal_coherence import shards, trackers


def make(job):
    source = job.input
    (split_N,) = artifacts.read(source.images, "images", "split")
    n_training, n_frames = int((split_N == 0).sum()), len(split_N)
    first = "rendering" if job.params.rendered else "reading"
    rows = [[first, n_frames, 1, *shares(list(map(measured, [source.dataset])), n_frames)]]
    rows.append(["optical flow", n_training, 1, *shares(list(map(measured, source.flow)), n_training)])
    costs = artifacts.read_csv(source.costs)
    of_signals = ("detections", "tracks", "coherence", "errors")
    for rule in sorted({row["rule"] for row in costs if row["rule"].startswith(of_signals)}):
        jobs = [(row["seconds"], row["startup_seconds"]) for row in costs if row["rule"] == rule]
        rows.append([rule, n_training, len(jobs), *(value / len(jobs) for value in shares(jobs, n_training))])
    header = ["stage", "frames", "jobs", "startup_seconds", "seconds_per_1000_frames"]
    artifacts.write_csv(job.output.video_costs, header, rows)
    for stage, frames, jobs, start, cost in rows:
        print(f"{stage}: {start:.2f} s + {cost:.2f} s per 1,000 frames ({frames:,} frames, mean of {jobs} jobs)")


def measured(path: str) -> tuple[str, str]:
    """Seconds of a job and of its start, as its benchmark file has them."""
    row = artifacts.read_costs(path)
    return row["s"], row["startup_s"]


def shares(jobs: list[tuple[str, str]], frames: int) -> tuple[float, float]:
    """Seconds that jobs took to start, and beyond that per 1,000 frames; a start that is not known counts as none."""
    known = [(float(seconds), 0.0 if start in ("", "NA") else float(start)) for seconds, start in jobs]
    total, start = map(sum, zip(*known, strict=True))
    return start, (total - start) / frames * 1000


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
    Seconds of wall time of each stage that goes through all training frames: of the start of its jobs, and per 1,000 frames
    beyond that. Rendering uses several cores.
    """,
    category="Tables",
    labels={"video_costs": "seconds per 1,000 frames"},
)
