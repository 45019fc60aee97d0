"""Groups of images that belong together (a patient, a place, a camera): nothing of a group is in two parts of a data set."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dagal.datasets.decoding import readable
from dagal.errors import UserError


def of_names(pattern: str, names: Sequence[str], path: Path) -> list[str]:
    """Group of each file, by a pattern in its name (`named_by`).

    Raises UserError for a name in which it finds nothing.
    """
    found = [re.search(pattern, name) for name in names]
    if without := [name for name, match in zip(names, found, strict=True) if not match]:
        raise UserError(
            f"{readable(without[0])} in {path} (and {len(without) - 1:,} more files) is of no group: correct dataset.group_pattern, "
            f"which is {pattern!r}."
        )
    return list(map(named_by, found))


def named_by(match: re.Match) -> str:
    """The group that a match of `dataset.group_pattern` names: its first bracket, or all of it."""
    return match[1] if match.re.groups else match[0]


def about(groups: Sequence[str], part_N: np.ndarray, path: Path) -> dict[str, np.ndarray]:
    """What images.h5 holds of groups. Raises UserError if one is in two of the parts."""
    names, group_N = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)
    pairs = np.unique(np.stack([group_N, part_N]), axis=1)[0]
    if len(torn := np.unique(pairs[:-1][np.diff(pairs) == 0])):
        raise UserError(
            f"{path} has group {readable(str(names[torn[0]]))} in two parts, as training and test ({len(torn):,} such groups): put all of a "
            "group into one part, or delete the split to have one made."
        )
    encoded = np.array([str(name).encode("utf-8", "surrogateescape") for name in names])
    return {"group": group_N.astype(np.int64), "group_names": encoded}


def drawn(groups: Sequence[str], labels_N: np.ndarray, fraction: float, path: Path) -> np.ndarray:
    """Whether each image is for testing (N,) bool: whole groups, so that every class comes as close to ``fraction`` as it can.

    Groups are asked in the order of a hash of their names, which is the same everywhere; one joins the test part if that brings the
    numbers of test images of the classes nearer to what is wanted. Raises UserError for a single group.
    """
    names, group_N = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        raise UserError(f"{path} holds a single group, none to test on: add images of another, or correct the groups.")
    counts_G_C = np.zeros((len(names), int(labels_N.max()) + 1))
    np.add.at(counts_G_C, (group_N, labels_N), 1)
    wanted_C = counts_G_C.sum(0) * fraction
    order = sorted(
        range(len(names)), key=lambda g: hashlib.sha256(names[g].encode("utf-8", "surrogateescape")).digest()
    )
    # large groups first, while there is room for them
    order.sort(key=lambda g: -counts_G_C[g].sum())
    test, have_C = [], np.zeros(len(wanted_C))
    for g in order:
        if (
            len(test) < len(names) - 1
            and np.abs(have_C + counts_G_C[g] - wanted_C).sum() < np.abs(have_C - wanted_C).sum()
        ):
            test.append(g)
            have_C = have_C + counts_G_C[g]
    if not test:  # all are larger than what is wanted
        test = [min(order, key=lambda g: np.abs(counts_G_C[g] - wanted_C).sum())]
    return np.isin(group_N, test)
