"""Artifacts: what is written is what is read, complete or not at all, byte for byte the same."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import kinds

from dagal import __version__, artifacts
from dagal.acquisition.methods import SCORES as SCORES_KIND
from dagal.artifacts import Kind
from dagal.errors import UserError
from dagal.tasks.segmentation.regions import REGIONS

ORIGIN = artifacts.provenance("score", {"budget": 5}, seed=3)
SCORES = {"ids": np.array([2, 5, 9]), "score": np.array([0.5, -1.0, 1e-300])}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "by" / "write.h5"


@pytest.fixture
def scores(path):
    artifacts.write(path, "scores", ORIGIN, SCORES)
    return path


def files_in(folder):
    return sorted(p.name for p in folder.iterdir())


def test_what_is_written_is_read_in_the_order_asked_for(scores):
    score, ids = artifacts.read(scores, "scores", "score", "ids")
    for found, written in ((score, SCORES["score"]), (ids, SCORES["ids"])):
        assert found.dtype == written.dtype
        np.testing.assert_array_equal(found, written)
    assert files_in(scores.parent) == [scores.name]


def test_every_data_set_of_every_kind_is_described(path):
    found = kinds()
    assert len(found) >= 25
    for kind in found:
        assert kind.name.isidentifier() and kind.version >= 1
        assert kind.datasets and all(kind.datasets.values()), kind
        artifacts.write(path, kind, ORIGIN, {name: np.zeros((2, 3), np.float32) for name in kind.datasets})
        with h5py.File(path) as file:
            assert file.attrs["schema"] == f"{kind.name}/{kind.version}"
            assert {name: dataset.attrs["description"] for name, dataset in file.items()} == dict(kind.datasets)


def test_only_what_differs_between_tasks_is_declared_twice():
    several = Counter(kind.schema for kind in kinds())
    assert {schema for schema, n in several.items() if n > 1} == {"history/1", "labeled/1", "predictions/1"}


def test_a_kind_by_its_word_is_its_first_version_without_descriptions(path):
    artifacts.write(path, "nonsense", ORIGIN, {"anything": np.zeros(3)})
    with h5py.File(path) as file:
        assert file.attrs["schema"] == "nonsense/1"
        assert "description" not in file["anything"].attrs
    artifacts.write(path, Kind("nonsense", 2, {"anything": "what"}), ORIGIN, {"anything": np.zeros(3)})
    with pytest.raises(UserError, match="'nonsense/2' where 'nonsense/1' is needed"):
        artifacts.read(path, "nonsense", "anything")


def test_root_attributes_tell_the_origin(path):
    artifacts.write(path, "scores", ORIGIN, SCORES, class_names=np.array(["a", "ö"], h5py.string_dtype()))
    found = artifacts.attributes(path, "scores")
    assert found.pop("class_names").tolist() == ["a", "ö"]
    assert found == {
        "schema": "scores/1",
        "created_by": "score",
        "params_hash": artifacts.params_hash({"budget": 5}),
        "seed": 3,
        "dagal_version": __version__,
    }


def test_the_same_content_gives_the_same_bytes(tmp_path):
    # large enough for chunks and gzip
    data = {"ids": np.arange(300_000), "score": np.linspace(0, 1, 300_000)}
    artifacts.write(tmp_path / "one.h5", "scores", ORIGIN, data)
    time.sleep(1.1)  # HDF5's time stamps count seconds
    artifacts.write(tmp_path / "other.h5", "scores", ORIGIN, data)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "other.h5").read_bytes()


@pytest.mark.parametrize(
    ("kind", "name", "shape", "dtype", "chunks", "compression"),
    [
        ("scores", "ids", (10,), np.int64, None, None),
        ("scores", "ids", (1 << 20,), np.int64, (1 << 17,), "gzip"),
        ("scores", "score", (1 << 20,), np.float64, (1 << 17,), None),
        ("history", "trajectory", (4, 1 << 20), np.uint8, (4, 1 << 18), "gzip"),
        ("images", "images", (1 << 11, 32, 32, 3), np.uint8, (341, 32, 32, 3), None),
        (REGIONS, "regions", (4, 1 << 9, 1 << 10), np.uint16, (1, 1 << 9, 1 << 10), "gzip"),
    ],
)
def test_large_data_sets_are_chunked_along_the_samples(path, kind, name, shape, dtype, chunks, compression):
    with artifacts.create(path, kind, ORIGIN) as writer:
        dataset = writer.dataset(name, shape, dtype)
        assert (dataset.chunks, dataset.compression) == (chunks, compression)


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_folder_as_it_was(tmp_path, existing, error):
    path = tmp_path / "scores.h5"
    if existing:
        artifacts.write(path, "scores", ORIGIN, SCORES)
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    with pytest.raises(error), artifacts.create(path, "scores", ORIGIN) as writer:  # noqa: PT012
        writer.dataset("ids", (3,), np.int64)[...] = 7
        assert path.exists() == existing  # not under its name before it is complete
        raise error
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before


def test_a_rewrite_replaces_the_whole_file(scores):
    before = scores.read_bytes()
    with scores.open("rb") as reader:  # whoever reads the old file meanwhile keeps it
        artifacts.write(scores, "scores", ORIGIN, {"ids": np.array([1])})
        assert reader.read() == before
    assert artifacts.read(scores, "scores", "ids")[0].tolist() == [1]
    with pytest.raises(KeyError):
        artifacts.read(scores, "scores", "score")


def test_a_data_set_that_its_kind_does_not_declare_is_refused(tmp_path):
    with pytest.raises(KeyError, match="probabilities"):
        artifacts.write(tmp_path / "x.h5", SCORES_KIND, ORIGIN, {"probabilities": np.zeros(3)})
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("n", [3000, 4096, 40_000])
@pytest.mark.parametrize("form", [list, lambda names: np.array(names, h5py.string_dtype())])
def test_attributes_of_any_length(path, n, form):
    """HDF5 has 64 kB for all attributes, which the names of 4,096 classes need: longer ones are kept elsewhere, and read alike."""
    names = [f"species {number} ä" for number in range(n)]
    with artifacts.create(path, SCORES_KIND, ORIGIN, class_names=form(names), cycle=3) as writer:
        writer.dataset("ids", (2,), np.int64)[...] = 1
    about = artifacts.attributes(path, "scores")
    assert list(about["class_names"]) == names and about["cycle"] == 3 and about["seed"] == 3
    with artifacts.opened(path, "scores") as file:
        assert artifacts.attribute(file, "class_names")[n - 1] == names[-1]
        assert artifacts.datasets(file).keys() == {"ids"}
        assert ("class_names" in file.attrs) == (n == 3000)  # short ones are where they were
        artifacts.write(
            path.with_name("copy"), "scores", ORIGIN, {}, class_names=artifacts.attribute(file, "class_names")
        )
    assert list(artifacts.attributes(path.with_name("copy"), "scores")["class_names"]) == names


def test_a_file_that_another_process_has_locked_is_read(scores):
    with scores.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            h5py.File(scores, "r")
        assert artifacts.read(scores, "scores", "ids")[0].tolist() == [2, 5, 9]


def test_what_may_not_be_read_is_not_to_be_deleted(scores):
    """Read by a user without the permission, who is told of the permission; the file is sound."""
    code = (
        "import os, sys; from dagal import artifacts, errors\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: artifacts.read(sys.argv[1], 'scores', 'ids')\n"
        "except errors.UserError as error: print(error)"
    )
    scores.chmod(0)
    environment = os.environ | {"PYTHONPATH": str(Path(artifacts.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, scores], env=environment, capture_output=True, text=True, check=True
    )
    assert f"{scores} may not be read (Permission denied): give yourself the permission" in done.stdout
    assert "delete" not in done.stdout
    scores.chmod(0o644)
    assert artifacts.read(scores, "scores", "ids")[0].tolist() == [2, 5, 9]


def test_a_missing_file_and_a_folder_are_called_so(tmp_path):
    with pytest.raises(UserError, match=r"x\.h5 is missing"):
        artifacts.read(tmp_path / "x.h5", "scores", "ids")
    with pytest.raises(UserError, match="is a folder"):
        artifacts.read(tmp_path, "scores", "ids")


def as_text(path):
    path.write_text("ids,score\n1,2\n")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def other_version(path):
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = "scores/999"


def without_schema(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["schema"]


@pytest.mark.parametrize("damage", [as_text, truncate, empty, other_version, without_schema])
def test_a_damaged_file_is_named_with_what_to_do(scores, damage):
    damage(scores)
    with pytest.raises(UserError, match=r"write\.h5 .*; delete it and run again\.$"):
        artifacts.read(scores, "scores", "ids")


def test_a_file_of_another_kind_is_refused(scores):
    with pytest.raises(UserError, match="'scores/1' where 'query/1' is needed"):
        artifacts.read(scores, "query", "ids")


@pytest.mark.parametrize("block", [1, 3, 7, 20, 1000])
@pytest.mark.parametrize(
    "positions",
    [[], [19], [0, 19], [19, 0, 5, 5, 6, 0], list(range(20)), np.random.default_rng(0).integers(20, size=50)],
    ids=["none", "last", "ends", "unordered", "all", "many"],
)
def test_rows_equal_fancy_indexing(tmp_path, positions, block):
    values = np.random.default_rng(1).integers(255, size=(20, 2, 3)).astype(np.uint8)
    positions = np.asarray(positions, np.int64)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        found = artifacts.rows(file.create_dataset("x", data=values), positions, block)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, values[positions])


@pytest.mark.parametrize("block", [6, 1000])
def test_rows_far_apart_are_read_by_themselves(tmp_path, monkeypatch, block):
    monkeypatch.setattr(artifacts, "GAP_BYTES", 2)  # of rows of 1 byte
    values, read = np.arange(30, dtype=np.uint8), []
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=values)

        class Recorded:
            shape, dtype = dataset.shape, dataset.dtype

            def __len__(self):
                return len(dataset)

            def __getitem__(self, part):
                read.append((int(part.start), int(part.stop)))
                return dataset[part]

        positions = np.array([9, 1, 3, 29, 11, 13, 15, 3])
        np.testing.assert_array_equal(artifacts.rows(Recorded(), positions, block), values[positions])
    assert read == ([(1, 4), (9, 14), (15, 16), (29, 30)] if block == 6 else [(1, 4), (9, 16), (29, 30)])


@pytest.mark.parametrize("positions", [[20], [0, 25, 3], [-1], [5, -3]])
def test_rows_outside_the_data_set_are_refused(tmp_path, positions):
    with h5py.File(tmp_path / "x.h5", "w") as file, pytest.raises(IndexError):
        artifacts.rows(file.create_dataset("x", data=np.arange(20)), np.array(positions))


@pytest.mark.parametrize("block_bytes", [1 << 14, 1 << 21, 1 << 25])
def test_rows_of_other_files_are_written_as_from_memory(tmp_path, monkeypatch, block_bytes):
    """Compressed chunks of 20 masks, which lie in a file in the order in which they are written: the same bytes."""
    monkeypatch.setattr(artifacts, "BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(0)
    kept = [rng.integers(0, 4, (n, 256, 200)).astype(np.uint8) for n in (25, 70)]
    for number, masks in enumerate(kept):
        artifacts.write(tmp_path / f"{number}.h5", "x", ORIGIN, {"masks": masks})
    chosen = rng.permutation(70)[:41]
    data = {"ids": np.arange(66), "masks": np.concatenate([kept[0], kept[1][chosen]]), "pixels": np.ones((66, 3))}
    artifacts.write(tmp_path / "memory.h5", "x", ORIGIN, data)
    with artifacts.opened(tmp_path / "0.h5", "x") as one, artifacts.opened(tmp_path / "1.h5", "x") as other:
        (earlier,) = artifacts.datasets(one, held=False).values()
        for first in (earlier, kept[0]):
            together = artifacts.joined(first, artifacts.Rows((other["masks"], chosen)))
            artifacts.write(tmp_path / "rows.h5", "x", ORIGIN, data | {"masks": together})
            assert (tmp_path / "rows.h5").read_bytes() == (tmp_path / "memory.h5").read_bytes()


def test_params_hash_depends_on_values_only():
    base = {"lr": 0.1, "steps": [1, 2], "learner": {"kind": "mlp", "width": 64}}
    shuffled = {"learner": {"width": 64, "kind": "mlp"}, "steps": [1, 2], "lr": 0.1}
    others = [
        {**base, "lr": 0.2},
        {**base, "steps": [2, 1]},
        {**base, "learner": {"kind": "mlp", "width": 65}},
        {**base, "lr": "0.1"},
        {**base, "extra": None},
        {},
    ]
    assert artifacts.params_hash(base) == artifacts.params_hash(shuffled)
    assert len({artifacts.params_hash(params) for params in (base, *others)}) == 1 + len(others)


def test_json_round_trip(tmp_path):
    data = {"accuracy": 0.1 + 0.2, "per_class": [1.0, None], "name": "ö"}
    artifacts.write_json(tmp_path / "new" / "metrics.json", data)
    assert artifacts.read_json(tmp_path / "new" / "metrics.json") == data
    assert json.loads((tmp_path / "new" / "metrics.json").read_text()).items() >= data.items()  # any program reads it
    assert files_in(tmp_path / "new") == ["metrics.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), object()])
def test_json_refuses_what_is_not_json(tmp_path, value):
    path = tmp_path / "metrics.json"
    artifacts.write_json(path, {"accuracy": 0.5})
    with pytest.raises((ValueError, TypeError)):
        artifacts.write_json(path, {"accuracy": value})
    assert artifacts.read_json(path) == {"accuracy": 0.5}
    assert files_in(tmp_path) == ["metrics.json"]
