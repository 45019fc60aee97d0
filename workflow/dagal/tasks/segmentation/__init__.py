"""Semantic segmentation: an answer is a class for every pixel of an image (004 sec. 4.4, SRAAL sec. 4.2)."""

from functools import partial

from dagal.registry import Registry
from dagal.tasks import Task, adversaries
from dagal.tasks.segmentation import answers
from dagal.tasks.segmentation.stages import STAGES

# argument of a score or selector -> (kind of file, data set) of the signal that it stands for
SIGNALS = {
    "pixel_least_confidence_N": ("pixel_signals", "least_confidence"),
    "pixel_margin_N": ("pixel_signals", "margin"),
    "pixel_entropy_N": ("pixel_signals", "entropy"),
    "pixel_bald_N": ("pixel_signals", "bald"),
    "pixel_dispersion_N": ("pixel_trajectory", "dispersion"),
    "probs_N_C": ("pixel_signals", "class_shares"),
    "embeddings_N_D": ("pixel_signals", "embeddings"),
    "centers_L_D": ("pixel_signals", "labeled_embeddings"),
    "predicted_loss_N": ("pixel_signals", "predicted_loss"),
    "discriminator_N": ("adversary", "discriminator"),
}

METHODS = {
    "least_confidence": {"score": "mean_pixel_least_confidence"},
    "margin": {"score": "mean_pixel_margin"},
    "entropy": {"score": "mean_pixel_entropy"},
    "bald": {"score": "mean_pixel_bald"},
    "label_dispersion": {"score": "mean_pixel_dispersion"},
    "learning_loss": {"score": "predicted_loss"},
    "vaal": {"score": "unlike_labeled", "adversary": "vaal"},
    "ta_vaal": {"score": "unlike_labeled", "adversary": "ta_vaal"},
    "sraal": {"score": "unlike_labeled", "adversary": "sraal"},
    "kcenter_greedy": {"score": "distance_to_labeled", "select": "kcenter_greedy"},
    "core_set": {"score": "distance_to_labeled", "select": "core_set"},
    "typiclust": {"score": "distance_to_labeled", "select": "typiclust"},
    "entropy_cb": {"score": "mean_pixel_entropy", "select": "class_balanced"},
    "kcenter_cb": {"score": "distance_to_labeled", "select": "kcenter_class_balanced"},
}

SEGMENTERS = (
    "segmenter_small",
    "drn_d_22",
    "fcn_resnet50",
    "deeplabv3_resnet50",
    "deeplabv3_mobilenet",
    "lraspp_mobilenet",
)

TASK = Task(
    name="segmentation",
    answer={
        "masks": "segmentation: class of each pixel (L,H,W), 255 none",
        "pixels": "segmentation: pixels of each class (L,C)",
    },
    ask=answers.answers,
    append=answers.append,
    signals=SIGNALS,
    sealed=frozenset({"truth"}),
    methods=METHODS,
    default={"select": "top_k"},
    measures=("mean_iou", "pixel_accuracy", "validation_mean_iou", "labeled_pixels"),
    per_class="iou_per_class",
    learners=Registry(dict.fromkeys(SEGMENTERS, "dagal.config.learners:Segmenter")),
    stages=STAGES,
    rules=("segmentation.smk", "adversaries.smk"),
    reads_besides=partial(adversaries.reads_besides, SIGNALS),
    file_of=adversaries.file_of,
)
