"""Image files in class-named folders, as a directory or an archive; Caltech-101 and Tiny ImageNet on top."""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from dagal.datasets import groups
from dagal.datasets.archives import Entry, Listing, listing
from dagal.datasets.archives import read as _read
from dagal.datasets.decoding import ENDINGS, counted, decoded, readable
from dagal.datasets.source import Source
from dagal.errors import UserError
from dagal.files import contents

TEST_FRACTION = 0.2
UNLABELED = "unlabeled"  # folder of images without a label, beside those of classes
CALTECH_TEST_FRACTION = 1019 / 9144  # TA-VAAL: 8,125 training and 1,019 test images of all 102 folders
# what the folders of the parts of a data set are called, in any case
PARTS = {"train": ("train", "training"), "test": ("test", "testing"), "val": ("val", "valid", "validation")}

Classes = dict[str, list[Entry]]


def image_folder(settings: dict) -> Source:
    """Class-named folders at ``path``, with or without train/ and test/ (or val/) above them; or images of which some have a label."""
    read = partly_labeled if settings.get("labels") in ("some", "none") else of_classes
    return read(Path(settings["path"]), settings)


def partly_labeled(path: Path, settings: dict) -> Source:
    """All images below ``path``. With labels some, the folder that one is in, or the first of them, is its class.

    Those beside the folders and below `UNLABELED` have none. Folders train and test (or val) may stand above; nothing is drawn for
    testing.
    """
    found = []
    for parts, name in sorted(listing(path).entries, key=lambda entry: entry[1]):
        if not _is_image(parts):
            continue
        folders, is_test = parts[:-1], False
        if folders and folders[0].lower() in (*PARTS["train"], *PARTS["test"], *PARTS["val"]):
            is_test = folders[0].lower() not in PARTS["train"]
            folders = folders[1:]
        labeled = settings["labels"] == "some" and folders and folders[0].lower() != UNLABELED
        found.append((is_test, folders[0] if labeled else None, name))
    if not found:
        raise UserError(f"{path} holds no image ({' '.join(ENDINGS)}): put some there.")
    found.sort(key=lambda one: one[0])
    notes = []
    folders = sorted({folder for _, folder, _ in found if folder is not None})
    class_names, names = _class_names(path, folders, notes), [name for *_, name in found]
    labels = np.array([-1 if folder is None else folders.index(folder) for _, folder, _ in found], np.int64)
    n_train = sum(not is_test for is_test, *_ in found)
    about, pattern = {}, settings.get("group_pattern")
    if pattern:
        about = groups.about(groups.of_names(pattern, names, path), np.arange(len(names)) >= n_train, path)
    notes.append(f"{counted(int((labels >= 0).sum()), 'image')} with a label, {(labels < 0).sum():,} without")
    return Source(
        class_names=class_names,
        labels=labels,
        n_train=n_train,
        images=_images(path, names, settings, labels, n_train, notes),
        about=about,
        files=_below(path, settings, names),
        notes=notes,
    )


def of_classes(path: Path, settings: dict) -> Source:
    """The same for a ``path`` at or below that of the settings."""
    fraction, pattern = settings.get("test_fraction"), settings.get("group_pattern")
    notes = []
    parts = _classes(path, listing(path), notes)
    if len(parts) == 1:
        fraction = TEST_FRACTION if fraction is None else fraction
        parts = (_split_groups if pattern else _split)(path, *parts, fraction, *([pattern] if pattern else []))
    folders = sorted(parts[0])
    names = [name for part in parts for folder in folders for _, name in part[folder]]
    counts = [len(part[folder]) for part in parts for folder in folders]
    labels, n_train = np.repeat(np.tile(np.arange(len(folders)), 2), counts), sum(counts[: len(folders)])
    about = {}
    if pattern:
        about = groups.about(groups.of_names(pattern, names, path), np.arange(len(names)) >= n_train, path)
    return Source(
        class_names=_class_names(path, folders, notes),
        labels=labels,
        n_train=n_train,
        images=_images(path, names, settings, labels, n_train, notes),
        about=about,
        files=_below(path, settings, names),
        notes=notes,
    )


def _class_names(path: Path, folders: list[str], notes: list[str]) -> list[str]:
    """Names of class folders as text: those that are no UTF-8 are taken for Latin-1."""
    found = []
    for folder in folders:
        raw = os.fsencode(folder)
        found.append(raw.decode("latin-1") if readable(folder) != folder else folder)
    if other := [name for name, folder in zip(found, folders, strict=True) if name != folder]:
        notes.append(f"{counted(len(other), 'name')} of class folders in no UTF-8, read as Latin-1, such as {other[0]}")
    if len(set(found)) < len(found):
        twice = Counter(found).most_common(1)[0][0]
        raise UserError(f"{path} has class folder {twice} twice, once in UTF-8 and once in Latin-1: rename one.")
    return found


def caltech101(settings: dict) -> Source:
    """101_ObjectCategories, folder or .tar.gz, in or at ``path``; all 102 folders, as papers count them."""
    path, fraction = Path(settings["path"]), settings.get("test_fraction")
    places = [path / folder / "101_ObjectCategories" for folder in ("", "caltech-101")]
    places += [place.with_suffix(".tar.gz") for place in places]
    if path.is_file() or path.name == "101_ObjectCategories":
        places = [path]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise UserError(f"Caltech-101 is not in {path}: put 101_ObjectCategories.tar.gz or its folder there.")
    fraction = CALTECH_TEST_FRACTION if fraction is None else fraction
    return of_classes(found, settings | {"test_fraction": fraction})


def tiny_imagenet(settings: dict) -> Source:
    """tiny-imagenet-200 in or at ``path``; val/ is the test set, as the labels of test/ are unpublished."""
    path = Path(settings["path"])
    root = path if (path / "wnids.txt").exists() else path / "tiny-imagenet-200"
    if not (root / "wnids.txt").exists():
        raise UserError(f"Tiny ImageNet is not in {path}: unpack tiny-imagenet-200.zip there.")
    try:
        wnids, words, annotations = (
            [line.split("\t") for line in contents(root / name).decode().splitlines()]
            for name in ("wnids.txt", "words.txt", "val/val_annotations.txt")
        )
        label = {wnid: position for position, (wnid,) in enumerate(sorted(wnids))}
        words = {wnid: meaning.split(",")[0] for wnid, meaning in words}
        class_names = [f"{wnid} {words[wnid]}" for wnid in label]
        files = [(parts, name) for parts, name in listing(root).entries if parts[0] == "train" and _is_image(parts)]
        train = sorted((label[parts[1]], name) for parts, name in files)
        test = sorted((label[wnid], f"val/images/{file}") for file, wnid, *_ in annotations)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{root} is not the published Tiny ImageNet ({error}): unpack it again.") from None
    labels = np.array([label for label, _ in train + test], dtype=np.int64)
    names, notes = [name for _, name in train + test], []
    images = _images(root, names, settings, labels, len(train), notes)
    return Source(class_names, labels, len(train), images, files=_below(root, settings, names), notes=notes)


def _below(root: Path, settings: dict, names: list[str]) -> list[str]:
    """Names below ``root`` as names below the path of the data set."""
    below = root.relative_to(settings["path"]).as_posix()
    return names if below == "." else [f"{below}/{name}" for name in names]


def _is_image(parts: list[str]) -> bool:
    return parts[-1].lower().endswith(ENDINGS)


def _classes(path: Path, found: Listing, notes: list[str]) -> list[Classes]:
    """Images of each class, sorted: [train, test], or one dictionary if the data bring no split; ``notes`` grows by what is left out."""
    entries = found.entries
    top = _groups(entries)
    while len(top) == 1 and (inner := _groups(*top.values())):  # an enclosing folder
        entries, top = next(iter(top.values())), inner
    called = {part: next((name for name in top if name.lower() in names), None) for part, names in PARTS.items()}
    parts, beside = [top], _images_beside(entries)
    if train := _groups(top.get(called["train"], [])):
        name = called["test"] or called["val"]
        if name is None:
            raise UserError(
                f"{path} has {called['train']}/ but no test/ or val/: add it, or move the classes out of train/."
            )
        parts = [train, _groups(top[name])]
        if differ := sorted(train.keys() ^ parts[1].keys()):
            raise UserError(
                f"{path} has {readable(differ[0])}/ in only one of {called['train']}/ and {name}/: give both the same classes."
            )
        beside += sum(_images_beside(top[part]) for part in (called["train"], name))
        for other in sorted(top.keys() - {called["train"], name}):
            if n := sum(_is_image(inner) for inner, _ in top[other]):
                notes.append(
                    f"left out {readable(other)}/ with {counted(n, 'image')}: {called['train']}/ and {name}/ are read"
                )
    elif any(called.values()) and _alike(top):
        raise UserError(f"{path} has the same folders in {'/, '.join(top)}/: call these train/ and test/.")
    elif inner := _alike(top):
        notes.append(f"the classes are {_few(top)} and not {_few(inner)}, which are in each of them")
    if len(parts[0]) < 2:
        raise UserError(f"{path} holds fewer than two class folders: put one folder of images per class there.")
    if beside:
        notes.append(f"left out {counted(beside, 'image')} beside the class folders, in none of them")
    others = Counter(
        Path(inner[-1].lower()).suffix or "no ending"
        for part in parts
        for group in part.values()
        for inner, _ in group
        if inner[-1] and not _is_image(inner)
    )
    if others:
        kinds = ", ".join(f"{n:,} {readable(ending)}" for ending, n in others.most_common())
        notes.append(
            f"left out {counted(sum(others.values()), 'file')} in class folders, of an ending that is not read: {kinds}"
        )
    if found.loops:
        notes.append(f"followed no link to a folder that it lies in, such as {readable(found.loops[0])}")
    parts = [{name: sorted(entry for entry in part[name] if _is_image(entry[0])) for name in part} for part in parts]
    if found.links:
        _read_once(path, parts, notes)
    if empty := sorted(name for part in parts for name in part if not part[name]):
        raise UserError(
            f"{path} has no image ({' '.join(ENDINGS)}) in class folder {readable(empty[0])}: fill or delete it."
        )
    return parts


def _few(names) -> str:
    names = [f"{readable(name)}/" for name in sorted(names)]
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def _alike(top: Classes) -> list[str]:
    """The folders in each of two or three folders, if these have the same, as the parts of a data set have."""
    inner = [sorted(_groups(group)) for group in top.values()]
    return inner[0] if len(top) in (2, 3) and len(inner[0]) > 1 and all(names == inner[0] for names in inner) else []


def _images_beside(entries: list[Entry]) -> int:
    """Images beside the folders."""
    return sum(len(parts) == 1 and _is_image(parts) for parts, _ in entries)


def _read_once(path: Path, parts: list[Classes], notes: list[str]) -> None:
    """Of the names of one file, its own is kept, or else the first: links must not put an image into two places."""
    real = {name: os.path.realpath(path / name) for part in parts for group in part.values() for _, name in group}
    own = {place: name for name, place in reversed(real.items())}  # the first name of each
    root = os.path.realpath(path)
    own |= {place: name for name, place in real.items() if place == os.path.join(root, name)}  # noqa: PTH118
    left_out = [name for name, place in real.items() if own[place] != name]
    for part in parts:
        for folder, group in part.items():
            part[folder] = [entry for entry in group if own[real[entry[1]]] == entry[1]]
    if left_out:
        notes.append(
            f"left out {counted(len(left_out), 'link')} to files that are read already, such as {readable(left_out[0])}"
        )


def _groups(entries: list[Entry]) -> Classes:
    """Entries below each folder; files beside the folders are left out."""
    groups = {}
    for (first, *rest), name in entries:
        if rest:
            groups.setdefault(first, []).append((rest, name))
    return groups


def _split(path: Path, classes: Classes, fraction: float) -> list[Classes]:
    """Fixed stratified [train, test]: ``fraction`` of all images, spread over the classes, is for testing.

    A hash of class and file name decides which, not a generator, whose stream may change some day.
    """
    names = sorted(classes)
    sizes = np.array([len(classes[name]) for name in names])
    if sizes.min() < 2:
        raise UserError(f"{path} has a single image in class {names[sizes.argmin()]}, none to test on: add images.")
    shares = sizes * fraction
    quotas = np.floor(shares).astype(int)
    quotas[np.argsort(quotas - shares, kind="stable")[: round(shares.sum()) - quotas.sum()]] += 1
    train, test = {}, {}
    for name, quota in zip(names, np.clip(quotas, 1, sizes - 1), strict=True):
        keys = {file: os.fsencode("/".join([name, *parts])) for parts, file in classes[name]}
        hashed = sorted(classes[name], key=lambda entry, keys=keys: hashlib.sha256(keys[entry[1]]).digest())
        test[name], train[name] = sorted(hashed[:quota]), sorted(hashed[quota:])
    return [train, test]


def split_classes(path: Path, rows: list[tuple[str, str]], fraction: float) -> np.ndarray:
    """Whether each row (class, name) is for testing (N,) bool, as `_split` has it."""
    classes = {}
    for folder, name in rows:
        classes.setdefault(folder, []).append((name.split("/"), name))
    _, test = _split(path, classes, fraction)
    drawn = {name for entries in test.values() for _, name in entries}
    return np.array([name in drawn for _, name in rows])


def _split_groups(path: Path, classes: Classes, fraction: float, pattern: str) -> list[Classes]:
    """[train, test] of whole groups, as `groups.drawn` has it."""
    rows = [(folder, entry) for folder in sorted(classes) for entry in classes[folder]]
    labels = np.repeat(np.arange(len(classes)), [len(classes[folder]) for folder in sorted(classes)])
    is_test_N = groups.drawn(groups.of_names(pattern, [name for _, (_, name) in rows], path), labels, fraction, path)
    parts = [{folder: [] for folder in classes} for _ in range(2)]
    for (folder, entry), is_test in zip(rows, is_test_N, strict=True):
        parts[int(is_test)][folder].append(entry)
    return parts


def _images(
    path: Path, names: list[str], settings: dict | None = None, labels=None, n_train: int = 0, notes: list | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """`decoded` images of a directory or an archive, in its order."""
    notes = [] if notes is None else notes
    return decoded(partial(_contents, path), path, names, settings or {}, labels, n_train, notes)


def _contents(path: Path, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    return (("/".join(parts), data) for parts, data in _read(path, names) if data is not None)
