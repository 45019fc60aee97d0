"""Learners: networks, training and inference. Every module here needs torch."""

from dagal.registry import Registry

# architecture of a classifier -> function of (shape, settings) that builds it without its head
NETWORKS = Registry(
    {
        "linear": "dagal.learners.networks:linear",
        "svm": "dagal.learners.networks:linear",
        "mlp": "dagal.learners.networks:mlp",
        "lenet": "dagal.learners.networks:lenet",
        "resnet18_cifar": "dagal.learners.networks:resnet",
        "resnet18": "dagal.learners.networks:resnet",
        "resnet50": "dagal.learners.networks:resnet",
        "resnet101": "dagal.learners.networks:resnet",
    }
)
# networks of images, which a backbone may be; `linear` and `svm` learn on its features, or on pixels
IMAGE_NETWORKS = ("mlp", "lenet", "resnet18_cifar", "resnet18", "resnet50", "resnet101")
