"""Detections, followed to the frames around them by cross-correlation on the detector's own features."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.learners import detector, devices, inference
from dagal.pace import Reporter
from dagal.tasks.detection import feature_correlation
from dagal.tasks.detection.detections import by_video
from dagal.tasks.detection.tracks import TRACKS

job = start()
source, settings = job.input, job.params.learner
# deterministic RoI pooling on a GPU would be compiled, and slow
device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
ids, offsets, boxes_M_4 = artifacts.read(source.detections, "detections", "ids", "offsets", "boxes")
frame_M = np.repeat(np.arange(len(ids)), np.diff(offsets))
model = detector.load(source.model, device)
job.ready()
report = Reporter(len(ids), "frames")
tracks_M_6_4 = np.empty((len(boxes_M_4), 6, 4), np.float32)
with artifacts.opened(source.images, "images") as file:
    images, video_N, frame_N = file["images"], file["video"][()][ids], file["frame"][()][ids]
    size = images.shape[1:3]
    for first, last in by_video(video_N, frame_N):
        rows = slice(offsets[first], offsets[last])
        batches = inference.stream(images, ids[first:last], device, settings["batch_size"])
        maps = (one for batch in batches for one in detector.features(model, batch)[0].cpu())
        tracks_M_6_4[rows] = feature_correlation.track(
            maps, detector.FEATURE_STRIDE, frame_M[rows] - first, boxes_M_4[rows], last - first, size
        )
        report(last)
artifacts.write(job.output.tracks, TRACKS, job.origin, {"boxes": tracks_M_6_4})
