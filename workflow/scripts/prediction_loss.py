"""Training histories of learners that predict their own loss -> the loss of that prediction in each epoch."""

from pathlib import Path

import numpy as np
from job import start

from dagal import artifacts
from dagal.stopping import last_cycles

start(snakemake)
stops = last_cycles(snakemake.input.stops)
rows = []
for (name, settings), path in zip(snakemake.params.learners, map(Path, snakemake.input.histories), strict=True):
    seed, branch, cycle = path.parts[-4:-1]
    seed, cycle = int(seed.removeprefix("seed")), int(cycle.removeprefix("cycle"))
    if cycle > stops.get((seed, branch), cycle):
        continue
    (loss_E,) = artifacts.read(path, "history", "prediction_loss")
    prediction = settings["loss_prediction"]
    place = [name, prediction["loss"], branch, seed, cycle]
    for epoch, loss in enumerate(loss_E):
        joint = int(epoch < prediction["share"] * settings["epochs"])
        rows.append([*place, epoch + 1, None if np.isnan(loss) else loss, joint])
header = ["learner", "kind", "branch", "seed", "cycle", "epoch", "prediction_loss", "joint"]
artifacts.write_csv(snakemake.output[0], header, rows)
