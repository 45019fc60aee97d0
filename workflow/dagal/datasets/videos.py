"""Video data with boxes: ImageNet-VID, MOTChallenge, COCO JSON, folders of videos, CamVid.

A loader lists frames and boxes without decoding a frame; `prepare_videos` then streams them to images.h5 and truth.h5.
Boxes are x1 y1 x2 y2 in pixels from the upper left corner of the frame; x2 and y2 are the first pixel edge outside.
"""

import configparser
import csv
import io
import itertools
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from dagal import artifacts, seeding
from dagal.datasets import folders
from dagal.datasets.source import IMAGES, TRUTH, write_images
from dagal.errors import UserError

TEST_FRACTION = 0.2
MINIMUM_PIXELS = 1 - 1e-3  # a box of one pixel must survive the rounding of its scaled corners
VIDEO_ENDINGS = (".mp4", ".avi")
SYNSETS = {"n02958343": "car", "n02834778": "bicycle", "n03790512": "motorcycle"}  # the road classes of ImageNet-VID
MOT_CLASSES = {1: "pedestrian", 3: "car", 4: "bicycle", 5: "motorbike"}
CAMVID_CLASSES = ["car", "pedestrian", "bicyclist"]


@dataclass(frozen=True)
class VideoSource:
    """N listed frames with M boxes, by video, then time; training videos first. Boxes in pixels of the original frame."""

    class_names: list[str]
    video_names: list[str]
    video_N: np.ndarray  # int64, position in video_names
    frame_N: np.ndarray  # int64, number of the frame in its video, rising
    split_N: np.ndarray  # uint8, 0 train, 1 test
    boxes_M_4: np.ndarray  # float32
    box_labels_M: np.ndarray  # int64, position in class_names
    tracks_M: np.ndarray  # int64, which object of the video; -1 unknown
    offsets_N: np.ndarray  # (N+1,) int64, frame i has the boxes offsets_N[i]:offsets_N[i+1]
    frames: Iterator[tuple[int, np.ndarray]]  # (row, uint8 RGB image), decoded one by one, any order

    def write(self, settings: dict, images_path, truth_path, origin: dict, workers: int) -> None:
        """Write images.h5 and truth.h5."""
        prepare_videos(self, settings, images_path, truth_path, origin)


@dataclass(frozen=True)
class _Frame:
    number: int  # order in time; the position in a video file
    file: Path | str  # image or video file; name in the archive
    objects: list[tuple]  # (class name, track, x1, y1, x2, y2)


_Videos = dict[tuple[bool, str], list[_Frame]]  # (for testing, name) -> frames in any order


def imagenet_vid(settings: dict) -> VideoSource:
    """ImageNet-VID (ILSVRC2015): the videos with cars, bicycles or motorcycles; val/ is the test set.

    Frames in which no object of any class is annotated are left out, as in the thesis (003, section 2.6, there by hand).
    Corners in the files are the first and last pixel, counted from 0. Reads the annotations of all 4417 videos.
    """
    path = Path(settings["path"])
    root = next(
        (root for root in (path, path / "ILSVRC2015", path / "ILSVRC") if (root / "Annotations").is_dir()), path
    )
    kept, videos, left_out = set(_kept(settings, list(SYNSETS.values()))), {}, 0
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
            frames = _imagenet_frames(video, root / "Data" / "VID" / part / video.relative_to(folder), kept)
            videos[part == "val", video.name] = [frame for frame in frames if frame.objects]
            left_out += sum(not frame.objects for frame in frames)
    if left_out:
        print(f"left out {left_out:,} frames without an annotated object")
    return _source(settings, list(SYNSETS.values()), {key: frames for key, frames in videos.items() if frames})


def _imagenet_frames(annotations: Path, images: Path, kept: set[str]) -> list[_Frame]:
    """All frames of a video that shows a kept class, none of any other video."""
    contents = {file: _read(file) for file in sorted(annotations.glob("*.xml"))}
    if not any(synset.encode() in data for data in contents.values() for synset in SYNSETS):
        return []  # most videos; parsing is slower than reading
    frames = []
    for file, data in contents.items():
        try:
            objects = []
            for item in ET.fromstring(data).iter("object"):
                track, name = int(item.findtext("trackid", "-1")), item.findtext("name")
                corners = [float(item.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")]
                x1, y1, x2, y2 = _box(corners, f"object {track} in {file}")
                objects.append((SYNSETS.get(name, name), track, x1, y1, x2 + 1, y2 + 1))
            frames.append(_Frame(int(file.stem), images / f"{file.stem}.JPEG", objects))
        except (ET.ParseError, TypeError, ValueError) as error:
            raise UserError(f"{file} is no annotation of ImageNet-VID ({error}): unpack it again.") from None
    return frames if any(item[0] in kept for frame in frames for item in frame.objects) else []


def mot(settings: dict) -> VideoSource:
    """MOTChallenge (MOT16, 17, 20) with its train/ folder in or at ``path``; rows of confidence 0 are left out.

    MOT17 holds each video three times, once per detector: one is taken. Its vehicles all have confidence 0.
    """
    path, videos = Path(settings["path"]), {}
    places = sorted(
        {file for pattern in ("", "train/", "*/train/") for file in path.glob(f"{pattern}*/seqinfo.ini")},
        key=lambda file: _natural(str(file)),
    )
    if not places:
        raise UserError(
            f"{path} holds no MOTChallenge videos (train/NAME/seqinfo.ini): get MOT17 or MOT20 from motchallenge.net "
            "and unpack it there."
        )
    for place in places:
        name = re.sub(r"-(DPM|FRCNN|SDP)$", "", place.parent.name)
        if (False, name) not in videos:
            videos[False, name] = _mot_frames(place)
    found = {item[0] for frames in videos.values() for frame in frames for item in frame.objects}
    return _source(settings, [name for name in MOT_CLASSES.values() if name in found], videos)


def _mot_frames(place: Path) -> list[_Frame]:
    truth = place.parent / "gt" / "gt.txt"
    try:
        info = configparser.ConfigParser()
        info.read_string(_read(place).decode())
        info = info["Sequence"]
        folder, ending = place.parent / info.get("imDir", "img1"), info.get("imExt", ".jpg")
        frames = [_Frame(i, folder / f"{i:06}{ending}", []) for i in range(1, info.getint("seqLength") + 1)]
    except (configparser.Error, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{place} is no seqinfo.ini of MOTChallenge ({error!r}): unpack it again.") from None
    for position, line in enumerate(_read(truth).decode(errors="replace").rstrip().splitlines(), 1):
        try:
            number, track, left, top, width, height, confidence, class_number, _ = map(float, line.split(","))
            objects = frames[int(number) - 1 if number >= 1 else len(frames)].objects
            if confidence and class_number in MOT_CLASSES:
                # pixels are counted from 1
                box = _box([left - 1, top - 1, left - 1 + width, top - 1 + height], f"line {position} of {truth}")
                objects.append((MOT_CLASSES[int(class_number)], int(track), *box))
        except (ArithmeticError, IndexError, ValueError):
            raise UserError(
                f"Line {position} of {truth} is not one of MOT16, 17 or 20 (nine numbers, the first from 1 to "
                f"{len(frames)}): unpack it again."
            ) from None
    return frames


def coco_video(settings: dict) -> VideoSource:
    """Frames with COCO or COCO-VID JSON, as CVAT exports it; files called *test* or *val* hold the test videos.

    The video of a frame is its entry in `videos`, or else its folder.
    """
    path, class_names, groups = Path(settings["path"]), {}, {}
    files = sorted(path.glob("annotations/*.json"))
    files = files or [path / name for name in ("annotations.json", "instances_default.json") if (path / name).is_file()]
    if not files:
        raise UserError(
            f"{path} has no annotations/*.json, annotations.json or instances_default.json: export the frames with "
            "boxes from CVAT as COCO 1.0 and unpack them there."
        )
    for file in files:
        names, images = _coco(file)
        class_names |= dict.fromkeys(names)
        subset = file.stem.removeprefix("instances_")
        roots = [path, path / "images", path / "images" / subset, path / subset]
        root = next((root for root in roots if images and (root / images[0][1]).is_file()), path)
        is_test = re.search("(?<![a-z])(test|val|validation)(?![a-z])", file.stem.lower()) is not None
        for video, name, number, objects in images:
            groups.setdefault((is_test, video or subset), []).append((number, root / name, objects))
    return _source(settings, list(class_names), {key: _numbered(images) for key, images in groups.items()})


def video_folder(settings: dict) -> VideoSource:
    """Videos, each a folder of frames or an .mp4 or .avi file, with COCO JSON; train/ and test/ above them if wanted.

    The boxes are in NAME.json beside the video or in one annotations.json. Frames of a video file are found by
    `frame_id` or the number in `file_name`, counted from 0 as CVAT does. Frames that are not listed are left out.
    """
    path, class_names, videos, parsed = Path(settings["path"]), {}, {}, {}
    layout = "put one folder of frames, .mp4 or .avi file for each video there, and its boxes as NAME.json beside it"
    if not path.is_dir():
        raise UserError(f"{path} is no folder: {layout}.")
    parts = [root for root in (path / "train", path / "test") if root.is_dir()]
    beside = [clip.name for clip in sorted(path.iterdir()) if clip.suffix.lower() in VIDEO_ENDINGS] if parts else []
    if beside:
        raise UserError(f"{path / beside[0]} lies beside train/ or test/: put it into one of them.")
    for root in parts or [path]:
        clips = [clip for clip in sorted(root.iterdir()) if not clip.name.startswith((".", "__"))]
        clips = [clip for clip in clips if clip.is_dir() or clip.suffix.lower() in VIDEO_ENDINGS]
        if not clips:
            raise UserError(f"{root} holds no videos: {layout}.")
        for clip in clips:
            stem = clip.name if clip.is_dir() else clip.stem
            own = [root / f"{clip.name}.json", root / f"{stem}.json"]
            common = [root / "annotations.json", path / "annotations.json"]
            file = next((file for file in own + common if file.is_file()), None)
            if file and file not in parsed:
                parsed[file] = _coco(file)
            names, images = parsed[file] if file else ((), [])
            if file in common:
                called = {f"{prefix}{name}" for prefix in ("", f"{root.name}/") for name in (clip.name, stem)}
                images = [image for image in images if image[0] in called]
            if not images:
                raise UserError(
                    f"{clip} has no annotations, but simulated annotation needs the true boxes: put {stem}.json in COCO "
                    f"format beside it, or list its frames in {common[0]}."
                )
            class_names |= dict.fromkeys(names)
            videos[root.name == "test" and root != path, clip.name] = _clip_frames(clip, images)
    return _source(settings, list(class_names), videos)


def _clip_frames(clip: Path, images: list[tuple]) -> list[_Frame]:
    if clip.is_dir():
        frames = _numbered([(number, clip / PurePosixPath(name).name, objects) for _, name, number, objects in images])
        if extra := sum(file.suffix.lower() in folders.ENDINGS for file in clip.iterdir()) - len(frames):
            print(f"left out {extra:,} frames of {clip} that its annotations do not list")
        return frames
    frames = []
    for _, name, number, objects in images:
        digits = re.findall(r"\d+", PurePosixPath(name).stem)
        if number is None and not digits:
            raise UserError(
                f"Image {name} in the annotations of {clip} has no frame number: name it frame_000000 or so."
            )
        frames.append(_Frame(int(digits[-1]) if number is None else number, clip, objects))
    return frames


def camvid(settings: dict) -> VideoSource:
    """CamVid at 400x300 with derived boxes, unpacked or as camvid-400x300.tar, in or at ``path``; val is for training.

    A video is one sequence of one part: two of the four sequences have frames in two parts.
    """
    path, names = Path(settings["path"]), ("frames.csv", "boxes.csv")
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
            frames[part, row["frame"]] = frame = _Frame(int(row["number"]), file, [])
            videos.setdefault((part == "test", f"{part}/{row['seq']}"), []).append(frame)
        for position, row in enumerate(boxes, 2):
            box = _box(
                [float(row[key]) for key in ("x1", "y1", "x2", "y2")], f"line {position} of boxes.csv in {place}"
            )
            frames[row["split"], row["frame"]].objects.append((row["class"], -1, *box))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{place} is not the CamVid of camvid-400x300.tar with frames.csv and boxes.csv ({error!r}): put that there."
        ) from None
    return _source(settings, CAMVID_CLASSES, videos, place)


def _coco(file: Path) -> tuple[list[str], list[tuple]]:
    """Class names, and (video or folder, name, number or None, objects) of each image of a COCO or COCO-VID file."""
    try:
        data = json.loads(_read(file))
        classes = {item["id"]: str(item["name"]) for item in sorted(data["categories"], key=lambda item: item["id"])}
        videos = {item["id"]: str(item["name"]) for item in data.get("videos", [])}
        objects = {image["id"]: [] for image in data["images"]}
        if len(objects) < len(data["images"]):
            raise ValueError("two images have the same id")
        for item in data["annotations"]:
            if not item.get("iscrowd"):
                x, y, width, height = map(float, item["bbox"])
                track = [(item.get("attributes") or {}).get("track_id"), item.get("track_id"), item.get("instance_id")]
                track = int(next((value for value in track if value is not None), -1))
                box = _box([x, y, x + width, y + height], f"annotation {item.get('id')} in {file}")
                objects[item["image_id"]].append((classes[item["category_id"]], track, *box))
        images = []
        for image in data["images"]:
            name, number = image["file_name"].replace("\\", "/"), image.get("frame_id")
            video = videos.get(image.get("video_id"), str(PurePosixPath(name).parent))
            number = None if number is None else int(number)
            if number is not None and number < 0:
                raise ValueError(f"frame_id {number}")
            images.append((None if video == "." else video, name, number, objects[image["id"]]))
        return list(classes.values()), images
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is not COCO JSON with boxes ({error!r}): export it as COCO 1.0, from CVAT say."
        ) from None


def _numbered(images: list[tuple]) -> list[_Frame]:
    """Frames of one video from (number or None, file, objects); positions in natural order where a number is missing."""
    images = sorted(images, key=lambda image: _natural(str(image[1])))
    for (_, file, _), (_, other, _) in itertools.pairwise(images):
        if file == other:
            raise UserError(f"The annotations list {file} twice: give each frame one entry.")
    given = all(number is not None for number, *_ in images)
    return [_Frame(number if given else i, file, objects) for i, (number, file, objects) in enumerate(images)]


def _natural(name: str) -> tuple:
    """Sort key that puts frame_10 behind frame_9."""
    parts = re.split("([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): put it there.") from None


def _box(box: list[float], where: str) -> list[float]:
    if not all(map(math.isfinite, box)) or box[2] < box[0] or box[3] < box[1]:
        corners = " ".join(f"{value:g}" for value in box)
        raise UserError(f"The box of {where} is no box (x1 y1 x2 y2 = {corners}): correct or delete it.")
    return box


def _kept(settings: dict, class_names: list[str]) -> list[str]:
    kept = list(settings.get("classes") or class_names)
    if unknown := [name for name in kept if name not in class_names]:
        known = ", ".join(class_names) or "none"
        raise UserError(f"{settings['path']} has no class {unknown[0]} (only {known}): correct dataset.classes.")
    return kept


def _source(settings: dict, class_names: list[str], videos: _Videos, archive: Path | None = None) -> VideoSource:
    """Order the frames and flatten their boxes. Draws the test videos if the data name none.

    Raises UserError if there are no videos for one of the parts, no boxes, repeated frame numbers or missing files.
    """
    path, kept = settings["path"], _kept(settings, class_names)
    videos = _with_test_videos(settings, videos)
    keys = sorted(videos, key=lambda key: (key[0], _natural(key[1])))
    ordered = [sorted(videos[key], key=lambda frame: frame.number) for key in keys]
    for (_, name), frames in zip(keys, ordered, strict=True):
        if repeated := [a.number for a, b in itertools.pairwise(frames) if a.number == b.number]:
            raise UserError(f"Video {name} in {path} has two frames {repeated[0]}: give each frame its own number.")
    frames = [frame for video in ordered for frame in video]
    if archive is None and (missing := next((frame.file for frame in frames if not frame.file.is_file()), None)):
        raise UserError(f"{missing} is listed in the annotations but missing: put it there.")
    label = {name: position for position, name in enumerate(kept)}
    objects = [[item for item in frame.objects if item[0] in label] for frame in frames]
    flat = list(itertools.chain.from_iterable(objects))
    if not flat:
        raise UserError(
            f"{path} has no box of a class to keep ({', '.join(kept)}): simulated annotation needs true boxes."
        )
    lengths = [len(video) for video in ordered]
    names = [name for _, name in keys]
    names = [name if names.count(name) == 1 else f"{'test' if test else 'train'}/{name}" for test, name in keys]
    files, numbers = [frame.file for frame in frames], [frame.number for frame in frames]
    return VideoSource(
        class_names=kept,
        video_names=names,
        video_N=np.repeat(np.arange(len(keys)), lengths),
        frame_N=np.array(numbers, dtype=np.int64),
        split_N=np.repeat(np.array([test for test, _ in keys], dtype=np.uint8), lengths),
        boxes_M_4=np.array([item[2:] for item in flat], dtype=np.float32),
        box_labels_M=np.array([label[item[0]] for item in flat], dtype=np.int64),
        tracks_M=np.array([item[1] for item in flat], dtype=np.int64),
        offsets_N=np.cumsum([0, *map(len, objects)], dtype=np.int64),
        frames=_decode(files, numbers) if archive is None else folders._images(archive, files),
    )


def _with_test_videos(settings: dict, videos: _Videos) -> _Videos:
    path, fraction = settings["path"], settings.get("test_fraction")
    is_test = [test for test, _ in videos]
    if not videos or all(is_test):
        part = "training videos" if videos else "videos with frames"
        raise UserError(f"{path} has no {part}: put some there, or correct dataset.path or dataset.classes.")
    if any(is_test):
        return videos
    if len(videos) == 1:
        raise UserError(f"{path} has a single video, none to test on: put a second one there.")
    names = sorted((name for _, name in videos), key=_natural)
    n_test = round(len(names) * (TEST_FRACTION if fraction is None else fraction))
    order = seeding.generator(0, "test videos").permutation(len(names))
    drawn = {names[i] for i in order[: min(max(n_test, 1), len(names) - 1)]}
    return {(name in drawn, name): frames for (_, name), frames in videos.items()}


def _decode(files: list[Path], numbers: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """(row, RGB image) of image files, and of the numbered frames of video files."""
    import cv2

    for file, rows in itertools.groupby(range(len(files)), key=files.__getitem__):
        if file.suffix.lower() in VIDEO_ENDINGS:
            images = _decode_video(file, {numbers[row]: row for row in rows})
        else:
            # imread would print a warning of its own
            data = np.frombuffer(_read(file), np.uint8)
            images = ((row, cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None) for row in rows)
        for row, image in images:
            if image is None:
                raise UserError(f"{file} cannot be decoded as an image: replace or delete it.")
            yield row, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _decode_video(file: Path, rows: dict[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """(row, BGR image) of the wanted frames, from the first to the last of them: seeking is not exact."""
    import cv2

    capture, last = cv2.VideoCapture(str(file)), max(rows)
    try:
        if not capture.isOpened():
            raise UserError(f"{file} cannot be decoded as a video: it may be truncated, copy or convert it again.")
        for number in range(last + 1):
            wanted = number in rows
            done, image = capture.read() if wanted else (capture.grab(), None)
            if not done:
                raise UserError(
                    f"{file} ends after {number} frames but its annotations list frame {last}, counted from 0: it may be "
                    "truncated, copy it again or correct the numbers."
                )
            if wanted:
                yield rows[number], image
    finally:
        capture.release()


def prepare_videos(source: VideoSource, settings: dict, images_path, truth_path, origin: dict) -> None:
    """Write frames and boxes to images.h5 and truth.h5 at ``settings`` height x width, padded with zeros.

    Without either, frames keep the size of the first, which all must have; without one, it follows from the shape of
    the first frame. Boxes are scaled like their frame and clipped to it; those under a pixel wide or high are left out.
    Two batches of frames are in memory at most. Raises UserError if a frame cannot be decoded or has another size.
    """
    with artifacts.create(images_path, IMAGES, origin, video_names=source.video_names) as writer:
        for name, values in (("split", source.split_N), ("video", source.video_N), ("frame", source.frame_N)):
            writer.dataset(name, values.shape, values.dtype)[...] = values
        scale_N_2, size_N_2 = _write_frames(source, settings, writer)
    counts_N = np.diff(source.offsets_N)
    row_M = np.repeat(np.arange(len(counts_N)), counts_N)
    boxes_M_4 = np.clip(source.boxes_M_4 * np.tile(scale_N_2[row_M], 2), 0, np.tile(size_N_2[row_M], 2))
    kept_M = np.all(boxes_M_4[:, 2:] - boxes_M_4[:, :2] >= MINIMUM_PIXELS, axis=1)
    if not kept_M.all():
        print(f"left out {np.sum(~kept_M):,} of {len(kept_M):,} boxes: under one pixel wide or high in the frame")
    data = {
        "boxes": boxes_M_4[kept_M].astype(np.float32),
        "box_labels": source.box_labels_M[kept_M],
        "tracks": source.tracks_M[kept_M],
        "offsets": np.concatenate([[0], np.cumsum(np.bincount(row_M[kept_M], minlength=len(counts_N)))]),
    }
    artifacts.write(truth_path, TRUTH, origin, data, class_names=source.class_names)


def _write_frames(source: VideoSource, settings: dict, writer: artifacts.Writer) -> tuple[np.ndarray, np.ndarray]:
    """Write the frames; scale (N,2) of the boxes of each and its size (N,2) without padding, both x, y."""
    n = len(source.video_N)
    scale_N_2, size_N_2 = np.zeros((n, 2)), np.zeros((n, 2))

    def fitted():
        height, width = settings.get("height"), settings.get("width")
        any_size = height is not None or width is not None
        for row, image in source.frames:
            original = np.array(image.shape[1::-1])
            height = height or (max(1, round(original[1] * width / original[0])) if width else int(original[1]))
            width = width or max(1, round(original[0] * height / original[1]))
            if not any_size and image.shape[:2] != (height, width):
                raise UserError(
                    f"The frames in {settings['path']} differ in size ({height} x {width} and {original[1]} x {original[0]} "
                    "pixels): set dataset.height and dataset.width in the config."
                )
            image, size_N_2[row] = _fit(image, height, width)
            scale_N_2[row] = size_N_2[row] / original
            yield row, image

    write_images(writer, n, fitted(), "frames")
    return scale_N_2, size_N_2


def _fit(image: np.ndarray, height: int, width: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Resize to fit height x width in its own shape, zeros right and below; and its (width, height) without these."""
    import cv2

    scale = min(height / image.shape[0], width / image.shape[1])
    size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
    if size != image.shape[1::-1]:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.pad(image, ((0, height - size[1]), (0, width - size[0]), (0, 0))), size
