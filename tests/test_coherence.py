"""Temporal coherence: the graph of tracked detections and its exact cut."""

from itertools import product

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow

from dagal.tasks.detection.coherence import build_graph, count, energy, label_nodes
from dagal.tasks.detection.tracks import REACH, STEPS

# the thesis's own tables, labels in the order TP, FP, TN, FN
UNARY = {False: [0, 1, np.inf, np.inf], True: [np.inf, np.inf, 0, 1]}  # eq. 2.2 for detections, eq. 2.3 for candidates
PAIRWISE = [[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]]  # eq. 2.4


def random_graph(rng, n_nodes, density):
    first, second = np.triu_indices(n_nodes, 1)
    chosen = rng.random(len(first)) < density
    is_candidate_V = rng.random(n_nodes) < 0.5
    cost_V = np.where(
        is_candidate_V, 1, rng.integers(1, 8, n_nodes) ** (rng.random() < 0.5)
    )  # half of the graphs as in the thesis
    return is_candidate_V, cost_V, np.column_stack([first, second])[chosen]


def least_energy(is_candidate_V, cost_V, edges_E_2):
    """By the four labels of the thesis and all their combinations; its costs of single nodes times those given."""
    allowed = [[label for label in range(4) if np.isfinite(UNARY[bool(c)][label])] for c in is_candidate_V]
    return min(
        sum(UNARY[bool(c)][label] * k for c, label, k in zip(is_candidate_V, labels, cost_V, strict=True))
        + sum(PAIRWISE[labels[i]][labels[j]] for i, j in edges_E_2)
        for labels in product(*allowed)
    )


def test_equals_enumeration_of_the_four_labels():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        graph = random_graph(rng, rng.integers(1, 8), rng.random())
        assert energy(label_nodes(*graph), *graph) == least_energy(*graph)


def test_equals_scipys_minimum_cut_and_is_its_smallest_real_side():
    rng = np.random.default_rng(1)
    for n_nodes in (50, 200, 600):
        is_candidate_V, cost_V, edges_E_2 = graph = random_graph(rng, n_nodes, 6 / n_nodes)
        source, sink = n_nodes, n_nodes + 1
        detections, candidates = np.flatnonzero(~is_candidate_V), np.flatnonzero(is_candidate_V)
        arcs = [
            *((source, d) for d in detections), *((c, sink) for c in candidates),
            *edges_E_2, *edges_E_2[:, ::-1],
        ]  # fmt: skip
        arcs, capacities = (
            np.array(arcs),
            np.concatenate([cost_V[detections], cost_V[candidates], np.ones(2 * len(edges_E_2))]),
        )
        capacity = coo_array((capacities.astype(np.int32), arcs.T), (n_nodes + 2,) * 2).tocsr()
        flow = maximum_flow(capacity, source, sink)
        real_V = label_nodes(*graph)
        assert energy(real_V, *graph) == flow.flow_value
        # real is exactly what the source can still send flow to
        residual = (capacity - flow.flow).toarray() > 0
        reached, waiting = {source}, [source]
        while waiting:
            after = np.flatnonzero(residual[waiting.pop()])
            waiting += [node for node in after if node not in reached]
            reached |= set(after)
        np.testing.assert_array_equal(np.flatnonzero(real_V), sorted(reached - {source}))


def test_order_of_the_edges_does_not_matter():
    rng = np.random.default_rng(2)
    for _ in range(50):
        *nodes, edges_E_2 = random_graph(rng, 40, 0.1)
        shuffled = rng.permutation(edges_E_2)[:, ::-1]
        np.testing.assert_array_equal(label_nodes(*nodes, edges_E_2), label_nodes(*nodes, shuffled))


def test_no_nodes_and_no_edges():
    nothing = np.empty((0, 2), np.int64)
    assert len(label_nodes(np.zeros(0, bool), np.zeros(0, np.int64), nothing)) == 0
    assert label_nodes(np.array([False, True]), np.ones(2, np.int64), nothing).tolist() == [True, False]


BOX = np.array([10, 10, 30, 30], np.float32)


def video(present, n_classes=None, shift=0.0):
    """Graph of a video with one object of width 20 that moves ``shift`` px per frame, perfectly tracked, where ``present``."""
    frames = np.flatnonzero(present)
    boxes = BOX + np.outer(frames, [shift, 0, shift, 0]).astype(np.float32)
    tracks = np.stack([boxes + np.float32([shift * s, 0, shift * s, 0]) for s in STEPS], 1)
    outside = (frames[:, None] + np.array(STEPS) < 0) | (frames[:, None] + np.array(STEPS) >= len(present))
    tracks[outside] = np.nan
    labels = np.zeros(len(frames), np.int64) if n_classes is None else np.array(n_classes)[frames]
    return build_graph(np.concatenate([[0], np.cumsum(present)]), boxes, labels, tracks)


def errors(graph, n_frames):
    real_V = label_nodes(graph.is_candidate_V, graph.cost_V, graph.edges_E_2)
    return [counts.tolist() for counts in count(graph.frame_V, graph.is_candidate_V, real_V, n_frames)]


def test_graph_of_a_steady_object_has_no_candidates():
    graph = video([1] * 6, shift=4)
    assert not graph.is_candidate_V.any()
    # each pair of frames at most 3 apart: 5 + 4 + 3
    assert len(graph.edges_E_2) == 12
    assert errors(graph, 6) == [[0] * 6, [0] * 6]


def test_missed_frame_is_a_false_negative():
    graph = video([1] * 5 + [0] + [1] * 5, shift=4)
    assert graph.is_candidate_V.sum() == 1
    candidate = len(graph.frame_V) - 1
    assert graph.frame_V[candidate] == 5
    np.testing.assert_allclose(graph.box_V_4[candidate], BOX + [20, 0, 20, 0], atol=1e-4)
    # linked to the three detections on either side
    assert np.sum(graph.edges_E_2 == candidate) == 6
    assert errors(graph, 11) == [[0] * 11, [0] * 5 + [1] + [0] * 5]


def test_flicker_is_a_false_positive():
    graph = video([0] * 5 + [1] + [0] * 5)
    assert graph.is_candidate_V.sum() == 6
    assert errors(graph, 11) == [[0] * 5 + [1] + [0] * 5, [0] * 11]


@pytest.mark.parametrize(("length", "wrong"), [(2, 2), (6, 6), (7, 0)])
def test_short_runs_are_wrong_up_to_six_frames(length, wrong):
    # all wrong costs 1 per detection; all real costs 1 for each frame around the run: either its candidate is real, or,
    # at the third, its one link is cut, which leaves that candidate unreal
    false_positives, false_negatives = errors(video([0] * 5 + [1] * length + [0] * 5), length + 10)
    assert sum(false_positives) == wrong
    assert false_negatives == ([0] * (length + 10) if wrong else [0] * 3 + [1] * 2 + [0] * length + [1] * 2 + [0] * 3)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_object_at_the_ends_of_a_video_is_not_wrong_for_lack_of_neighbours(length, reverse):
    """What is seen in the first frames alone may have been there before: the frames before the video count as agreeing."""
    present = [1] * length + [0] * 9
    false_positives, _ = errors(video(present[::-1] if reverse else present), length + 9)
    assert sum(false_positives) == 0


@pytest.mark.parametrize("frame", [1, 2, 3])
def test_flicker_near_the_ends_stays_wrong(frame):
    """By hand, of frame 1: wrong costs 1 + 2 frames beyond the video; real costs 4 candidates."""
    present = [int(k == frame) for k in range(12)]
    assert errors(video(present), 12)[0] == present
    assert errors(video(present[::-1]), 12)[0] == present[::-1]


def test_costs_count_the_frames_beyond_the_video():
    assert video([1] * 8).cost_V.tolist() == [4, 3, 2, 1, 1, 2, 3, 4]
    assert video([1] * 4 + [0]).cost_V.tolist() == [4, 3, 3, 3, 1]  # of five frames; in the last is a candidate
    assert video([1]).cost_V.tolist() == [7]


def test_isolated_detection_of_a_video_of_one_frame_is_trusted():
    graph = video([1])
    assert len(graph.edges_E_2) == 0
    assert errors(graph, 1) == [[0], [0]]


def test_no_detections():
    graph = video([0, 0, 0])
    assert len(graph.frame_V) == 0
    assert graph.edges_E_2.shape == (0, 2)
    assert errors(graph, 3) == [[0] * 3, [0] * 3]


def test_only_one_class_is_linked():
    graph = video([1, 1, 1], n_classes=[0, 1, 0])
    detections = ~graph.is_candidate_V[graph.edges_E_2].any(1)
    assert graph.edges_E_2[detections].tolist() == [[0, 2]]
    # class 0 is missing in frame 1; class 1 in frames 0 and 2
    candidates = zip(graph.frame_V[graph.is_candidate_V], graph.label_V[graph.is_candidate_V], strict=True)
    assert sorted((int(frame), int(label)) for frame, label in candidates) == [(0, 1), (1, 0), (2, 1)]


def test_either_direction_links():
    boxes = np.stack([BOX, BOX])
    tracks = np.full((2, 6, 4), np.nan, np.float32)
    tracks[0, STEPS.index(1)] = BOX + 100  # lost forward
    tracks[1, STEPS.index(-1)] = BOX  # found backward
    graph = build_graph(np.array([0, 1, 2]), boxes, np.zeros(2, np.int64), tracks)
    assert graph.edges_E_2.tolist() == [[0, 1]]
    assert not graph.is_candidate_V.any()


def test_unmatched_boxes_that_overlap_are_one_candidate():
    # frame 0 empty; frame 1 has two overlapping detections and a far one of the same class
    boxes = np.stack([BOX, BOX + [4, 0, 4, 0], BOX + 60]).astype(np.float32)
    tracks = np.full((3, 6, 4), np.nan, np.float32)
    tracks[:, STEPS.index(-1)] = boxes
    graph = build_graph(np.array([0, 0, 3]), boxes, np.zeros(3, np.int64), tracks)
    assert graph.frame_V.tolist() == [1, 1, 1, 0, 0]
    np.testing.assert_allclose(graph.box_V_4[3:], [BOX + [2, 0, 2, 0], BOX + 60])
    assert graph.edges_E_2.tolist() == [[0, 3], [1, 3], [2, 4]]


def naive_graph(offsets, boxes, labels, tracks, threshold):
    """Links and unmatched boxes by loops over detections."""

    def iou(a, b):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        if np.isnan(a).any() or np.isnan(b).any() or width <= 0 or height <= 0:
            return 0
        areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
        return width * height / (sum(areas) - width * height)

    frame = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    links, unmatched = set(), []
    for i in range(len(frame)):
        for column, step in enumerate(STEPS):
            target = frame[i] + step
            if not 0 <= target < len(offsets) - 1 or np.isnan(tracks[i, column]).any():
                continue
            found = False
            for j in range(offsets[target], offsets[target + 1]):
                back = STEPS.index(-step)
                if (
                    labels[i] == labels[j]
                    and max(iou(tracks[i, column], boxes[j]), iou(tracks[j, back], boxes[i])) > threshold
                ):
                    links.add((min(i, j), max(i, j)))
                    found = True
            if not found:
                unmatched.append((i, target))
    return links, unmatched


def test_graph_equals_loops():
    rng = np.random.default_rng(3)
    for _ in range(60):
        counts = rng.integers(0, 4, rng.integers(1, 9))
        n = counts.sum()
        corner = rng.uniform(0, 20, (n, 2))
        boxes = np.hstack([corner, corner + rng.uniform(5, 25, (n, 2))]).astype(np.float32)
        tracks = (boxes[:, None] + rng.normal(0, 4, (n, 6, 4))).astype(np.float32)
        tracks[rng.random((n, 6)) < 0.2] = np.nan
        labels, offsets = rng.integers(0, 2, n), np.concatenate([[0], np.cumsum(counts)])
        graph = build_graph(offsets, boxes, labels, tracks, 0.4)
        links, unmatched = naive_graph(offsets, boxes, labels, tracks, 0.4)
        is_link = (graph.edges_E_2 < n).all(1)
        assert set(map(tuple, graph.edges_E_2[is_link].tolist())) == links
        found = [(i, graph.frame_V[c]) for i, c in graph.edges_E_2[~is_link]]
        assert sorted(set(found)) == sorted(set(unmatched))
        assert len(set(map(tuple, graph.edges_E_2.tolist()))) == len(graph.edges_E_2)


def test_estimates_beat_chance_on_a_noisy_detector():
    """Steady objects with a tenth of their detections dropped, and as many detections at random places."""
    rng = np.random.default_rng(4)
    n_frames, boxes, correct, frames = 400, [], [], []
    for frame in range(n_frames):
        for k in range(3):
            if rng.random() > 0.1:
                boxes.append(BOX + 60 * k + rng.normal(0, 1, 4))
                correct.append(True)
                frames.append(frame)
        if rng.random() < 0.3:
            boxes.append(BOX + rng.uniform(0, 150, 2).repeat(2).reshape(2, 2).T.ravel())
            correct.append(False)
            frames.append(frame)
    boxes, correct, frames = np.array(boxes, np.float32), np.array(correct), np.array(frames)
    tracks = np.repeat(boxes[:, None], 6, 1)
    target = frames[:, None] + np.array(STEPS)
    tracks[(target < 0) | (target >= n_frames)] = np.nan
    offsets = np.searchsorted(frames, np.arange(n_frames + 1))
    graph = build_graph(offsets, boxes, np.zeros(len(boxes), np.int64), tracks)
    real_V = label_nodes(graph.is_candidate_V, graph.cost_V, graph.edges_E_2)
    wrong = ~real_V[: len(boxes)]
    assert np.mean(~correct[wrong]) > 0.9
    assert np.mean(wrong[~correct]) > 0.9
    missed = 3 * n_frames - correct.sum()
    assert 0.8 * missed < np.sum(real_V & graph.is_candidate_V) < 1.2 * missed


def test_the_module_names_the_steps_of_the_tracks():
    assert STEPS == (-3, -2, -1, 1, 2, 3)
    assert REACH == 3
