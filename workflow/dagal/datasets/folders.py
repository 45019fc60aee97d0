"""Image files in class-named folders, as a directory or a tar archive; Caltech-101 and Tiny ImageNet on top.

An archive is read front to back, once for the names and once for the images, and never unpacked to disk.
"""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from dagal.datasets.source import Source
from dagal.errors import UserError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff")
TEST_FRACTION = 0.2
CALTECH_TEST_FRACTION = 1019 / 9144  # TA-VAAL: 8,125 training and 1,019 test images of all 102 folders

# (parts of the name below the folder looked at, whole name); the name of a folder ends in an empty part
Entry = tuple[list[str], str]
Classes = dict[str, list[Entry]]


def image_folder(settings: dict) -> Source:
    """Class-named folders at ``path``, with or without train/ and test/ (or val/) above them."""
    path, fraction = Path(settings["path"]), settings.get("test_fraction")
    parts = _classes(path, _entries(path))
    if len(parts) == 1:
        parts = _split(path, *parts, TEST_FRACTION if fraction is None else fraction)
    class_names = sorted(parts[0])
    names = [name for part in parts for class_name in class_names for _, name in part[class_name]]
    counts = [len(part[class_name]) for part in parts for class_name in class_names]
    labels = np.repeat(np.tile(np.arange(len(class_names)), 2), counts)
    return Source(class_names, labels, sum(counts[: len(class_names)]), _images(path, names))


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
    return image_folder(settings | {"path": found, "test_fraction": fraction})


def tiny_imagenet(settings: dict) -> Source:
    """tiny-imagenet-200 in or at ``path``; val/ is the test set, as the labels of test/ are unpublished."""
    path = Path(settings["path"])
    root = path if (path / "wnids.txt").exists() else path / "tiny-imagenet-200"
    if not (root / "wnids.txt").exists():
        raise UserError(f"Tiny ImageNet is not in {path}: unpack tiny-imagenet-200.zip there.")
    try:
        wnids, words, annotations = (
            [line.split("\t") for line in (root / name).read_text().splitlines()]
            for name in ("wnids.txt", "words.txt", "val/val_annotations.txt")
        )
        label = {wnid: position for position, (wnid,) in enumerate(sorted(wnids))}
        words = {wnid: meaning.split(",")[0] for wnid, meaning in words}
        class_names = [f"{wnid} {words[wnid]}" for wnid in label]
        files = [(parts, name) for parts, name in _entries(root) if parts[0] == "train" and parts[-1]]
        train = sorted((label[parts[1]], name) for parts, name in files)
        test = sorted((label[wnid], f"val/images/{file}") for file, wnid, *_ in annotations)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{root} is not the published Tiny ImageNet ({error}): unpack it again.") from None
    labels = np.array([label for label, _ in train + test], dtype=np.int64)
    return Source(class_names, labels, len(train), _images(root, [name for _, name in train + test]))


def _classes(path: Path, entries: list[Entry]) -> list[Classes]:
    """Images of each class, sorted: [train, test], or one dictionary if the data bring no split."""
    top = _groups(entries)
    while len(top) == 1 and (inner := _groups(*top.values())):  # an enclosing folder
        top = inner
    parts = [top]
    if train := _groups(top.get("train", [])):
        name = next((name for name in ("test", "val") if name in top), None)
        if name is None:
            raise UserError(f"{path} has train/ but no test/ or val/: add it, or move the classes out of train/.")
        parts = [train, _groups(top[name])]
        if differ := sorted(train.keys() ^ parts[1].keys()):
            raise UserError(f"{path} has {differ[0]}/ in only one of train/ and {name}/: give both the same classes.")
    elif _misnamed(top):
        raise UserError(f"{path} has the same folders in {'/, '.join(top)}/: call these train/ and test/.")
    if len(parts[0]) < 2:
        raise UserError(f"{path} holds fewer than two class folders: put one folder of images per class there.")
    parts = [{name: sorted(entry for entry in part[name] if entry[0][-1]) for name in part} for part in parts]
    if empty := sorted(name for part in parts for name in part if not part[name]):
        raise UserError(f"{path} has no image ({' '.join(ENDINGS)}) in class folder {empty[0]}: fill or delete it.")
    return parts


def _misnamed(top: Classes) -> bool:
    """Two or three folders with the same folders in each are parts like Train/ and Test/, not classes."""
    inner = [_groups(group).keys() for group in top.values()]
    return len(top) in (2, 3) and len(inner[0]) > 1 and all(keys == inner[0] for keys in inner)


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


def _entries(path: Path) -> list[Entry]:
    """All folders and image files below a directory or in an archive, hidden ones left out."""
    if not path.exists():
        raise UserError(f"{path} does not exist: put the class folders, or a .tar or .tar.gz of them, there.")
    found = {}  # an archive may hold a name twice
    for parts, _ in _read(path):
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
        if parts != [""] and not hidden and (parts[-1] == "" or parts[-1].lower().endswith(ENDINGS)):
            found["/".join(parts)] = parts
    return [(parts, name) for name, parts in found.items()]


def _read(path: Path, wanted: Collection[str] = ()) -> Iterator[tuple[list[str], bytes | None]]:
    """Folders and files below a directory or in an archive: (parts of the name, content if wanted)."""
    try:
        yield from _walk(path, wanted) if path.is_dir() else _members(path, wanted)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read to its end ({error}): make it readable, or download or pack it again."
        ) from None


def _walk(path: Path, wanted: Collection[str]) -> Iterator[tuple[list[str], bytes | None]]:
    def fail(error):
        raise error

    for folder, folders, files in os.walk(path, onerror=fail, followlinks=True):
        folders.sort()
        parts = Path(folder).relative_to(path).parts
        yield [*parts, ""], None
        for file in sorted(files):
            name = "/".join([*parts, file])
            yield [*parts, file], (path / name).read_bytes() if name in wanted else None


class _StrictMember(tarfile.TarInfo):
    """Makes an archive that stops without its end mark an error; tarfile takes it for complete."""

    @classmethod
    def fromtarfile(cls, tar):
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def _members(path: Path, wanted: Collection[str]) -> Iterator[tuple[list[str], bytes | None]]:
    with path.open("rb") as file:
        stream = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictMember) as tar:
            for member in tar:
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                if member.isdir():
                    yield [*parts, ""], None
                elif member.isreg() and parts:
                    yield parts, tar.extractfile(member).read() if "/".join(parts) in wanted else None
                elif member.name.lower().endswith(ENDINGS):
                    raise UserError(f"{path} holds {member.name} as a link: pack it with tar --hard-dereference -h.")
                tar.members.clear()  # tarfile would keep them all
        while stream.read(1 << 20):  # the checksum of gzip comes last
            pass


def _images(path: Path, names: list[str]) -> Iterator[tuple[int, np.ndarray]]:
    """(row, RGB image) of the named files, in the order of the directory or archive."""
    import cv2

    rows = {name: row for row, name in enumerate(names)}
    missing = set(names)
    for parts, data in _read(path, rows):
        if data is None:
            continue
        name = "/".join(parts)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            raise UserError(f"{name} in {path} cannot be decoded as an image: replace or delete it.")
        yield rows[name], cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        missing.discard(name)
    if missing:
        raise UserError(f"{min(missing)} is missing from {path}: put it there.")
