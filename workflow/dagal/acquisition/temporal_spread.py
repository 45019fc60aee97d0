"""The best frames of every video, none of them beside another labeled one (Random+R and all methods of 003 ch. 2)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge


@dataclass(frozen=True)
class Spread:
    """Selected frames, and how many of them lie beside another because nothing else was left."""

    positions: np.ndarray
    too_close: int


def temporal_spread(
    score_N: np.ndarray,
    video_N: np.ndarray,
    frame_N: np.ndarray,
    labeled_video_L: np.ndarray,
    labeled_frame_L: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    neighbors: Annotated[int, Ge(0)] = 1,
) -> Spread:
    """In turns, every video's best frame by score that is more than ``neighbors`` frames away from all labeled or selected ones.

    Within a turn the videos follow by falling score of their frame, so that a budget below the number of videos takes the best
    of them. Ties are random. Where such frames run out, the best of the others follow. ``video_N`` and ``frame_N`` number the
    candidates' videos and their frames in time. O(N log N + budget x videos) time.
    """
    score_N = np.asarray(score_N, np.float64)
    order = np.lexsort((rng.random(len(score_N)), -score_N))
    taken = set(zip(labeled_video_L.tolist(), labeled_frame_L.tolist(), strict=True))
    queues = {}
    for rank, position in enumerate(order):
        queues.setdefault(int(video_N[position]), []).append((rank, int(position)))
    queues = {video: iter(queue) for video, queue in queues.items()}

    def best(video):
        for rank, position in queues[video]:
            frame = int(frame_N[position])
            if not any((video, near) in taken for near in range(frame - neighbors, frame + neighbors + 1)):
                return rank, position, video
        return None

    chosen = []
    while len(chosen) < budget:
        turn = sorted(filter(None, map(best, queues)))[: budget - len(chosen)]
        if not turn:
            break
        for _, position, video in turn:
            chosen.append(position)
            taken.add((video, int(frame_N[position])))
        queues = {video: queues[video] for _, _, video in turn}
    too_close = budget - len(chosen)
    left = order[~np.isin(order, chosen)][:too_close]
    return Spread(np.array([*chosen, *left], np.int64), too_close)
