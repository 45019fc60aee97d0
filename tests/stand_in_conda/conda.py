"""A stand-in for conda where there is none: what Snakemake asks of it, by venv and uv.

``conda info --json``, ``conda --version``, ``conda config --get channel_priority --json``, and ``conda env create --file FILE --prefix
PREFIX``, which installs exactly the packages of the file and what these need, at the versions of requirements.lock. `install` writes
the command ``conda``, and ``activate`` beside it.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def install(prefix: Path) -> Path:
    """Write the commands below a folder; the one to put at the front of PATH."""
    commands = prefix / "bin"
    commands.mkdir(parents=True)
    (commands / "activate").write_text(ACTIVATE)
    (commands / "conda").write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {shlex.quote(str(prefix))} "$@"\n'
    )
    (commands / "conda").chmod(0o755)
    return commands


def create(file: Path, prefix: Path) -> None:
    """Make an environment."""
    environment = yaml.safe_load(file.read_text())
    (python,) = [
        entry for entry in environment["dependencies"] if isinstance(entry, str) and entry.startswith("python=")
    ]
    (packages,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    uv = [sys.executable, "-m", "uv"]
    run([*uv, "venv", "--quiet", "--python", python.removeprefix("python="), "--no-python-downloads", str(prefix)])
    options = ["--constraint", str(ROOT / "requirements.lock"), "--python", str(prefix / "bin/python")]
    run([*uv, "pip", "install", "--quiet", *options, *packages])


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def main(prefix: str, words: list[str]) -> None:
    if words == ["--version"]:
        print("conda 25.1.0")
    elif words == ["info", "--json"]:
        print(json.dumps({"conda_prefix": prefix, "platform": "linux-64"}))
    elif words == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif words[:1] == ["clean"]:
        pass  # the packages are uv's to keep
    elif words[:2] == ["env", "create"]:
        parser = argparse.ArgumentParser()
        parser.add_argument("--file", type=Path, required=True)
        parser.add_argument("--prefix", type=Path, required=True)
        for option in ("--quiet", "--no-default-packages"):
            parser.add_argument(option, action="store_true")
        options = parser.parse_args(words[2:])
        create(options.file, options.prefix)
    else:
        sys.exit(f"the stand-in for conda knows nothing of {words}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
