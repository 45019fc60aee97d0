"""Optical flow against the motion of the renderer -> end-point error of each training video, in pixels."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item
from dagal.report.temporal_coherence import shards, trackers


def make(job):
    from dagal.tasks.detection.detections import by_video
    from dagal.tasks.detection.flow import end_point_error

    names = ("ids", "forward", "backward")
    video_N, frame_N, video_names = artifacts.read(job.input.images, "images", "video", "frame", "video_names")
    video_names = [name.decode() for name in video_names]
    rows = []
    for path, true_path in zip(job.input.flow, job.input.truth, strict=True):
        ids, *motions = artifacts.read(path, "flow", *names)
        _, *true_motions = artifacts.read(true_path, "flow", *names)
        for first, last in by_video(video_N[ids], frame_N[ids]):
            if last - first > 1:
                parts = [slice(first, last - 1), slice(first + 1, last)]  # the ends have no motion
                pairs = list(zip(motions, true_motions, parts, strict=True))
                error = np.concatenate([end_point_error(flow[part], true[part]).ravel() for flow, true, part in pairs])
                length = np.concatenate(
                    [end_point_error(0, true[part].astype(float)).ravel() for _, true, part in pairs]
                )
                numbers = [error.mean(), np.median(error), np.mean(error < 1), length.mean()]
                rows.append([video_N[ids[first]], video_names[video_N[ids[first]]], last - first, *numbers])
    rows.sort()
    header = ["video", "name", "frames", "mean_error", "median_error", "share_under_1_px", "mean_motion"]
    artifacts.write_csv(job.output.flow_error, header, rows)
    if rows:
        print(f"mean end-point error {np.average([row[3] for row in rows], weights=[row[2] for row in rows]):.3f} px")


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "images": study.clean_images,
        "flow": shards(study, study.settings["video"]["flow"]),
        "truth": shards(study, "true"),
    },
    writes={"flow_error": "{results}/flow_error.csv"},
    when=lambda study: bool(trackers(study)) and study.rendered,
    caption="""
    End-point error of the optical flow of each training video, in pixels of the stored frames, against the motion known to the
    renderer. Both are means over the cells of the stored grid, the true one of the pixels seen in both frames where a cell has
    any; errors at the edges of objects are averaged away in part.
    """,
    category="Tables",
    labels={"flow_error": "end-point error of the optical flow"},
    environment="torch",
)
