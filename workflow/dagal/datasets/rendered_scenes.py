"""Rendered road scenes with a class for every pixel -> images.h5 and truth.h5: those of `synthia_al`, a frame at a time."""

from dataclasses import dataclass

import numpy as np

from dagal import artifacts
from dagal.datasets.rendering import render
from dagal.datasets.source import IMAGES, TRUTH, write_names
from dagal.datasets.synthia_al import in_turn
from dagal.pace import Reporter


@dataclass(frozen=True)
class Rendered:
    """Frames of drives, rendered when they are written."""

    def write(self, settings: dict, images_path, truth_path, origin: dict, workers: int) -> None:
        """Render all drives in ``workers`` processes; the bytes do not depend on their number. Memory: the frames of workers + 1 drives."""
        clips = render.plan(settings)
        shape, fps = (settings["height"], settings["width"]), settings["fps"]
        lengths = np.array([clip.n_frames for clip in clips])
        first, n = 0, int(lengths.sum())
        report = Reporter(n, "frames")
        with (
            artifacts.create(images_path, IMAGES, origin) as writer,
            artifacts.create(truth_path, TRUTH, origin, class_names=list(render.SEGMENTS)) as truth,
        ):
            write_names(writer, "video_names", [clip.name for clip in clips])
            for name, values, dtype in (
                ("split", np.repeat([clip.split for clip in clips], lengths), np.uint8),
                ("video", np.repeat(np.arange(len(clips)), lengths), np.int64),
                ("frame", np.concatenate([np.arange(length) for length in lengths]), np.int64),
            ):
                writer.dataset(name, (n,), dtype)[...] = values
            images, masks = (
                writer.dataset("images", (n, *shape, 3), np.uint8),
                truth.dataset("masks", (n, *shape), np.uint8),
            )
            for clip_images, clip_masks in in_turn(drive, [(clip, *shape, fps) for clip in clips], workers):
                last = first + len(clip_images)
                images[first:last], masks[first:last] = clip_images, clip_masks
                first = last
                report(first)
        print(f"rendered {n:,} frames of {len(clips)} drives")


def rendered_scenes(settings: dict) -> Rendered:
    """Road scenes, rendered: there is nothing to read."""
    return Rendered()


def drive(job: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Images (n,H,W,3) and masks (n,H,W) of a drive: (clip, height, width, frames per second)."""
    frames = [(frame.image, frame.mask) for frame in render.render(*job)]
    return tuple(np.stack(part) for part in zip(*frames, strict=True))
