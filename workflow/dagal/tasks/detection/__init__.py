"""Detection in videos: an answer is all boxes of a frame (thesis 003, ch. 2)."""

from dagal.registry import Registry
from dagal.tasks import Task
from dagal.tasks.detection import answers
from dagal.tasks.detection.stages import BY_PERSON, STAGES

# argument of a score or selector -> (kind of file, data set) of the signal that it stands for
SIGNALS = {
    "detection_probs_M_K": ("detections", "probabilities"),
    "detection_frame_M": ("detections", "offsets"),
    "estimated_fp_N": ("coherence", "false_positives"),
    "estimated_fn_N": ("coherence", "false_negatives"),
    "true_fp_N": ("errors", "false_positives"),
    "true_fn_N": ("errors", "false_negatives"),
    "video_N": ("images", "video"),
    "frame_N": ("images", "frame"),
    "labeled_video_L": ("images", "video"),
    "labeled_frame_L": ("images", "frame"),
}

# in video every method but plain random keeps its frames apart (003 sec. 2.5.2, Random+R)
SPREAD = {"select": "temporal_spread"}
METHODS = {
    "random": {"score": "random", "select": "top_k"},
    "random_r": {"score": "random", **SPREAD},
    "least_confidence": {"score": "mean_least_confidence", **SPREAD},
    "entropy": {"score": "mean_entropy", **SPREAD},
    "margin": {"score": "summed_margin", **SPREAD},
    "oracle_fp": {"score": "false_positives", **SPREAD},
    "oracle_fn": {"score": "false_negatives", **SPREAD},
    "temporal_coherence": {"score": "estimated_false_positives", **SPREAD},
    "temporal_coherence_fp": {"score": "estimated_false_positives", **SPREAD},
    "temporal_coherence_fn": {"score": "estimated_false_negatives", **SPREAD},
    "temporal_coherence_both": {"score": "estimated_errors", **SPREAD},
}


def file_of(method: dict, kind: str) -> str:
    """The file behind a kind of signal, without ending: temporal coherence follows detections by one of several trackers."""
    return f"coherence_{method['tracker']}" if kind == "coherence" else kind


DETECTORS = ("faster_rcnn_small", "faster_rcnn_mobilenet", "faster_rcnn_resnet50")

TASK = Task(
    name="detection",
    answer={
        "boxes": "detection: box of each object (M,4), x1 y1 x2 y2 in pixels",
        "box_labels": "detection: class of each object (M,)",
        "offsets": "detection: the l-th labeled id has the boxes offsets[l] to offsets[l+1] (L+1,)",
    },
    ask=answers.answers,
    append=answers.append,
    told=answers.told,
    told_as="boxes",
    known=answers.known,
    signals=SIGNALS,
    sealed=frozenset({"errors"}),
    methods=METHODS,
    default=SPREAD,
    measures=("mean_ap", "boxes", "false_positives_per_frame", "false_negatives_per_frame"),
    per_class="ap_per_class",
    costs=("boxes",),
    learners=Registry(dict.fromkeys(DETECTORS, "dagal.config.learners:Detector")),
    stages=STAGES,
    by_person=BY_PERSON,
    rules=("videos.smk", "detection.smk"),
    file_of=file_of,
)
