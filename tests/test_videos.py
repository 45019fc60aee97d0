"""Video loaders, on miniatures in the published layouts and on CamVid where it is at hand."""

import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dagal import artifacts, pace
from dagal.datasets import source as sources
from dagal.datasets import videos
from dagal.errors import UserError

CAMVID = Path(__file__).resolve().parents[2] / "shared" / "data" / "camvid-400x300.tar"
ORIGIN = artifacts.provenance("dataset", {})
ARRAYS = ("video_N", "frame_N", "split_N", "boxes_M_4", "box_labels_M", "tracks_M", "offsets_N")


def settings_for(place, **settings):
    """Strict, so that each mistake shows; tests on what is skipped set another share."""
    known = {"path": str(place), "name": "made_up", "test_fraction": None, "classes": None, "bad_records": 0}
    known |= {"group_pattern": None, "split_by": "video", "gap": 10, "unlisted": "leave_out", "rotated": "enclose"}
    return known | dict.fromkeys(("crowd", "ignored"), "leave_out") | {"invisible": "keep"} | settings


def paint(path, grey, size=(8, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*size, 3), grey, np.uint8))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def film(path, greys, size=(48, 64)):
    """A video file; frames are grey values or BGR images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = "mp4v" if path.suffix == ".mp4" else "MJPG"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, size[::-1])
    assert writer.isOpened()
    for grey in greys:
        writer.write(np.broadcast_to(grey, (*size, 3)).astype(np.uint8))
    writer.release()


def greys(source):
    """Mean grey value of each row of a source, all rows once."""
    found = {}
    for row, image in source.frames:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and row not in found
        found[row] = image.mean()
    assert sorted(found) == list(range(len(source.video_N)))
    return [found[row] for row in sorted(found)]


def listed(source):
    """[(video, frame, split, [(class, track, *box)])], after the promises of VideoSource are checked."""
    for name, kind in zip(ARRAYS, "iiufiii", strict=True):
        assert getattr(source, name).dtype.kind == kind
    assert source.boxes_M_4.dtype == np.float32 and source.split_N.dtype == np.uint8
    assert source.video_N.dtype == source.frame_N.dtype == source.offsets_N.dtype == np.int64
    n, m = len(source.video_N), len(source.boxes_M_4)
    assert len(source.frame_N) == len(source.split_N) == n and source.offsets_N.shape == (n + 1,)
    assert source.offsets_N[0] == 0 and source.offsets_N[-1] == m and (np.diff(source.offsets_N) >= 0).all()
    assert source.boxes_M_4.shape == (m, 4) and len(source.box_labels_M) == len(source.tracks_M) == m
    assert (np.diff(source.split_N.astype(int)) >= 0).all() and set(source.split_N) == {0, 1}
    assert set(np.diff(source.video_N)) <= {0, 1} and source.video_N[-1] == len(source.video_names) - 1
    assert (np.diff(source.frame_N)[np.diff(source.video_N) == 0] > 0).all()
    rows = []
    for i in range(n):
        part = range(source.offsets_N[i], source.offsets_N[i + 1])
        objects = [
            (source.class_names[source.box_labels_M[m]], int(source.tracks_M[m]), *source.boxes_M_4[m].tolist())
            for m in part
        ]
        name = source.video_names[source.video_N[i]]
        rows.append((name, int(source.frame_N[i]), int(source.split_N[i]), objects))
    return rows


def refused(call, *words):
    """One sentence with the words, that says what to do."""
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and ":" in message, message
    for word in words:
        assert str(word) in message, message


def drain(source):
    for _ in source.frames:
        pass


def prepared(source, out, **settings):
    """images, video, frame, split, boxes, labels, tracks, offsets as stored."""
    settings = settings_for("made up", bad_records=1, **settings)
    videos.prepare_videos(source, settings, out / "images.h5", out / "truth.h5", ORIGIN)
    assert [
        name.decode() for name in artifacts.read(out / "images.h5", "images", "video_names")[0]
    ] == source.video_names
    assert list(artifacts.attributes(out / "truth.h5", "truth")["class_names"]) == source.class_names
    images = artifacts.read(out / "images.h5", "images", "images", "video", "frame", "split")
    truth = artifacts.read(out / "truth.h5", "truth", "boxes", "box_labels", "tracks", "offsets")
    assert [values.dtype.name for values in images] == ["uint8", "int64", "int64", "uint8"]
    assert [values.dtype.name for values in truth] == ["float32", "int64", "int64", "int64"]
    return *images, *truth


# ---- ImageNet-VID

CAR, BICYCLE, MOTORCYCLE, DOG = "n02958343", "n02834778", "n03790512", "n02084071"


def voc(*objects):
    items = "".join(
        f"<object><trackid>{track}</trackid><name>{name}</name><bndbox><xmax>{x2}</xmax><xmin>{x1}</xmin>"
        f"<ymax>{y2}</ymax><ymin>{y1}</ymin></bndbox><occluded>0</occluded><generated>1</generated></object>"
        for name, track, x1, y1, x2, y2 in objects
    )
    return f"<annotation><folder>a</folder><size><width>12</width><height>8</height></size>{items}</annotation>"


TRAIN = "train/ILSVRC2015_VID_train_0000"


@pytest.fixture
def imagenet(tmp_path):
    """Frames are numbered by their grey value."""
    root = tmp_path / "ILSVRC2015"
    contents = {
        f"{TRAIN}/ILSVRC2015_train_00000000": {
            0: voc((CAR, 0, 1, 2, 5, 6), (BICYCLE, 3, 0, 0, 11, 7)),
            1: voc(),
            2: voc((DOG, 1, 0, 0, 2, 2)),
            4: voc((CAR, 0, 2, 2, 2, 2)),
        },
        f"{TRAIN}/ILSVRC2015_train_00001000": {0: voc((DOG, 0, 1, 1, 2, 2))},
        "train/ILSVRC2015_VID_train_0001/ILSVRC2015_train_00002000": {7: voc((MOTORCYCLE, 0, 1, 1, 2, 3))},
        "val/ILSVRC2015_val_00000000": {0: voc((CAR, 5, 3, 1, 4, 2), (DOG, 6, 0, 0, 1, 1))},
    }
    for video, frames in contents.items():
        for number, text in frames.items():
            write(root / "Annotations" / "VID" / video / f"{number:06}.xml", text)
            paint(root / "Data" / "VID" / video / f"{number:06}.JPEG", 20 + 10 * number)
    paint(root / f"Data/VID/{TRAIN}/ILSVRC2015_train_00000000/000003.JPEG", 99)  # never annotated
    return tmp_path


@pytest.mark.parametrize("place", ["", "ILSVRC2015"])
def test_imagenet_vid_by_hand(imagenet, place):
    source = videos.imagenet_vid(settings_for(imagenet / place))
    assert source.class_names == ["car", "bicycle", "motorcycle"]
    assert listed(source) == [
        ("ILSVRC2015_train_00000000", 0, 0, [("car", 0, 1, 2, 6, 7), ("bicycle", 3, 0, 0, 12, 8)]),
        ("ILSVRC2015_train_00000000", 2, 0, []),
        ("ILSVRC2015_train_00000000", 4, 0, [("car", 0, 2, 2, 3, 3)]),
        ("ILSVRC2015_train_00002000", 7, 0, [("motorcycle", 0, 1, 1, 3, 4)]),
        ("ILSVRC2015_val_00000000", 0, 1, [("car", 5, 3, 1, 5, 3)]),
    ]
    np.testing.assert_allclose(greys(source), [20, 40, 60, 90, 20], atol=2)


def test_imagenet_vid_keeps_only_the_videos_of_the_classes_asked_for(imagenet):
    source = videos.imagenet_vid(settings_for(imagenet, classes=["car"]))
    assert source.class_names == ["car"]
    assert source.video_names == ["ILSVRC2015_train_00000000", "ILSVRC2015_val_00000000"]
    assert listed(source)[0][3] == [("car", 0, 1, 2, 6, 7)]


def test_imagenet_vid_errors(imagenet, tmp_path):
    def load(**settings):
        return drain(videos.imagenet_vid(settings_for(imagenet, **settings)))

    refused(lambda: load(path=str(tmp_path / "nothing")), "nothing", "image-net.org")
    refused(lambda: load(classes=["car", "horse"]), "no class horse", "car, bicycle, motorcycle")
    video = f"{TRAIN}/ILSVRC2015_train_00000000"
    image = imagenet / "ILSVRC2015" / "Data" / "VID" / video / "000002.JPEG"
    image.write_bytes(b"no image")
    refused(load, image, "decoded")
    image.write_bytes(b"")
    refused(load, image, "decoded")
    image.unlink()
    refused(load, image, "missing")
    annotation = imagenet / "ILSVRC2015" / "Annotations" / "VID" / video / "000001.xml"
    for text in ("<annotation><object>", voc((CAR, 0, "x", 1, 2, 2)), "<a><object><name>n02958343</name></object></a>"):
        annotation.write_text(text)
        refused(load, annotation, "unpack")
    for box in ((5, 1, 4, 3), (5, 3, 5, 2), ("nan", 1, 2, 3)):
        annotation.write_text(voc((CAR, 17, *box)))
        refused(load, annotation, "object 17")
    shutil.rmtree(imagenet / "ILSVRC2015" / "Annotations" / "VID" / "val")
    refused(load, "val")


# ---- MOTChallenge


def mot_sequence(folder, rows, n=3, first_grey=0, **info):
    info = {"name": folder.name, "imDir": "img1", "frameRate": 30, "seqLength": n, "imExt": ".jpg"} | info
    write(folder / "seqinfo.ini", "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in info.items()))
    for i in range(1, n + 1):
        paint(folder / "img1" / f"{i:06}.jpg", first_grey + 10 * i)
    if rows is not None:
        write(folder / "gt" / "gt.txt", rows)


@pytest.fixture
def mot(tmp_path):
    root = tmp_path / "MOT17"
    rows = "2,4,1,1,5,4,1,1,0.5\n2,5,3.5,2,5,4.25,1,3,1\n1,4,2,1,5,4,1,1,1\n2,6,1,1,2,2,0,1,1\n3,7,1,1,2,2,1,7,1\n"
    for detector in ("FRCNN", "DPM"):
        mot_sequence(root / "train" / f"MOT17-02-{detector}", rows)
    mot_sequence(root / "train" / "MOT17-10-DPM", "1,1,-3,0,9,2,1,1,1\n\n", n=1, first_grey=100)
    mot_sequence(root / "train" / "MOT17-9", "", n=2, first_grey=50)
    mot_sequence(root / "test" / "MOT17-01-DPM", None)
    return root


@pytest.mark.parametrize("place", ["..", "", "train"])
def test_mot_by_hand(mot, place):
    source = videos.mot(settings_for(mot / place))
    assert source.class_names == ["pedestrian", "car"]
    frames = {
        "MOT17-02": [
            (1, [("pedestrian", 4, 1, 0, 6, 4)]),
            (2, [("pedestrian", 4, 0, 0, 5, 4), ("car", 5, 2.5, 1, 7.5, 5.25)]),
            (3, []),
        ],
        "MOT17-9": [(1, []), (2, [])],
        "MOT17-10": [(1, [("pedestrian", 1, -4, -1, 5, 1)])],
    }
    test = [name for name, _, split, _ in listed(source) if split]
    assert len(set(test)) == 1
    order = [name for name in frames if name not in test] + [test[0]]
    assert source.video_names == order
    assert listed(source) == [(name, i, int(name in test), items) for name in order for i, items in frames[name]]
    first = {"MOT17-02": 0, "MOT17-9": 50, "MOT17-10": 100}
    np.testing.assert_allclose(greys(source), [first[name] + 10 * i for name in order for i, _ in frames[name]], atol=2)


def test_mot_errors(mot, tmp_path):
    def load(**settings):
        return drain(videos.mot(settings_for(mot, **settings)))

    refused(lambda: load(path=str(tmp_path / "nothing")), "nothing", "motchallenge.net")
    refused(lambda: load(classes=["tram"]), "no class tram", "pedestrian, car")
    truth = mot / "train" / "MOT17-9" / "gt" / "gt.txt"
    for line in (
        "1,1,1,1,2,2,1",
        "1,1,1,1,2,2,1,-1,-1,-1",
        "3,1,1,1,2,2,1,1,1",
        "0,1,1,1,2,2,1,1,1",
        "1,inf,1,1,2,2,1,1,1",
    ):
        truth.write_text(f"1,1,1,1,2,2,1,1,1\n{line}\n")
        refused(load, "Line 2", truth)
    for line in ("1,1,1,1,-2,2,1,1,1", "1,1,nan,1,2,2,1,1,1"):
        truth.write_text(line)
        refused(load, "line 1", truth, "no box")
    truth.unlink()
    refused(load, truth, "cannot be read")
    write(mot / "train" / "MOT17-9" / "seqinfo.ini", "[Sequence]\nseqLength=many\n")
    refused(load, "MOT17-9", "seqinfo.ini")
    mot_sequence(mot / "train" / "MOT17-9", "", n=2)
    (mot / "train" / "MOT17-9" / "img1" / "000001.jpg").unlink()
    refused(load, "frame 1 of", "MOT17-9", "missing")
    (mot / "train" / "MOT17-9" / "img1" / "000002.jpg").unlink()
    refused(load, "frames of", "MOT17-9", "missing")


def test_a_mot_folder_with_one_video_has_none_to_test_on(tmp_path):
    mot_sequence(tmp_path / "train" / "A", "1,1,1,1,2,2,1,1,1")
    refused(lambda: videos.mot(settings_for(tmp_path)), "single video")


# ---- COCO JSON


def coco(images, annotations=(), categories=("car", "person"), **more):
    """Images are names or dictionaries, annotations (image position, category position, bbox, more keys)."""
    entries = [
        ({"file_name": image} if isinstance(image, str) else image) | {"id": i} for i, image in enumerate(images, 1)
    ]
    return {
        "images": entries,
        "annotations": [
            {"id": i, "image_id": image + 1, "category_id": category + 1, "bbox": list(box), **keys}
            for i, (image, category, box, keys) in enumerate(annotations, 1)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories, 1)][::-1],
        **more,
    }


@pytest.mark.parametrize(
    "json_name", ["annotations/instances_default.json", "annotations.json", "instances_default.json"]
)
@pytest.mark.parametrize("folder", ["", "images", "images/default"])
def test_cvat_export_by_hand(tmp_path, json_name, folder):
    if folder == "images/default" and json_name == "annotations.json":
        pytest.skip("no subset called default")
    names = ["b/frame_10.png", "b/frame_9.png", "a/frame_000000.png", "a/frame_000001.png"]
    boxes = [
        (0, 0, (1, 2, 3, 4), {"attributes": {"track_id": 7, "occluded": False}}),
        (3, 1, (0, 0, 5.5, 2), {"track_id": 8, "iscrowd": 0}),
        (1, 0, (1, 1, 2, 2), {"instance_id": 9, "attributes": None}),
        (0, 1, (0, 0, 1, 1), {"attributes": {}}),
        (0, 1, (0, 0, 9, 9), {"iscrowd": 1}),
    ]
    write(tmp_path / json_name, coco(names, boxes))
    for grey, name in enumerate(names, 1):
        paint(tmp_path / folder / name, grey)
    source = videos.coco_video(settings_for(tmp_path))
    frames = {
        "a": [(0, 3, []), (1, 4, [("person", 8, 0, 0, 5.5, 2)])],
        "b": [(0, 2, [("car", 9, 1, 1, 3, 3)]), (1, 1, [("car", 7, 1, 2, 4, 6), ("person", -1, 0, 0, 1, 1)])],
    }
    assert source.class_names == ["car", "person"]
    order = source.video_names
    assert sorted(order) == ["a", "b"]
    assert listed(source) == [
        (name, i, split, items) for split, name in enumerate(order) for i, _, items in frames[name]
    ]
    assert greys(source) == [grey for name in order for _, grey, _ in frames[name]]


def test_coco_vid_videos_frame_ids_and_test_part(tmp_path):
    clips = [{"id": 5, "name": "night"}, {"id": 6, "name": "day"}]
    train = [
        {"file_name": "x/1.png", "video_id": 5, "frame_id": 40},
        {"file_name": "x/2.png", "video_id": 5, "frame_id": 4},
        {"file_name": "x/3.png", "video_id": 6, "frame_id": 0},
    ]
    test = [{"file_name": "y/1.png", "video_id": 5, "frame_id": 3}]
    write(tmp_path / "annotations/instances_latest.json", coco(train, [(0, 0, (0, 0, 2, 2), {})], videos=clips))
    write(tmp_path / "annotations/val2017.json", coco(test, [(0, 0, (0, 0, 4, 2), {})], ["bus"], videos=clips))
    for grey, name in enumerate(["x/1.png", "x/2.png", "x/3.png", "y/1.png"]):
        paint(tmp_path / "images" / name, grey)
    source = videos.coco_video(settings_for(tmp_path))
    assert source.class_names == ["car", "person", "bus"]
    assert listed(source) == [
        ("day", 0, 0, []),
        ("train/night", 4, 0, []),
        ("train/night", 40, 0, [("car", -1, 0, 0, 2, 2)]),
        ("test/night", 3, 1, [("bus", -1, 0, 0, 4, 2)]),
    ]
    assert greys(source) == [2, 1, 0, 3]
    # the order of the classes is the one asked for
    source = videos.coco_video(settings_for(tmp_path, classes=["bus", "car"]))
    assert source.class_names == ["bus", "car"] and source.box_labels_M.tolist() == [1, 0]
    assert listed(source)[3][3] == [("bus", -1, 0, 0, 4, 2)]


def many_videos(root, n, start=0):
    names = [f"clip{i}/{j}.png" for i in range(start, start + n) for j in range(2)]
    write(root / "annotations.json", coco(names, [(0, 0, (0, 0, 3, 3), {})]))
    for name in names:
        paint(root / name, 7)
    return names


@pytest.mark.parametrize(("fraction", "expected"), [(None, 4), (0.01, 1), (0.5, 10), (0.99, 19)])
def test_share_of_the_test_videos(tmp_path, fraction, expected):
    many_videos(tmp_path, 20)
    source = videos.coco_video(settings_for(tmp_path, test_fraction=fraction))
    split = dict(zip(source.video_N.tolist(), source.split_N.tolist(), strict=True))
    assert sum(split.values()) == expected
    assert source.split_N.sum() == 2 * expected  # never parts of a video
    test = [source.video_names[video] for video in split if split[video]]
    again = videos.coco_video(settings_for(tmp_path, test_fraction=fraction))
    assert again.video_names == source.video_names
    for names in (test, source.video_names[: 20 - expected]):
        assert names == sorted(names, key=lambda name: int(name[4:]))
    if expected == 4:
        assert test != ["clip16", "clip17", "clip18", "clip19"] and test != ["clip0", "clip1", "clip2", "clip3"]


def test_the_drawn_test_videos_do_not_depend_on_the_order_in_the_json(tmp_path):
    names = many_videos(tmp_path, 9)
    expected = videos.coco_video(settings_for(tmp_path)).video_names
    write(tmp_path / "annotations.json", coco(names[::-1], [(0, 0, (0, 0, 3, 3), {})]))
    assert videos.coco_video(settings_for(tmp_path)).video_names == expected


def test_coco_errors(tmp_path):
    file = tmp_path / "annotations.json"

    def load(**settings):
        return drain(videos.coco_video(settings_for(tmp_path, **settings)))

    refused(load, tmp_path, "annotations.json", "CVAT")
    good = coco(["a/1.png", "b/1.png"], [(0, 0, (0, 0, 3, 3), {})])
    for name in ("a/1.png", "b/1.png"):
        paint(tmp_path / name, 1)
    write(file, good)
    load()
    refused(lambda: load(classes=["tram"]), "tram", "car, person")
    refused(lambda: load(classes=["person"]), "no box", "person")
    bad = [
        "{", "[]", "{}", "null", {**good, "images": [{"id": 1}]}, {**good, "images": [{"id": 1, "file_name": 3}]},
        {**good, "categories": ["car"]}, {**good, "images": good["images"] * 2},
        coco(["a/1.png"], [(5, 0, (0, 0, 1, 1), {})]), coco(["a/1.png"], [(0, 5, (0, 0, 1, 1), {})]),
        coco(["a/1.png"], [(0, 0, (0, 0, 1), {})]), coco(["a/1.png"], [(0, 0, "abcd", {})]),
        coco(["a/1.png"], [(0, 0, (0, 0, 1, 1), {"track_id": "x"})]),
        coco(["a/1.png"], [(0, 0, (0, 0, 1, 1), {"track_id": float("inf")})]),
        coco([{"file_name": "a/1.png", "frame_id": -1}]),
    ]  # fmt: skip
    for data in bad:
        write(file, data)
        refused(load, file, "not JSON" if data == "{" else "not COCO")
    for box in ((0, 0, -1, 2), (0, 0, 2, -1), (float("nan"), 0, 1, 1), (0, 0, float("inf"), 1)):
        write(file, coco(["a/1.png", "b/1.png"], [(0, 0, (0, 0, 1, 1), {}), (0, 0, box, {})]))
        refused(load, file, "annotation 2")
    write(file, coco(["a/1.png", "b/1.png", "b/1.png"]))
    refused(load, "b/1.png", "twice")
    write(file, coco([{"file_name": f"a/{i}.png", "frame_id": 3} for i in range(2)] + ["b/1.png"]))
    refused(load, "Video a", "frames 3")
    write(file, coco([]))
    refused(load, tmp_path, "no videos")
    write(file, coco(["a/1.png"], [(0, 0, (0, 0, 3, 3), {})]))
    refused(load, "single video")
    write(file, coco(["a/1.png", "b/2.png"], [(0, 0, (0, 0, 3, 3), {})]))
    refused(load, "b/2.png", "missing")
    file.unlink()
    write(tmp_path / "annotations" / "test.json", good)
    refused(load, tmp_path, "no training videos")


# ---- folders of videos


def test_video_folder_of_frames_and_films_by_hand(tmp_path):
    film(tmp_path / "drive.mp4", range(0, 250, 25))
    wanted = ["cam2_000004.PNG", "cam2_000009.PNG", "cam2_000001.PNG"]
    write(tmp_path / "drive.json", coco(wanted, [(1, 0, (8, 8, 16, 20), {"track_id": 2})]))
    film(tmp_path / "walk.avi", [200, 100, 0])
    images = [{"file_name": "some.jpg", "frame_id": 2}, {"file_name": "other.jpg", "frame_id": 0}]
    write(tmp_path / "walk.avi.json", coco(images, [(0, 0, (1, 2, 3, 4), {})], ["dog"]))
    for i in range(12):
        paint(tmp_path / "ride" / f"{i}.png", i, (48, 64))
    entries = [f"ride/{i}.png" for i in (11, 2)] + ["elsewhere/1.png"]
    write(tmp_path / "annotations.json", coco(entries, [(0, 1, (4, 4, 4, 4), {}), (2, 0, (0, 0, 1, 1), {})]))
    write(tmp_path / ".hidden" / "x", "")
    write(tmp_path / "notes.txt", "no video")
    source = videos.video_folder(settings_for(tmp_path, test_fraction=0.3))
    frames = {
        "drive.mp4": [(1, 25, []), (4, 100, []), (9, 225, [("car", 2, 8, 8, 24, 28)])],
        "ride": [(0, 2, []), (1, 11, [("person", -1, 4, 4, 8, 8)])],
        "walk.avi": [(0, 200, []), (2, 0, [("dog", -1, 1, 2, 4, 6)])],
    }
    order = source.video_names
    assert sorted(order) == list(frames)
    assert source.class_names == ["car", "person", "dog"]
    rows = listed(source)
    assert rows == [(name, i, int(name == order[-1]), items) for name in order for i, _, items in frames[name]]
    np.testing.assert_allclose(greys(source), [grey for name in order for _, grey, _ in frames[name]], atol=4)


@pytest.mark.parametrize("common", ["annotations.json", "both"])
def test_video_folder_with_train_and_test(tmp_path, common):
    places = ["train/a/1.png", "test/a/1.png", "test/c/1.png"]
    for grey, place in enumerate(places):
        paint(tmp_path / place, grey)
    if common == "both":
        write(tmp_path / "train/annotations.json", coco(["a/1.png"], [(0, 0, (0, 0, 1, 1), {})]))
        write(tmp_path / "test/annotations.json", coco(["a/1.png", "c/1.png"], [(0, 0, (0, 0, 2, 2), {})]))
    else:
        write(tmp_path / common, coco(places, [(0, 0, (0, 0, 1, 1), {}), (1, 0, (0, 0, 2, 2), {})]))
    source = videos.video_folder(settings_for(tmp_path))
    assert listed(source) == [
        ("train/a", 0, 0, [("car", -1, 0, 0, 1, 1)]),
        ("test/a", 0, 1, [("car", -1, 0, 0, 2, 2)]),
        ("c", 0, 1, []),
    ]
    assert greys(source) == [0, 1, 2]


def test_video_folder_errors(tmp_path):
    root = tmp_path / "raw"

    def load(**settings):
        return drain(videos.video_folder(settings_for(root, **settings)))

    refused(load, root, "no folder", "mp4")
    root.mkdir()
    refused(load, root, "no videos")
    for name in ("a", "b"):
        paint(root / name / "1.png", 1)
        write(root / f"{name}.json", coco(["1.png"], [(0, 0, (0, 0, 2, 2), {})]))
    load()
    (root / "b.json").unlink()
    refused(load, root / "b", "no annotations", "true boxes")
    write(root / "annotations.json", coco(["c/1.png"]))
    refused(load, root / "b", "no annotations", "true boxes")
    write(root / "b.json", coco(["2.png"], [(0, 0, (0, 0, 2, 2), {})]))
    refused(load, root / "b" / "2.png", "missing")
    shutil.rmtree(root / "b")
    film(root / "b.mp4", range(0, 100, 10))
    write(root / "b.json", coco(["first.png"]))
    refused(load, "first.png", "no frame number")
    write(root / "b.json", coco([f"{i}.png" for i in range(1, 11)]))
    refused(load, root / "b.mp4", "ends after 10 frames", "frame 10,")


def test_colours_are_rgb(tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 2] = 250  # red in OpenCV's order
    film(tmp_path / "a.mp4", [image])
    film(tmp_path / "b.avi", [image])
    (tmp_path / "c").mkdir()
    cv2.imwrite(str(tmp_path / "c" / "0.png"), image)
    for name in "abc":
        write(tmp_path / f"{name}.json", coco(["0.png"], [(0, 0, (0, 0, 2, 2), {})]))
    for _, found in videos.video_folder(settings_for(tmp_path)).frames:
        assert found[..., 0].min() > 220 and found[..., 1:].max() < 30


@pytest.mark.parametrize("name", ["b.mp4", "b.avi"])
@pytest.mark.parametrize("share", [0, 0.1, 0.6])
def test_a_truncated_film_is_named(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 255, (30, 96, 128, 3), dtype=np.uint8)
    film(tmp_path / name, noise, (96, 128))
    paint(tmp_path / "a" / "0.png", 1)
    write(tmp_path / "a.json", coco(["0.png"], [(0, 0, (0, 0, 2, 2), {})]))
    write(tmp_path / "b.json", coco([f"frame_{i:06}.png" for i in range(30)]))
    drain(videos.video_folder(settings_for(tmp_path)))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    refused(lambda: drain(videos.video_folder(settings_for(tmp_path))), tmp_path / name, "truncated")


# ---- writing


def made_source(sizes, boxes, seed=0, order=None):
    """One video of one frame of noise per size; boxes are (row, x1, y1, x2, y2), rows ascending."""
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    n, boxes = len(sizes), np.array(boxes, dtype=np.float64).reshape(-1, 5)
    order = range(n) if order is None else order
    source = videos.VideoSource(
        class_names=["car", "person"],
        video_names=[f"v{i}" for i in range(n)],
        video_N=np.arange(n),
        frame_N=np.arange(n) * 3,
        split_N=(np.arange(n) == n - 1).astype(np.uint8),
        boxes_M_4=boxes[:, 1:].astype(np.float32),
        box_labels_M=np.arange(len(boxes)) % 2,
        tracks_M=np.arange(len(boxes)) - 1,
        offsets_N=np.searchsorted(boxes[:, 0], np.arange(n + 1)).astype(np.int64),
        frames=((row, images[row]) for row in order),
        declared_N_2=np.full((n, 2), np.nan),
        files=[f"v{i}.png" for i in range(n)],
        orientation_N=np.ones(n, np.uint8),
    )
    return source, images


def test_resizing_by_hand(tmp_path, capsys):
    boxes = [
        (0, 10, 4, 90, 44),  # out of the frame on the right and below
        (0, -6, -2, 4, 1.8),  # 0.9 pixels high in the small frame
        (0, 20, 10, 22, 12),  # exactly a pixel in the small frame
        (0, 100, 4, 120, 9),  # outside
        (1, 1, 2, 3, 6),
    ]
    source, images = made_source([(40, 80), (10, 5)], boxes)
    stored, video, frame, split, boxes, labels, tracks, offsets = prepared(source, tmp_path, height=30, width=40)
    assert stored.shape == (2, 30, 40, 3)
    halved = images[0].reshape(20, 2, 40, 2, 3).astype(float).mean((1, 3))
    assert np.abs(stored[0, :20] - halved).max() <= 0.5 and not stored[0, 20:].any()
    assert stored[1, :, :15].any() and not stored[1, :, 15:].any()
    np.testing.assert_array_equal(boxes, np.array([(5, 2, 40, 20), (10, 5, 11, 6), (3, 6, 9, 18)], np.float32))
    assert labels.tolist() == [0, 0, 0] and tracks.tolist() == [-1, 1, 3] and offsets.tolist() == [0, 2, 3]
    assert video.tolist() == [0, 1] and frame.tolist() == [0, 3] and split.tolist() == [0, 1]
    told = capsys.readouterr().out
    assert "left out 1 of 5 boxes: under one pixel" in told
    assert "left out 1 of 5 records that cannot be used: the box 100 4 120 9 of frame 0 of v0 is outside of it" in told


@pytest.mark.parametrize(("size", "expected"), [({"height": 15}, (15, 30)), ({"width": 40}, (20, 40)), ({}, (30, 60))])
def test_the_size_that_is_not_given_follows_from_the_first_frame(tmp_path, size, expected):
    source, images = made_source([(30, 60), (30, 60)], [(0, 0, 0, 60, 30)])
    settings = {"height": None, "width": None} | size
    stored, *_, boxes, _, _, _ = prepared(source, tmp_path, **settings)
    assert stored.shape == (2, *expected, 3) and boxes.tolist() == [[0, 0, expected[1], expected[0]]]
    if not size:
        np.testing.assert_array_equal(stored, images)


def test_frames_of_different_sizes_need_a_size(tmp_path):
    source, _ = made_source([(30, 60), (30, 58)], [(0, 0, 0, 60, 30)])
    refused(lambda: prepared(source, tmp_path), "30 x 60", "30 x 58", "dataset.height", "dataset.width")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", range(20))
def test_boxes_equal_those_of_a_loop(tmp_path, seed):
    rng = np.random.default_rng(seed)
    sizes = [tuple(rng.integers(4, 60, 2)) for _ in range(rng.integers(2, 7))]
    height, width = rng.integers(4, 60, 2).tolist()
    boxes = []
    for row in range(len(sizes)):
        for _ in range(rng.integers(0, 4)):
            x, y = np.sort(rng.uniform(-10, 70, (2, 2)), axis=1).astype(np.float32)
            boxes.append((row, x[0], y[0], x[1], y[1]))
    source, images = made_source(sizes, boxes, seed)
    stored, *_, found, labels, tracks, offsets = prepared(source, tmp_path, height=height, width=width)
    expected, ids = [[] for _ in sizes], []
    for number, (row, x1, y1, x2, y2) in enumerate(boxes):
        h, w = sizes[row]
        factor = min(height / h, width / w)
        new_w, new_h = max(1, round(w * factor)), max(1, round(h * factor))
        assert new_w <= width and new_h <= height and (new_w == width or new_h == height)
        corners = [min(max(float(v) * new / old, 0), new) for v, new, old in
                   zip((x1, y1, x2, y2), (new_w, new_h) * 2, (w, h) * 2, strict=True)]  # fmt: skip
        if corners[2] - corners[0] >= 0.999 and corners[3] - corners[1] >= 0.999:
            expected[row].append(corners)
            ids.append(number)
        assert not stored[row, new_h:].any() and not stored[row, :, new_w:].any()
    np.testing.assert_allclose(found, np.array(sum(expected, [])).reshape(-1, 4), rtol=1e-5, atol=1e-5)
    assert offsets.tolist() == [sum(map(len, expected[:i])) for i in range(len(sizes) + 1)]
    assert labels.tolist() == [i % 2 for i in ids] and tracks.tolist() == [i - 1 for i in ids]


@pytest.mark.parametrize("batch", [1, 3 * 30 * 40 * 3, 1 << 30])
def test_batches_and_the_order_of_the_frames_do_not_show(tmp_path, monkeypatch, batch):
    boxes = [(0, 1, 1, 9, 9), (5, 2, 3, 20, 21)]
    source, _ = made_source([(30, 40)] * 11, boxes)
    shuffled, _ = made_source([(30, 40)] * 11, boxes, order=np.random.default_rng(1).permutation(11))
    prepared(source, tmp_path / "a", height=30, width=40)
    monkeypatch.setattr(sources, "BATCH_BYTES", batch)
    prepared(shuffled, tmp_path / "b", height=30, width=40)
    for name in ("images.h5", "truth.h5"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_frames_are_streamed(tmp_path, monkeypatch):
    source, _ = made_source([(8, 8)] * 60, [(0, 1, 1, 9, 9)])
    source = replace(source, frames=((i, np.full((400, 400, 3), i, np.uint8)) for i in range(60)))
    monkeypatch.setattr(sources, "BATCH_BYTES", 1 << 20)
    prepare = (source, settings_for("made up"), tmp_path / "images.h5", tmp_path / "truth.h5", ORIGIN)
    tracemalloc.start()
    videos.prepare_videos(*prepare)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20  # all the frames: 29 MB
    (images,) = artifacts.read(tmp_path / "images.h5", "images", "images")
    assert images[:, 7, 7, 1].tolist() == list(range(60))


def test_videos_of_one_frame_and_progress(tmp_path, monkeypatch, capsys):
    many_videos(tmp_path / "raw", 3)
    write(tmp_path / "raw/annotations.json", coco([f"clip{i}/0.png" for i in range(3)], [(1, 0, (0, 0, 3, 3), {})]))
    monkeypatch.setattr(pace, "SECONDS", 0)
    source = videos.coco_video(settings_for(tmp_path / "raw"))
    stored, video, frame, *_ = prepared(source, tmp_path / "out")
    assert stored.shape == (3, 8, 12, 3) and (stored == 7).all()
    assert video.tolist() == [0, 1, 2] and frame.tolist() == [0, 0, 0]
    assert "2 of 3 frames, " in capsys.readouterr().out


def test_nothing_is_left_behind_by_an_unreadable_frame(tmp_path):
    many_videos(tmp_path / "raw", 3)
    (tmp_path / "raw" / "clip1" / "1.png").write_bytes(b"\x89PNG")
    refused(lambda: prepared(videos.coco_video(settings_for(tmp_path / "raw")), tmp_path / "out"), "clip1/1.png")
    assert not list((tmp_path / "out").iterdir())


# ---- CamVid

needs_camvid = pytest.mark.skipif(not CAMVID.exists(), reason="../shared/data/camvid-400x300.tar is not there")


def first_frames(source, n):
    return [next(source.frames) for _ in range(n)]


@needs_camvid
@pytest.mark.parametrize("place", [CAMVID, CAMVID.parent])
def test_camvid(place):
    source = videos.camvid(settings_for(place))
    assert source.class_names == ["car", "pedestrian", "bicyclist"]
    names = ["train/0001TP", "train/0006R0", "train/0016E5", "val/0016E5", "test/0001TP", "test/Seq05VD"]
    assert source.video_names == names
    assert np.bincount(source.video_N).tolist() == [62, 101, 204, 101, 62, 171]
    assert source.split_N.sum() == 233 and len(source.boxes_M_4) == 3707
    assert np.bincount(source.box_labels_M).tolist() == [1601, 1622, 484]
    assert (np.diff(source.offsets_N) > 0).sum() == 696 and (source.tracks_M == -1).all()
    assert source.boxes_M_4.min() >= 0 and (source.boxes_M_4.max(0) <= [400, 300, 400, 300]).all()
    rows = listed(source)
    assert rows[0][:2] == ("train/0001TP", 6690) and len(rows[0][3]) == 3
    assert rows[0][3][0] == ("car", -1, *np.float32([153.33, 100, 400, 275]).tolist())
    for row, image in first_frames(source, 3):
        assert image.shape == (300, 400, 3) and source.video_names[source.video_N[row]] == "test/0001TP"


@needs_camvid
def test_camvid_boxes_lie_on_the_pixels_of_their_class(tmp_path):
    """The boxes were derived from the masks, so a shifted or swapped box shows."""
    shutil.unpack_archive(CAMVID, tmp_path, filter="data")
    source = videos.camvid(settings_for(tmp_path))
    packed = videos.camvid(settings_for(CAMVID))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(source, name), getattr(packed, name))
    images = dict(first_frames(source, 5)), dict(first_frames(packed, 5))
    assert images[0].keys() == images[1].keys()
    assert all(np.array_equal(images[0][row], images[1][row]) for row in images[0])
    lines = [line.split() for line in (tmp_path / "camvid" / "classes.txt").read_text().splitlines()]
    number = {name.lower(): int(i) for i, name in lines}
    for row in range(0, 701, 70):
        part, sequence = source.video_names[source.video_N[row]].split("/")
        masks = (tmp_path / "camvid" / "masks" / part).glob(f"{sequence}_*.png")
        file = next(file for file in masks if int(file.stem.split("_")[1].strip("f")) == source.frame_N[row])
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        for name, _, *box in listed(source)[row][3]:
            x1, y1, x2, y2 = np.rint(box).astype(int)
            assert (mask[y1:y2, x1:x2] == number[name]).mean() > 0.2


def test_camvid_errors(tmp_path):
    def load(path=tmp_path):
        return drain(videos.camvid(settings_for(path)))

    refused(load, tmp_path, "camvid-400x300.tar")
    broken = tmp_path / "camvid-400x300.tar"
    broken.write_bytes(b"x" * 2000)
    refused(load, broken, "read to its end")
    broken.unlink()
    write(tmp_path / "frames.csv", "split,seq,frame,number,n_boxes\ntrain,A,A_1,1,1\ntest,B,B_1,1,0\n")
    refused(load, tmp_path, "boxes.csv")
    head = "split,seq,frame,class,x1,y1,x2,y2\n"
    write(tmp_path / "boxes.csv", head + "train,A,A_9,car,1,1,2,2\n")
    refused(load, tmp_path, "A_9")
    write(tmp_path / "boxes.csv", head + "train,A,A_1,car,1,1,2,2\ntrain,A,A_1,car,3,1,2,2\n")
    refused(load, "line 3 of boxes.csv", "no box")
    write(tmp_path / "boxes.csv", head + "train,A,A_1,car,1,1,2,2\n")
    paint(tmp_path / "images" / "train" / "A_1.jpg", 5)
    refused(load, "B_1.jpg", "missing")
    paint(tmp_path / "images" / "test" / "B_1.jpg", 5)
    load()


def test_more_videos_than_an_attribute_holds_names(tmp_path):
    source, _ = made_source([(3, 3)] * 4200, [(0, 0, 0, 3, 3)])
    stored, video, *_ = prepared(source, tmp_path)
    assert len(stored) == 4200 and np.array_equal(video, np.arange(4200))
