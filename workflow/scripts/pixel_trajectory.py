"""What the training of a segmenter recorded of its pool after each epoch, as history.h5 has it: label-dispersion, or predicted losses.

A start whose study had no method that reads them did not record them: it is trained once more, with the same result, and its own
files stay as they are.
"""

from job import start

from dagal import artifacts
from dagal.tasks.segmentation.signals import FOLLOWED

job = start()
source, kind, result = job.input, FOLLOWED[job.stage], job.output[job.stage]
with artifacts.opened(source.history, "history") as history:
    found = {name: history[name][()] for name in kind.datasets if name in history}
checkpoint = None
if len(found) < len(kind.datasets):
    # torch costs seconds; what is recorded needs none
    from dagal.learners import checkpoints, devices, pixel_trajectory, segmenter

    settings, wildcards = job.params.learner, job.wildcards
    device = devices.prepare(job.gpu, settings["threads"], deterministic=False)
    checkpoint = checkpoints.of(job, result, device)
    place = int(wildcards.seed), int(wildcards.cycle)
    _, again, _ = segmenter.fit_node(source, settings, *place, device, job.origin, result, [job.stage], checkpoint)
    found = {name: again[name] for name in kind.datasets}
artifacts.write(result, kind, job.origin, found)
if checkpoint:
    checkpoint.remove()
    pixel_trajectory.remove(result)
print(", ".join(f"{name} {values.shape}" for name, values in found.items()))
