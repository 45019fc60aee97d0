"""The first query of one method at every weight lambda -> the queries with their losses, and the chosen weight."""

import numpy as np
from job import start

from dagal import artifacts
from dagal.acquisition import methods
from dagal.acquisition.lambda_study import SWEEP, choose_weight, losses
from dagal.balance import required_per_class
from dagal.seeding import generator

job = start()
source, params = job.input, job.params
candidates, score_N = artifacts.read(source.scores, "scores", "ids", "score")
with artifacts.opened(source.labeled, "labeled") as file:
    labels, n_classes = file["labels"][()], len(artifacts.attribute(file, "class_names"))
required_C = required_per_class(np.bincount(labels, minlength=n_classes), params.budget, len(labels), 1)


def query(select, **options):
    """Positions chosen by a selector, in order of choice."""
    rng = generator(params.seed, "select", 1)
    return methods.query(select, source, candidates, score_N, params.budget, 1, rng, options, job.task)[0]


probs_N_C = methods.gather(lambda probs_N_C: None, source, candidates, {}, job.task)["probs_N_C"]
queries = [query(params.select, **params.options | {"weight": weight}) for weight in params.weights]
# for comparison, as in fig. 4.4: the plain method and balancing by hard pseudo-labels
references = [query("top_k"), query("pseudo_label")]
losses_Q_2 = np.array([losses(score_N, probs_N_C, required_C, positions) for positions in queries + references])
n_weights = len(params.weights)
chosen = choose_weight(np.array(params.weights), losses_Q_2[:n_weights, 1], params.tolerance)
artifacts.write(
    job.output.sweep,
    SWEEP,
    job.origin,
    {
        "weights": np.array(params.weights, np.float64),
        "queries": candidates[np.stack(queries + references)],
        "score_loss": losses_Q_2[:, 0],
        "l1_loss": losses_Q_2[:, 1],
    },
    chosen=chosen,
)
artifacts.write_json(job.output.chosen, {"weight": chosen})
for weight, (score_loss, l1_loss) in zip([*params.weights, "top_k", "pseudo_label"], losses_Q_2, strict=True):
    print(f"weight {weight}: score loss {score_loss:.4f}, L1 loss {l1_loss:.4f}")
print(f"chosen: {chosen}")
