"""Image files -> RGB images of 8 bits.

JPEG, and 8-bit files of other formats without transparency, are OpenCV's to decode. What it would cut or drop in silence is done
here: more than 8 bits become 8 by ``dataset.intensity``, transparent pixels show ``dataset.background``, and values of PNM files are
scaled by their own maximum. All images are turned as their EXIF says. Of files that hold several images the first is read. None is
decoded whose header declares more than `MOST_PIXELS`.
"""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dagal import MOST_PIXELS
from dagal.errors import UserError

ENDINGS = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".webp", ".tif", ".tiff", ".gif", ".avif",
)  # fmt: skip
OF_PIXELS = f" of at most {MOST_PIXELS:,} pixels"
AN_IMAGE = f"an image{OF_PIXELS}"
BACKGROUND = (255, 255, 255)
PERCENTILES = (0.5, 99.5)
SAMPLED_PIXELS = 1000  # of each image, for percentiles
BLOCK_BYTES = 16 << 20  # of an image whose values are changed at a time
NAMED = 20  # files that a sentence names at most
# formats that Pillow is asked for: others, as EPS, it would hand to other programs
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+\d+(?:\s+|#[^\n]*\n)+\d+(?:\s+|#[^\n]*\n)+(\d+)")


@dataclass(frozen=True)
class Picture:
    """A decoded file: RGB or RGBA (H,W,3 or 4) as it should be seen, of whatever type its values have."""

    pixels: np.ndarray
    several: bool = False  # the file holds more images, which are left out


def decode(data: bytes) -> Picture | None:
    """The image in a file; None if there is none, it is damaged, or too large. Gray images have three equal channels."""
    if not data:
        return None
    if data.startswith(JPEG):
        return _opencv(data)
    if data.startswith(PNG) and (plain := _plain_png(data)):
        return _opencv(data, deep=plain == "deep")
    try:
        return _with_pillow(data)
    except Exception:  # a foreign file can fail in any way, its readers have one for each
        return None


def _plain_png(data: bytes) -> str | None:
    """ "plain" or "deep" (16 bits) for a PNG of one image without transparency, by its header."""
    header = data[: data.find(b"IDAT")]
    if len(data) < 26 or data[25] in (4, 6) or b"tRNS" in header or b"acTL" in header:
        return None
    return "deep" if data[24] == 16 else "plain"


def opencv(data: bytes, deep: bool = False) -> np.ndarray | None:
    """RGB (H,W,3) of a file that OpenCV decodes, of 8 bits, or with ``deep`` of as many as it has; None for others."""
    import cv2

    image = _imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if deep else cv2.IMREAD_COLOR)
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _imdecode(data: bytes, flags: int) -> np.ndarray | None:
    import cv2

    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:  # more than MOST_PIXELS, or than there is memory for
        return None


def _opencv(data: bytes, deep: bool = False, several: bool = False) -> Picture | None:
    image = opencv(data, deep)
    return None if image is None else Picture(image, several)


def _with_pillow(data: bytes) -> Picture | None:
    """What has to be looked into before it is known who decodes it."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        file = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:  # as TIFF of float64
        return _unchanged(data) if data[:2] in (b"II", b"MM") else _opencv(data)
    if file.width * file.height > MOST_PIXELS:
        return None
    several = getattr(file, "is_animated", False)
    bits = 8
    if file.format == "TIFF":
        formats = file.tag_v2.get(339, (1,))
        bits = max(file.tag_v2.get(258, (1,))) if {*np.atleast_1d(formats)} == {1} else 64
    elif file.format == "PNG":
        bits = data[24]
    elif file.format == "PPM":
        return _portable(data)
    if bits > 8:
        return _unchanged(data, file.getexif().get(0x0112, 1), several)
    transparent = "A" in file.getbands() or "transparency" in file.info
    if not transparent and file.format != "AVIF":
        return _opencv(data, several=several)
    image = ImageOps.exif_transpose(file).convert("RGBA" if transparent else "RGB")
    return Picture(np.asarray(image), several)


def _unchanged(data: bytes, orientation: int = 1, several: bool = False) -> Picture | None:
    """An image of more than 8 bits with the values and channels of its file."""
    import cv2

    image = _imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        return None
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, 2)
    else:
        image = np.concatenate([image[..., 2::-1], image[..., 3:]], 2)
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    # after the swap 6 and 7 are mirrored left to right, 7 and 8 upside down
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return Picture(np.ascontiguousarray(image), several)


def _portable(data: bytes) -> Picture | None:
    """A PNM file, whose values run up to a maximum that it states."""
    found = PNM.match(data)
    maximum = 255 if data[:2] in (b"P1", b"P4") or not found else int(found[1])
    picture = _opencv(data, deep=True)
    if picture is None or maximum in (255, 65535):
        return picture
    whole = 255 if maximum < 256 else 65535
    scaled = (picture.pixels.astype(np.int64) * whole + maximum // 2) // maximum
    return Picture(scaled.astype(picture.pixels.dtype))


def composed(pixels: np.ndarray, background: Iterable[int] = BACKGROUND) -> np.ndarray:
    """RGBA (H,W,4) over a colour, given in 0..255: RGB of the same type, rounded half up."""
    if pixels.dtype.kind == "f":
        colour = np.array(background) / 255
        return (pixels[..., :3] * pixels[..., 3:] + colour * (1 - pixels[..., 3:])).astype(pixels.dtype)
    whole = int(np.iinfo(pixels.dtype).max)
    colour = np.array(background, np.int64) * whole // 255
    values = pixels.astype(np.int64)
    mixed = values[..., :3] * values[..., 3:] + colour * (whole - values[..., 3:])
    return ((mixed + whole // 2) // whole).astype(pixels.dtype)


def to_bytes(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values of any type -> uint8: ``low`` becomes 0, ``high`` 255, in between a straight line; what is outside, and NaN, is cut."""
    values = pixels.astype(np.float64)
    scaled = (np.nan_to_num(values, nan=low) - low) * (255 / (high - low) if high > low else 0)
    return np.clip(np.floor(scaled + 0.5), 0, 255).astype(np.uint8)


def _by_blocks(change: Callable, pixels: np.ndarray, *options) -> np.ndarray:
    """``change`` of an image, whose pixels it treats alike, some rows at a time: it needs several times their memory."""
    n = -(-pixels.nbytes // BLOCK_BYTES)
    parts = [change(rows, *options) for rows in np.array_split(pixels, max(1, n))]
    return parts[0] if n <= 1 else np.concatenate(parts)


@dataclass
class Decoder:
    """Decodes the files of a data set to RGB of 8 bits, by ``intensity`` and ``background`` of its settings, and counts what it did.

    ``every`` gives the pixels (H,W,C) of all images of more than 8 bits of the data set. It is asked when the first of them is
    met, whose values depend on those of all others.
    """

    settings: dict
    every: Callable[[], Iterator[np.ndarray]]
    limits: tuple[float, float] | None = None
    counts: Counter = field(default_factory=Counter)
    first: dict = field(default_factory=dict)  # what was counted -> the first file of it
    types: Counter = field(default_factory=Counter)

    def rgb(self, data: bytes, name: str) -> np.ndarray | None:
        """uint8 (H,W,3); None for what cannot be decoded."""
        picture = decode(data)
        if picture is None:
            return None
        if picture.several:
            self.count("several", name)
        return self.fitted(picture.pixels, name)

    def fitted(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """RGB or RGBA of any type -> uint8 RGB."""
        if pixels.shape[2] == 4:
            if pixels[..., 3].min() < _whole(pixels):
                self.count("transparent", name)
                if pixels[..., 3].max() == 0:
                    self.count("invisible", name)
            pixels = _by_blocks(composed, pixels, self.settings.get("background") or BACKGROUND)
        if pixels.dtype == np.uint8:
            return pixels
        self.count("deep", name)
        self.types[str(pixels.dtype)] += 1
        if self.limits is None:
            self.limits = self.range()
        outside = int(np.sum(~((pixels >= self.limits[0]) & (pixels <= self.limits[1]))))
        if outside:
            self.count("outside", name)
        return _by_blocks(to_bytes, pixels, *self.limits)

    def count(self, what: str, name: str) -> None:
        self.counts[what] += 1
        self.first.setdefault(what, name)

    def range(self) -> tuple[float, float]:
        """The values that become 0 and 255. Raises UserError where all are the same or none is finite."""
        intensity = self.settings.get("intensity") or "full"
        if not isinstance(intensity, str):
            return tuple(map(float, intensity))
        background = self.settings.get("background") or BACKGROUND
        opaque = (
            _by_blocks(composed, pixels, background) if pixels.shape[2] == 4 else pixels for pixels in self.every()
        )
        values = np.concatenate([np.empty(0), *(_summary(pixels, intensity) for pixels in opaque)])
        if not values.size:
            raise UserError("the images of more than 8 bits hold no finite value: replace them.")
        low, high = (values.min(), values.max()) if intensity == "full" else np.percentile(values, PERCENTILES)
        return float(low), float(high)

    def notes(self) -> list[str]:
        """What was done, a line each."""
        counts, first, found = self.counts, self.first, []
        if counts["deep"]:
            types = ", ".join(sorted(self.types))
            low, high = self.limits
            found.append(
                f"{counted(counts['deep'], 'image')} of more than 8 bits ({types}): {low:g} became 0 and {high:g} became 255 "
                f"(dataset.intensity: {shown(self.settings.get('intensity') or 'full')})"
            )
        if counts["outside"]:
            found.append(
                f"values outside of that, or not finite, were cut in {counts['outside']:,} of them, such as "
                f"{readable(first['outside'])}"
            )
        if counts["transparent"]:
            colour = shown(list(self.settings.get("background") or BACKGROUND))
            found.append(
                f"{counted(counts['transparent'], 'image')} with transparency put on the colour {colour} (dataset.background)"
            )
        if counts["invisible"]:
            found.append(f"wholly transparent: {counts['invisible']:,} of them, such as {readable(first['invisible'])}")
        if counts["several"]:
            found.append(
                f"of {counted(counts['several'], 'file')} that hold several images the first was read, such as "
                f"{readable(first['several'])}"
            )
        return found


def _summary(values: np.ndarray, intensity: str) -> np.ndarray:
    """What `Decoder.range` needs of one image."""
    values = values[np.isfinite(values)]
    if intensity == "full":
        return np.array([values.min(), values.max()], np.float64) if values.size else np.empty(0)
    return values[:: max(1, values.size // SAMPLED_PIXELS)].astype(np.float32)


def _deep(files: Iterable[tuple[str, bytes]]) -> Iterator[np.ndarray]:
    """Pixels of the images of more than 8 bits among files (name, content)."""
    for _, data in files:
        picture = None if _is_shallow(data) else decode(data)
        if picture is not None and picture.pixels.dtype != np.uint8:
            yield picture.pixels


def _is_shallow(data: bytes) -> bool:
    """Whether a file has 8 bits for certain, without decoding it."""
    return data.startswith((JPEG, b"GIF8", b"BM", b"RIFF")) or (data.startswith(PNG) and data[24:25] != b"\x10")


def _whole(pixels: np.ndarray) -> float:
    return 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)


def shown(value) -> str:
    return f"[{', '.join(f'{number:g}' for number in value)}]" if isinstance(value, list | tuple) else str(value)


def readable(name: str) -> str:
    """A file name that any terminal can show: what is no UTF-8 is replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def counted(n: int, noun: str) -> str:
    """A number with its noun: 1 file, 2,000 files."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def named(names: list[str]) -> str:
    """Up to `NAMED` names in words."""
    more = len(names) - NAMED
    return ", ".join(map(readable, names[:NAMED])) + (f" and {more:,} more" if more > 0 else "")


def decoded(
    contents: Callable[[Collection[str]], Iterator[tuple[str, bytes]]],
    path: Path,
    names: list[str],
    settings: dict,
    labels: np.ndarray | None,
    n_train: int,
    notes: list[str],
) -> Iterator[tuple[int, np.ndarray]]:
    """(row, RGB image) of the named files, in the order of ``contents(names)``, their (name, content).

    When all are decoded, ``notes`` grows by what was done to them, and by files that are the same: in training and test part, or
    with two of the ``labels``. Raises UserError for what is missing or damaged, all of it at once.
    """
    rows = {name: row for row, name in enumerate(names)}
    missing, damaged = set(names), []
    decoder = Decoder(settings, lambda: _deep(contents(rows)))
    digests_N = np.zeros((len(names), 16), np.uint8)
    for name, data in contents(rows):
        digests_N[rows[name]] = np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), np.uint8)
        missing.discard(name)
        image = decoder.rgb(data, name)
        if image is None:
            damaged.append(name)
        elif not damaged:
            yield rows[name], image
    if missing:
        which = named(sorted(missing))
        raise UserError(
            f"{which} {'is' if len(missing) == 1 else 'are'} missing from {path}: put {'it' if len(missing) == 1 else 'them'} there."
        )
    check_decoded(damaged, path)
    notes += decoder.notes()
    if labels is not None:
        notes += same_files(digests_N, labels, n_train, names)


def check_decoded(damaged: list[str], path: Path) -> None:
    """Raise UserError that names the files that could not be decoded, if there are some."""
    if len(damaged) == 1:
        raise UserError(f"{readable(damaged[0])} in {path} cannot be decoded as {AN_IMAGE}: replace or delete it.")
    if damaged:
        raise UserError(
            f"{len(damaged):,} files in {path} cannot be decoded as images{OF_PIXELS}: replace or delete {named(damaged)}."
        )


def same_files(digests_N: np.ndarray, labels_N: np.ndarray, n_train: int, names: list[str]) -> list[str]:
    """Notes on files of equal content: test images that are training images too, and those that lie in two classes."""
    _, content_N = np.unique(digests_N.view("V16").ravel(), return_inverse=True)
    found = []
    train, test = content_N[:n_train], content_N[n_train:]
    leaked = np.flatnonzero(np.isin(test, train)) + n_train
    if len(leaked):
        twin = int(np.flatnonzero(train == content_N[leaked[0]])[0])
        found.append(
            f"{len(leaked):,} of {counted(len(test), 'test image')} with the same file in the training part, such as "
            f"{readable(names[leaked[0]])} and {readable(names[twin])}"
        )
    first_label = np.full(len(names), -1)
    first_label[content_N[::-1]] = labels_N[::-1]  # the first row of each content is written last
    torn = np.flatnonzero(first_label[content_N] != labels_N)
    if len(torn):
        twin = int(np.flatnonzero(content_N == content_N[torn[0]])[0])
        found.append(
            f"{counted(len(torn), 'image')} with the same file in another class, such as {readable(names[torn[0]])} and "
            f"{readable(names[twin])}"
        )
    return found
