"""Selectors of batches: what all have in common; BADGE to margin cluster mean against brute force and scikit-activeml."""

import inspect
import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import chi2

from dagal import tasks
from dagal.acquisition import batch_bald as batch_bald_module
from dagal.acquisition import methods, scores
from dagal.acquisition import probcover as probcover_module
from dagal.acquisition import typiclust as typiclust_module
from dagal.acquisition.acs_fw import acs_fw
from dagal.acquisition.alfa_mix import alfa_mix
from dagal.acquisition.average_margin import average_margin
from dagal.acquisition.badge import badge
from dagal.acquisition.batch_bald import batch_bald
from dagal.acquisition.clue import clue
from dagal.acquisition.cluster_margin import cluster_margin
from dagal.acquisition.clusters import hierarchical_clusters
from dagal.acquisition.dal import dal
from dagal.acquisition.diverse_mini_batch import diverse_mini_batch
from dagal.acquisition.exploration_p import exploration_p
from dagal.acquisition.gcn import core_gcn, uncertain_gcn
from dagal.acquisition.informative_diverse import informative_diverse
from dagal.acquisition.margin_cluster_mean import margin_cluster_mean, margin_gap
from dagal.acquisition.probcover import probcover, pure_radius
from dagal.acquisition.typiclust import kmeans_plus_plus, mean_distances, typiclust
from dagal.acquisition.waal import waal
from dagal.errors import UserError

SELECTORS = [
    badge, batch_bald, typiclust, probcover, dal, diverse_mini_batch, informative_diverse, margin_cluster_mean,
    exploration_p, average_margin, cluster_margin, clue, acs_fw, alfa_mix, uncertain_gcn, core_gcn, waal,
]  # fmt: skip
QUICK = {dal: {"hidden_units": (16,), "max_steps": 20}, waal: {"steps": 5}}
QUICK |= dict.fromkeys((uncertain_gcn, core_gcn), {"epochs": 5})


def generator(seed=0):
    return np.random.default_rng(seed)


def some_probs(*shape, n_classes=4, seed=0):
    """Peaked distributions, some of them with exact zeros."""
    probs = generator(seed).dirichlet(np.full(n_classes, 0.3), shape)
    probs[probs < 1e-3] = 0
    return probs / probs.sum(-1, keepdims=True)


def some_inputs(n=40, n_labeled=5, dim=6, dtype=np.float32, seed=0):
    """Everything a selector may ask for, apart from budget and generator."""
    rng = generator(seed)
    return {
        "probs_N_C": some_probs(n, seed=seed).astype(dtype),
        "embeddings_N_D": rng.normal(size=(n, dim)).astype(dtype),
        "centers_L_D": rng.normal(size=(n_labeled, dim)).astype(dtype),
        "draws_T_N_C": some_probs(8, n, seed=seed).astype(dtype),
        "score_N": rng.random(n),
        "labels_L": np.arange(n_labeled) % 4,
        "n_classes": 4,
        "cycle": 1,
        "weights_C_D": rng.normal(size=(4, dim)),
        "biases_C": rng.normal(size=4),
    }


def run(selector, inputs, budget, seed=0, **options):
    """The selector's positions, with what its arguments ask for."""
    context = {**inputs, "budget": budget, "rng": generator(seed)}
    arguments = {name: context[name] for name in methods.inputs(selector)}
    return selector(**arguments, **QUICK.get(selector, {}), **options)


# all of them


@pytest.mark.parametrize("selector", SELECTORS)
def test_selector_is_found_and_reads_known_signals(selector):
    name = selector.__name__
    assert methods.find("select", name, tasks.find("classification")) is selector
    assert all(value is not inspect.Parameter.empty for value in methods.options(selector).values())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("budget", [0, 1, 7, 40])
@pytest.mark.parametrize("selector", SELECTORS)
def test_positions_are_distinct_repeatable_and_leave_the_input_alone(selector, budget, dtype):
    inputs = some_inputs(dtype=dtype)
    before = {name: np.copy(value) for name, value in inputs.items()}
    chosen = run(selector, inputs, budget)
    assert (chosen.dtype, chosen.shape) == (np.int64, (budget,))
    assert len(np.unique(chosen)) == budget
    assert ((chosen >= 0) & (chosen < 40)).all()
    np.testing.assert_array_equal(chosen, run(selector, inputs, budget))
    for name, value in inputs.items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.parametrize("selector", SELECTORS)
def test_another_generator_chooses_otherwise(selector):
    inputs = some_inputs()
    inputs["score_N"] = np.zeros(40)
    inputs["draws_T_N_C"] = inputs["draws_T_N_C"][:1]  # no information: all tie
    assert len({tuple(run(selector, inputs, 10, seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize("selector", SELECTORS)
def test_more_than_all_is_a_mistake_of_the_user(selector):
    with pytest.raises(UserError, match=f"^{selector.__name__} cannot choose 41 of 40 candidates"):
        run(selector, some_inputs(), 41)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("selector", SELECTORS)
def test_numbers_that_are_not_finite_are_refused(selector, value):
    inputs = some_inputs()
    inputs["embeddings_N_D"][3, 1] = inputs["draws_T_N_C"][2, 3, 1] = inputs["probs_N_C"][3, 1] = value
    with pytest.raises(UserError, match="check the model for NaN or infinite outputs"), np.errstate(invalid="ignore"):
        run(selector, inputs, 5)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("budget", [5, 24])
@pytest.mark.parametrize("distinct", [1, 4])
@pytest.mark.parametrize("selector", SELECTORS)
def test_duplicates_are_not_chosen_twice(selector, distinct, budget):
    inputs = some_inputs(24)
    copies = np.arange(24) % distinct
    for name in ("probs_N_C", "embeddings_N_D", "score_N"):
        inputs[name] = inputs[name][copies]
    inputs["draws_T_N_C"] = inputs["draws_T_N_C"][:, copies]
    inputs["centers_L_D"], inputs["labels_L"] = inputs["embeddings_N_D"][:2], np.arange(2)  # labeled twins
    assert len(np.unique(run(selector, inputs, budget))) == budget


@pytest.mark.parametrize("selector", [badge, batch_bald, typiclust, probcover, diverse_mini_batch, informative_diverse])
def test_no_labeled_samples_are_needed(selector):
    assert len(np.unique(run(selector, some_inputs(n_labeled=0), 10))) == 10


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_single_class_is_no_mistake(selector):
    inputs = some_inputs() | {"probs_N_C": np.ones((40, 1)), "draws_T_N_C": np.ones((8, 40, 1)), "n_classes": 1}
    inputs |= {"labels_L": np.zeros(5, np.int64), "weights_C_D": np.ones((1, 6)), "biases_C": np.ones(1)}
    assert len(np.unique(run(selector, inputs, 10))) == 10


# BADGE


def gradients(probs_N_C, embeddings_N_D):
    residuals = probs_N_C.astype(np.float64) - np.eye(probs_N_C.shape[1])[probs_N_C.argmax(1)]
    return np.einsum("nc,nd->ncd", residuals, embeddings_N_D.astype(np.float64)).reshape(len(probs_N_C), -1)


def explicit_kmeans_plus_plus(points, budget, rng):
    """From the vectors themselves: the longest one, then draws in proportion to the squared distance."""
    chosen = [int(np.linalg.norm(points, axis=1).argmax())]
    while len(chosen) < budget:
        squared = cdist(points, points[chosen], "sqeuclidean").min(1)
        if squared.max() > 1e-12:
            chosen.append(int(rng.choice(len(points), p=squared / squared.sum())))
        else:
            chosen.append(int(rng.choice(np.setdiff1d(np.arange(len(points)), chosen))))
    return chosen


@pytest.mark.parametrize("seed", range(40))
def test_badge_equals_kmeans_plus_plus_on_the_gradients(seed):
    rng = generator(seed)
    n, dim, n_classes = rng.integers(1, 40), rng.integers(1, 6), rng.integers(2, 6)
    probs, embeddings = some_probs(n, n_classes=n_classes, seed=seed), rng.normal(size=(n, dim))
    budget = int(rng.integers(1, n + 1))
    expected = explicit_kmeans_plus_plus(gradients(probs, embeddings), budget, generator(1))
    assert badge(probs, embeddings, budget, generator(1)).tolist() == expected


@pytest.mark.parametrize("seed", range(10))
def test_badge_in_single_precision_equals_it_too(seed):
    probs = some_probs(200, n_classes=10, seed=seed).astype(np.float32)
    embeddings = np.maximum(generator(seed).normal(size=(200, 64)), 0).astype(np.float32)
    expected = explicit_kmeans_plus_plus(gradients(probs, embeddings), 50, generator(1))
    assert badge(probs, embeddings, 50, generator(1)).tolist() == expected


def test_badge_starts_at_the_largest_gradient_and_draws_by_squared_distance():
    rng = generator(0)
    probs, embeddings = some_probs(8, seed=1), rng.normal(size=(8, 3))
    points = gradients(probs, embeddings)
    first = np.linalg.norm(points, axis=1).argmax()
    squared = ((points - points[first]) ** 2).sum(1)
    times = np.zeros(8)
    for seed in range(3000):
        chosen = badge(probs, embeddings, 2, generator(seed))
        assert chosen[0] == first
        times[chosen[1]] += 1
    expected = 3000 * squared / squared.sum()
    others = expected > 0
    assert times[~others].sum() == 0
    assert ((times - expected)[others] ** 2 / expected[others]).sum() < chi2.isf(1e-3, others.sum() - 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_badge_takes_duplicates_last(dtype):
    copies = np.arange(60) % 20
    probs, embeddings = some_probs(20, seed=3)[copies].astype(dtype), generator(0).normal(size=(20, 50))[copies]
    distinct = len(np.unique(gradients(probs, embeddings)[:20], axis=0))  # certain ones share the gradient 0
    for seed in range(20):
        chosen = badge(probs, embeddings.astype(dtype), 60, generator(seed))
        assert len(np.unique(chosen)) == 60
        points = gradients(probs, embeddings)[chosen[:distinct]]
        assert len(np.unique(points, axis=0)) == distinct


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(5))
def test_badge_tells_embeddings_far_from_0_apart(seed, dtype):
    """Gradients of equal probabilities are nearly parallel: in float32, what tells them apart is below rounding."""
    probs = some_probs(3, seed=seed)[generator(seed).integers(3, size=300)].astype(dtype)
    embeddings = (1000 + generator(seed).normal(size=(300, 32))).astype(np.float32).astype(dtype)
    probs[:, 0] += 1e-3  # none is certain, so all gradients differ
    probs /= probs.sum(1, keepdims=True)
    copies = np.concatenate([np.arange(300), np.arange(100)])
    expected = explicit_kmeans_plus_plus(gradients(probs[copies], embeddings[copies]), 300, generator(1))
    chosen = badge(probs[copies], embeddings[copies], 400, generator(1))
    assert chosen[:300].tolist() == expected
    assert len(np.unique(copies[chosen[:300]])) == 300  # a weight above 0 for all but the twins of choices


def test_badge_never_holds_the_gradients():
    rng = generator(0)
    probs, embeddings = some_probs(5_000, n_classes=100).astype(np.float32), rng.normal(size=(5_000, 100))
    embeddings = embeddings.astype(np.float32)
    tracemalloc.start()
    badge(probs, embeddings, 5, rng)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * probs.nbytes  # the gradients: 100 times


# BatchBALD


def joint_information(draws_T_N_C, batch):
    """H[y_1..y_b] - sum_i mean_t H[p_ti] by going through all labelings."""
    n_draws, _, n_classes = draws_T_N_C.shape
    entropy = 0.0
    for labels in itertools.product(range(n_classes), repeat=len(batch)):
        p = np.mean(
            [np.prod([draws_T_N_C[t, i, c] for i, c in zip(batch, labels, strict=True)]) for t in range(n_draws)]
        )
        entropy -= p * np.log(p) if p > 0 else 0
    given = sum(scores.entropy(draws_T_N_C[:, i]).mean() for i in batch)
    return entropy - given


def greedy_by_enumeration(draws_T_N_C, budget):
    batch = []
    for _ in range(budget):
        left = [i for i in range(draws_T_N_C.shape[1]) if i not in batch]
        batch.append(max(left, key=lambda i: joint_information(draws_T_N_C, [*batch, i])))
    return batch


def greedy_by_matrix(draws_T_N_C, budget):
    """The same for larger pools: the whole table of labelings (M, T) against all candidates at every step."""
    given = np.mean([scores.entropy(probs) for probs in draws_T_N_C], 0)
    joint_M_T, batch = np.ones((1, len(draws_T_N_C))), []
    for _ in range(budget):
        p_N_M_C = np.einsum("mt,tnc->nmc", joint_M_T, draws_T_N_C) / len(draws_T_N_C)
        added = scores.entropy(p_N_M_C.reshape(len(given), -1)) - given
        added[batch] = -np.inf
        batch.append(int(added.argmax()))
        joint_M_T = (joint_M_T[:, None] * draws_T_N_C[:, batch[-1]].T).reshape(-1, len(draws_T_N_C))
    return batch


@pytest.mark.parametrize("seed", range(10))
def test_batch_bald_equals_enumeration(seed):
    rng = generator(seed)
    n_draws, n, n_classes = rng.integers(2, 6), rng.integers(4, 9), rng.integers(2, 4)
    draws = some_probs(n_draws, n, n_classes=n_classes, seed=seed)
    assert batch_bald(draws, 3, generator()).tolist() == greedy_by_enumeration(draws, 3)


@pytest.mark.parametrize("seed", range(5))
def test_batch_bald_equals_evaluating_every_candidate(seed, monkeypatch):
    draws = generator(seed).dirichlet([0.4] * 3, (10, 500))
    expected = greedy_by_matrix(draws, 6)
    assert batch_bald(draws, 6, generator()).tolist() == expected
    monkeypatch.setattr(batch_bald_module, "BLOCK_ENTRIES", 1000)
    assert batch_bald(draws.astype(np.float32), 6, generator()).tolist() == expected


@pytest.mark.parametrize("max_joint", [1, 10_000])
def test_batch_bald_starts_with_bald(max_joint):
    draws = some_probs(20, 300, n_classes=10)
    assert batch_bald(draws, 1, generator(), max_joint=max_joint)[0] == scores.bald(draws).argmax()


@pytest.mark.parametrize("max_joint", [1, 10_000])
def test_batch_bald_does_not_ask_the_same_question_twice(max_joint):
    # four draws, told apart by two bits; positions 0-4 tell the first, 5-9 the second less surely, 10 nothing
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    draws = np.empty((4, 11, 2))
    draws[:, :5] = np.where(first, 0.95, 0.05)[:, None, None] * [0, 1] + np.where(first, 0.05, 0.95)[:, None, None] * [
        1,
        0,
    ]
    draws[:, 5:10] = np.where(second, 0.9, 0.1)[:, None, None] * [0, 1] + np.where(second, 0.1, 0.9)[:, None, None] * [
        1,
        0,
    ]
    draws[:, 10] = 0.5
    assert set(np.argsort(-scores.bald(draws))[:5]) == set(range(5))  # top-k would ask for the first bit alone
    for seed in range(10):
        chosen = batch_bald(draws, 4, generator(seed), max_joint=max_joint)
        assert (chosen[:2] // 5).tolist() == [0, 1]
        assert sorted(chosen // 5) == [0, 0, 1, 1]


def test_batch_bald_samples_as_good_batches_as_it_enumerates():
    draws = generator(0).dirichlet([0.4] * 4, (10, 60))
    best = joint_information(draws, batch_bald(draws, 6, generator()))
    assert batch_bald(draws, 6, generator()).tolist() == greedy_by_matrix(draws, 6)
    for seed in range(3):
        sampled = batch_bald(draws, 6, generator(seed), max_joint=1, n_samples=2_000)
        assert joint_information(draws, sampled) > 0.98 * best


def test_sampled_entropies_estimate_the_enumerated_ones(monkeypatch):
    draws = generator(0).dirichlet([0.4] * 3, (8, 50))
    found = {}
    for max_joint in (1, 10_000):
        calls = []
        original = batch_bald_module.predictive_entropy

        def spy(draws, positions, weights, q, calls=calls, original=original):
            calls.append((weights, q))
            return original(draws, positions, weights, q)

        with monkeypatch.context() as patch:
            patch.setattr(batch_bald_module, "predictive_entropy", spy)
            # the first four choices are forced: only they inform
            only = draws.copy()
            only[:, 4:] = 1 / 3
            batch_bald(only, 5, generator(), max_joint=max_joint, n_samples=40_000)
        found[max_joint] = original(draws, np.arange(4, 50), *calls[-1])
        np.testing.assert_allclose(calls[-1][1].sum(), 1)
    np.testing.assert_allclose(found[1], found[10_000], atol=0.01)
    assert not np.array_equal(found[1], found[10_000])


def test_batch_bald_goes_on_when_the_information_is_used_up():
    draws = some_probs(5, 200, n_classes=3)  # log 5 nats are told by a few; exact zeros among the probabilities
    with np.errstate(all="raise", under="ignore"):
        chosen = batch_bald(draws, 150, generator(), n_samples=200)
    assert len(np.unique(chosen)) == 150
    first = [batch_bald(draws[:1], 1, generator(seed))[0] for seed in range(30)]  # one draw: nothing to tell
    assert len(set(first)) > 15


def test_batch_bald_memory_is_bounded():
    draws = some_probs(10, 2_000, n_classes=10).astype(np.float32)
    tracemalloc.start()
    batch_bald(draws, 4, generator(), max_joint=2_000, n_samples=1_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 8 * batch_bald_module.BLOCK_ENTRIES  # all candidates by all labelings: 160 MB and more


@pytest.mark.parametrize("options", [{"max_joint": 0}, {"n_samples": 0}])
def test_batch_bald_refuses_no_labelings(options):
    with pytest.raises(UserError, match="at least 1"):
        run(batch_bald, some_inputs(), 2, **options)


# TypiClust


def blobs(sizes, dim=5, spread=0.05, seed=0):
    """Points around far apart centers, and the blob of each."""
    rng = generator(seed)
    blob = np.repeat(np.arange(len(sizes)), sizes)
    return (np.eye(dim)[blob] + spread * rng.normal(size=(len(blob), dim))).astype(np.float32), blob


def test_mean_distances_by_brute_force():
    points = generator(0).normal(size=(60, 4)).astype(np.float32)
    points[1] = points[0]
    squared = cdist(points.astype(np.float64), points.astype(np.float64))
    np.fill_diagonal(squared, np.inf)
    expected = np.sort(squared, 1)[:, :20].mean(1)
    np.testing.assert_allclose(mean_distances(points, 20), expected, rtol=1e-4)
    np.testing.assert_allclose(mean_distances(points[:3], 20), np.sort(squared[:3, :3], 1)[:, :2].mean(1), rtol=1e-4)
    assert mean_distances(points[:1], 20).tolist() == [0]


@pytest.mark.parametrize(("dim", "offset"), [(3, 0), (40, 0), (40, 5)])
@pytest.mark.parametrize("n_clusters", [1, 2, 70])
def test_k_means_starts_from_the_centers_of_scikit_learn(n_clusters, dim, offset):
    from sklearn.cluster import kmeans_plusplus

    for seed in range(5):
        points = (generator(seed).normal(size=(3000, dim)) + offset).astype(np.float32)
        theirs, _ = kmeans_plusplus(points, n_clusters, random_state=np.random.RandomState(seed))
        ours = kmeans_plus_plus(points, n_clusters, random_state=np.random.RandomState(seed))
        np.testing.assert_array_equal(ours, theirs)


def test_mean_distances_in_blocks(monkeypatch):
    points = generator(0).normal(size=(60, 4)).astype(np.float32)
    expected = mean_distances(points, 20)
    monkeypatch.setattr(typiclust_module, "BLOCK_ENTRIES", 7 * 60)
    np.testing.assert_allclose(mean_distances(points, 20), expected, rtol=1e-12)


@pytest.mark.parametrize("n_clusters", [20, 80])  # k-means, mini-batch k-means
def test_typiclust_far_from_0_chooses_as_near_it(n_clusters):
    points = np.round(generator(0).normal(size=(2000, 16)) * 1024) / 1024  # float32 holds them with the offset, too
    near, far = (
        typiclust((points + offset).astype(np.float32), points[:0], n_clusters, generator(), normalize=False)
        for offset in (0, 1000)
    )
    assert far.tolist() == near.tolist()


@pytest.mark.parametrize("normalize", [True, False])
def test_typiclust_takes_the_most_typical_of_the_largest_uncovered_clusters(normalize):
    points, blob = blobs([40, 50, 30, 60, 20])
    labeled = np.array([0, 91])  # one of blob 0, one of blob 2
    left = np.setdiff1d(np.arange(200), labeled)
    chosen = left[typiclust(points[left], points[labeled], 3, generator(), normalize=normalize)]
    assert blob[chosen].tolist() == [3, 1, 4]
    if normalize:
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
    for position in chosen:
        members = np.flatnonzero(blob == blob[position])
        away = np.sort(cdist(points[members], points[members]), 1)[:, 1:21].mean(1)
        assert members[away.argmin()] == position


def test_typiclust_goes_round_when_clusters_are_capped():
    points, blob = blobs([30, 20, 10])
    labeled = points[:1] + 0.01  # in blob 0
    chosen = typiclust(points, labeled, 8, generator(), max_clusters=3)
    assert blob[chosen].tolist() == [1, 2, 0, 1, 2, 0, 1, 2]  # fewest labels and choices first, then the largest


def test_typiclust_leaves_outliers_for_last():
    points, blob = blobs([30, 20, 1, 2])
    chosen = typiclust(points, points[:0], 4, generator())
    assert set(blob[chosen]) <= {0, 1}
    chosen = typiclust(points, points[:0], 53, generator(), max_clusters=4)
    assert set(blob[chosen[-3:]]) == {2, 3}


@pytest.mark.parametrize("seed", range(5))
def test_typiclust_agrees_with_scikit_activeml(seed):
    from skactiveml.pool import TypiClust

    points, _ = blobs([30, 40, 50, 25, 35, 45], dim=6, spread=0.3, seed=seed)
    labeled, left = np.arange(0, 60, 20), np.setdiff1d(np.arange(len(points)), np.arange(0, 60, 20))
    order = np.concatenate([labeled, left])
    labels = np.where(np.isin(order, labeled), 0, np.nan)
    state = int(generator(seed).integers(2**31))
    theirs = TypiClust(random_state=state, k=20).query(points[order].astype(np.float64), labels, batch_size=3)
    ours = typiclust(points[left], points[labeled], 3, generator(seed), min_cluster=0, normalize=False)
    assert (len(labeled) + ours).tolist() == theirs.tolist()


def test_typiclust_uses_mini_batches_for_many_clusters():
    points = generator(0).normal(size=(400, 8)).astype(np.float32)
    assert len(np.unique(typiclust(points, points[:5], 100, generator()))) == 100


# ProbCover


def assert_greedy_cover(points, centers, chosen, radius):
    """Every choice covers as many uncovered points as any other would; returns the covered share."""
    near = cdist(points.astype(np.float64), points.astype(np.float64)) < radius
    covered = (cdist(points, centers) < radius).any(1) if len(centers) else np.zeros(len(points), bool)
    left = np.ones(len(points), bool)
    for position in chosen:
        gain = (near & ~covered).sum(1)
        assert gain[position] == gain[left].max()
        covered |= near[position]
        left[position] = False
    return covered.mean()


@pytest.mark.parametrize("seed", range(20))
def test_probcover_is_greedy(seed, monkeypatch):
    rng = generator(seed)
    points, centers = rng.normal(size=(120, 3)), rng.normal(size=(rng.integers(0, 6), 3))
    radius = rng.choice([0.3, 0.8, 1.5])
    monkeypatch.setattr(probcover_module, "BLOCK_ENTRIES", int(rng.choice([1, 1000, 1 << 24])))
    budget = int(rng.integers(1, 121))
    chosen = probcover(points, centers, budget, 4, rng, radius=radius, normalize=False)
    assert len(np.unique(chosen)) == budget
    assert_greedy_cover(points, centers, chosen, radius)


def test_probcover_on_the_unit_sphere():
    rng = generator(0)
    points, centers = rng.normal(size=(100, 3)) * rng.random((100, 1)), rng.normal(size=(4, 3))
    chosen = probcover(points, centers, 20, 4, rng, radius=0.4)
    unit_points, unit_centers = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (points, centers))
    assert_greedy_cover(unit_points, unit_centers, chosen, 0.4)


def test_probcover_far_from_0():
    points = (1000 + generator(0).normal(size=(300, 16))).astype(np.float32)
    chosen = probcover(points, points[:5], 30, 4, generator(), radius=4.0, normalize=False)
    assert np.abs(cdist(points, points, "euclidean") - 4.0).min() > 1e-6  # no pair hangs on float32
    assert_greedy_cover(points, points[:5], chosen, 4.0)


def stars(sizes):
    """Hubs with orthogonal rays of length 0.9: within 1 of a hub are its rays, of a ray only its hub."""
    points, hubs, dim = [], [], sum(sizes) + len(sizes)
    for size in sizes:
        hub = np.zeros(dim)
        hub[-1 - len(hubs)] = 10
        hubs.append(len(points))
        points.append(hub)
        for _ in range(size):
            points.append(hub.copy())
            points[-1][len(points) - 1 - len(hubs)] = 0.9
    return np.array(points), hubs


@pytest.mark.filterwarnings("ignore:The maximum purity was -1")
def test_probcover_takes_hubs_by_size_and_agrees_with_scikit_activeml():
    from skactiveml.pool import ProbCover

    points, hubs = stars([3, 7, 5, 9])
    assert probcover(points, points[:0], 4, 4, generator(), radius=1, normalize=False).tolist() == [
        hubs[i] for i in (3, 1, 2, 0)
    ]
    label = [hubs[1]]  # the second largest is labeled
    left = np.setdiff1d(np.arange(len(points)), label)
    ours = left[probcover(points[left], points[label], 3, 4, generator(), radius=1, normalize=False)]
    assert ours.tolist() == [hubs[i] for i in (3, 2, 0)]
    labels = np.where(np.isin(np.arange(len(points)), label), 0, np.nan)
    theirs = ProbCover(n_classes=4, deltas=[1.0], random_state=0).query(points, labels, batch_size=3)
    assert ours.tolist() == theirs.tolist()


def test_probcover_fills_up_at_random_once_all_is_covered():
    points, _ = blobs([10, 20, 30])
    last = set()
    for seed in range(20):
        chosen = probcover(points, points[:0], 6, 3, generator(seed), radius=1.2, normalize=False)
        assert (chosen[:3] // 10 >= 3).sum() == 1  # one of each blob
        assert assert_greedy_cover(points, points[:0], chosen[:3], 1.2) == 1
        last |= set(chosen[3:])
    assert len(last) > 30


@pytest.mark.parametrize("purity", [0.5, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("sample", [40, 1000])
def test_pure_radius_is_the_largest_with_that_share_of_pure_balls(purity, sample):
    from sklearn.cluster import KMeans

    points = generator(0).normal(size=(150, 3)).astype(np.float32)
    found = pure_radius(points, 4, generator(5), purity, sample)
    rng = generator(5)
    cluster = KMeans(4, n_init=1, random_state=int(rng.integers(2**31))).fit_predict(points)
    rows = rng.permutation(150)[:sample]
    distance = cdist(points[rows].astype(np.float64), points.astype(np.float64))
    is_other = cluster[rows][:, None] != cluster

    def share(radius):
        return 1 - ((distance < radius) & is_other).any(1).mean()

    radii = np.unique(distance[is_other])  # purity changes just above these
    best = max(radius for radius in radii if share(radius) >= purity - 1e-9)
    assert found == pytest.approx(best, rel=1e-4)


def test_probcover_radius_follows_from_purity():
    points, blob = blobs([30, 30, 30, 30])
    chosen = probcover(points, points[:0], 4, 4, generator())
    assert sorted(blob[chosen]) == [0, 1, 2, 3]  # a pure ball holds one blob at most


def test_probcover_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(probcover_module, "BLOCK_ENTRIES", 1 << 18)
    points = generator(0).normal(size=(4_000, 4)).astype(np.float32)
    probcover(points[:50], points[:0], 5, 4, generator())  # loads scikit-learn
    tracemalloc.start()
    probcover(points, points[:10], 50, 4, generator(), radius=10, normalize=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # all pairs: 64 MB, 16 MB as booleans


@pytest.mark.parametrize("options", [{"radius": 0}, {"purity": 0}, {"purity": 1.1}, {"purity_sample": 0}])
def test_probcover_refuses_impossible_options(options):
    with pytest.raises(UserError, match="probcover needs"):
        run(probcover, some_inputs(), 2, **options)


# DAL


def test_dal_finds_the_region_without_labels_even_between_labeled_ones():
    rng = generator(0)
    at = lambda x, n: np.column_stack([x + 0.3 * rng.normal(size=n), 0.3 * rng.normal(size=n)])  # noqa: E731
    labeled = np.concatenate([at(-3, 40), at(3, 40)])
    points, region = np.concatenate([at(-3, 200), at(3, 200), at(0, 100)]), np.repeat([0, 1, 2], [200, 200, 100])
    chosen = dal(points, labeled, 20, generator(), mini_queries=2, hidden_units=(64, 64), max_steps=150)
    assert (region[chosen] == 2).mean() > 0.85


class Nearest:
    """A stand-in for the classifier: probability of being labeled by distance to the labeled samples it was shown."""

    trained = []

    def __init__(self, *_, **settings):
        self.settings, self.labeled, self.steps = settings, set(), 0
        Nearest.trained.append(self)

    def partial_fit(self, X, y, classes):
        assert y.dtype == bool and 0 < y.sum() < len(y) and classes == [False, True]
        self.labeled |= set(map(float, X[y][:, 0]))
        self.steps += 1

    def score(self, X, y):
        return 1.0 if self.steps >= 40 else 0.5

    def predict_proba(self, X):
        p = np.exp(-cdist(X[:, :1], np.array(sorted(self.labeled))[:, None]).min(1))
        return np.column_stack([1 - p, p])


@pytest.mark.parametrize(("budget", "mini_queries", "sizes"), [(10, 10, [1] * 10), (7, 3, [3, 2, 2]), (2, 10, [1, 1])])
def test_dal_counts_earlier_choices_as_labeled(budget, mini_queries, sizes, monkeypatch):
    monkeypatch.setattr("sklearn.neural_network.MLPClassifier", Nearest)
    monkeypatch.setattr(Nearest, "trained", [])
    points = generator(0).uniform(0, 10, (50, 1))
    labeled = np.array([[0.0], [1.0]])
    chosen = dal(points, labeled, budget, generator(), mini_queries=mini_queries)
    assert [model.steps for model in Nearest.trained] == [40] * len(sizes)
    assert len({model.settings["random_state"] for model in Nearest.trained}) == len(sizes)
    expected, known = [], labeled
    for size in sizes:
        away = cdist(points, known).min(1)
        away[expected] = -1
        expected += np.argsort(-away)[:size].tolist()
        known = np.concatenate([labeled, points[expected]])
    assert chosen.tolist() == expected


def test_dal_needs_labels():
    with pytest.raises(UserError, match="there are none"):
        run(dal, some_inputs(n_labeled=0), 3)


@pytest.mark.parametrize("options", [{"mini_queries": 0}, {"max_steps": 0}])
def test_dal_refuses_no_training(options):
    inputs = some_inputs()
    with pytest.raises(UserError, match="at least 1"):
        dal(inputs["embeddings_N_D"], inputs["centers_L_D"], 2, generator(), **options)


# diverse mini-batch


def unsure(weights):
    """Probabilities of two classes (N, 2) whose 1 - margin is this."""
    return np.column_stack([1 - np.asarray(weights) / 2, np.asarray(weights) / 2])


def test_diverse_mini_batch_takes_the_nearest_to_each_weighted_center():
    points, blob = blobs([20, 20, 20, 20])
    weights = 0.1 + 0.9 * generator(1).random(80)  # none is certain
    weights[blob == 2] = 0.05  # filtered out: the 15 best of each of the others are more than 10 x 3
    chosen = diverse_mini_batch(scores.margin(unsure(weights)), unsure(weights), points, 3, generator(), prefilter=15)
    kept = np.argsort(-weights)[:45]
    expected = set()
    for k in (0, 1, 3):
        members = kept[blob[kept] == k]
        center = np.average(points[members], axis=0, weights=weights[members])
        expected.add(members[np.linalg.norm(points[members] - center, axis=1).argmin()])
    assert set(chosen) == expected
    assert (np.diff(weights[chosen]) <= 0).all()


def test_diverse_mini_batch_weighs_by_1_minus_margin():
    points, probs = np.array([[0.0], [1], [3]]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    # weights .2, .4, .6: the center is (1 x .4 + 3 x .6) / 1.2 = 1.83; of weights less the smallest, 2.33, nearer to 3
    assert diverse_mini_batch(scores.margin(probs), probs, points, 1, generator(), prefilter=3).tolist() == [1]
    # another score chooses who is kept, not the weights: without the last one, the center is 1 x .4 / .6 = .67
    assert diverse_mini_batch(np.array([9.0, 5, 1]), probs, points, 1, generator(), prefilter=2).tolist() == [1]
    assert diverse_mini_batch(np.array([5.0, 1, 9]), probs, points, 1, generator(), prefilter=2).tolist() == [2]


def test_diverse_mini_batch_weights_pull_the_center():
    points = np.array([[0.0], [1], [2], [3], [4]])
    for weights, expected in ([1, 1, 1, 1, 1], 2), ([0, 0, 0, 0.02, 1], 4), ([0.5] * 5, 2), ([0] * 5, 2):
        probs = unsure(weights)
        assert diverse_mini_batch(scores.margin(probs), probs, points, 1, generator(), prefilter=5).tolist() == [
            expected
        ]


def test_diverse_mini_batch_of_prefilter_1_is_top_k():
    inputs = some_inputs()
    chosen = run(diverse_mini_batch, inputs, 10, prefilter=1)
    assert chosen.tolist() == np.argsort(-inputs["score_N"])[:10].tolist()


def test_diverse_mini_batch_stays_in_the_prefiltered_and_spreads():
    points, blob = blobs([100, 10, 10, 10])
    score = np.where(blob == 0, 1.0, 0.9) + 1e-3 * generator(0).random(130)
    assert set(blob[np.argsort(-score)[:4]]) == {0}  # top-k stays in one blob
    chosen = diverse_mini_batch(score, unsure(score / 2), points, 4, generator(), prefilter=32)
    assert sorted(blob[chosen]) == [0, 1, 2, 3]
    chosen = diverse_mini_batch(score, unsure(score / 2), points, 4, generator(), prefilter=5)
    assert set(blob[chosen]) == {0} and set(chosen) <= set(np.argsort(-score)[:20])


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_diverse_mini_batch_fills_up_with_the_best_of_the_rest():
    points = np.repeat(np.eye(3), 10, axis=0)
    score = np.arange(30.0)
    chosen = diverse_mini_batch(score, unsure(score / 30), points, 6, generator(), prefilter=5)
    assert chosen.tolist() == [29, 19, 9, 28, 27, 26]  # best of each of the three places, then the best


def test_diverse_mini_batch_refuses_no_prefilter():
    with pytest.raises(UserError, match="prefilter"):
        run(diverse_mini_batch, some_inputs(), 2, prefilter=0)


# informative and diverse


def ward_by_hand(points, n_clusters):
    """Merge the pair of clusters that adds the least to the sum of squares, again and again; sets of positions."""
    clusters = [frozenset([i]) for i in range(len(points))]

    def squares(cluster):
        members = points[list(cluster)]
        return ((members - members.mean(0)) ** 2).sum()

    while len(clusters) > n_clusters:
        one, two = min(
            itertools.combinations(clusters, 2), key=lambda pair: squares(pair[0] | pair[1]) - sum(map(squares, pair))
        )
        clusters = [c for c in clusters if c not in (one, two)] + [one | two]
    return set(clusters)


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_those_of_wards_tree(seed):
    points = generator(seed).normal(size=(14, 3))
    found = hierarchical_clusters(points, 4, 4000, generator())
    assert {frozenset(np.flatnonzero(found == k)) for k in range(4)} == ward_by_hand(points, 4)


def test_informative_diverse_follows_the_clusters():
    points, blob = blobs([20, 12, 8])
    score = np.where(blob == 0, 1.0, 0.0) + 1e-3 * generator(0).random(40)  # top-k would stay in the first blob
    chosen = informative_diverse(score, points, 10, 3, generator())
    assert np.bincount(blob[chosen]).tolist() == [5, 3, 2]  # 10 x 20/40, 12/40, 8/40
    assert (np.diff(score[chosen]) < 0).all()
    for k in range(3):
        best = np.flatnonzero(blob == k)[np.argsort(-score[blob == k])]
        assert chosen[blob[chosen] == k].tolist() == best[: np.sum(blob[chosen] == k)].tolist()


@pytest.mark.parametrize("seed", range(10))
def test_informative_diverse_gives_every_cluster_its_share(seed):
    """Against a loop: first every cluster its share rounded down, then the best of the others, one more at most where it is no integer."""
    rng = generator(seed)
    n, n_clusters = int(rng.integers(5, 60)), int(rng.integers(1, 9))
    points, score, budget = rng.normal(size=(n, 2)), rng.random(n), int(rng.integers(1, n + 1))
    chosen = informative_diverse(score, points, budget, 99, generator(), n_clusters=n_clusters)
    clusters = ward_by_hand(points, min(n, n_clusters))
    best, expected = np.argsort(-score).tolist(), set()
    for own in clusters:
        expected |= set([i for i in best if i in own][: budget * len(own) // n])
    for i in best:
        (own,) = [cluster for cluster in clusters if i in cluster]
        if len(own & expected) * n < budget * len(own) and len(expected) < budget:
            expected.add(i)
    assert len(chosen) == budget
    assert chosen.tolist() == [i for i in best if i in expected]


def test_informative_diverse_leaves_no_cluster_out_for_its_scores():
    points, blob = blobs([10] * 48, dim=48)
    chosen = informative_diverse(-blob + generator(0).random(480) / 2, points, 100, 48, generator())
    # 100 / 48 = 2.08: the best four clusters have one more
    assert np.bincount(blob[chosen]).tolist() == [3] * 4 + [2] * 44


def test_candidates_beside_the_sample_join_the_nearest_mean():
    points, blob = blobs([300, 200, 100])
    found = hierarchical_clusters(points, 3, 50, generator())
    assert len(set(zip(found, blob, strict=True))) == len(set(found)) == 3


def test_hierarchical_clustering_of_many_is_bounded():
    points = generator().normal(size=(100_000, 16)).astype(np.float32)
    tracemalloc.start()
    chosen = informative_diverse(generator(1).random(100_000), points, 100, 10, generator(), max_points=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(chosen)) == 100
    assert peak < 64 << 20  # all pairs would take 40 GB


@pytest.mark.parametrize("options", [{"n_clusters": 0}, {"max_points": 1}])
def test_informative_diverse_refuses_no_clusters(options):
    with pytest.raises(UserError, match="n_clusters of at least 1"):
        run(informative_diverse, some_inputs(), 2, **options)


# margin cluster mean


def test_gap_of_two_classes_is_the_distance_from_the_boundary_in_margins():
    """Two support vectors at -1 and 1: f(x) = x, and the margin ends at them."""
    gap = margin_gap(np.array([[0.0], [0.5], [-3.0]]), np.array([[-1.0], [1.0]]), np.array([0, 1]), 1e6, 0)
    np.testing.assert_allclose(gap, [0, 1, 6], atol=1e-3)


def test_gap_of_many_classes_is_that_of_one_machine_per_class():
    from sklearn.svm import LinearSVC

    rng = generator(3)
    points, labeled, labels = rng.normal(size=(30, 4)), rng.normal(size=(40, 4)), np.arange(40) % 3
    values = [
        LinearSVC(dual="auto", max_iter=10_000).fit(labeled, labels == c).decision_function(points) for c in range(3)
    ]
    third, second, first = np.sort(values, axis=0)
    np.testing.assert_allclose(margin_gap(points, labeled, labels, 1.0, 0), first - second, atol=1e-3)


def test_margin_cluster_mean_takes_the_middles_inside_the_margin():
    """Labeled at x = -1 and 1: inside are the three clumps near x = 0, told apart by y."""
    rng = generator(0)
    inside = np.concatenate([rng.normal([0, y], 0.05, (20, 2)) for y in (-1, 0, 1)])
    outside = np.concatenate([rng.normal([x, 0], 0.05, (50, 2)) for x in (-5, 5)])
    labeled = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], float)  # mean 0, standard deviation 1
    chosen = margin_cluster_mean(
        np.concatenate([outside, inside]), labeled, np.array([0, 0, 1, 1]), 3, generator(), regularization=1e6
    )
    expected = {
        100 + 20 * k + np.linalg.norm(clump - clump.mean(0), axis=1).argmin()
        for k, clump in enumerate(inside.reshape(3, 20, 2))
    }
    assert set(chosen) == expected


def test_margin_cluster_mean_fills_up_with_the_smallest_gaps():
    points = np.array([[9.0], [0.1], [-4.0], [0.2], [3.0]])
    chosen = margin_cluster_mean(points, np.array([[-1.0], [1.0]]), np.array([4, 7]), 4, generator(), 1e6)
    assert chosen.tolist() == [1, 3, 4, 2]


def test_margin_cluster_mean_of_a_single_class_clusters_all():
    points, blob = blobs([30, 30, 30])
    chosen = margin_cluster_mean(points, points[:2], np.array([1, 1]), 3, generator())
    assert sorted(blob[chosen]) == [0, 1, 2]


def test_margin_cluster_mean_needs_labels():
    with pytest.raises(UserError, match="there are none"):
        run(margin_cluster_mean, some_inputs(n_labeled=0), 3)
