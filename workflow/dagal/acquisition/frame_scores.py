"""Acquisition scores of video frames, from the detections in them (003 sec. 2.3 and 2.5.2): float64 (N,), larger = query first.

A frame's detections are those of the detector after thresholding and suppression, with all class probabilities, the
background's included. A frame without detections scores 0, as nothing in it is uncertain.
"""

import numpy as np

from dagal.acquisition import scores


def _per_frame(value_M: np.ndarray, detection_frame_M: np.ndarray, n_candidates: int, mean: bool) -> np.ndarray:
    total_N = np.bincount(detection_frame_M, value_M, n_candidates)
    return total_N / np.maximum(np.bincount(detection_frame_M, minlength=n_candidates), 1) if mean else total_N


def mean_least_confidence(
    detection_probs_M_K: np.ndarray, detection_frame_M: np.ndarray, n_candidates: int
) -> np.ndarray:
    """Mean over the detections of 1 - the largest probability."""
    return _per_frame(scores.least_confidence(detection_probs_M_K), detection_frame_M, n_candidates, mean=True)


def mean_entropy(detection_probs_M_K: np.ndarray, detection_frame_M: np.ndarray, n_candidates: int) -> np.ndarray:
    """Mean over the detections of the entropy in nats."""
    return _per_frame(scores.entropy(detection_probs_M_K), detection_frame_M, n_candidates, mean=True)


def summed_margin(detection_probs_M_K: np.ndarray, detection_frame_M: np.ndarray, n_candidates: int) -> np.ndarray:
    """Sum over the detections of 1 - the gap between the two largest probabilities.

    003 sums "following" Brust et al. (2019), whose 1-vs-2 score of a detection is the square of this one, which the thesis does not
    mention: not squared here. The square counts a detection of gap .5 a quarter instead of half of one of gap 0.
    """
    return _per_frame(1 + scores.margin(detection_probs_M_K), detection_frame_M, n_candidates, mean=False)


def estimated_false_positives(estimated_fp_N: np.ndarray) -> np.ndarray:
    """Detections that temporal coherence holds to be wrong."""
    return estimated_fp_N.astype(np.float64)


def estimated_false_negatives(estimated_fn_N: np.ndarray) -> np.ndarray:
    """Objects that temporal coherence holds to be missed."""
    return estimated_fn_N.astype(np.float64)


def estimated_errors(estimated_fp_N: np.ndarray, estimated_fn_N: np.ndarray) -> np.ndarray:
    """Both kinds of estimated errors."""
    return (estimated_fp_N + estimated_fn_N).astype(np.float64)


def false_positives(true_fp_N: np.ndarray) -> np.ndarray:
    """Wrong detections, counted with the hidden truth: an upper bound, not deployable."""
    return true_fp_N.astype(np.float64)


def false_negatives(true_fn_N: np.ndarray) -> np.ndarray:
    """Missed objects, counted with the hidden truth: an upper bound, not deployable."""
    return true_fn_N.astype(np.float64)
