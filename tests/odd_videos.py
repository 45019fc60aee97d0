"""Odd but real input of the loaders of videos and camera traps, built from scratch, and what each should become.

`CASES` holds (name, function that builds it in a folder and returns the `dataset` of a study, expected outcome in words). A
frame is dark with a bright object where its box should end up, so that boxes can be compared with pixels.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = (64, 48)  # width, height of the frames
BOX = (8, 12, 28, 20)  # x1 y1 x2 y2 of the object
N = 12  # frames of a video


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[Path], dict]
    expected: str


CASES: list[Case] = []


def case(expected: str, **options):
    """Add a function to `CASES`, under its name and what tells it from others of the name."""

    def add(build):
        name = "_".join([build.__name__, *map(str, options.values())])
        CASES.append(Case(name, lambda folder: build(folder, **options), expected))
        return build

    return add


def picture(path: Path, box=BOX, size=SIZE, exif: int = 1) -> None:
    """A dark image file with a bright object; ``exif`` is the orientation that it is stored with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, (20, 20, 20))
    image.paste((230, 230, 230), tuple(box))
    about = Image.Exif()
    if exif != 1:
        about[0x0112] = exif
    image.save(path, exif=about, **({"quality": 95} if path.suffix == ".jpg" else {}))


def film(path: Path, n: int = N, box=BOX, size=SIZE, degrees: int = 0) -> None:
    """A video file whose frames get brighter; ``degrees`` is by how much a player turns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = "mp4v" if path.suffix in (".mp4", ".mov", ".m4v") else "MJPG"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, size)
    assert writer.isOpened(), path
    x1, y1, x2, y2 = box
    for i in range(n):
        image = np.full((size[1], size[0], 3), 5 * i, np.uint8)
        image[y1:y2, x1:x2] = 230
        writer.write(image)
    writer.release()
    if degrees:
        data, one = bytearray(path.read_bytes()), 1 << 16
        place = data.index(b"tkhd") + 4 + 40  # the matrix of the track's header
        turn = {90: (0, one, 0, -one, 0, 0), 180: (-one, 0, 0, 0, -one, 0), 270: (0, -one, 0, one, 0, 0)}[degrees]
        data[place : place + 24] = b"".join(value.to_bytes(4, "big", signed=True) for value in turn)
        path.write_bytes(data)


def xywh(box=BOX) -> list:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def write(path: Path, data) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


def coco(names: list, box=None, size=SIZE, categories=("car", "person")) -> dict:
    """COCO JSON in which every image has one car in ``box`` (x y width height)."""
    box = xywh() if box is None else box
    about = {} if size is None else {"width": size[0], "height": size[1]}
    return {
        "images": [{"id": i, "file_name": name, **about} for i, name in enumerate(names)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": list(box)} for i in range(len(names))],
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories, 1)],
    }


def two_videos(folder: Path, change=lambda data: None, size=SIZE, box=None, ending="png", **of_pictures) -> dict:
    """Frames of two videos with COCO JSON, changed."""
    names = [f"{video}/{i:03}.{ending}" for video in "ab" for i in range(N)]
    for name in names:
        picture(folder / name, **of_pictures)
    data = coco(names, box, size)
    change(data)
    write(folder / "annotations.json", data)
    return {"name": "odd", "loader": "coco_video", "path": str(folder)}


# ---- sizes, EXIF


@case("boxes halved: the JSON is for 128 x 96, the frames are 64 x 48")
def declared_size_of_the_originals(folder):
    return two_videos(folder, size=(128, 96), box=[2 * value for value in xywh()])


@case("refused: the JSON is for 128 x 128, the frames are 64 x 48, which is another shape")
def declared_size_of_another_shape(folder):
    return two_videos(folder, size=(128, 128))


@case("the boxes of the one frame are left out, which is in neither part; the others are read")
def declared_size_of_another_shape_once(folder):
    return two_videos(folder, lambda data: data["images"][0].update(width=128, height=128))


@case("refused: all boxes are outside of their frames, whose sizes the JSON does not tell")
def all_boxes_outside(folder):
    return two_videos(folder, size=None, box=[200, 100, 20, 20])


for _orientation in range(1, 9):

    @case("boxes turned as the pixels by EXIF", exif=_orientation)
    def exif_of_stored_boxes(folder, exif):
        return two_videos(folder, exif=exif, ending="jpg")


for _orientation in (5, 6, 7, 8):

    @case("boxes as they are: the JSON declares the size that is shown", exif=_orientation)
    def exif_of_shown_boxes(folder, exif):
        """The object is drawn as it is shown and stored turned."""
        settings = two_videos(folder, size=SIZE, ending="jpg")
        for file in folder.glob("*/*.jpg"):
            image = Image.open(file)
            back = {5: 5, 6: 2, 7: 6, 8: 4}[exif]  # transpose, rotate 90, transverse, rotate 270
            about = Image.Exif()
            about[0x0112] = exif
            image.transpose(Image.Transpose(back)).save(file, exif=about, quality=95)
        return settings


@case("boxes are those of the pixels: bbox_relative is in shares of the frame")
def relative_boxes(folder):
    def change(data):
        for item in data["annotations"]:
            x, y, width, height = item.pop("bbox")
            item["bbox_relative"] = [x / SIZE[0], y / SIZE[1], width / SIZE[0], height / SIZE[1]]

    return two_videos(folder, change, size=None)


for _degrees in (90, 180, 270):

    @case("boxes turned as the video file asks to be", degrees=_degrees)
    def turned_video_file(folder, degrees):
        for name in "ab":
            film(folder / f"{name}.mp4", degrees=degrees)
            write(folder / f"{name}.json", coco([f"{i:03}.png" for i in range(N)]))
        return {"name": "odd", "loader": "video_folder", "path": str(folder)}


# ---- marked boxes


def marked(folder, marks: dict, **settings) -> dict:
    """The first video's first frame has a second box, with marks."""

    def change(data):
        data["annotations"].append({"id": 99, "image_id": 0, "category_id": 2, "bbox": [40, 30, 10, 4], **marks})

    return two_videos(folder, change) | settings


@case("left out and counted: iscrowd 1")
def crowd_box(folder):
    return marked(folder, {"iscrowd": 1})


@case("left out and counted: ignore 1")
def ignored_box(folder):
    return marked(folder, {"ignore": 1})


@case("kept and counted: visibility 0")
def invisible_box(folder):
    return marked(folder, {"attributes": {"visibility": 0}})


@case("the upright box around a 10 x 4 one that is turned by 90 degrees: 4 x 10")
def rotated_box(folder):
    return marked(folder, {"attributes": {"rotation": 90.0}})


@case("all four kept as dataset.crowd and the like say, or left out")
def marked_boxes_otherwise(folder):
    marks = {"iscrowd": 1, "ignore": 1, "visibility": 0}
    return marked(folder, marks, crowd="keep", ignored="keep", invisible="keep")


# ---- odd records

ODD = {
    "unknown_category": lambda data: data["annotations"][0].update(category_id=77),
    "empty_bbox": lambda data: data["annotations"][0].update(bbox=[]),
    "text_in_bbox": lambda data: data["annotations"][0].update(bbox=["a", 1, 2, 3]),
    "negative_width": lambda data: data["annotations"][0].update(bbox=[9, 9, -3, 4]),
    "unknown_image": lambda data: data["annotations"][0].update(image_id=77),
    "no_file_name": lambda data: data["images"][0].pop("file_name"),
    "repeated_id": lambda data: data["images"][1].update(id=0),
    "repeated_file": lambda data: data["images"][1].update(file_name=data["images"][0]["file_name"]),
    "missing_file": lambda data: data["images"][0].update(file_name="a/999.png"),
    "box_outside": lambda data: data["annotations"][0].update(bbox=[70, 4, 10, 10]),
    "width_null": lambda data: data["images"][0].update(width=None),
}

for _odd in ODD:

    @case("read, the one record skipped and told" if _odd != "width_null" else "read: no width is no size", odd=_odd)
    def one_odd_record(folder, odd):
        return two_videos(folder, ODD[odd])


@case("refused: every fourth annotation is of an unknown category")
def many_odd_records(folder):
    def change(data):
        for item in data["annotations"][::4]:
            item["category_id"] = 77

    return two_videos(folder, change)


# ---- MOT


def sequence(folder: Path, rows: list, labels: str | None = None, n: int = N, first: int = 1, length: int | None = N):
    """A MOT sequence; without ``length`` it has no seqinfo.ini."""
    for i in range(n):
        picture(folder / "img1" / f"{i + first:06}.png")
    if length is not None:
        write(folder / "seqinfo.ini", f"[Sequence]\nname=x\nimDir=img1\nseqLength={length}\nimExt=.png\n")
    write(folder / "gt/gt.txt", "".join(f"{','.join(map(str, row))}\n" for row in rows))
    if labels is not None:
        write(folder / "gt/labels.txt", labels)


def rows(classes, first: int, frames=range(1, N + 1)) -> list:
    """The object in each frame, of the given classes in turn; pixels counted from ``first``."""
    x, y, width, height = xywh()
    return [
        (frame, 1, x + first, y + first, width, height, 1, classes[i % len(classes)], 1)
        for i, frame in enumerate(frames)
    ]


@case("classes car, bus, truck as gt/labels.txt says; pixels counted from 0 as CVAT does")
def mot_with_labels(folder):
    for name in "ab":
        sequence(folder / name, rows([1, 2, 3], 0), "car\nbus\ntruck\n")
    return {"name": "odd", "loader": "mot", "path": str(folder)}


@case("CVAT's export of one task: gt/, img1/ and no seqinfo.ini; tested on its end")
def mot_of_cvat(folder):
    sequence(folder, rows([1, 2], 0), "car\nbus\n", length=None)
    return {"name": "odd", "loader": "mot", "path": str(folder), "split_by": "time", "gap": 2}


@case("the frames that are there: the sequence ends before its seqinfo.ini says so")
def mot_shorter_than_its_seqinfo(folder):
    sequence(folder / "a", rows([1], 1), n=N - 4)
    sequence(folder / "b", rows([1], 1))
    return {"name": "odd", "loader": "mot", "path": str(folder)}


@case("one line of 25 skipped and told; 1 box of visibility 0 kept, 1 of confidence 0 left out, 1 reflection left out")
def mot_with_odd_rows(folder):
    good = rows([1], 1)
    special = [
        (1, 2, 1, 1, 4, 4, 1, 1, 0),
        (1, 3, 1, 1, 4, 4, 0, 3, 1),
        (1, 4, 1, 1, 4, 4, 1, 12, 1),
        (99, 1, 1, 1, 4, 4, 1, 1, 1),
    ]
    sequence(folder / "a", good + special)
    sequence(folder / "b", good)
    return {"name": "odd", "loader": "mot", "path": str(folder)}


# ---- what lies beside


@case("all read, .mkv and .mov too; notes.txt and lost.json named")
def video_files_of_other_kinds(folder):
    for name in ("a.mp4", "b.mkv", "c.mov", "d.avi"):
        film(folder / name)
        write(folder / f"{name[0]}.json", coco([f"{i:03}.png" for i in range(N)]))
    write(folder / "notes.txt", "no video")
    write(folder / "lost.json", coco(["1.png"]))
    return {"name": "odd", "loader": "video_folder", "path": str(folder)}


@case("val/ and test/ are the test part")
def val_beside_test(folder):
    for part in ("train", "val", "test"):
        film(folder / part / f"{part}_clip.avi")
        write(folder / part / f"{part}_clip.json", coco([f"{i:03}.png" for i in range(N)]))
    return {"name": "odd", "loader": "video_folder", "path": str(folder)}


@case("train/, valid/ and test/ of Roboflow, without its category 0, which is no class")
def roboflow(folder):
    for part in ("train", "valid", "test"):
        names = [f"clip_mp4-{i}_jpg.rf.0a{i}.jpg" for i in range(N)]
        for name in names:
            picture(folder / part / name)
        data = coco(names)
        for item in data["categories"]:
            item["supercategory"] = "cars"
        data["categories"].insert(0, {"id": 0, "name": "cars", "supercategory": "none"})
        write(folder / part / "_annotations.coco.json", data)
    write(folder / "README.roboflow.txt", "a hint")
    return {"name": "odd", "loader": "coco_video", "path": str(folder)}


# ---- frames without annotation


def partly_annotated(folder: Path, unlisted: str) -> dict:
    """Every other frame is listed; of these, one in four shows nothing."""

    def change(data):
        data["images"] = data["images"][::2]
        data["annotations"] = [item for item in data["annotations"][::2] if item["id"] % 8]

    return two_videos(folder, change) | {"unlisted": unlisted}


@case("24 frames of 2 videos; 12 listed, of which 3 show nothing; the other 12 left out and told")
def unlisted_frames(folder):
    return partly_annotated(folder, "leave_out")


@case("the frames of the training video that are not listed are kept, in neither part")
def unlisted_frames_kept(folder):
    return partly_annotated(folder, "keep")


@case("the frames of a video file that are not listed are kept, in neither part")
def unlisted_frames_of_files_kept(folder):
    for name in "ab":
        film(folder / f"{name}.avi")
        write(folder / f"{name}.json", coco([f"{i:03}.png" for i in range(0, N, 3)]))
    return {"name": "odd", "loader": "video_folder", "path": str(folder), "unlisted": "keep"}


@case("the video without any annotation is kept and for training, one of the two others for testing")
def video_without_annotations_kept(folder):
    for name in "abc":
        film(folder / f"{name}.avi")
        if name != "a":
            write(folder / f"{name}.json", coco([f"{i:03}.png" for i in range(N)]))
    return {"name": "odd", "loader": "video_folder", "path": str(folder), "unlisted": "keep"}


# ---- parts


@case("refused with an offer: a single video")
def single_video(folder):
    film(folder / "a.avi", n=40)
    write(folder / "a.json", coco([f"{i:03}.png" for i in range(40)]))
    return {"name": "odd", "loader": "video_folder", "path": str(folder)}


@case("the last 8 of 40 frames are for testing, 10 before them in neither part")
def single_video_by_time(folder):
    return single_video(folder) | {"split_by": "time"}


@case("whole cameras are for testing")
def groups_of_cameras(folder):
    names = [f"cam{camera}_{ride}/{i}.png" for camera in range(4) for ride in "xyz" for i in range(2)]
    for name in names:
        picture(folder / name)
    write(folder / "annotations.json", coco(names))
    return {
        "name": "odd",
        "loader": "coco_video",
        "path": str(folder),
        "group_pattern": "^(cam[0-9]+)_",
        "test_fraction": 0.5,
    }


@case("refused: camera 1 is in train/ and in test/")
def group_in_both_parts(folder):
    for part, clips in (("train", ["cam1_x", "cam2_x"]), ("test", ["cam1_y"])):
        for clip in clips:
            film(folder / part / f"{clip}.avi")
            write(folder / part / f"{clip}.json", coco([f"{i:03}.png" for i in range(N)]))
    return {"name": "odd", "loader": "video_folder", "path": str(folder), "group_pattern": "(cam[0-9]+)_"}


# ---- camera traps


def survey(folder: Path, change=lambda annotations, detections: None, exif: int = 1, **settings) -> dict:
    """Eight images at four places; each has a deer in `BOX`, which is also detected with confidence .95."""
    annotations = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 0, "name": "empty"}, {"id": 1, "name": "deer"}],
    }
    detections = {"images": [], "detection_categories": {"1": "animal", "2": "person"}}
    for i in range(8):
        name = f"place{i % 4}/{i}.jpg"
        picture(folder / name, exif=exif)
        about = {
            "id": i,
            "file_name": name,
            "location": f"place{i % 4}",
            "width": SIZE[0],
            "height": SIZE[1],
            "seq_id": str(i),
        }
        annotations["images"].append(about)
        annotations["annotations"].append({"id": i, "image_id": i, "category_id": 1, "bbox": xywh()})
        detections["images"].append(
            {"file": name, "detections": [{"category": "1", "conf": 0.95, "bbox": shares(exif)}]}
        )
    change(annotations, detections)
    write(folder / "annotations.json", annotations)
    write(folder / "detections.json", detections)
    return {"name": "odd", "loader": "camera_trap", "path": str(folder), "image_size": 16} | settings


def shares(exif: int = 1) -> list:
    """`BOX` as MegaDetector tells it: x y width height in shares of the image as it is shown."""
    image = np.zeros(SIZE[::-1], np.uint8)
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 1
    steps = {
        1: (0, 0),
        2: (0, 1),
        3: (2, 0),
        4: (2, 1),
        5: (1, 2),
        6: (3, 0),
        7: (3, 2),
        8: (1, 0),
    }  # quarter turns, mirror
    turns, mirror = steps[exif]
    image = np.rot90(image, turns)
    image = {0: image, 1: image[:, ::-1], 2: image[::-1]}[mirror]
    rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
    height, width = image.shape
    return [columns[0] / width, rows[0] / height, len(columns) / width, len(rows) / height]


for _orientation in (1, 3, 6, 8):

    @case("8 crops of a deer: annotated boxes are turned as the pixels", exif=_orientation)
    def camera_trap_with_exif(folder, exif):
        return survey(folder, exif=exif)


@case("a false alarm is empty: bbox_relative tells that the deer is elsewhere")
def camera_trap_with_relative_boxes(folder):
    def change(annotations, detections):
        for item in annotations["annotations"]:
            del item["bbox"]
            item["bbox_relative"] = [0.7, 0.7, 0.2, 0.2]
        annotations["annotations"][0]["bbox_relative"] = shares()

    return survey(folder, change)


@case("detections of .3 are animals by the file's typical_detection_threshold of .2")
def megadetector_5(folder):
    def change(annotations, detections):
        detections["info"] = {"detector_metadata": {"typical_detection_threshold": 0.2}}
        for image in detections["images"]:
            image["detections"][0]["conf"] = 0.3

    return survey(folder, change)


@case("3 crops by dataset.confidence .9; the file's threshold of .2 is told")
def megadetector_5_with_a_confidence(folder):
    def change(annotations, detections):
        detections["info"] = {"detector_metadata": {"typical_detection_threshold": 0.2}}
        for image in detections["images"][3:]:
            image["detections"][0]["conf"] = 0.3

    return survey(folder, change, confidence=0.9)


ODD_OF_SURVEYS = {
    "unknown_category": lambda a, d: d["images"][0]["detections"].append({"category": "9", "conf": 0.01, "bbox": [0, 0, 1, 1]}),
    "detection_outside": lambda a, d: d["images"][0]["detections"].append({"category": "1", "conf": 1, "bbox": [0.5, 0, 0.53, 1]}),
    "detection_without_box": lambda a, d: d["images"][0]["detections"].append({"category": "1", "conf": 1, "bbox": []}),
    "detection_without_confidence": lambda a, d: d["images"][0]["detections"].append({"category": "1", "bbox": [0, 0, 1, 1]}),
    "annotated_category": lambda a, d: a["annotations"][0].update(category_id=9),
    "annotated_outside": lambda a, d: a["annotations"][0].update(bbox=[40, 0, 26, 40]),
    "width_null": lambda a, d: a["images"][0].update(width=None),
    "other_shape": lambda a, d: a["images"][0].update(width=64, height=64),
    "detected_twice": lambda a, d: d["images"].append(d["images"][0]),
}  # fmt: skip

for _odd in ODD_OF_SURVEYS:

    @case("read, the one record (and, of an annotation, its image) skipped and told", odd=_odd)
    def camera_trap_with_an_odd_record(folder, odd):
        return survey(folder, ODD_OF_SURVEYS[odd])


@case("8 deer: an empty bbox is an animal without a box")
def camera_trap_with_an_empty_bbox(folder):
    return survey(folder, lambda annotations, detections: annotations["annotations"][0].update(bbox=[]))


@case("images of an empty location stay with those of their seq_id")
def camera_trap_with_empty_locations(folder):
    def change(annotations, detections):
        for image in annotations["images"]:
            image["location"] = ""

    return survey(folder, change)


@case("annotations of a whole sequence are kept and counted")
def camera_trap_with_sequence_annotations(folder):
    def change(annotations, detections):
        for item in annotations["annotations"][:3]:
            item["sequence_level_annotation"] = True

    return survey(folder, change)


@case("images annotated by sequence are left out")
def camera_trap_without_sequence_annotations(folder):
    return camera_trap_with_sequence_annotations(folder) | {"sequence_annotations": "leave_out"}


@case("one place: by sequences, as dataset.group_by says")
def camera_trap_of_one_location(folder):
    def change(annotations, detections):
        for image in annotations["images"]:
            image["location"] = "hill"

    return survey(folder, change, group_by="sequence")


def built(folder: Path, name: str) -> dict:
    """Build a case in a folder of its own; the `dataset` of a study."""
    (found,) = [one for one in CASES if one.name == name]
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir(parents=True)
    return found.build(folder / name)
