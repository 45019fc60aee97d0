"""Frames of every n-th training video -> their coarse optical flow, forward and backward."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.pace import Reporter
from dagal.tasks.detection import flow
from dagal.tasks.detection.detections import by_video

job = start()
job.ready()
params, shard = job.params, int(job.wildcards.shard)
split_N, video_N, frame_N = artifacts.read(job.input.images, "images", "split", "video", "frame")
training = np.flatnonzero((split_N == 0) & (video_N % params.shards == shard))
runs = [training[first:last] for first, last in by_video(video_N[training], frame_N[training])]  # positions of frames
n_frames = len(training)


def computed(kind):
    """Coarse flow of one video after the other by an algorithm on the images."""
    if kind == "dis":
        algorithm = flow.dis()
    else:
        from dagal.learners import devices

        algorithm = flow.raft(params.weights, devices.prepare(job.gpu, job.threads))
    for run in runs:
        yield flow.of_video((images[row] for row in run), algorithm, params.stride)


def rendered():
    """The renderer's own motion, of the pixels seen in both frames where there are any in a cell."""
    from dagal.datasets.rendering import render

    clips = render.plan(params.dataset)
    size = params.dataset["height"], params.dataset["width"], params.dataset["fps"]
    for run in runs:
        clip, nothing = clips[video_N[run[0]]], np.zeros((*grid, 2), np.float32)
        motion = [[cells(*pair) for pair in render.true_flow(clip, *size, step=step)] for step in (1, -1)]
        yield zip([*motion[0], nothing], [nothing, *motion[1]], strict=True)


def cells(motion, valid):
    seen = flow.coarse(motion, params.stride, valid)
    return np.where(np.isnan(seen), flow.coarse(motion, params.stride), seen)


with (
    artifacts.opened(job.input.images, "images") as file,
    artifacts.create(job.output.flow, flow.FLOW, job.origin) as writer,
):
    images = file["images"]
    grid = tuple(-(-n // params.stride) for n in images.shape[1:3])
    writer.dataset("ids", (n_frames,), np.int64)[...] = training
    stored = [writer.dataset(name, (n_frames, *grid, 2), np.float16) for name in ("forward", "backward")]
    row, kind, report = 0, job.wildcards.flow, Reporter(n_frames, "frames")
    for video in rendered() if kind == "true" else computed(kind):
        video = list(video)
        for dataset, motion in zip(stored, zip(*video, strict=True), strict=True):
            dataset[row : row + len(video)] = np.stack(motion)
        row += len(video)
        report(row)
