"""Learners: networks, training and inference. Every module here needs torch, this one does not."""

from dagal.registry import Registry

# architecture -> its builder: (shape (C,H,W) of the inputs, settings of the learner or backbone) -> (network without a head,
# drawn from torch's current random state; size of its embedding)
NETWORKS = Registry({
    "mlp": "dagal.learners.networks.mlp:mlp",
    "lenet": "dagal.learners.networks.lenet:lenet",
    "resnet18_cifar": "dagal.learners.networks.resnet:resnet",
    "resnet18": "dagal.learners.networks.resnet:resnet",
    "resnet50": "dagal.learners.networks.resnet:resnet",
    "resnet101": "dagal.learners.networks.resnet:resnet",
    "linear": "dagal.learners.networks.linear:linear",
    "svm": "dagal.learners.networks.linear:linear",
})  # fmt: skip
# architectures that no gradient trains -> what fits them to labeled images or features
SOLVERS = Registry({"svm": "dagal.learners.svm:fit"})
# networks of images, which a backbone may be; the others learn on its features, or on pixels
IMAGE_NETWORKS = tuple(name for name in NETWORKS if name not in ("linear", "svm"))
# keys of a classifier that came later, at the value with which earlier studies ran: there a training is not told of them, so the
# studies keep their results
LATER_SETTINGS = {"compile": "auto", "deterministic": True}
