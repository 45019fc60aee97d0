"""Boxes, optical flow on a grid, and boxes that follow it."""

import numpy as np
import pytest

from dagal import geometry as boxes
from dagal.errors import UserError
from dagal.tasks.detection import flow, tracks
from dagal.tasks.detection.tracks import STEPS


def test_overlap_by_hand():
    one = np.array([0, 0, 10, 10.0])
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 7, 6], [3, 3, 3, 9], [np.nan] * 4])
    np.testing.assert_allclose(boxes.overlap(one, others), [1, 50 / 150, 0, 20 / 100, 0, 0])


def test_pairs_by_hand():
    which, member = boxes.pairs(np.array([2, 5, 0]), np.array([4, 5, 3]))
    assert which.tolist() == [0, 0, 2, 2, 2]
    assert member.tolist() == [2, 3, 0, 1, 2]


def grid(n_frames, motion, rows=6, columns=8):
    return np.broadcast_to(np.float32(motion), (n_frames, rows, columns, 2))


def test_uniform_motion_is_chained():
    found = tracks.by_flow(np.array([3]), np.float32([[40, 20, 60, 40]]), grid(7, (3, 1)), grid(7, (-3, -1)), (60, 80))
    np.testing.assert_allclose(found[0], [[40 + 3 * s, 20 + s, 60 + 3 * s, 40 + s] for s in STEPS])


def test_chain_reads_the_frame_it_has_reached():
    forward = grid(4, (0, 0)).copy()
    forward[0], forward[1], forward[2] = (1, 0), (10, 0), (2, 0)
    found = tracks.by_flow(np.array([0]), np.float32([[20, 20, 30, 30]]), forward, grid(4, (0, 0)), (60, 80))
    np.testing.assert_allclose(found[0, 3:, 0], [21, 31, 33])
    backward = grid(4, (0, 0)).copy()
    backward[3], backward[2], backward[1] = (-4, 0), (-5, 0), (-6, 0)
    found = tracks.by_flow(np.array([3]), np.float32([[40, 20, 50, 30]]), grid(4, (0, 0)), backward, (60, 80))
    np.testing.assert_allclose(found[0, :3, 0], [25, 31, 36])  # -3, -2, -1


def test_nan_beyond_the_video_and_outside_the_image():
    found = tracks.by_flow(np.array([1]), np.float32([[60, 20, 76, 30]]), grid(3, (9, 0)), grid(3, (0, 0)), (60, 80))
    gone = np.isnan(found[0]).all(1)
    assert gone.tolist() == [True, True, False, False, True, True]
    np.testing.assert_allclose(found[0, STEPS.index(1)], [69, 20, 80, 30])  # cut at the image
    leaves = tracks.by_flow(np.array([0]), np.float32([[60, 20, 80, 30]]), grid(5, (6, 0)), grid(5, (0, 0)), (60, 80))
    assert np.isnan(leaves[0]).all(1).tolist() == [True, True, True, False, True, True]  # centres 76, 82


def test_one_frame_and_no_detections():
    assert np.isnan(
        tracks.by_flow(np.array([0]), np.float32([[1, 1, 5, 5]]), grid(1, (1, 1)), grid(1, (1, 1)), (60, 80))
    ).all()
    nothing = tracks.by_flow(
        np.zeros(0, np.int64), np.zeros((0, 4), np.float32), grid(2, (1, 1)), grid(2, (1, 1)), (60, 80)
    )
    assert nothing.shape == (0, 6, 4)


def test_flow_is_interpolated_between_cell_centres():
    ramp = np.zeros((1, 3, 4, 2), np.float32)
    ramp[..., 0] = np.arange(4)
    ramp[..., 1] = np.arange(3)[:, None]
    found = tracks.sample(ramp, np.zeros(4, int), np.array([5, 10, 0, 40.0]), np.array([5, 15, 0, 30.0]), (30, 40))
    # cells are 10 px: centres at 5, 15, ...
    np.testing.assert_allclose(found, [[0, 0], [0.5, 1], [0, 0], [3, 2]])


def test_coarse_is_the_mean_of_cells():
    fine = np.random.default_rng(0).normal(size=(8, 12, 2)).astype(np.float32)
    np.testing.assert_allclose(flow.coarse(fine, 4), fine.reshape(2, 4, 3, 4, 2).mean((1, 3)), rtol=1e-5)
    assert flow.coarse(fine, 5).shape == (2, 3, 2)
    valid = np.zeros((8, 12), bool)
    valid[1, 2] = True
    cells = flow.coarse(fine, 4, valid)
    np.testing.assert_allclose(cells[0, 0], fine[1, 2], rtol=1e-6)
    assert np.isnan(cells[1:]).all()


def moving_texture(n_frames, shift):
    import cv2

    rng = np.random.default_rng(1)
    canvas = cv2.GaussianBlur(rng.integers(0, 255, (120, 260, 3), dtype=np.uint8), (0, 0), 2)
    canvas = cv2.normalize(canvas, None, 0, 255, cv2.NORM_MINMAX)
    return [canvas[:, 50 - shift * t : 210 - shift * t] for t in range(n_frames)]


def test_dis_finds_a_shift():
    found = list(flow.of_video(moving_texture(3, 3), flow.dis(), 4))
    assert len(found) == 3
    assert found[0][0].shape == (30, 40, 2)
    inner = np.s_[3:-3, 3:-3]
    for forward, backward in found[:-1], found[1:]:
        del forward, backward
    np.testing.assert_allclose(found[0][0][inner], np.broadcast_to([3, 0], (24, 34, 2)), atol=0.3)
    np.testing.assert_allclose(found[1][1][inner], np.broadcast_to([-3, 0], (24, 34, 2)), atol=0.3)
    assert not found[0][1].any()
    assert not found[2][0].any()


def test_order_of_the_pairs():
    asked = []

    def record(first, second):
        asked.append((int(first[0, 0, 0]), int(second[0, 0, 0])))
        return np.full((4, 4, 2), second[0, 0, 0] - float(first[0, 0, 0]), np.float32)

    frames = [np.full((4, 4, 3), 10 * t, np.uint8) for t in (1, 2, 4)]
    found = [(forward[0, 0, 0], backward[0, 0, 0]) for forward, backward in flow.of_video(frames, record, 2)]
    assert asked == [(10, 20), (20, 10), (20, 40), (40, 20)]
    assert found == [(10, 0), (20, -10), (0, -20)]


def test_video_of_one_frame_has_no_motion():
    ((forward, backward),) = flow.of_video([np.zeros((9, 8, 3), np.uint8)], flow.dis(), 4)
    assert forward.shape == backward.shape == (3, 2, 2)
    assert not forward.any()
    assert not backward.any()
    assert list(flow.of_video([], flow.dis(), 4)) == []


def test_end_point_error_by_hand():
    assert flow.end_point_error(np.float16([[[3, 5]]]), np.float32([[[0, 1]]])).tolist() == [[5]]


def test_raft_runs_and_refuses_foreign_weights(tmp_path):
    import torch
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    path = tmp_path / "raft.pt"
    torch.save(raft_small(weights=None).state_dict(), path)
    frames = moving_texture(2, 1)
    motion = flow.raft(str(path), torch.device("cpu"))(frames[0][:, :90], frames[1][:, :90])
    assert motion.shape == (120, 90, 2)
    assert np.isfinite(motion).all()
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="raft"):
        flow.raft(str(path), torch.device("cpu"))
