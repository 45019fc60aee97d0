"""Learners: networks, training and inference. Every module here needs torch."""

# networks of images, which a backbone may be; `linear` and `svm` learn on its features, or on pixels
IMAGE_NETWORKS = ("mlp", "lenet", "resnet18_cifar", "resnet18", "resnet50", "resnet101")
