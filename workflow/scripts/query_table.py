"""query.h5 -> query.csv, what one hands to whoever labels: the file of each queried id, and what the model takes it for."""

import math

from job import start

from dagal import artifacts
from dagal.acquisition.predicted import predicted
from dagal.datasets.origins import origins

job = start()
source = job.input
ids, score_n = artifacts.read(source.query, "query", "ids", "score")
columns = {
    "order": range(1, len(ids) + 1),
    "id": ids.tolist(),
    "file": [None] * len(ids),
    **origins(source.images, ids),
}
columns |= {"score": score_n.tolist(), "predicted_class": [None] * len(ids), "probability": [None] * len(ids)}
if source.predictions:
    class_names = artifacts.attributes(source.labeled, "labeled")["class_names"]
    class_n, probability_n = predicted(source.predictions, job.params.kind, ids)
    columns["predicted_class"] = [None if label < 0 else str(class_names[label]) for label in class_n]
    columns["probability"] = [None if math.isnan(value) else f"{value:.6g}" for value in probability_n]
artifacts.write_csv(job.output.table, list(columns), zip(*columns.values(), strict=True))
print(f"{len(ids):,} queried")
