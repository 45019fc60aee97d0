"""A person as the oracle: the answers, who waits for them, the page on which they are given, and the formats of other tools."""

import numpy as np

from dagal.errors import UserError


def by_person(settings: dict) -> bool:
    """Whether people label in a study with these resolved settings."""
    return settings["oracle"].get("kind") == "person"


def check_all_told(ids: np.ndarray, asked: np.ndarray) -> None:
    """Raise UserError unless every image of a test set has a label: measures of boxes and of pixels take one without for empty."""
    if len(missing := np.setdiff1d(asked, ids)):
        raise UserError(
            f"image {missing[0]} of the test set has no label: give it one by `dagal relabel` or on the page, then run again."
        )
