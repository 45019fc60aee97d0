"""Pictures of boxes, pixel by pixel; sheets; png, gif and mp4."""

import cv2
import numpy as np
import pytest
from PIL import Image

from dagal.report import pictures
from dagal.report.pictures import COLOURS, annotated, contact_sheet, draw, write_gif, write_png

NAMES = ("pedestrian", "cyclist", "car", "wheelchair")
GRAY = 120


def gray(height=300, width=400):
    return np.full((height, width, 3), GRAY, np.uint8)


def is_colour(picture, kind):
    return (picture == COLOURS[kind]).all(-1)


def changed(picture):
    return (picture != GRAY).any(-1)


def moving(n=6, size=(60, 80)):
    """Pictures with a drawn box that moves over soft spots of all colours."""
    base = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8), size[::-1])
    return [draw(base, [[5 + 3 * i, 8, 25 + 3 * i, 30]], colour=COLOURS["truth"]) for i in range(n)]


def test_line_is_within_the_box():
    picture = draw(gray(), np.array([[50, 60, 150, 200]], np.float32), thickness=3)
    line = np.zeros((300, 400), bool)
    line[60:200, 50:150] = True
    line[63:197, 53:147] = False
    assert np.array_equal(is_colour(picture, "detection"), line)
    outside = np.ones((300, 400), bool)
    outside[60:200, 50:150] = False
    assert not changed(picture)[outside].any() and not changed(picture)[64:196, 54:146].any()
    assert (picture[63, 53:147] == GRAY // 2).all()  # the darker rim


def test_small_images_are_enlarged_with_their_boxes():
    picture = draw(gray(120, 160), [[10, 20, 50, 60]], thickness=2)
    assert picture.shape == (360, 480, 3)
    rows, columns = np.nonzero(is_colour(picture, "detection"))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (60, 180, 30, 150)
    assert draw(gray(96, 160), []).shape == (288, 480, 3) and draw(gray(280, 400), []).shape == (280, 400, 3)


def test_the_image_given_stays_as_it_is():
    for image in (gray(), gray(120, 160)):
        draw(image, [[10, 20, 50, 60]], [1], NAMES)
        annotated(image, ([[10, 20, 50, 60]], [0]), (np.zeros((0, 4)), []), [], (np.zeros((0, 4)), []), NAMES)
        assert not changed(image).any()


def test_dashes():
    picture = draw(gray(), [[50, 60, 150, 200]], style="dashed", colour=COLOURS["truth"], thickness=2)
    top = is_colour(picture, "truth")[60, 50:150]
    assert 0.4 < top.mean() < 0.65 and np.count_nonzero(np.diff(top)) > 8
    left = is_colour(picture, "truth")[60:200, 50]
    assert 0.4 < left.mean() < 0.65 and np.count_nonzero(np.diff(left)) > 8
    with pytest.raises(ValueError, match="wavy"):
        draw(gray(), [[1, 1, 9, 9]], style="wavy")


def test_boxes_at_and_beyond_the_edges():
    picture = draw(gray(), [[-20, -10, 30, 40], [390, 290, 500, 400]], thickness=2)
    red = is_colour(picture, "detection")
    assert red[0, :30].all() and red[:40, 0].all() and red[39, :30].all() and red[:40, 29].all()
    assert red[290, 390:].all() and red[290:, 390].all() and red[299, 390:].all()
    nowhere = [[500, 10, 600, 50], [10, -50, 60, -5], [30, 30, 30, 60], [60, 60, 40, 90], [np.nan] * 4]
    assert not changed(draw(gray(), nowhere, [0] * 5, NAMES)).any()
    assert not changed(draw(gray(), np.zeros((0, 4)), [], NAMES)).any()


@pytest.mark.parametrize("box", [[100, 100, 101, 101], [100.2, 100.2, 100.4, 100.4], [399.7, 299.7, 400, 300]])
def test_tiny_boxes_are_seen(box):
    red = is_colour(draw(gray(), [box]), "detection")
    assert red.sum() == 1


def caption_pixels(picture, boxes):
    """What a caption changed: everything that is different outside of the boxes."""
    mask = changed(picture)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = False
    return mask


@pytest.mark.parametrize(
    "box", [[0, 0, 12, 12], [388, 0, 400, 12], [0, 288, 12, 300], [388, 288, 400, 300], [190, 140, 210, 160]]
)
def test_a_caption_is_whole_and_beside_its_box(box):
    """A caption is a filled rectangle of one size, within the picture, that touches its box and covers none of it."""
    picture = draw(gray(), [box], [0], NAMES)
    rows, columns = np.nonzero(caption_pixels(picture, [box]))
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    assert len(rows) == (bottom - top) * (right - left)
    assert (bottom - top, right - left) == pictures._caption("pedestrian", COLOURS["detection"], 0.4).shape[:2]
    assert max(left - box[2], box[0] - right, top - box[3], box[1] - bottom) == 0
    x1, y1, x2, y2 = box
    assert np.array_equal(picture[y1:y2, x1:x2], draw(gray(), [box])[y1:y2, x1:x2])


def test_a_box_that_fills_the_image_has_its_caption_within():
    plain, named = draw(gray(), [[0, 0, 400, 300]]), draw(gray(), [[0, 0, 400, 300]], [2], NAMES)
    height, width = pictures._caption("car", COLOURS["detection"], 0.4).shape[:2]
    rows, columns = np.nonzero((plain != named).any(-1))
    assert rows.min() > 1 and columns.min() > 1 and rows.max() < height + 5 and columns.max() < width + 5


@pytest.mark.parametrize("seed", range(5))
def test_captions_hide_no_small_box_and_no_caption(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    corners, sizes = rng.integers(0, 360, (25, 2)) * [1, 0.7], rng.integers(4, 60, (25, 2))
    boxes = np.hstack([corners, corners + sizes]).astype(int).clip(0, [400, 300, 400, 300])
    places = []
    place = pictures._place
    monkeypatch.setattr(pictures, "_place", lambda *given: places.append(place(*given)) or places[-1])
    draw(gray(), boxes, rng.integers(0, 4, 25), NAMES)
    taken = [tuple(map(int, p)) for p in places if p is not None]
    assert len(places) == 25 and len(taken) >= 15
    drawn = np.zeros((300, 400), int)
    for left, top, right, bottom in taken:
        assert 0 <= left < right <= 400 and 0 <= top < bottom <= 300
        drawn[top:bottom, left:right] += 1
    assert drawn.max() == 1
    for left, top, right, bottom in boxes:
        for x1, y1, x2, y2 in taken:
            shared = max(0, min(x2, right) - max(x1, left)) * max(0, min(y2, bottom) - max(y1, top))
            assert shared <= 0.2 * (right - left) * (bottom - top)


def test_captions_are_not_cut():
    """The outermost pixels of a caption are background, so no letter reaches the border of its patch."""
    for name in (*NAMES, "jumping dog", "W", "vélo"):
        for scale in (0.4, 0.64, 1.0):
            patch = pictures._caption(name, COLOURS["false_negative"], scale)
            plain = is_colour(patch, "false_negative")
            assert plain[:, 0].all() and plain[:, -1].all() and plain[0].all() and plain[-1].all() and not plain.all()


def test_annotated():
    """Truth without a detection, a right detection, an estimated false positive and an estimated false negative."""
    truth = (np.array([[20, 100, 80, 200], [300, 100, 380, 160.0]]), [0, 2])
    found = (np.array([[22, 102, 82, 202], [150, 20, 220, 80.0]]), [0, 1])
    picture = annotated(gray(), truth, found, [False, True], (np.array([[302, 104, 384, 164.0]]), [2]), NAMES)
    image, legend = picture[:300], picture[300:]
    assert legend.shape[1] == 400 and 15 < len(legend) < 70
    for kind in COLOURS:
        assert is_colour(legend, kind).sum() > 20
    assert is_colour(image, "detection")[202 - 1, 22:82].mean() > 0.9
    assert is_colour(image, "false_positive")[20, 150:220].all()
    assert is_colour(image, "false_negative")[163, 302:384].all()
    assert is_colour(image, "truth")[199, 20:80].mean() > 0.3
    assert not is_colour(image, "detection")[:120, 140:230].any()  # purple instead of red, not over it
    # the detections are named, so the true boxes beneath are not: no filled yellow
    assert is_colour(image, "truth")[:98].sum() == 0
    no_error = annotated(gray(), truth, found, [False, False], (np.zeros((0, 4)), []), NAMES)[:300]
    assert not is_colour(no_error, "false_positive").any() and not is_colour(no_error, "false_negative").any()
    # nothing is drawn on the missed one now, so it gets its own caption
    assert is_colour(no_error, "truth")[80:100, 300:380].sum() > 100


def test_annotated_without_boxes():
    none = (np.zeros((0, 4)), np.zeros(0, np.int64))
    picture = annotated(gray(120, 160), none, none, np.zeros(0, bool), none, NAMES)
    assert picture.dtype == np.uint8 and picture.shape[1] == 480 and picture.shape[0] > 375
    assert not changed(picture[:360]).any()


@pytest.mark.parametrize(
    ("height", "width"), [(40, 30), (300, 290), (300, 400), (300, 900), (1080, 1920), (1920, 1080)]
)
def test_the_legend_fits(height, width):
    none = (np.zeros((0, 4)), [])
    picture = annotated(gray(height, width), none, none, [], none, NAMES)
    legend = picture[height * (picture.shape[1] // width) :]
    dark = (legend == pictures.DARK).all(-1)
    assert dark[:, -3:].all() and dark[:, :3].all() and dark[-1].all()
    assert all(is_colour(legend, kind).any() for kind in COLOURS)


def test_contact_sheet():
    images = [np.full((50, 70, 3), 10 * i, np.uint8) for i in range(1, 6)]
    sheet = contact_sheet(images, ["a", "b", "c", "", "e"], 3)
    gap = pictures.GAP
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 3 * 70 + 4 * gap
    height = (sheet.shape[0] - gap) // 2
    for i, image in enumerate(images):
        top, left = gap + i // 3 * height, gap + i % 3 * (70 + gap)
        assert np.array_equal(sheet[top : top + 50, left : left + 70], image)
        text = sheet[top + 50 : top + height, left : left + 70]
        assert (text < 128).any() == (i != 3)
    assert contact_sheet(images[:2], ["a", "b"], 8).shape[1] == 2 * 70 + 3 * gap
    with pytest.raises(ValueError, match="5 pictures, 1 captions"):
        contact_sheet(images, ["a"], 3)
    with pytest.raises(ValueError, match="0 pictures"):
        contact_sheet([], [], 3)


def test_contact_sheet_of_different_sizes_and_long_captions():
    images = [gray(40, 60), gray(60, 100), gray(20, 100)]
    captions = ["video_0001_with_a_name_without_spaces, frame 12", "winter " * 30, "short"]
    sheet = contact_sheet(images, captions, 3)
    gap, white = pictures.GAP, (sheet == 255).all(-1)
    for column in range(4):  # the gaps between the cells stay white: no text runs out of its cell
        left = column * (100 + gap)
        assert white[:, left : left + gap].all()
    assert white[:gap].all() and white[-gap:].all()
    assert np.array_equal(sheet[gap + 10 : gap + 50, gap + 20 : gap + 80], images[0])
    lines = pictures._lines(captions[1], 100, 0.4)
    assert len(lines) == 3 and lines[-1].endswith("...")
    assert pictures._lines(captions[0], 100, 0.4)[0].endswith("...")


def test_png(tmp_path):
    picture = moving(1)[0]
    write_png(tmp_path / "new" / "a.png", picture)
    write_png(tmp_path / "new" / "b.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), picture)  # RGB, not BGR
    assert (tmp_path / "new" / "a.png").read_bytes() == (tmp_path / "new" / "b.png").read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]


def test_gif(tmp_path):
    frames = moving()
    write_gif(tmp_path / "a.gif", iter(frames), fps=25)
    write_gif(tmp_path / "b.gif", frames, fps=25)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 6 and gif.info["loop"] == 0
        for i, frame in enumerate(frames):
            gif.seek(i)
            shown = np.asarray(gif.convert("RGB"))
            assert gif.info["duration"] == 40 and shown.shape == frame.shape
            assert is_colour(shown, "truth")[is_colour(frame, "truth")].all()
            assert np.abs(shown.astype(int) - frame).mean() < 12
    write_gif(tmp_path / "still.gif", [frames[0]] * 3, fps=10)
    with Image.open(tmp_path / "still.gif") as gif:
        assert gif.n_frames == 1


def test_gif_keeps_the_colours_of_a_rare_box(tmp_path):
    rng = np.random.default_rng(1)
    frames = [cv2.resize(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8), (400, 300)) for _ in range(40)]
    frames[1] = draw(frames[1], [[100, 100, 120, 120]], colour=COLOURS["false_positive"])
    write_gif(tmp_path / "a.gif", frames, fps=5)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 40
        gif.seek(1)
        assert is_colour(np.asarray(gif.convert("RGB")), "false_positive").sum() >= 4 * 2 * 18


def test_a_failed_gif_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        write_gif(tmp_path / "a.gif", [], 25)
    with pytest.raises(ValueError, match="sizes"):
        write_gif(tmp_path / "a.gif", [gray(60, 80), gray(60, 82)], 25)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_gif_keeps_the_old_one(tmp_path):
    write_gif(tmp_path / "a.gif", moving(2), 25)
    before = (tmp_path / "a.gif").read_bytes()
    with pytest.raises(ValueError, match="sizes"):
        write_gif(tmp_path / "a.gif", [*moving(2), gray(10, 10)], 25)
    assert (tmp_path / "a.gif").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
