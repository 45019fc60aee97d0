"""Images and labels as NumPy arrays in one .npz file."""

from pathlib import Path

import numpy as np

from dagal.datasets import archives, groups
from dagal.datasets.decoding import Decoder, counted
from dagal.datasets.folders import TEST_FRACTION, split_classes
from dagal.datasets.source import Source
from dagal.errors import UserError
from dagal.files import regular

# names of the arrays of images and labels, of parts of a data set (Keras, MedMNIST), or of all of it
PARTS = (
    {"train": ("x_train", "y_train"), "test": ("x_test", "y_test"), "val": ("x_val", "y_val")},
    {
        "train": ("train_images", "train_labels"),
        "test": ("test_images", "test_labels"),
        "val": ("val_images", "val_labels"),
    },
)
WHOLE = (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "labels"), ("data", "target"))


def npz(settings: dict) -> Source:
    """The arrays at ``path``, whole in memory: images (N,H,W), (N,H,W,C) or (N,C,H,W) of 1, 3 or 4 channels, and labels (N,).

    With ``class_names`` (C,) labels are positions in it; ``group`` (N,) says what belongs together, for data without parts. Raises
    UserError for arrays that are not there or do not fit.
    """
    path = Path(settings["path"])
    try:
        with np.load(regular(path), allow_pickle=False) as file:
            if sum(member.file_size for member in file.zip.infolist()) > archives.most_bytes(path):
                raise ValueError(archives.TOO_MUCH)
            arrays = {name: file[name] for name in file.files}
    except UserError:
        raise
    except Exception as error:  # a foreign file can fail in any way
        raise UserError(f"{path} is no .npz file of plain arrays ({error}): write it with numpy.savez.") from None
    for name in ("class_names", "group"):
        if name in arrays and arrays[name].ndim != 1:
            raise UserError(f"{path} has {name} of shape {arrays[name].shape}: it must be a list.")
    found = next((parts for parts in PARTS if parts["train"][0] in arrays), None)
    whole = next((pair for pair in WHOLE if pair[0] in arrays), None)
    if not found and not whole:
        raise UserError(
            f"{path} has arrays {', '.join(arrays) or 'none'}: call them x_train, y_train, x_test, y_test; or train_images, train_labels "
            "and so on; or images and labels."
        )
    pairs = [found[part] for part in ("train", "test", "val") if found[part][0] in arrays] if found else [whole]
    if found and len(pairs) == 2 and pairs[1] == found["val"]:
        pass  # val is the test set of data without one
    elif found and len(pairs) == 1:
        raise UserError(
            f"{path} has {pairs[0][0]} but no {found['test'][0]}: add it, or call the arrays images and labels."
        )
    images, labels = zip(*(checked(arrays, *pair, path) for pair in pairs), strict=True)
    values = np.concatenate(labels)
    if "class_names" in arrays and values.dtype.kind in "iu":
        names, labels_N = list(map(str, arrays["class_names"])), values.astype(np.int64)
        outside = values[(values < 0) | (values >= len(names))]
        if len(outside):
            raise UserError(f"{path} has label {outside.max()} and {len(names)} class_names: correct one of them.")
    else:
        known, labels_N = np.unique(values, return_inverse=True)
        names = list(map(str, known))
    sizes, about = [len(part) for part in images], {}
    files = [f"{pair[0]}/{row}" for pair, size in zip(pairs, sizes, strict=True) for row in range(size)]
    order = np.arange(len(files))
    if len(sizes) == 1:
        fraction = settings.get("test_fraction") or TEST_FRACTION
        group = arrays.get("group")
        if group is not None and len(group) != len(files):
            raise UserError(f"{path} has {len(group):,} entries in group and {len(files):,} images: correct it.")
        if group is not None:
            is_test_N = groups.drawn(list(map(str, group)), labels_N, fraction, path)
        else:
            is_test_N = split_classes(
                path, [(names[label], file) for label, file in zip(labels_N, files, strict=True)], fraction
            )
        order = np.argsort(is_test_N, kind="stable")
        sizes = [int(np.sum(~is_test_N)), int(np.sum(is_test_N))]
        if group is not None:
            about = groups.about([str(group[row]) for row in order], np.sort(is_test_N), path)
    notes: list[str] = []
    return Source(
        class_names=names,
        labels=labels_N[order].astype(np.int64),
        n_train=sizes[0],
        n_validation=sizes[2] if len(sizes) > 2 else 0,
        images=pictures([image for part in images for image in part], order, settings, notes, files),
        about=about,
        files=[files[row] for row in order],
        notes=notes,
    )


def checked(arrays: dict, name: str, labels_name: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N,H,W,C) and labels (N,) of a part."""
    if labels_name not in arrays:
        raise UserError(f"{path} has {name} but no {labels_name}: add it.")
    images, labels = arrays[name], arrays[labels_name]
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4) and images.shape[1] in (1, 3, 4):
        images = images.transpose(0, 2, 3, 1)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4) or images.dtype.kind not in "uifb" or not images.size:
        raise UserError(
            f"{path} has {name} of shape {arrays[name].shape} and type {images.dtype}: images must be numbers (N,H,W) or (N,H,W,C), C 1, 3 "
            "or 4."
        )
    if labels.shape != (len(images),) or labels.dtype.kind not in "uibUS":
        raise UserError(
            f"{path} has {labels_name} of shape {arrays[labels_name].shape} and type {labels.dtype} for {counted(len(images), 'image')}: "
            "it must hold a whole number or a name for each."
        )
    if labels.dtype.kind == "S":
        try:
            labels = np.char.decode(labels, "utf-8")
        except UnicodeDecodeError:
            raise UserError(
                f"{path} has {labels_name} that are no text in UTF-8: write them as numbers or as text."
            ) from None
    return images.astype(np.uint8) * 255 if images.dtype == bool else images, labels


def pictures(images: list[np.ndarray], order: np.ndarray, settings: dict, notes: list[str], files: list[str]):
    """(row, uint8 image) of arrays (H,W,C) in an order."""
    decoder = Decoder(settings, lambda: (image for image in images if image.dtype != np.uint8))
    for row, place in enumerate(order):
        yield row, decoder.fitted(images[place], files[place])
    notes += decoder.notes()
