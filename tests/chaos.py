"""Does a study survive? ``make chaos N=200``, or ``python tests/chaos.py 200 [SEED]``: a table of what was done to it.

A miniature of digits is run undisturbed once. Then it is disturbed at random moments, run again until it ends well, and each time
all its results are compared, byte for byte, with the undisturbed ones. Full and read-only disks need a root who may mount a tmpfs.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

from conftest import SMALL, Workflow

from dagal import artifacts
from dagal.errors import UserError
from dagal.learners import weights
from dagal.report import tables

STUDY = {**SMALL, "study": "chaos", "cycles": 1, "methods": {"entropy": {}}}
TARGETS = ("results/chaos/metrics.csv",)
COMPARED = (".h5", ".safetensors", ".json", ".csv")
KILLS = ("job", "group", "parent")


class Study(Workflow):
    """The miniature in a folder, started in the background and ended by force."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.write(STUDY)
        self.environment |= {
            "DAGAL_CHECKPOINT_SECONDS": "0",
            "DAGAL_WARM": "",
            "PYTHONPATH": "",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *options: str, **popen) -> subprocess.Popen:
        command = self.command(*TARGETS, "--cores", "2", *options)
        with Path(f"{self.folder}.log").open("wb") as screen:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=screen, stderr=screen, stdin=subprocess.DEVNULL,
                start_new_session=True, **popen,
            )  # fmt: skip

    def screen(self) -> str:
        return Path(f"{self.folder}.log").read_text(errors="replace")

    def finish(self, *options: str, **popen) -> int:
        """Run to the end; the exit status."""
        status = self.start("--nolock", *options, **popen).wait(timeout=300)
        self.quiet()
        return status

    def processes(self) -> dict[int, list[str]]:
        """Processes that work in the folder: id -> command."""
        found = {}
        for place in Path("/proc").iterdir():
            if place.name.isdigit() and int(place.name) != os.getpid():
                try:
                    if (place / "cwd").readlink() == self.folder:
                        found[int(place.name)] = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
                except OSError:  # gone
                    continue
        return found

    def quiet(self) -> None:
        """Wait until nothing works in the folder any more. Raises AssertionError: whatever has lost its Snakemake has to end."""
        deadline = time.monotonic() + 30
        while self.processes():
            assert time.monotonic() < deadline, self.processes()
            time.sleep(0.05)

    def results(self) -> dict[str, bytes]:
        return {
            name: content
            for name, content in self.files("**/*").items()
            if Path(name).suffix in COMPARED and Path(name).name != "study.json"
        }

    def finished(self) -> dict[Path, int]:
        """Age of the models whose nodes are complete: no resumed run makes them again."""
        nodes = [path.parent for path in self.folder.glob("results/chaos/seed*/*/*/metrics.json")]
        return {node / "model.safetensors": (node / "model.safetensors").stat().st_mtime_ns for node in nodes}

    def leftovers(self) -> list[str]:
        """Files that no job wants any more; a run removes those of the run before when it starts."""
        found = [path for pattern in ("*.tmp", "*checkpoint*") for path in (self.folder / "results").rglob(pattern)]
        return [str(path) for path in found]

    def wipe(self) -> None:
        for name in ("results", ".snakemake"):
            subprocess.run(["rm", "-rf", self.folder / name], check=True)


def kill(study: Study, how: str, rng: random.Random, most: int = 5) -> int:
    """Start the study and kill the whole group, Snakemake alone, or up to ``most`` processes of jobs, which are tried again.

    Each at a random moment after the first job has begun. Returns how many were there to be killed.
    """
    process, killed = study.start("--nolock", "--retries", "9"), 0
    while process.poll() is None and "rule " not in study.screen():
        time.sleep(0.05)
    for _ in range(most if how == "job" else 1):
        time.sleep(rng.uniform(0, 1.5))
        if process.poll() is not None:
            break
        if how == "job":
            # clients, jobs, and the warm server that forks them
            jobs = [number for number, words in study.processes().items() if any("warm.py" in word for word in words)]
            for number in rng.sample(jobs, min(1, len(jobs))):
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
                    killed += 1
        else:
            {"group": os.killpg, "parent": os.kill}[how](process.pid, signal.SIGKILL)
            killed += 1
    status = process.wait(timeout=300)
    study.quiet()
    assert how != "job" or status == 0, study.screen()[-3000:]
    return killed


def kills(study: Study, expected: dict[str, bytes], n: int, rng: random.Random) -> Counter:
    """Kill the study ``n`` times, each time where the last kill left it; begin anew when it has ended. Raises AssertionError."""
    done, before, turns = Counter(), {}, cycle(KILLS)
    while (left := n - sum(done[how] for how in KILLS)) > 0:
        how = next(turns)
        done[how] += kill(study, how, rng, min(5, left))
        now = study.finished()
        assert now.items() >= before.items(), "a finished node was made again"
        before = now
        if study.results().keys() == expected.keys():
            compare(study, expected)
            done["studies"] += 1
            study.wipe()
            before = {}
    assert study.finish() == 0, study.screen()[-3000:]
    assert study.finished().items() >= before.items()
    compare(study, expected)
    assert study.leftovers() == []
    done["studies"] += 1
    return done


def compare(study: Study, expected: dict[str, bytes]) -> None:
    """Raises AssertionError unless the results are those of the undisturbed study."""
    found = study.results()
    assert found.keys() == expected.keys(), sorted(found.keys() ^ expected.keys())
    assert [name for name in found if found[name] != expected[name]] == []


# ---------------------------------------------------------------------------------------------------------- bit flips


def content(path: Path):
    """All that jobs can read of a file, in a form that can be compared."""
    if path.suffix == ".h5":
        with artifacts.open_hdf5(path, checked=True) as file:
            about = {name: str(artifacts.attribute(file, name)) for name in file.attrs}
            return about, {name: (array.shape, array.tolist()) for name, array in artifacts.datasets(file).items()}
    if path.suffix == ".safetensors":
        about, tensors = weights.read(path)
        return about, {name: tensor.tolist() for name, tensor in tensors.items()}
    if path.suffix == ".tsv":
        return artifacts.read_costs(path)
    return artifacts.read_json(path) if path.suffix == ".json" else tables.read(path).to_csv()


def flips(folder: Path, n: int, rng: random.Random) -> Counter:
    """Flip ``n`` single bits, over all files of results that jobs read; each is refused in a sentence, or changes nothing."""
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix in (".h5", ".safetensors", ".json", ".csv", ".tsv")
    )
    sound, done = {path: content(path) for path in paths}, Counter()
    for at in range(n):
        path = paths[at % len(paths)]
        data = path.read_bytes()
        bit = rng.randrange(8 * len(data))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            outcome = "no difference" if content(path) == sound[path] else "SILENTLY WRONG"
        except UserError:
            outcome = "refused"
        except Exception as error:  # noqa: BLE001  a traceback is what is looked for
            outcome = f"TRACEBACK {type(error).__name__}"
        path.write_bytes(data)
        done[outcome] += 1
        done[f"{path.suffix} {outcome}"] += 1
    return done


# -------------------------------------------------------------------------------------------------------------- others


@contextmanager
def disk(folder: Path, kilobytes: int):
    """A disk of its own, of a size, for a folder."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "chaos", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def full_disk(folder: Path, expected: dict[str, bytes], rng: random.Random) -> str:
    """A disk that is too small for the study, by chance, and is then enlarged; what the screen says of it."""
    size = sum(map(len, expected.values())) // 1024
    with disk(folder, rng.randrange(40, size + 400)):
        study = Study(folder)
        status = study.finish()
        sentences, full = told(study, "cannot be written"), "No space left" in study.screen()
        remount(folder, f"size={10 * size + 20_000}k")
        assert study.finish() == 0, study.screen()[-3000:]
        compare(study, expected)
    return "had room" if status == 0 else "a sentence" if sentences else "Snakemake's words" if full else "no word"


def read_only(folder: Path, expected: dict[str, bytes], rng: random.Random) -> str:
    """A killed study whose disk can no longer be written, and then can be."""
    with disk(folder, 200_000):
        study = Study(folder)
        kill(study, "group", rng)
        before = study.results()
        remount(folder, "ro")
        assert study.finish() != 0, "nothing was said"
        assert study.results() == before
        remount(folder, "rw")
        assert study.finish() == 0, study.screen()[-3000:]
        compare(study, expected)
    return "refused, then went on"


def told(study: Study, words: str) -> list[str]:
    """Sentences of jobs, on the screen and in their logs, that have these words."""
    texts = [study.screen(), *(path.read_text(errors="replace") for path in (study.folder / "results").rglob("*.log"))]
    return [line for text in texts for line in text.splitlines() if "dagal: " in line and words in line]


def clock_set_back(study: Study, expected: dict[str, bytes], rng: random.Random) -> str:
    """Some results of a killed study, and its raw data, are from the future: an hour later by the clock."""
    kill(study, "group", rng)
    later = time.time() + 3600
    paths = [path for path in (study.folder / "results").rglob("*") if path.suffix in COMPARED]
    for path in rng.sample(paths, len(paths) // 2):
        os.utime(path, (later, later))
    assert study.finish() == 0, study.screen()[-3000:]
    compare(study, expected)
    return "same results"


def two_at_once(study: Study, expected: dict[str, bytes], rng: random.Random) -> str:
    """A second Snakemake in the same folder, while the first is at work."""
    first = study.start()
    while first.poll() is None and "rule " not in study.screen():
        time.sleep(0.05)
    second = study.snakemake("--cores", "1", check=False)
    assert second.returncode != 0 and "cannot be locked" in second.stderr, second.stderr[-2000:]
    assert first.wait(timeout=300) == 0, study.screen()[-3000:]
    study.quiet()
    compare(study, expected)
    return "told of the lock"


def memory_limit(study: Study, expected: dict[str, bytes], rng: random.Random) -> str:
    """Jobs that may have less address space than they need, and then may have it."""
    limit = rng.randrange(600, 2600) << 20
    status = study.finish(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert study.finish() == 0, study.screen()[-3000:]
    compare(study, expected)
    return "was enough" if status == 0 else "failed, then went on"


def main(n: int, seed: int) -> int:
    """Print the table; the number of failures."""
    rng, rows = random.Random(seed), []
    with tempfile.TemporaryDirectory(prefix="dagal-chaos-") as root:
        whole = Study(folder_in(root, "whole"))
        assert whole.finish() == 0, whole.screen()
        expected = whole.results()

        def attempt(name: str, times: int, action) -> None:
            outcomes = Counter()
            for at in range(times):
                try:
                    outcomes[action(at)] += 1
                except (AssertionError, subprocess.SubprocessError) as error:
                    outcomes["FAILED: " + " ".join(str(error).split())[-300:]] += 1
            rows.append((name, times, sum(outcomes.values()) - failures(outcomes), outcomes))
            print(f"{name}: {times} tried, {rows[-1][2]} survived; {dict(outcomes)}", flush=True)

        study = Study(folder_in(root, "killed"))
        for how in (f"{n} kills",):
            done = kills(study, expected, n, rng)
            rows.append((how, n, n, done))
            print(f"{how}: {dict(done)}", flush=True)
        others = max(1, n // 20)
        if os.geteuid() == 0:
            for name, action in (("full disk", full_disk), ("read-only disk", read_only)):
                attempt(
                    name, others, lambda at, act=action, name=name: act(Path(root, f"{name[:4]}{at}"), expected, rng)
                )
        for name, action in (
            ("clock set back", clock_set_back),
            ("two at once", two_at_once),
            ("memory limit", memory_limit),
        ):
            attempt(
                name,
                others,
                lambda at, act=action, name=name: act(Study(folder_in(root, f"{name[:5].strip()}{at}")), expected, rng),
            )
        found = flips(whole.folder / "results", 10 * n, rng)
        rows.append(("bit flips", 10 * n, found["refused"] + found["no difference"], found))
        print(f"bit flips: {dict(found)}", flush=True)
    print(f"\n{'done to it':<16} {'tried':>6} {'survived':>9}")
    for name, tried, survived, _ in rows:
        print(f"{name:<16} {tried:>6} {survived:>9}")
    return sum(tried - survived for _, tried, survived, _ in rows)


def failures(outcomes: Counter) -> int:
    return sum(times for outcome, times in outcomes.items() if str(outcome).startswith("FAILED"))


def folder_in(root: str, name: str) -> Path:
    folder = Path(root, name)
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0) > 0)
