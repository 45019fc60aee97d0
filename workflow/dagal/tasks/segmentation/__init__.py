"""Semantic segmentation: an answer is a class for every pixel of an image (004 sec. 4.4, SRAAL sec. 4.2)."""

from functools import partial

from dagal.registry import Registry
from dagal.tasks import Task, adversaries
from dagal.tasks.segmentation import answers
from dagal.tasks.segmentation.stages import BY_PERSON, STAGES

# argument of a score or selector -> (kind of file, data set) of the signal that it stands for
SIGNALS = {
    "pixel_least_confidence_N": ("pixel_signals", "least_confidence"),
    "pixel_margin_N": ("pixel_signals", "margin"),
    "pixel_entropy_N": ("pixel_signals", "entropy"),
    "pixel_bald_N": ("pixel_signals", "bald"),
    "pixel_ratio_N": ("pixel_signals", "ratio"),
    "pixel_impurity_N": ("pixel_signals", "impurity"),
    "dominant_N": ("pixel_signals", "dominant"),
    "true_pixels_N_C": ("true_pixels", "pixels"),
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
    "best_versus_second_best": {"score": "mean_pixel_ratio"},
    "best_versus_second_best_cb": {"score": "class_balanced_ratio"},
    "ripu": {"score": "mean_pixel_impurity"},
    "random_foreground": {"score": "random", "select": "random_foreground"},
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
        "masks": "segmentation: class of each pixel (L,H,W), 255 none; of regions, of each image that has any (I,H,W)",
        "images": "segmentation of regions: ids of these images (I,), ascending",
        "pixels": "segmentation: pixels of each class (L,C)",
        "clicks": "segmentation: clicks that the answer takes (L,)",
    },
    ask=answers.answers,
    append=answers.append,
    told=answers.told,
    told_as="mask",
    known=answers.known,
    signals=SIGNALS,
    sealed=frozenset({"truth", "true_pixels"}),
    methods=METHODS,
    default={"select": "top_k"},
    measures=("mean_iou", "pixel_accuracy", "validation_mean_iou", "labeled_images", "labeled_pixels", "clicks"),
    per_class="iou_per_class",
    costs=("labeled_pixels", "clicks"),
    learners=Registry(dict.fromkeys(SEGMENTERS, "dagal.config.learners:Segmenter")),
    stages=STAGES,
    by_person=BY_PERSON,
    rules=("segmentation.smk", "adversaries.smk"),
    reads_besides=partial(adversaries.reads_besides, SIGNALS),
    file_of=adversaries.file_of,
)
