"""Rendered road scenes like SYNTHIA-AL (003 sec. 2.4) -> images.h5 and truth.h5."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from dagal import artifacts
from dagal.datasets.rendering import render
from dagal.datasets.source import IMAGES, TRUTH, write_names
from dagal.pace import Reporter


def n_training_frames(settings: dict) -> int:
    """Frames of the training videos, known without rendering any."""
    return sum(clip.n_frames for clip in render.plan(settings) if clip.split == 0)


@dataclass(frozen=True)
class Rendered:
    """Videos that are rendered when they are written."""

    def write(self, settings: dict, images_path, truth_path, origin: dict, workers: int) -> None:
        """Write images.h5 and truth.h5."""
        prepare(settings, images_path, truth_path, origin, workers)


def synthia_al(settings: dict) -> Rendered:
    """Road scenes, rendered: there is nothing to read."""
    return Rendered()


def prepare(settings: dict, images_path, truth_path, origin: dict, workers: int) -> None:
    """Render all videos in ``workers`` processes; the bytes do not depend on their number.

    Memory: the frames of workers + 1 videos.
    """
    clips = render.plan(settings)
    height, width, fps = settings["height"], settings["width"], settings["fps"]
    lengths = np.array([clip.n_frames for clip in clips])
    first, n_frames, annotated = 0, int(lengths.sum()), []
    report = Reporter(n_frames, "frames")
    with artifacts.create(images_path, IMAGES, origin) as writer:
        write_names(writer, "video_names", [clip.name for clip in clips])
        frame_N = np.concatenate([np.arange(length) for length in lengths])
        for name, values, dtype in (
            ("split", np.repeat([clip.split for clip in clips], lengths), np.uint8),
            ("video", np.repeat(np.arange(len(clips)), lengths), np.int64),
            ("frame", frame_N, np.int64),
        ):
            writer.dataset(name, (n_frames,), dtype)[...] = values
        images = writer.dataset("images", (n_frames, height, width, 3), np.uint8)
        jobs = [(clip, height, width, fps) for clip in clips]
        for video, annotation in in_turn(_render, jobs, workers):
            images[first : first + len(video)] = video
            annotated += annotation
            first += len(video)
            report(first)
    boxes, labels, tracks = (list(column) for column in zip(*annotated, strict=True))
    offsets = np.concatenate([[0], np.cumsum([len(frame) for frame in labels])])
    data = {"boxes": np.concatenate(boxes), "box_labels": np.concatenate(labels), "tracks": np.concatenate(tracks)}
    artifacts.write(truth_path, TRUTH, origin, data | {"offsets": offsets}, class_names=list(render.CLASSES))
    print(f"rendered {n_frames:,} frames of {len(clips)} videos with {offsets[-1]:,} boxes")


def in_turn(render: Callable, jobs: Iterable, workers: int) -> Iterator:
    """What ``render`` makes of each job, in their order, by ``workers`` processes."""
    if workers == 1:
        yield from map(render, jobs)
        return
    jobs = iter(jobs)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        waiting = [pool.submit(render, job) for job in islice(jobs, workers + 1)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(render, job) for job in islice(jobs, 1)]


def _render(job) -> tuple[np.ndarray, list]:
    clip, height, width, fps = job
    images, annotation = np.empty((clip.n_frames, height, width, 3), np.uint8), []
    for row, frame in enumerate(render.render(clip, height, width, fps)):
        images[row] = frame.image
        annotation.append((frame.boxes, frame.labels, frame.tracks))
    return images, annotation
