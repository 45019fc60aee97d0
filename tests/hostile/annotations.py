"""Annotations: JSON of camera traps and videos, MOTChallenge, ImageNet-VID, CamVid; and video files."""

import copy
import json
import os
import shutil

import numpy as np
import odd_videos

from hostile import Case
from hostile._readers import data_set
from hostile.images import encoded, png

NAMES = [f"{place}/{number}.png" for place in "abcd" for number in range(3)]
SURVEY = {
    "images": [
        {"id": i, "file_name": name, "location": name[0], "width": 8, "height": 8} for i, name in enumerate(NAMES)
    ],
    "annotations": [
        {"id": i, "image_id": i, "category_id": i % 2 + 1, "bbox": [0, 0, 8, 8]} for i in range(len(NAMES))
    ],
    "categories": [{"id": 1, "name": "lion"}, {"id": 2, "name": "zebra"}],
}
FOUND = {
    "images": [{"file": name, "detections": [{"category": "1", "conf": 0.95, "bbox": [0, 0, 1, 1]}]} for name in NAMES],
    "detection_categories": {"1": "animal"},
}


def survey(
    change=lambda annotations, detections: None, annotations: bytes | None = None, detections: bytes | None = None
):
    """A harmless survey, changed, or with other files of annotations or detections."""

    def build(raw):
        for number, name in enumerate(NAMES):
            (raw / name).parent.mkdir(exist_ok=True)
            (raw / name).write_bytes(encoded(np.full((8, 8, 3), number, np.uint8)))
        told, found = copy.deepcopy(SURVEY), copy.deepcopy(FOUND)
        change(told, found)
        for name, data, instead in (("annotations", told, annotations), ("detections", found, detections)):
            (raw / f"{name}.json").write_bytes(json.dumps(data).encode() if instead is None else instead)
        return {"loader": "camera_trap", "path": str(raw), "image_size": 8}

    return build


def one(**values):
    """Every detection is another."""

    def change(annotations, detections):
        for image in detections["images"]:
            image["detections"][0] |= values

    return change


def told(**values):
    """Every annotation is another."""

    def change(annotations, detections):
        for item in annotations["annotations"]:
            item |= values

    return change


def first_file(name: str):
    """An image that lies elsewhere."""

    def change(annotations, detections):
        annotations["images"][0]["file_name"] = detections["images"][0]["file"] = name

    return change


def refused(name, build, *words):
    return Case(f"annotations: {name}", build, data_set, words)


def read(name, build, right):
    return Case(f"annotations: {name}", build, data_set, right=right)


def twelve(found):
    assert found["images"].shape == (12, 8, 8, 3) and sorted(found["images"][:, 0, 0, 0].tolist()) == list(range(12))


def cut_at_the_edges(found):
    height, width = found["images"].shape[1:3]
    assert (found["boxes"] == [0, 0, width, height]).all()


def instead(name: str, make):
    def build(raw):
        settings = survey()(raw)
        (raw / name).unlink()
        make(raw / name)
        return settings

    return build


def videos(change=lambda data: None, text: bytes | None = None):
    """Frames of two videos with COCO JSON, changed."""

    def build(raw):
        settings = odd_videos.two_videos(raw, change)
        (place,) = [path for path in raw.rglob("*.json")]
        if text is not None:
            place.write_bytes(text)
        return {name: value for name, value in settings.items() if name != "name"}

    return build


def of_videos(**values):
    def change(data):
        for item in data["annotations"]:
            item |= values

    return videos(change)


def of_frames(**values):
    def change(data):
        for entry in data["images"]:
            entry |= values

    return videos(change)


def mot(rows="", info="", name="000099.png"):
    def build(raw):
        for video in "ab":
            odd_videos.sequence(raw / video, odd_videos.rows([1], 1))
        if rows:
            (raw / "a/gt/gt.txt").write_text(rows)
        if info:
            (raw / "a/seqinfo.ini").write_text(info)
        else:
            shutil.copy(next((raw / "a/img1").iterdir()), raw / "a/img1" / name)
        return {"loader": "mot", "path": str(raw)}

    return build


def imagenet(xml: str):
    def build(raw):
        for part in ("train/x", "val"):
            for video in "ab":
                place = raw / "Annotations/VID" / part / video
                place.mkdir(parents=True)
                (place / "000000.xml").write_text(xml)
                frames = raw / "Data/VID" / part / video
                frames.mkdir(parents=True)
                (frames / "000000.JPEG").write_bytes(encoded(kind="JPEG"))
        return {"loader": "imagenet_vid", "path": str(raw)}

    return build


XML = (
    "<annotation><size><width>8</width><height>8</height></size><object><trackid>1</trackid><name>n02958343</name><bndbox>"
    "<xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"
)
LAUGHS = "".join(
    ["<!DOCTYPE a [<!ENTITY a0 'n02958343'>", *(f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 12)), "]>"]
)
OUTSIDE = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"


def film(content: bytes | None, name="a.mp4", make=None):
    """A folder of two video files, of which one is another thing."""

    def build(raw):
        for video in "ab":
            odd_videos.film(raw / f"{video}.mp4")
            odd_videos.write(raw / f"{video}.json", odd_videos.coco([f"frame_{i:06}.png" for i in range(odd_videos.N)]))
        (raw / name).unlink()
        if make:
            make(raw / name)
        else:
            (raw / name).write_bytes(content)
        return {"loader": "video_folder", "path": str(raw)}

    return build


def ones(n: int) -> str:
    return "1" * n


CUT = "cannot be used, more than the share 0.1"
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"

CASES = [
    refused("JSON in JSON, 100,000 deep", survey(annotations=b"[" * 100_000), "annotations.json", "nested too deeply"),
    refused(
        "objects in objects, 100,000 deep",
        survey(detections=b'{"a":' * 100_000),
        "detections.json",
        "nested too deeply",
    ),
    refused(
        "number of 100,000 digits",
        survey(annotations=b'{"images": [%s]}' % (b"9" * 100_000)),
        "annotations.json",
        "is not JSON",
    ),
    refused("key twice", survey(annotations=b'{"images": [], "images": []}'), "'images' stands twice"),
    refused("list instead of an object", survey(annotations=b"[]"), "has no list of images"),
    refused("nothing", survey(annotations=b""), "is not JSON"),
    refused("UTF-16 that ends early", survey(annotations=b"\xff\xfe{"), "is not JSON"),
    refused("JSON in no UTF-8", survey(annotations=b'{"a": "\xff"}'), "is not JSON"),
    refused("50 MB of zeros", survey(annotations=bytes(50 << 20)), "is not JSON"),
    refused("pipe", instead("annotations.json", os.mkfifo), "annotations.json is a device, pipe or socket"),
    refused(
        "/dev/zero",
        instead("detections.json", lambda path: path.symlink_to("/dev/zero")),
        "is a device, pipe or socket",
    ),
    refused(
        "8 terabytes of nothing",
        instead("detections.json", lambda path: path.touch() or os.truncate(path, 1 << 43)),
        "bytes, and at most",
    ),
    refused("confidence 17", survey(one(conf=17)), "a confidence of 17, which is not from 0 to 1", CUT),
    refused("confidence -1", survey(one(conf=-1)), "a confidence of -1", CUT),
    refused("confidence NaN", survey(one(conf=float("nan"))), "a confidence of nan", CUT),
    refused("confidence 1e999", survey(one(conf=float("inf"))), "a confidence of inf", CUT),
    refused("confidence as a word", survey(one(conf="high")), CUT),
    refused("confidence as a list", survey(one(conf=[1])), CUT),
    refused("confidence of 4,000 digits", survey(one(conf=int(ones(4000)))), CUT),
    refused(
        "typical confidence 17",
        survey(lambda a, d: d.update(info={"detector_metadata": {"typical_detection_threshold": 17}})),
        "a confidence of 17",
    ),
    refused(
        "typical confidence NaN",
        survey(lambda a, d: d.update(info={"detector_metadata": {"typical_detection_threshold": float("nan")}})),
        "nan",
    ),
    refused("information as a list", survey(lambda a, d: d.update(info=[1])), "neither MegaDetector"),
    refused(
        "score 17 in COCO",
        lambda raw: survey(told(score=17))(raw) | {"detections": str(raw / "annotations.json")},
        "a confidence of 17",
    ),
    refused("box with NaN", survey(one(bbox=[0, 0, float("nan"), 1])), "a box that is none", CUT),
    refused("box with infinity", survey(one(bbox=[0, 0, float("inf"), 1])), "a box that is none", CUT),
    refused("box that is turned round", survey(one(bbox=[1, 1, -1, -1])), "a box that is none", CUT),
    refused("box of words", survey(one(bbox=["a", "b", "c", "d"])), "is not four numbers", CUT),
    refused("box of five numbers", survey(one(bbox=[0, 0, 1, 1, 1])), "is not four numbers", CUT),
    refused("box of 4,000 digits", survey(one(bbox=[0, 0, int(ones(4000)), 1])), CUT),
    refused("box of 1e308", survey(told(bbox=[1e308, 1e308, 1e308, 1e308])), "a box that is none", CUT),
    refused(
        "images of no size",
        survey(lambda a, d: [image.update(width=0) for image in a["images"]]),
        "no width and height",
        CUT,
    ),
    refused("images of 1e308 pixels", survey(lambda a, d: [image.update(width=1e308) for image in a["images"]]), CUT),
    refused("images of one id", survey(lambda a, d: [image.update(id=1) for image in a["images"]]), "twice", CUT),
    refused("id that is a list", survey(lambda a, d: a["images"][0].update(id=[1])), "is no COCO"),
    refused("annotations of images whose ids are lists", survey(told(image_id=[1])), "unhashable", CUT),
    refused(
        "id that is nothing, twice", survey(lambda a, d: [image.update(id=None) for image in a["images"]]), "twice", CUT
    ),
    refused(
        "categories of different types",
        survey(lambda a, d: a["categories"].append({"id": "a", "name": "x"})),
        "is no COCO",
    ),
    refused(
        "category of 100,000 letters",
        survey(lambda a, d: a["categories"][0].update(name="a" * 100_000)),
        "at most 200 letters",
    ),
    refused(
        "category that steers terminals",
        survey(lambda a, d: a["categories"][0].update(name="\x1b[2J\n")),
        "can be printed",
    ),
    refused(
        "half a letter as a category", survey(lambda a, d: a["categories"][0].update(name="\ud800")), "can be printed"
    ),
    refused("count of 4,000 digits", survey(told(count=int(ones(4000)))), CUT),
    refused("image that is a device", survey(first_file("/dev/zero")), "/dev/zero is a device, pipe or socket"),
    refused(
        "image that is a file of passwords",
        survey(first_file("../../../../../../etc/passwd")),
        "cannot be decoded as an image",
    ),
    refused("image with NUL in its name", survey(first_file("a/\0.png")), "is no COCO", "no path has"),
    refused("image with half a letter in its name", survey(first_file("a/\ud800.png")), "is no COCO"),
    refused("image with a name of 5,000 letters", survey(first_file("a" * 5000)), "is no COCO", "no path has"),
    refused(
        "image of 65,000 x 65,000 pixels",
        instead("a/0.png", lambda path: path.write_bytes(png(65_000, 65_000))),
        "cannot be decoded",
    ),
    refused(
        "30,000 detections of one image", survey(lambda a, d: d.update(images=d["images"][:1] * 30_000)), "twice", CUT
    ),
    read(
        "30,000 detections in one image of too little confidence",
        survey(
            lambda a, d: d["images"][0]["detections"].extend(
                [{"category": "1", "conf": 0.1, "bbox": [0, 0, 1, 1]}] * 30_000
            )
        ),
        twelve,
    ),
    read("keys of no meaning, NaN in them", survey(lambda a, d: a["images"][0].update(latitude=float("nan"))), twelve),
    refused("videos: confidence of JSON in JSON", videos(text=b'{"images": ' + b"[" * 100_000), "nested too deeply"),
    refused("videos: box with NaN", of_videos(bbox=[0, 0, float("nan"), 1]), "no box", CUT),
    refused("videos: box that is turned round", of_videos(bbox=[5, 5, -3, -3]), "no box", CUT),
    read("videos: box of 1e308 is cut", of_videos(bbox=[0, 0, 1e308, 1e308]), cut_at_the_edges),
    refused("videos: track of 4,000 digits", of_videos(track_id=int(ones(4000))), CUT),
    refused("videos: track 1e308", of_videos(track_id=1e308), CUT),
    refused("videos: frame of 4,000 digits", of_frames(frame_id=int(ones(4000))), CUT),
    refused("videos: negative frame", of_frames(frame_id=-1), "frame_id -1", CUT),
    refused("videos: all frames of one number", of_frames(frame_id=1)),
    refused("videos: frames that are a device", of_frames(file_name="/dev/zero")),
    refused("videos: categories as words", videos(lambda data: data.update(categories="abc")), "is not COCO JSON"),
    refused(
        "videos: category that steers terminals",
        videos(lambda data: data["categories"][0].update(name="\x1b[2J")),
        "can be printed",
    ),
    refused(
        "MOT: 10^15 frames",
        mot(info="[Sequence]\nseqLength=1000000000000000\nimDir=img1\n"),
        "number at most 1,000,000",
    ),
    refused("MOT: frames of 5,000 digits", mot(info=f"[Sequence]\nseqLength={ones(5000)}\n"), "is no seqinfo.ini"),
    refused("MOT: file called 10^15", mot(name="1000000000000000.png"), "number at most 1,000,000"),
    refused("MOT: frames at /dev", mot(info="[Sequence]\nseqLength=3\nimDir=/dev\n"), "frames of", "are missing"),
    refused(
        "MOT: folder of 400 letters", mot(info=f"[Sequence]\nseqLength=3\nimDir={ones(400)}\n"), "is no seqinfo.ini"
    ),
    refused("MOT: interpolation", mot(info="[Sequence]\nseqLength=%(seqLength)s\n"), "is no seqinfo.ini"),
    refused("MOT: rows of NaN", mot(rows="nan,1,1,1,1,1,1,1,1\n" * 30), "is not one of MOT16", CUT),
    refused("MOT: tracks of 1e308", mot(rows="1,1e308,1,1,1,1,1,1,1\n" * 30), "is not one of MOT16", CUT),
    refused(
        "ImageNet-VID: billion laughs",
        imagenet(f"{LAUGHS}<annotation><object><name>&a11;</name></object></annotation>"),
        "ImageNet",
    ),
    refused(
        "ImageNet-VID: a file of passwords",
        imagenet(f"{OUTSIDE}<annotation><name>n02958343</name>&x;</annotation>"),
        "ImageNet",
    ),
    refused("ImageNet-VID: 100,000 deep", imagenet("<a>" * 100_000 + "n02958343"), "ImageNet"),
    refused("film: pipe", film(None, make=os.mkfifo), "a.mp4"),
    refused("film: /dev/zero", film(None, make=lambda path: path.symlink_to("/dev/zero")), "a.mp4"),
    refused("film: list of files of passwords", film(PLAYLIST), "a.mp4", "cannot be decoded as a video"),
    refused(
        "film: list of films",
        film(b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
        "a.mp4",
        "cannot be decoded as a video",
    ),
    refused("film: noise", film(np.random.default_rng(0).bytes(5000)), "a.mp4", "cannot be decoded as a video"),
    refused("film: nothing", film(b""), "a.mp4", "cannot be decoded as a video"),
]
