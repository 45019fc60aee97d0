"""``python -m dagal camera-traps FOLDER``: a rendered camera-trap survey, as image files and the two JSON files of the real ones.

What it is for: trying the whole pipeline (loader, counts, embedding, active learning) in minutes, with the truth known. Fields
of view with a texture of their own, by day and in infrared; herds that hide each other; a detector that misses the hidden and
takes some bushes for animals.
"""

import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dagal import seeding
from dagal.datasets.camera_traps import EMPTY
from dagal.errors import UserError
from dagal.geometry import overlap

WIDTH, HEIGHT = 480, 320
SPECIES_SHOWN, LOCATIONS = 8, 10
EMPTY_SHARE, NIGHT_SHARE, MIXED_SHARE, UNLOCATED_SHARE, BUSH_SHARE = 0.35, 0.25, 0.06, 0.2, 0.12
VISIBLE = 0.2  # an animal of which less is to be seen is not annotated
UNIT = 64  # pixels of a body's length where animals are drawn, before they are scaled


class Species(NamedTuple):
    """Colours are RGB; lengths are in bodies. ``neck``: length and height of the head above the back."""

    name: str
    size: float  # height at the near edge of the view, as a share of the view's
    colour: tuple[int, int, int]
    pattern: str = ""  # stripes, spots, belly, mane
    marks: tuple[int, int, int] = (40, 34, 30)
    slim: float = 0.42  # height of the body
    legs: float = 0.5
    neck: tuple[float, float] = (0.2, 0.2)
    head: float = 0.16
    ears: float = 0.1
    horns: float = 0.0
    tail: float = 0.3


SPECIES = [
    Species("zebra", 0.45, (225, 222, 214), "stripes", slim=0.46, neck=(0.2, 0.25)),
    Species("giraffe", 0.75, (214, 176, 110), "spots", (120, 72, 30), legs=0.85, neck=(0.25, 0.8), head=0.12),
    Species("elephant", 0.7, (128, 124, 120), slim=0.62, legs=0.42, neck=(0.08, 0.05), head=0.26, ears=0.12),
    Species("gazelle", 0.32, (204, 150, 88), "belly", (245, 240, 228), slim=0.34, legs=0.55, horns=0.25),
    Species("buffalo", 0.5, (62, 54, 50), slim=0.52, legs=0.36, neck=(0.12, 0.0), head=0.2, horns=0.2),
    Species("lion", 0.36, (206, 164, 100), "mane", (110, 70, 36), slim=0.34, legs=0.34, tail=0.5),
    Species("leopard", 0.32, (216, 172, 98), "spots", slim=0.3, legs=0.32, neck=(0.14, 0.08), tail=0.6),
    Species("boar", 0.28, (92, 76, 66), slim=0.46, legs=0.25, neck=(0.1, -0.06), head=0.22),
    Species("deer", 0.45, (164, 98, 56), "belly", (216, 196, 168), slim=0.36, legs=0.55, neck=(0.18, 0.35), horns=0.4),
    Species("fox", 0.22, (206, 96, 40), "belly", (240, 232, 224), slim=0.26, legs=0.26, ears=0.16, tail=0.6),
    Species("skunk", 0.18, (36, 34, 38), "belly", (236, 236, 236), slim=0.3, legs=0.15, neck=(0.1, 0.0), tail=0.7),
    Species("hare", 0.16, (168, 146, 120), slim=0.4, legs=0.22, neck=(0.06, 0.16), head=0.18, ears=0.4, tail=0.08),
]


def add_command(commands) -> None:
    """Add ``camera-traps`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "camera-traps",
        help="render a camera-trap survey (images, detections.json, annotations.json)",
        description="Render a camera-trap survey for loader camera_trap: image files, the output of a simulated detector, "
        "and annotations.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to write it; must not exist")
    parser.add_argument("--images", type=int, default=400, metavar="N", help="number of images (default 400)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="draws species, places and herds (default 0)")
    parser.set_defaults(run=lambda options: render(options.folder, options.images, options.seed))


def render(folder: Path, n_images: int, seed: int) -> None:
    """Write a survey of ``n_images`` of some of the species at some locations. Raises UserError if the folder exists."""
    if folder.exists():
        raise UserError(f"{folder} exists: delete it, or name another folder.")
    if n_images < LOCATIONS:
        raise UserError(f"--images is {n_images}, but there are {LOCATIONS} locations: ask for that many at least.")
    rng = seeding.generator(seed, "camera traps")
    shown = [SPECIES[i] for i in np.sort(rng.permutation(len(SPECIES))[:SPECIES_SHOWN])]
    categories = [EMPTY, *(species.name for species in shown)]
    views = [view(seeding.generator(seed, "location", place)) for place in range(LOCATIONS)]
    images, annotations, detections = [], [], []
    partial = folder.with_name(f".{folder.name}.partial")
    for number in range(n_images):
        place = number % LOCATIONS
        name = f"location{place:02}/{number:05}.jpg"
        image, animals, found = photograph(views[place], shown, seeding.generator(seed, "photograph", number))
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(partial / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
        about = {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, "location": place}
        images.append(about)
        for told in annotated(animals, categories, rng):
            annotations.append({"id": len(annotations), "image_id": number, **told})
        detections.append({"file": name, "detections": found})
    write_json(partial / "annotations.json", {
        "images": images, "annotations": annotations,
        "categories": [{"id": position, "name": name} for position, name in enumerate(categories)],
    })  # fmt: skip
    write_json(partial / "detections.json", {
        "images": detections, "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
    })  # fmt: skip
    partial.rename(folder)
    print(f"{n_images:,} images of {', '.join(categories[1:])} in {folder}")


def write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")


def annotated(animals: list[tuple[str, list[float]]], categories: list[str], rng: np.random.Generator) -> list[dict]:
    """COCO annotations of one image: a box per animal, or (in some images) only the number of each species."""
    if not animals:
        return [{"category_id": 0}]
    if rng.random() < UNLOCATED_SHARE:
        names = [name for name, _ in animals]
        return [{"category_id": categories.index(n), "count": names.count(n)} for n in sorted(set(names))]
    found = []
    for name, (x1, y1, x2, y2) in animals:
        found.append({"category_id": categories.index(name), "bbox": [x1, y1, x2 - x1, y2 - y1]})
    return found


def view(rng: np.random.Generator) -> np.ndarray:
    """Empty field of view (H,W,3) float32 of one location: sky, distant trees, ground, bushes."""
    horizon = int(HEIGHT * rng.uniform(0.25, 0.45))
    ground = np.array([rng.uniform(90, 170), rng.uniform(90, 140), rng.uniform(50, 80)])
    sky = np.array([150, 180, 210]) + rng.uniform(-25, 25, 3)
    image = np.empty((HEIGHT, WIDTH, 3), np.float32)
    image[:horizon] = sky + np.linspace(-20, 20, horizon)[:, None, None]
    image[horizon:] = ground * np.linspace(0.75, 1.1, HEIGHT - horizon)[:, None, None]
    for _ in range(rng.integers(20, 60)):  # distant trees
        centre = (int(rng.uniform(0, WIDTH)), horizon - int(rng.uniform(0, 12)))
        cv2.ellipse(
            image, (centre, rng.uniform(12, 50, 2), 0), (ground * rng.uniform(0.3, 0.6)).tolist(), -1, cv2.LINE_AA
        )
    image += texture(rng, 60) * np.linspace(0.3, 1, HEIGHT)[:, None, None]
    for _ in range(rng.integers(2, 7)):
        x, y = int(rng.uniform(0, WIDTH)), int(rng.uniform(horizon, HEIGHT))
        bush(image, x, y, rng.uniform(12, 30) * (0.5 + (y - horizon) / (HEIGHT - horizon)), ground * 0.5, rng)
    if rng.random() < 0.5:  # a trunk at the edge
        x, width = int(rng.choice([0.06, 0.94]) * WIDTH), int(rng.uniform(20, 44))
        image[:, max(0, x - width // 2) : x + width // 2] *= 0.2
        image[:, max(0, x - width // 2) : x + width // 2] += 0.8 * np.array([70, 58, 46])
    return image


def bush(image: np.ndarray, x: int, y: int, size: float, colour: np.ndarray, rng: np.random.Generator) -> None:
    for _ in range(30):
        dx, dy = rng.normal(0, 0.5 * size, 2)
        shade = (colour * rng.uniform(0.7, 1.3)).tolist()
        cv2.circle(
            image, (int(x + dx), int(y - abs(dy))), int(size * rng.uniform(0.1, 0.3)) + 1, shade, -1, cv2.LINE_AA
        )


def texture(rng: np.random.Generator, strength: float) -> np.ndarray:
    """Noise (H,W,1) float32 of several scales."""
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for cells in (6, 24, 96):
        noise = rng.normal(size=(cells * HEIGHT // WIDTH + 1, cells)).astype(np.float32)
        total += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) / 6
    return strength * total[..., None]


def photograph(background: np.ndarray, shown: list[Species], rng: np.random.Generator) -> tuple[np.ndarray, list, list]:
    """One image (H,W,3) uint8, its animals as (species, x1 y1 x2 y2 in pixels), and what the detector says of it."""
    image = background + texture(rng, 12)
    herd = 0 if rng.random() < EMPTY_SHARE else min(int(rng.geometric(0.35)), 12)
    species = [shown[rng.integers(len(shown))]] * herd
    if herd > 1 and rng.random() < MIXED_SHARE:
        species[-1] = shown[rng.integers(len(shown))]
    centre, spread = rng.uniform(0.3, 0.7), 0.12 + 0.02 * herd
    depths = np.sort(np.clip(rng.normal(rng.uniform(0.3, 0.8), 0.18, herd), 0.08, 1))  # the far ones first
    owner = np.full((HEIGHT, WIDTH), -1)
    masks = []
    for number, depth in enumerate(depths):
        patch, alpha = animal(species[number], rng)
        scale = species[number].size * HEIGHT * (0.35 + 0.65 * depth) / patch.shape[0]
        size = max(8, round(patch.shape[1] * scale)), max(8, round(patch.shape[0] * scale))
        patch, alpha = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (patch, alpha))
        left = int(rng.normal(centre, spread) * WIDTH) - size[0] // 2
        top = int(HEIGHT * (0.5 + 0.46 * depth)) - size[1]
        covered = paste(image, patch, alpha, left, top)
        owner[covered] = number
        masks.append(covered)
    animals, found = [], []
    for number, covered in enumerate(masks):
        visible = np.sum(owner == number) / max(np.sum(covered), 1)
        if visible < VISIBLE or covered.sum() < 40:
            continue
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        box = [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]
        animals.append((species[number].name, box))
        confidence = 0.995 - 0.35 * (1 - visible) ** 1.5 - rng.exponential(0.02) - 0.3 * np.exp(-covered.sum() / 150)
        found.append((float(confidence), box))
    if rng.random() < BUSH_SHARE:
        x, y, size = rng.uniform(40, WIDTH - 90), rng.uniform(0.5 * HEIGHT, HEIGHT - 80), rng.uniform(30, 60)
        bush(image, int(x + size / 2), int(y + size), size / 2, np.array([70, 74, 46]), rng)
        found.append((float(rng.uniform(0.2, 1)), [x, y, x + size, y + size]))
    return developed(image, rng), animals, detected(found, rng)


def animal(species: Species, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An animal seen from the side, cut out: colours (h,w,3) float32 and opacity (h,w) float32 in 0..1."""
    colours = np.zeros((4 * UNIT, 4 * UNIT, 3), np.float32)
    alpha = np.zeros(colours.shape[:2], np.float32)
    base = np.array(species.colour) * rng.uniform(0.85, 1.15)
    light, dark, marks = base.tolist(), (0.72 * base).tolist(), list(map(float, species.marks))
    slim = species.slim * rng.uniform(0.9, 1.1)

    def at(along, up):
        """Pixel of a place in bodies, from the middle of the body."""
        return round((2 + along) * UNIT), round((2 - up) * UNIT)

    def line(start, end, width, colour):
        for canvas, value in ((colours, colour), (alpha, 1.0)):
            cv2.line(canvas, at(*start), at(*end), value, max(2, round(width * UNIT)), cv2.LINE_AA)

    def ellipse(centre, axes, colour, angle=0.0):
        for canvas, value in ((colours, colour), (alpha, 1.0)):
            size = tuple(max(2, round(axis * UNIT)) for axis in axes)
            cv2.ellipse(canvas, at(*centre), size, angle, 0, 360, value, -1, cv2.LINE_AA)

    ground = -slim / 2 - species.legs
    for along, colour in ((-0.3, dark), (0.3, dark), (-0.38, light), (0.38, light)):
        line((along, 0), (along + rng.uniform(-0.12, 0.12), ground), 0.05 + 0.12 * slim, colour)
    line((-0.48, slim / 4), (-0.48 - 0.4 * species.tail, slim / 4 - 0.9 * species.tail), 0.06, dark)
    ellipse((0, 0), (0.52, slim / 2), light)
    reach, rise = species.neck
    head = 0.48 + reach, slim / 4 + rise * rng.uniform(0.6, 1.1)
    line((0.38, slim / 6), head, 0.5 * slim, light)
    if species.pattern == "mane":
        ellipse(head, (0.26, 0.26), marks)
    for side in (-0.05, 0.05):
        tip = head[0] - 0.08 + side, head[1] + species.head / 2 + species.ears
        line((head[0] - 0.05 + side, head[1]), tip, 0.06 if species.ears < 0.3 else 0.1, dark)
        if species.horns:
            line((head[0] + side, head[1]), (head[0] + 3 * side, head[1] + 0.1 + species.horns), 0.05, marks)
    ellipse(head, (species.head * 0.8, species.head * 0.6), light)
    ellipse((head[0] + species.head * 0.8, head[1] - 0.04), (species.head * 0.5, species.head * 0.35), dark, 15)

    before = colours.copy()
    if species.pattern == "stripes":
        for along in np.arange(-0.6, 0.9, 0.11):
            cv2.line(colours, at(along, -0.9), at(along + 0.15, 0.9), marks, 3, cv2.LINE_AA)
    elif species.pattern == "spots":
        for along, up in rng.uniform((-0.6, -0.5), (0.9, 1.1), (110, 2)):
            cv2.circle(colours, at(along, up), 4, marks, -1, cv2.LINE_AA)
    elif species.pattern == "belly":
        cv2.ellipse(colours, at(0, -0.35 * slim), (round(0.4 * UNIT), round(0.2 * slim * UNIT)), 0, 0, 360, marks, -1)
    colours = np.where(before.any(-1, keepdims=True), colours, before)
    colours *= np.linspace(1.15, 0.8, len(colours), dtype=np.float32)[:, None, None]  # lit from above
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    cut = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    turn = slice(None, None, -1 if rng.random() < 0.5 else 1)
    return colours[cut][:, turn], alpha[cut][:, turn]


def paste(image: np.ndarray, patch: np.ndarray, alpha: np.ndarray, left: int, top: int) -> np.ndarray:
    """Lay a cut-out over the image, in place; where it covers it (H,W) bool."""
    covered = np.zeros(image.shape[:2], bool)
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + patch.shape[1], image.shape[1]), min(top + patch.shape[0], image.shape[0])
    if x1 < x2 and y1 < y2:
        inside = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
        opacity = alpha[inside][..., None]
        image[y1:y2, x1:x2] = opacity * patch[inside] + (1 - opacity) * image[y1:y2, x1:x2]
        covered[y1:y2, x1:x2] = alpha[inside] > 0.5
    return covered


def developed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the camera makes of the light: by day in colour, at night in infrared."""
    if rng.random() < NIGHT_SHARE:
        y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
        gray = image.mean(-1) * (1.15 - 0.6 * (x**2 + y**2)) * rng.uniform(0.6, 0.9) + rng.normal(0, 6, x.shape)
        image = np.repeat(gray[..., None], 3, axis=2)
    else:
        image = image * rng.uniform(0.75, 1.15) * rng.uniform(0.94, 1.06, 3)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def detected(found: list[tuple[float, list[float]]], rng: np.random.Generator) -> list[dict]:
    """Detections as MegaDetector writes them, best first: of two boxes that share 60 % of their area only the better one is left."""
    kept = []
    for confidence, (x1, y1, x2, y2) in sorted(found, reverse=True):
        box = np.array([x1, y1, x2, y2]) + rng.normal(0, 0.03, 4) * [x2 - x1, y2 - y1, x2 - x1, y2 - y1]
        box = np.clip(box / [WIDTH, HEIGHT, WIDTH, HEIGHT], 0, 1)
        if confidence < 0.05 or any(overlap(box, other) > 0.6 for _, other in kept):
            continue
        kept.append((confidence, box))
    return [
        {"category": "1", "conf": round(c, 3), "bbox": [round(float(v), 4) for v in (*b[:2], *(b[2:] - b[:2]))]}
        for c, b in kept
    ]
