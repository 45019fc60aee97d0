"""Noisy pools and annotators who err."""

import copy

import h5py
import numpy as np
import pytest
from conftest import SMALL, Workflow

from dagal import artifacts
from dagal.pool import add_noise, noisy_ids
from dagal.tasks.classification.answers import mistaken

N, C = 20_000, 5
LABELS = np.random.default_rng(0).integers(0, C, N)
IDS = np.arange(N)


def annotators(noise="symmetric", rate=0.3, annotators=1):
    return {"noise": noise, "rate": rate, "annotators": annotators}


def test_symmetric_noise_hits_all_other_classes_alike():
    given = mistaken(LABELS, IDS, N, C, annotators(), 0)
    wrong = given != LABELS
    assert wrong.mean() == pytest.approx(0.3, abs=0.015)
    shift = np.bincount((given - LABELS)[wrong] % C, minlength=C) / wrong.sum()
    np.testing.assert_allclose(shift, [0, 0.25, 0.25, 0.25, 0.25], atol=0.025)


def test_pair_noise_gives_the_next_class():
    given = mistaken(LABELS, IDS, N, C, annotators("pair"), 0)
    assert set((given - LABELS) % C) == {0, 1}
    assert (given != LABELS).mean() == pytest.approx(0.3, abs=0.015)


def test_rates_of_0_and_1():
    assert (mistaken(LABELS, IDS, N, C, annotators(rate=0), 0) == LABELS).all()
    assert (mistaken(LABELS, IDS, N, C, annotators(rate=1), 0) != LABELS).all()


def test_majority_of_three_errs_less_as_computed():
    # pair noise: the majority is wrong if 2 or 3 of 3 err, 3 r^2 (1 - r) + r^3
    given = mistaken(LABELS, IDS, N, C, annotators("pair", 0.3, 3), 0)
    assert (given != LABELS).mean() == pytest.approx(3 * 0.09 * 0.7 + 0.027, abs=0.01)


def test_ties_of_two_annotators_are_random():
    # pair noise: both err r^2, one errs 2 r (1 - r) and then half of the ties go wrong
    given = mistaken(LABELS, IDS, N, C, annotators("pair", 0.3, 2), 0)
    assert (given != LABELS).mean() == pytest.approx(0.09 + 0.21, abs=0.015)


def test_an_answer_does_not_depend_on_what_else_is_asked():
    whole = mistaken(LABELS, IDS, N, C, annotators(annotators=3), 7)
    some = np.array([17, 3, 19_999, 400])
    np.testing.assert_array_equal(mistaken(LABELS[some], some, N, C, annotators(annotators=3), 7), whole[some])
    assert (mistaken(LABELS, IDS, N, C, annotators(), 8) != mistaken(LABELS, IDS, N, C, annotators(), 7)).any()


GRAY = np.full((40, 40, 3), 100, np.uint8)
NOISE = {"kind": "gaussian", "level": "image", "probability": 1.0, "sigma": 0.5, "amount": 0.2}


def noisy(image=GRAY, seed=0, **changes):
    return add_noise(image, NOISE | changes, np.array([0.1, 0.2, 0.05]), np.random.default_rng(seed))


def test_gaussian_noise_has_the_deviation_of_the_channels():
    found = noisy().astype(float)
    np.testing.assert_allclose(found.std((0, 1)), 255 * 0.5 * np.array([0.1, 0.2, 0.05]), rtol=0.1)
    np.testing.assert_allclose(found.mean((0, 1)), 100, atol=1.5)


@pytest.mark.parametrize("value", [0, 255])
def test_gaussian_noise_of_standardised_images_is_standard_normal(value):
    """Paper 001, sec. 4: mean 0 and unit variance after standardisation, also of a background that is black or white."""
    image, std_C = np.full((200, 200, 1), value, np.uint8), np.array([0.3])
    found = add_noise(image, NOISE | {"sigma": 1}, std_C, np.random.default_rng(0))
    added = (found - image.astype(float)) / 255 / std_C
    assert found.dtype == np.int16 and abs(added.mean()) < 0.01
    assert added.std() == pytest.approx(1, abs=0.01)
    assert (added == 0).mean() < 0.01  # a whole intensity is 1/77 of a standard deviation


def test_noise_beyond_16_bits_is_cut_and_not_wrapped():
    found = noisy(np.full((99, 99, 3), 250, np.uint8), sigma=5000)
    assert (found.min(), found.max()) == (-(2**15), 2**15 - 1)


def test_salt_and_pepper_hits_its_share_of_the_pixels():
    found = noisy(kind="salt_and_pepper")
    assert found.dtype == np.uint8
    changed = (found != GRAY).any(2)
    assert changed.mean() == pytest.approx(0.2, abs=0.04)
    assert set(found[changed].ravel()) == {0, 255}
    assert (found[changed].min(1) == found[changed].max(1)).all()  # a pixel is black or white, not coloured


def test_noise_is_of_the_pool_and_on_request_of_the_test_set():
    pool, test = np.array([1, 4, 9]), np.array([2, 3])
    assert (
        noisy_ids(NOISE, pool, test).tolist() == noisy_ids(NOISE | {"where": "pool"}, pool, test).tolist() == [1, 4, 9]
    )
    assert noisy_ids(NOISE | {"where": "pool_and_test"}, pool, test).tolist() == [1, 2, 3, 4, 9]


def test_probability_is_of_images_or_of_pixels():
    hit = [(noisy(seed=s, probability=0.3) != GRAY).any() for s in range(300)]
    assert np.mean(hit) == pytest.approx(0.3, abs=0.08)
    pixels = (noisy(level="pixel", probability=0.3, sigma=3) != GRAY).any(2)
    assert pixels.mean() == pytest.approx(0.3, abs=0.05)
    peppered = (noisy(kind="salt_and_pepper", level="pixel", probability=0.3) != GRAY).any(2)
    assert peppered.mean() == pytest.approx(0.3, abs=0.05)
    assert (noisy(probability=0.0) == GRAY).all()


@pytest.mark.slow
def test_study_with_a_noisy_pool_and_annotators_who_err(tmp_path):
    workflow, study = Workflow(tmp_path), copy.deepcopy(SMALL)
    study["pool"]["noise"] = {"kind": "gaussian", "probability": 0.5, "where": "pool_and_test"}
    workflow.write(study | {"oracle": {"noise": "symmetric", "rate": 0.4}, "cycles": 1})
    workflow.snakemake()
    results = tmp_path / "results"
    pool, initial, test = artifacts.read(results / "small/seed0/split.h5", "split", "pool", "initial", "test")
    with (
        h5py.File(results / "datasets/digits/images.h5") as clean,
        h5py.File(results / "small/seed0/images.h5") as noisy,
    ):
        changed = (clean["images"][()] != noisy["images"][()]).any((1, 2, 3))
        assert noisy["images"].dtype == np.int16 and noisy["images"][()].min() < 0
        assert "int16" in noisy["images"].attrs["description"]
    for ids in (pool, test):
        assert changed[ids].mean() == pytest.approx(0.5, abs=0.06)
    assert not changed[initial].any()
    (truth,) = artifacts.read(results / "datasets/digits/truth.h5", "truth", "labels")
    for method in ("random", "entropy"):
        ids, labels = artifacts.read(results / f"small/seed0/{method}/cycle1/labeled.h5", "labeled", "ids", "labels")
        assert 0.1 < (labels != truth[ids]).mean() < 0.7
