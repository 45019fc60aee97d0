"""Images with a class for every pixel -> images.h5 and truth.h5: folders of images and masks, CamVid, Cityscapes."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from dagal import MOST_PIXELS, artifacts, notes
from dagal.datasets import folders, frames, polygons
from dagal.datasets.archives import listing
from dagal.datasets.decoding import ENDINGS, FORMATS, OF_PIXELS, counted, decoded, named
from dagal.datasets.source import IMAGES, TRUTH, check_names, write_images, write_origins
from dagal.errors import UserError
from dagal.seeding import generator

NO_CLASS = 255  # of a pixel: it counts nowhere
MOST_CLASSES = 255
JSON = ".json"
# classes of these names, in any case, are none
IGNORED = ("void", "ignore", "unlabeled", "unlabelled")
BACKGROUND = ("background", "_background_")
IMAGE_FOLDERS, MASK_FOLDERS = ("images", "leftimg8bit"), ("masks", "labels", "annotations", "gtfine")
TABLES = ("classes.csv", "classes.txt")
TEST_FRACTION = 0.2

CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person",
    "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
# labelId of each of them in the official masks; the other ids count nowhere
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)


@dataclass(frozen=True)
class Classes:
    """What the values of masks mean: ``numbers`` the class of each value 0..255, or ``colours`` that of each colour; NO_CLASS where none."""

    names: list[str]
    numbers: dict[int, int]
    colours: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def number(self, label: object, where: str) -> int:
        """Number of the class of this name. Raises UserError where there is none, for what stands ``where``."""
        if isinstance(label, str) and label.lower() in IGNORED:
            return NO_CLASS
        if label not in self.names:
            raise UserError(
                f"{where} is of class {label!r}, which the table of classes does not have: correct one of them."
            )
        return self.names.index(label)

    @property
    def empty(self) -> int:
        """The class of pixels that no polygon covers: that which is called background, or none."""
        return next((number for number, name in enumerate(self.names) if name.lower() in BACKGROUND), NO_CLASS)

    def of(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """Class (H,W) uint8 of each pixel of a mask, values (H,W) or colours (H,W,3). Raises UserError for one that no class has."""
        if pixels.ndim == 3 and not self.colours:
            raise UserError(
                f"{name} is a mask of colours: put classes.csv with the columns name, red, green, blue beside the folders, or store "
                "the number of the class as the value of each pixel."
            )
        if pixels.ndim == 3:
            values = pixels.astype(np.int64) @ [1 << 16, 1 << 8, 1]
            table = {r << 16 | g << 8 | b: found for (r, g, b), found in self.colours.items()}
        else:
            values, table = pixels.astype(np.int64), {NO_CLASS: NO_CLASS} | self.numbers
        found, inverse = np.unique(values, return_inverse=True)
        if unknown := [value for value in found.tolist() if value not in table]:
            shown = [f"#{value:06x}" if pixels.ndim == 3 else str(value) for value in unknown]
            what = "colour" if pixels.ndim == 3 else "value"
            raise UserError(
                f"{name} has pixels of {counted(len(shown), what)} that no class has ({', '.join(shown[:5])}): correct the mask or the "
                "table of classes."
            )
        return np.array([table[value] for value in found.tolist()], np.uint8)[inverse].reshape(values.shape)


@dataclass(frozen=True)
class MaskSource:
    """Images and masks, listed but not yet decoded: rows 0 .. n_train-1 are for training, the last ``n_validation`` for validation."""

    path: Path
    classes: Classes
    names: list[str]  # of the files of the images
    masks: list[str]  # of the files of their masks
    n_train: int
    n_validation: int = 0

    def write(self, settings: dict, images_path, truth_path, origin: dict, workers: int) -> None:
        """Write images.h5 and truth.h5, image by image. Raises UserError for what does not fit together."""
        check_names(self.classes.names, self.path)
        n, told = len(self.names), []
        sizes_N_2 = np.zeros((n, 2), np.int64)
        with artifacts.create(images_path, IMAGES, origin) as writer:
            part_N = (np.arange(n) >= self.n_train).astype(np.uint8)
            part_N[n - self.n_validation :] = 2
            writer.dataset("split", (n,), np.uint8)[...] = part_N
            images = decoded(
                lambda names: folders._contents(self.path, names),
                self.path,
                self.names,
                settings,
                None,
                self.n_train,
                told,
            )
            write_images(writer, n, fitted(images, settings, sizes_N_2))
            write_origins(
                writer, settings, folders._below(self.path, settings, self.names) if self.path.is_dir() else self.names
            )
            notes.tell(writer, *told)
        with artifacts.create(truth_path, TRUTH, origin, class_names=self.classes.names) as writer:
            shape = (settings["height"], settings["width"]) if settings["height"] else tuple(sizes_N_2[0].tolist())
            is_present = np.zeros(256, bool)
            write_images(writer, n, self._masks(sizes_N_2, shape, is_present), "masks", "masks")
        if absent := [name for number, name in enumerate(self.classes.names) if not is_present[number]]:
            print(f"no pixel is of class {', '.join(absent)}")

    def _masks(
        self, sizes_N_2: np.ndarray, shape: tuple[int, int], is_present: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(row, class of each pixel), `padded` to a shape, in the order of the files; ``is_present`` (256,) notes which there are."""
        rows, missing = {}, set(self.masks)
        for row, name in enumerate(self.masks):
            rows.setdefault(name, []).append(row)
        for name, data in folders._contents(self.path, rows):
            missing.discard(name)
            for row, whole in self._read(name, data, rows[name], sizes_N_2):
                mask = padded(whole, *shape)
                is_present[np.unique(mask)] = True
                yield row, mask
        if missing:
            raise UserError(f"{named(sorted(missing))} cannot be read from {self.path}: put it there again.")

    def _read(self, name: str, data: bytes, rows: list[int], sizes_N_2: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """(row, class of each pixel) of the images whose masks are in a file: one, but for COCO."""
        where, about = f"{self.path}/{name}", (self.classes.number, self.classes.empty)
        if not name.lower().endswith(JSON):
            yield rows[0], self._of_image(name, data, rows[0], sizes_N_2)
            return
        found = polygons.parse(data, where)
        if not polygons.is_coco(found):
            yield rows[0], polygons.labelme(found, where, tuple(sizes_N_2[rows[0]].tolist()), *about)
            return
        records = polygons.coco_images(found, where)
        annotations = polygons.coco_annotations(found, where, records)
        of_image = of_records(self.names, records, where)
        for row in rows:
            image, size = of_image[self.names[row]], tuple(sizes_N_2[row].tolist())
            yield row, polygons.coco(records[image], annotations[image], where, size, *about)

    def _of_image(self, name: str, data: bytes, row: int, sizes_N_2: np.ndarray) -> np.ndarray:
        """Class (H,W) of each pixel, of a mask that is an image."""
        pixels = mask_pixels(data)
        if pixels is None:
            raise UserError(f"{name} in {self.path} cannot be decoded as a mask{OF_PIXELS}: replace or delete it.")
        if pixels.shape[:2] != tuple(sizes_N_2[row]):
            raise UserError(
                f"{name} in {self.path} has {pixels.shape[0]} x {pixels.shape[1]} pixels and its image {self.names[row]} "
                f"{sizes_N_2[row, 0]} x {sizes_N_2[row, 1]}: a mask needs the size of its image, correct it."
            )
        return self.classes.of(pixels, f"{self.path}/{name}")


def of_records(names: list[str], records: dict[int, dict], where: str) -> dict[str, int]:
    """Name of an image -> id of its record in a file of COCO, whose ``file_name`` is the end of its path. Raises UserError for others."""
    ends = {}
    for name in names:
        parts = name.split("/")
        for first in range(len(parts)):
            ends.setdefault("/".join(parts[first:]), []).append(name)
    found = {}
    for image, record in records.items():
        fitting = ends.get(record["file_name"].removeprefix("./"), [])
        if len(fitting) != 1 or fitting[0] in found:
            what = "none of the images" if not fitting else "two images or records"
            raise UserError(
                f"{where} has a record of {record['file_name']!r}, which is the end of the path of {what}: correct it."
            )
        found[fitting[0]] = image
    return found


def mask_pixels(data: bytes) -> np.ndarray | None:
    """Values (H,W) of a mask of numbers or with a palette, or colours (H,W,3) uint8; None for what cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            if image.mode in ("P", "L", "I", "I;16", "1"):  # of a palette the numbers count and not the colours
                return np.asarray(image.convert("L") if image.mode == "1" else image)
            return np.asarray(image.convert("RGB"))
    except Exception:  # a foreign file can fail in any way
        return None


def fitted(images: Iterator, settings: dict, sizes_N_2: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Images, fitted to the size of the settings, if there is one; their own (height, width) go to ``sizes_N_2``."""
    first = None
    for row, image in images:
        sizes_N_2[row] = image.shape[:2]
        first = first or image.shape
        if settings["height"]:
            image, _ = frames.fit(image, settings["height"], settings["width"])
        elif image.shape != first:
            raise UserError(
                f"The images in {settings['path']} differ in size ({first[0]} x {first[1]} and {image.shape[0]} x {image.shape[1]} "
                "pixels): set dataset.height and dataset.width in the config."
            )
        yield row, image


def padded(mask_H_W: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask resized as `frames.fit` does its image, by nearest neighbours; NO_CLASS right and below."""
    import cv2

    scale = min(height / mask_H_W.shape[0], width / mask_H_W.shape[1])
    size = tuple(max(1, round(length * scale)) for length in mask_H_W.shape[::-1])
    if size != mask_H_W.shape[::-1]:
        mask_H_W = cv2.resize(mask_H_W, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.pad(mask_H_W, ((0, height - size[1]), (0, width - size[0])), constant_values=NO_CLASS)


def mask_folder(settings: dict) -> MaskSource:
    """Images below ``images``, masks of the same names below ``masks``, and a table of classes; with or without train, val and test.

    A part may be above or below the two folders. Without a test part, val is it, or else a share of the images, drawn at random.
    """
    path = Path(settings["path"])
    return of_pairs(path, settings, partial(table, path))


def camvid_masks(settings: dict) -> MaskSource:
    """CamVid at 400x300, unpacked or as camvid-400x300.tar, in or at ``path``: 367 training, 101 validation and 233 test images."""
    path = Path(settings["path"])
    places = [place for place in (path, path / "camvid-400x300.tar") if place.is_file()]
    places += [place for place in (path, path / "camvid") if (place / "classes.txt").is_file()]
    if not places:
        raise UserError(f"CamVid is not in {path}: put camvid-400x300.tar or its folder camvid there.")
    return of_pairs(places[0], settings, partial(table, places[0]))


def cityscapes(settings: dict) -> MaskSource:
    """Cityscapes: leftImg8bit and gtFine in ``path``, 2,975 training images; val is the test set, whose labels are unpublished.

    The masks are those of labelIds, of whose numbers 19 are the classes of the benchmark.
    """
    path = Path(settings["path"])
    for name in ("leftImg8bit", "gtFine"):
        if not (path / name).is_dir():
            raise UserError(f"Cityscapes is not in {path}: unpack {name}_trainvaltest.zip there.")
    numbers = dict.fromkeys(range(256), NO_CLASS) | {number: place for place, number in enumerate(CITYSCAPES_IDS)}
    classes = Classes(list(CITYSCAPES), numbers)
    return of_pairs(path, settings, lambda tables: classes, ("_leftImg8bit", "_gtFine_labelIds"))


def of_pairs(
    path: Path, settings: dict, classes: Callable[[list[str]], Classes], endings: tuple[str, str] = ("", "")
) -> MaskSource:
    """Pairs of images and masks, which have one name but for their folders and these ``endings``. Raises UserError for one alone."""
    pairs, drawn, tables = {}, {}, []
    for parts, name in listing(path).entries:
        if parts[-1] in TABLES:
            tables.append(name)
        folder = [part.lower() for part in parts[:-1]]
        side = next((k for k, of in enumerate((IMAGE_FOLDERS, MASK_FOLDERS)) if set(of) & set(folder)), None)
        stem, dot, ending = parts[-1].rpartition(".")
        known = ENDINGS if side == 0 else (*ENDINGS, JSON)
        if side is None or f".{ending.lower()}" not in known or not stem.endswith(endings[side]):
            continue
        at = next(k for k, part in enumerate(folder) if part in (IMAGE_FOLDERS, MASK_FOLDERS)[side])
        rest = folder[:at] + folder[at + 1 :]
        part = next((part for part, called in folders.PARTS.items() if set(called) & set(rest)), "")
        key = part, (*rest, stem.removesuffix(endings[side]))
        if ending.lower() == JSON[1:]:
            drawn[name] = key
            continue
        pair = pairs.setdefault(key, [None, None])
        if pair[side]:
            raise UserError(f"{path} has {pair[side]} and {name}, two files for one image: delete one.")
        pair[side] = name
    pair_with_polygons(path, pairs, drawn)
    if not pairs:
        raise UserError(
            f"{path} has no images in a folder called images with masks in one called masks: put them there."
        )
    for side, what, other in ((0, "no image", "mask"), (1, "no mask", "image")):
        alone = sorted(pair[1 - side] for pair in pairs.values() if not pair[side])
        if alone:
            raise UserError(
                f"{path} has {what} for {counted(len(alone), other)} ({named(alone[:5])}): put it there, or delete the {other}."
            )
    found = {part: sorted(key for key in pairs if key[0] == part) for part in ("train", "", "val", "test")}
    train, validation, test = found["train"] + found[""], found["val"], found["test"]
    if not test and settings.get("test_fraction") is None:
        validation, test = [], validation
    if not test:
        fraction = TEST_FRACTION if settings.get("test_fraction") is None else settings["test_fraction"]
        is_test = np.zeros(len(train), bool)
        is_test[generator(0, "test part").permutation(len(train))[: round(fraction * len(train))]] = True
        train, test = ([key for key, at in zip(train, is_test, strict=True) if at == of] for of in (False, True))
    if not train or not test:
        raise UserError(f"{path} has {len(train):,} training and {len(test):,} test images: both parts need some.")
    keys = [*train, *test, *validation]
    return MaskSource(
        path=path,
        classes=classes(tables),
        names=[pairs[key][0] for key in keys],
        masks=[pairs[key][1] for key in keys],
        n_train=len(train),
        n_validation=len(validation),
    )


def pair_with_polygons(path: Path, pairs: dict, drawn: dict[str, tuple]) -> None:
    """Give images without a mask that of a file of polygons: of LabelMe the one with their name, else a file of COCO that has them.

    ``drawn``: name of a file among the masks -> key that its image has in ``pairs``, if it is of LabelMe.
    """
    for name, key in drawn.items():
        if key in pairs and not pairs[key][1]:
            pairs[key][1] = name
    alone = [name for name, key in drawn.items() if key not in pairs]
    of_name = {pair[0]: pair for pair in pairs.values() if pair[0]}
    for name, data in folders._contents(path, alone) if alone else ():
        where = f"{path}/{name}"
        found = polygons.parse(data, where)
        if not polygons.is_coco(found):
            pairs[drawn[name]] = [None, name]  # of no image
            continue
        for image in of_records(list(of_name), polygons.coco_images(found, where), where):
            if of_name[image][1]:
                raise UserError(f"{path} has {of_name[image][1]} and {name}, two masks for one image: delete one.")
            of_name[image][1] = name


def table(path: Path, names: list[str]) -> Classes:
    """The table of classes in a folder or archive, the first of these files by name: classes.csv (name, and value or red, green, blue)
    or classes.txt (value and name).

    Lines without a value are numbered from 0. Raises UserError that names the line.
    """
    if not names:
        raise UserError(
            f"{path} has no table of classes: put classes.csv there, with the columns name and value, or red, green, blue."
        )
    name = min(names)
    ((_, text),) = folders._contents(path, {name})
    names, numbers, colours = [], {}, {}
    for line, row in enumerate(rows_of(text, name.endswith(".csv"), f"{name} in {path}"), 1 + name.endswith(".csv")):
        try:
            called, value = row["name"].strip(), int(row.get("value") or line - 1 - name.endswith(".csv"))
            colour = tuple(int(row[key]) for key in ("red", "green", "blue")) if row.get("red") else None
            if not called or not 0 <= value <= 255 or any(not 0 <= part <= 255 for part in colour or ()):
                raise ValueError
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UserError(
                f"{name} in {path}, line {line}: a class needs a name, and a value or red, green and blue from 0 to 255; correct it."
            ) from None
        found = NO_CLASS if called.lower() in IGNORED else len(names)
        if value in numbers or colour in colours or called in names:
            raise UserError(f"{name} in {path}, line {line}: another class has this name, value or colour; correct it.")
        numbers[value] = found
        if colour:
            colours[colour] = found
        if found != NO_CLASS:
            names.append(called)
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UserError(f"{name} in {path} has {len(names)} classes: there must be 2 to {MOST_CLASSES}.")
    return Classes(names, numbers, colours)


def rows_of(data: bytes, is_csv: bool, name: str) -> Iterator[dict]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{name} is no text in UTF-8: store it as that.") from None
    if is_csv:
        yield from csv.DictReader(io.StringIO(text, newline=""))
        return
    for line in text.splitlines():
        if line.strip():
            first, _, rest = line.strip().partition(" ")
            yield {"value": first, "name": rest} if first.isdigit() and rest else {"name": line}
