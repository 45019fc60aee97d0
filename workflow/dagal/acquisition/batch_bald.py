"""BatchBALD: the batch whose labels together say most about the weights."""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from dagal.acquisition.scores import entropy
from dagal.errors import UserError

BLOCK_ENTRIES = 1 << 19  # 4 MB of float64
DIGITS = 6  # information is compared to a millionth of a nat: rounding is not to break ties


def batch_bald(
    draws_T_N_C: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    max_joint: Annotated[int, Ge(1)] = 10_000,
    n_samples: Annotated[int, Ge(1)] = 2_000,
) -> np.ndarray:
    """Greedily the candidate that adds most to I[y_1..y_b; weights] = H[y_1..y_b] - sum_i mean_t H[p_ti] (Kirsch et al. 2019, alg. 1).

    With S chosen so far, candidate i adds sum_y q(y) H[sum_t w_t(y) p_ti] - mean_t H[p_ti], where q(y) is the probability
    of the labeling y of S and w_t(y) that of draw t given y: the paper's joint entropy without what is the same for all i,
    and without products of hundreds of probabilities. The sum runs over all possible labelings while they are at most
    ``max_joint`` (exact), afterwards over about ``n_samples`` sampled ones, equally many by each draw (importance
    sampling, sec. 3.4). mean_t H is exact throughout.

    Information is submodular: what a candidate added earlier bounds what it adds now. Only those whose bound exceeds the
    best so far are evaluated; that chooses the same while exact, and within the sampling error afterwards.
    One evaluation takes O(M T C) time for M labelings, and a choice needs between a few and N of them. Memory is O(M T)
    and blocks of some MB beside the draws.

    T draws hold log T nats at most. Candidates that add less than 1e-6 nats tie, and ties are broken at random: so is
    what a budget exceeds that information by.
    """
    n_draws, n_candidates, n_classes = draws_T_N_C.shape
    if budget > n_candidates:
        raise UserError(f"batch_bald cannot choose {budget} of {n_candidates} candidates; lower the budget.")
    if min(max_joint, n_samples) < 1:
        raise UserError("batch_bald needs max_joint and n_samples of at least 1.")
    conditional_N = sum(entropy(probs_N_C) / n_draws for probs_N_C in draws_T_N_C)
    if not np.isfinite(conditional_N).all():
        raise UserError("batch_bald needs finite probabilities; check the model for NaN or infinite outputs.")
    bound_N = np.full(n_candidates, np.inf)
    tie_N = rng.permutation(n_candidates)

    joint_M_T = np.ones((1, n_draws))  # probability of every labeling by every draw, until they are too many
    own_S = np.repeat(np.arange(n_draws), -(-n_samples // n_draws))  # the draw that samples a labeling
    log_joint_S_T = np.zeros((len(own_S), n_draws))
    selected = np.empty(budget, np.int64)
    for step in range(budget):
        if joint_M_T is None:
            weights_M_T = np.exp(log_joint_S_T - log_joint_S_T.max(1, keepdims=True))
            weights_M_T /= weights_M_T.sum(1, keepdims=True)
            weights_M_T = weights_M_T.astype(np.float32)  # finer than the sampling error, and twice as fast
            q_M = np.full(len(own_S), 1 / len(own_S), np.float32)
        else:
            weights_M_T, q_M = joint_M_T / joint_M_T.sum(1, keepdims=True), joint_M_T.mean(1)

        order = np.lexsort((tie_N, -bound_N))[: n_candidates - step]
        best, start, size = -np.inf, 0, 64
        while start < len(order) and bound_N[order[start]] > best:
            block_B = order[start : start + size]
            added_B = predictive_entropy(draws_T_N_C, block_B, weights_M_T, q_M) - conditional_N[block_B]
            bound_N[block_B] = np.round(added_B, DIGITS)
            best = max(best, bound_N[block_B].max())
            start, size = start + size, 2 * size
        evaluated = order[:start]
        chosen = selected[step] = evaluated[np.lexsort((tie_N[evaluated], -bound_N[evaluated]))[0]]
        bound_N[chosen] = -np.inf

        probs_T_C = draws_T_N_C[:, chosen].astype(np.float64)
        if joint_M_T is not None and len(joint_M_T) * n_classes <= max_joint:
            joint_M_T = (joint_M_T[:, None, :] * probs_T_C.T).reshape(-1, n_draws)
            joint_M_T = joint_M_T[joint_M_T.any(1)]
        else:
            joint_M_T = None
        cumulated_S_C = probs_T_C.cumsum(1)[own_S]
        ends_S = cumulated_S_C[:, -1]
        thresholds_S = np.minimum(rng.random(len(own_S)) * ends_S, np.nextafter(ends_S, 0))
        label_S = (cumulated_S_C > thresholds_S[:, None]).argmax(1)
        with np.errstate(divide="ignore"):
            log_joint_S_T += np.log(probs_T_C)[:, label_S].T
    return selected


def predictive_entropy(
    draws_T_N_C: np.ndarray, positions_B: np.ndarray, weights_M_T: np.ndarray, q_M: np.ndarray
) -> np.ndarray:
    """Mean over M labelings, weighted by q, of the entropy of the label of each candidate given the labeling, (B,)."""
    n_draws, _, n_classes = draws_T_N_C.shape
    dtype = weights_M_T.dtype
    entropies_B = np.empty(len(positions_B))
    block = max(1, BLOCK_ENTRIES // (len(q_M) * n_classes))
    for start in range(0, len(positions_B), block):
        probs_T_BC = draws_T_N_C[:, positions_B[start : start + block]].astype(dtype).reshape(n_draws, -1)
        given_M_BC = weights_M_T @ probs_T_BC
        logs_M_BC = np.maximum(given_M_BC, np.finfo(dtype).tiny)
        np.log(logs_M_BC, out=logs_M_BC)
        logs_M_BC *= given_M_BC
        entropies_B[start : start + block] = -(q_M @ logs_M_BC).reshape(-1, n_classes).sum(1)
    return entropies_B
