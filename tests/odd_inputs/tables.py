"""Tables of images: CSV, TSV, Parquet, NumPy arrays. Content is compared with the arrays that were written."""

import csv
import io
import json
from functools import partial

import numpy as np
from PIL import Image

from odd_inputs import Case
from odd_inputs.images import equals_values, refused


def picture(number):
    """An image that tells its number."""
    return np.full((8, 8, 3), (number, 255 - number, 7 * number % 256), np.uint8)


def content(number):
    data = io.BytesIO()
    Image.fromarray(picture(number)).save(data, "PNG")
    return data.getvalue()


def rows(n=24):
    """Files in folders that say nothing of the classes: twelve patients, two classes."""
    return [(f"scans/{number:02}.png", ("ill", "well")[number % 3 == 0], f"p{number // 2}") for number in range(n)]


def write_files(raw):
    (raw / "scans").mkdir()
    for number, (name, *_) in enumerate(rows()):
        (raw / name).write_bytes(content(number))


def write_csv(raw, header, body, name="table.csv", delimiter=",", encoding="utf-8"):
    with (raw / name).open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *body])
    return {"loader": "image_table", "path": str(raw / name)}


def as_written(read, number_of=lambda file: int(file[6:8])):
    """Every image and class is that of its row."""
    assert not read.refusal, read.refusal
    classes = [label for _, label, _ in rows(100)]
    for file, image, label in zip(read.files, read.images, read.labels, strict=True):
        number = number_of(file)
        np.testing.assert_array_equal(image, picture(number))
        assert read.class_names[label] == classes[number], file


def text(name, delimiter=",", encoding="utf-8", header=("path", "label", "note")):
    def build(raw):
        write_files(raw)
        body = [(file, label, f'of "{group}",\nand so on') for file, label, group in rows()]
        return write_csv(raw, header, body, name, delimiter, encoding)

    def check(read, raw):
        as_written(read)
        assert len(read.files) == 24 and read.class_names == ["ill", "well"] and read.split.sum() == 5
        assert read.data["raw_file"].tolist() == [name.encode(), *sorted(file.encode() for file in read.files)]

    return Case(f"{name}, {delimiter!r}, {encoding}, {header[0]}", build, check)


def grouped(raw, **settings):
    write_files(raw)
    return write_csv(raw, ("path", "label", "group"), rows()) | {"test_fraction": 0.25} | settings


def whole_groups(read, raw):
    as_written(read)
    patient = np.array([int(file[6:8]) // 2 for file in read.files])
    assert read.split.sum() == 6 and not {*patient[read.split == 1]} & {*patient[read.split == 0]}
    assert [read.group_names[group].decode() for group in read.group] == [f"p{number}" for number in patient]
    assert np.bincount(read.labels[read.split == 1]).tolist() == [4, 2]  # as 16 and 8 in all


def renamed_group(raw):
    write_files(raw)
    return write_csv(raw, ("path", "label", "Patient"), rows()) | {"group": "Patient", "test_fraction": 0.25}


def by_pattern(raw):
    """The first figure of the number: three groups, of ten, ten and four images."""
    write_files(raw)
    return write_csv(raw, ("path", "label"), [row[:2] for row in rows()]) | {"group_pattern": r"/(\d)\d\.png"}


def one_figure(read, raw):
    as_written(read)
    assert [file[6] for file in np.array(read.files)[read.split == 1]] == ["2"] * 4


def three_parts(raw):
    write_files(raw)
    words = ["Training", "TEST", "val", "train"]
    return write_csv(raw, ("path", "label", "split"), [(*row[:2], words[i % 4]) for i, row in enumerate(rows())])


def parts_are_kept(read, raw):
    as_written(read)
    part = {0: 0, 1: 1, 2: 2, 3: 0}
    assert [part[int(file[6:8]) % 4] for file in read.files] == read.split.tolist() == [0] * 12 + [1] * 6 + [2] * 6


def validation(raw):
    write_files(raw)
    return write_csv(
        raw, ("path", "label", "validation"), [(*row[:2], ["", "yes"][i % 4 == 3]) for i, row in enumerate(rows())]
    )


def validation_is_kept(read, raw):
    as_written(read)
    assert all((int(file[6:8]) % 4 == 3) == (part == 2) for file, part in zip(read.files, read.split, strict=True))
    assert (read.split == 2).sum() == 6 and (read.split == 1).sum() == 4


def names_of_numbers(raw):
    """Classes 9 and 10 in the order of numbers; one called NA in that of letters."""
    write_files(raw)
    return write_csv(raw, ("path", "label"), [(row[0], 9 + i % 2) for i, row in enumerate(rows())])


def in_the_order_of_numbers(read, raw):
    assert read.class_names == ["9", "10"]
    assert all(
        int(read.class_names[label]) == 9 + int(file[6:8]) % 2
        for file, label in zip(read.files, read.labels, strict=True)
    )


def class_na(raw):
    write_files(raw)
    return write_csv(raw, ("path", "label"), [(row[0], ["NA", "None"][i % 2]) for i, row in enumerate(rows())])


def na_is_a_class(read, raw):
    assert read.class_names == ["NA", "None"] and np.bincount(read.labels).tolist() == [12, 12]


def wrong(header, *body):
    def build(raw):
        write_files(raw)
        return write_csv(raw, header, [*[row[: len(header)] for row in rows()], *body])

    return build


def parquet_of_paths(raw):
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_files(raw)
    paths, labels, groups = zip(*rows(), strict=True)
    pq.write_table(pa.table({"path": paths, "label": labels, "group": groups}), raw / "table.parquet")
    return {"loader": "image_table", "path": str(raw / "table.parquet"), "test_fraction": 0.25}


def parquet_of_images(raw, files):
    """Shards as the `datasets` library writes them: bytes and path of each image, and the names of the classes in the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, "label": {"names": ["ill", "well"], "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", image), ("label", pa.int64())], {"huggingface": json.dumps({"info": {"features": features}})}
    )
    (raw / "data").mkdir()
    for name, numbers in files.items():
        images = [{"bytes": content(number), "path": f"{number}.png"} for number in numbers]
        labels = [int(number % 3 == 0) for number in numbers]
        table = pa.Table.from_pylist([{"image": i, "label": x} for i, x in zip(images, labels, strict=True)], schema)
        pq.write_table(table, raw / "data" / name, row_group_size=5)
    return {"loader": "image_table", "path": str(raw)}


SHARDS = {
    "train-00000-of-00002.parquet": range(80),
    "train-00001-of-00002.parquet": range(80, 90),
    "test-00000-of-00001.parquet": range(90, 96),
    "validation-00000-of-00001.parquet": range(96, 100),
}


def shards_are_parts(read, raw):
    def number_of(file):
        name, row = file.removeprefix("data/").split("/")
        return SHARDS[name][int(row)]

    as_written(read, number_of)
    assert np.bincount(read.split).tolist() == [90, 6, 4] and read.class_names == ["ill", "well"]
    assert [number_of(file) for file in read.files[:90]] == list(range(90))


def one_shard_is_divided(read, raw):
    as_written(read, lambda file: int(file.split("/")[-1]))
    assert len(read.files) == 30 and read.split.sum() == 6


# ---- arrays


def numbers(n, start=0):
    return np.stack([picture(number) for number in range(start, start + n)])


def npz(raw, **arrays):
    np.savez(raw / "data.npz", **arrays)
    return {"loader": "npz", "path": str(raw / "data.npz")}


def keras(raw):
    labels = np.arange(12)[:, None] % 3
    return npz(raw, x_train=numbers(8), y_train=labels[:8], x_test=numbers(4, 8), y_test=labels[8:])


def medmnist(raw):
    gray = numbers(12)[..., 0]
    arrays = {}
    for part, first, last in (("train", 0, 6), ("val", 6, 8), ("test", 8, 12)):
        arrays |= {f"{part}_images": gray[first:last], f"{part}_labels": np.arange(first, last)[:, None] % 3}
    return npz(raw, **arrays)


def in_order(parts, channels):
    def check(read, raw):
        assert not read.refusal, read.refusal
        assert read.split.tolist() == parts and read.images.shape == (12, 8, 8, channels)
        order = read.images[:, 0, 0, 0]
        np.testing.assert_array_equal(read.images, numbers(12)[order][..., :channels])
        np.testing.assert_array_equal(read.labels, order % 3)
        assert read.class_names == ["0", "1", "2"]

    return check


def channels_first(raw):
    names = np.array(["cat", "dog"])
    return npz(raw, images=numbers(20).transpose(0, 3, 1, 2), labels=names[np.arange(20) % 2], group=np.arange(20) // 4)


def groups_of_arrays(read, raw):
    assert read.images.shape == (20, 8, 8, 3) and read.class_names == ["cat", "dog"] and read.split.sum() == 4
    number = read.images[:, 0, 0, 0]
    np.testing.assert_array_equal(read.labels, number % 2)
    np.testing.assert_array_equal(read.images, numbers(20)[number])
    assert len({*(number[read.split == 1] // 4)}) == 1
    assert [file for file in read.files if file.startswith("images/")] == [f"images/{n}" for n in number]


def shares(raw):
    """Floats of 0 to 1, all the same image."""
    return npz(raw, images=np.repeat(SHARES[None], 6, 0), labels=np.arange(6) % 2)


SHARES = np.linspace(0, 1, 64).reshape(8, 8).astype(np.float32)


def floats_are_scaled(read, raw):
    assert read.images.shape == (6, 8, 8, 1)
    wide = type(read)(read.data | {"images": np.repeat(read.images, 3, 3)}, read.class_names, read.notes)
    equals_values(SHARES, 0, 1, "6 images of more than 8 bits", "float32")(wide, raw)


RAMP = (np.arange(64) * 65).reshape(8, 8).astype(np.uint16)  # 0 to 4095


def deep_and_opaque(raw):
    """12 bits in 16, with an alpha of 65535, which is no intensity."""
    pixels = np.stack([RAMP, RAMP, RAMP, np.full_like(RAMP, 65535)], 2)
    return npz(raw, images=np.repeat(pixels[None], 6, 0), labels=np.arange(6) % 2)


CASES = [
    text("table.csv"),
    text("table.csv", ";", "utf-8-sig"),
    text("table.tsv", "\t", header=("File_Name", "LABEL", "note")),
    Case("CSV with groups", grouped, whole_groups),
    Case("CSV with a group of another name", renamed_group, whole_groups),
    Case("CSV with groups by a pattern", by_pattern, one_figure),
    Case("CSV with train, test and val", three_parts, parts_are_kept),
    Case("CSV with a validation set", validation, validation_is_kept),
    Case("CSV with classes 9 and 10", names_of_numbers, in_the_order_of_numbers),
    Case("CSV with classes NA and None", class_na, na_is_a_class),
    Case("CSV without label", wrong(("path",)), refused("table.csv", "no column label")),
    Case("CSV with an empty label", wrong(("path", "label"), ("scans/x.png", "")), refused("no label in row 26")),
    Case(
        "CSV with a file twice", wrong(("path", "label"), ("scans/01.png", "ill")), refused("lists scans/01.png twice")
    ),
    Case(
        "CSV with missing files",
        wrong(("path", "label"), ("x.png", "ill"), ("y.png", "ill")),
        refused("x.png, y.png are missing"),
    ),
    Case("CSV with an uneven row", wrong(("path", "label"), ("x.png",)), refused("1 cells in row 26")),
    Case(
        "CSV with an unknown split",
        lambda raw: (
            write_files(raw),
            write_csv(raw, ("path", "label", "split"), [(*row[:2], "new") for row in rows()]),
        )[1],
        refused("split 'new' in row 2"),
    ),
    Case("Parquet with paths and groups", parquet_of_paths, whole_groups),
    Case("Parquet with images, of the datasets library", partial(parquet_of_images, files=SHARDS), shards_are_parts),
    Case(
        "Parquet with images, one part",
        partial(parquet_of_images, files={"train.parquet": range(30)}),
        one_shard_is_divided,
    ),
    Case(".npz as of Keras", keras, in_order([0] * 8 + [1] * 4, 3)),
    Case(".npz as of MedMNIST", medmnist, in_order([0] * 6 + [1] * 4 + [2] * 2, 1)),
    Case(".npz, channels first, names, groups", channels_first, groups_of_arrays),
    Case(".npz of floats", shares, floats_are_scaled),
    Case(
        ".npz of 16 bits with alpha",
        deep_and_opaque,
        equals_values(RAMP, 0, 4095, "6 images of more than 8 bits", "uint16"),
    ),
    Case(".npz without labels", lambda raw: npz(raw, images=numbers(3)), refused("images but no labels")),
    Case(".npz of objects", lambda raw: npz(raw, images=np.array([{}]), labels=np.arange(1)), refused("plain arrays")),
]
