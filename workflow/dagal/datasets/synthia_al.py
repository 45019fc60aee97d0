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

PIXELS = {"masks": np.uint8, "instances": np.uint16, "depth": np.uint16}  # what there is of every pixel, see `TRUTH`


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

    Memory: the frames of workers + 1 videos, and what is asked for of their pixels.
    """
    clips, kinds = render.plan(settings), settings.get("per_pixel") or ()
    height, width, fps = settings["height"], settings["width"], settings["fps"]
    names = {"class_names": list(render.CLASSES)} | (
        {"pixel_classes": list(render.SEGMENTS)} if "masks" in kinds else {}
    )
    lengths = np.array([clip.n_frames for clip in clips])
    first, n_frames, annotated = 0, int(lengths.sum()), []
    report = Reporter(n_frames, "frames")
    with (
        artifacts.create(images_path, IMAGES, origin) as writer,
        artifacts.create(truth_path, TRUTH, origin, **names) as truth,
    ):
        write_names(writer, "video_names", [clip.name for clip in clips])
        frame_N = np.concatenate([np.arange(length) for length in lengths])
        for name, values, dtype in (
            ("split", np.repeat([clip.split for clip in clips], lengths), np.uint8),
            ("video", np.repeat(np.arange(len(clips)), lengths), np.int64),
            ("frame", frame_N, np.int64),
        ):
            writer.dataset(name, (n_frames,), dtype)[...] = values
        images = writer.dataset("images", (n_frames, height, width, 3), np.uint8)
        pixels = {kind: truth.dataset(kind, (n_frames, height, width), PIXELS[kind]) for kind in kinds}
        if "masks" in pixels:
            pixels["masks"].attrs["description"] = (
                "class of each pixel (N,H,W), position in the attribute pixel_classes"
            )
        jobs = [(clip, height, width, fps, kinds) for clip in clips]
        for video, annotation, dense in in_turn(drawn, jobs, workers):
            images[first : first + len(video)] = video
            for kind, values in dense.items():
                pixels[kind][first : first + len(video)] = values
            annotated += annotation
            first += len(video)
            report(first)
        boxes, labels, tracks = (list(column) for column in zip(*annotated, strict=True))
        offsets = np.concatenate([[0], np.cumsum([len(frame) for frame in labels])])
        for name, values in (
            ("boxes", np.concatenate(boxes)),
            ("box_labels", np.concatenate(labels)),
            ("tracks", np.concatenate(tracks)),
            ("offsets", offsets),
        ):
            truth.dataset(name, values.shape, values.dtype)[...] = values
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


def drawn(job: tuple) -> tuple[np.ndarray, list, dict[str, np.ndarray]]:
    """Images (n,H,W,3) of a clip; boxes, labels and tracks of each; and of the kinds of `PIXELS` asked for (n,H,W).

    ``job``: clip, height, width, frames per second, kinds.
    """
    clip, height, width, fps, kinds = job
    images, annotation = np.empty((clip.n_frames, height, width, 3), np.uint8), []
    dense = {kind: np.empty((clip.n_frames, height, width), PIXELS[kind]) for kind in kinds}
    for row, frame in enumerate(render.render(clip, height, width, fps)):
        images[row] = frame.image
        annotation.append((frame.boxes, frame.labels, frame.tracks))
        for kind, values in (("masks", frame.mask), ("instances", frame.instance)):
            if kind in dense:
                dense[kind][row] = values
    if "depth" in dense:
        for row, metres in enumerate(render.depths(clip, height, width, fps)):
            dense["depth"][row] = np.where(np.isinf(metres), 0, np.clip(np.round(100 * metres), 1, 65535))
    return images, annotation, dense
