"""Frames with true boxes, detections and the errors estimated from temporal coherence: a sheet of some, and one sequence."""

import numpy as np

from dagal import artifacts
from dagal.report.item import Item
from dagal.report.temporal_coherence import followed, trackers

MOST, SECONDS, FPS = 12, 6, 12


def make(job):
    from dagal.report import pictures
    from dagal.tasks.detection.detections import read, read_truth

    source = job.input
    ids, (offsets, boxes, labels, _) = read(source.detections)
    true_offsets, true_boxes, true_labels = read_truth(source.truth, ids)
    class_names = artifacts.attributes(source.truth, "truth")["class_names"]
    names = ("node_frame", "node_box", "node_label", "is_candidate", "real", "false_positives", "false_negatives")
    frame_V, box_V_4, label_V, is_candidate_V, real_V, wrong_N, missed_N = artifacts.read(
        source.coherence, "coherence", *names
    )
    estimated_wrong_M = ~real_V[: len(labels)]  # node m is detection m
    estimated_missed_V = is_candidate_V & real_V

    def picture(images, position):
        """One frame with everything drawn."""
        found, true = slice(*offsets[position : position + 2]), slice(*true_offsets[position : position + 2])
        missed = estimated_missed_V & (frame_V == ids[position])
        return pictures.annotated(
            images[ids[position]],
            (true_boxes[true], true_labels[true]),
            (boxes[found], labels[found]),
            estimated_wrong_M[found],
            (box_V_4[missed], label_V[missed]),
            class_names,
        )

    with artifacts.opened(source.images, "images") as file:
        video_names, video_N, frame_N = file["video_names"].asstr()[()], file["video"][()][ids], file["frame"][()][ids]
        images, errors_N = file["images"], wrong_N + missed_N
        # the frame with most estimated errors of each video, the videos with most first
        best = {}
        for position in np.argsort(-errors_N, kind="stable"):
            best.setdefault(video_N[position], position)
        chosen = list(best.values())[:MOST]
        captions = [
            f"{video_names[video_N[p]]}, frame {frame_N[p]}: {wrong_N[p]} FP and {missed_N[p]} FN estimated"
            for p in chosen
        ]
        sheet = pictures.contact_sheet([picture(images, p) for p in chosen], captions, min(3, len(chosen)))
        pictures.write_png(job.output.sheet, sheet)
        # around the first of them, within its video
        (of_video,) = np.nonzero(video_N == video_N[chosen[0]])
        middle, half = chosen[0], SECONDS * FPS // 2
        sequence = [p for p in of_video if middle - half <= p <= middle + half]
        pictures.write_gif(job.output.sequence, [picture(images, p) for p in sequence], FPS)
    print(f"{len(chosen)} frames, a sequence of {len(sequence)}")


def reads(study, at):
    node = study.node(at.seed, followed(study)[at.learner], 0)
    return {
        "images": study.clean_images,
        "truth": study.truth,
        "detections": study.path(node, "detections"),
        "coherence": study.file(node, f"coherence_{at.tracker}.h5"),
    }


STEM = "{results}/pictures/{learner}_seed{seed}_{tracker}"

ITEM = Item(
    make=make,
    reads=reads,
    writes={"sheet": f"{STEM}.png", "sequence": f"{STEM}.gif"},
    variants=lambda study: [
        {"learner": learner, "seed": study.seeds[0], "tracker": tracker}
        for learner in followed(study)
        for tracker in trackers(study)
    ],
    caption="""
    Frames with the most estimated errors, at the initial model: truth yellow, detections red, detections that temporal coherence
    holds to be false positives purple, places where it holds an object to be missed green. The truth is drawn after the fact; the
    estimates do not use it.
    """,
    category="Temporal coherence",
    labels={"sheet": "estimated errors, {tracker}", "sequence": "sequence, {tracker}"},
    environment="torch",
)
