"""Polygons and run lengths of LabelMe and COCO become the masks that these tools paint; every mistake is one sentence."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as of_coco
from test_segmentation import read

from dagal.datasets import polygons
from dagal.errors import UserError

SIZE = (32, 40)
OUTER, INNER = [[4, 5], [30, 5], [30, 25], [4, 25]], [[10, 10], [20, 12], [12, 20]]


def number(label, where):
    return ["sky", "car"].index(label)


def labelme_file(shapes, **changes) -> dict:
    return {"imageHeight": SIZE[0], "imageWidth": SIZE[1], "shapes": shapes} | changes


def shape(label, points, kind="polygon") -> dict:
    return {"label": label, "points": points, "shape_type": kind}


def coco_file(names, annotations, **changes) -> dict:
    images = [{"id": k, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for k, name in enumerate(names, 7)]
    categories = [{"id": 3, "name": "sky"}, {"id": 5, "name": "car"}]
    return {"images": images, "annotations": annotations, "categories": categories} | changes


def flat(points) -> list:
    return [value for point in points for value in point]


def place_of(path, masks: dict, names=("train_0", "train_1", "test_0"), table="name\nsky\ncar\nunused\n"):
    for name in names:
        file = path / "images" / name.partition("_")[0] / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(file)
    for name, content in masks.items():
        file = path / "masks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    (path / "classes.csv").write_text(table)
    return path


def painted(shapes, empty=255):
    image = Image.new("L", SIZE[::-1], empty)
    for label, points in shapes:
        ImageDraw.Draw(image).polygon([tuple(point) for point in points], fill=label, outline=label)
    return np.asarray(image)


def test_labelme_is_painted_in_the_order_of_the_file(tmp_path):
    shapes = [shape("sky", OUTER), shape("car", INNER)]
    box = [shape("car", [[2.0, 3.0], [8.0, 9.0]], "rectangle")]
    files = {"train/train_0.json": shapes, "train/train_1.json": shapes[::-1], "test/test_0.json": box}
    place = place_of(tmp_path, {name: labelme_file(of) for name, of in files.items()})
    _, split, _, masks, names = read(place)
    assert split.tolist() == [0, 0, 1] and names == ["sky", "car", "unused"]
    np.testing.assert_array_equal(masks[0], painted([(0, OUTER), (1, INNER)]))
    np.testing.assert_array_equal(masks[1], painted([(0, OUTER)]))  # the later one lies over all of it
    corner = np.full(SIZE, 255)
    corner[3:10, 2:9] = 1
    np.testing.assert_array_equal(masks[2], corner)


def test_what_no_polygon_covers_is_background_where_there_is_such_a_class(tmp_path):
    files = {f"{name.partition('_')[0]}/{name}.json": labelme_file([shape("car", INNER), shape("Void", OUTER[:3])]) for name in ("train_0", "train_1", "test_0")}  # fmt: skip
    masks, names = read(place_of(tmp_path, files, table="name\ncar\nbackground\n"))[3:]
    assert names == ["car", "background"]
    np.testing.assert_array_equal(masks[0], painted([(0, INNER), (255, OUTER[:3])], empty=1))


def test_coco_polygons_and_run_lengths(tmp_path):
    rng = np.random.default_rng(0)
    ring = np.zeros(SIZE, np.uint8)
    ring[8:24, 10:30], ring[12:16, 14:20] = 1, 0  # a hole, which polygons cannot have
    noise = rng.integers(0, 2, SIZE).astype(np.uint8)
    compressed = [of_coco.encode(np.asfortranarray(mask)) for mask in (ring, noise)]
    as_text = [{"size": list(SIZE), "counts": rle["counts"].decode()} for rle in compressed]
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[2], ring.T.ravel(), [2]]))))
    plain = {"size": list(SIZE), "counts": runs.tolist()}
    annotations = [
        {"image_id": 7, "category_id": 3, "segmentation": [flat(OUTER), flat([[33, 2], [39, 2], [36, 9.5]])]},
        {"image_id": 8, "category_id": 5, "segmentation": as_text[1]},
        {"image_id": 7, "category_id": 5, "segmentation": plain, "iscrowd": 1},
        {"image_id": 9, "category_id": 5, "segmentation": as_text[0]},
    ]
    names = ["train_0.png", "train/train_1.png", "images/test/test_0.png"]
    masks = read(place_of(tmp_path, {"instances_default.json": coco_file(names, annotations)}))[3]
    expected = np.full(SIZE, 255)
    both = of_coco.frPyObjects(annotations[0]["segmentation"], *SIZE)
    expected[of_coco.decode(of_coco.merge(both)) == 1] = 0
    expected[ring == 1] = 1
    np.testing.assert_array_equal(masks[0], expected)
    np.testing.assert_array_equal(masks[1], np.where(noise, 1, 255))
    np.testing.assert_array_equal(masks[2], np.where(ring, 1, 255))


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_are_those_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 60, 2).tolist())
    mask = (rng.random(size) < rng.random()).astype(np.uint8)
    found = of_coco.encode(np.asfortranarray(mask))
    rle = {"size": list(size), "counts": found["counts"].decode()}
    np.testing.assert_array_equal(polygons.run_lengths(rle, "here", size), mask)


LABELME, COCO = "train/train_0.json", "instances.json"
NAMES = ["train_0.png", "train_1.png", "test_0.png"]
SEGMENTATION = {"image_id": 7, "category_id": 3, "segmentation": [flat(OUTER)]}


def annotated(**changes) -> dict:
    return {COCO: coco_file(NAMES, [SEGMENTATION, SEGMENTATION | changes])}


WRONG = {
    "no JSON": ({LABELME: "{"}, "train_0.json is not JSON"),
    "other JSON": ({LABELME: {"a": 1}}, "train_0.json is neither of LabelMe"),
    "other size": ({LABELME: labelme_file([], imageWidth=41)}, "train_0.json is for an image of 32 x 41 pixels and its image has 32 x 40"),
    "line": ({LABELME: labelme_file([shape("sky", OUTER), shape("car", OUTER, "line")])}, "shape 2, is of type 'line'"),
    "two points": ({LABELME: labelme_file([shape("car", OUTER[:2])])}, "shape 1, has no 3 points"),
    "no number": ({LABELME: labelme_file([shape("car", [[1, 2], [3, "x"], [4, 5]])])}, "shape 1, has no 3 points"),
    "not finite": ({LABELME: labelme_file([shape("car", [[1, 2], [3, float("nan")], [4, 5]])])}, "shape 1, has no 3 points"),
    "no shape": ({LABELME: labelme_file([4])}, "shape 1, is no shape"),
    "class": ({LABELME: labelme_file([shape("tree", OUTER)])}, "shape 1, is of class 'tree', which the table"),
    "of no image": ({"train/train_9.json": labelme_file([])}, r"no image for 1 mask \(masks/train/train_9.json\)"),
    "missing": ({COCO: coco_file(NAMES[:2], [])}, r"no mask for 1 image \(images/test/test_0.png\)"),
    "unknown image": ({COCO: coco_file([*NAMES, "x.png"], [])}, "a record of 'x.png', which is the end of the path of none of the images"),
    "image twice": ({COCO: coco_file([*NAMES, NAMES[0]], [])}, "a record of 'train_0.png', which is the end of the path of two"),
    "id twice": ({COCO: coco_file(NAMES, [], images=[{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}])}, "image 2, has the id 1"),
    "no id": ({COCO: coco_file(NAMES, [], images=[{"file_name": "a"}])}, "image 1, needs an id"),
    "image of annotation": (annotated(image_id=99), "annotation 2, is of an image that"),
    "category": (annotated(category_id=99), "annotation 2, is of a category that"),
    "no segmentation": (annotated(segmentation=None), "annotation 2, has neither polygons nor run lengths"),
    "odd polygon": (annotated(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "annotation 2, has no 3 points"),
    "too many runs": (annotated(segmentation={"size": list(SIZE), "counts": [5, 9999]}), "annotation 2, has run lengths that do not fit"),
    "other runs": (annotated(segmentation={"size": [40, 32], "counts": [1280]}), "annotation 2, has run lengths that do not fit"),
    "cut runs": (annotated(segmentation={"size": list(SIZE), "counts": "PPPP"}), "annotation 2, has run lengths that do not fit"),
    "coco of other size": ({COCO: coco_file(NAMES, [], images=[{"id": 7 + k, "file_name": name, "height": 33} for k, name in enumerate(NAMES)])}, "train_0.png with 33 x 40 pixels, and it has 32 x 40"),
    "two masks": ({LABELME: labelme_file([]), COCO: coco_file(NAMES, [])}, "train_0.json and masks/instances.json, two masks for one image"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_sentence(name, tmp_path):
    masks, said = WRONG[name]
    others = {} if COCO in masks else {f"{part}/{one}.json": labelme_file([]) for part, one in (("train", "train_1"), ("test", "test_0"))}  # fmt: skip
    if name == "of no image":
        others[LABELME] = labelme_file([])
    with pytest.raises(UserError, match=said) as told:
        read(place_of(tmp_path, others | masks))
    assert "\n" not in str(told.value)


def test_corners_outside_are_moved_to_the_border():
    far = [[-1e9, -1e9], [1e12, -5], [1e12, 1e12], [-5, 1e12]]
    assert polygons.labelme(labelme_file([shape("car", far)]), "x", SIZE, number, 255).all()
    assert polygons.area([flat(far)], "x", SIZE).all()
