"""Classification of images: an answer is a class."""

from functools import partial

from dagal.registry import Registry
from dagal.tasks import Task, adversaries
from dagal.tasks.classification import answers
from dagal.tasks.classification.signals import SIGNALS, file_of
from dagal.tasks.classification.stages import BY_PERSON, STAGES

# what a name stands for where it is not "the score of that name, top k of it"
METHODS = {
    "oracle": {"score": "misclassified"},
    "kcenter_greedy": {"score": "distance_to_labeled", "select": "kcenter_greedy"},
    "core_set": {"score": "distance_to_labeled", "select": "core_set"},
    "typiclust": {"score": "distance_to_labeled", "select": "typiclust"},
    "probcover": {"score": "distance_to_labeled", "select": "probcover"},
    "dal": {"score": "distance_to_labeled", "select": "dal"},
    "badge": {"score": "gradient_norm", "select": "badge"},
    "batch_bald": {"score": "bald", "select": "batch_bald"},
    "diverse_mini_batch": {"score": "margin", "select": "diverse_mini_batch"},
    "informative_diverse": {"score": "margin", "select": "informative_diverse"},
    "margin_cluster_mean": {"score": "margin", "select": "margin_cluster_mean"},
    "exploration_p": {"score": "entropy", "select": "exploration_p"},
    "average_margin": {"score": "margin", "select": "average_margin"},
    "cluster_margin": {"score": "margin", "select": "cluster_margin"},
    "acs_fw": {"score": "bald", "select": "acs_fw"},
    "clue": {"score": "entropy", "select": "clue"},
    "alfa_mix": {"score": "margin", "select": "alfa_mix"},
    "noise_stability": {"score": "noise_change", "select": "noise_stability"},
    "waal": {"score": "entropy", "select": "waal"},
    "uncertain_gcn": {"score": "distance_to_labeled", "select": "uncertain_gcn"},
    "core_gcn": {"score": "distance_to_labeled", "select": "core_gcn"},
    "qbc_vote_entropy": {"score": "vote_entropy", "draws": "ensemble"},
    "qbc_kl": {"score": "bald", "draws": "ensemble"},
    "debal": {"score": "bald", "draws": "ensemble_dropout"},
    "learning_loss": {"score": "predicted_loss"},
    "vaal": {"score": "unlike_labeled", "adversary": "vaal"},
    "ta_vaal": {"score": "unlike_labeled", "adversary": "ta_vaal"},
    "sraal": {"score": "unlike_labeled", "adversary": "sraal"},
    "vaal_cb": {"score": "unlike_labeled", "adversary": "vaal", "select": "class_balanced"},
    "entropy_cb": {"score": "entropy", "select": "class_balanced"},
    "bald_cb": {"score": "bald", "select": "class_balanced"},
    "kcenter_cb": {"score": "distance_to_labeled", "select": "kcenter_class_balanced"},
    "entropy_pseudo_label": {"score": "entropy", "select": "pseudo_label"},
}

CLASSIFIERS = ("linear", "svm", "mlp", "lenet", "resnet18_cifar", "resnet18", "resnet50", "resnet101")

TASK = Task(
    name="classification",
    answer={"labels": "label given to each id (L,)"},
    ask=answers.answers,
    append=answers.append,
    told=answers.told,
    known=answers.known,
    signals=SIGNALS,
    sealed=frozenset({"truth"}),
    methods=METHODS,
    default={"select": "top_k", "draws": "dropout"},
    measures=("accuracy", "balanced_accuracy", "validation_accuracy", "l1_score"),
    without_test="cross_validated_accuracy",
    per_class="accuracy_per_class",
    learners=Registry(
        dict.fromkeys(CLASSIFIERS, "dagal.config.learners:Classifier") | {"svm": "dagal.config.learners:Svm"}
    ),
    stages=STAGES,
    rules=(
        "images.smk",
        "classification.smk",
        "signals.smk",
        "adversaries.smk",
        "backbones.smk",
        "balance.smk",
        "stopping.smk",
    ),
    by_person=BY_PERSON,
    rules_by_person=("predicted_labels.smk",),
    reads_besides=partial(adversaries.reads_besides, SIGNALS),
    file_of=file_of,
)
