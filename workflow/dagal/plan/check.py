"""What is checked before anything is planned, with what is on the disk: missing files, and pools that are too small for a study."""

import sys
from pathlib import Path

from dagal import artifacts, config, datasets
from dagal.datasets.source import PUBLISHED_COUNTS, PUBLISHED_SHAPES
from dagal.errors import UserError
from dagal.plan import record
from dagal.plan.study import Study
from dagal.tasks.needs import Size

UNKNOWN = Size(images=100_000, height=256, width=256, channels=3, classes=100)  # what is taken where nothing tells


def planned(files, overrides: dict, trusted: bool = False) -> tuple[Study, Size]:
    """The plan of a study, and what is known of its images. A mistake of the user ends the program with one sentence before any job starts.

    ``files`` and ``overrides`` as in `dagal.config.load`. ``trusted``: take the results that are there, whatever they were made with.
    """
    try:
        checked = config.load(files, overrides)
        config.check_files(checked)
        study = Study(checked)
        pool = pool_size(study)
        if pool is not None:
            config.check_pool(checked, pool)
        if not trusted:
            record.check(study)
        return study, size_of(study, pool)
    except UserError as error:
        sys.exit(f"dagal: {error}")


def pool_size(study: Study) -> int | None:
    """Size of the unlabeled pool in images, or None if nothing tells it yet: what is prepared is asked before the raw data.

    images.h5 serves where no class matters; a survey's annotations take seconds to read, and every job plans.
    """
    settings = study.settings
    split, regions = Path(study.split(study.seeds[0])), settings["regions"]
    if regions and regions["initial"] == "regions":  # any image may be asked about
        initial = settings["pool"]["initial"] | {"size": 0}
        settings = settings | {"pool": settings["pool"] | {"initial": initial}}
    if split.exists() and not regions:
        with artifacts.open_hdf5(split) as file:
            if file.attrs.get("params_hash") == artifacts.params_hash({"pool": settings["pool"]}):
                return len(file["pool"])
    if study.rendered or settings["dataset"]["loader"] == "rendered_scenes":
        from dagal.datasets import synthia_al

        return synthia_al.n_training_frames(settings["dataset"]) - settings["pool"]["initial"]["size"]
    if settings["dataset"]["loader"] in datasets.VIDEO_LOADERS:
        return None
    if study.by_person:
        counts = datasets.train_counts(settings["dataset"])
        return None if counts is None else config.pool_size(settings, counts)
    images = Path(study.clean_images)
    by_class = settings["pool"]["imbalance"]["kind"] != "none" or settings["pool"]["initial"]["kind"] == "balanced"
    if images.exists() and not by_class:
        with artifacts.open_hdf5(images) as file:
            if file.attrs.get("params_hash") == artifacts.params_hash({"dataset": settings["dataset"]}):
                return config.pool_size(settings, [(file["split"][()] == 0).sum()])
    counts = datasets.train_counts(settings["dataset"])
    return None if counts is None else config.pool_size(settings, counts)


def size_of(study: Study, pool: int | None) -> Size:
    """Size of a study's images: of those that are there, else as its settings and the size of the pool let expect it."""
    settings = study.settings["dataset"]
    classes = len(PUBLISHED_COUNTS.get(settings["loader"], range(UNKNOWN.classes)))
    if Path(study.clean_images).exists():
        # not `opened`: one of an earlier version is made anew
        with artifacts.open_hdf5(study.clean_images) as file:
            if "images" in file:
                return Size(*file["images"].shape, classes)
    # beside the pool there are a test set, a validation set and the first labels
    images = UNKNOWN.images if pool is None else 2 * pool + study.settings["pool"]["initial"]["size"]
    height, width, channels = PUBLISHED_SHAPES.get(
        settings["loader"], (UNKNOWN.height, UNKNOWN.width, UNKNOWN.channels)
    )
    side = settings.get("image_size")
    return Size(
        images, settings.get("height") or side or height, settings.get("width") or side or width, channels, classes
    )
