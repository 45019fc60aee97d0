"""Formats of other tools for labeling: a module each, that writes what is to be labeled and reads what was answered."""

from dagal.registry import Registry

FORMATS = Registry(
    {
        "csv": "dagal.labeling.formats.table:FORMAT",
        "label_studio": "dagal.labeling.formats.label_studio:FORMAT",
        "cvat": "dagal.labeling.formats.coco:CVAT",
        "coco": "dagal.labeling.formats.coco:COCO",
        "yolo": "dagal.labeling.formats.yolo:FORMAT",
    }
)
