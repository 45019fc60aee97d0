"""Predictions on the test set against the truth -> metrics.json."""

import numpy as np
from job import start

from dagal import artifacts

job = start()
ids, numbers = artifacts.read(job.input.predictions, "predictions", "ids", "numbers")
(labeled,) = artifacts.read(job.input.labeled, "labeled", "ids")
(truth_N,) = artifacts.read(job.input.truth, "truth", "labels")
error = float(np.mean((numbers - truth_N[ids]) ** 2))
artifacts.write_json(job.output.metrics, {**job.origin, "labels": len(labeled), "mean_squared_error": error})
