"""All randomness of a study: independent streams named by (study seed, purpose)."""

import hashlib

import numpy as np


def seed_for(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose of one study seed, e.g. ``seed_for(0, "train", "mlp", 3)``.

    Hashed, so that neighbouring seeds and purposes give unrelated streams on every machine and Python version.
    """
    key = "\x1f".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """NumPy generator for one purpose of one study seed."""
    return np.random.default_rng(seed_for(seed, *purpose))
