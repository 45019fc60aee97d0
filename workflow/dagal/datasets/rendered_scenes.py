"""Rendered road scenes with a class for every pixel -> images.h5 and truth.h5: those of `synthia_al`, a frame at a time."""

from dataclasses import dataclass

import numpy as np

from dagal import artifacts
from dagal.datasets.rendering import render
from dagal.datasets.source import IMAGES, TRUTH, write_names
from dagal.datasets.synthia_al import PIXELS, drawn, in_turn
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
            images = writer.dataset("images", (n, *shape, 3), np.uint8)
            kinds = list(dict.fromkeys(["masks", *(settings.get("per_pixel") or ())]))
            pixels = {kind: truth.dataset(kind, (n, *shape), PIXELS[kind]) for kind in kinds}
            for clip_images, _, dense in in_turn(drawn, [(clip, *shape, fps, kinds) for clip in clips], workers):
                last = first + len(clip_images)
                images[first:last] = clip_images
                for kind, values in dense.items():
                    pixels[kind][first:last] = values
                first = last
                report(first)
        print(f"rendered {n:,} frames of {len(clips)} drives")


def rendered_scenes(settings: dict) -> Rendered:
    """Road scenes, rendered: there is nothing to read."""
    return Rendered()
