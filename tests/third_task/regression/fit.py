"""labeled.h5 -> ridge regression on the pixels: its predictions on the test set."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.artifacts import Kind

PREDICTIONS = Kind("predictions", 1, {"ids": "test ids (n,)", "numbers": "predicted numbers (n,)"})

job = start()
ids, numbers = artifacts.read(job.input.labeled, "labeled", "ids", "labels")
(test,) = artifacts.read(job.input.split, "split", "test")
with artifacts.opened(job.input.images, "images") as file:
    pixels_N_D = file["images"][()].reshape(len(file["images"]), -1).astype(np.float32) / 255

x_L_D, mean = pixels_N_D[ids], numbers.mean()
weights_D = np.linalg.solve(x_L_D.T @ x_L_D + job.params.alpha * np.eye(x_L_D.shape[1]), x_L_D.T @ (numbers - mean))
found = {"ids": test, "numbers": pixels_N_D[test] @ weights_D + mean}
artifacts.write(job.output.predictions, PREDICTIONS, job.origin, found)
