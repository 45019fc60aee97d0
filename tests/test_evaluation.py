"""Average precision, errors of frames and the quality of estimated errors, against hand counts and independent loops."""

import numpy as np
import pytest

from dagal.errors import UserError
from dagal.geometry import iou_matrix
from dagal.tasks.detection import evaluation
from dagal.tasks.detection.evaluation import average_precision, estimate_quality, frame_errors

BOX = [10.0, 10.0, 30.0, 20.0]
HALF = [10.0, 10.0, 20.0, 20.0]  # IoU .5 with BOX, exactly
NEAR = [10.0, 10.0, 28.0, 20.0]  # IoU .9
FAR = [50.0, 50.0, 60.0, 60.0]


def frames(*rows):
    """One list of (box, label[, score]) per frame -> (offsets, boxes, labels[, scores])."""
    flat = [row for frame in rows for row in frame]
    width = max((len(row) for row in flat), default=3)
    columns = [np.array([row[k] for row in flat]) for k in range(1, width)]
    boxes = np.array([row[0] for row in flat], np.float32).reshape(-1, 4)
    return np.cumsum([0, *map(len, rows)]), boxes, columns[0].astype(np.int64), *columns[1:]


def detections(*rows):
    offsets, boxes, labels, *scores = frames(*rows)
    return offsets, boxes, labels, scores[0].astype(np.float32) if scores else np.zeros(len(labels), np.float32)


def truth(*rows):
    return frames(*rows)[:3]


def random_frames(rng, n_frames, most=6, n_classes=3, grid=1.0):
    """Truth, and detections near it, missed, doubled, mislabeled and made up; with ties in score and overlap."""
    true, found = [], []
    for _ in range(n_frames):
        boxes = []
        for _ in range(rng.integers(0, most)):
            corner, size = rng.integers(0, 40, 2), rng.integers(4, 30, 2)
            boxes.append((np.concatenate([corner, corner + size]) * grid, rng.integers(n_classes)))
        seen = []
        for box, label in boxes:
            for _ in range(rng.integers(0, 4)):
                moved = box + rng.integers(-4, 5, 4) * grid
                seen.append((moved, label if rng.random() < 0.8 else rng.integers(n_classes), rng.integers(1, 9) / 8))
        for _ in range(rng.integers(0, 2)):
            corner = rng.integers(0, 40, 2) * grid
            seen.append((np.concatenate([corner, corner + 9]), rng.integers(n_classes), rng.integers(1, 9) / 8))
        true.append(boxes)
        found.append([seen[i] for i in rng.permutation(len(seen))])
    return detections(*found), truth(*true)


def slow_iou(a, b):
    a, b = [float(v) for v in a], [float(v) for v in b]
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if shared > 0 else 0.0


def match(boxes, labels, scores, true_boxes, true_labels):
    """correct and missed of one frame."""
    found = np.array([0, len(labels)]), np.asarray(boxes), np.asarray(labels), np.asarray(scores)
    return frame_errors(found, (np.array([0, len(true_labels)]), np.asarray(true_boxes), np.asarray(true_labels)))[2:]


def slow_match(boxes, labels, scores, true_boxes, true_labels):
    correct, owner = [False] * len(boxes), [None] * len(true_boxes)
    for score in sorted(set(scores), reverse=True):
        for d in range(len(boxes)):
            if scores[d] != score:
                continue
            best, best_iou = None, 0.5
            for t in range(len(true_boxes)):
                value = slow_iou(boxes[d], true_boxes[t])
                if owner[t] is None and true_labels[t] == labels[d] and value > 0.5 and value >= best_iou:
                    best, best_iou = t, value
            if best is not None:
                correct[d], owner[best] = True, d
    return np.array(correct, bool), np.array([o is None for o in owner], bool)


def slow_precision(found, true, label):
    """101-point interpolated average precision of one class, from its definition."""
    offsets, boxes, labels, scores = found
    hits, n_true = [], int(np.sum(true[2] == label))
    for i in range(len(offsets) - 1):
        here, there = slice(offsets[i], offsets[i + 1]), slice(true[0][i], true[0][i + 1])
        correct, _ = slow_match(boxes[here], labels[here], scores[here], true[1][there], true[2][there])
        hits += [(-s, c) for s, c, k in zip(scores[here], correct, labels[here], strict=True) if k == label]
    order = sorted(range(len(hits)), key=lambda i: hits[i][0])
    n_right, points = 0, []
    for rank, i in enumerate(order, 1):
        n_right += hits[i][1]
        points.append((n_right / n_true, n_right / rank))
    # a recall that equals a level up to rounding counts as COCO's own levels say
    return sum(max((p for r, p in points if r >= level), default=0.0) for level in np.linspace(0, 1, 101)) / 101


def test_iou_matrix():
    a = np.array([BOX, HALF, [0, 0, 0, 0], [np.nan] * 4], np.float32)
    b = np.array([BOX, FAR, [20, 10, 40, 20]], np.float32)
    expected = [[1, 0, 1 / 3], [0.5, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert np.array_equal(iou_matrix(a, b), expected)
    assert iou_matrix(a[:0], b).shape == (0, 3)


def test_average_precision_by_hand():
    """Class 0: right, duplicate, right over 2 frames and 2 objects; class 1: 1 of 2 objects found, below a wrong one."""
    true = truth([(BOX, 0), (FAR, 1)], [(BOX, 0), (FAR, 1)])
    found = detections([(NEAR, 0, 0.9), (BOX, 0, 0.8), (FAR, 1, 0.5)], [(BOX, 0, 0.7), (BOX, 1, 0.6)])
    # class 0: recall .5 at precision 1 (51 levels), recall 1 at precision 2/3 (50 levels); class 1: recall .5 at precision 1/2
    first, second = (51 + 50 * 2 / 3) / 101, 51 * 0.5 / 101
    result = average_precision(found, true, 3)
    assert result["per_class"] == [pytest.approx(first), pytest.approx(second), None]
    assert result["mean"] == pytest.approx((first + second) / 2)


def test_average_precision_edges(capfd):
    true = truth([(BOX, 0)], [], [(FAR, 0)])
    assert average_precision(detections([], [], []), true, 2) == {"mean": 0.0, "per_class": [0.0, None]}
    perfect = detections([(BOX, 0, 0.9)], [], [(FAR, 0, 0.2)])
    assert average_precision(perfect, true, 1)["mean"] == pytest.approx(1)
    in_empty_frame = detections([(BOX, 0, 0.8)], [(BOX, 0, 0.9)], [(FAR, 0, 0.7)])
    assert average_precision(in_empty_frame, true, 1)["mean"] == pytest.approx(2 / 3)
    assert average_precision(detections([(HALF, 0, 0.9)], [], []), true, 1)["mean"] == 0  # IoU .5 is not enough
    with pytest.raises(UserError, match="no true box"):
        average_precision(perfect, truth([], [], []), 1)
    with pytest.raises(ValueError, match="3 frames of detections, 1 frames of truth"):
        average_precision(perfect, truth([(BOX, 0)]), 1)
    assert capfd.readouterr() == ("", "")


def test_no_detection_is_cut_off():
    """150 wrong detections above the right one in a frame: COCO's usual limit of 100 would lose it."""
    found = detections([(FAR, 0, 0.9)] * 150 + [(BOX, 0, 0.5)])
    assert average_precision(found, truth([(BOX, 0)]), 1)["mean"] == pytest.approx(1 / 151)


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_against_definition(seed):
    found, true = random_frames(np.random.default_rng(seed), 60)
    result = average_precision(found, true, 4)
    expected = [slow_precision(found, true, label) for label in range(3)]
    assert 0.1 < np.mean(expected) < 0.9
    assert result["per_class"][:3] == pytest.approx(expected, abs=1e-9)
    assert result["per_class"][3] is None and result["mean"] == pytest.approx(np.mean(expected))


def test_match_by_hand():
    boxes = np.array([NEAR, BOX, HALF, BOX, FAR], np.float32)
    correct, missed = match(boxes, np.array([0, 0, 0, 1, 0]), [0.5, 0.9, 0.7, 0.9, 0.9], np.array([BOX, FAR]), [0, 1])
    assert correct.tolist() == [False, True, False, False, False]  # duplicate, IoU .5, other class, other class
    assert missed.tolist() == [False, True]
    just_over = np.array([[10, 10, 20.01, 20]], np.float32)
    assert match(just_over, [0], [0.9], np.array([BOX]), [0])[0].all()


def test_second_choice():
    """The better detection takes its best object; the next one takes the other object that it overlaps enough."""
    true = np.array([[0, 0, 10, 10], [0, 0, 10, 14]], np.float32)
    boxes = np.array([[0, 0, 10, 11], [0, 0, 10, 10]], np.float32)
    correct, missed = match(boxes, [0, 0], [0.8, 0.9], true, [0, 0])
    assert correct.all() and not missed.any()
    halves = np.array([[0, 0, 10, 8], [0, 2, 10, 10]], np.float32)  # IoU .8 with the box, both
    assert match(boxes[1:], [0], [0.9], halves, [0, 0])[1].tolist() == [True, False]


@pytest.mark.parametrize(("seed", "block", "grid"), [(0, 1 << 19, 1.0), (1, 7, 1.0), (2, 1, 0.3)])
def test_frame_errors_against_loop(seed, block, grid, monkeypatch):
    monkeypatch.setattr(evaluation, "PAIRS_AT_ONCE", block)
    found, true = random_frames(np.random.default_rng(seed), 1500, grid=grid)
    wrong, missed, correct_M, missed_G = frame_errors(found, true)
    for i in range(1500):
        here, there = slice(*found[0][i : i + 2]), slice(*true[0][i : i + 2])
        one = [column[here] for column in found[1:]] + [column[there] for column in true[1:]]
        expected_correct, expected_missed = slow_match(*one)
        assert np.array_equal(correct_M[here], expected_correct) and np.array_equal(missed_G[there], expected_missed)
        assert (wrong[i], missed[i]) == (np.sum(~expected_correct), np.sum(expected_missed))
    assert wrong.dtype == missed.dtype == np.int64 and min(wrong.sum(), missed.sum(), correct_M.sum()) > 500


def test_frame_errors_edges():
    true = truth([(BOX, 0)], [], [(FAR, 0), (BOX, 1)])
    wrong, missed, correct, lost = frame_errors(detections([], [], []), true)
    assert wrong.tolist() == [0, 0, 0] and missed.tolist() == [1, 0, 2] and len(correct) == 0 and lost.all()
    wrong, missed, correct, lost = frame_errors(detections([(BOX, 0, 1.0)], [(BOX, 0, 1.0)], []), truth([], [], []))
    assert wrong.tolist() == [1, 1, 0] and missed.tolist() == [0, 0, 0] and not correct.any() and len(lost) == 0
    assert [len(part) for part in frame_errors(detections(), truth())] == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="arrays of"):
        frame_errors(detections([(BOX, 0, 1.0)]), (np.array([0, 2]), np.zeros((1, 4)), np.zeros(1)))


def test_estimate_quality_by_hand():
    # frame 0: BOX of class 0 missed; frame 1: BOX found, FAR of class 1 missed; 4 detections, 2 of them wrong
    true, missed = truth([(BOX, 0)], [(BOX, 0), (FAR, 1)]), np.array([True, False, True])
    correct, estimated = np.array([True, False, False, True]), np.array([True, True, False, False])
    # in frame 0 two candidates on one missed box; in frame 1 one on a box that was found, one of another class, one right
    candidates = frames([(NEAR, 0), (BOX, 0), (HALF, 0)], [(BOX, 0), (FAR, 0), (FAR, 1)])
    result = estimate_quality(estimated, correct, candidates, np.array([1, 1, 1, 1, 0, 0], bool), true, missed)
    assert result["false_positives"] == {
        "estimated": 2, "actual": 2, "right": 1, "precision": 0.5, "recall": 0.5, "chance": 0.5,
    }  # fmt: skip
    assert result["false_negatives"] == {
        "estimated": 4, "actual": 2, "right": 1, "precision": 0.25, "recall": 0.5, "chance": 3 / 6,
    }  # fmt: skip
    nothing = estimate_quality([], [], frames([], []), [], truth([], []), np.zeros(0, bool))
    for part in nothing.values():
        assert part["estimated"] == part["right"] == 0 and part["precision"] is part["recall"] is part["chance"] is None


def test_perfect_estimates_are_perfect_and_guesses_near_chance():
    rng = np.random.default_rng(5)
    found, true = random_frames(rng, 800, grid=2.0)
    _, _, correct, missed = frame_errors(found, true)
    candidates = true
    result = estimate_quality(~correct, correct, candidates, missed, true, missed)
    for part in result.values():
        assert part["right"] == part["estimated"] == part["actual"] > 300 and part["precision"] == part["recall"] == 1
    assert result["false_positives"]["chance"] == pytest.approx(np.mean(~correct))
    guessed, guessed_missing = rng.random(len(correct)) < 0.5, rng.random(len(missed)) < 0.5
    for part in estimate_quality(guessed, correct, candidates, guessed_missing, true, missed).values():
        assert part["precision"] == pytest.approx(part["chance"], abs=0.06)
        assert part["recall"] == pytest.approx(0.5, abs=0.06)
