"""Detections and where they are tracked to -> graph of each video, its minimum cut, and the estimated errors of each frame."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.tasks.detection.coherence import COHERENCE, build_graph, count, label_nodes
from dagal.tasks.detection.detections import by_video

job = start()
job.ready()
source = job.input
ids, offsets, boxes, labels = artifacts.read(source.detections, "detections", "ids", "offsets", "boxes", "labels")
(tracks,) = artifacts.read(source.tracks, "tracks", "boxes")
video_N, frame_N = artifacts.read(source.images, "images", "video", "frame")
nodes = {"frame": [], "box": [], "label": [], "cost": [], "is_candidate": [], "real": []}
edges, errors, n_nodes = [], [], 0
for first, last in by_video(video_N[ids], frame_N[ids]):
    rows = slice(offsets[first], offsets[last])
    video_offsets = offsets[first : last + 1] - offsets[first]
    graph = build_graph(video_offsets, boxes[rows], labels[rows], tracks[rows], job.params.overlap)
    real_V = label_nodes(graph.is_candidate_V, graph.cost_V, graph.edges_E_2)
    values = (ids[first + graph.frame_V], graph.box_V_4, graph.label_V, graph.cost_V, graph.is_candidate_V, real_V)
    for name, part in zip(nodes, values, strict=True):
        nodes[name].append(part)
    edges.append(graph.edges_E_2 + n_nodes)
    errors.append(count(graph.frame_V, graph.is_candidate_V, real_V, last - first))
    n_nodes += len(real_V)

nodes = {name: np.concatenate(parts) for name, parts in nodes.items()}
# the detections of all videos first, so that node m is detection m
order = np.argsort(nodes["is_candidate"], kind="stable")
place = np.empty_like(order)
place[order] = np.arange(len(order))
false_positives, false_negatives = (np.concatenate(parts) for parts in zip(*errors, strict=True))
data = {
    "ids": ids,
    "false_positives": false_positives,
    "false_negatives": false_negatives,
    "node_frame": nodes["frame"][order],
    "node_box": nodes["box"][order],
    "node_label": nodes["label"][order],
    "cost": nodes["cost"][order],
    "is_candidate": nodes["is_candidate"][order],
    "real": nodes["real"][order],
    "edges": place[np.concatenate(edges)],
}
artifacts.write(job.output.coherence, COHERENCE, job.origin, data)
print(
    f"{len(labels):,} detections and {len(order) - len(labels):,} candidates, {len(data['edges']):,} links: estimated "
    f"{false_positives.sum():,} false positives and {false_negatives.sum():,} false negatives in {len(ids):,} frames"
)
