"""What a node's training recorded of its pool after each epoch, as its history.h5 has it: predicted classes, or predicted losses.

A start whose study had no method that reads them did not record them: it is trained once more, with the same result, and its own
files stay as they are.
"""

from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.tasks.classification.signals import FOLLOWED

job = start()
source, settings, checkpoint = job.input, job.params.learner, None
kind = FOLLOWED[job.stage]
with artifacts.opened(source.history, "history") as history:
    found = {name: history[name][()] for name in kind.datasets if name in history}
if len(found) < len(kind.datasets):
    # torch costs seconds; what is recorded needs none
    from dagal.learners import checkpoints, devices, training

    device, ids = devices.for_training(job.gpu, settings), unlabeled(source.split, source.labeled)
    seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
    checkpoint = checkpoints.of(job, job.output[job.stage], device)
    _, again = training.fit_following(source, settings, seed, cycle, device, ids, [job.stage], checkpoint)
    found = {name: again[name] for name in kind.datasets}
artifacts.write(job.output[job.stage], kind, job.origin, found)
if checkpoint:
    checkpoint.remove()
print(", ".join(f"{name} {values.shape}" for name, values in found.items()))
