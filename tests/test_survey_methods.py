"""Methods of the survey (002) and its successors, each against its equation written out and a case computed by hand."""

import math

import numpy as np
import pytest
from conftest import SMALL
from test_batch_selectors import generator, some_probs

from dagal import artifacts, config, tasks
from dagal.acquisition import methods, scores
from dagal.acquisition import waal as waal_module
from dagal.acquisition.acs_fw import acs_fw, frank_wolfe, log_likelihoods
from dagal.acquisition.alfa_mix import alfa_mix, anchors, mixing_share
from dagal.acquisition.average_margin import average_margin
from dagal.acquisition.clue import clue, softened
from dagal.acquisition.cluster_margin import cluster_margin
from dagal.acquisition.clusters import rank_in_group
from dagal.acquisition.exploration_p import exploration_p
from dagal.acquisition.gcn import core_gcn, gradients, inverse_degrees, spread, train, uncertain_gcn, unit_lengths
from dagal.acquisition.kcenter import kcenter_greedy
from dagal.acquisition.noise_stability import noise_stability
from dagal.acquisition.waal import doubt_bound, waal
from dagal.errors import UserError
from dagal.plan import Study

TASK = tasks.find("classification")
METHODS = [
    "exploration_p", "average_margin", "qbc_vote_entropy", "qbc_kl", "debal", "expected_gradient_length", "cluster_margin",
    "clue", "acs_fw", "alfa_mix", "uncertain_gcn", "core_gcn", "noise_stability", "waal",
]  # fmt: skip


# all of them, through the files of a node


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What a node tells of 40 images, 30 of them unlabeled."""
    folder, origin, rng = tmp_path_factory.mktemp("node"), artifacts.provenance("test", {}), generator()
    pool, labeled = np.arange(40)[np.arange(40) % 4 > 0], np.arange(0, 40, 4)
    signals = {
        "ids": pool,
        "probabilities": some_probs(30).astype(np.float32),
        "embeddings": rng.normal(size=(30, 6)).astype(np.float32),
        "labeled_ids": labeled,
        "labeled_embeddings": rng.normal(size=(10, 6)).astype(np.float32),
    }
    data = {
        "signals": signals,
        "draws": {"ids": pool, "draws": some_probs(8, 30).astype(np.float32)},
        "noise": {"ids": pool, "changes": rng.normal(size=(3, 30, 4)).astype(np.float32)},
        "head": {"weights": rng.normal(size=(4, 6)), "biases": rng.normal(size=4)},
        "labeled": {"ids": labeled, "labels": labeled // 4 % 4, "cycle": np.zeros(10, np.int64)},
    }
    for kind, values in data.items():
        about = {"class_names": list("abcd")} if kind == "labeled" else {}
        artifacts.write(folder / f"{kind}.h5", kind, origin, values, **about)
    return {kind: str(folder / f"{kind}.h5") for kind in data}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_chooses_a_batch_from_the_files_of_a_node(name, files):
    composed = methods.compose(name, {}, TASK)
    (ids,) = artifacts.read(files["signals"], "signals", "ids")
    score = methods.find("score", composed["score"], TASK)
    context = {"n_candidates": len(ids), "n_classes": 4, "cycle": 1, "rng": generator()}
    score_N = score(**methods.gather(score, files, ids, context, TASK))
    assert score_N.shape == ids.shape and np.isfinite(score_N).all()
    chosen = [
        methods.query(composed["select"], files, ids, score_N, 7, 1, generator(), {}, TASK)[0].tolist()
        for _ in range(2)
    ]
    assert chosen[0] == chosen[1] and len(set(chosen[0])) == 7


# Exploration-P


def objective(score_N, points_N_D, batch, alpha):
    """I(S) of 002, eq. 6 and 7, written out."""
    redundancy = sum(points_N_D[i] @ points_N_D[j] for i in batch for j in batch)
    return sum(score_N[i] for i in batch) - alpha / len(batch) * redundancy


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 2.0])
def test_exploration_p_is_greedy_in_its_objective(alpha, normalize):
    score_N, points_N_D = generator(1).random(25), generator(2).normal(size=(25, 3))
    chosen = exploration_p(score_N, points_N_D, 8, 1, generator(), alpha=alpha, exploration=0, normalize=normalize)
    if normalize:
        points_N_D = points_N_D / np.linalg.norm(points_N_D, axis=1, keepdims=True)
    batch = []
    for _ in range(8):
        left = [i for i in range(25) if i not in batch]
        batch.append(max(left, key=lambda i: objective(score_N, points_N_D, [*batch, i], alpha)))
    assert chosen.tolist() == batch


def test_exploration_p_by_hand():
    """I({0}) = 1 - 1; then I({0, 1}) = 1.9 - (1 + 1 + 2) / 2 = -.1, and I({0, 2}) = 1.5 - (1 + 1) / 2 = .5."""
    score_N, points_N_D = np.array([1, 0.9, 0.5]), np.array([[2.0, 0], [3, 0], [0, 1]])
    assert exploration_p(score_N, points_N_D, 3, 1, generator(), exploration=0).tolist() == [0, 2, 1]
    # as printed, without unit lengths: 1 - 4 and .9 - 9 are below .5 - 1
    assert exploration_p(score_N, points_N_D, 1, 1, generator(), exploration=0, normalize=False).tolist() == [2]
    assert exploration_p(score_N, points_N_D, 3, 1, generator(), alpha=0, exploration=0).tolist() == [0, 1, 2]


def test_exploration_falls_with_the_cycles():
    """Of 400 candidates the single best one is taken unless the choice is random: with probability 1 - .8 x .5 ^ (cycle - 1)."""
    score_N, points_N_D = np.arange(400.0), np.zeros((400, 2))
    for cycle, chance in {1: 0.8, 2: 0.4, 4: 0.1}.items():
        greedy = [
            exploration_p(score_N, points_N_D, 1, cycle, generator(seed), exploration=0.8)[0] == 399
            for seed in range(500)
        ]
        assert abs(np.mean(greedy) - (1 - chance)) < 4 * math.sqrt(chance * (1 - chance) / 500)


# average margin


def test_average_margin_by_hand():
    """Mean margins .8 of class 0 and .2 of class 1: of 5, a fifth and four fifths; within a class the best-scored."""
    probs_N_C = np.repeat([[0.9, 0.1], [0.4, 0.6]], 6, axis=0)
    score_N = np.array([1, 2, 3, 0, 0, 0, 1, 5, 2, 4, 0, 2.5])
    assert average_margin(score_N, probs_N_C, 5, generator()).tolist() == [7, 9, 2, 11, 8]
    # of 10, 2 and 8; class 1 has 6, and two more of class 0 take the place of the others
    assert set(average_margin(score_N, probs_N_C, 10, generator())) > {0, 1, 2, 6, 7, 8, 9, 10, 11}


@pytest.mark.parametrize("seed", range(10))
def test_average_margin_gives_each_class_its_share(seed):
    rng = generator(seed)
    probs_N_C, score_N = some_probs(200, seed=seed), rng.random(200)
    chosen = average_margin(score_N, probs_N_C, 30, rng)
    predicted_N, top_N_2 = probs_N_C.argmax(1), np.sort(probs_N_C, axis=1)[:, -2:]
    doubt_C = [1 - np.mean((top_N_2[:, 1] - top_N_2[:, 0])[predicted_N == c]) for c in range(4)]
    for c in range(4):
        mine, ranked = set(chosen[predicted_N[chosen] == c]), np.argsort(-np.where(predicted_N == c, score_N, -1))
        assert abs(len(mine) - 30 * doubt_C[c] / sum(doubt_C)) < 1
        assert mine == set(ranked[: len(mine)])
    assert (np.diff(score_N[chosen]) <= 0).all()


def test_rank_in_group_by_hand():
    assert rank_in_group(np.array([2, 0, 2, 2, 0, 1])).tolist() == [0, 0, 1, 2, 1, 0]


# query by committee, and members with dropout


def test_vote_entropy_by_hand():
    votes_T_N = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 1, 3]])  # of 4 members on 3 samples
    found = scores.vote_entropy(np.eye(4)[votes_T_N])
    np.testing.assert_allclose(found, [0, math.log(2), math.log(4)], rtol=1e-15)
    # 3 of 4 votes, whatever the probabilities behind them
    draws_T_N_C = np.array([[[0.6, 0.4]], [[0.51, 0.49]], [[0.9, 0.1]], [[0.0, 1.0]]])
    np.testing.assert_allclose(scores.vote_entropy(draws_T_N_C), [-0.75 * math.log(0.75) - 0.25 * math.log(0.25)])


def test_vote_entropy_agrees_with_scikit_activeml():
    from skactiveml.pool import vote_entropy

    draws_T_N_C = some_probs(7, 50)
    votes_N_T = draws_T_N_C.argmax(2).T
    theirs = vote_entropy(votes_N_T, classes=list(range(4)))
    np.testing.assert_allclose(scores.vote_entropy(draws_T_N_C), theirs, rtol=1e-9, atol=1e-12)


def test_divergence_from_the_consensus_is_bald():
    """KL(p_t || mean p), averaged over the committee (McCallum & Nigam 1998), written out."""
    draws_T_N_C = some_probs(5, 40)
    mean_N_C = draws_T_N_C.mean(0)
    expected = [
        np.mean(
            [
                sum(p * math.log(p / q) for p, q in zip(draw[i], mean_N_C[i], strict=True) if p > 0)
                for draw in draws_T_N_C
            ]
        )
        for i in range(40)
    ]
    np.testing.assert_allclose(scores.bald(draws_T_N_C), expected, rtol=1e-9, atol=1e-12)


def test_debal_reads_the_passes_of_all_members():
    composed = methods.compose("debal", {}, TASK)
    assert methods.signals(composed, TASK) == [("draws", "draws")]
    assert TASK.file_of(composed, "draws") == "ensemble_dropout"
    assert TASK.file_of(methods.compose("qbc_kl", {}, TASK), "draws") == "ensemble"
    assert TASK.file_of(methods.compose("bald", {}, TASK), "draws") == "draws"


# expected gradient length


def test_expected_gradient_length_by_hand():
    """p = (.75, .25), x = (3, 4): .75 |(-.25, .25)| 5 + .25 |(.75, -.75)| 5."""
    found = scores.expected_gradient_length(np.array([[0.75, 0.25], [1.0, 0]]), np.array([[3.0, 4], [3, 4]]))
    np.testing.assert_allclose(found, [0.375 * math.sqrt(2) * 5, 0], rtol=1e-14)


def test_expected_gradient_length_is_that_of_autograd():
    import torch

    head = torch.nn.Linear(6, 4).double()
    points_N_D = torch.from_numpy(generator().normal(size=(20, 6)))
    probs_N_C = torch.softmax(head(points_N_D), 1).detach().numpy()
    expected = np.zeros(20)
    for i, label in np.ndindex(20, 4):
        loss = torch.nn.functional.cross_entropy(head(points_N_D[i : i + 1]), torch.tensor([label]))
        (gradient,) = torch.autograd.grad(loss, head.weight)
        expected[i] += probs_N_C[i, label] * gradient.norm().item()
    np.testing.assert_allclose(scores.expected_gradient_length(probs_N_C, points_N_D.numpy()), expected, rtol=1e-10)


# Cluster-Margin


def test_cluster_margin_by_hand():
    """Clusters of 1, 3 and 6: one of each, then of the two that have more left, then of these again."""
    points_N_D = np.repeat([[0.0, 0], [9, 0], [0, 9]], [6, 1, 3], axis=0) + generator().normal(size=(10, 2)) * 0.01
    blob = np.repeat([6, 1, 3], [6, 1, 3])
    for seed in range(5):
        chosen = cluster_margin(np.zeros(10), points_N_D, 6, generator(seed), cluster_size=4)
        assert blob[chosen].tolist() == [1, 3, 6, 3, 6, 3]
    # the largest scores alone are clustered
    kept = cluster_margin(-np.arange(10.0), points_N_D, 2, generator(), prefilter=3, cluster_size=3)
    assert set(kept) <= set(range(6))


@pytest.mark.parametrize("seed", range(5))
def test_cluster_margin_goes_round_the_clusters_of_scikit_learn(seed):
    from sklearn.cluster import AgglomerativeClustering

    rng = generator(seed)
    score_N, points_N_D = rng.random(80), rng.normal(size=(80, 2))
    chosen = cluster_margin(score_N, points_N_D, 12, rng, prefilter=5, cluster_size=8)
    kept = np.argsort(-score_N)[:60]
    cluster = dict(zip(kept, AgglomerativeClustering(8, linkage="average").fit_predict(points_N_D[kept]), strict=True))
    size = {c: list(cluster.values()).count(c) for c in range(8)}
    left, expected = dict(size), []
    while len(expected) < 12:
        for c in sorted(size, key=size.get):
            if left[c] and len(expected) < 12:
                left[c] -= 1
                expected.append(size[c])
    assert [size[cluster[position]] for position in chosen] == expected
    assert len({cluster[position] for position in chosen[:8]}) == 8


# CLUE


def test_softened_probabilities_are_those_of_divided_logits():
    logits_N_C = generator().normal(size=(30, 5)) * 3

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(1, keepdims=True)

    for temperature in (0.1, 1, 4):
        found = softened(softmax(logits_N_C), temperature)
        np.testing.assert_allclose(found, softmax(logits_N_C / temperature), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_clue_takes_the_nearest_to_the_mean_weighted_by_entropy(temperature):
    """With one center, k-means has one answer."""
    for seed in range(10):
        probs_N_C, points_N_D = some_probs(40, seed=seed), generator(seed).normal(size=(40, 3)).astype(np.float32)
        weights_N = scores.entropy(softened(probs_N_C, temperature))
        mean_D = (weights_N[:, None] * points_N_D).sum(0) / weights_N.sum()
        (chosen,) = clue(probs_N_C, points_N_D, 1, generator(), temperature=temperature)
        assert chosen == np.linalg.norm(points_N_D - mean_D, axis=1).argmin()


def test_clue_by_hand():
    """Two clusters on a line; in each the unsure sample pulls the center, at 4 of 0, 1, 4 and at 10 of 10, 13, 14."""
    points_N_D, sure, unsure = np.array([[0.0], [1], [4], [10], [13], [14]]), [1.0, 0.0], [0.5, 0.5]
    chosen = clue(np.array([sure, sure, unsure, unsure, sure, sure]), points_N_D, 2, generator())
    assert sorted(chosen) == [2, 3]
    chosen = clue(np.array([unsure] * 6), points_N_D, 2, generator())  # centers at 5/3 and 37/3
    assert sorted(chosen) == [1, 4]


# ACS-FW


def test_log_likelihoods_by_hand():
    """Mean p (1/2, 1/2): (ln(3/4 1/4) / 2 + ln 2) / sqrt 2 = ln(3/4) / sqrt 8 for both draws; 0 where the draws agree."""
    draws_T_N_C = np.array([[[0.75, 0.25], [0.9, 0.1]], [[0.25, 0.75], [0.9, 0.1]]])
    expected = [[math.log(0.75) / math.sqrt(8)] * 2, [0, 0]]
    np.testing.assert_allclose(log_likelihoods(draws_T_N_C), expected, atol=1e-15)


def test_frank_wolfe_by_hand():
    """(2, 0), (0, 1), (1, 1), (-1, 0) add up to (2, 2), whose direction is that of the third."""
    vectors_N_T = np.array([[2.0, 0], [0, 1], [1, 1], [-1, 0]])
    assert frank_wolfe(vectors_N_T, 1, generator()).tolist() == [2]
    # (2, 0), (0, 1), (.5, .6) add up to (2.5, 1.6) and have the lengths 2, 1, .78: the third has the largest inner product,
    # 2.83; .748 of the way to its vertex (2.42, 2.90) leave (.69, -.57), along the first
    assert frank_wolfe(np.array([[2.0, 0], [0, 1], [0.5, 0.6]]), 2, generator()).tolist() == [2, 0]
    # (2, 0) and (0, 1) alone: first 2/3 of the way to (3, 0), which leaves (0, 1)
    assert frank_wolfe(vectors_N_T[:2], 2, generator()).tolist() == [0, 1]


def frank_wolfe_by_weights(vectors_N_T, steps):
    """The algorithm of Pinsler et al. 2019 with its weights written out: the vectors visited, and the squares that are left."""
    length_N = np.linalg.norm(vectors_N_T, axis=1)
    total, weights_N, visited, squares = length_N.sum(), np.zeros(len(vectors_N_T)), [], []
    for _ in range(steps):
        left_T = (1 - weights_N) @ vectors_N_T
        best = max(range(len(vectors_N_T)), key=lambda n: left_T @ vectors_N_T[n] / length_N[n])
        toward_T = total / length_N[best] * vectors_N_T[best] - weights_N @ vectors_N_T
        share = min(1, max(0, toward_T @ left_T / (toward_T @ toward_T)))
        weights_N *= 1 - share
        weights_N[best] += share * total / length_N[best]
        visited.append(best)
        squares.append(np.square((1 - weights_N) @ vectors_N_T).sum())
    return visited, squares


@pytest.mark.parametrize("seed", range(10))
def test_acs_fw_visits_what_the_algorithm_visits(seed):
    draws_T_N_C = some_probs(6, 30, seed=seed)
    visited, squares = frank_wolfe_by_weights(log_likelihoods(draws_T_N_C), 100)
    assert (np.diff(squares) <= 1e-9).all() and squares[-1] < squares[0]
    different = list(dict.fromkeys(visited))
    budget = min(5, len(different))
    assert acs_fw(draws_T_N_C, budget, generator(seed)).tolist() == different[:budget]


# ALFA-Mix


def test_mixing_share_by_hand():
    """z = 1 is of class 0 while z > 0, and has to go by 1; the farther of the anchors 2 and -3 is 4 away."""
    weights_C_D, anchors_C_D = np.array([[1.0], [-1]]), np.array([[2.0], [-3]])
    assert mixing_share(np.array([[1.0]]), anchors_C_D, weights_C_D, np.zeros(2)).tolist() == [0.25]
    # class 0 while z > -1 with a bias of 2 (logits 3 and -1): 2 of 4; with equal weights nothing changes it
    assert mixing_share(np.array([[1.0]]), anchors_C_D, weights_C_D, np.array([2.0, 0])).tolist() == [0.5]
    assert mixing_share(np.array([[1.0]]), anchors_C_D, np.ones((2, 1)), np.array([2.0, 0])).tolist() == [np.inf]


def test_mixing_share_is_that_of_the_closed_form_by_autograd():
    """Shares per coordinate by their closed form for every anchor, features mixed with them, and what the head then predicts."""
    import torch

    rng = generator(3)
    points_N_D, anchors_C_D = rng.normal(size=(60, 6)), rng.normal(size=(5, 6))
    head = torch.nn.Linear(6, 5).double()
    weights_C_D, biases_C = (parameter.detach().numpy() for parameter in head.parameters())
    found = mixing_share(points_N_D, anchors_C_D, weights_C_D, biases_C)
    points = torch.tensor(points_N_D, requires_grad=True)
    predicted = head(points).argmax(1)
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(head(points), predicted), points)
    assert (np.isfinite(found)).any()
    for share in np.linspace(0.02, 3, 60):
        changed = torch.zeros(60, dtype=torch.bool)
        for anchor in torch.tensor(anchors_C_D):
            difference = anchor - points.detach()
            direction = gradient / gradient.norm(dim=1, keepdim=True)
            alpha = share / math.sqrt(6) * difference.norm(dim=1, keepdim=True) * direction / difference
            changed |= head(alpha * anchor + (1 - alpha) * points.detach()).argmax(1) != predicted
        np.testing.assert_array_equal(changed.numpy(), found < share)


def test_mixing_share_of_very_sure_predictions_is_finite():
    points_N_D, weights_C_D = np.array([[1.0, 0], [800, 0]]), np.array([[1.0, 0], [-1, 0]])
    found = mixing_share(points_N_D, np.array([[-1.0, 0], [0, 0]]), weights_C_D, np.zeros(2))
    np.testing.assert_allclose(found, [math.sqrt(2) * 1 / 2, math.sqrt(2) * 800 / 801])


def test_alfa_mix_chooses_among_those_that_change_first():
    """Class 0 on the right of 0. Of b = 4, more than 4 have to change: the 6 nearest do in the round of the smallest step."""
    beside_N = np.concatenate([np.linspace(1, 1.2, 6), np.linspace(50, 90, 20)])
    points_N_D = np.stack([beside_N, generator().normal(size=26)], 1)
    centers_L_D, labels_L = np.array([[100.0, 0], [-100, 0]]), np.array([0, 1])
    weights_C_D, arguments = np.array([[1.0, 0], [-1, 0]]), (np.zeros(2), 4, generator())
    chosen = alfa_mix(points_N_D, centers_L_D, labels_L, weights_C_D, *arguments)
    assert set(chosen) < set(range(6))
    # no prediction changes: random ones
    chosen = alfa_mix(points_N_D, centers_L_D, labels_L, np.ones((2, 2)), *arguments)
    assert len(set(chosen)) == 4 and not set(chosen) <= set(range(6))


def test_anchors_by_hand():
    found = anchors(np.array([[0.0, 2], [2, 4], [7, 9]]), np.array([0, 0, 2]), 3)
    np.testing.assert_allclose(found, [[1, 3], [3, 5], [7, 9]])


# graph convolution


def graph_of(points_M_D):
    """The matrix of the authors' code: cosines without the diagonal, columns divided by their sums, and loops."""
    cosines_M_M = points_M_D @ points_M_D.T
    np.fill_diagonal(cosines_M_M, 0)
    return cosines_M_M / cosines_M_M.sum(0) + np.eye(len(points_M_D))


def test_spread_by_hand():
    """Cosines 0, .6 and .8 to the third: degrees .6, .8 and 1.4. It gives .6 / 1.4 and .8 / 1.4 of its value, and gets all of theirs."""
    points_M_D = unit_lengths(np.array([[2.0, 0], [0, 3], [3, 4]]))
    inverse_M_1 = inverse_degrees(points_M_D)
    np.testing.assert_allclose(1 / inverse_M_1[:, 0], [0.6, 0.8, 1.4])
    found = spread(points_M_D, inverse_M_1, np.array([[1.0], [10], [100]]))
    np.testing.assert_allclose(found[:, 0], [1 + 60 / 1.4, 10 + 80 / 1.4, 111])
    # alone, or without any length, a point keeps what it has
    alone = unit_lengths(np.array([[1.0, 0], [0, 1], [-1, -1]]))
    assert spread(alone, inverse_degrees(alone), np.array([[1.0], [2], [3]])).tolist() == [[1], [2], [3]]


def test_spread_is_the_product_with_the_graph():
    points_M_D = unit_lengths(generator().random((30, 8)))
    values_M_K = generator(1).normal(size=(30, 3))
    found = spread(points_M_D, inverse_degrees(points_M_D), values_M_K)
    np.testing.assert_allclose(found, graph_of(points_M_D) @ values_M_K, rtol=1e-10)


def loss_of(parameters, graph, points, is_labeled, kept):
    """The authors' network and loss in torch."""
    import torch

    weights, biases, more_weights, more_biases = parameters
    hidden = torch.relu(graph @ (points @ weights) + biases) * kept
    score = torch.sigmoid(graph @ (hidden @ more_weights) + more_biases)[:, 0]
    return -torch.log(score[is_labeled]).mean() - 1.2 * torch.log(1 - score[~is_labeled]).mean(), hidden, score


def test_gradients_of_the_graph_network_are_those_of_autograd():
    import torch

    rng = generator()
    points_M_D, is_labeled_M = unit_lengths(rng.random((20, 5))), np.arange(20) >= 14
    parameters = [rng.normal(size=shape) for shape in ((5, 7), (7,), (7, 1), (1,))]
    kept_M_H = (rng.random((20, 7)) > 0.3) / 0.7
    graph_M_M, inverse_M_1 = graph_of(points_M_D), inverse_degrees(points_M_D)
    found = gradients(parameters, graph_M_M @ points_M_D, points_M_D, inverse_M_1, is_labeled_M, kept_M_H)
    tensors = [torch.tensor(one, requires_grad=True) for one in parameters]
    loss, *_ = loss_of(tensors, *map(torch.tensor, (graph_M_M, points_M_D, is_labeled_M, kept_M_H)))
    for ours, theirs in zip(found, torch.autograd.grad(loss, tensors), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-8, atol=1e-12)


def test_graph_network_is_trained_as_by_torch():
    """The same random numbers for torch's Adam with weight decay on the dense graph."""
    import torch

    rng = generator(5)
    embeddings_N_D, centers_L_D = rng.random((15, 4)), rng.random((6, 4)) + [1, 0, 0, 0]
    hidden_M_H, labeled_N = train("core_gcn", embeddings_N_D, centers_L_D, 3, generator(1), 8, 60, 0.01)

    rng, points_M_D = generator(1), unit_lengths(np.concatenate([embeddings_N_D, centers_L_D]))
    tensors = [
        torch.tensor(rng.uniform(-1, 1, shape) / math.sqrt(shape[-1]), requires_grad=True)
        for shape in ((4, 8), (8,), (8, 1), (1,))
    ]
    adam = torch.optim.Adam(tensors, lr=0.01, weight_decay=5e-4)
    known = torch.tensor(graph_of(points_M_D)), torch.tensor(points_M_D), torch.arange(21) >= 15
    losses = []
    for _ in range(60):
        kept = torch.tensor((rng.random((21, 8), np.float32) >= 0.3) / 0.7)
        loss, *_ = loss_of(tensors, *known, kept)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    _, hidden, score = loss_of(tensors, *known, torch.ones(21, 8))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    np.testing.assert_allclose(hidden_M_H, hidden.detach().numpy(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(labeled_N, score.detach().numpy()[:15], rtol=1e-6)


def test_graph_methods_choose_by_probability_and_by_k_center():
    rng = generator()
    embeddings_N_D, centers_L_D = rng.random((30, 6)), rng.random((5, 6)) + [1, 0, 0, 0, 0, 0]
    hidden_M_H, labeled_N = train("core_gcn", embeddings_N_D, centers_L_D, 6, generator(2), 128, 30, 0.01)
    chosen = uncertain_gcn(embeddings_N_D, centers_L_D, 6, generator(2), margin=0.5, epochs=30, learning_rate=0.01)
    assert chosen.tolist() == np.argsort(np.abs(labeled_N - 0.5))[:6].tolist()
    chosen = core_gcn(embeddings_N_D, centers_L_D, 6, generator(2), epochs=30, learning_rate=0.01)
    assert chosen.tolist() == kcenter_greedy(hidden_M_H[:30], hidden_M_H[30:], 6).tolist()


# a Wasserstein critic


def test_doubt_bound_by_hand():
    """Of (1/2, 1/2): (sqrt 2 ln 2 + 2 ln 2) / 2; of (1/e, 1/e^3), not summing to 1: (sqrt 10 + 4) / 2. The uniform is smallest."""
    found = doubt_bound(np.array([[0.5, 0.5], [math.exp(-1), math.exp(-3)]]))
    np.testing.assert_allclose(found, [(math.sqrt(2) + 2) * math.log(2) / 2, (math.sqrt(10) + 4) / 2])
    assert doubt_bound(np.array([[0.4, 0.6], [0.5, 0.5], [0.01, 0.99]])).argmin() == 1


def test_gradients_of_the_critic_are_those_of_autograd():
    import torch

    rng = generator()
    parameters = [rng.normal(size=shape) for shape in ((4, 9), (9,), (9,))]
    drawn, known, between = (rng.normal(size=(12, 4)) for _ in range(3))
    weights, biases, values = tensors = [torch.tensor(one, requires_grad=True) for one in parameters]

    def critic(points):
        return torch.relu(points @ weights + biases) @ values

    inside = torch.tensor(between, requires_grad=True)
    (slopes,) = torch.autograd.grad(critic(inside).sum(), inside, create_graph=True)
    loss = critic(torch.tensor(known)).mean() - critic(torch.tensor(drawn)).mean()
    loss = loss + 10 * ((slopes.norm(dim=1) - 1) ** 2).mean()
    found = waal_module.gradients(parameters, drawn, known, between)
    for ours, theirs in zip(found, torch.autograd.grad(loss, tensors, materialize_grads=True), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-9, atol=1e-12)


def test_waal_finds_the_region_without_labels_and_weighs_it_against_doubt():
    rng = generator()
    points_N_D = np.concatenate([rng.normal(size=(150, 2)), rng.normal(size=(50, 2)) + 6]).astype(np.float32)
    probs_N_C, known_L_D = np.full((200, 2), 0.5), points_N_D[:60]
    assert (waal(probs_N_C, points_N_D, known_L_D, 20, generator()) >= 150).all()
    # without the critic, the most uniform alone
    probs_N_C = np.stack([np.linspace(0.5, 1, 200), 1 - np.linspace(0.5, 1, 200)], 1)
    assert waal(probs_N_C, points_N_D, known_L_D, 5, generator(), weight=0.0).tolist() == [0, 1, 2, 3, 4]


# noise in the weights


def test_noise_stability_by_hand():
    """Changes of two classes under two noises; lengths 5, 4, 3. The second is as the first: 1 away; the third is 3 from no change."""
    noise_K_N_C = np.array([[[3.0, 4], [2.4, 3.2], [0, 0], [0, 0]], [[0, 0], [0, 0], [0, 3], [0.1, 0]]])
    np.testing.assert_allclose(scores.noise_change(noise_K_N_C), [5, 4, 3, 0.1])
    assert noise_stability(noise_K_N_C, 4).tolist() == [0, 2, 1, 3]
    assert noise_stability(noise_K_N_C[:, ::-1], 2).tolist() == [3, 1]


def test_noise_is_a_share_of_the_weights_of_each_layer():
    import torch

    from dagal.learners import inference

    network = torch.nn.Sequential(
        torch.nn.Linear(50, 40), torch.nn.BatchNorm1d(40), torch.nn.ReLU(), torch.nn.Linear(40, 3)
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inference.add_noise(network, 0.01, torch.Generator().manual_seed(1))
    for name, tensor in network.state_dict().items():
        change = (tensor - before[name]).float()
        if name.endswith("weight"):
            assert change.norm().item() == pytest.approx(0.01 * before[name].norm().item(), rel=1e-3)
            assert (change != 0).float().mean() > 0.9
        else:
            assert not change.any(), name
    again = torch.nn.Sequential(torch.nn.Linear(50, 40))
    again[0].weight.data = before["0.weight"].clone()
    inference.add_noise(again, 0.01, torch.Generator().manual_seed(1))
    assert torch.equal(again[0].weight, network[0].weight)  # by the generator alone


# transfer


def test_transfer_reads_the_query_of_the_other_method():
    learners = SMALL["learners"] | {"line": SMALL["learners"]["mlp"] | {"hidden_units": [4]}}
    asking = {"entropy": {"learner": "mlp"}, "oracle": {"learner": "mlp"}}
    taking = {
        name: {"transfer": name.split("_")[0], "learner": "line"} for name in ("entropy_to_line", "oracle_to_line")
    }
    study = Study(config.load(SMALL | {"learners": learners, "methods": asking | taking}))
    node = study.node(0, "entropy_to_line", 2)
    assert study.signal_files(node, "select") == {
        "labeled": "results/small/seed0/entropy_to_line/cycle1/labeled.h5",
        "query": "results/small/seed0/entropy/cycle2/query.h5",
    }
    assert study.signal_files(node, "score").keys() == {"labeled"}
    assert study.learner_of(node)["hidden_units"] == [4]
    assert [name for name in study.methods if not study.deployable(name)] == ["oracle", "oracle_to_line"]


def test_transfer_asks_for_the_same_images_in_the_same_order(files, tmp_path):
    ids = artifacts.read(files["signals"], "signals", "ids")[0]
    query = ids[[7, 3, 20]]
    found = {"query": str(tmp_path / "query.h5"), "labeled": files["labeled"]}
    artifacts.write(
        found["query"], methods.QUERY, artifacts.provenance("test", {}), {"ids": query, "score": np.zeros(3)}
    )
    positions, _ = methods.query("transfer", found, ids, np.zeros(len(ids)), 3, 1, generator(), {}, TASK)
    assert ids[positions].tolist() == query.tolist()
    with pytest.raises(UserError, match="lacks some of the candidates"):
        methods.query("transfer", found, ids[8:], np.zeros(len(ids) - 8), 3, 1, generator(), {}, TASK)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"methods": {"entropy": {}, "a": {"transfer": "bald"}}},
            "'methods.a.transfer' is 'bald'; must be one of entropy.",
        ),
        (
            {"methods": {"entropy": {}, "a": {"transfer": "entropy"}, "b": {"transfer": "a"}}},
            "is 'a'; must be one of entropy.",
        ),
        ({"methods": {"a": {"transfer": "a"}}}, "'methods.a.transfer' is 'a'"),
        ({"methods": {"entropy": {}, "a": {"transfer": "entropy", "subset": 5}}}, "'methods.a.subset' says how to ask"),
        (
            {"methods": {"entropy": {}, "a": {"transfer": "entropy", "select": "badge"}}},
            "'methods.a.select' says how to ask",
        ),
        (
            {"methods": {"a": {"score": "random", "select": "transfer"}}},
            "'methods.a' takes over the query of another method",
        ),
        (
            {"methods": {"entropy": {}, "a": {"transfer": "entropy"}}, "stopping": {"kappa": {"cycles": 1}}},
            "'methods.a.transfer' needs all queries",
        ),
    ],
)
def test_a_transfer_that_cannot_be_made_is_a_mistake(changes, message):
    with pytest.raises(UserError) as caught:
        config.load(SMALL | changes)
    assert message in str(caught.value)
