"""Frames of image and video files, decoded one by one, and their boxes, fitted to one size."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dagal import files
from dagal.datasets.coco import RELATIVE, contents
from dagal.datasets.decoding import AN_IMAGE, FORMATS, opencv
from dagal.errors import UserError

VIDEO_ENDINGS = (
    ".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".mts", ".m2ts", ".ts", ".ogv", ".3gp",
)  # fmt: skip
EXIF_ORIENTATION = 0x0112
TURNED_BY = {90: 6, 180: 3, 270: 8}  # degrees, clockwise, by which a video is shown turned -> EXIF orientation


def is_video(file: Path) -> bool:
    return file.suffix.lower() in VIDEO_ENDINGS


def decode(paths: list[Path], numbers: list[int], orientation_N: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(row, RGB image) of image files, and of the numbered frames of video files, turned as they ask to be shown.

    Their EXIF orientation is written to ``orientation_N``. Raises UserError for a file that cannot be decoded.
    """
    for file, rows in itertools.groupby(range(len(paths)), key=paths.__getitem__):
        if is_video(file):
            images = decode_video(file, {numbers[row]: row for row in rows}, orientation_N)
        else:
            data = contents(file)
            rows = list(rows)
            orientation_N[rows], _ = header(io.BytesIO(data))
            images = ((row, opencv(data)) for row in rows)
        for row, image in images:
            if image is None:
                raise UserError(f"{file} cannot be decoded as {AN_IMAGE}: replace or delete it.")
            yield row, image


def decode_video(file: Path, rows: dict[int, int], orientation_N: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(row, RGB image) of the wanted frames, from the first to the last of them: seeking is not exact."""
    import cv2

    capture, last = cv2.VideoCapture(str(files.regular(file))), max(rows)
    try:
        if not capture.isOpened():
            raise UserError(f"{file} cannot be decoded as a video: it may be truncated, copy or convert it again.")
        degrees = round(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
        orientation_N[list(rows.values())] = TURNED_BY.get(degrees, 1)
        for number in range(last + 1):
            wanted = number in rows
            done, image = capture.read() if wanted else (capture.grab(), None)
            if not done:
                raise UserError(
                    f"{file} ends after {number} frames but its annotations list frame {last}, counted from 0: it may be "
                    "truncated, copy it again or correct the numbers."
                )
            if wanted:
                yield rows[number], cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def n_frames(file: Path) -> int:
    """Frames of a video file, counted by going through it; 0 if it cannot be decoded."""
    import cv2

    capture, n = cv2.VideoCapture(str(files.regular(file))), 0
    try:
        while capture.grab():
            n += 1
    finally:
        capture.release()
    return n


def frames_in_header(file: Path) -> int:
    """Frames of a video file as its header tells; 0 where it does not."""
    import cv2

    capture = cv2.VideoCapture(str(files.regular(file)))
    try:
        return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        capture.release()


def header(file: Path | BinaryIO) -> tuple[int, tuple[int, int]]:
    """EXIF orientation of an image file, 1 (upright) to 8, and its (width, height) as stored; 0 x 0 where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as image:
            found, size = image.getexif().get(EXIF_ORIENTATION, 1), image.size
    except Exception:  # a foreign file can fail in any way
        return 1, (0, 0)  # OpenCV says what is wrong with it
    return (found if found in range(1, 9) else 1), size


def turned(boxes_M_4: np.ndarray, orientation_M: np.ndarray) -> np.ndarray:
    """Boxes in shares of the stored image -> in shares of the image as it is shown, turned by its EXIF orientation."""
    x_M_2, y_M_2 = boxes_M_4[:, ::2], boxes_M_4[:, 1::2]
    across = (orientation_M >= 5)[:, None]
    x_M_2, y_M_2 = np.where(across, y_M_2, x_M_2), np.where(across, x_M_2, y_M_2)
    x_M_2 = np.where(np.isin(orientation_M, (2, 3, 6, 7))[:, None], 1 - x_M_2[:, ::-1], x_M_2)
    y_M_2 = np.where(np.isin(orientation_M, (3, 4, 7, 8))[:, None], 1 - y_M_2[:, ::-1], y_M_2)
    return np.stack([x_M_2, y_M_2], 2).reshape(-1, 4)


def same_shape(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two (width, height) are those of one image in two sizes, but for rounding to whole pixels."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def basis(declared: tuple, shown: tuple, exif: int) -> tuple[tuple, bool] | None:
    """Size (width, height) that the boxes of a frame are in, and whether they must be turned with it; None if no size fits.

    ``declared`` is the size in the annotations, NaN if there is none; ``shown`` that of the frame as it is shown. Where the
    declared size is that of the frame as it is shown, and not as it is stored, boxes were drawn on what is shown. In all other
    cases they belong to the stored pixels.
    """
    stored = shown[::-1] if exif >= 5 else shown
    if declared == RELATIVE or np.isnan(declared[0]):
        return (declared if declared == RELATIVE else stored), exif != 1
    if same_shape(declared, stored):
        return declared, exif != 1
    return (declared, False) if same_shape(declared, shown) else None


def fit(image: np.ndarray, height: int, width: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Resize to fit height x width in its own shape, zeros right and below; and its (width, height) without these."""
    import cv2

    scale = min(height / image.shape[0], width / image.shape[1])
    size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
    if size != image.shape[1::-1]:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.pad(image, ((0, height - size[1]), (0, width - size[0]), (0, 0))), size
