"""Acquisition scores: one float64 number per candidate, larger = query first.

A score says by the names of its arguments what it reads (see `dagal.tasks.Task.signals`).
"""

import numpy as np

from dagal.acquisition.distances import nearest_squared_distance


def random(n_candidates: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform random score (N,): top-k of it is a draw without replacement, the baseline of every paper."""
    return rng.random(n_candidates)


def least_confidence(probs_N_C: np.ndarray) -> np.ndarray:
    """1 - max_c p_c, shape (N,), in [0, 1 - 1/C] (Lewis & Gale 1994)."""
    return 1.0 - probs_N_C.max(1).astype(np.float64)


def margin(probs_N_C: np.ndarray) -> np.ndarray:
    """Minus the gap between the two largest probabilities, shape (N,), in [-1, 0] (Scheffer et al. 2001).

    A single class scores as if there were another of probability 0: -1, certain.
    """
    if probs_N_C.shape[1] == 1:
        return -probs_N_C[:, 0].astype(np.float64)
    top2_N_2 = np.partition(probs_N_C, -2, axis=1)[:, -2:].astype(np.float64)
    return top2_N_2[:, 0] - top2_N_2[:, 1]


def entropy(probs_N_C: np.ndarray) -> np.ndarray:
    """Shannon entropy of the predicted distribution in nats, shape (N,), with 0 log 0 = 0 (Settles 2009)."""
    probs_N_C = probs_N_C.astype(np.float64)
    log_N_C = np.log(probs_N_C, out=np.zeros_like(probs_N_C), where=probs_N_C > 0)
    return -np.einsum("nc,nc->n", probs_N_C, log_N_C)


def bald(draws_T_N_C: np.ndarray) -> np.ndarray:
    """Mutual information of label and weights, H[mean_t p_t] - mean_t H[p_t], in nats, shape (N,) (Houlsby et al. 2011).

    Accumulates over the T draws, so memory is two (N, C) arrays. Rounding cannot push it below 0.
    """
    mean_N_C = np.zeros(draws_T_N_C.shape[1:])
    mean_entropy_N = np.zeros(draws_T_N_C.shape[1])
    n_draws = len(draws_T_N_C)
    for probs_N_C in draws_T_N_C:
        mean_N_C += probs_N_C  # summed in float64, divided once: float16 draws lose nothing
        mean_entropy_N += entropy(probs_N_C) / n_draws
    return np.maximum(entropy(mean_N_C / n_draws) - mean_entropy_N, 0.0)


def svm_min_margin(logits_N_C: np.ndarray, weight_norms_C: np.ndarray) -> np.ndarray:
    """Minus the distance to the nearest boundary of a one-against-the-rest SVM, min_c |f_c(x)| / |w_c|, shape (N,), at most 0.

    The simple margin of Tong & Koller 2001 (sec. 4.1), who take weights of length 1, and the "closest to the decision boundary" of
    thesis 003 (sec. 5.4): a distance in feature space, not |f_c|, whose unit differs between the classes. A class without
    labels, or the only one, has no boundary (weights 0); without any, all samples score 0.
    """
    bounded_C = weight_norms_C > 0
    distances_N_C = np.abs(logits_N_C[:, bounded_C]).astype(np.float64) / weight_norms_C[bounded_C]
    return -distances_N_C.min(1) if bounded_C.any() else np.zeros(len(logits_N_C))


def predicted_loss(predicted_loss_N: np.ndarray) -> np.ndarray:
    """The loss that the learner predicts for itself, shape (N,) (Yoo & Kweon 2019; TA-VAAL's ranker)."""
    return predicted_loss_N.astype(np.float64)


def unlike_labeled(discriminator_N: np.ndarray) -> np.ndarray:
    """1 - D, D the probability of "labeled" that an adversarially trained discriminator gives, shape (N,) (Sinha et al. 2019)."""
    return 1.0 - discriminator_N.astype(np.float64)


def label_dispersion(trajectory_E_N: np.ndarray, n_classes: int) -> np.ndarray:
    """1 - f/E, f = number of training epochs that predicted the modal class, shape (N,) (Zolfaghari Bengar et al., ICANN 2021, eq. 2).

    ``trajectory_E_N`` holds the predicted class after each epoch. O(E N) time, one (N, C) array of counts.
    """
    n_epochs, n_candidates = trajectory_E_N.shape
    counts_N_C = np.zeros((n_candidates, n_classes), np.int32)
    each = np.arange(n_candidates)
    for predicted_N in trajectory_E_N:
        counts_N_C[each, predicted_N] += 1
    return 1.0 - counts_N_C.max(1) / n_epochs


def distance_to_labeled(embeddings_N_D: np.ndarray, centers_L_D: np.ndarray) -> np.ndarray:
    """Euclidean distance to the nearest labeled embedding, shape (N,): what k-center greedy maximises first (Sener & Savarese 2018)."""
    return np.sqrt(nearest_squared_distance(embeddings_N_D, centers_L_D)).astype(np.float64)


def gradient_norm(probs_N_C: np.ndarray, embeddings_N_D: np.ndarray) -> np.ndarray:
    """Norm of the last layer's gradient at the predicted label, ||p - onehot(argmax p)|| ||x||, shape (N,) (Ash et al. 2020, BADGE)."""
    residuals_N_C = probs_N_C.astype(np.float64)
    residuals_N_C[np.arange(len(probs_N_C)), probs_N_C.argmax(1)] -= 1
    return np.linalg.norm(residuals_N_C, axis=1) * np.linalg.norm(embeddings_N_D.astype(np.float64), axis=1)


def expected_gradient_length(probs_N_C: np.ndarray, embeddings_N_D: np.ndarray) -> np.ndarray:
    """Expected norm of the last layer's gradient, sum_c p_c ||p - onehot(c)|| ||x||, shape (N,) (Settles et al. 2008).

    The expectation is over the label that the model itself expects; the gradient is that of the cross-entropy with regard to the
    weights of the head, (p - onehot(c)) (x) x, whose norm needs no gradient: ||p - onehot(c)||^2 = ||p||^2 - 2 p_c + 1. The loss
    on the labeled samples is at a minimum, so it adds nothing (their approximation). O(N (C + D)) time.
    """
    probs_N_C = probs_N_C.astype(np.float64)
    squared_N_C = np.einsum("nc,nc->n", probs_N_C, probs_N_C)[:, None] - 2 * probs_N_C + 1
    expected_N = np.einsum("nc,nc->n", probs_N_C, np.sqrt(np.maximum(squared_N_C, 0)))
    return expected_N * np.linalg.norm(embeddings_N_D.astype(np.float64), axis=1)


def dfal(boundary_N: np.ndarray) -> np.ndarray:
    """Minus the DeepFool distance to the decision boundary, shape (N,) (Ducoffe & Precioso 2018)."""
    return -boundary_N.astype(np.float64)


def noise_change(noise_K_N_C: np.ndarray) -> np.ndarray:
    """Length of the change of the class probabilities under all K noises in the weights, shape (N,) (Li et al. 2024, NoiseStability)."""
    return np.sqrt(sum(np.einsum("nc,nc->n", noise_N_C, noise_N_C, dtype=np.float64) for noise_N_C in noise_K_N_C))


def misclassified(probs_N_C: np.ndarray, truth_N: np.ndarray) -> np.ndarray:
    """1 where the model is wrong, else 0, shape (N,): the oracle upper bound. Reads the truth, so simulation only."""
    return (probs_N_C.argmax(1) != truth_N).astype(np.float64)


def variation_ratio(draws_T_N_C: np.ndarray) -> np.ndarray:
    """1 - f_m/T, f_m = number of draws whose most probable class is the modal one, shape (N,) (Freeman 1965; Gal 2016, sec. 3.3.1).

    The draws may as well be the models of a deep ensemble. O(T N C) time, a (T, N) and an (N, C) array of integers.
    """
    return label_dispersion(draws_T_N_C.argmax(2), draws_T_N_C.shape[2])


def vote_entropy(draws_T_N_C: np.ndarray) -> np.ndarray:
    """Entropy in nats of the votes of the draws for their most probable class, shape (N,) (Dagan & Engelson 1995; query by committee).

    The committee are the models of a deep ensemble, or passes with dropout. Its other measure, the mean divergence
    KL(p_t || mean p) of a member from the consensus (McCallum & Nigam 1998), is `bald`. O(T N C) time, two (N, C) arrays.
    """
    n_draws, n_candidates, n_classes = draws_T_N_C.shape
    votes_N_C = np.zeros((n_candidates, n_classes))
    for probs_N_C in draws_T_N_C:
        votes_N_C[np.arange(n_candidates), probs_N_C.argmax(1)] += 1
    return entropy(votes_N_C / n_draws)


def mean_std(draws_T_N_C: np.ndarray) -> np.ndarray:
    """Standard deviation of a class's probability over the draws, averaged over the classes, shape (N,) (Kampffmeyer et al. 2016).

    The draws may as well be the models of a deep ensemble. Passes over the T draws twice, so memory is two (N, C) arrays.
    """
    n_draws = len(draws_T_N_C)
    mean_N_C, variance_N_C = np.zeros((2, *draws_T_N_C.shape[1:]))
    for probs_N_C in draws_T_N_C:
        mean_N_C += probs_N_C
    mean_N_C /= n_draws
    for probs_N_C in draws_T_N_C:
        variance_N_C += (probs_N_C - mean_N_C) ** 2 / n_draws
    return np.sqrt(variance_N_C).mean(1)
