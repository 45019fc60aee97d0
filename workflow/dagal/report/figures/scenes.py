"""Contact sheet of a data set of videos: frames from the middle of videos, with their true boxes."""

import numpy as np

from dagal import artifacts
from dagal.datasets.source import NOT_ANNOTATED
from dagal.report.item import Item

MOST = 24


def make(job):
    from dagal.report import pictures
    from dagal.tasks.detection.detections import by_video, read_truth

    source = job.input
    with artifacts.opened(source.images, "images") as file:
        names, images, video_N, frame_N = (
            file["video_names"].asstr()[()],
            file["images"],
            file["video"][()],
            file["frame"][()],
        )
        annotated = np.flatnonzero(file["split"][()] != NOT_ANNOTATED)
        videos = list(by_video(video_N[annotated], frame_N[annotated]))
        shown = [videos[k] for k in np.unique(np.linspace(0, len(videos) - 1, MOST).astype(int))]
        ids = annotated[[(first + last) // 2 for first, last in shown]]
        class_names = artifacts.attributes(source.truth, "truth")["class_names"]
        offsets, boxes, labels = read_truth(source.truth, ids)
        drawn = [
            pictures.draw(images[i], boxes[a:b], labels[a:b], class_names, pictures.COLOURS["truth"])
            for i, a, b in zip(ids, offsets, offsets[1:], strict=False)
        ]
    captions = [f"{names[video_N[i]]}, frame {frame_N[i]}" for i in ids]
    pictures.write_png(job.output.figure, pictures.contact_sheet(drawn, captions, 4))


ITEM = Item(
    make=make,
    reads=lambda study, at: {"images": study.clean_images, "truth": study.truth},
    writes={"figure": "{dataset}/scenes.png"},
    when=lambda study: study.task.name == "detection",
    caption="Frames from the middle of videos with their true boxes (yellow).",
    category="Data",
    labels={"figure": "frames with their true boxes"},
    environment="torch",
)
