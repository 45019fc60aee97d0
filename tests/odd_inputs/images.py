"""Image files in folders and archives. Content is compared with Pillow's, and with the arrays that were written."""

import bz2
import io
import lzma
import os
import struct
import tarfile
import zipfile
from fractions import Fraction

import cv2
import numpy as np
from PIL import Image, ImageOps

from odd_inputs import Case

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)  # two pictures
ALPHA = RNG.integers(0, 256, (9, 7), dtype=np.uint8)
RAMP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65  # 12 bits: 0, 65, ..., 4095


def put(path, image, **options):
    """Write an image file by Pillow, in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)


def pair(raw, make, ending, names=("a", "b")):
    """A data set of two classes with three files of one ending each, written by ``make(path, number)``."""
    for name in names:
        for number in range(3):
            path = raw / name / f"{number}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path, number)
    return {"loader": "image_folder"}


def plain(raw, parts=("",), each=3):
    """Folders of PNG files of different content; and their settings."""
    for part in parts:
        for name in "ab":
            for number in range(each):
                image = np.random.default_rng([len(part), ord(name), number]).integers(
                    0, 256, (9, 7, 3), dtype=np.uint8
                )
                put(raw / part / name / f"{number}.png", image)
    return {"loader": "image_folder"}


def pillow(path, background=(255, 255, 255)):
    """RGB of a file by Pillow: turned by its EXIF, transparency on a colour."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image).convert("RGB"))


def equals_pillow(tolerance=0, told=(), background=(255, 255, 255)):
    """A check that all images are those of Pillow, and of the notes."""

    def check(read, raw):
        assert not read.refusal, read.refusal
        for file, image in zip(read.files, read.images, strict=True):
            expected = pillow(raw / file, background).astype(int)
            assert image.shape == expected.shape, (file, image.shape, expected.shape)
            assert np.abs(image - expected).max() <= tolerance, file
        assert not told or read.told(*told), read.notes

    return check


def refused(*words):
    def check(read, raw):
        assert read.refusal and all(word in read.refusal for word in words), read.refusal or read.notes

    return check


def scaled(value, low, high):
    """What a value becomes, in exact numbers: a straight line from low to high, halves rounded up."""
    share = (Fraction(float(value)) - Fraction(float(low))) * 255 / (Fraction(float(high)) - Fraction(float(low)))
    return int(min(max((share + Fraction(1, 2)).__floor__(), 0), 255))


def equals_values(values, low, high, *told):
    """A check that gray images of ``values`` were scaled from low to high."""
    expected = np.vectorize(lambda value: scaled(value, low, high))(np.asarray(values))

    def check(read, raw):
        assert not read.refusal, read.refusal
        for image in read.images:
            np.testing.assert_array_equal(image, np.repeat(expected[..., None], 3, 2))
        assert read.told(*told), read.notes

    return check


def opencv(path, image):
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


# ---- turned and transparent files


def turned(ending, **options):
    def build(raw):
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            for name in "ab":
                put(raw / name / f"{orientation}{ending}", RGB[0], exif=exif, **options)
        return {"loader": "image_folder", "image_size": 8}

    def check(read, raw):
        for file, image in zip(read.files, read.images, strict=True):
            expected = pillow(raw / file)
            size = (8, 8)
            shrinks = min(expected.shape[:2]) >= 8
            expected = cv2.resize(expected, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
            assert np.abs(image.astype(int) - expected).max() <= (4 if ending in (".jpg", ".avif") else 0), file

    return Case(f"EXIF turns {ending}", build, check)


def shape_in_alpha(raw):
    """Black everywhere: the shape is where it is opaque."""
    alpha = np.zeros((9, 7), np.uint8)
    alpha[2:6, 1:5] = 255
    return pair(
        raw,
        lambda path, number: put(path, np.dstack([np.zeros((9, 7, 3), np.uint8), np.roll(alpha, number, 1)])),
        ".png",
    )


def is_the_shape(read, raw):
    equals_pillow(told=("6 images with transparency", "[255, 255, 255]"))(read, raw)
    assert all(sorted(np.unique(image)) == [0, 255] and (image == 0).sum() == 48 for image in read.images)


def transparent(mode, ending, **options):
    def make(path, number):
        rgba = Image.fromarray(np.dstack([RGB[0], np.roll(ALPHA, number)]))
        if mode == "P":
            image = Image.fromarray(RGB[number % 2]).quantize(8)
            put(path, image, transparency=options.get("transparency", 3))
        elif mode in ("L+", "RGB+"):
            image = Image.fromarray(RGB[0]).convert(mode[:-1])
            first = image.getpixel((0, 0))
            put(path, image, transparency=first)
        else:
            put(path, rgba.convert(mode), **options)

    return Case(
        f"{ending[1:].upper()} with transparency, {mode}{' by entry' if 'transparency' in options else ''}",
        lambda raw: pair(raw, make, ending),
        equals_pillow(tolerance=1, told=("6 images with transparency",)),
    )


def deep_alpha(raw):
    """16 bits and transparency: values of half the range at half opacity, on black."""
    image = np.full((9, 7, 4), (0, 20000, 60000, 32768), np.uint16)  # blue, green, red, alpha for OpenCV
    image[0, 0] = (65535, 65535, 65535, 65535)
    image[0, 1, 3] = 0
    return pair(raw, lambda path, number: opencv(path, image), ".png") | {
        "background": [0, 0, 0],
        "intensity": [0, 65535],
    }


def is_composed_before_it_is_scaled(read, raw):
    expected = [scaled(Fraction(value * 32768, 65535), 0, 65535) for value in (60000, 20000, 0)]
    assert np.abs(read.images[:, 5, 5].astype(int) - expected).max() <= 1 and (read.images[:, 0, 0] == 255).all()
    assert (read.images[:, 0, 1] == 0).all() and read.told("uint16") and read.told("transparency", "[0, 0, 0]")


# ---- more than 8 bits


def deep(name, values, low, high, ending=".tif", write=None, **settings):
    values = np.asarray(values)

    def make(path, number):
        (write or opencv)(path, values)

    told = ("6 images of more than 8 bits", str(values.dtype))
    return Case(name, lambda raw: pair(raw, make, ending) | settings, equals_values(values, low, high, *told))


def percentiles(raw):
    values = np.arange(10_000, dtype=np.uint16).reshape(100, 100) + 1000
    values[0, :4] = 65535  # hot pixels
    return pair(raw, lambda path, number: opencv(path, values), ".png") | {"intensity": "percentiles"}


def hot_pixels_take_no_range(read, raw):
    """The middle of the values is in the middle of the range, where the full range would put it at 23."""
    assert abs(int(read.images[0, 50, 0, 0]) - 127) <= 1 and read.told("percentiles") and read.told("cut in 6 of them")


def not_finite(raw):
    values = np.linspace(-1, 1, 63, dtype=np.float32).reshape(9, 7)
    values[0, 0], values[0, 1] = np.nan, np.inf
    return pair(raw, lambda path, number: opencv(path, values), ".tif")


def nan_is_black(read, raw):
    assert (read.images[:, 0, 0] == 0).all() and (read.images[:, 0, 1] == 255).all()
    assert read.images[0, 8, 6].tolist() == [255] * 3 and read.told("not finite, were cut in 6")


def colours_of_16_bits(raw):
    """Three channels are scaled alike, or colours would change."""
    image = np.zeros((9, 7, 3), np.uint16)
    image[...] = (1000, 2000, 4000)  # blue, green, red
    image[0, 0] = 0
    return pair(raw, lambda path, number: opencv(path, image), ".png")


def keeps_the_hue(read, raw):
    assert (read.images[:, 5, 5] == (255, 128, 64)).all(), read.images[0, 5, 5]


def bits_mixed(raw):
    """Files of 8 bits stay as they are beside deeper ones."""
    pair(raw, lambda path, number: opencv(path, RAMP), ".png", "a")
    return pair(raw, lambda path, number: put(path, np.full((8, 8), 40 + number, np.uint8)), ".bmp", "ab")


def eight_bits_are_left_alone(read, raw):
    for file, image in zip(read.files, read.images, strict=True):
        if file.endswith(".bmp"):
            assert (image == 40 + int(file[2])).all()
        else:
            assert len(np.unique(image)) == 64 and image.max() == 255


# ---- which files there are


def many_endings(raw):
    for name in "ab":
        for number, ending in enumerate((".jpg", ".jfif", ".jpe", ".JPEG")):
            (raw / name).mkdir(exist_ok=True)
            content = io.BytesIO()
            Image.fromarray(RGB[number % 2]).save(content, "JPEG", quality=95)
            (raw / name / f"{number}{ending}").write_bytes(content.getvalue())
        for ending in (".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm"):
            options = {"lossless": True} if ending == ".webp" else {}
            put(
                raw / name / f"x{ending}",
                Image.fromarray(RGB[0]).quantize(32) if ending == ".gif" else RGB[0],
                **options,
            )
        put(raw / name / "x.pgm", RGB[0, ..., 0])
        put(raw / name / "x.pbm", ALPHA > 127)
        put(raw / name / "x.avif", RGB[0], quality=100, subsampling="4:4:4")
    return {"loader": "image_folder"}


def all_endings_are_read(read, raw):
    assert len(read.files) == 28, read.files
    equals_pillow(tolerance=6)(read, raw)
    for file, image in zip(read.files, read.images, strict=True):
        lossy = file.endswith((".jpg", ".jfif", ".jpe", ".JPEG", ".avif"))
        assert lossy or np.array_equal(image, pillow(raw / file)), file


def not_read(raw):
    settings = plain(raw)
    for number in range(50):
        (raw / "a" / f"{number}.heic").write_bytes(b"heic")
    (raw / "b" / "notes.txt").write_text("x")
    (raw / "b" / "raw.NEF").write_bytes(b"x")
    put(raw / "cover.png", RGB[0])
    return settings


def left_out_is_counted(read, raw):
    assert len(read.files) == 6 and read.told("left out 52 files", "50 .heic", "1 .txt", "1 .nef")
    assert read.told("left out 1 image beside the class folders")


def val_beside_test(raw):
    settings = plain(raw, ("train", "test", "val"))
    put(raw / "extra/a/1.png", RGB[0])
    return settings


def val_is_named(read, raw):
    assert read.split.tolist() == [0] * 6 + [1] * 6 and all(file.startswith(("train/", "test/")) for file in read.files)
    assert read.told("left out val/ with 6 images") and read.told("left out extra/ with 1 image")


def cameras(raw):
    for name in ("ok", "defect"):
        for camera in ("cam1", "cam2"):
            for number in range(2):
                value = 10 * len(name) + 3 * number + (camera == "cam2")
                put(raw / name / camera / f"{number}.png", np.full((8, 8, 3), value, np.uint8))
    return {"loader": "image_folder"}


def classes_are_the_upper_folders(read, raw):
    assert read.class_names == ["defect", "ok"] and len(read.files) == 8
    assert all(
        read.class_names[label] == file.split("/")[0] for label, file in zip(read.labels, read.files, strict=True)
    )
    assert read.told("the classes are defect/, ok/ and not cam1/, cam2/")


def loop(raw):
    settings = plain(raw, each=6)
    (raw / "a/all").symlink_to(raw / "a", target_is_directory=True)
    (raw / "b/up").symlink_to("../..", target_is_directory=True)
    return settings


def each_file_once(n):
    def check(read, raw):
        real = [os.path.realpath(raw / file) for file in read.files]
        assert len(real) == len(set(real)) == n, read.files
        for file, label in zip(real, read.labels, strict=True):
            assert read.class_names[label] in file.split("/"), (file, label)
        for file, image in zip(read.files, read.images, strict=True):
            np.testing.assert_array_equal(image, pillow(raw / file))

    return check


def loops_are_told(read, raw):
    each_file_once(12)(read, raw)
    assert read.told("followed no link to a folder that it lies in", "a/all")


def links(raw):
    """Links to the files of another class, and within a class; whole folders and single files."""
    settings = plain(raw, each=4)
    (raw / "b/other").symlink_to(raw / "a", target_is_directory=True)
    (raw / "b/again.png").symlink_to(raw / "b/0.png")
    return settings


def own_names_win(read, raw):
    each_file_once(8)(read, raw)
    assert read.told("left out 5 links to files that are read already")


def split_by_links(raw):
    """A pool of files beside train/ and test/, which are made of links: these count."""
    plain(raw / "store", each=4)
    for part, numbers in (("train", (0, 1, 2)), ("test", (3,))):
        for name in "ab":
            (raw / part / name).mkdir(parents=True)
            for number in numbers:
                (raw / part / name / f"{number}.png").symlink_to(raw / "store" / name / f"{number}.png")
    return {"loader": "image_folder"}


def links_are_the_data(read, raw):
    each_file_once(8)(read, raw)
    assert read.split.tolist() == [0] * 6 + [1] * 2 and read.told("left out store/ with 8 images")


def copies(raw):
    settings = plain(raw, ("train", "test"))
    (raw / "test/a/copy.png").write_bytes((raw / "train/a/1.png").read_bytes())
    (raw / "train/b/copy.png").write_bytes((raw / "train/a/2.png").read_bytes())
    return settings


def copies_are_told(read, raw):
    assert len(read.files) == 14 and read.told("1 of 7 test images", "test/a/copy.png and train/a/1.png")
    assert read.told("1 image with the same file in another class", "train/b/copy.png and train/a/2.png")


# ---- names


def odd_names(raw):
    for name in ("NA", "None", "nan", "null", "Żółw 🐢", 'a,b;"c"', "1.0"):
        for number in range(3):
            put(raw / name / f"{number} #%ü.png", np.full((8, 8, 3), number, np.uint8))
    return {"loader": "image_folder"}


def names_survive(read, raw):
    assert read.class_names == sorted(["NA", "None", "nan", "null", "Żółw 🐢", 'a,b;"c"', "1.0"])
    assert all((raw / file).is_file() for file in read.files)


def latin_1(raw):
    for name in (b"caf\xe9", b"t\xe4", b"plain"):
        folder = raw / os.fsdecode(name)
        folder.mkdir()
        for number in range(3):
            opencv(folder / os.fsdecode(b"\xfc%d.png" % number), np.full((8, 8, 3), number, np.uint8))
    return {"loader": "image_folder"}


def latin_1_is_read(read, raw):
    assert sorted(read.class_names) == ["café", "plain", "tä"] and len(read.files) == 9
    assert all((raw / file).is_file() for file in read.files) and read.told("2 names", "Latin-1")


def many_classes(raw):
    small = cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
    for number in range(4200):
        folder = raw / f"species {number:04}"
        folder.mkdir()
        for name in ("a.png", "b.png"):
            (folder / name).write_bytes(small)
    return {"loader": "image_folder", "image_size": 8}


def all_classes_have_names(read, raw):
    assert len(read.class_names) == 4200 and read.class_names[-1] == "species 4199"
    assert read.labels.max() == 4199 and (np.bincount(read.labels) == 2).all()


# ---- archives


def archive(ending, enclosed=""):
    def build(raw):
        settings = plain(raw / "files", ("train", "test"))
        packed, place = raw / f"data{ending}", raw / "files"
        names = sorted(str(file.relative_to(place)) for file in place.rglob("*") if file.is_file())
        if ending == ".zip":
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
                for name in names:
                    file.write(place / name, enclosed + name)
        else:
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as tar:
                for name in names:
                    tar.add(place / name, enclosed + name)
            pack = {".tar.bz2": bz2.compress, ".tar.xz": lzma.compress, ".tar": bytes}[ending]
            packed.write_bytes(pack(content.getvalue()))
        return settings | {"path": str(packed)}

    def check(read, raw):
        assert not read.refusal, read.refusal
        assert read.split.tolist() == [0] * 6 + [1] * 6 and len(read.files) == 12
        for file, image in zip(read.files, read.images, strict=True):
            np.testing.assert_array_equal(image, pillow(raw / "files" / file.removeprefix(enclosed)))
        assert read.data["raw_file"].tolist() == [f"data{ending}".encode()]

    return Case(f"{ending}{' with a folder around' if enclosed else ''}", build, check)


def damaged_zip(raw):
    settings = archive(".zip").build(raw)
    path = raw / "data.zip"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)
    return settings


def encrypted_zip(raw):
    settings = archive(".zip").build(raw)
    path = raw / "data.zip"
    content = bytearray(path.read_bytes())
    at = 0
    while (
        at := content.find(b"PK\x01\x02", at)
    ) >= 0:  # set the bit of every entry in the directory, and in its own header
        (start,) = struct.unpack_from("<I", content, at + 42)
        content[at + 8] |= 1
        content[start + 6] |= 1
        at += 4
    path.write_bytes(content)
    return settings


# ---- damage


def several_damaged(raw):
    settings = plain(raw, each=15)
    for name in "ab":
        for number in range(0, 15, 3):
            (raw / name / f"{number}.png").write_bytes(b"" if number else (raw / name / "1.png").read_bytes()[:60])
    return settings


def several(raw):
    for name in "ab":
        put(
            raw / name / "1.gif",
            Image.fromarray(RGB[0]).quantize(32),
            save_all=True,
            append_images=[Image.fromarray(RGB[1]).quantize(32)],
        )
        put(raw / name / "1.tif", RGB[0], save_all=True, append_images=[Image.fromarray(RGB[1])])
        put(raw / name / "1.png", RGB[0], save_all=True, append_images=[Image.fromarray(RGB[1])])
    return {"loader": "image_folder"}


def groups(raw):
    """Ten patients with three images of each class; one is in a class alone."""
    for patient in range(10):
        for name in "ab":
            for number in range(3):
                value = np.uint8(20 * patient + number + 9 * (name == "b"))
                put(raw / name / f"p{patient}_{number}.png", np.full((8, 8, 3), value, np.uint8))
    return {"loader": "image_folder", "group_pattern": r"/p(\d+)_", "test_fraction": 0.3}


def no_patient_is_in_two_parts(read, raw):
    patient = np.array([int(file.split("/p")[1].split("_")[0]) for file in read.files])
    assert not {*patient[read.split == 1]} & {*patient[read.split == 0]}
    assert np.bincount(read.labels[read.split == 1]).tolist() == [9, 9]  # three patients
    assert [int(read.group_names[group]) for group in read.group] == patient.tolist()


def torn_groups(raw):
    return plain(raw, ("train", "test")) | {"group_pattern": r"(\d)\.png$"}


CASES = [
    turned(".jpg", quality=95, subsampling=0),
    turned(".png"),
    turned(".webp", lossless=True),
    turned(".tif"),
    turned(".avif", quality=100, subsampling="4:4:4"),
    Case("the shape is in alpha only", shape_in_alpha, is_the_shape),
    transparent("RGBA", ".png"),
    transparent("LA", ".png"),
    transparent("P", ".png"),
    transparent("P", ".png", transparency=bytes(range(0, 256, 32))),
    transparent("L+", ".png"),
    transparent("RGB+", ".png"),
    transparent("RGBA", ".webp", lossless=True, exact=True),
    transparent("RGBA", ".tif"),
    transparent("LA", ".tif"),
    transparent("P", ".gif"),
    Case("16 bits with transparency", deep_alpha, is_composed_before_it_is_scaled),
    deep("12 bits in a PNG of 16", RAMP, 0, 4095, ".png"),
    deep("12 bits in a PNG of 16, window", RAMP, 0, 65535, ".png", intensity=[0, 65535]),
    deep("12 bits in a PNG of 16, narrow window", RAMP, 1000, 2000, ".png", intensity=[1000, 2000]),
    deep(
        "PGM of 12 bits",
        RAMP,
        0,
        4095,
        ".pgm",
        lambda path, values: path.write_bytes(b"P5\n8 8\n4095\n" + values.astype(">u2").tobytes()),
    ),
    deep("TIFF of 16 bits", RAMP, 0, 4095),
    deep("TIFF of 16 bits with sign", RAMP.astype(np.int16) - 2000, -2000, 2095),
    deep("TIFF of 8 bits with sign", (np.arange(64).reshape(8, 8) - 30).astype(np.int8), -30, 33),
    deep("TIFF of 32 bits", RAMP.astype(np.int32) * 1000 - 7, -7, 4094993),
    deep("TIFF of 32 bits without sign", RAMP.astype(np.uint32) * 1_000_000, 0, 4_095_000_000),
    deep("TIFF of floats", RAMP.astype(np.float32) / 4096 - 0.25, -0.25, 4095 / 4096 - 0.25),
    deep("TIFF of double floats", RAMP / 4096 * 1e-6, 0, 4095 / 4096 * 1e-6),
    deep("TIFF of floats by Pillow", RAMP.astype(np.float32), 0, 4095, ".tiff", put),
    Case("hot pixels, percentiles", percentiles, hot_pixels_take_no_range),
    Case("NaN and infinite in a TIFF", not_finite, nan_is_black),
    Case("colours of 16 bits", colours_of_16_bits, keeps_the_hue),
    Case("8 bits beside 16", bits_mixed, eight_bits_are_left_alone),
    Case(
        "PGM with a maximum of 15",
        lambda raw: pair(raw, lambda path, number: path.write_bytes(b"P5\n4 4\n15\n" + bytes(range(16))), ".pgm"),
        equals_pillow(),
    ),
    Case("fourteen endings", many_endings, all_endings_are_read),
    Case("HEIC and other files in class folders", not_read, left_out_is_counted),
    Case("val/ beside test/", val_beside_test, val_is_named),
    Case("ok/cam1 ok/cam2 defect/cam1 defect/cam2", cameras, classes_are_the_upper_folders),
    Case("links to folders above", loop, loops_are_told),
    Case("links into another class", links, own_names_win),
    Case("train/ and test/ made of links", split_by_links, links_are_the_data),
    Case("the same file in train and test", copies, copies_are_told),
    Case("class folders NA, None, nan", odd_names, names_survive),
    Case("names in Latin-1", latin_1, latin_1_is_read),
    Case("4,200 classes", many_classes, all_classes_have_names),
    archive(".zip"),
    archive(".zip", "photos/"),
    archive(".tar"),
    archive(".tar.bz2"),
    archive(".tar.xz", "photos/"),
    Case("damaged .zip", damaged_zip, refused("data.zip", "cannot be read to its end")),
    Case("encrypted .zip", encrypted_zip, refused("data.zip", "encrypted")),
    Case("ten damaged files", several_damaged, refused("10 files", "a/0.png", "b/12.png", "cannot be decoded")),
    Case(
        "files of several images",
        several,
        equals_pillow(told=("of 6 files that hold several images the first was read",)),
    ),
    Case("groups by a pattern", groups, no_patient_is_in_two_parts),
    Case("groups torn by train/ and test/", torn_groups, refused("group 0", "in two parts", "3 such groups")),
]
