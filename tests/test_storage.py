"""Files on the disk: complete under their name or not there, and found out when a bit of them has changed."""

import errno
import os
import socket
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from dagal import artifacts, storage
from dagal.errors import UserError
from dagal.plan import job, record
from dagal.report import tables

ORIGIN = artifacts.provenance("score", {"budget": 5}, seed=3)
RANDOM = np.random.default_rng(0)


def write_weights(path):
    import torch  # which the process that forks below must not have loaded

    from dagal.learners import weights

    weights.write_tensors(path, {"weight": torch.arange(9000.0), "bias": torch.ones(3)}, {"classes": 3})


# in one piece, in pieces, compressed, of texts; several blocks long
DATA = {
    "score": RANDOM.random(5000),
    "images": RANDOM.integers(256, size=(700, 24, 24, 3), dtype=np.uint8),
    "ids": np.arange(1 << 18),
    "names": np.array(["a", "ö"] * 40, h5py.string_dtype()),
}
WRITERS = {
    "x.h5": lambda path: artifacts.write(path, "scores", ORIGIN, DATA, class_names=["a", "ö"]),
    "x.json": lambda path: artifacts.write_json(path, {"accuracy": 0.5, "per_class": list(range(3000))}),
    "x.csv": lambda path: artifacts.write_csv(path, ["method", "accuracy"], [["random", i / 7] for i in range(2000)]),
    "x.tsv": lambda path: artifacts.write_costs(path, ["1.5", "0.25", "80.1", "NA", "NA"], "made up, AVX2"),
    "x.safetensors": write_weights,
}


def same(found, expected) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    return np.array_equal(found, expected)


def read(path):
    """All that jobs read of a file."""
    if path.suffix == ".h5":
        with artifacts.opened(path, "scores") as file:
            return artifacts.datasets(file) | {name: artifacts.attribute(file, name) for name in file.attrs}
    if path.suffix == ".csv":
        return {name: values.to_numpy() for name, values in tables.read(path).items()}
    if path.suffix == ".safetensors":
        from dagal.learners import weights

        return weights.read(path)[1]
    return artifacts.read_json(path) if path.suffix == ".json" else artifacts.read_costs(path)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    path = tmp_path / request.param
    WRITERS[request.param](path)
    return path


def flipped(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def test_no_flip_of_a_bit_goes_unnoticed(written):
    """Anywhere in a file: it is refused in one sentence, or what is read is right."""
    expected, bits = read(written), 8 * written.stat().st_size
    chosen = np.unique(
        np.r_[RANDOM.integers(bits, size=120), np.arange(0, 8 * 64, 5), bits - 1 - np.arange(0, 8 * 40, 7)]
    )
    refused = 0
    for bit in chosen[chosen < bits].tolist():
        flipped(written, bit)
        try:
            assert same(read(written), expected), bit
        except UserError as error:
            refused += 1
            assert str(error).startswith(f"{written} ") and str(error).endswith("; delete it and run again.")
        flipped(written, bit)
    assert same(read(written), expected)
    assert refused == len(chosen[chosen < bits])


def test_a_damaged_table_beside_its_sound_checksum_and_the_other_way_round(tmp_path):
    path = tmp_path / "x.csv"
    WRITERS["x.csv"](path)
    sound = path.read_bytes()
    assert zlib.crc32(sound) == int((tmp_path / ".x.csv.crc32").read_text(), 16)
    (tmp_path / ".x.csv.crc32").write_text("00000000\n")
    with pytest.raises(UserError, match="damaged"):
        artifacts.read_csv(path)
    (tmp_path / ".x.csv.crc32").unlink()  # brought without it
    assert len(artifacts.read_csv(path)) == 2000
    (tmp_path / "link.csv").symlink_to(path)
    WRITERS["x.csv"](path)
    path.write_bytes(sound.replace(b"random", b"Random", 1))
    with pytest.raises(UserError, match="damaged"):
        artifacts.read_csv(tmp_path / "link.csv")


def test_a_file_is_found_out_only_where_it_is_read(tmp_path):
    """Rows of a large data set are checked by themselves; the checksums are those of the definition."""
    path = tmp_path / "x.h5"
    WRITERS["x.h5"](path)
    content = path.read_bytes()
    with storage.Verified(path) as blocks:
        size = blocks.size
        expected = [
            zlib.crc32(content[:size][first : first + storage.BLOCK]) for first in range(0, size, storage.BLOCK)
        ]
        assert blocks.sums.tolist() == expected and len(expected) > 60
    with h5py.File(path) as file:  # a program that knows nothing of them
        place = file["images"].id.get_chunk_info(0).byte_offset
    flipped(path, 8 * (place + 10 * 24 * 24 * 3))
    with artifacts.opened(path, "scores", cached=False) as file:
        np.testing.assert_array_equal(file["images"][100:300], DATA["images"][100:300])
        np.testing.assert_array_equal(file["score"][()], DATA["score"])
    with pytest.raises(UserError, match="damaged"), artifacts.opened(path, "scores", cached=False) as file:
        file["images"][10]


def test_what_somebody_swallows_is_told_at_the_end(tmp_path, monkeypatch):
    path = tmp_path / "x.h5"
    WRITERS["x.h5"](path)

    def broken(*arguments):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(UserError, match="x.h5 cannot be read now"), artifacts.opened(path, "scores") as file:  # noqa: PT012
        monkeypatch.setattr(os, "pread", broken)
        with suppress(UserError):
            file["names"][()]
        monkeypatch.undo()
        np.testing.assert_array_equal(file["score"][()], DATA["score"])


@pytest.mark.parametrize("cut", [0, 1, 23, 24, 25, 5000])
def test_a_file_that_was_cut_off(tmp_path, cut):
    path = tmp_path / "x.h5"
    WRITERS["x.h5"](path)
    path.write_bytes(path.read_bytes()[:cut] if cut in (0, 5000) else path.read_bytes()[:-cut])
    with pytest.raises(UserError, match=r"; delete it and run again\.$"):
        read(path)


def test_files_with_holes_and_in_any_order(tmp_path):
    """Chunks may be left out, and written backwards, in parts and twice."""
    path = tmp_path / "x.h5"
    with artifacts.create(path, "images", ORIGIN) as writer:
        images = writer.dataset("images", (3000, 32, 32, 3), np.uint8)
        expected = np.zeros((3000, 32, 32, 3), np.uint8)
        for first in (2500, 900, 903, 10, 900):
            expected[first : first + 7] = images[first : first + 7] = RANDOM.integers(256, size=(7, 32, 32, 3))
        writer.dataset("never", (1000,), np.int64)
    found = artifacts.read(path, "images", "images", "never")
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(found[1], np.zeros(1000))


# written by a process of its own, as HDF5 can crash when one ends; argv: a folder, then pairs of a name and the bytes that a file may have
FULL_DISK = """
import os, resource, sys
import test_storage
from dagal.errors import UserError
folder, *pairs = sys.argv[1:]
for name, limit in zip(pairs[::2], pairs[1::2]):
    if not os.fork():
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
        try:
            test_storage.WRITERS[name](os.path.join(folder, name))
        except UserError as error:
            print(error, flush=True)
            sys.exit(7)
        sys.exit(0)
    code = os.waitstatus_to_exitcode(os.wait()[1])
    print(name, limit, code, *sorted(os.listdir(folder)), flush=True)
    for left in os.listdir(folder):
        os.unlink(os.path.join(folder, left))
"""


def test_a_file_that_cannot_be_written_to_its_end_is_not_there(tmp_path):
    """Wherever the room ends: one sentence, no file, no crash."""
    pairs, expected = [], []
    for name in ("x.h5", "x.json", "x.csv", "x.tsv"):
        WRITERS[name](tmp_path / name)
        size = (tmp_path / name).stat().st_size
        places = np.linspace(0, size - 1, 10 if name == "x.h5" else 3).astype(int).tolist()
        for limit in (*places, *((1, 96, 800, size - 24, size - 25) if name == "x.h5" else ()), size):
            pairs += [name, str(limit)]
            # the checksum of a table is there first, and alone it says nothing
            left = ".x.csv.crc32 " if name == "x.csv" else ""
            expected.append(f"{name} {limit} 0 {left}{name}" if limit == size else f"{name} {limit} 7 {left}".rstrip())
            if name == "x.csv" and limit == 0:
                expected[-1] = f"{name} {limit} 7"
    for left in names_in(tmp_path):
        (tmp_path / left).unlink()
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": f"{root / 'workflow'}:{root / 'tests'}"}
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), *pairs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    lines = done.stdout.splitlines()
    sentences = [line for line in lines if line.startswith(str(tmp_path))]
    assert [line for line in lines if line not in sentences] == expected
    assert len(sentences) == len(expected) - 4 and done.stderr == ""
    for sentence in sentences:
        assert sentence.endswith(" cannot be written (File too large): see that its disk works, then run again.")


def test_a_full_disk_is_told_before_the_last_row(tmp_path, monkeypatch):
    """A large artifact is not decoded to its end when there is no room for it, and a mistake in between stays what it is."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    rows = 0
    with (
        pytest.raises(
            UserError, match=r"x.h5 cannot be written \(No space left on device\): free some space on its disk"
        ),
        artifacts.create(tmp_path / "x.h5", "images", ORIGIN) as writer,
    ):
        images = writer.dataset("images", (4000, 32, 32, 3), np.uint8)
        for rows in range(0, 4000, 400):  # noqa: B007
            if rows == 800:
                monkeypatch.setattr(os, "pwrite", full)
            images[rows : rows + 400] = np.ones((400, 32, 32, 3), np.uint8)
    assert rows < 3600 and names_in(tmp_path) == []  # HDF5 holds some chunks back
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError), artifacts.create(tmp_path / "x.h5", "images", ORIGIN):
        (tmp_path / "raw.png").read_bytes()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_whatever_the_system_refuses_is_one_sentence(tmp_path, monkeypatch, call, code):
    def refuse(*arguments, **options):
        raise OSError(code, os.strerror(code))

    for name, write in WRITERS.items():
        with monkeypatch.context() as patched:
            if call == "fsync":
                patched.setattr(os, "fsync", refuse)
            else:
                patched.setattr(Path, call, refuse)
                patched.setattr(os, "open", refuse)
            with pytest.raises(UserError, match=r"cannot be written \(.*\): .*, then run again\.$"):
                write(tmp_path / name)
        assert names_in(tmp_path) == []


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """The content is synced, then renamed, then the folder is synced."""
    done = []

    def synced(number, sync=os.fsync):
        done.append(("sync", Path(f"/proc/self/fd/{number}").readlink().name))
        sync(number)

    def replaced(path, target, replace=Path.replace):
        done.append(("rename", Path(target).name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    for name, write in WRITERS.items():
        write(tmp_path / name)
        temporary = f".{name}.{socket.gethostname()}.{os.getpid()}.tmp"
        assert done[-3:] == [("sync", temporary), ("rename", name), ("sync", tmp_path.name)]


def test_leftovers_of_dead_processes_are_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    here, folder = socket.gethostname(), tmp_path / "seed0" / "cycle1"
    folder.mkdir(parents=True)
    names = {
        f".x.h5.{here}.{process.pid}.tmp": False,  # of a dead process
        f".x.h5.{here}.{os.getpid()}.tmp": True,  # of a living one
        f".x.h5.{here}.1.tmp": True,  # of a living one, maybe another user's
        f".x.h5.elsewhere.{process.pid}.tmp": True,  # of another machine
        f".x.h5.other.{process.pid}.tmp": False,  # the same, a day old
        ".x.csv.crc32": True,
        "x.tmp": True,
    }
    for name in names:
        (folder / name).write_text("")
    os.utime(folder / f".x.h5.other.{process.pid}.tmp", (time.time() - 90_000,) * 2)
    removed = storage.remove_leftovers(tmp_path)
    assert sorted(path.name for path in removed) == sorted(name for name, stays in names.items() if not stays)
    assert names_in(folder) == sorted(name for name, stays in names.items() if stays)


def test_memory_of_a_large_artifact(tmp_path):
    """What is held of a file does not grow with it but for 8 bytes a block."""
    code = (
        "import resource, sys, numpy as np; from dagal import artifacts\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "images = np.zeros((2000, 32, 32, 3), np.uint8)\n"
        "with artifacts.create(sys.argv[1], 'images', {}) as writer:\n"
        "    dataset = writer.dataset('images', (20_000, 32, 32, 3), np.uint8)\n"
        "    dataset[:2000] = images\n"
        "    before = peak()\n"
        "    for first in range(2000, 20_000, 2000): dataset[first : first + 2000] = images\n"
        "print(peak() - before)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(artifacts.__file__).parents[1])}
    command = [sys.executable, "-c", code, str(tmp_path / "x.h5")]
    grown = int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert grown < 8 << 10  # of 55 MB


def test_planning_goes_on_with_files_of_an_earlier_version_and_names_damaged_ones(tmp_path, monkeypatch):
    """They are made again, as their code has changed; what is damaged has to be deleted."""
    path, dataset = tmp_path / "images.h5", {"name": "x", "loader": "digits"}
    artifacts.write(
        path, "images", artifacts.provenance("dataset", {"dataset": dataset}), {"split": np.zeros(9, np.uint8)}
    )
    content, study = path.read_bytes(), SimpleNamespace(settings={"dataset": dataset}, clean_images=path)
    with storage.Verified(path) as blocks:
        path.write_bytes(content[: blocks.size])
    with pytest.raises(storage.NoChecksums):
        artifacts.read(path, "images", "split")
    assert record.tell_raw_changes(study) is None
    path.write_bytes(content)
    flipped(path, 8 * 300)
    with pytest.raises(
        SystemExit, match=r"dagal: .*images.h5 is damaged, as its checksums tell; delete it and run again\.$"
    ):
        record.tell_raw_changes(study)
    monkeypatch.chdir(tmp_path)
    settings = {"study": "x", "seeds": [0]}
    stored = job.store(settings)
    stored.write_text(stored.read_text().replace('"x"', '"y"'))  # the settings that jobs are started with
    with pytest.raises(UserError, match="damaged"):
        artifacts.read_json(stored)
    assert job.store(settings) == stored and artifacts.read_json(stored) == settings


@pytest.mark.parametrize(
    ("statement", "status", "sentence"),
    [
        ("raise OSError(28, 'No space left on device', 'a.log')", 1, "dagal: a.log cannot be written (No space left on device): free some"),
        ("raise OSError(5, 'Input/output error', 'a.png')", 1, "OSError: [Errno 5] Input/output error: 'a.png'"),
        ("atexit.register(job.write_costs, '/dev/null/x.tsv', 0.0, [])", 1, "dagal: /dev/null/x.tsv cannot be written (File exists)"),
        ("atexit.register(job.write_costs, sys.argv[1], 0.0, [])", 0, ""),
        ("job.to_log('/dev/null/x.log')", 1, "dagal: /dev/null/x.log cannot be written (File exists)"),
    ],
)  # fmt: skip
def test_a_job_on_a_full_disk_fails_with_a_sentence(tmp_path, statement, status, sentence):
    """Whoever meets the full disk: a print to the log, the costs when all else is done, the log itself."""
    code = f"import atexit, sys; sys.path.insert(0, sys.argv[2]); import job; sys.excepthook = job.explain; {statement}"
    scripts = Path(artifacts.__file__).parents[1] / "scripts"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.tsv", scripts], capture_output=True, text=True)
    assert done.returncode == status and sentence in done.stderr, done.stderr
    assert ("Traceback" in done.stderr) == ("Errno 5" in sentence)
    if not status:
        assert artifacts.read_costs(tmp_path / "x.tsv")["startup_s"] == "NA"


@pytest.mark.parametrize("name", ["x.h5", "x.json", "x.csv"])
def test_a_pipe_in_the_place_of_a_file_is_never_read(tmp_path, name):
    os.mkfifo(tmp_path / name)
    read = {"x.h5": artifacts.open_hdf5, "x.json": artifacts.read_json, "x.csv": storage.verified_table}[name]
    with pytest.raises(UserError, match="is a device, pipe or socket"):
        found = read(tmp_path / name)
        if name == "x.h5":
            with found:
                pass
