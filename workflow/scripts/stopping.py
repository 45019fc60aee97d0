"""What is known of a chain at one of its nodes -> stopping.json: whether it stops there, and why."""

import math

from job import start

from dagal import artifacts
from dagal.stopping import cohen_kappa, reason_to_stop

job = start()
source, params, cycle = job.input, job.params, int(job.wildcards.cycle)
metrics = artifacts.read_json(source.metrics)
before = artifacts.read_json(source.stop_record) if cycle else {"kappa": [], "validation_accuracy": []}
kappas = before["kappa"]
if params.kappa and cycle:
    value = cohen_kappa(*(artifacts.read(path, "stop_predictions", "predicted")[0] for path in source.predictions))
    kappas = [*kappas, None if math.isnan(value) else value]
    if math.isnan(value):
        print(
            "kappa is undefined, which stops nothing: both models give one and the same class for all of the stop set"
        )
accuracies = [*before["validation_accuracy"], metrics["validation_accuracy"]]
reason = reason_to_stop(accuracies, kappas, params.target_accuracy, params.kappa, params.get("accuracy_change"))
record = {
    "stopped": reason is not None,
    "cycle": cycle,
    "labels": metrics["labels"],
    "reason": reason,
    "kappa": kappas,
    "validation_accuracy": accuracies,
}
artifacts.write_json(job.output.stopping, record)
print(f"cycle {cycle}, {metrics['labels']:,} labels: {f'stops, as {reason}' if reason else 'goes on'}")
