"""Frames with boxes drawn on them, sheets of them, and writing them as png and gif. All pictures are (H,W,3) uint8 RGB.

The colours are those of 003, fig. 2.3. True boxes are dashed, so that a detection exactly on one can still be seen.
"""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from dagal import storage
from dagal.geometry import iou_matrix

COLOURS = {
    "truth": (255, 222, 0),
    "detection": (255, 48, 48),
    "false_positive": (190, 70, 255),
    "false_negative": (40, 225, 95),
}
LEGEND = {
    "truth": "truth",
    "detection": "detection",
    "false_positive": "estimated false positive",
    "false_negative": "estimated false negative",
}
STYLES = ("solid", "dashed")
READABLE = 280  # pixels of the shorter side from which captions are readable beside the boxes
DARK, LIGHT = (24, 24, 28), (238, 238, 238)
FONT = cv2.FONT_HERSHEY_SIMPLEX
MOST_COVERED = 0.2  # share of a box that a caption may hide
CAPTION_LINES = 3
GAP = 10  # pixels between the cells of a sheet


# --------------------------------------------------------------------------------------------------- boxes


def draw(
    image: np.ndarray,
    boxes_M_4: np.ndarray,
    labels_M: np.ndarray | None = None,
    class_names: tuple[str, ...] = (),
    colour: tuple[int, int, int] = COLOURS["detection"],
    thickness: int | None = None,
    style: str = "solid",
) -> np.ndarray:
    """The image with its boxes (xyxy in its pixels), as a new picture.

    An image whose shorter side is under 280 px is enlarged by a whole number. With ``labels_M`` every box gets the name of its
    class, where that hides neither another caption nor more than a fifth of any box; in a crowd some stay without. The line, by
    default 2 px or more in large pictures, is within the box; boxes beyond the image are cut, NaN boxes left out. Raises
    ValueError for a style not in `STYLES`.
    """
    picture, factor = _enlarged(image)
    captions = None if labels_M is None else [class_names[label] for label in labels_M]
    _draw_layers(picture, [(_scaled(boxes_M_4, factor, picture), captions, colour, style)], thickness)
    return picture


def annotated(
    image: np.ndarray,
    truth: tuple,
    detections: tuple,
    false_positive_M: np.ndarray,
    false_negatives: tuple,
    class_names: tuple[str, ...],
) -> np.ndarray:
    """A frame with the errors a detector makes and those estimated, and a legend below.

    ``truth``, ``detections`` and ``false_negatives`` are (boxes, labels); detections in ``false_positive_M`` (bool) are drawn as
    estimated false positives. A true box under a drawn one of its class has no caption of its own.
    """
    picture, factor = _enlarged(image)
    boxes_M_4, labels_M = map(np.asarray, detections)
    wrong_M = np.asarray(false_positive_M, bool)
    drawn = {
        "detection": (boxes_M_4[~wrong_M], labels_M[~wrong_M]),
        "false_positive": (boxes_M_4[wrong_M], labels_M[wrong_M]),
        "false_negative": tuple(map(np.asarray, false_negatives)),
    }
    layers = []
    for kind, (boxes, labels) in drawn.items():
        captions = [class_names[label] for label in labels]
        layers.append((_scaled(boxes, factor, picture), captions, COLOURS[kind], "solid"))
    true_G_4, true_labels_G = map(np.asarray, truth)
    above, above_labels = (np.concatenate(parts) for parts in zip(*drawn.values(), strict=True))
    named_G = ((iou_matrix(true_G_4, above) > 0.5) & (true_labels_G[:, None] == above_labels)).any(1)
    captions = ["" if named else class_names[label] for label, named in zip(true_labels_G, named_G, strict=True)]
    layers.append((_scaled(true_G_4, factor, picture), captions, COLOURS["truth"], "dashed"))
    _draw_layers(picture, layers)
    return np.concatenate([picture, _legend(picture.shape[1], _text_scale(picture))])


def _enlarged(image: np.ndarray) -> tuple[np.ndarray, int]:
    height, width = image.shape[:2]
    factor = max(1, -(-READABLE // min(height, width)))
    if factor == 1:
        return image.copy(), 1
    return cv2.resize(image, (width * factor, height * factor), interpolation=cv2.INTER_CUBIC), factor


def _scaled(boxes_M_4: np.ndarray, factor: int, picture: np.ndarray) -> np.ndarray:
    """Boxes (M,4) in whole pixels of the picture, exclusive ends, at least 1 pixel; -1 for those that are not to be seen."""
    boxes = np.asarray(boxes_M_4, np.float64).reshape(-1, 4) * factor
    size = np.array([picture.shape[1], picture.shape[0]])
    seen_M = ((boxes[:, :2] < size) & (boxes[:, 2:] > 0) & (boxes[:, 2:] > boxes[:, :2])).all(1)  # False for NaN
    corners = np.rint(np.clip(np.where(seen_M[:, None], boxes, 0), 0, np.tile(size, 2))).astype(np.int64)
    first = np.minimum(corners[:, :2], size - 1)
    result = np.hstack([first, np.maximum(corners[:, 2:], first + 1)])
    result[~seen_M] = -1
    return result


def _draw_layers(picture: np.ndarray, layers: list[tuple], thickness: int | None = None) -> None:
    """Outlines in the order of the layers, then all the captions; a layer is (boxes, captions or None, colour, style)."""
    thickness = thickness or max(2, round(min(picture.shape[:2]) / 300))
    every = [(box, colour) for boxes, _, colour, _ in layers for box in boxes if box[0] >= 0]
    for boxes, _, colour, style in layers:
        if style not in STYLES:
            raise ValueError(f"style {style!r} is not one of {STYLES}")
        for box in boxes:
            if box[0] >= 0:
                _outline(picture, box, colour, thickness, style == "dashed")
    wanted = [
        (box, text, colour)
        for boxes, captions, colour, _ in layers
        for box, text in zip(boxes, captions or [""] * len(boxes), strict=True)
        if text and box[0] >= 0
    ]
    # small boxes first: a large one has more room for its caption
    wanted.sort(key=lambda item: (item[0][2] - item[0][0]) * (item[0][3] - item[0][1]))
    obstacles, placed = np.array([box for box, _ in every]).reshape(-1, 4), np.zeros((0, 4), np.int64)
    for box, text, colour in wanted:
        patch = _caption(text, colour, _text_scale(picture))
        place = _place(patch.shape[:2], box, picture.shape[:2], obstacles, placed)
        if place is not None:
            left, top, right, bottom = place
            picture[top:bottom, left:right] = patch
            placed = np.vstack([placed, place])


def _outline(picture: np.ndarray, box: np.ndarray, colour: tuple, thickness: int, dashed: bool) -> None:
    left, top, right, bottom = box
    height, width = bottom - top, right - left
    thickness = min(thickness, max(1, min(height, width) // 5))
    inside = picture[top:bottom, left:right]
    row, column = np.arange(height)[:, None], np.arange(width)
    from_side = np.minimum(np.minimum(row, height - 1 - row), np.minimum(column, width - 1 - column))
    line = from_side < thickness
    if min(height, width) >= 8 * thickness:  # a darker rim, against a background of the same colour
        rim = from_side == thickness
        inside[rim] = inside[rim] // 2
    if dashed:
        length = max(3, 3 * thickness)
        along = np.where((row < thickness) | (row >= height - thickness), column, row)
        line &= along // length % 2 == 0
    inside[line] = colour


def _place(size: tuple, box: np.ndarray, limits: tuple, obstacles: np.ndarray, placed: np.ndarray) -> np.ndarray | None:
    """The free place at a box that hides least, or None."""
    height, width = size
    left, top, right, bottom = box
    inset = 3
    corners = [
        (left, top - height),  # above
        (left, bottom),  # below
        (right - width, top - height),
        (right - width, bottom),
        ((left + right - width) // 2, top - height),
        ((left + right - width) // 2, bottom),
        (right, top),  # beside
        (left - width, top),
        (right, bottom - height),
        (left - width, bottom - height),
        (left + inset, top + inset),  # within
        (left + inset, bottom - height - inset),
    ]
    places = np.array([(x, y, x + width, y + height) for x, y in corners])
    within = (places[:, :2] >= 0).all(1) & (places[:, 2] <= limits[1]) & (places[:, 3] <= limits[0])
    areas = (obstacles[:, 2] - obstacles[:, 0]) * (obstacles[:, 3] - obstacles[:, 1])
    covered = _shared(places, obstacles) / areas
    free = within & (covered.max(1) <= MOST_COVERED) & (_shared(places, placed).sum(1) == 0)
    if not free.any():
        return None
    return places[np.argmin(np.where(free, covered.sum(1) + 0.002 * np.arange(len(places)), np.inf))]


def _shared(places_A_4: np.ndarray, boxes_B_4: np.ndarray) -> np.ndarray:
    """Pixels that each place shares with each box (A,B)."""
    one, other = places_A_4[:, None], boxes_B_4[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    return np.maximum(sides, 0).prod(-1)


# ---------------------------------------------------------------------------------------------------- text


def _text_scale(picture: np.ndarray) -> float:
    return 0.4 * max(1.0, min(picture.shape[:2]) / 450)


def _text_size(text: str, scale: float) -> tuple[int, int, int]:
    """Width of a text, and height above and below its base line, the same for all texts of a scale."""
    (width, _), _ = cv2.getTextSize(text, FONT, scale, 1)
    return width, round(26 * scale), round(9 * scale)


def _write(picture: np.ndarray, text: str, left: int, top: int, scale: float, colour: tuple) -> None:
    cv2.putText(picture, text, (left, top + _text_size(text, scale)[1]), FONT, scale, colour, 1, cv2.LINE_AA)


def _caption(text: str, colour: tuple, scale: float) -> np.ndarray:
    """A text on a background of the colour, black or white, whichever is easier to read."""
    width, above, below = _text_size(text, scale)
    padding = round(6 * scale)
    patch = np.full((above + below + padding, width + 2 * padding, 3), colour, np.uint8)
    bright = np.dot(colour, (0.299, 0.587, 0.114)) > 110
    _write(patch, text, padding, padding // 2, scale, (0, 0, 0) if bright else (255, 255, 255))
    return patch


def _legend(width: int, scale: float) -> np.ndarray:
    """A strip (h,width,3) that explains the colours, in one, two or four lines, whichever fits."""
    _, above, below = _text_size("", scale)
    line_height, gap, space = above + below + 6, round(12 * scale), round(20 * scale)
    swatch = np.array([round(40 * scale), above])
    item_widths = np.array([swatch[0] + gap + _text_size(text, scale)[0] + 2 * space for text in LEGEND.values()])
    for columns in (4, 2, 1):
        column_widths = item_widths.reshape(-1, columns).max(0)
        if column_widths.sum() <= width:
            break
    strip = np.full((len(LEGEND) // columns * line_height + 6, width, 3), DARK, np.uint8)
    lefts = np.cumsum(column_widths) - column_widths + space
    for i, (kind, text) in enumerate(LEGEND.items()):
        x, y = int(lefts[i % columns]), i // columns * line_height + 5
        corner = np.array([x, y + 1])
        _outline(strip, np.concatenate([corner, corner + swatch]), COLOURS[kind], 2, kind == "truth")
        _write(strip, text, x + int(swatch[0]) + gap, y, scale, LIGHT)
    return strip


def _lines(text: str, width: int, scale: float) -> list[str]:
    """The text broken between words into lines of at most ``width`` pixels; what does not fit ends in dots."""
    lines = []
    for word in text.split():
        if lines and _text_size(f"{lines[-1]} {word}", scale)[0] <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > CAPTION_LINES:
        lines = [*lines[: CAPTION_LINES - 1], lines[CAPTION_LINES - 1] + " ..."]
    return [_shortened(line, width, scale) for line in lines]


def _shortened(text: str, width: int, scale: float) -> str:
    kept = text.removesuffix(" ...")
    while kept and _text_size(text, scale)[0] > width:
        kept = kept[:-1]
        text = kept.rstrip() + "..."
    return text if kept else ""


# -------------------------------------------------------------------------------------------------- sheets


def tiles(images_N_H_W_C: np.ndarray, side: int) -> np.ndarray:
    """Images (N,H,W,C) as RGB of 8 bits, enlarged pixel by pixel by the whole number that makes the shorter side ``side`` or more.

    Of images without 3 channels the first is shown in grey; what noise took beyond 0..255 is cut.
    """
    images = images_N_H_W_C.clip(0, 255).astype(np.uint8)
    images = images if images.shape[3] == 3 else np.repeat(images[..., :1], 3, axis=3)
    factor = max(1, -(-side // min(images.shape[1:3])))
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def contact_sheet(images: list[np.ndarray], captions: list[str], columns: int) -> np.ndarray:
    """The pictures in rows of ``columns``, each over its caption (broken into at most 3 lines), on white.

    Pictures of different sizes stand centred in cells of the largest; fewer pictures than columns make a narrower sheet. Raises
    ValueError without pictures, or if there is not one caption for each.
    """
    if not images or len(images) != len(captions) or columns < 1:
        raise ValueError(f"{len(images)} pictures, {len(captions)} captions, {columns} columns")
    columns = min(columns, len(images))
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    scale = float(np.clip(columns * width / 3000, 0.4, max(0.4, width / 640)))
    texts = [_lines(caption, width, scale) for caption in captions]
    _, above, below = _text_size("", scale)
    line_height = above + below + 2
    cell_height = height + max(map(len, texts)) * line_height + 4
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (cell_height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for i, (image, lines) in enumerate(zip(images, texts, strict=True)):
        row, column = divmod(i, columns)
        top, left = GAP + row * (cell_height + GAP), GAP + column * (width + GAP)
        y, x = top + (height - image.shape[0]) // 2, left + (width - image.shape[1]) // 2
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
        for k, line in enumerate(lines):
            _write(sheet, line, left, top + height + 4 + k * line_height, scale, DARK)
    return sheet


# --------------------------------------------------------------------------------------------------- files


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write a picture as png; the same picture gives the same bytes."""
    storage.write_bytes(path, cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def write_gif(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write pictures of one size as an endless gif; the same pictures give the same bytes.

    All share one palette of 256 colours, those of the boxes exact. A gif counts in 1/100 s, so 30 fps become 33.3; equal
    neighbours are stored once and shown longer. All frames are held in memory. Raises ValueError without frames or for
    frames of different sizes.
    """
    from PIL import Image

    frames = list(_same_size(frames))
    reserved = [*COLOURS.values(), DARK, LIGHT, (0, 0, 0), (255, 255, 255)]
    step = max(1, len(frames) // 16)
    sample = Image.fromarray(np.concatenate(frames[::step])).quantize(256 - len(reserved), Image.Quantize.MEDIANCUT)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*np.ravel(reserved).tolist(), *sample.getpalette()])
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    drawn, duration = io.BytesIO(), max(2, round(100 / fps)) * 10
    images[0].save(drawn, format="gif", save_all=True, append_images=images[1:], duration=duration, loop=0)
    storage.write_bytes(path, drawn.getvalue())


def _same_size(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    shape = None
    for frame in frames:
        if shape is not None and frame.shape != shape:
            raise ValueError(f"frames of sizes {shape} and {frame.shape}")
        shape = frame.shape
        yield frame
    if shape is None:
        raise ValueError("no frames")
