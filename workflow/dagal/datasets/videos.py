"""Video data with boxes: ImageNet-VID, MOTChallenge, COCO JSON, folders of videos, CamVid.

A loader lists frames and boxes without decoding a frame; `prepare_videos` then streams them to images.h5 and truth.h5.
Boxes are x1 y1 x2 y2 in pixels from the upper left corner of the frame; x2 and y2 are the first pixel edge outside.
"""

import configparser
import csv
import io
import itertools
import math
import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import h5py
import numpy as np

from dagal import artifacts, notes, seeding
from dagal.datasets import coco, folders
from dagal.datasets.frames import basis, decode, fit, frames_in_header, is_video, n_frames, turned
from dagal.datasets.groups import named_by
from dagal.datasets.records import MOST_NUMBER, Records, named
from dagal.datasets.source import (
    GIVEN,
    IMAGES,
    NOT_ANNOTATED,
    TRUTH,
    check_names,
    write_images,
    write_names,
    write_origins,
)
from dagal.errors import UserError
from dagal.files import possible

TEST_FRACTION = 0.2
TEST_PART = re.compile("(?<![a-z])(test|val|valid|validation)(?![a-z])")  # in a name in lower case
MOST_FRAMES = 1_000_000  # of a sequence of MOTChallenge, which is numbered through
MINIMUM_PIXELS = 1 - 1e-3  # a box of one pixel must survive the rounding of its scaled corners
SYNSETS = {"n02958343": "car", "n02834778": "bicycle", "n03790512": "motorcycle"}  # the road classes of ImageNet-VID
MOT_CLASSES = {1: "pedestrian", 3: "car", 4: "bicycle", 5: "motorbike"}
OTHER_MOT_CLASSES = {
    2: "person on vehicle", 6: "non motorized vehicle", 7: "static person", 8: "distractor", 9: "occluder",
    10: "occluder on the ground", 11: "occluder full", 12: "reflection", 13: "crowd",
}  # fmt: skip
CAMVID_CLASSES = ["car", "pedestrian", "bicyclist"]
ROBOFLOW = "_annotations.coco.json"


@dataclass(frozen=True)
class VideoSource:
    """N listed frames with M boxes, by video, then time; training videos first. Boxes in pixels of ``declared_N_2``."""

    class_names: list[str]
    video_names: list[str]
    video_N: np.ndarray  # int64, position in video_names
    frame_N: np.ndarray  # int64, number of the frame in its video, rising
    split_N: np.ndarray  # uint8, 0 train, 1 test, NOT_ANNOTATED in a training video
    boxes_M_4: np.ndarray  # float32
    box_labels_M: np.ndarray  # int64, position in class_names
    tracks_M: np.ndarray  # int64, which object of the video; -1 unknown
    offsets_N: np.ndarray  # (N+1,) int64, frame i has the boxes offsets_N[i]:offsets_N[i+1]
    frames: Iterator[tuple[int, np.ndarray]]  # (row, uint8 RGB image), decoded one by one, any order
    declared_N_2: np.ndarray  # float64, width and height of each frame in its annotations; NaN where these have none
    files: list[str]  # of each frame, below the path of the data set; in an archive its name there
    orientation_N: np.ndarray  # uint8, EXIF orientation of each frame, 1 upright; filled while the frames are decoded
    notes: list[str] = field(default_factory=list)  # lines for the user

    def write(self, settings: dict, images_path, truth_path, origin: dict, workers: int) -> None:
        """Write images.h5 and truth.h5."""
        prepare_videos(self, settings, images_path, truth_path, origin)


@dataclass(frozen=True)
class _Frame:
    number: int  # order in time; the position in a video file
    file: Path | str  # image or video file; name in the archive
    objects: list[tuple]  # (class name, track, x1, y1, x2, y2)
    size: tuple[float, float] | None = None  # width and height in the annotations, if these have them
    annotated: bool = True  # whether it is known what the frame shows


_Videos = dict[tuple[bool, str], list[_Frame]]  # (for testing, name) -> frames in any order


# ---------------------------------------------------------------------------------------------------- ImageNet-VID


def imagenet_vid(settings: dict) -> VideoSource:
    """ImageNet-VID (ILSVRC2015): the videos with cars, bicycles or motorcycles; val/ is the test set.

    Frames in which no object of any class is annotated are left out, as in the thesis (003, section 2.6, there by hand).
    Corners in the files are the first and last pixel, counted from 0. Reads the annotations of all 4417 videos.
    """
    path, records = Path(settings["path"]), Records(settings)
    root = next(
        (root for root in (path, path / "ILSVRC2015", path / "ILSVRC") if (root / "Annotations").is_dir()), path
    )
    kept, videos, empty, unlisted = set(_kept(settings, list(SYNSETS.values()))), {}, 0, Counter()
    parts = [
        (root / "Annotations" / "VID" / part, part, pattern) for part, pattern in (("train", "*/*/"), ("val", "*/"))
    ]
    if missing := next((folder for folder, *_ in parts if not folder.is_dir()), None):
        raise UserError(
            f"ImageNet-VID is not in {path}, as {missing} is missing: get ILSVRC2015_VID.tar.gz from image-net.org and "
            "unpack it there."
        )
    for folder, part, pattern in parts:
        for video in sorted(folder.glob(pattern)):
            images = root / "Data" / "VID" / part / video.relative_to(folder)
            found = _imagenet_frames(video, images, kept, records)
            if not found:
                continue
            empty += sum(not frame.objects for frame in found)
            listed = {frame.file for frame in found}
            extra = [file for file in images.glob("*.JPEG") if file not in listed and file.stem.isdecimal()]
            unlisted[video.name] += len(extra)
            added = [_Frame(int(file.stem), file, [], annotated=False) for file in extra if _keeps_unlisted(settings)]
            videos[part == "val", video.name] = [frame for frame in found if frame.objects] + added
    lines = [f"left out {empty:,} frames without an annotated object"] if empty else []
    videos = {key: found for key, found in videos.items() if found}
    return _source(settings, list(SYNSETS.values()), videos, records, lines + _on_unlisted(settings, unlisted))


def _imagenet_frames(annotations: Path, images: Path, kept: set[str], records: Records) -> list[_Frame]:
    """All frames of a video that shows a kept class, none of any other video."""
    contents = {file: coco.contents(file) for file in sorted(annotations.glob("*.xml"))}
    if not any(synset.encode() in data for data in contents.values() for synset in SYNSETS):
        return []  # most videos; parsing is slower than reading
    found = []
    for file, data in contents.items():
        records.total += 1
        try:
            tree, objects = ET.fromstring(data), []
            for item in tree.iter("object"):
                records.total += 1
                track, name = int(item.findtext("trackid", "-1")), item.findtext("name", "")
                if abs(track) > MOST_NUMBER:
                    raise ValueError(f"track {track}")
                corners = [float(item.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")]
                if _is_box(corners, f"object {track} in {file}", records):
                    x1, y1, x2, y2 = corners
                    objects.append((SYNSETS.get(name, name), track, x1, y1, x2 + 1, y2 + 1))
            size = coco.declared_size({key: tree.findtext(f"size/{key}") for key in ("width", "height")})
            found.append(_Frame(int(file.stem), images / f"{file.stem}.JPEG", objects, size))
        except (ET.ParseError, TypeError, ValueError) as error:
            records.skip(f"{file} is no annotation of ImageNet-VID ({error}), so unpack it again")
    return found if any(item[0] in kept for frame in found for item in frame.objects) else []


# ------------------------------------------------------------------------------------------------------------- MOT


def mot(settings: dict) -> VideoSource:
    """MOTChallenge (MOT16, 17, 20) with its train/ folder in or at ``path``, and what CVAT exports as MOT.

    MOT17 holds each video three times, once per detector: one is taken. Its vehicles all have confidence 0. Classes are those
    of ``gt/labels.txt`` where there is one, as CVAT writes it, else `MOT_CLASSES`. There may be no ``seqinfo.ini``.
    """
    path, videos, class_names, records = Path(settings["path"]), {}, {}, Records(settings)
    names = ("seqinfo.ini", "gt/gt.txt")
    found = {
        file.parents[len(Path(name).parts) - 1]
        for folder in ("", "*/", "train/*/", "*/train/*/")
        for name in names
        for file in path.glob(folder + name)
    }
    if not found:
        raise UserError(
            f"{path} holds no MOTChallenge videos (train/NAME/seqinfo.ini or NAME/gt/gt.txt): get MOT17 or MOT20 from "
            "motchallenge.net, or export your own from CVAT as MOT, and unpack it there."
        )
    lines, other = [], Counter()
    for place in sorted(found, key=lambda place: _natural(str(place))):
        name = re.sub(r"-(DPM|FRCNN|SDP)\Z", "", place.resolve().name)
        if (False, name) not in videos:
            frames = _mot_frames(place, records, lines)
            labels = place / "gt" / "labels.txt"
            own = coco.contents(labels).decode(errors="replace").splitlines() if labels.is_file() else []
            _add_mot_boxes(frames, place / "gt" / "gt.txt", [name.strip() for name in own], records, other)
            videos[False, name] = [frame for frame in frames.values() if frame]
            class_names |= dict.fromkeys(name.strip() for name in own if name.strip())
    boxed = {item[0] for frames in videos.values() for frame in frames for item in frame.objects}
    class_names |= dict.fromkeys(name for name in MOT_CLASSES.values() if name in boxed)
    if other:
        lines.append(f"left out {sum(other.values()):,} boxes of the classes {', '.join(sorted(other))}")
    return _source(settings, list(class_names), videos, records, lines)


def _mot_frames(place: Path, records: Records, lines: list[str]) -> dict[int, _Frame | None]:
    """Number, from 1 on -> frame of a sequence; None where seqinfo.ini counts one that is not there.

    The number of a frame is that in its file name, and one more where these begin at 0.
    """
    file, info = place / "seqinfo.ini", {}
    try:
        if file.is_file():
            parser = configparser.ConfigParser()
            parser.read_string(coco.contents(file).decode())
            info = parser["Sequence"]
        length = int(info["seqLength"]) if info else None
        folder = place / possible(info.get("imDir", "img1"))
    except (configparser.Error, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} is no seqinfo.ini of MOTChallenge ({error!r}): unpack it again.") from None
    files = [file for file in folder.iterdir() if file.suffix.lower() in folders.ENDINGS] if folder.is_dir() else []
    numbers = {file: re.findall(r"\d+", file.stem) for file in files}
    by_number = {int(digits[-1]): file for file, digits in numbers.items() if digits}
    first = 0 if 0 in by_number else 1
    found = {number + 1 - first: file for number, file in sorted(by_number.items())}
    if not found:
        raise UserError(f"The frames of {place} are missing: put them into {folder}, named 000001.jpg and so on.")
    length, last = length or max(found), max(found)
    if max(length, last) > MOST_FRAMES:
        raise UserError(
            f"{place} has a frame {max(length, last):,} by its seqinfo.ini or the name of a file: number at most {MOST_FRAMES:,}."
        )
    size = coco.declared_size({"width": info.get("imWidth"), "height": info.get("imHeight")})
    frames = {number: None for number in range(1, length + 1)}
    frames |= {number: _Frame(number, file, [], size) for number, file in found.items() if number <= length}
    records.total += min(length, last)
    for number in (number for number, frame in frames.items() if frame is None and number < last):
        records.skip(f"frame {number} of {place} is missing")
    if length > last:
        lines.append(f"{place} ends at frame {last:,}, not at {length:,} as its seqinfo.ini says: read so far")
    if length < last:
        lines.append(f"left out the frames of {place} after {length:,}, where its seqinfo.ini says that it ends")
    return frames


def _add_mot_boxes(
    frames: dict[int, _Frame | None], truth: Path, labels: list[str], records: Records, other: Counter
) -> None:
    """Add the boxes of gt.txt to the frames of a sequence; ``other`` counts those of classes that are not read.

    The benchmark counts pixels from 1, CVAT, which writes ``labels``, from 0.
    """
    classes = dict(enumerate(labels, 1)) if labels else MOT_CLASSES | OTHER_MOT_CLASSES
    first = 0 if labels else 1
    for position, line in enumerate(coco.contents(truth).decode(errors="replace").rstrip().splitlines(), 1):
        records.total += 1
        try:
            number, track, left, top, width, height, confidence, class_number, visibility, *more = map(
                float, line.split(",")
            )
            frame, name = frames[int(number)], classes[class_number]
            track = int(track)
            if len(more) > 1 or abs(track) > MOST_NUMBER:
                raise ValueError
        except (ArithmeticError, KeyError, ValueError):
            records.skip(
                f"Line {position} of {truth} is not one of MOT16, 17 or 20 (nine numbers, the first from 1 to {len(frames)}, "
                f"the eighth a class)"
            )
            continue
        box = [left - first, top - first, left - first + width, top - first + height]
        if frame is None or not _is_box(box, f"line {position} of {truth}", records):
            continue
        if not labels and class_number in OTHER_MOT_CLASSES:
            other[name] += 1
            continue
        marks = {"ignored": confidence == 0, "invisible": visibility == 0}
        if all([records.keeps(mark) for mark, is_so in marks.items() if is_so]):
            frame.objects.append((name, track, *box))


# ------------------------------------------------------------------------------------------------------------ COCO


def coco_video(settings: dict) -> VideoSource:
    """Frames with COCO or COCO-VID JSON, as CVAT and Roboflow export it; those of *test* or *val* are the test videos.

    The video of a frame is its entry in `videos`, or else its folder.
    """
    path, class_names, groups, records = Path(settings["path"]), {}, {}, Records(settings)
    files = sorted(path.glob("annotations/*.json"))
    files = files or [path / name for name in ("annotations.json", "instances_default.json") if (path / name).is_file()]
    files = files or sorted([*path.glob(ROBOFLOW), *path.glob(f"*/{ROBOFLOW}")])
    if not files:
        raise UserError(
            f"{path} has no annotations/*.json, annotations.json, instances_default.json or train/{ROBOFLOW}: export the "
            "frames with boxes from CVAT as COCO 1.0 and unpack them there."
        )
    for file in files:
        names, images = coco.read(file, records)
        class_names |= dict.fromkeys(names)
        if file.name == ROBOFLOW:
            subset, roots = file.parent.resolve().name, [file.parent]
        else:
            subset = file.stem.removeprefix("instances_")
            roots = [path, path / "images", path / "images" / subset, path / subset]
        # one of the first files may be missing
        root = next((root for root in roots if any((root / one.name).is_file() for one in images[:100])), path)
        is_test = TEST_PART.search(subset.lower() if file.name == ROBOFLOW else file.stem.lower()) is not None
        for one in images:
            key = is_test, one.video or subset
            groups.setdefault(key, []).append((one.number, root / one.name, one.objects, one.size))
    extra, unlisted = _unlisted(settings, groups)
    videos = {key: _numbered(images, extra.get(key, []), records) for key, images in groups.items()}
    lines = _on_unlisted(settings, unlisted)
    used = {*files, *(image[1] for images in groups.values() for image in images)}
    lines += _left_out(path, [entry for entry in path.iterdir() if entry.is_file() and entry not in used])
    return _source(settings, list(class_names), videos, records, lines)


def _unlisted(settings: dict, groups: dict) -> tuple[dict, Counter]:
    """Image files beside listed frames that no annotation lists: those to keep by video, and how many by folder."""
    listed = {image[1] for images in groups.values() for image in images}
    owners = {}
    for key, images in groups.items():
        for folder in {image[1].parent for image in images}:
            owners.setdefault(folder, []).append(key)
    extra, unlisted = {}, Counter()
    for folder, keys in owners.items():
        entries = folder.iterdir() if folder.is_dir() else ()
        files = [file for file in entries if file.suffix.lower() in folders.ENDINGS and file not in listed]
        unlisted[folder.name] += len(files)
        if _keeps_unlisted(settings) and files:
            if len(keys) > 1:
                raise UserError(
                    f"{files[0]} is in no annotation and beside frames of several videos: put each video into a folder of its own, "
                    "or set dataset.unlisted to leave_out."
                )
            extra.setdefault(keys[0], []).extend(files)
    return extra, unlisted


# --------------------------------------------------------------------------------------------------- video folders


def video_folder(settings: dict) -> VideoSource:
    """Videos, each a folder of frames or a video file, with COCO JSON; train/ and test/ (or val/) above them if wanted.

    Where a person labels there may be no boxes. Elsewhere they are in NAME.json beside the video or in one annotations.json. Frames of a video file are found by
    `frame_id` or the number in `file_name`, counted from 0 as CVAT does.
    """
    if settings.get("labels") == "none":
        settings = settings | {"unlisted": "keep"}
    path, class_names, videos, parsed, records = Path(settings["path"]), {}, {}, {}, Records(settings)
    layout = "put one folder of frames or one video file (.mp4, .mkv, .avi or such) for each video there, and its boxes as NAME.json beside it"
    if not path.is_dir():
        raise UserError(f"{path} is no folder: {layout}.")
    parts = [entry for entry in _visible(path) if entry.is_dir() and _part(entry.name) is not None]
    if not any(_part(entry.name) is False for entry in parts):  # a video may be called test
        parts = []
    beside = [clip.name for clip in _visible(path) if is_video(clip)] if parts else []
    if beside:
        raise UserError(f"{path / beside[0]} lies beside train/ or test/: put it into one of them.")
    unlisted, unread = Counter(), [entry for entry in _visible(path) if parts and entry not in parts]
    for root in parts or [path]:
        clips = [clip for clip in _visible(root) if clip.is_dir() or is_video(clip)]
        unread += [entry for entry in _visible(root) if entry not in clips]
        if not clips:
            raise UserError(f"{root} holds no videos: {layout}.")
        for clip in clips:
            stem = clip.name if clip.is_dir() else clip.stem
            own = [root / f"{clip.name}.json", root / f"{stem}.json"]
            common = [root / "annotations.json", path / "annotations.json"]
            file = next((file for file in own + common if file.is_file()), None)
            if file and file not in parsed:
                parsed[file] = coco.read(file, records)
            names, images = parsed[file] if file else ((), [])
            if file in common:
                called = {f"{prefix}{name}" for prefix in ("", f"{root.name}/") for name in (clip.name, stem)}
                images = [image for image in images if image.video in called]
            if not images and not _keeps_unlisted(settings):
                raise UserError(
                    f"{clip} has no annotations, but simulated annotation needs the true boxes: put {stem}.json in COCO "
                    f"format beside it, or list its frames in {common[0]}."
                )
            class_names |= dict.fromkeys(names)
            videos[bool(_part(root.name)) and root != path, clip.name] = _clip_frames(
                settings, clip, images, unlisted, records
            )
    lines = _on_unlisted(settings, unlisted) + _left_out(path, [entry for entry in unread if entry not in parsed])
    return _source(settings, list(class_names), videos, records, lines)


def _part(name: str) -> bool | None:
    """Whether a folder of that name holds the test part; None if it is no part."""
    return {"train": False, "test": True, "val": True, "valid": True, "validation": True}.get(name)


def _visible(folder: Path) -> list[Path]:
    return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith((".", "__"))]


def _clip_frames(
    settings: dict, clip: Path, images: list[coco.Image], unlisted: Counter, records: Records
) -> list[_Frame]:
    """Frames of one video of `video_folder`; counts those that no annotation lists."""
    if clip.is_dir():
        listed = [(one.number, clip / PurePosixPath(one.name).name, one.objects, one.size) for one in images]
        files = {file for file in clip.iterdir() if file.suffix.lower() in folders.ENDINGS}
        extra = sorted(files - {image[1] for image in listed})
        unlisted[clip.name] += len(extra)
        return _numbered(listed, extra if _keeps_unlisted(settings) else [], records)
    found = []
    for one in images:
        digits = re.findall(r"\d+", PurePosixPath(one.name).stem)
        if one.number is None and not digits:
            records.skip(f"image {one.name} in the annotations of {clip} has no frame number like frame_000000")
            continue
        number = int(digits[-1]) if one.number is None else one.number
        found.append(_Frame(number, clip, one.objects, one.size))
    if not _keeps_unlisted(settings):
        unlisted[clip.name] += max(frames_in_header(clip) - len(found), 0)
        return found
    extra = sorted({*range(n_frames(clip))} - {frame.number for frame in found})
    unlisted[clip.name] += len(extra)
    return found + [_Frame(number, clip, [], annotated=False) for number in extra]


# ---------------------------------------------------------------------------------------------------------- CamVid


def camvid(settings: dict) -> VideoSource:
    """CamVid at 400x300 with derived boxes, unpacked or as camvid-400x300.tar, in or at ``path``; val is for training.

    A video is one sequence of one part: two of the four sequences have frames in two parts.
    """
    path, names, records = Path(settings["path"]), ("frames.csv", "boxes.csv"), Records(settings)
    tars = [(place, "camvid/") for place in (path, path / "camvid-400x300.tar") if place.is_file()]
    unpacked = [(place, "") for place in (path, path / "camvid") if (place / names[0]).is_file()]
    place, prefix = next(iter(unpacked + tars), (None, None))
    if place is None:
        raise UserError(f"CamVid is not in {path}: put camvid-400x300.tar or its folder camvid there.")
    wanted = {prefix + name for name in names}
    texts = {"/".join(parts): data for parts, data in folders._read(place, wanted) if data is not None}
    frames, videos = {}, {}
    try:
        listed, boxes = (list(csv.DictReader(io.StringIO(texts[prefix + name].decode()))) for name in names)
        for row in listed:
            file, part = f"{prefix}images/{row['split']}/{row['frame']}.jpg", row["split"]
            number = int(row["number"])
            if abs(number) > MOST_NUMBER:
                raise ValueError(f"number {number}")
            frames[part, row["frame"]] = frame = _Frame(number, file, [])
            videos.setdefault((part == "test", f"{part}/{row['seq']}"), []).append(frame)
        for position, row in enumerate(boxes, 2):
            box = [float(row[key]) for key in ("x1", "y1", "x2", "y2")]
            if _is_box(box, f"line {position} of boxes.csv in {place}", records):
                frames[row["split"], row["frame"]].objects.append((row["class"], -1, *box))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{place} is not the CamVid of camvid-400x300.tar with frames.csv and boxes.csv ({error!r}): put that there."
        ) from None
    records.total += len(listed) + len(boxes)
    return _source(settings, CAMVID_CLASSES, videos, records, [], place)


# ---------------------------------------------------------------------------------------------- frames of a source


def _keeps_unlisted(settings: dict) -> bool:
    return settings["unlisted"] == "keep"


def _on_unlisted(settings: dict, unlisted: Counter) -> list[str]:
    """A line on frames that no annotation lists, by video or folder."""
    found = +unlisted
    if not found or _keeps_unlisted(settings):
        return []
    return [
        f"left out {sum(found.values()):,} frames that the annotations do not list, of {named([*found])} (dataset.unlisted)"
    ]


def _left_out(path: Path, entries: list[Path]) -> list[str]:
    """A line on files and folders that are not read."""
    names = sorted(f"{entry.relative_to(path)}{'/' if entry.is_dir() else ''}" for entry in entries)
    names = [name for name in names if not name.startswith(".")]
    return [f"left out {len(names):,} entries of {path} that are not read: {named(names)}"] if names else []


def _numbered(images: list[tuple], extra: Iterable[Path], records: Records) -> list[_Frame]:
    """Frames of one video from (number or None, file, objects, size) and from files without annotation.

    Positions in natural order where a number is missing. The numbers of files without annotation then follow from those in
    the names of all.
    """
    counts = Counter(image[1] for image in images)
    for file in (file for file, n in counts.items() if n > 1):
        records.skip(f"the annotations list {file} twice")
    images = [image for image in images if counts[image[1]] == 1]
    if images and all(number is not None for number, *_ in images):
        found = [_Frame(number, *rest) for number, *rest in images]
        digits = {file: re.findall(r"\d+", file.stem) for file in [*(image[1] for image in images), *extra]}
        shifts = {int(digits[file][-1]) - number if digits[file] else None for number, file, *_ in images}
        if extra and (len(shifts) > 1 or None in shifts or not all(digits[file] for file in extra)):
            raise UserError(
                f"{extra[0]} is in no annotation and its name does not tell its frame_id: number the files as the annotations do, or "
                "set dataset.unlisted to leave_out."
            )
        return found + [_Frame(int(digits[file][-1]) - min(shifts), file, [], annotated=False) for file in extra]
    every = [
        *((file, objects, size, True) for _, file, objects, size in images),
        *((file, [], None, False) for file in extra),
    ]
    every.sort(key=lambda item: _natural(str(item[0])))
    return [_Frame(i, *item) for i, item in enumerate(every)]


def _natural(name: str) -> tuple:
    """Sort key that puts frame_10 behind frame_9."""
    parts = re.split("([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _is_box(box: list[float], where: str, records: Records) -> bool:
    """Whether x1 y1 x2 y2 are a box; one that is none is a bad record."""
    if all(map(math.isfinite, box)) and box[0] <= box[2] and box[1] <= box[3]:
        return True
    corners = " ".join(f"{value:g}" for value in box)
    records.skip(f"the box of {where} is no box (x1 y1 x2 y2 = {corners})")
    return False


def _kept(settings: dict, class_names: list[str]) -> list[str]:
    kept = list(settings.get("classes") or class_names)
    if unknown := [name for name in kept if name not in class_names]:
        known = ", ".join(class_names) or "none"
        raise UserError(f"{settings['path']} has no class {unknown[0]} (only {known}): correct dataset.classes.")
    return kept


def _source(
    settings: dict,
    class_names: list[str],
    videos: _Videos,
    records: Records,
    lines: list[str],
    archive: Path | None = None,
) -> VideoSource:
    """Order the frames and flatten their boxes. Draws the test videos if the data name none.

    Raises UserError if there are no videos for one of the parts, no boxes, or too many bad records; a frame whose file is
    missing or whose number another one has is one of these.
    """
    path, kept = settings["path"], _kept(settings, class_names)
    videos = {key: _usable(key[1], found, archive is None, records) for key, found in videos.items()}
    lines = [*lines, *records.notes()]
    unlabeled = settings.get("labels") == "none"
    if not unlabeled:
        videos = _parts(settings, {key: found for key, found in videos.items() if found}, lines)
        # what a test frame shows must be known
        videos = {key: [frame for frame in found if frame.annotated or not key[0]] for key, found in videos.items()}
    keys = sorted((key for key, found in videos.items() if found), key=lambda key: (key[0], _natural(key[1])))
    ordered = [videos[key] for key in keys]
    frames = [frame for video in ordered for frame in video]
    label = {name: position for position, name in enumerate(kept)}
    objects = [[item for item in frame.objects if item[0] in label] for frame in frames]
    flat = list(itertools.chain.from_iterable(objects))
    if not flat and not unlabeled:
        raise UserError(
            f"{path} has no box of a class to keep ({', '.join(kept)}): simulated annotation needs true boxes."
        )
    if (n := sum(not frame.annotated for frame in frames)) and not unlabeled:
        lines.append(
            f"kept {n:,} frames of training videos without annotation: they are in no pool, as a simulated annotator cannot be asked "
            "for them"
        )
    lengths = [len(video) for video in ordered]
    names = [name for _, name in keys]
    names = [name if names.count(name) == 1 else f"{'test' if test else 'train'}/{name}" for test, name in keys]
    files, numbers = [frame.file for frame in frames], [frame.number for frame in frames]
    split_N = np.repeat(np.array([test for test, _ in keys], dtype=np.uint8), lengths)
    split_N[[not frame.annotated for frame in frames]] = NOT_ANNOTATED
    if unlabeled:
        split_N[:] = 0
    orientation_N = np.ones(len(frames), np.uint8)
    return VideoSource(
        class_names=kept,
        video_names=names,
        video_N=np.repeat(np.arange(len(keys)), lengths),
        frame_N=np.array(numbers, dtype=np.int64),
        split_N=split_N,
        boxes_M_4=np.array([item[2:] for item in flat], dtype=np.float32).reshape(-1, 4),
        box_labels_M=np.array([label[item[0]] for item in flat], dtype=np.int64),
        tracks_M=np.array([item[1] for item in flat], dtype=np.int64),
        offsets_N=np.cumsum([0, *map(len, objects)], dtype=np.int64),
        frames=decode(files, numbers, orientation_N) if archive is None else folders._images(archive, files),
        declared_N_2=np.array([frame.size or (np.nan, np.nan) for frame in frames], np.float64),
        files=_below(Path(path), files),
        orientation_N=orientation_N,
        notes=lines,
    )


def _usable(name: str, found: list[_Frame], are_files: bool, records: Records) -> list[_Frame]:
    """Frames of one video in order; those whose file is missing or whose number is not their own are bad records."""
    counts = Counter(frame.number for frame in found)
    for number in (number for number, n in counts.items() if n > 1):
        records.skip(f"Video {name} has {counts[number]} frames {number}")
    found = sorted((frame for frame in found if counts[frame.number] == 1), key=lambda frame: frame.number)
    missing = {file for file in {frame.file for frame in found} if not file.is_file()} if are_files else set()
    for file in sorted(missing):
        records.skip(f"{file} is listed in the annotations but missing")
    return [frame for frame in found if frame.file not in missing]


# ------------------------------------------------------------------------------------------------ training and test


def _parts(settings: dict, videos: _Videos, lines: list[str]) -> _Videos:
    """The videos with those for testing drawn, if the data name none: whole groups of them, or the end of each.

    Raises UserError if there is none for one of the parts, or if a group is in both.
    """
    path, fraction = settings["path"], settings.get("test_fraction")
    fraction = TEST_FRACTION if fraction is None else fraction
    is_test = [test for test, _ in videos]
    if not videos or all(is_test):
        part = "training videos" if videos else "videos with frames"
        raise UserError(f"{path} has no {part}: put some there, or correct dataset.path or dataset.classes.")
    groups = _groups(settings, videos, lines)
    if any(is_test):
        if settings["split_by"] == "time":
            raise UserError(f"{path} brings a test part of its own: delete dataset.split_by.")
        shared = {groups[key] for key in videos if key[0]} & {groups[key] for key in videos if not key[0]}
        if settings.get("group_pattern") and shared:
            raise UserError(
                f"{path} has the group {min(shared)} in its training and in its test part: move one, or correct dataset.group_pattern."
            )
        return videos
    if settings["split_by"] == "time":
        return _ends(settings, videos, fraction, lines)
    annotated = {key for key, found in videos.items() if any(frame.annotated for frame in found)}
    names = sorted({groups[key] for key in annotated}, key=_natural)
    if len(names) < 2:
        one = (
            "a single group with annotations," if settings.get("group_pattern") else "a single video with annotations,"
        )
        raise UserError(
            f"{path} has {one} none to test on: put a second one there, or set dataset.split_by: time to test on the end of each "
            "video."
        )
    n_test = round(len(names) * fraction)
    order = seeding.generator(0, "test videos").permutation(len(names))
    drawn = {names[i] for i in order[: min(max(n_test, 1), len(names) - 1)]}
    return {(groups[key] in drawn, key[1]): found for key, found in videos.items()}


def _groups(settings: dict, videos: _Videos, lines: list[str]) -> dict[tuple[bool, str], str]:
    """The group of each video, by the pattern ``group_pattern`` in the paths of its frames; a video is its own without a pattern."""
    if not settings.get("group_pattern"):
        return {key: key[1] for key in videos}
    groups, alone = {}, []
    for key, frames in videos.items():
        files, root = {frame.file for frame in frames}, Path(settings["path"])
        matches = [re.search(settings["group_pattern"], name) for name in _below(root, files)]
        found = {named_by(match) for match in matches if match}
        if len(found) > 1 or (found and None in matches):
            raise UserError(
                f"Video {key[1]} in {root} is in several groups ({named(sorted(map(str, found)))}): correct dataset.group_pattern."
            )
        if not found:
            alone.append(key[1])
        groups[key] = found.pop() if found else f"video {key[1]}"
    if alone:
        lines.append(f"dataset.group_pattern matches no path of {named(alone)}: each is a group of its own")
    return groups


def _below(path: Path, files: Iterable[Path | str]) -> list[str]:
    """Names of files below the path of the data set; in an archive they are names there already."""
    home = path if path.is_dir() else path.parent
    return [file if isinstance(file, str) else Path(os.path.relpath(file, home)).as_posix() for file in files]


def _ends(settings: dict, videos: _Videos, fraction: float, lines: list[str]) -> _Videos:
    """The last ``fraction`` of each video's annotated frames for testing, after a gap that is left out."""
    parts, left_out, gap = {}, 0, settings["gap"]
    for (_, name), frames in videos.items():
        annotated = [frame.number for frame in frames if frame.annotated]
        n_test = max(1, round(len(annotated) * fraction))
        if len(annotated) < n_test + 1:
            parts[False, name] = frames
            continue
        begin = annotated[-n_test]
        train = [frame for frame in frames if frame.number < begin - gap]
        if not any(frame.annotated for frame in train):
            raise UserError(
                f"Video {name} in {settings['path']} has no annotated frame more than {gap} frames before its last {n_test}: lower "
                "dataset.gap or dataset.test_fraction."
            )
        parts[False, name], parts[True, name] = train, [frame for frame in frames if frame.number >= begin]
        left_out += sum(begin - gap <= frame.number < begin for frame in frames)
    lines.append(
        f"the last {fraction:g} of each video is for testing; left out {left_out:,} frames before it (dataset.gap)"
    )
    return parts


# --------------------------------------------------------------------------------------------------------- writing


def prepare_videos(source: VideoSource, settings: dict, images_path, truth_path, origin: dict) -> None:
    """Write frames and boxes to images.h5 and truth.h5 (where a person labels: no label to given.h5) at ``settings`` height x width, padded with zeros.

    Without either, frames keep the size of the first, which all must have; without one, it follows from the shape of
    the first frame. Boxes are scaled and turned like their frame and clipped to it; those under a pixel wide or high are left
    out. Two batches of frames are in memory at most. Raises UserError if a frame cannot be decoded or has another size, or if
    too many boxes do not fit their frames.
    """
    check_names(source.class_names, settings.get("path"))
    with artifacts.create(images_path, IMAGES, origin) as writer:
        write_names(writer, "video_names", source.video_names)
        for name, values in (("split", source.split_N), ("video", source.video_N), ("frame", source.frame_N)):
            writer.dataset(name, values.shape, values.dtype)[...] = values
        bases, shown_N_2, size_N_2 = _write_frames(source, settings, writer)
        boxes_M_4, kept_M, lines = _placed(source, settings, bases, shown_N_2, size_N_2)
        unknown = [row for row, found in enumerate(bases) if found is None]
        if unknown:
            writer.file["split"][unknown] = NOT_ANNOTATED
        if unknown or (source.split_N == NOT_ANNOTATED).any():
            writer.file["split"].attrs["description"] += f", {NOT_ANNOTATED} not annotated and in neither"
        write_origins(writer, settings, source.files)
        notes.tell(writer, *source.notes, *lines)
    if settings.get("labels"):
        nothing = {"ids": np.zeros(0, np.int64), "labels": np.zeros(0, np.int64)}
        artifacts.write(truth_path, GIVEN, origin, nothing, class_names=np.array([], h5py.string_dtype()))
        return
    row_M = np.repeat(np.arange(len(source.video_N)), np.diff(source.offsets_N))
    data = {
        "boxes": boxes_M_4[kept_M].astype(np.float32),
        "box_labels": source.box_labels_M[kept_M],
        "tracks": source.tracks_M[kept_M],
        "offsets": np.concatenate([[0], np.cumsum(np.bincount(row_M[kept_M], minlength=len(source.video_N)))]),
    }
    artifacts.write(truth_path, TRUTH, origin, data, class_names=source.class_names)


def _write_frames(source: VideoSource, settings: dict, writer: artifacts.Writer) -> tuple[list, np.ndarray, np.ndarray]:
    """Write the frames; `basis` of each, its size (N,2) as shown, and as stored without padding, both width, height."""
    n = len(source.video_N)
    bases, shown_N_2, size_N_2, odd = [None] * n, np.zeros((n, 2)), np.zeros((n, 2)), Records(settings)

    def fitted():
        height, width = settings.get("height"), settings.get("width")
        any_size = height is not None or width is not None
        for row, image in source.frames:
            original = image.shape[1::-1]
            height = height or (max(1, round(original[1] * width / original[0])) if width else int(original[1]))
            width = width or max(1, round(original[0] * height / original[1]))
            if not any_size and image.shape[:2] != (height, width):
                raise UserError(
                    f"The frames in {settings['path']} differ in size ({height} x {width} and {original[1]} x {original[0]} "
                    "pixels): set dataset.height and dataset.width in the config."
                )
            image, size_N_2[row] = fit(image, height, width)
            shown_N_2[row] = original
            declared = tuple(source.declared_N_2[row].tolist())
            bases[row] = basis(declared, original, int(source.orientation_N[row]))
            if bases[row] is None:
                odd.skip(
                    f"{_place(source, row)} is {original[0]} x {original[1]} pixels, but its annotations are for "
                    f"{declared[0]:g} x {declared[1]:g}, which is of another shape"
                )
                odd.check(n)
            yield row, image

    write_images(writer, n, fitted(), "frames")
    return bases, shown_N_2, size_N_2


def _placed(
    source: VideoSource, settings: dict, bases: list, shown_N_2: np.ndarray, size_N_2: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Boxes (M,4) in the stored frames, clipped to them; which are kept (M,); and lines for the user."""
    known_N = np.array([found is not None for found in bases])
    basis_N_2 = np.array([found[0] if found else (1, 1) for found in bases], np.float64)
    turned_N = np.array([found is not None and found[1] for found in bases])
    row_M = np.repeat(np.arange(len(bases)), np.diff(source.offsets_N))
    scale_N_2 = size_N_2 / basis_N_2
    boxes_M_4 = source.boxes_M_4 * np.tile(scale_N_2[row_M], 2)
    turned_M = turned_N[row_M]
    rows = row_M[turned_M]
    shares = turned(source.boxes_M_4[turned_M] / np.tile(basis_N_2[rows], 2), source.orientation_N[rows])
    boxes_M_4[turned_M] = shares * np.tile(size_N_2[rows], 2)
    limit_M_4 = np.tile(size_N_2[row_M], 2)
    inside_M_4 = np.clip(boxes_M_4, 0, limit_M_4)
    outside_M = known_N[row_M] & ((boxes_M_4[:, 2:] <= 0) | (boxes_M_4[:, :2] >= limit_M_4[:, 2:])).any(1)
    wide_M = np.all(inside_M_4[:, 2:] - inside_M_4[:, :2] >= MINIMUM_PIXELS, axis=1)
    kept_M = wide_M & known_N[row_M]

    records = Records(settings, total=len(row_M))
    for m in np.flatnonzero(outside_M):
        corners = " ".join(f"{value:g}" for value in source.boxes_M_4[m].tolist())
        records.skip(f"the box {corners} of {_place(source, row_M[m])} is outside of it")
    lines = records.notes()
    if len(row_M) and not kept_M.any():
        raise UserError(
            f"{settings['path']} has no box that lies in its frame: correct the boxes or the sizes in the annotations."
        )
    if unknown := np.flatnonzero(~known_N).tolist():
        lines.append(
            f"left out the boxes of {len(unknown):,} frames whose annotations are for a frame of another shape: "
            f"{named([_place(source, row) for row in unknown])}"
        )
    stored_N_2 = np.where(turned_N[:, None] & (source.orientation_N >= 5)[:, None], shown_N_2[:, ::-1], shown_N_2)
    scaled_N = known_N & (basis_N_2 != stored_N_2).any(1) & (basis_N_2 != coco.RELATIVE).any(1)
    if scaled_N.any():
        row = np.flatnonzero(scaled_N)[0]
        lines.append(
            f"scaled the boxes of {scaled_N.sum():,} frames, whose annotations are for another size: the first is {stored_N_2[row, 0]:g} x "
            f"{stored_N_2[row, 1]:g} pixels, its annotations are for {basis_N_2[row, 0]:g} x {basis_N_2[row, 1]:g}"
        )
    if turned_N.any():
        lines.append(f"turned the boxes of {turned_N.sum():,} frames by the EXIF orientation, as their pixels")
    if small := int(np.sum(~wide_M & ~outside_M & known_N[row_M])):
        lines.append(f"left out {small:,} of {len(row_M):,} boxes: under one pixel wide or high in the frame")
    return inside_M_4, kept_M, lines


def _place(source: VideoSource, row: int) -> str:
    return f"frame {source.frame_N[row]} of {source.video_names[source.video_N[row]]}"
