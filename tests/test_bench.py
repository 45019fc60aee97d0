"""The benchmark: its rows, their tables, and the loop that other tools are compared with."""

import argparse
import sys

import numpy as np
import pytest
from conftest import ROOT

from dagal.acquisition import scores
from dagal.config.learners import Classifier
from dagal.learners import architectures

sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
import bench  # noqa: E402
import in_process  # noqa: E402
import job  # noqa: E402
import peers  # noqa: E402
import selection  # noqa: E402
from bench import Row  # noqa: E402


def test_rows_of_a_section_are_well_formed():
    rows = bench.rows_of("this_run", argparse.Namespace())
    assert {"cores", "torch", "date"} <= {row.unit for row in rows}
    for row in rows:
        assert row.section == "this run" and row.what == "machine" and row.bar is None
        assert isinstance(row.value, int | float | str) and row.value != ""


@pytest.mark.parametrize("name", ["top_k", "kcenter_greedy", "badge"])
def test_selectors_can_be_timed(name):
    assert selection.select(name, *selection.pool(selection.LABELED + 2 * selection.BUDGET, 8)) > 0


def test_costs_of_a_job_are_read_as_it_writes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "costs", lambda started: (2.5, 1.25, 300.0))
    job.write_costs(tmp_path / "train.benchmark.tsv", 0.0, [])
    assert in_process.job_costs(tmp_path / "train.benchmark.tsv") == (2.5, 1.25, 300.0)


def test_costs_of_jobs_add_up_to_those_of_stages():
    jobs = {"score": [(0.1, 0.05, 50)], "train": [(1, 2, 300), (3, 6, 200)]}  # seconds, processor seconds, MiB
    found = {(row.what, row.unit): row.value for row in bench.by_stage("stages", jobs, 10)}
    assert found == {
        ("train", "jobs"): 2, ("train", "s a job"): 2, ("train", "processor s in all"): 8, ("train", "peak MiB"): 300,
        ("other stages", "jobs"): 1, ("other stages", "processor s in all"): 0.05,
        ("Snakemake, and starting jobs", "processor s in all"): pytest.approx(1.95),
    }  # fmt: skip


ROWS = [
    Row("one", "a", 1234.5, "s"), Row("one", "b", 3, "jobs"), Row("one", "a", 0.123456, "share", 0.1),
    Row("two", "c", "not installed", "s"),
]  # fmt: skip


def test_a_column_for_each_unit():
    assert dict(bench.tables(ROWS)) == {
        "one": [["", "s", "jobs", "share"], ["a", "1,234", "", "0.12 (at most 0.1)"], ["b", "", "3", ""]],
        "two": [["", "s"], ["c", "not installed"]],
    }


def test_what_is_over_its_bar_is_told():
    within = [Row("one", "a", 1, "s", 1.0), Row("one", "a", 5, "s")]
    assert bench.missed([*ROWS, *within]) == [ROWS[2]]
    assert len(bench.missed([Row("one", "a", float("nan"), "s", 1.0)])) == 1


def test_the_table_is_written_between_its_marks_and_again(tmp_path, monkeypatch):
    page = f"before\n{bench.MARKS[0]}old\n{bench.MARKS[1]}after\n"
    once = bench.published(page, ROWS)
    assert (
        once.startswith("before\n")
        and once.endswith("after\n")
        and "old" not in once
        and "| c | not installed |" in once
    )
    assert bench.published(once, ROWS) == once


def test_the_page_shows_the_stored_table():
    page = bench.PAGE.read_text()
    assert bench.published(page, bench.stored()) == page


def test_scores_of_the_plain_loop_are_those_of_the_library():
    probs_N_C = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    for name, score in peers.SCORES.items():
        expected = getattr(scores, name)(probs_N_C)
        assert np.array_equal(np.argsort(score(probs_N_C)), np.argsort(expected))


def test_the_plain_loop_learns_from_what_it_asks_for():
    """Three gray levels, of which only two have labels at first: the third can only be learnt after a query."""
    rng = np.random.default_rng(0)
    labels_N = np.arange(90) % 3
    images = (np.array([30, 128, 220])[labels_N] + rng.integers(-5, 6, 90))[:, None, None, None]
    images = peers.Images(np.tile(images, (1, 8, 8, 1)).astype(np.uint8), labels_N, [0.5], [0.5])
    learner = Classifier(
        architecture="mlp", hidden_units=[16], epochs=30, batch_size=8, optimizer={"lr": 0.01}
    ).model_dump()

    def network():
        return architectures.build(learner, (1, 8, 8), 3, [0.5], [0.5])

    def accuracy(cycles):
        initial = np.flatnonzero(labels_N != 1)[:10]
        return peers.plain(peers.Chain("entropy", 0, images, initial, images, network, learner, 3, 10, cycles))

    assert accuracy(0) < 0.7 and accuracy(3) > 0.95
