"""The class predicted for each unlabeled image after each epoch of a node's training, as its history.h5 has it.

A start whose study had no method that reads a trajectory did not record one: it is trained once more, with the same result, and
its own files stay as they are.
"""

from job import start

from dagal import artifacts
from dagal.pool import unlabeled
from dagal.tasks.classification.signals import TRAJECTORY

job = start()
source, settings, checkpoint = job.input, job.params.learner, None
with artifacts.opened(source.history, "history") as history:
    found = {name: history[name][()] for name in ("ids", "trajectory") if name in history}
if not found:
    # torch costs seconds; a recorded trajectory needs none
    from dagal.learners import checkpoints, devices, training

    device, ids = devices.for_training(job.gpu, settings), unlabeled(source.split, source.labeled)
    seed, cycle = int(job.wildcards.seed), int(job.wildcards.cycle)
    checkpoint = checkpoints.of(job, job.output.trajectory, device)
    _, again = training.fit_following(source, settings, seed, cycle, device, ids, checkpoint)
    found = {"ids": ids, "trajectory": again["trajectory"]}
artifacts.write(job.output.trajectory, TRAJECTORY, job.origin, found)
if checkpoint:
    checkpoint.remove()
print(f"{len(found['trajectory'])} epochs of {len(found['ids']):,} unlabeled images")
