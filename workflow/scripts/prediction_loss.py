"""Training histories of learners that predict their own loss -> the loss of that prediction in each epoch."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.stopping import last_cycles, passed_through

start(snakemake)
stops = last_cycles(snakemake.input.stops)
rows = []
for (name, settings), path in zip(snakemake.params.learners, snakemake.input.histories, strict=True):
    seed, branch, cycle = artifacts.node(path)
    if passed_through(stops, seed, branch, cycle):
        continue
    (loss_E,) = artifacts.read(path, "history", "prediction_loss")
    prediction = settings["loss_prediction"]
    place = [name, prediction["loss"], branch, seed, cycle]
    for epoch, loss in enumerate(loss_E):
        joint = int(epoch < prediction["share"] * settings["epochs"])
        rows.append([*place, epoch + 1, None if np.isnan(loss) else loss, joint])
header = ["learner", "kind", "branch", "seed", "cycle", "epoch", "prediction_loss", "joint"]
artifacts.write_csv(snakemake.output[0], header, rows)
