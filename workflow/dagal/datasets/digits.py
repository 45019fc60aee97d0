"""The digits inside scikit-learn: real data without a download."""

import numpy as np

from dagal.datasets.source import Source


def digits(settings: dict) -> Source:
    """1,797 handwritten digits, 8 x 8; a fixed stratified fifth is the test set, since none is published."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    parts = train_test_split(np.arange(len(data.target)), test_size=0.2, random_state=0, stratify=data.target)
    order = np.concatenate([np.sort(part) for part in parts])
    images = np.rint(data.images[order] * (255 / 16)).astype(np.uint8)
    names = [str(name) for name in data.target_names]
    return Source(names, data.target[order].astype(np.int64), len(parts[0]), enumerate(images))
