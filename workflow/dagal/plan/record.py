"""What the results of a study were made with, in results/<study>/study.json: compared before anything is planned.

Snakemake compares settings and code with its own records, which lie in the folder where it runs. Results that were brought from
elsewhere, or renamed by hand, have none there, and Snakemake would take them whatever they were made with.
"""

import contextlib
import hashlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dagal import __version__, artifacts, notes, storage
from dagal.datasets import raw
from dagal.errors import UserError
from dagal.plan import environment, job
from dagal.plan.study import Study


def write(study: Study, described: str = "") -> None:
    """Record what the study is run with: when a run starts, and when it ends, as only then all inputs are there.

    ``described``: the comment at the head of its file, which the page shows.
    ``environments`` are those of all runs so far, each once.
    """
    try:
        earlier = artifacts.read_json(path(study)).get("environments", [])
    except UserError:  # none, or damaged
        earlier = []
    now = environment.now()
    about = {
        "dagal_version": __version__,
        "described": described,
        "settings": study.settings,
        "code": code(study),
        "inputs": inputs(study),
    }
    about["environments"] = earlier if now in earlier else [*earlier, now]
    artifacts.write_json(path(study), about)
    artifacts.write_json(made_here(study), about)


def inputs(study: Study) -> dict[str, str]:
    """What tells the content of all that the study begins with from any other, by its path, as far as it is there.

    Data sets are told by the checksums of their artifacts; their raw files by the SHA-256 of all names and hashes that were taken
    when they were read; files of weights by their SHA-256.
    """
    found = {}
    for folder in datasets(study):
        with contextlib.suppress(UserError):  # missing, or damaged, of which the job that reads it tells
            found |= {file: artifacts.fingerprint(file) for file in (f"{folder}/truth.h5", f"{folder}/images.h5")}
            found |= raw_digest(folder)
    sections = [*study.settings["learners"].values(), *study.settings["backbones"].values()]
    for file in sorted({section["weights"] for section in sections if section.get("weights")}):
        if Path(file).is_file():
            found[file] = f"sha256:{raw.sha256(file)}"
    return found


def raw_digest(folder: str) -> dict[str, str]:
    """SHA-256 of the names and hashes of the raw files that the images of a data set were made of, if they are on record."""
    with artifacts.open_hdf5(f"{folder}/images.h5") as file:
        if "raw_sha256" not in file:
            return {}
        lines = [name + b"\0" + digest for name, digest in zip(file["raw_file"], file["raw_sha256"], strict=True)]
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
    return {f"{folder}/raw": f"sha256:{digest}"}


def running(study: Study) -> Path:
    """Says which process runs the study; it is gone when none does, unless that was killed."""
    return job.FOLDER / f"{study.name}.run.json"


def begin(study: Study, described: str = "") -> None:
    """Record that this process runs the study."""
    write(study, described)
    remove_leftovers(study)
    about = {"host": socket.gethostname(), "process": os.getpid(), "started": time.time()}
    artifacts.write_json(running(study), about)


def end(study: Study, described: str = "") -> None:
    """Record what the study was run with, and that its run has ended; print what was told of its data sets."""
    try:
        write(study, described)
    except UserError as error:  # a full disk may have ended the run
        print(f"dagal: {error}", file=sys.stderr)
    with contextlib.suppress(OSError):  # gone, or on a disk that has become read-only
        running(study).unlink()
    tell(study)


def tell(study: Study) -> None:
    """Print what was told while the data sets of the study were written (`dagal.notes`)."""
    for path in (f"{folder}/images.h5" for folder in datasets(study)):
        try:
            lines = notes.of(path)
        except UserError as error:
            lines = [str(error)]
        for line in lines:
            print(f"{path}: {line}", file=sys.stderr)


def datasets(study: Study) -> list[str]:
    """The folders of the data sets of a study."""
    return [study.dataset, *map(study.source_folder, study.sources.values())]


def remove_leftovers(study: Study) -> None:
    """Remove what jobs that were killed left of the files they were writing."""
    for folder in (study.results, *datasets(study), job.FOLDER):
        for path in storage.remove_leftovers(folder):
            print(f"removed {path}, which a job that was killed left unfinished", file=sys.stderr)


def made_here(study: Study) -> Path:
    """A copy of the record beside Snakemake's own ones: results without it were made elsewhere."""
    return job.FOLDER / f"{study.name}.record.json"


def path(study: Study) -> Path:
    return Path(study.results) / "study.json"


def check(study: Study) -> None:
    """Raise UserError if the results of the study are another's, or were brought here and made with other settings or code."""
    if not path(study).exists():
        return
    if made_here(study).exists() and made_here(study).read_bytes() == path(study).read_bytes():
        return  # Snakemake has its own records
    about = artifacts.read_json(path(study))
    settings = about["settings"]
    if settings["study"] != study.name:
        raise UserError(
            f"{path(study).parent} holds the results of the study {settings['study']!r}: give the folder its name back, or delete it."
        )
    for (key, before), (_, now) in zip(parts(settings), parts(study.settings, settings), strict=True):
        if now is not None and before != now:
            raise UserError(
                f"{path(study).parent} was made elsewhere, with {key} {before!r} where the study says {now!r}: delete it, set "
                f"{key} back, or keep it as it is by `python -m dagal accept`."
            )
    made_by, needed = about["code"], code(study)
    changed = [stage for stage in made_by if stage in needed and made_by[stage] != needed[stage]]
    if changed:
        raise UserError(
            f"{path(study).parent} was made elsewhere, by other code of {changed[0]}: delete it, or keep it as it is by `python -m "
            "dagal accept`."
        )


def tell_raw_changes(study: Study) -> None:
    """Say on the screen if the raw data of a study have changed since its images were made of them; it goes on with these images.

    Files that are gone altogether are not missed: whoever has the images may delete them.
    """
    settings, images = study.settings["dataset"], Path(study.clean_images)
    if not images.is_file():
        return
    try:
        with artifacts.open_hdf5(images) as file:
            made_of_these = file.attrs.get("params_hash") == artifacts.params_hash({"dataset": settings})
            if not made_of_these or "raw_file" not in file:
                return
            before = [file[name][()] for name in ("raw_file", "raw_size", "raw_sha256")]
    except UserError as error:
        sys.exit(f"dagal: {error}")
    found = raw.raw_files(settings, map(os.fsdecode, before[0]))
    told = found and raw.compare(found, *before, images.stat().st_mtime, job.FOLDER / f"raw-{settings['name']}.txt")
    if told:
        print(
            f"dagal: {settings['path']} has changed since {images} was made of it: {told}; delete {images} to have it read again, or "
            "keep the results as they are.",
            file=sys.stderr,
        )


def parts(settings: dict, like: dict | None = None) -> Iterator[tuple[str, object]]:
    """(key, value) of every setting that results depend on, at the keys of ``like``; a value that is not there is None.

    Learners and methods that only one of two studies has, further cycles and seeds, published numbers, the looks of figures and where
    jobs run change no result.
    """
    free = ("study", "cycles", "seeds", "plots", "jobs_per_gpu", "supervised", "repeats", "lambda_study", "published")

    def walk(key: str, value, pattern) -> Iterator[tuple[str, object]]:
        if isinstance(pattern, dict) and (isinstance(value, dict) or value is None):
            for name in pattern:
                yield from walk(f"{key}.{name}" if key else name, (value or {}).get(name), pattern[name])
        else:
            yield key, value

    chosen = {name: value for name, value in (like or settings).items() if name not in free}
    return walk("", settings, chosen)


def code(study: Study) -> dict[str, str]:
    """Digest of the code of each recorded stage of each branch, as far as the study has it."""
    found = {}
    for branch in study.branches.values():
        cycle, stages = (
            (1, ("train", "evaluate", "score", "select")) if branch.kind == "method" else (0, ("train", "evaluate"))
        )
        at = study.at({"seed": str(study.seeds[0]), "branch": branch.name, "cycle": str(cycle)})
        for stage in stages:
            found[f"{stage} of {branch.name}"] = job.code(study, stage, at)
    return found
