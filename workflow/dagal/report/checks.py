"""What exposes a study that went wrong, as pure functions: each returns what it found, and a line that all is well where nothing is.

A check asks whether a result could be an artefact: of leaked labels or test images, of an unequal comparison, of a model or network
that learnt nothing. Limits are wide: a sound study raises none.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from dagal.report.statistics import is_random, random_of

OK, WARNING, BAD = "ok", "warning", "bad"
GAPS = 0.15, 0.3  # between accuracies on pool and test set, beyond three standard errors: a warning, and worse
DUPLICATES = 0.01  # share of the test set that is bad; a single one is a warning
ALIKE = 3  # root mean squared difference, of 255, up to which two thumbnails are nearly equal
PLAIN = 15  # standard deviation within a thumbnail below which it shows too little to be compared
CHANCE_ERRORS = 2  # standard errors above chance below which a model has learnt nothing
SPREAD = 0.001  # of the discriminator's outputs over the pool, below which it tells no image from another,
TELLS = 0.1  # unless its area under the ROC curve is so far from .5
CERTAIN = 0.999  # area above which, and
PERFECT = 0.01  # loss of the discriminator below which, it tells the two pools apart without error
EMPTY = 0.001  # nats of a posterior that holds nothing
DIRECTIONS = 0.05, 0.1  # of `spread_of_directions`: collapsed, and nearly
UNLIKELY = 0.001  # probability at which chance no longer explains a query of one class


class Finding(NamedTuple):
    check: str
    where: str
    value: str
    limit: str
    verdict: str
    sentence: str


def or_well(check: str, found: Iterable[Finding], sentence: str, where: str = "") -> list[Finding]:
    """What a check found, or one line that all is well."""
    return list(found) or [Finding(check, where, "", "", OK, sentence)]


def gap(pool_labels_n, pool_correct_n, test_labels_m, test_correct_m) -> tuple[float, float, float]:
    """Accuracy on a pool, on the test set, and the standard error of their difference, both over the class shares of the test set.

    ``*_labels``: true classes; ``*_correct``: whether the model is right. Classes that one of the two lacks are left out. The pool's
    imbalance, and what methods took out of it by class, do not count this way. Nan without a class in common.
    """
    classes = np.intersect1d(pool_labels_n, test_labels_m)
    if not len(classes):
        return np.nan, np.nan, np.nan
    share_C = np.array([np.mean(test_labels_m == c) for c in classes])
    share_C = share_C / share_C.sum()
    means, variance = [], 0.0
    for labels, correct in ((pool_labels_n, pool_correct_n), (test_labels_m, test_correct_m)):
        n_C = np.array([np.sum(labels == c) for c in classes])
        right_C = np.array([np.sum(correct[labels == c]) for c in classes])
        means.append(float(share_C @ (right_C / n_C)))
        smooth_C = (right_C + 1) / (n_C + 2)  # a class of few images that are all right has no error of 0
        variance += float(share_C**2 @ (smooth_C * (1 - smooth_C) / n_C))
    return *means, variance**0.5


def pool_against_test(models: Mapping[str, list[tuple]]) -> list[Finding]:
    """Accuracy on images of the pool that were never queried, against that on the test set. Name -> `gap` of each of its seeds."""
    found = []
    for name, seeds in models.items():
        pool, test, error = max(seeds, key=lambda one: abs(one[0] - one[1]) - 3 * one[2])
        beyond = abs(pool - test) - 3 * error
        if beyond > GAPS[0]:
            why = (
                "it may know hidden labels, or the test set is of another kind"
                if pool > test
                else "test images may be among the labeled ones, or the pool is of another kind"
            )
            found.append(
                Finding(
                    "pool against test", name, f"{pool:.3f} and {test:.3f}", f"{GAPS[0]} + {3 * error:.3f} apart",
                    BAD if beyond > GAPS[1] else WARNING,
                    f"{name} is right on {pool:.1%} of the pool that was never queried and on {test:.1%} of the test set: {why}.",
                )
            )  # fmt: skip
    return or_well(
        "pool against test", found, f"{len(models)} models are as right on the rest of the pool as on the test set."
    )


def baselines(methods: Mapping[str, str], learners: Mapping[str, dict]) -> list[Finding]:
    """Whether every method has a random baseline that learns as it does. Method -> its learner; learner -> its settings."""
    check, found = "random baseline", []
    for method, learner in methods.items():
        reference = random_of(method, methods)
        if is_random(method) or reference == method:
            continue
        if reference is None:
            found.append(Finding(check, method, "", "", WARNING, f"{method} has no random method to be compared with."))
            continue
        own, other = learners[learner], learners[methods[reference]]
        differing = [key for key in {**own, **other} if own.get(key) != other.get(key)]
        if differing:
            keys = ", ".join(differing)
            sentence = f"{method} is compared with {reference}, which learns with another {keys}; add a random method with the learner {learner}."
            found.append(Finding(check, method, keys, "none", WARNING, sentence))
    return or_well(check, found, "Every method is compared with a random one of the same learner.")


def initial_sets(starts: Mapping[tuple[str, int], np.ndarray]) -> list[Finding]:
    """Whether all chains of a seed begin with the same labels. (Method or start, seed) -> ids of its first labels."""
    found, first = [], {}
    for (name, seed), ids in starts.items():
        reference = first.setdefault(seed, (name, ids))
        differ = len(np.setxor1d(ids, reference[1]))
        if differ:
            sentence = f"{name} and {reference[0]} begin seed {seed} with different labels: they cannot be compared."
            found.append(Finding("initial sets", name, f"{differ} ids", "0", BAD, sentence))
    return or_well("initial sets", found, "All methods of a seed begin with the same labels.")


def digests(images: Iterable[np.ndarray]) -> list[bytes]:
    """A digest of each image's content."""
    return [hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest() for image in images]


def duplicates(train: list[bytes], test: list[bytes]) -> list[Finding]:
    """Whether images of the test set are training images too, byte for byte, by their `digests`."""
    known = set(train)
    twice = sum(one in known for one in test)
    sentence = f"{twice:,} of {len(test):,} test images are training images as well: test accuracy is too high."
    verdict = BAD if twice > DUPLICATES * len(test) else WARNING
    found = [Finding("duplicates", "test set", str(twice), "0", verdict, sentence)] if twice else []
    return or_well("duplicates", found, f"None of {len(test):,} test images is a training image.")


def nearly_equal(train_N_H_W: np.ndarray, test_M_H_W: np.ndarray) -> np.ndarray:
    """Whether each thumbnail of the test set is nearly equal (`ALIKE`) to one of the training set (M,), bool.

    Thumbnails (n,H,W) of gray levels in 0..255, H and W multiples of 4. The difference of their means over 4 x 4 cells is never larger
    than that of the thumbnails, so a tree of these means finds all candidates.
    """
    from scipy.spatial import cKDTree

    parts = []
    for thumbnails in (train_N_H_W, test_M_H_W):
        n, height, width = thumbnails.shape
        cells = thumbnails.reshape(n, 4, height // 4, 4, width // 4).mean((2, 4), dtype=np.float64).reshape(n, 16)
        shown = np.flatnonzero(thumbnails.std((1, 2), dtype=np.float64) >= PLAIN)
        parts.append((shown, cKDTree(cells[shown])))
    (train, train_tree), (test, test_tree) = parts
    found_M = np.zeros(len(test_M_H_W), bool)
    for k, near in zip(test, test_tree.query_ball_tree(train_tree, ALIKE * 4 + 1e-9), strict=True):
        if near:
            difference = train_N_H_W[train[near]].astype(np.float64) - test_M_H_W[k]
            found_M[k] = ((difference**2).mean((1, 2)) <= ALIKE**2).any()
    return found_M


def near_duplicates(n_found: int, n_test: int) -> list[Finding]:
    """Whether test images are nearly, but not in every byte, equal to training images: scaled or stored again, or frames of one scene."""
    sentence = f"{n_found:,} of {n_test:,} test images are nearly equal to a training image: look at them."
    found = [Finding("near duplicates", "test set", str(n_found), "0", WARNING, sentence)] if n_found else []
    return or_well("near duplicates", found, f"None of {n_test:,} test images is nearly equal to a training image.")


def diverged(losses: Mapping[tuple[str, int, int], np.ndarray]) -> list[Finding]:
    """Whether a loss is no number. (Branch, seed, cycle) of each model -> its loss after every epoch."""
    found = {}
    for (branch, seed, cycle), loss_E in losses.items():
        if not np.isfinite(loss_E).all():
            found.setdefault(branch, []).append((seed, cycle))
    rows = [
        Finding("diverged", branch, f"{len(places)} models", "0", BAD,
                f"The training of {branch} diverged {len(places)} times, first in cycle {places[0][1]} of seed {places[0][0]}.")
        for branch, places in found.items()
    ]  # fmt: skip
    return or_well("diverged", rows, f"The loss of {len(losses):,} models stayed finite.")


def at_chance(finals: Mapping[tuple[str, int], float], n_classes: int, n_test: int) -> list[Finding]:
    """Whether a chain ends with a model that has learnt nothing. (Method, seed) -> the last mean accuracy over the classes."""
    chance = 1 / n_classes
    limit = chance + CHANCE_ERRORS * (chance * (1 - chance) / n_test) ** 0.5
    worst = {}
    for (method, seed), accuracy in finals.items():
        if accuracy <= limit and accuracy <= worst.get(method, (1, 0))[0]:
            worst[method] = accuracy, seed
    rows = [
        Finding("chance", method, f"{accuracy:.3f}", f"{limit:.3f}", BAD,
                f"The last model of {method}, seed {seed}, is right on {accuracy:.1%} of an average class, no more than by chance.")
        for method, (accuracy, seed) in worst.items()
    ]  # fmt: skip
    return or_well("chance", rows, "Every chain ends above chance.")


def adversaries(trained: Mapping[tuple[str, int, int], tuple]) -> list[Finding]:
    """Whether the queries of adversaries can mean anything. (Name, seed, cycle) of each -> outputs (n,) of D over the pool, the loss
    of D and the divergence of the latent (S,) over the training, and the area under the ROC curve of D after it.

    An area of .5 alone is no fault, nor is a loss of 2 ln 2: there the VAE has won, and D may still rank the pool. D is idle where it
    also says the same of all images. An area of 1 is a finding: the VAE never confuses D, whatever its adversarial term.
    """
    found, areas = {}, []
    for (name, seed, cycle), (discriminator_n, loss_S, kl_S, area) in trained.items():
        spread, area = float(np.std(discriminator_n)), float(area)
        areas.append(area)
        for key, fault in (
            ("idle", not spread > (0 if abs(area - 0.5) >= TELLS else SPREAD)),
            ("certain", area > CERTAIN or not loss_S[-1] > PERFECT),
            ("empty", not kl_S[-1] > EMPTY),
        ):
            if fault:
                found.setdefault((name, key), []).append((seed, cycle, spread, area, loss_S[-1], kl_S[-1]))
    rows = []
    for (name, key), ends in found.items():
        seed, cycle, spread, area, loss, kl = ends[0]
        n = sum(of == name for of, _, _ in trained)
        where = f"({len(ends)} of {n} trainings, first in cycle {cycle} of seed {seed})"
        rows.append(Finding("adversary", name, *{
            "idle": (f"spread {spread:.2g}, AUC {area:.3f}", f"{SPREAD:g}", BAD,
                f"The discriminator of {name} says the same of all images of the pool {where}: what it asks for is arbitrary."),
            "certain": (f"AUC {area:.3f}, loss {loss:.2g}", f"{CERTAIN:g}, {PERFECT:g}", WARNING,
                f"The discriminator of {name} tells labeled from unlabeled images without error {where}: the auto-encoder never "
                "confuses it, and it may know the labeled ones by heart; try a larger weight."),
            "empty": (f"KL {kl:.2g}", f"{EMPTY:g}", BAD,
                f"The latent of {name} holds nothing {where}, posterior collapse: lower beta."),
        }[key]))  # fmt: skip
    said = f" (AUC of the discriminator: {min(areas):.2f} to {max(areas):.2f})" if areas else ""
    return or_well("adversary", rows, f"{len(trained)} adversaries tell images apart{said}.")


def spread_of_directions(features_n_D: np.ndarray) -> float:
    """Root of the variance of features scaled to length 1: 0 if all point the same way, 1 if they point everywhere.

    As the monitor of SimSiam (Chen and He 2021, fig. 2), summed over the dimensions.
    """
    length_n_1 = np.linalg.norm(features_n_D, axis=1, keepdims=True)
    unit_n_D = features_n_D / np.where(length_n_1 > 0, length_n_1, 1)
    return float(np.sqrt(unit_n_D.astype(np.float64).var(0).sum()))


def backbone(name: str, features_n_D: np.ndarray) -> list[Finding]:
    """Whether a backbone tells images apart."""
    spread = spread_of_directions(features_n_D)
    if spread > DIRECTIONS[1]:
        return []
    verdict = WARNING if spread > DIRECTIONS[0] else BAD
    sentence = f"The features of the backbone {name} point the same way for all images: it has collapsed."
    return [Finding("backbone", name, f"{spread:.3f}", f"{DIRECTIONS[1]}", verdict, sentence)]


def one_class(chains: Mapping[tuple[str, int], list[np.ndarray]], largest_share: Mapping[int, float]) -> list[Finding]:
    """Whether a chain asked for one class only. (Method, seed) -> classes of each of its queries; seed -> share of the largest class of the pool.

    A single such query is a warning; one that chance explains, as of a pool of almost one class, is none.
    """
    found = {}
    for (method, seed), queries in chains.items():
        alone = [len(np.unique(classes)) == 1 and largest_share[seed] ** len(classes) < UNLIKELY for classes in queries]
        if any(alone):
            found.setdefault(method, []).append((sum(alone), len(alone), seed))
    rows = []
    for method, chains_of in found.items():
        times, of, seed = max(chains_of)
        sentence = f"{method} asked for a single class in {times} of {of} queries of seed {seed}."
        rows.append(Finding("one class", method, f"{times} of {of}", "0", BAD if times == of else WARNING, sentence))
    return or_well("one class", rows, "No query asked for a single class.")


def training(rows: Iterable[Mapping[str, str]]) -> list[Finding]:
    """Whether training alone moves a result by more than a method does. ``rows`` of training_spread.csv."""
    found = []
    for row in rows:
        if row["difference"] and float(row["difference_sd"]) > abs(float(row["difference"])):
            sentence = (
                f"{row['method']} ends {float(row['difference']):+.3f} from {row['reference']}, but training again on the same labels "
                f"moves this by {float(row['difference_sd']):.3f}: more seeds are needed to tell them apart."
            )
            limit = f"{float(row['difference_sd']):.3g}"
            found.append(
                Finding("training", row["method"], f"{float(row['difference']):.3g}", limit, WARNING, sentence)
            )
    return or_well("training", found, "Every method is further from random than training alone moves it.")


def seeds(n_seeds: int, shared: Iterable[str]) -> list[Finding]:
    """Whether the seeds tell what chance does. ``shared``: backbones whose training all seeds share."""
    found = []
    if n_seeds == 1:
        found.append(
            Finding("seeds", "study", "1", "2", WARNING, "With one seed nothing tells a difference from chance.")
        )
    for name in shared if n_seeds > 1 else ():
        sentence = f"All seeds share one training of the backbone {name}, whose chance no interval knows; delete backbones.{name}.per_seed."
        found.append(Finding("seeds", name, "shared", "per seed", WARNING, sentence))
    return or_well("seeds", found, f"{n_seeds} seeds, each with trainings of its own.")
