"""Neighbours found during pre-training, and the truth -> accuracy of a nearest-neighbour vote over the epochs, after the fact."""

from job import start

from dagal import artifacts
from dagal.report.statistics import knn_accuracy

start(snakemake)
(labels_N,) = artifacts.read(snakemake.input.truth, "truth", "labels")
rows = []
for name, path in zip(snakemake.params.backbones, snakemake.input.pretrainings, strict=True):
    loss_E, std_E, epochs_K, queries_Q, neighbours_K_Q_k, similarities_K_Q_k = artifacts.read(
        path, "pretraining", "loss", "output_std", "knn_epochs", "queries", "neighbours", "similarities"
    )
    spread = artifacts.attributes(path, "pretraining")["outputs"] ** -0.5
    accuracy = {
        epoch: knn_accuracy(labels_N[neighbours], similarities, labels_N[queries_Q])
        for epoch, neighbours, similarities in zip(epochs_K.tolist(), neighbours_K_Q_k, similarities_K_Q_k, strict=True)
    }
    for epoch in range(len(loss_E) + 1):
        trained = [loss_E[epoch - 1], std_E[epoch - 1]] if epoch else [None, None]
        rows.append([name, epoch, *trained, spread, accuracy.get(epoch)])
    print(f"{name}: accuracy {accuracy}")
header = ["backbone", "epoch", "loss", "output_std", "even_std", "knn_accuracy"]
artifacts.write_csv(snakemake.output[0], header, rows)
