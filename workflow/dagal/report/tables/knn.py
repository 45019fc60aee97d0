"""Neighbours found during pre-training, and the truth -> accuracy of a nearest-neighbour vote over the epochs, after the fact."""

from types import SimpleNamespace

from dagal import artifacts
from dagal.report.item import Item
from dagal.report.statistics import knn_accuracy


def make(job):
    (labels_N,) = artifacts.read(job.input.truth, "truth", "labels")
    rows = []
    for name, path in zip(job.params.backbones, job.input.pretrainings, strict=True):
        loss_E, std_E, epochs_K, queries_Q, neighbours_K_Q_k, similarities_K_Q_k = artifacts.read(
            path, "pretraining", "loss", "output_std", "knn_epochs", "queries", "neighbours", "similarities"
        )
        spread = artifacts.attributes(path, "pretraining")["outputs"] ** -0.5
        looks = zip(epochs_K.tolist(), neighbours_K_Q_k, similarities_K_Q_k, strict=True)
        accuracy = {
            epoch: knn_accuracy(labels_N[neighbours], similarities, labels_N[queries_Q])
            for epoch, neighbours, similarities in looks
        }
        for epoch in range(len(loss_E) + 1):
            trained = [loss_E[epoch - 1], std_E[epoch - 1]] if epoch else [None, None]
            rows.append([name, epoch, *trained, spread, accuracy.get(epoch)])
        print(f"{name}: accuracy {accuracy}")
    header = ["backbone", "epoch", "loss", "output_std", "even_std", "knn_accuracy"]
    artifacts.write_csv(job.output.knn, header, rows)


def pretrained(study) -> list[str]:
    """The backbones that are pre-trained without labels."""
    return [name for name, settings in study.backbones.items() if settings["kind"] == "simsiam"]


ITEM = Item(
    make=make,
    reads=lambda study, at: {
        "pretrainings": [
            f"{study.backbone(SimpleNamespace(backbone=name, seed=study.seeds[0]))}/pretraining.h5"
            for name in pretrained(study)
        ],
        "truth": study.truth,
    },
    writes={"knn": "{results}/knn.csv"},
    settings=lambda study, at: {"backbones": pretrained(study)},
    when=lambda study: bool(pretrained(study)),
)
