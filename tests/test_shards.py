"""Signals of one model by several jobs, and selection from a pool in parts."""

import copy
import itertools
import sys

import h5py
import numpy as np
import pytest
import yaml
from conftest import ROOT, SMALL

from dagal import artifacts, config
from dagal.acquisition import badge, covers, kcenter, scores, selection, shards
from dagal.acquisition import class_balanced as one_piece
from dagal.errors import UserError
from dagal.plan import Study, graph
from dagal.pool import part_of
from dagal.report import registry

sys.path.append(str(ROOT / "benchmarks"))


@pytest.mark.parametrize(
    ("n", "batch_size", "shards"), [(1000, 64, 1), (1000, 64, 3), (1000, 64, 40), (128, 64, 2), (0, 8, 3)]
)
def test_parts_are_whole_batches_and_all_there_is(n, batch_size, shards):
    rows = np.arange(n)
    parts = [rows[part_of(n, batch_size, shard, shards)] for shard in range(shards)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert all(part[0] % batch_size == 0 for part in parts if len(part))
    assert max(map(len, parts)) - min(map(len, parts)) < 2 * batch_size


def study(shards):
    svm = {"architecture": "svm", "device": "cpu"}
    mlp = SMALL["learners"]["mlp"] | {"loss_prediction": {}}
    changes = {
        "cycles": 1,
        "learners": {"mlp": mlp, "svm": svm},
        "methods": {
            "entropy": {"learner": "mlp", "shards": shards},
            "kcenter_greedy": {"learner": "mlp", "select": "kcenter_cover", "shards": shards},
            "svm_min_margin": {"learner": "svm"},
        },
        "signals": {"batch_size": 100, "shards": shards},
    }
    return copy.deepcopy(SMALL) | changes


def test_jobs_of_shards_share_a_pass():
    planned = Study(config.load(study(3)))
    jobs = graph.jobs(planned, registry.targets(planned))
    assert graph.counts(jobs)["signals_shard"] == 3 * graph.counts(jobs)["signals"] == 6
    assert graph.counts(jobs)["select_shard"] == 3 * 2 and graph.counts(jobs)["select"] == 3
    assert all(
        "model.safetensors" not in path for (stage, _), reads in jobs.items() if stage == "signals" for path in reads
    )
    assert "signals_shard" not in graph.counts(graph.jobs(Study(config.load(study(1))), registry.targets(planned)))


def test_snakemake_plans_the_jobs_of_shards(workflow):
    workflow.write(study(2))
    planned = workflow.planned()
    assert planned["signals_shard"] == planned["select_shard"] == 4 and planned == workflow.counted()


def test_signals_and_queries_of_several_jobs_against_those_of_one(tmp_path, monkeypatch):
    """Every byte of signals.h5, also where there are more jobs than batches; the same top k; a k-center that knows its radius."""
    import in_process

    starts, query = "results/small/seed0/start-{}/cycle0/signals.h5", "results/small/seed0/{}/cycle1/query.h5"
    asked = [starts.format(learner) for learner in ("mlp", "svm")] + [
        query.format(m) for m in ("entropy", "kcenter_greedy")
    ]
    monkeypatch.setattr(registry, "targets", lambda study: asked)
    for n_shards in (1, 3, 20):
        file = tmp_path / f"{n_shards}.yaml"
        file.write_text(yaml.safe_dump(study(n_shards)))
        in_process.measured(in_process.run_in_process, file, tmp_path / str(n_shards))
    for learner, names in (("mlp", ("labeled_predicted_loss", "embeddings")), ("svm", ("logits", "weight_norms"))):
        one = tmp_path / "1" / starts.format(learner)
        with h5py.File(one) as file:
            assert {"probabilities", "embeddings", "labeled_embeddings", *names} <= set(file)
        for n_shards in (3, 20):
            other = tmp_path / str(n_shards) / starts.format(learner)
            assert len(list(other.parent.glob("signals_shard*.h5"))) == n_shards
            assert other.read_bytes() == one.read_bytes()
    found = {(n, m): tmp_path / str(n) / query.format(m) for n in (1, 3, 20) for m in ("entropy", "kcenter_greedy")}
    ids = {key: artifacts.read(path, "query", "ids")[0] for key, path in found.items()}
    radius = {n: artifacts.attributes(found[n, "kcenter_greedy"], "query")["radius"] for n in (1, 3, 20)}
    assert all(np.array_equal(ids[1, "entropy"], ids[n, "entropy"]) for n in (3, 20))
    assert all(
        len(set(ids[n, "kcenter_greedy"])) == 10 and radius[1] / 2 <= radius[n] <= 4 * radius[1] for n in (3, 20)
    )


# ------------------------------------------------------------------------------------------------------- selection


def cut(n, shards, seed=0):
    """(first, last) of shards of random sizes."""
    edges = np.sort(np.random.default_rng(seed).choice(n + 1, shards - 1, replace=False))
    return list(zip([0, *edges], [*edges, n], strict=True))


@pytest.mark.parametrize("n_shards", [1, 2, 7, 40])
def test_top_k_of_shards_is_that_of_one_piece_with_its_ties(n_shards):
    score_N = np.random.default_rng(0).integers(0, 30, 500).astype(float)  # many ties
    expected = selection.top_k(score_N, 60, np.random.default_rng(3))
    parts = []
    for first, last in cut(500, n_shards):
        tie_n = shards.ties(np.random.default_rng(3), first, last)
        parts.append(shards.best(score_N[first:last], tie_n, first, 60))
    assert all(len(part[0]) <= 60 for part in parts)
    np.testing.assert_array_equal(shards.merged_best(parts, 60), expected)


@pytest.mark.parametrize("n_shards", [1, 3])
def test_a_subset_in_shards_is_that_of_one_piece(n_shards):
    """As the subset of a method: drawn by position, so that each shard takes what lies in it."""
    score_N = np.random.default_rng(0).random(400)
    subset = np.sort(np.random.default_rng(1).choice(400, 90, replace=False))
    expected = subset[selection.top_k(score_N[subset], 20, np.random.default_rng(3))]
    parts = []
    for first, last in cut(400, n_shards):
        own = np.flatnonzero((subset >= first) & (subset < last))
        tie_n = shards.ties(np.random.default_rng(3), *(own[[0, -1]] + [0, 1])) if len(own) else np.empty(0)
        positions, *rest = shards.best(score_N[subset[own]], tie_n, 0, 20)
        parts.append((subset[own][positions], *rest))
    np.testing.assert_array_equal(shards.merged_best(parts, 20), expected)


@pytest.fixture
def short_search(monkeypatch):
    """Both ways search in the same manner; a short search shows that as well."""
    monkeypatch.setattr(one_piece, "SEARCH_STEPS", 60)
    monkeypatch.setattr(one_piece, "SEARCH_STARTS", (3, 3))


def balanced_pool(n, n_classes, seed):
    """Scores (entropy), long-tailed probabilities and a requirement."""
    rng = np.random.default_rng(seed)
    probs_N_C = np.exp(rng.normal(0, 2, (n, n_classes)) - np.linspace(0, 3, n_classes))
    probs_N_C /= probs_N_C.sum(1, keepdims=True)
    return scores.entropy(probs_N_C), probs_N_C.astype(np.float32), rng.dirichlet(np.ones(n_classes))


def in_shards(score_N, probs_N_C, required_C, budget, weight, n_shards):
    """The selection, and how often the shards were asked."""
    asked, parts = [], cut(len(score_N), n_shards)

    def ask(prices_C, level):
        asked.append(level)
        return [shards.above(score_N[a:z], probs_N_C[a:z], a, prices_C, level) for a, z in parts]

    def count(positions, score_M):
        return [shards.preceding(score_N[a:z], a, positions, score_M) for a, z in parts]

    samples = [shards.sample(score_N[a:z], probs_N_C[a:z], a, len(score_N)) for a, z in parts]
    return shards.class_balanced(ask, count, samples, len(score_N), required_C, budget, weight), len(asked)


@pytest.mark.parametrize("n_shards", [1, 4])
def test_places_in_the_order_of_score(n_shards):
    score_N = np.random.default_rng(0).integers(0, 9, 200).astype(float)
    by_score = np.argsort(-score_N, kind="stable")
    positions = np.array([3, 199, 0, 77])
    found = sum(shards.preceding(score_N[a:z], a, positions, score_N[positions]) for a, z in cut(200, n_shards))
    np.testing.assert_array_equal(by_score[found], positions)


@pytest.mark.parametrize(
    ("n", "n_classes", "budget", "weight"), [(12_000, 10, 400, 0.6), (9000, 5, 150, 2.0), (5000, 3, 40, 0.0)]
)
def test_class_balanced_of_shards_is_that_of_one_piece(n, n_classes, budget, weight, monkeypatch, short_search):
    """The same picks and the same certificate, whatever the cut, from a sample of a tenth of the pool."""
    monkeypatch.setattr(shards, "SAMPLE", n // 10)
    score_N, probs_N_C, share_C = balanced_pool(n, n_classes, seed=n_classes)
    problem = score_N, probs_N_C, budget * share_C, budget, weight
    one = one_piece.class_balanced(*problem)
    for n_shards in (1, 5):
        found, rounds = in_shards(*problem, n_shards)
        np.testing.assert_array_equal(found.positions, one.positions)
        for name in ("objective", "lower_bound", "relative_gap"):
            assert getattr(found, name) == pytest.approx(getattr(one, name), rel=1e-9, abs=1e-12)
        assert 2 <= rounds <= 4


def test_a_bad_sample_costs_rounds_and_changes_nothing(monkeypatch, short_search):
    """The samples are of a shard unlike the others, so that the first prices and levels are wrong."""
    score_N, probs_N_C, share_C = balanced_pool(6000, 4, seed=0)
    order = np.argsort(score_N)
    score_N, probs_N_C = score_N[order], probs_N_C[order]
    monkeypatch.setattr(shards, "MARGIN", 700)
    problem = score_N, probs_N_C, 60 * share_C, 60, 0.6
    expected = one_piece.class_balanced(*problem)
    whole = shards.sample
    monkeypatch.setattr(
        shards, "sample", lambda score_n, probs_n_C, first, n: whole(score_n[:600], probs_n_C[:600], first, n)
    )
    found, rounds = in_shards(*problem, 1)
    np.testing.assert_array_equal(found.positions, expected.positions)
    assert found.lower_bound == pytest.approx(expected.lower_bound, rel=1e-9) and rounds >= 2


def test_a_small_pool_in_shards_is_optimal():
    """By brute force over all batches."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        score_N, probs_N_C = rng.random(10), rng.dirichlet(np.ones(3), 10)
        found, _ = in_shards(score_N, probs_N_C, np.array([2.0, 1.0, 1.0]), 4, 1.0, 3)
        batches = [list(batch) for batch in itertools.combinations(range(10), 4)]
        best = min(np.abs([2, 1, 1] - probs_N_C[b].sum(0)).sum() - score_N[b].sum() for b in batches)
        assert found.objective == pytest.approx(best)


# ------------------------------------------------------------------------------------------------------ two levels


def two_levels(select, n, budget, n_shards, seed=0):
    """As the jobs of shards and the last one do; ``select(rows, budget)`` chooses from some rows."""
    parts = [np.arange(a, z) for a, z in cut(n, n_shards, seed) if z > a]
    done = [select(rows, min(budget, len(rows))) for rows in parts]
    union = np.sort(np.concatenate([rows[found.positions] for rows, found in zip(parts, done, strict=True)]))
    last = select(union, budget)
    return covers.Cover(union[last.positions], last.radius + max(found.radius for found in done))


@pytest.mark.parametrize("n_labeled", [0, 2])
@pytest.mark.parametrize("budget", [1, 3])
def test_two_levels_of_k_center_are_within_4_times_the_optimum(n_labeled, budget):
    """Against the best of all batches, on points in the plane, some of them twins; the stated radius is a bound of the true one."""
    factors = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        points = rng.standard_normal((12, 2)) * rng.choice([0.1, 1, 5], (12, 1))
        points[3] = points[7]
        labeled = rng.standard_normal((n_labeled, 2))
        found = two_levels(lambda rows, b: covers.kcenter_cover(points[rows], labeled, b), 12, budget, 3, seed)  # noqa: B023
        assert len(set(found.positions)) == budget
        best = min(kcenter.radius(points, labeled, list(b)) for b in itertools.combinations(range(12), budget))
        true = kcenter.radius(points, labeled, found.positions)
        assert true <= found.radius * (1 + 1e-12) and found.radius <= 4 * best * (1 + 1e-12)
        factors.append(true / best)
    assert max(factors) > 1  # it is no optimum


def test_k_center_with_its_radius_is_the_greedy_one():
    rng = np.random.default_rng(0)
    points, labeled = rng.standard_normal((300, 4)).astype(np.float32), rng.standard_normal((5, 4)).astype(np.float32)
    found = covers.kcenter_cover(points, labeled, 20)
    np.testing.assert_array_equal(found.positions, kcenter.kcenter_greedy(points, labeled, 20))
    assert found.radius == pytest.approx(kcenter.radius(points, labeled, found.positions), rel=1e-12)
    found = covers.kcenter_cover(points[:20], labeled, 20)
    assert sorted(found.positions) == list(range(20)) and found.radius == 0


@pytest.mark.parametrize("n_shards", [1, 4])
def test_two_levels_of_badge_state_a_bound_of_the_radius(n_shards):
    """Of the gradients themselves, which are built here."""
    rng = np.random.default_rng(0)
    probs, embeddings = (
        rng.dirichlet(np.ones(4), 120).astype(np.float32),
        rng.standard_normal((120, 6)).astype(np.float32),
    )
    rng = np.random.default_rng(1)
    select = lambda rows, budget: covers.badge_cover(probs[rows], embeddings[rows], budget, rng)  # noqa: E731
    found = two_levels(select, 120, 10, n_shards)
    residuals = probs.astype(float) - np.eye(4)[probs.argmax(1)]
    gradients = (residuals[:, :, None] * embeddings[:, None]).reshape(120, -1)
    distances = np.linalg.norm(gradients[:, None] - gradients[found.positions], axis=2)
    true = distances.min(1).max()
    assert len(set(found.positions)) == 10
    assert true == pytest.approx(covers.gradient_radius(probs, embeddings, found.positions), rel=1e-6)
    assert true <= found.radius * (1 + 1e-9)


def test_badge_with_its_radius_is_badge():
    rng = np.random.default_rng(0)
    probs, embeddings = rng.dirichlet(np.ones(4), 120), rng.standard_normal((120, 6))
    found = covers.badge_cover(probs, embeddings, 10, np.random.default_rng(5))
    np.testing.assert_array_equal(found.positions, badge.badge(probs, embeddings, 10, np.random.default_rng(5)))


def test_shards_of_other_selectors_are_a_mistake():
    with pytest.raises(
        UserError, match=r"methods.entropy_cb.shards' is 2, but the selector is class_balanced; take one of top_k"
    ):
        config.load(copy.deepcopy(SMALL) | {"methods": {"random": {}, "entropy_cb": {"shards": 2}}})
