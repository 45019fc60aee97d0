"""Temporal coherence: errors of a detector estimated by a graph cut over its tracked detections (003 sec. 2.3.2).

A node is a detection, or a candidate for a missed object: a place where detections of nearby frames are tracked to, but where
the detector found nothing. Nodes that should be the same object are linked. "The object is really there" is one bit per node:
true and false positive of a detection, false and true negative of a candidate.
"""

from dataclasses import dataclass

import numpy as np

from dagal.artifacts import Kind
from dagal.geometry import overlap, pairs
from dagal.tasks.detection.tracks import STEPS

COHERENCE = Kind(
    "coherence",
    1,
    {
        "ids": "ids of the frames (n,), ascending",
        "false_positives": "detections of each frame estimated to be wrong (n,)",
        "false_negatives": "objects of each frame estimated to be missed (n,)",
        "node_frame": "id of the frame of each node (V,): first the detections in their order, then the candidates",
        "node_box": "box of each node (V,4), x1 y1 x2 y2 in pixels",
        "node_label": "class of each node (V,)",
        "cost": "what it costs to hold a detection for wrong, or a candidate for real (V,)",
        "is_candidate": "whether a node is a candidate for a missed object (V,) and not a detection",
        "real": "whether an object is estimated to be there (V,)",
        "edges": "linked nodes (E,2)",
    },
)


@dataclass(frozen=True)
class Graph:
    """Nodes of one video, the detections in their order, then the candidates; links between them."""

    frame_V: np.ndarray  # int64, position of the frame in the video
    box_V_4: np.ndarray
    label_V: np.ndarray
    is_candidate_V: np.ndarray
    cost_V: np.ndarray  # int64, what it costs to hold a detection for wrong, or a candidate for real
    edges_E_2: np.ndarray  # int64, smaller node first, no link twice


def label_nodes(is_candidate_V: np.ndarray, cost_V: np.ndarray, edges_E_2: np.ndarray) -> np.ndarray:
    """real_V (bool), an exact minimiser of eq. 2.1, with costs (int64) that are 1 in the thesis:

    sum over detections [not real] cost + sum over candidates [real] cost + sum over edges [real_i != real_j].

    The four labels of the thesis are this bit and the kind of the node; its matrix (eq. 2.4) is 0 for TP-TP, TP-FN, FN-FN,
    FP-FP, FP-TN, TN-TN, that is where the bits agree. One maximum flow (Boykov & Kolmogorov, PyMaxflow): near linear in
    V + E for these graphs. Of several minimisers it is the one with the fewest real nodes (all others hold it), so the
    answer does not depend on the order of the edges. Ties are common, as at the third frame before an object appears; on
    rendered videos this side of them makes estimated false negatives right nearly twice as often, and false positives about as often.
    """
    import maxflow

    is_candidate_V = np.asarray(is_candidate_V, bool)
    n_nodes, n_edges = len(is_candidate_V), len(edges_E_2)
    if not n_nodes:
        return np.zeros(0, bool)
    graph = maxflow.GraphInt(n_nodes, n_edges)
    nodes_V = graph.add_grid_nodes(n_nodes)
    # the sink side is real: a candidate cut from the source, or a detection cut from the sink, has its cost
    graph.add_grid_tedges(nodes_V, np.where(is_candidate_V, cost_V, 0), np.where(is_candidate_V, 0, cost_V))
    if n_edges:
        one_E = np.ones(n_edges, np.int64)
        first_E, second_E = np.ascontiguousarray(np.asarray(edges_E_2, np.int64).T)
        graph.add_edges(first_E, second_E, one_E, one_E)
    graph.maxflow()
    return graph.get_grid_segments(nodes_V)


def energy(real_V: np.ndarray, is_candidate_V: np.ndarray, cost_V: np.ndarray, edges_E_2: np.ndarray) -> int:
    """What `label_nodes` minimises."""
    return int(cost_V[real_V == is_candidate_V].sum() + np.sum(real_V[edges_E_2[:, 0]] != real_V[edges_E_2[:, 1]]))


def build_graph(
    offsets: np.ndarray, boxes_M_4: np.ndarray, labels_M: np.ndarray, tracks_M_6_4: np.ndarray, threshold: float = 0.5
) -> Graph:
    """Graph of one video of n frames, frame i with the detections ``offsets[i]`` to ``offsets[i+1]`` (offsets: n+1).

    ``tracks_M_6_4`` holds each detection followed to the frames at `STEPS`, NaN where it cannot be. Detections of one class
    are linked if one overlaps what the other was tracked to by more than ``threshold`` (IoU). A tracked box without a link to
    that frame is unmatched; unmatched boxes of one frame and class that overlap, directly or through others, form one candidate
    (their mean), linked to the detections they come from.

    A frame that there is not, as a detection at the video's ends has fewer than six around it, is taken to agree with the detection: it
    costs as much more to hold that for wrong. In the thesis it counts for nothing, so that an object that is seen in the first (last)
    three frames alone, because the video begins (ends) there, becomes a false positive by the three frames that follow (precede). O(pairs of detections at most 3 frames apart) time and memory.
    """
    n_frames, n_detections = len(offsets) - 1, len(labels_M)
    frame_M = np.repeat(np.arange(n_frames), np.diff(offsets))
    links, unmatched_M_6 = [np.empty((0, 2), np.int64)], ~np.isnan(tracks_M_6_4[:, :, 0])
    for column, step in enumerate(STEPS):
        target_M = frame_M + step
        inside_M = (target_M >= 0) & (target_M < n_frames)
        unmatched_M_6[~inside_M, column] = False
        target_M = np.where(inside_M, target_M, 0)
        first_M = offsets[target_M]
        one_P, other_P = pairs(first_M, np.where(inside_M, offsets[target_M + 1], first_M))
        back = len(STEPS) - 1 - column  # the column of -step
        linked_P = (labels_M[one_P] == labels_M[other_P]) & (
            (overlap(tracks_M_6_4[one_P, column], boxes_M_4[other_P]) > threshold)
            | (overlap(tracks_M_6_4[other_P, back], boxes_M_4[one_P]) > threshold)
        )
        unmatched_M_6[one_P[linked_P], column] = False
        if step > 0:  # the other direction gives the same links
            links.append(np.column_stack([one_P, other_P])[linked_P])
    origin_U, column_U = np.nonzero(unmatched_M_6)
    target_U = frame_M[origin_U] + np.array(STEPS)[column_U]
    cluster_U = cluster(target_U, labels_M[origin_U], tracks_M_6_4[origin_U, column_U], threshold)
    n_candidates = int(cluster_U.max(initial=-1)) + 1
    _, first_K = np.unique(cluster_U, return_index=True)
    size_K = np.bincount(cluster_U, minlength=n_candidates)
    sums = [np.bincount(cluster_U, tracks_M_6_4[origin_U, column_U, k], n_candidates) for k in range(4)]
    links.append(np.column_stack([origin_U, n_detections + cluster_U]))
    beyond_M = ((frame_M[:, None] + STEPS < 0) | (frame_M[:, None] + STEPS >= n_frames)).sum(1)
    return Graph(
        frame_V=np.concatenate([frame_M, target_U[first_K]]),
        box_V_4=np.concatenate([boxes_M_4, (np.array(sums) / size_K).T]).astype(np.float32),
        label_V=np.concatenate([labels_M, labels_M[origin_U[first_K]]]),
        is_candidate_V=np.arange(n_detections + n_candidates) >= n_detections,
        cost_V=np.concatenate([1 + beyond_M, np.ones(n_candidates, np.int64)]),
        edges_E_2=np.unique(np.concatenate(links), axis=0),
    )


def cluster(frame_U: np.ndarray, label_U: np.ndarray, box_U_4: np.ndarray, threshold: float) -> np.ndarray:
    """Number of the cluster of each box (U,), by frame and class: boxes that overlap, directly or through others.

    O(sum over frames and classes of their boxes squared).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(frame_U):
        return np.zeros(0, np.int64)
    order = np.lexsort((label_U, frame_U))
    new = np.diff(frame_U[order], prepend=-1).astype(bool) | np.diff(label_U[order], prepend=-1).astype(bool)
    group_U, edges = np.cumsum(new) - 1, np.flatnonzero(np.append(new, True))
    one_P, other_P = pairs(edges[group_U], edges[group_U + 1])
    near_P = overlap(box_U_4[order[one_P]], box_U_4[order[other_P]]) > threshold
    ones, size = np.ones(np.count_nonzero(near_P), np.int8), len(order)
    _, label = connected_components(coo_array((ones, (one_P[near_P], other_P[near_P])), (size, size)), directed=False)
    result = np.empty(size, np.int64)
    result[order] = np.unique(label, return_inverse=True)[1]  # numbered by frame and class
    return result


def count(frame_V: np.ndarray, is_candidate_V: np.ndarray, real_V: np.ndarray, n_frames: int) -> tuple:
    """Estimated false positives and false negatives of each frame, two int64 (n,)."""
    wrong, missed = ~is_candidate_V & ~real_V, is_candidate_V & real_V
    return tuple(np.bincount(frame_V[chosen], minlength=n_frames) for chosen in (wrong, missed))
