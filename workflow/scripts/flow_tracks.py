"""Detections, followed to the frames around them by the optical flow of the data set."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.tasks.detection import tracks
from dagal.tasks.detection.detections import by_video

job = start()
job.ready()
source = job.input
ids, offsets, boxes_M_4 = artifacts.read(source.detections, "detections", "ids", "offsets", "boxes")
frame_M = np.repeat(np.arange(len(ids)), np.diff(offsets))
tracks_M_6_4, done = np.empty((len(boxes_M_4), 6, 4), np.float32), 0
with artifacts.opened(source.images, "images") as file:
    size, video_N, frame_N = file["images"].shape[1:3], file["video"][()], file["frame"][()]
for path in source.flow:
    with artifacts.opened(path, "flow") as file:
        flow_ids = file["ids"][()]
        for first, last in by_video(video_N[flow_ids], frame_N[flow_ids]):
            begin, end = np.searchsorted(ids, [flow_ids[first], flow_ids[last - 1] + 1])
            rows = slice(offsets[begin], offsets[end])
            motion = [file[name][first:last].astype(np.float32) for name in ("forward", "backward")]
            tracks_M_6_4[rows] = tracks.by_flow(frame_M[rows] - begin, boxes_M_4[rows], *motion, size)
            done += last - first
if done != len(ids):
    raise ValueError(f"optical flow of {done:,} frames, detections in {len(ids):,}")
artifacts.write(job.output.tracks, tracks.TRACKS, job.origin, {"boxes": tracks_M_6_4})
print(f"followed {len(boxes_M_4):,} detections of {len(ids):,} frames")
