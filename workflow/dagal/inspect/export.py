"""``python -m dagal export STUDY OUT.zip``: the numbers of a study, without its images and models, as an RO-Crate; and reading it.

RO-Crate (https://w3id.org/ro/crate): a folder whose ``ro-crate-metadata.json`` describes each file in it in JSON-LD.
"""

import atexit
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import yaml

from dagal import __version__
from dagal.config.commands import as_written
from dagal.errors import UserError
from dagal.inspect.results import Results
from dagal.inspect.results import opened as results_in

METADATA = "ro-crate-metadata.json"
PACKED = (
    "study.json",
    "**/metrics.json",
    "**/query.h5",
    "**/query.csv",
    "**/stopping.json",
    "*.csv",
    "**/*.tex",
    "report/**/*.html",
)
KINDS = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".tex": "application/x-tex",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
    ".yaml": "application/yaml",
}
MOST_BYTES = 4 << 30  # of what is unpacked
SETTINGS = "study.yaml"


def add_command(commands) -> None:
    parser = commands.add_parser(
        "export",
        help="pack the numbers of a study as an RO-Crate",
        description="Pack queries, measures, tables, settings and the page of a study into one file, as an RO-Crate: no image of the data "
        "set but the thumbnails of the page, no model, no signal. `compare` reads it like a folder of results.",
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of its results, as results/digits")
    parser.add_argument("out", type=Path, metavar="OUT.zip", help="file to write")
    parser.add_argument("--without-page", action="store_true", help="leave out the page, which shows images")
    parser.set_defaults(run=lambda options: export(options.study, options.out, not options.without_page))


def export(study: str | Path, out: str | Path, page: bool = True) -> None:
    """Write a study as an RO-Crate. Raises UserError if there is none, or ``out`` is no name of a zip or cannot be written."""
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    results, out = results_in(study), Path(out)
    if out.suffix != ".zip":
        raise UserError(f"{out} must end in .zip: a study is packed into one file.")
    crate = ROCrate()
    crate.name = f"The study {results.study.name} of dagal"
    crate.description = "Deep active learning: which images each method asked for, and how accurate its models were."
    dagal = {
        "@type": "SoftwareApplication",
        "name": "dagal",
        "softwareVersion": results.record.get("dagal_version", __version__),
    }
    tool = crate.add(ContextEntity(crate, "#dagal", properties=dagal))
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, SETTINGS)
        settings.write_text(yaml.safe_dump(as_written(results.record["settings"]), sort_keys=False), encoding="utf-8")
        packed = [(settings, SETTINGS), *((results.folder / name, name) for name in packed_files(results, page))]
        files = [crate.add_file(path, name, properties=about(path)) for path, name in packed]
        run = {"@type": "CreateAction", "name": "the runs of the study"}
        action = crate.add(ContextEntity(crate, "#run", properties=run))
        action["instrument"], action["result"] = tool, files
        crate.root_dataset["mentions"] = action
        try:
            crate.write_zip(out)
        except OSError as error:
            raise UserError(f"{out} cannot be written ({error.strerror}).") from None
    print(f"{len(packed):,} files in {out}, {out.stat().st_size / 1e6:.1f} MB")


def packed_files(results: Results, page: bool) -> list[str]:
    """Files of a study, relative to its folder, that are packed; links of chains that had stopped among them."""
    patterns = [pattern for pattern in PACKED if page or not pattern.endswith(".html")]
    found = {path for pattern in patterns for path in results.folder.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(results.folder).as_posix() for path in found)


def about(path: Path) -> dict:
    """What the crate says of a file."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    kind = KINDS.get(path.suffix, "application/octet-stream")
    return {"name": path.name, "contentSize": len(content), "encodingFormat": kind, "sha256": digest}


# ------------------------------------------------------------------------------------------------------------ reading


def opened(path: str | Path) -> Path:
    """A folder with the results of a study: ``path`` itself, or what it packs, unpacked until this process ends.

    Raises UserError if it is neither, or if a file in it is not what the crate says.
    """
    path = Path(path)
    if path.is_dir():
        return path
    try:
        with zipfile.ZipFile(path) as packed:
            files = list(described(packed))
            study = json.loads(packed.read("study.json"))["settings"]["study"]
            home = Path(tempfile.mkdtemp(prefix="dagal-"))
            atexit.register(shutil.rmtree, home, ignore_errors=True)
            folder = home / "results" / PurePosixPath(study).name
            for name, digest in files:
                content = packed.read(name)
                if hashlib.sha256(content).hexdigest() != digest:
                    raise UserError(f"{path} is damaged: {name} is not what was packed; export the study again.")
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: give a folder as results/digits, or what `dagal export` wrote.") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} holds no packed study ({error}): give a folder as results/digits, or what `dagal export` wrote."
        ) from None
    return folder


def described(packed: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """(name, SHA-256) of each file of a crate. Raises KeyError or ValueError if it is none of ours."""
    if sum(member.file_size for member in packed.infolist()) > MOST_BYTES:
        raise ValueError("it is larger than any export")
    for entity in json.loads(packed.read(METADATA))["@graph"]:
        kinds = entity["@type"] if isinstance(entity["@type"], list) else [entity["@type"]]
        if "File" in kinds:
            name = PurePosixPath(entity["@id"])
            if name.is_absolute() or ".." in name.parts:
                raise ValueError(f"{name} leads out of it")
            yield str(name), entity["sha256"]
