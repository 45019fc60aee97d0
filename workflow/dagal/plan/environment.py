"""What a study is run with beside its settings: versions of the code and of the libraries, and the machine."""

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from dagal import __version__, hardware
from dagal.plan.code import WORKFLOW

# the libraries that results depend on
LIBRARIES = (
    "h5py",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pymaxflow",
    "safetensors",
    "scikit-learn",
    "scipy",
    "snakemake",
    "torch",
    "torchvision",
)


def now() -> dict:
    """Of this process: flat but for the versions of the libraries, so that two of them are compared key by key."""
    return {
        "commit": commit(WORKFLOW.parent),
        "versions": {"dagal": __version__, "python": platform.python_version()} | versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": hardware.processor(),
        "cores": os.cpu_count(),
        "gpus": hardware.gpus(),
    }


def versions() -> dict[str, str]:
    """Of each library that is installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(root: Path) -> str | None:
    """The commit of the clone at ``root``, ending in "-dirty" if files were changed since; None if it is no clone."""
    if not shutil.which("git") or not (root / ".git").exists():  # else git tells of a clone that lies around it
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None
