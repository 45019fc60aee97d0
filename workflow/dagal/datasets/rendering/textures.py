"""Pictures of the rendered world, all RGB uint8: the ground, the fronts of the buildings, the sky, rain and noise."""

import cv2
import numpy as np

TILE = (96.0, 48.0)  # the ground repeats after so many metres along and across the road
GROUND_DENSITY, WALL_DENSITY = 16, 14  # texels per metre
STOREY, BAY = 3.1, 3.2  # metres

GRASS = {
    "spring": (96, 140, 62),
    "fall": (146, 128, 70),
    "winter": (226, 230, 238),
    "night": (80, 104, 62),
    "rain": (74, 104, 62),
}
ASPHALT = {"spring": 104, "fall": 100, "winter": 118, "night": 92, "rain": 66}
PAVEMENT = {
    "spring": (168, 162, 152),
    "fall": (160, 146, 128),
    "winter": (206, 208, 214),
    "night": (150, 148, 146),
    "rain": (112, 112, 114),
}
ZENITH = {
    "spring": (86, 142, 214),
    "fall": (132, 158, 190),
    "winter": (170, 184, 204),
    "night": (8, 10, 22),
    "rain": (116, 122, 130),
}
HAZE = {
    "spring": (196, 214, 230),
    "fall": (222, 208, 184),
    "winter": (220, 224, 230),
    "night": (26, 28, 42),
    "rain": (150, 155, 160),
}
WALLS = (
    (178, 120, 92),
    (150, 82, 66),
    (204, 186, 150),
    (190, 190, 186),
    (128, 124, 122),
    (222, 212, 190),
    (150, 160, 170),
    (196, 158, 110),
    (206, 150, 120),
    (120, 96, 84),
)
DARKNESS = {"night": 0.42}


def clouds(rng: np.random.Generator, shape: tuple[int, int], coarse: int, octaves: int) -> np.ndarray:
    """Smooth noise (H,W) float32 of mean 0, standard deviation about 1, that tiles; ``coarse`` cells across, halved per octave."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cells = [min(size, max(2, coarse * 2**octave * size // max(shape))) for size in shape]
        grid = np.pad(rng.standard_normal(cells).astype(np.float32), 1, mode="wrap")
        rows, columns = (-(-size // cell) for size, cell in zip(shape, cells, strict=True))
        large = cv2.resize(grid, (grid.shape[1] * columns, grid.shape[0] * rows), interpolation=cv2.INTER_LINEAR)
        inner = large[rows:-rows, columns:-columns]
        total += cv2.resize(inner, shape[::-1]) * 0.6**octave
    return total / max(float(total.std()), 1e-6)


def _paint(base_H_W_3: np.ndarray) -> np.ndarray:
    return np.clip(base_H_W_3, 0, 255).astype(np.uint8)


def ground(rng: np.random.Generator, area: str, condition: str, road: float, walk: tuple | None) -> np.ndarray:
    """Tile of the ground (rows along the road, columns across, the road's axis in the middle column)."""
    density = GROUND_DENSITY
    n_z, n_x = (int(size * density) for size in TILE)
    lateral = np.abs((np.arange(n_x) + 0.5) / density - TILE[1] / 2)
    fine = np.clip(rng.standard_normal((n_z, n_x), np.float32), -2.5, 2.5)
    patchy, broad = clouds(rng, (n_z, n_x), 96, 3), clouds(rng, (n_z, n_x), 24, 2)

    tile = np.empty((n_z, n_x, 3), np.float32)
    tile[:] = GRASS[condition]
    tile += (fine * 9 + patchy * 10 + broad * 6)[..., None] * np.array([1, 1, 0.6])
    on_road, asphalt = lateral < road, ASPHALT[condition]
    tile[:, on_road] = asphalt + (fine * 6 + patchy * 4 + broad * 3)[:, on_road, None] + np.array([0, 1, 5])
    if walk:
        paved = (lateral >= road) & (lateral < (walk[1] if area == "town" else 12))
        tile[:, paved] = np.array(PAVEMENT[condition]) + (fine * 6 + patchy * 4)[:, paved, None]
        joints = np.arange(n_z) % density < 1
        tile[np.ix_(joints, paved)] *= 0.86
        tile[:, paved & (np.arange(n_x) % (3 * density // 2) < 1)] *= 0.9
        tile[:, (lateral >= road) & (lateral < road + 0.22)] = np.array((188, 188, 186)) * asphalt / 104
    for _ in range(60):  # patches, cracks and covers give the road something to recognise
        row, column = rng.integers(n_z - 60), int(n_x / 2 + rng.uniform(-road, road - 1.5) * density)
        kind, tone = rng.integers(3), float(rng.uniform(0.72, 1.22))
        if kind == 0:
            tile[row : row + rng.integers(12, 60), column : column + rng.integers(8, 24)] *= 0.9 + 0.1 * tone
        elif kind == 1:
            points = np.cumsum(rng.integers(-9, 10, (7, 2)) + [0, 6], 0) + [column, row]
            cv2.polylines(tile, [points.astype(np.int32)], False, [asphalt * 0.6] * 3, 1)
        else:
            cv2.circle(tile, (column + 6, row + 8), 5, [asphalt * 0.62] * 3, -1)
    _leaves_and_snow(tile, rng, condition, lateral, road)
    _marks(tile, area, road, 236.0 if condition != "winter" else 222.0)
    tile *= 0.94 + 0.06 * np.clip(patchy + 1, 0, 1.4)[..., None]
    if condition == "night" and walk:
        _lamp_light(tile, road)
    return _paint(tile * DARKNESS.get(condition, 1))


def _leaves_and_snow(tile, rng, condition, lateral, road):
    n_z, n_x = tile.shape[:2]
    if condition == "winter":
        snow = clouds(rng, (n_z, n_x), 64, 4) - 1.1 - 1.5 * np.clip((road - lateral) / 1.2, 0, 1.5)[None]
        share = np.clip(snow * 1.2 + 0.9, 0, 0.95)[..., None] * (np.abs(lateral - road) < 9)[None, :, None]
        tile += (np.array((228, 232, 240)) - tile) * share
    elif condition in ("fall", "spring"):
        count = 9000 if condition == "fall" else 2500
        rows, columns = rng.integers(0, n_z - 2, count), rng.integers(0, n_x - 2, count)
        keep = lateral[columns] > (road - 1.2 if condition == "fall" else road + 4)
        colours = np.array(
            [(190, 96, 30), (206, 140, 40), (150, 70, 30)]
            if condition == "fall"
            else [(232, 220, 90), (236, 236, 232), (206, 120, 170)]
        )
        for row, column, colour in zip(rows[keep], columns[keep], colours[rng.integers(0, 3, keep.sum())], strict=True):
            tile[row : row + 2, column : column + 2] = colour


def _marks(tile, area, road, white):
    """Lane marks; in the city also the crossings, at 16 and 64 m of every tile."""
    n_z, n_x = tile.shape[:2]
    density = GROUND_DENSITY

    def line(at, width, period=None, dash=None):
        rows = np.ones(n_z, bool) if period is None else (np.arange(n_z) / density) % period < dash
        column = n_x / 2 + at * density
        tile[rows, round(column - width / 2 * density) : round(column + width / 2 * density)] = white

    if area == "highway":
        for side in (-1, 1):
            line(side * 1.1, 0.25)
            line(side * 4.7, 0.2, 12, 5)
            line(side * 8.3, 0.25)
        return
    line(0, 0.16, 8, 4)
    if area == "city":
        for side in (-1, 1):
            line(side * 3.35, 0.13, 6, 5)
    for start in CROSSINGS:
        rows = slice(int((start - 1.6) * density), int((start + 1.6) * density))
        tile[rows, int(n_x / 2 - road * density) : int(n_x / 2 + road * density)] *= 0.97
        for stripe in np.arange(-road + 0.3, road - 0.4, 1.0):
            tile[rows, round(n_x / 2 + stripe * density) : round(n_x / 2 + (stripe + 0.5) * density)] = white


CROSSINGS = (16.0, 64.0)
JUNCTION = 40.0  # where a side road may cross, as far from one crossing as from the other


def _lamp_light(tile, road):
    """Pools of warm light below the lamps (see scenes.LAMPS)."""
    n_z, n_x = tile.shape[:2]
    z, x = (np.arange(n_z) + 0.5) / GROUND_DENSITY, (np.arange(n_x) + 0.5) / GROUND_DENSITY - TILE[1] / 2
    gain = np.zeros((n_z, n_x), np.float32)
    for index, lamp in enumerate(np.arange(0, TILE[0], 16)):
        away = (z - lamp + TILE[0] / 2) % TILE[0] - TILE[0] / 2
        side = 1 if index % 2 else -1
        gain += np.exp(-(away[:, None] ** 2) / 18 - (x[None] - side * (road - 1)) ** 2 / 16)
    tile *= 0.8 + gain[..., None] * np.array([1.3, 1.1, 0.75])


def front(rng: np.random.Generator, condition: str, floors: int, bays: int, shops: bool, share: float) -> np.ndarray:
    """Front of a building, rows from its top: windows in a ``share`` of the fields, shops in the lowest floor."""
    height, width = int(floors * STOREY * WALL_DENSITY), int(bays * BAY * WALL_DENSITY)
    night, tone = condition == "night", np.array(WALLS[rng.integers(len(WALLS))], float) * rng.uniform(0.82, 1.12)
    dim = DARKNESS.get(condition, 1) * (0.75 if night else 1) * (0.85 if condition == "rain" else 1)
    wall = np.empty((height, width, 3), np.float32)
    wall[:] = tone
    wall += (rng.standard_normal((height, width), np.float32) * 5 + clouds(rng, (height, width), 6, 3) * 7)[..., None]
    if rng.random() < 0.5:
        wall[:: WALL_DENSITY // 3] *= 0.93  # courses
    storey, bay = height / floors, width / bays
    trim = np.clip(tone * rng.choice([0.72, 1.22]), 0, 245)
    for floor in range(1, floors + 1):
        wall[int(floor * storey) - 3 : int(floor * storey)] = trim
    wall[: WALL_DENSITY // 2] = trim * 0.9
    wall *= dim
    wide, tall = rng.uniform(0.38, 0.66), rng.uniform(0.46, 0.66)
    glass = np.array((70, 88, 106)) * rng.uniform(0.7, 1.3)
    for floor in range(floors):
        shop = shops and floor == floors - 1
        for column in range(bays):
            if rng.random() > share and not shop:
                continue
            w, h = (0.84, 0.66) if shop else (wide, tall)
            x0, y0 = int((column + 0.5 - w / 2) * bay), int((floor + (0.3 if shop else 0.5 - tall / 2)) * storey)
            x1, y1 = int(x0 + w * bay), int(y0 + h * storey)
            _window(wall, rng, (x0, y0, x1, y1), glass, trim * dim, night, shop)
        if shop:
            band = wall[int(floor * storey) : int((floor + 0.24) * storey)]
            for column in range(0, bays, 2):
                colour = rng.uniform(40, 225, 3) * (dim if rng.random() < 0.5 else min(1, 1.8 * dim))
                band[:, int(column * bay) : int((column + 2) * bay)] = colour
    return _paint(wall)


def _window(wall, rng, box, glass, trim, night, shop):
    x0, y0, x1, y1 = box
    wall[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = trim
    lit = night and rng.random() < (0.6 if shop else 0.34)
    if lit:
        pane = np.array((250, 214, 140)) * rng.uniform(0.6, 1)
    else:
        pane = glass * rng.uniform(0.7, 1.25) * (0.3 if night else 1)
    fall = np.linspace(1.25, 0.8, max(y1 - y0, 1))[:, None, None]
    wall[y0:y1, x0:x1] = pane * fall
    if rng.random() < 0.4 and not shop:  # blind
        wall[y0 : y0 + int((y1 - y0) * rng.uniform(0.2, 0.7)), x0:x1] = pane * 0.5 + np.array((110, 108, 100)) * (
            0.35 if night else 1
        )
    middle = (x0 + x1) // 2
    wall[y0:y1, middle : middle + 1] = trim


def sky(rng: np.random.Generator, area: str, condition: str, rows: int, columns: int) -> np.ndarray:
    """Sky above the horizon, which is its last row, with far hills or houses; a column is an angle, not a position."""
    fall = np.linspace(0, 1, rows)[:, None, None] ** 1.4
    picture = np.array(ZENITH[condition]) * (1 - fall) + np.array(HAZE[condition]) * fall
    picture = np.broadcast_to(picture, (rows, columns, 3)).astype(np.float32)
    noise = clouds(rng, (rows, columns), 14, 5)
    share = {"spring": 0.3, "fall": 0.45, "winter": 0.6, "rain": 1.0, "night": 0.25}[condition]
    white = {"rain": (168, 172, 176), "night": (34, 36, 50)}.get(condition, (246, 246, 248))
    cover = np.clip((noise + 2 * share - 1.1) * 0.5, 0, 0.85)[..., None] * (1 - 0.5 * fall)
    picture = picture * (1 - cover) + np.array(white) * cover
    if condition == "night":
        stars = rng.random((rows, columns)) < 0.0015
        picture[stars] += rng.uniform(40, 190, (int(stars.sum()), 1))
    _far_hills(picture, rng, area, condition)
    return _paint(picture)


def _far_hills(picture, rng, area, condition):
    rows, columns = picture.shape[:2]
    haze, angle = np.array(HAZE[condition], float), np.linspace(0, 2 * np.pi, columns)
    wood = np.array(GRASS[condition]) * (0.6 if condition != "winter" else 0.72) * (0.2 if condition == "night" else 1)
    for layer, tint in enumerate((0.72, 0.45)):
        top = (
            rows
            * (0.16 - 0.06 * layer)
            * (1 + 0.4 * sum(np.sin(k * angle + rng.uniform(0, 6)) / k**0.7 for k in (3, 5, 9)))
        )
        top += rng.standard_normal(columns) * 0.8
        high = np.arange(rows, 0, -1)[:, None] < np.maximum(top, 2)[None]
        picture[high] = haze * tint + wood * (1 - tint)
    if area == "city":
        column = 0
        while column < columns:
            width, height = int(rng.integers(rows // 12 + 1, rows // 4 + 3)), int(rows * rng.uniform(0.08, 0.3))
            tone = haze * 0.62 + np.array((90, 92, 98)) * 0.38 * (0.3 if condition == "night" else 1)
            picture[rows - height :, column : column + width] = tone * rng.uniform(0.9, 1.05)
            windows = picture[rows - height + 2 :: 3, column + 1 : column + width - 1 : 3]
            bright = rng.random(windows.shape[:2]) < 0.4
            windows[bright] = (150, 130, 86) if condition == "night" else tone * 0.86
            column += width + int(rng.integers(0, rows // 8 + 2))


def noise_bank(rng: np.random.Generator, height: int, width: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Sensor noise, its positive and its negative part, from which frames cut their own window."""
    noise = rng.standard_normal((height + 96, width + 96, 3), np.float32) * (0.7 * sigma)
    noise += rng.standard_normal((height + 96, width + 96, 1), np.float32) * (0.7 * sigma)
    return _paint(np.round(noise)), _paint(np.round(-noise))


def rain_sheets(rng: np.random.Generator, height: int, width: int) -> list[np.ndarray]:
    """Streaks of falling rain to be added to frames."""
    sheets = []
    for _ in range(7):
        sheet = np.zeros((height, width), np.uint8)
        for x, y, length, tone in zip(
            *rng.uniform([[0], [-0.1], [0.02], [18]], [[1], [1], [0.09], [62]], (4, 170)), strict=True
        ):
            start = (int(x * width * 16), int(y * height * 16))
            end = (int(start[0] - 0.12 * length * height * 16), int(start[1] + length * height * 16))
            cv2.line(sheet, start, end, int(tone), 1, cv2.LINE_AA, 4)
        sheets.append(cv2.merge([sheet] * 3))
    return sheets


def glow(size: int = 64) -> np.ndarray:
    """Halo of a lamp (size,size) float32, 1 in the middle, 0 at the edge."""
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    radius = np.sqrt(ramp[:, None] ** 2 + ramp[None] ** 2)
    return np.clip(1 - radius, 0, 1) ** 3
