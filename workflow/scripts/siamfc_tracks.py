"""Detections, followed to the frames around them by SiamFC."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import devices, inference, weights
from dagal.pace import Reporter
from dagal.tasks.detection import siamfc
from dagal.tasks.detection.detections import by_video
from dagal.tasks.detection.following import BLOCK
from dagal.tasks.detection.tracks import TRACKS

job = start()
source = job.input
# deterministic RoI pooling on a GPU would be compiled, and slow
device = devices.prepare(job.gpu, job.threads, deterministic=False)
ids, offsets, boxes_M_4 = artifacts.read(source.detections, "detections", "ids", "offsets", "boxes")
frame_M = np.repeat(np.arange(len(ids)), np.diff(offsets))
model = siamfc.Siamese()
model.load_state_dict(weights.read(source.network)[1])
model.to(device).eval()
job.ready()
report = Reporter(len(ids), "frames")
tracks_M_6_4 = np.empty((len(boxes_M_4), 6, 4), np.float32)
with artifacts.opened(source.images, "images") as file:
    images, video_N, frame_N = file["images"], file["video"][()][ids], file["frame"][()][ids]
    for first, last in by_video(video_N, frame_N):
        rows = slice(offsets[first], offsets[last])
        frames = (one for batch in inference.stream(images, ids[first:last], device, BLOCK) for one in batch)
        tracks_M_6_4[rows] = siamfc.track(
            frames, model, frame_M[rows] - first, boxes_M_4[rows], last - first, images.shape[1:3]
        )
        report(last)
artifacts.write(job.output.tracks, TRACKS, job.origin, {"boxes": tracks_M_6_4})
