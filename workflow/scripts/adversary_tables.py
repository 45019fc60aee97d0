"""Adversaries of a study -> their losses over the steps, and D of the pool at each method's last query beside the real loss."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.stopping import last_cycles, passed_through

TERMS = ("reconstruction", "kl", "adversarial", "supervised", "supervised_kl", "discriminator_loss")

start(snakemake)
source = snakemake.input
stops = last_cycles(source.stops)
rows = []
for (method, seed, cycle), path in zip(snakemake.params.queries, source.adversaries, strict=True):
    if passed_through(stops, seed, method, cycle):
        continue
    with artifacts.opened(path, "adversary") as file:
        step_S = file["step"][()]
        losses = [file[term][()] if term in file else [None] * len(step_S) for term in TERMS]
    rows += [[method, seed, cycle, *values] for values in zip(step_S, *losses, strict=True)]
artifacts.write_csv(snakemake.output.losses, ["method", "seed", "cycle", "step", *TERMS], rows)

rows = []
(labels_N,) = artifacts.read(source.truth, "truth", "labels")
for (method, seed, cycle), files in zip(
    snakemake.params.last, zip(source.last, source.signals, source.queries, strict=True), strict=True
):
    if passed_through(stops, seed, method, cycle):
        continue
    ids, looks_labeled = artifacts.read(files[0], "adversary", "ids", "discriminator")
    (probs_N_C,) = artifacts.read(files[1], "signals", "probabilities")
    (queried,) = artifacts.read(files[2], "query", "ids")
    loss = -np.log(np.maximum(probs_N_C[np.arange(len(ids)), labels_N[ids]], np.finfo(np.float32).tiny))
    found = zip(ids, looks_labeled, loss, np.isin(ids, queried).astype(int), strict=True)
    rows += [[method, seed, cycle, *sample] for sample in found]
header = ["method", "seed", "cycle", "id", "discriminator", "loss", "queried"]
artifacts.write_csv(snakemake.output.discriminator, header, rows)
