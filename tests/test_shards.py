"""Signals of one model by several jobs."""

import copy
import sys

import h5py
import numpy as np
import pytest
import yaml
from conftest import ROOT, SMALL

from dagal import config
from dagal.plan import Study, graph
from dagal.report import registry
from dagal.tasks.classification.signals import part_of

sys.path.append(str(ROOT / "benchmarks"))


@pytest.mark.parametrize(
    ("n", "batch_size", "shards"), [(1000, 64, 1), (1000, 64, 3), (1000, 64, 40), (128, 64, 2), (0, 8, 3)]
)
def test_parts_are_whole_batches_and_all_there_is(n, batch_size, shards):
    rows = np.arange(n)
    parts = [rows[part_of(n, batch_size, shard, shards)] for shard in range(shards)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert all(part[0] % batch_size == 0 for part in parts if len(part))
    assert max(map(len, parts)) - min(map(len, parts)) < 2 * batch_size


def study(shards):
    svm = {"architecture": "svm", "device": "cpu"}
    mlp = SMALL["learners"]["mlp"] | {"loss_prediction": {}}
    changes = {
        "cycles": 1,
        "learners": {"mlp": mlp, "svm": svm},
        "methods": {"entropy": {"learner": "mlp"}, "svm_min_margin": {"learner": "svm"}},
        "signals": {"batch_size": 100, "shards": shards},
    }
    return copy.deepcopy(SMALL) | changes


def test_jobs_of_shards_share_a_pass():
    planned = Study(config.load(study(3)))
    jobs = graph.jobs(planned, registry.targets(planned))
    assert graph.counts(jobs)["signals_shard"] == 3 * graph.counts(jobs)["signals"] == 6
    assert all(
        "model.safetensors" not in path for (stage, _), reads in jobs.items() if stage == "signals" for path in reads
    )
    assert "signals_shard" not in graph.counts(graph.jobs(Study(config.load(study(1))), registry.targets(planned)))


def test_signals_of_several_jobs_are_those_of_one(tmp_path, monkeypatch):
    """Every byte of signals.h5, also where there are more jobs than batches."""
    import in_process

    starts = "results/small/seed0/start-{}/cycle0/signals.h5"
    monkeypatch.setattr(registry, "targets", lambda study: [starts.format(learner) for learner in study.learners])
    for shards in (1, 3, 20):
        file = tmp_path / f"{shards}.yaml"
        file.write_text(yaml.safe_dump(study(shards)))
        in_process.measured(in_process.run_in_process, file, tmp_path / str(shards))
    for learner, names in (("mlp", ("labeled_predicted_loss", "trajectory")), ("svm", ("logits", "weight_norms"))):
        one = tmp_path / "1" / starts.format(learner)
        with h5py.File(one) as file:
            assert {"probabilities", "embeddings", "labeled_embeddings", *names} <= set(file)
        for shards in (3, 20):
            other = tmp_path / str(shards) / starts.format(learner)
            assert len(list(other.parent.glob("signals_shard*.h5"))) == shards
            assert other.read_bytes() == one.read_bytes()
