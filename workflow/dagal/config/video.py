"""Optical flow and temporal coherence of videos."""

from typing import Literal

from dagal.config.fields import File, Mistake, Number, Section, Whole, setting


class SiamFC(Section):
    clips: Whole = setting("Rendered clips of 40 frames, each of which gives 64 pairs of crops.", 45, ge=1)
    epochs: Whole = setting("Passes over the pairs.", 20, ge=1)
    train_on: Literal["rendered", "labeled"] = setting(
        "`rendered`: once for the study, on the pairs of `clips`. `labeled`: anew in every cycle, on pairs of the frames that are labeled by "
        "then; `clips` has no meaning.",
        "rendered",
    )

    def plain(self) -> dict:
        """Without the key that came later, where it says what was always so."""
        return {name: value for name, value in super().plain().items() if (name, value) != ("train_on", "rendered")}


class Video(Section):
    flow: Literal["dis", "raft"] = setting(
        "Optical flow, computed once per data set: OpenCV's DIS, or torchvision's RAFT.",
        "dis",
        papers="003, ch. 2: PWC-Net",
    )
    flow_weights: File | None = setting("Local weights of `raft`.", None)
    flow_stride: Whole = setting("One motion is stored for every cell of this many pixels squared.", 4, ge=1)
    shards: Whole = setting(
        "Files, and so parallel jobs, over which the videos are spread to compute the flow.", 8, ge=1, le=10_000
    )
    overlap: Number = setting(
        "Intersection over union above which detections are linked and candidates merged (theta of 003, sec. 2.3.2).",
        0.5,
        gt=0,
        lt=1,
        papers="003: theta, not stated",
    )

    siamfc: SiamFC | None = setting(
        "Training of the network behind `tracker: siamfc`.",
        None,
        otherwise="`clips: 45, epochs: 20` where a method has this tracker",
        papers="003, ch. 2: SiamFC, as published",
    )

    def plain(self) -> dict:
        """Without the key that came later, where it is not set: studies without this tracker stay what they were."""
        values = super().plain()
        return {name: value for name, value in values.items() if name != "siamfc" or value is not None}

    def check(self, key: str) -> None:
        if self.flow == "raft" and not self.flow_weights:
            raise Mistake(f"{key}.flow", "is raft, which needs local weights: set 'video.flow_weights'.")
