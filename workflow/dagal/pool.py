"""The pool of one seed: validation set, initial labeled set, and the imbalance simulated on the rest."""

import h5py
import numpy as np

from dagal import artifacts
from dagal.artifacts import Kind
from dagal.errors import UserError
from dagal.seeding import generator

SPLIT = Kind(
    "split",
    1,
    {
        "pool": "ids of the unlabeled pool at cycle 0, ascending",
        "initial": "ids of the initial labeled set, ascending",
        "validation": "ids held out for validation, ascending",
        "test": "ids of the untouched test set, ascending",
        "channel_mean": "mean intensity per channel (C,) over pool and initial set, in 0..1",
        "channel_std": "standard deviation per channel (C,) over pool and initial set, in 0..1",
    },
)


def kept_share(kind: str, factor: float, n_classes: int) -> np.ndarray:
    """Share of each class (C,) that stays in an imbalanced pool, ``factor`` being the share of the rarest class.

    ``step``: the last half of the classes is thinned (003 sec. 4.5.1); ``first_half``: the first half (004 sec. 4.3);
    ``exponential``: class y keeps factor^(y/(C-1)) (Cui et al. 2019); ``none``: all stay.
    """
    share_C = np.ones(n_classes)
    half = n_classes // 2
    if kind == "step":
        share_C[n_classes - half :] = factor
    elif kind == "first_half":
        share_C[:half] = factor
    elif kind == "exponential":
        share_C = factor ** (np.arange(n_classes) / max(n_classes - 1, 1))
    return share_C


def thin(labels_N: np.ndarray, share_C: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions (ascending) that stay when each class keeps ``share_C`` of its samples, rounded half up."""
    kept = []
    for label, share in enumerate(share_C):
        members = np.flatnonzero(labels_N == label)
        size = int(np.floor(np.round(len(members) * share, 9) + 0.5))  # 50 x .29 is 14.499999999999998
        kept.append(rng.choice(members, size, replace=False))
    return np.sort(np.concatenate(kept))


def ranked(candidates: np.ndarray, size: int, seed: int, cycle: int) -> np.ndarray:
    """Ids, ascending, that the query of a cycle ranks: ``size`` of the candidates at random, the same for all methods; 0: all."""
    if not size:
        return candidates
    return np.sort(generator(seed, "subset", cycle).choice(candidates, min(size, len(candidates)), replace=False))


def draw(labels_N: np.ndarray, size: int, kind: str, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """Positions (size,), ascending, of a labeled set drawn without replacement.

    ``random``: every sample alike; ``class_uniform``: each draw picks a class at random (of those that have samples
    left), then one of its samples; ``balanced``: size/C samples of every class, the remainder to random classes.
    Raises UserError if there are not enough samples.
    """
    if size > len(labels_N):
        raise UserError(f"{size} samples cannot be drawn from {len(labels_N)}; make the set smaller.")
    order_N = rng.permutation(len(labels_N))
    if kind == "random":
        return np.sort(order_N[:size])
    available_C = np.bincount(labels_N, minlength=n_classes)
    if kind == "balanced":
        wanted_C = np.full(n_classes, size // n_classes)
        wanted_C[rng.permutation(n_classes)[: size % n_classes]] += 1
        short = np.flatnonzero(wanted_C > available_C)
        if len(short):
            raise UserError(
                f"a balanced set of {size} needs {wanted_C[short[0]]} samples of class {short[0]}, which has "
                f"{available_C[short[0]]}; make it smaller or draw it with kind random or class_uniform."
            )
    else:
        wanted_C = np.zeros(n_classes, np.int64)
        for _ in range(size):
            wanted_C[rng.choice(np.flatnonzero(wanted_C < available_C))] += 1
    shuffled_N = labels_N[order_N]
    return np.sort(np.concatenate([order_N[shuffled_N == c][: wanted_C[c]] for c in range(n_classes)]))


def drawn_at_random(
    ids: np.ndarray, size: int, rng: np.random.Generator, group_N: np.ndarray | None, key: str
) -> np.ndarray:
    """Positions in ``ids`` of a set of ``size``, ascending; of whole groups where ``group_N`` tells them. ``key`` is that of the config."""
    if group_N is not None and size:
        return draw_groups(group_N[ids], size, rng, key)
    return draw(np.zeros(len(ids), np.int64), size, "random", 1, rng)


def draw_groups(group_N: np.ndarray, size: int, rng: np.random.Generator, key: str) -> np.ndarray:
    """Positions, ascending, of whole groups in random order, each taken if it still fits into ``size``. Raises UserError if none does."""
    names, size_G = np.unique(group_N, return_counts=True)
    taken, left = [], size
    for g in rng.permutation(len(names)):
        if size_G[g] <= left and len(taken) < len(names) - 1:
            taken.append(names[g])
            left -= size_G[g]
    if not taken:
        raise UserError(
            f"{key} is {size}, but the smallest of the {len(names):,} groups of training images has {size_G.min():,}: make it "
            "larger."
        )
    return np.flatnonzero(np.isin(group_N, taken))


def unlabeled(split_path: str, labeled_path: str) -> np.ndarray:
    """Ids of the pool that may be asked for, ascending: those without label that nobody was asked for in vain."""
    (pool,) = artifacts.read(split_path, "split", "pool")
    with artifacts.opened(labeled_path, "labeled") as file:
        asked = [file[name][()] for name in ("ids", "unanswered") if name in file]
    return np.setdiff1d(pool, np.concatenate(asked))


def part_of(n: int, batch_size: int, shard: int, shards: int) -> slice:
    """The rows of n that one of several jobs takes: whole batches, so that all batches are those of a single pass."""
    n_batches = -(-n // batch_size)
    first, last = (batch_size * (n_batches * edge // shards) for edge in (shard, shard + 1))
    return slice(first, min(last, n))


def thumbnails(images: h5py.Dataset, ids: np.ndarray) -> np.ndarray:
    """Images with the given ids, averaged down to at most 16 x 16 pixels and flattened (n,D), float32.

    What k-center initialisation sees: it needs features before there is any model.
    """
    height, width, channels = images.shape[1:]
    size = -(-max(height, width) // 16)
    rows, columns = height // size, width // size
    result = np.empty((len(ids), rows * columns * channels), np.float32)
    for start in range(0, len(ids), 2048):
        block = artifacts.rows(images, ids[start : start + 2048])[:, : rows * size, : columns * size]
        cells = block.reshape(len(block), rows, size, columns, size, channels).mean((2, 4), dtype=np.float32)
        result[start : start + len(block)] = cells.reshape(len(block), -1)
    return result


def make_split(
    split_N: np.ndarray,
    labels_N: np.ndarray,
    n_classes: int,
    settings: dict,
    seed: int,
    kcenter=None,
    group_N: np.ndarray | None = None,
    given: np.ndarray | None = None,
) -> dict:
    """Ids of ``pool``, ``initial``, ``validation`` and ``test``, each ascending, the four disjoint.

    ``split_N`` is 0 for training, 1 for test and 2 for validation images. Where the data bring none of the last, the validation set is
    drawn first, at random, and of whole groups if ``group_N`` tells them; the imbalance is
    applied to what the initial draw leaves (``where: rest``, as in 003) or before that draw (``where: all``, as in 004).
    Where a person labels, ``given`` (n,) are the ids whose label is known: those for training are the initial set, or the first of
    it; a test set of ``settings["test"]`` is drawn before all else, the same for all seeds.
    ``kcenter(ids, size, start, rng)`` chooses positions for an initial set of that kind; without it, a random draw stands in.
    """
    initial, imbalance = settings["initial"], settings["imbalance"]
    training, test = np.flatnonzero(split_N == 0), np.flatnonzero(split_N == 1)
    if given is not None:
        n_classes = 1  # nothing is drawn by class, and a data set without labels has none
        # an image for testing that has no label is one of the pool
        training, test = np.union1d(training, np.setdiff1d(test, given)), np.intersect1d(test, given)
        free = np.setdiff1d(training, given)
        if group_N is not None:
            free = free[~np.isin(group_N[free], group_N[given])]
        taken = free[drawn_at_random(free, settings.get("test", 0), generator(0, "test"), group_N, "pool.test")]
        training, test = np.setdiff1d(training, taken), np.union1d(test, taken)

    brought = np.flatnonzero(split_N == 2)
    if len(brought) and settings["validation"]:
        raise UserError(
            f"pool.validation is {settings['validation']}, but the data set brings {len(brought):,} images for validation: delete it."
        )
    rng = generator(seed, "validation")
    drawn = drawn_at_random(training, settings["validation"], rng, group_N, "pool.validation")
    validation, rest = np.concatenate([training[drawn], brought]), np.delete(training, drawn)

    share_C = kept_share(imbalance["kind"], imbalance["factor"], n_classes)
    imbalance_rng = generator(seed, "imbalance")
    if imbalance["where"] == "all":
        rest = rest[thin(labels_N[rest], share_C, imbalance_rng)]
    rng, size, known = generator(seed, "initial"), initial["size"], rest[:0]
    if given is not None:
        known = np.intersect1d(rest, given)
        rest, size = np.setdiff1d(rest, known), max(0, size - len(known))
    by_kcenter = initial["kind"].startswith("kcenter")
    if by_kcenter and kcenter and 0 < size <= len(rest):
        drawn = np.sort(kcenter(rest, size, min(initial["start"], size), rng))
    else:
        kind = "random" if by_kcenter else initial["kind"]
        drawn = draw(labels_N[rest], size, kind, n_classes, rng)
    chosen, pool = rest[drawn], np.delete(rest, drawn)
    if imbalance["where"] == "rest":
        pool = pool[thin(labels_N[pool], share_C, imbalance_rng)]
    return {"pool": pool, "initial": np.union1d(chosen, known), "validation": validation, "test": test}


def add_noise(image_H_W_C: np.ndarray, settings: dict, std_C: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One uint8 image with the noise of 001 (sec. 3.6), of `noisy_type`; as it is where it is not hit.

    ``gaussian``: normal noise of ``sigma`` x ``std_C`` (in 0..1), which is standard normal noise times ``sigma`` on standardised
    images; rounded to whole intensities, and not cut to 0..255. ``salt_and_pepper``: pixels turn black or white with equal chance.
    ``level`` image: the image is hit with ``probability``, then every pixel by gaussian noise, a share ``amount`` of them by salt
    and pepper. ``level`` pixel: each pixel is hit with ``probability``.
    """
    shape = image_H_W_C.shape[:2]
    if settings["level"] == "pixel":
        hit_H_W = rng.random(shape) < settings["probability"]
    elif rng.random() >= settings["probability"]:
        return image_H_W_C
    else:
        hit_H_W = rng.random(shape) < (settings["amount"] if settings["kind"] == "salt_and_pepper" else 1)
    if settings["kind"] == "salt_and_pepper":
        noisy = np.where(rng.random((*shape, 1)) < 0.5, 0, 255)
    else:
        noisy = image_H_W_C + 255 * settings["sigma"] * std_C * rng.standard_normal(image_H_W_C.shape)
    of_type = noisy_type(settings)
    limits = np.iinfo(of_type)
    return np.where(hit_H_W[..., None], np.rint(noisy).clip(limits.min, limits.max), image_H_W_C).astype(of_type)


def noisy_ids(settings: dict, pool: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Ids, ascending, of the images that noise may hit: of the pool, and of the test set where the settings say so."""
    return np.union1d(pool, test) if settings.get("where") == "pool_and_test" else pool


def noisy_type(settings: dict) -> type[np.integer]:
    """The type of the intensities of a noisy pool: gaussian noise goes beyond 0..255, to both sides."""
    return np.int16 if settings["kind"] == "gaussian" else np.uint8


def channel_statistics(images: h5py.Dataset, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (C,) of the intensities / 255 of the images with ascending ``ids``, read in blocks.

    A channel without variation gets standard deviation 1.
    """
    sum_C, square_C = np.zeros((2, images.shape[3]), np.int64)
    block = max(1, (8 << 20) // int(np.prod(images.shape[1:])))
    for start in range(0, len(ids), block):
        images_B_H_W_C = artifacts.rows(images, ids[start : start + block])
        for channel in range(images.shape[3]):
            values = images_B_H_W_C[..., channel].astype(np.int64)
            sum_C[channel] += values.sum()
            square_C[channel] += np.square(values, out=values).sum()
    pixels = len(ids) * images.shape[1] * images.shape[2]
    mean_C, mean_square_C = sum_C / pixels, square_C / pixels
    std_C = np.sqrt(np.maximum(mean_square_C - mean_C**2, 0))
    std_C[std_C == 0] = 255.0
    return (mean_C / 255).astype(np.float32), (std_C / 255).astype(np.float32)
