"""What becomes of odd but real videos and camera traps (odd_videos.py): boxes against pixels, names, counts, and what is told."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Workflow
from odd_inputs import resolved
from odd_videos import BOX, CASES, ODD, ODD_OF_SURVEYS, SIZE, N, built
from PIL import Image, ImageOps

from dagal import artifacts, config, datasets, notes
from dagal.datasets import frames
from dagal.datasets.origins import origins
from dagal.datasets.source import NOT_ANNOTATED
from dagal.errors import UserError

ORIGIN = artifacts.provenance("dataset", {})


def prepared(folder, name, **changes):
    """Builds a case in a folder and prepares it: its settings, and the paths of both files."""
    settings = resolved(built(folder, name) | changes)
    paths = [folder / "out" / name for name in ("images.h5", "truth.h5")]
    datasets.prepare(settings, *paths, ORIGIN)
    return settings, paths


@pytest.fixture
def read(tmp_path):
    """Builds a case and reads it: data sets and attributes of both files by name, and the notes."""

    def read(name, **changes):
        _, paths = prepared(tmp_path, name, **changes)
        found = {"notes": notes.of(paths[0])}
        for path, kind in zip(paths, ("images", "truth"), strict=True):
            with artifacts.opened(path, kind) as file:
                found |= {name: file[name][()] for name in file} | dict(file.attrs)
        found["video_names"] = [name.decode() for name in found.get("video_names", ())]
        return found

    return read


def object_in(image):
    """x1 y1 x2 y2 of the bright pixels."""
    bright = image.mean(2) > 128
    ys, xs = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return [xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]


def assert_boxes_are_those_of_the_pixels(found, atol=0.0):
    """Each frame has one box, around its object."""
    assert (np.diff(found["offsets"]) == 1).all()
    for image, box in zip(found["images"], found["boxes"], strict=True):
        np.testing.assert_allclose(box, object_in(image), atol=atol)


def boxes_of(found, row):
    part = slice(found["offsets"][row], found["offsets"][row + 1])
    names = [found["class_names"][label] for label in found["box_labels"][part]]
    return list(zip(names, map(tuple, found["boxes"][part].tolist()), strict=True))


def row_of(found, video, frame):
    return int(
        np.flatnonzero((found["video"] == list(found["video_names"]).index(video)) & (found["frame"] == frame))[0]
    )


def test_every_case_has_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES) and all(case.expected for case in CASES)


# ---- sizes, EXIF


@pytest.mark.parametrize("name", ["declared_size_of_the_originals", "relative_boxes"])
def test_boxes_are_scaled_to_the_frames(read, name):
    found = read(name)
    assert_boxes_are_those_of_the_pixels(found)
    np.testing.assert_array_equal(found["boxes"], [BOX] * 2 * N)
    scaled = [line for line in found["notes"] if line.startswith("scaled the boxes of 24 frames")]
    assert len(scaled) == (name != "relative_boxes")


def test_boxes_are_scaled_to_frames_that_are_resized_too(read):
    found = read("declared_size_of_the_originals", height=96)
    assert found["images"].shape[1:3] == (96, 128)
    np.testing.assert_array_equal(found["boxes"], [[2 * value for value in BOX]] * 2 * N)


def test_a_declared_size_of_another_shape(read):
    with pytest.raises(
        UserError, match="64 x 48 pixels, but its annotations are for 128 x 128, which is of another shape"
    ):
        read("declared_size_of_another_shape")
    found = read("declared_size_of_another_shape_once")
    assert found["notes"] == [
        "left out the boxes of 1 frames whose annotations are for a frame of another shape: frame 0 of a"
    ]
    row = row_of(found, "a", 0)
    assert found["split"][row] == NOT_ANNOTATED and (np.delete(found["split"], row) < 2).all()
    assert len(found["boxes"]) == 2 * N - 1 and boxes_of(found, row) == []


def test_boxes_that_are_all_outside_are_refused_and_leave_nothing(read, tmp_path):
    with pytest.raises(UserError, match=r"box 200 100 220 120 of frame 0 of a is outside of it \(24 of 24 records"):
        read("all_boxes_outside")
    with pytest.raises(UserError, match="has no box that lies in its frame"):
        read("all_boxes_outside", bad_records=1)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("exif", range(1, 9))
def test_boxes_turn_as_the_pixels_do(read, exif):
    found = read(f"exif_of_stored_boxes_{exif}")
    assert found["images"].shape[1:3] == (SIZE if exif >= 5 else SIZE[::-1])
    assert_boxes_are_those_of_the_pixels(found, atol=1)  # JPEG
    assert len({tuple(box) for box in found["boxes"].tolist()}) == 1
    assert any(line.startswith("turned the boxes of 24 frames") for line in found["notes"]) == (exif != 1)


@pytest.mark.parametrize("exif", [5, 6, 7, 8])
def test_boxes_drawn_on_what_is_shown_stay(read, exif):
    found = read(f"exif_of_shown_boxes_{exif}")
    np.testing.assert_array_equal(found["boxes"], [BOX] * 2 * N)
    assert_boxes_are_those_of_the_pixels(found, atol=1)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("exif", range(1, 9))
def test_frames_are_turned_as_pillow_turns_them(tmp_path, exif, ending):
    file, about = tmp_path / f"a.{ending}", Image.Exif()
    about[0x0112] = exif
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)).resize((50, 30), 0)
    image.save(file, exif=about, **({"lossless": True} if ending == "webp" else {}))
    orientation_N = np.ones(1, np.uint8)
    ((_, decoded),) = frames.decode([file], [0], orientation_N)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB"))
    assert decoded.shape == expected.shape and np.abs(decoded.astype(int) - expected).max() <= (
        12 if ending == "jpg" else 0
    )
    assert orientation_N[0] == exif


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_boxes_of_video_files_that_ask_to_be_turned(read, degrees):
    found = read(f"turned_video_file_{degrees}")
    assert found["images"].shape[1:3] == (SIZE if degrees != 180 else SIZE[::-1])
    assert_boxes_are_those_of_the_pixels(found, atol=2)  # a lossy codec


@pytest.mark.parametrize("seed", range(5))
def test_turned_boxes_are_those_of_a_turned_image(seed):
    """Each orientation undone by Pillow on an image of labels."""
    rng = np.random.default_rng(seed)
    width, height = rng.integers(5, 40, 2)
    x1, y1 = rng.integers(0, width - 2), rng.integers(0, height - 2)
    x2, y2 = rng.integers(x1 + 1, width), rng.integers(y1 + 1, height)
    for exif in range(1, 9):
        image, about = Image.new("L", (int(width), int(height))), Image.Exif()
        image.paste(1, (int(x1), int(y1), int(x2), int(y2)))
        about[0x0112] = exif
        image.info["exif"] = about.tobytes()
        shown = np.asarray(ImageOps.exif_transpose(image))
        box = np.array([[x1 / width, y1 / height, x2 / width, y2 / height]])
        (found,) = frames.turned(box, np.array([exif])) * np.tile(shown.shape[::-1], 2)
        np.testing.assert_allclose(found, object_in(255.0 * shown[..., None]), atol=1e-9)


# ---- marked boxes


@pytest.mark.parametrize(
    ("name", "second", "note"),
    [
        ("crowd_box", [], "1 boxes stand for a crowd (iscrowd): left out (dataset.crowd)"),
        ("ignored_box", [], "1 boxes are marked as to be ignored: left out (dataset.ignored)"),
        ("invisible_box", [("person", (40, 30, 50, 34))], "1 boxes have visibility 0: kept (dataset.invisible)"),
        ("rotated_box", [("person", (43, 27, 47, 37))], "1 boxes are rotated: taken as the upright boxes around them (dataset.rotated)"),
        ("marked_boxes_otherwise", [("person", (40, 30, 50, 34))], "1 boxes stand for a crowd (iscrowd): kept (dataset.crowd)"),
    ],
)  # fmt: skip
def test_marked_boxes(read, name, second, note):
    found = read(name)
    assert note in found["notes"]
    assert boxes_of(found, row_of(found, "a", 0)) == [("car", BOX), *second]


@pytest.mark.parametrize("name", ["invisible", "rotated"])
def test_marked_boxes_are_left_out_where_asked(read, name):
    found = read(f"{name}_box", **{name: "leave_out"})
    assert boxes_of(found, row_of(found, "a", 0)) == [("car", BOX)]
    assert found["notes"] == [line for line in found["notes"] if f": left out (dataset.{name})" in line] != []


# ---- odd records

SKIPPED = {
    "unknown_category": "category 77 is not in its categories",
    "empty_bbox": "no bbox",
    "text_in_bbox": "is not four numbers",
    "negative_width": "no box: 9 9 6 13",
    "unknown_image": "there is no image 77",
    "no_file_name": "it has no 'file_name'",
    "repeated_id": "another image has its id 0",
    "repeated_file": "a/000.png twice",
    "missing_file": "a/999.png is listed in the annotations but missing",
    "box_outside": "the box 70 4 80 14 of frame 0 of a is outside of it",
    "width_null": None,
}


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_record_is_skipped_counted_and_told(read, odd):
    found = read(f"one_odd_record_{odd}")
    lost = {"repeated_id": 2, "repeated_file": 2, "width_null": 0}.get(odd, 1)
    gone = lost if odd in ("no_file_name", "repeated_id", "repeated_file", "missing_file") else 0
    assert len(found["boxes"]) == 2 * N - lost and len(found["images"]) == 2 * N - gone
    np.testing.assert_array_equal(found["boxes"], [BOX] * len(found["boxes"]))
    told = [line for line in found["notes"] if "records that cannot be used" in line]
    assert len(told) == (SKIPPED[odd] is not None)
    if told:
        assert SKIPPED[odd] in told[0]
    if odd != "width_null":
        with pytest.raises(UserError, match="more than the share 0"):
            read(f"one_odd_record_{odd}", bad_records=0)


def test_many_odd_records_are_refused(read):
    with pytest.raises(UserError, match=r"6 of 48 records cannot be used, more than the share 0\.1\).*bad_records"):
        read("many_odd_records")
    assert len(read("many_odd_records", bad_records=0.2)["boxes"]) == 18


# ---- MOT


def test_mot_classes_of_its_own(read):
    found = read("mot_with_labels")
    assert list(found["class_names"]) == ["car", "bus", "truck"]
    assert found["box_labels"].tolist() == [0, 1, 2] * 8
    assert_boxes_are_those_of_the_pixels(found)


def test_mot_of_cvat_without_seqinfo(read):
    found = read("mot_of_cvat")
    assert list(found["video_names"]) == ["train/mot_of_cvat", "test/mot_of_cvat"]
    assert found["frame"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12] and found["split"].tolist() == [0] * 8 + [1] * 2
    assert list(found["class_names"]) == ["car", "bus"]
    assert_boxes_are_those_of_the_pixels(found)


def test_mot_frames_are_named_from_zero_too(read, tmp_path):
    """As frame_000000.png, while gt.txt counts from 1."""
    folder = tmp_path / "mot_of_cvat"

    def renamed(settings):
        for i, file in enumerate(sorted((folder / "img1").iterdir())):
            file.rename(file.with_name(f"frame_{i:06}.png"))
        return settings

    from dagal.datasets import videos

    settings = config.load(
        {"study": "odd", "dataset": renamed(built(tmp_path, "mot_of_cvat")), "pool": {"initial": {"size": 1}}, "budget": 1,
         "cycles": 0, "seeds": [0], "learners": {"one": {"architecture": "faster_rcnn_small", "epochs": 1}}, "methods": {"random": None}}
    )["dataset"]  # fmt: skip
    assert videos.mot(settings).frame_N.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]


def test_mot_sequence_that_ends_early(read):
    found = read("mot_shorter_than_its_seqinfo")
    assert np.bincount(found["video"]).tolist() in ([N - 4, N], [N, N - 4])
    assert any("ends at frame 8, not at 12" in line for line in found["notes"])
    assert_boxes_are_those_of_the_pixels(found)


def test_mot_rows_that_are_odd(read):
    found = read("mot_with_odd_rows")
    assert list(found["class_names"]) == ["pedestrian"] and len(found["boxes"]) == 2 * N + 1
    for line in (
        "left out 1 boxes of the classes reflection",
        "1 boxes have visibility 0: kept (dataset.invisible)",
        "1 boxes are marked as to be ignored: left out (dataset.ignored)",
    ):
        assert line in found["notes"]
    assert any("left out 1 of 52 records" in line and "Line 16 of" in line for line in found["notes"])
    kept = read("mot_with_odd_rows", ignored="keep", invisible="leave_out")
    assert list(kept["class_names"]) == ["pedestrian", "car"] and len(kept["boxes"]) == 2 * N + 1


# ---- what lies beside


def test_video_files_of_other_kinds_are_read_and_the_rest_is_named(read, tmp_path):
    found = read("video_files_of_other_kinds")
    assert sorted(found["video_names"]) == ["a.mp4", "b.mkv", "c.mov", "d.avi"]
    assert found["notes"] == [
        f"left out 2 entries of {tmp_path}/video_files_of_other_kinds that are not read: lost.json, notes.txt"
    ]
    for name in found["video_names"]:
        capture = cv2.VideoCapture(str(tmp_path / "video_files_of_other_kinds" / name))
        for i in range(N):
            (row,) = [row_of(found, name, i)]
            np.testing.assert_array_equal(found["images"][row], capture.read()[1][..., ::-1])
            np.testing.assert_array_equal(boxes_of(found, row)[0][1], BOX)


def test_val_and_test_are_both_for_testing(read):
    found = read("val_beside_test")
    parts = dict(zip(found["video"].tolist(), found["split"].tolist(), strict=True))
    assert {found["video_names"][video]: part for video, part in parts.items()} == {
        "train_clip.avi": 0, "test_clip.avi": 1, "val_clip.avi": 1,
    }  # fmt: skip


def test_roboflow(read):
    found = read("roboflow")
    assert list(found["class_names"]) == ["car", "person"]
    assert list(found["video_names"]) == ["train", "test", "valid"] and found["split"].tolist() == [0] * N + [1] * 2 * N
    assert_boxes_are_those_of_the_pixels(found)
    assert any("README.roboflow.txt" in line for line in found["notes"])


# ---- frames without annotation


def test_unlisted_frames_are_left_out_and_told(read):
    found = read("unlisted_frames")
    assert len(found["images"]) == N and sorted(np.diff(found["offsets"]).tolist()) == [0] * 3 + [1] * 9
    assert found["notes"] == ["left out 12 frames that the annotations do not list, of a, b (dataset.unlisted)"]


@pytest.mark.parametrize(("name", "listed"), [("unlisted_frames_kept", 2), ("unlisted_frames_of_files_kept", 3)])
def test_unlisted_frames_are_kept_apart_from_those_that_show_nothing(read, name, listed):
    found = read(name)
    training = found["video"] == 0
    assert found["frame"][training].tolist() == list(range(N))
    assert found["split"][training].tolist() == [0 if i % listed == 0 else NOT_ANNOTATED for i in range(N)]
    assert set(found["split"][~training]) == {1}  # what a test frame shows must be known
    boxes_N = np.diff(found["offsets"])
    assert not boxes_N[found["split"] == NOT_ANNOTATED].any()
    nothing = (boxes_N == 0) & (found["split"] < 2)
    assert nothing.sum() == (3 if name == "unlisted_frames_kept" else 0)
    assert any(
        line.startswith(f"kept {np.sum(found['split'] == NOT_ANNOTATED)} frames of training") for line in found["notes"]
    )
    if name == "unlisted_frames_kept":
        assert all(object_in(image) == list(BOX) for image in found["images"])


def test_no_pool_holds_a_frame_without_annotation(read):
    from dagal.pool import make_split

    found = read("unlisted_frames_kept")
    settings = {
        "validation": 0,
        "initial": {"size": 2, "kind": "random"},
        "imbalance": {"kind": "none", "factor": 1, "where": "rest"},
    }
    split = make_split(found["split"], np.zeros(len(found["split"]), np.int64), 2, settings, 0)
    assert not np.isin(np.flatnonzero(found["split"] == NOT_ANNOTATED), np.concatenate(list(split.values()))).any()
    assert sum(map(len, split.values())) == np.sum(found["split"] < 2)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_a_video_without_annotations_is_not_tested_on(read, fraction):
    found = read("video_without_annotations_kept", test_fraction=fraction)
    assert found["split"][found["video"] == found["video_names"].index("a.avi")].tolist() == [NOT_ANNOTATED] * N
    assert np.bincount(found["split"]).tolist() == [N, N, 0, N]
    with pytest.raises(UserError, match="has no annotations, but simulated annotation needs the true boxes"):
        read("video_without_annotations_kept", unlisted="leave_out")


def test_frames_and_crops_lead_to_their_files(tmp_path):
    """Below the path of the data set, in any of its folders; the frames of a clip to the clip."""
    for name, kind in (("unlisted_frames_kept", ".png"), ("camera_trap_of_one_location", ".jpg")):
        settings, (file_of_images, _) = prepared(tmp_path / name, name)
        (images,) = artifacts.read(file_of_images, "images", "images")
        for row, file in enumerate(origins(file_of_images, np.arange(len(images)))["file"]):
            path = Path(settings["path"]) / file
            assert path.is_file() and path.suffix == kind
            if kind == ".png":
                np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], images[row])


@pytest.mark.slow
def test_a_run_tells_at_its_end_and_goes_without_them(tmp_path):
    workflow = Workflow(tmp_path)
    study = {
        "study": "odd", "dataset": built(tmp_path, "unlisted_frames_kept"), "pool": {"initial": {"size": 2}}, "budget": 2,
        "cycles": 1, "seeds": [0], "learners": {"one": {"architecture": "faster_rcnn_small", "epochs": 1, "device": "cpu"}},
        "methods": {"temporal_coherence": None}, "video": {"shards": 1},
    }  # fmt: skip
    workflow.write(study)
    done = workflow.snakemake("--cores", "2", "--quiet", "rules", "--until", "optical_flow", "initial")
    assert "kept 6 frames of training videos without annotation" in done.stderr
    results = tmp_path / "results"
    (split_N,) = artifacts.read(results / "datasets/odd/images.h5", "images", "split")
    ids = [*artifacts.read(results / "odd/seed0/split.h5", "split", "pool", "initial")]
    np.testing.assert_array_equal(np.sort(np.concatenate(ids)), np.flatnonzero(split_N == 0))
    (flow,) = (results / "datasets/odd").glob("flow_*/*.h5")
    np.testing.assert_array_equal(artifacts.read(flow, "flow", "ids")[0], np.flatnonzero(split_N == 0))


# ---- parts


def test_a_single_video(read):
    with pytest.raises(UserError, match=r"has a single video with annotations, none to test on: .*split_by: time"):
        read("single_video")
    found = read("single_video_by_time")
    assert found["frame"].tolist() == [*range(22), *range(32, 40)]
    assert found["split"].tolist() == [0] * 22 + [1] * 8
    assert found["notes"] == ["the last 0.2 of each video is for testing; left out 10 frames before it (dataset.gap)"]
    with pytest.raises(UserError, match=r"lower dataset\.gap"):
        read("single_video_by_time", gap=32)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_groups_are_not_torn_apart(read, fraction):
    found = read("groups_of_cameras", test_fraction=fraction)
    cameras = [name.split("_")[0] for name in found["video_names"]]
    parts = {(cameras[video], part) for video, part in zip(found["video"], found["split"].tolist(), strict=True)}
    assert len(parts) == 4 and sum(part for _, part in parts) == 4 * fraction


def test_a_group_in_both_parts_is_refused(read):
    with pytest.raises(UserError, match="has the group cam1 in its training and in its test part"):
        read("group_in_both_parts")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"group_pattern": "(cam"}, "no regular expression"),
        ({"group_pattern": "cam", "split_by": "time"}, "has no meaning with split_by: time"),
    ],
)
def test_mistakes_in_how_parts_are_made(read, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        read("groups_of_cameras", **changes)


# ---- camera traps


def species(found):
    """(file, species) of each crop, in order of the files."""
    names = [found["files"][source].decode() for source in found["source"]]
    return sorted(zip(names, [found["class_names"][label] for label in found["labels"]], strict=True))


@pytest.mark.parametrize("exif", [1, 3, 6, 8])
def test_annotated_boxes_of_camera_traps_turn_as_the_pixels_do(read, exif):
    found = read(f"camera_trap_with_exif_{exif}")
    assert [name for _, name in species(found)] == ["deer"] * 8
    assert found["images"].mean() > 200  # the crops are the object
    assert any(line.startswith("turned the annotated boxes of 8 images") for line in found["notes"]) == (exif != 1)


def test_relative_boxes_of_camera_traps(read):
    found = read("camera_trap_with_relative_boxes")
    assert [name for _, name in species(found)] == ["deer"] + ["empty"] * 7
    assert "7 crops of images with animals meet no box: they are empty" in found["notes"]


def test_the_detectors_own_threshold(read):
    found = read("megadetector_5")
    assert len(found["labels"]) == 8 and found["detected"].tolist() == [1] * 8
    assert "at least 0.2 are animals" in found["notes"][0]
    found = read("megadetector_5_with_a_confidence")
    assert len(found["labels"]) == 3 and found["detected"].sum() == 3
    assert "at least 0.9 are animals" in found["notes"][0] and "is 0.2" in found["notes"][0]


@pytest.mark.parametrize("odd", ODD_OF_SURVEYS)
def test_one_odd_record_of_camera_traps(read, odd):
    found = read(f"camera_trap_with_an_odd_record_{odd}")
    without_image = odd in ("annotated_category", "annotated_outside", "width_null", "other_shape", "detected_twice")
    first = int(without_image)
    assert species(found) == [(f"place{i}/{j}.jpg", "deer") for i in range(4) for j in (i, i + 4) if j >= first]
    assert found["animals"].tolist() == [1] * (8 - first)
    assert any(line.startswith("left out 1 of 3") and "place0/0.jpg" in line for line in found["notes"])
    with pytest.raises(UserError, match="more than the share 0"):
        read(f"camera_trap_with_an_odd_record_{odd}", bad_records=0)


def test_an_empty_bbox_is_an_animal_without_a_box(read):
    found = read("camera_trap_with_an_empty_bbox")
    assert [name for _, name in species(found)] == ["deer"] * 8
    assert sorted(found["animals"].tolist()) == [-1] + [1] * 7  # its number is not known


def test_empty_locations_are_no_location(read):
    found = read("camera_trap_with_empty_locations")
    assert 0 < found["split"].sum() < 8
    assert any(line.startswith("8 crops have no location") for line in found["notes"])


def test_annotations_of_sequences(read):
    found = read("camera_trap_with_sequence_annotations")
    assert len(found["labels"]) == 8
    assert found["notes"] == ["3 annotations are of a whole sequence: kept (dataset.sequence_annotations)"]
    found = read("camera_trap_without_sequence_annotations")
    assert len(found["labels"]) == 5
    assert (
        "3 annotations are of a whole sequence: their images are left out (dataset.sequence_annotations)"
        in found["notes"]
    )


def test_a_single_location(read):
    with pytest.raises(UserError, match=r"single location .*set dataset\.group_by to sequence or image"):
        read("camera_trap_of_one_location", group_by="location")
    assert 0 < read("camera_trap_of_one_location")["split"].sum() < 8
