"""Acquisition on frames of videos: scores from detections, the spread over time and videos, annotation by boxes."""

import h5py
import numpy as np
import pytest

from dagal import artifacts, tasks
from dagal.acquisition import frame_scores, methods, scores
from dagal.acquisition.temporal_spread import temporal_spread
from dagal.tasks.detection import answers, detections

TASK = tasks.find("detection")
PROBS = np.array([[0.1, 0.9, 0], [0.3, 0.2, 0.5], [0.2, 0.7, 0.1]])
FRAME = np.array([0, 0, 2])  # frame 1 of 3 is empty


def test_scores_by_hand():
    found = frame_scores.mean_least_confidence(PROBS, FRAME, 3)
    np.testing.assert_allclose(found, [(0.1 + 0.5) / 2, 0, 0.3])
    found = frame_scores.summed_margin(PROBS, FRAME, 3)
    np.testing.assert_allclose(found, [(1 - 0.8) + (1 - 0.2), 0, 1 - 0.5])
    single = scores.entropy(PROBS)
    np.testing.assert_allclose(frame_scores.mean_entropy(PROBS, FRAME, 3), [single[:2].mean(), 0, single[2]])


def test_error_scores_are_the_counts():
    fp, fn = np.array([0, 2, 1]), np.array([1, 0, 1])
    assert frame_scores.estimated_errors(fp, fn).tolist() == [1, 2, 2]
    assert frame_scores.estimated_false_positives(fp).tolist() == frame_scores.false_positives(fp).tolist() == [0, 2, 1]
    assert frame_scores.estimated_false_negatives(fn).tolist() == frame_scores.false_negatives(fn).tolist() == [1, 0, 1]


def spread(score, video, frame, budget, labeled=(), neighbors=1, seed=0):
    labeled = np.array(labeled, np.int64).reshape(-1, 2)
    rng = np.random.default_rng(seed)
    arrays = (np.array(score, float), np.array(video), np.array(frame))
    return temporal_spread(*arrays, labeled[:, 0], labeled[:, 1], budget, rng, neighbors)


def test_no_neighbour_of_labeled_or_selected_frames():
    # one video; frame 4 is labeled; 5 scores highest but lies beside it
    found = spread([1, 2, 3, 8, 9, 7, 6], [0] * 7, [0, 1, 2, 3, 5, 6, 7], 3, [(0, 4)])
    assert found.positions.tolist() == [5, 2, 0]  # frames 6, 2, 0
    assert found.too_close == 0


def test_neighbours_count_frames_not_positions():
    found = spread([3, 2, 1], [0, 0, 0], [0, 10, 11], 2, neighbors=3)
    assert found.positions.tolist() == [0, 1]


def test_every_video_in_turn_by_score():
    score = [9, 8, 7, 1, 5, 4]
    video, frame = [0, 0, 0, 1, 2, 2], [0, 5, 10, 0, 0, 5]
    assert spread(score, video, frame, 2).positions.tolist() == [0, 4]  # fewer than videos: the best of them
    assert spread(score, video, frame, 5).positions.tolist() == [0, 4, 3, 1, 5]


def test_same_frame_number_of_another_video_is_no_neighbour():
    assert spread([2, 1], [0, 1], [3, 3], 2, [(2, 3)]).too_close == 0


def test_too_small_a_video_is_filled_up_and_reported():
    found = spread([3, 2, 1], [0, 0, 0], [0, 1, 2], 3)
    assert found.positions.tolist() == [0, 2, 1]
    assert found.too_close == 1
    assert spread([3, 2, 1], [0, 0, 0], [0, 1, 2], 3, neighbors=0).too_close == 0


def test_ties_are_random():
    picks = {int(spread([0] * 9, [0] * 9, range(9), 1, seed=s).positions[0]) for s in range(60)}
    assert len(picks) == 9


def test_naive_filter_agrees():
    rng = np.random.default_rng(5)
    for _ in range(100):
        n, k = rng.integers(5, 60), rng.integers(0, 4)
        place = np.sort(rng.choice(300, n, replace=False))
        video, frame = place // 60, place % 60
        labeled = {(int(v), int(f)) for v, f in rng.integers(0, [5, 60], (4, 2))}
        budget = int(rng.integers(1, n + 1))
        score = rng.normal(size=n)
        found = spread(score, video, frame, budget, sorted(labeled), k)
        kept = found.positions[: budget - found.too_close]
        places = [(int(video[p]), int(frame[p])) for p in kept]
        taken = [*labeled, *places]
        for i, (v, f) in enumerate(places):
            others = [b for j, b in enumerate(taken) if j != len(labeled) + i]
            assert not any(v == w and abs(f - g) <= k for w, g in others)
        # the first pick is the best frame that is allowed at all
        allowed = [p for p in range(n) if not any(video[p] == w and abs(frame[p] - g) <= k for w, g in labeled)]
        if len(kept):
            assert kept[0] == max(allowed, key=lambda p: score[p])
        if found.too_close:  # nothing else was left
            assert not [
                p
                for p in allowed
                if p not in kept and not any(video[p] == w and abs(frame[p] - g) <= k for w, g in places)
            ]


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.h5"
    offsets = np.array([0, 2, 2, 3, 5])
    data = {
        "boxes": np.arange(20, dtype=np.float32).reshape(5, 4),
        "box_labels": np.array([0, 1, 2, 0, 1]),
        "offsets": offsets,
    }
    artifacts.write(path, "truth", artifacts.provenance("test", {}), data, class_names=["a", "b", "c"])
    return path


def test_annotation_of_frames_in_any_order(truth):
    with h5py.File(truth) as file:
        first = answers.ask(file, np.array([3, 1, 0]))
        more = answers.ask(file, np.array([2]))
        nothing = answers.ask(file, np.array([], np.int64))
    assert first["offsets"].tolist() == [0, 2, 2, 4]
    assert first["box_labels"].tolist() == [0, 1, 0, 1]
    assert first["boxes"][:, 0].tolist() == [12, 16, 0, 4]
    together = answers.append(first, more)
    assert together["offsets"].tolist() == [0, 2, 2, 4, 5]
    assert together["box_labels"].tolist() == [0, 1, 0, 1, 2]
    assert nothing["offsets"].tolist() == [0]


def test_gather_takes_the_detections_of_the_candidates(tmp_path):
    origin = artifacts.provenance("test", {})
    ids, offsets = np.array([2, 5, 6, 9]), np.array([0, 1, 3, 3, 4])
    probs = np.eye(4, 3, dtype=np.float32)
    data = {
        "ids": ids,
        "offsets": offsets,
        "boxes": np.zeros((4, 4)),
        "probabilities": probs,
        "labels": np.zeros(4, int),
    }
    artifacts.write(tmp_path / "d.h5", "detections", origin, data)
    video, frame = np.arange(10) // 5, np.arange(10) % 5
    artifacts.write(tmp_path / "i.h5", "images", origin, {"video": video, "frame": frame})
    artifacts.write(tmp_path / "l.h5", "labeled", origin, {"ids": np.array([7, 3])})
    files = {"detections": tmp_path / "d.h5", "images": tmp_path / "i.h5", "labeled": tmp_path / "l.h5"}

    errors = {"ids": ids, "false_positives": np.arange(4), "false_negatives": np.arange(4)}
    artifacts.write(tmp_path / "e.h5", "errors", origin, errors)
    files["errors"] = tmp_path / "e.h5"

    def score(
        detection_probs_M_K,
        detection_frame_M,
        video_N,
        frame_N,
        labeled_video_L,
        labeled_frame_L,
        true_fp_N,
        n_candidates,
    ):
        pass

    found = methods.gather(score, files, np.array([5, 6, 9]), {"n_candidates": 3}, TASK)
    assert found["detection_frame_M"].tolist() == [0, 0, 2]
    assert found["true_fp_N"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(found["detection_probs_M_K"], probs[1:])
    assert (found["video_N"].tolist(), found["frame_N"].tolist()) == ([1, 1, 1], [0, 1, 4])
    assert (found["labeled_video_L"].tolist(), found["labeled_frame_L"].tolist()) == ([1, 0], [2, 3])


def test_table_of_detections():
    nothing = (np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32))
    one = (np.ones((1, 4), np.float32), np.float32([[0.2, 0.1, 0.7]]))
    found = detections.table([nothing, one, nothing])
    assert found["offsets"].tolist() == [0, 0, 1, 1]
    assert found["labels"].tolist() == [1]
    assert detections.table([nothing, nothing])["boxes"].shape == (0, 4)


def test_runs_of_videos():
    runs = lambda video, frame: list(detections.by_video(np.array(video, int), np.array(frame, int)))  # noqa: E731
    assert runs([4, 4, 7, 4], [0, 1, 0, 0]) == [(0, 2), (2, 3), (3, 4)]
    assert runs([1], [5]) == [(0, 1)]
    assert runs([], []) == []
    assert runs([0] * 6, [0, 1, 2, 300, 301, 302]) == [(0, 3), (3, 6)]  # frames were left out
    assert runs([0] * 4, [0, 1, 3, 4]) == [(0, 4)]  # a few missing ones are bridged
    assert runs([0] * 3, [30, 60, 90]) == [(0, 3)]  # one frame a second


@pytest.mark.parametrize("name", TASK.methods)
def test_every_method_can_be_composed(name):
    settings = methods.compose(name, {}, TASK)
    assert set(methods.signals(settings, TASK)) <= set(TASK.signals.values())
    assert (settings["select"] == "temporal_spread") == (name != "random")
