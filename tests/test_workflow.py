"""The real workflow on a small study: what it refuses, and what a finished study makes again and what not."""

import copy
import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, Workflow, copied_project

from dagal import artifacts
from dagal.__main__ import main


def study(**changes):
    return copy.deepcopy(SMALL) | changes


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budgets": 3}, "study.yaml:{line}: config key 'budgets' is unknown (did you mean 'budget'?)"),
        ({"cycles": 1000}, "study.yaml:{line}: config key 'cycles' is 1000: 1000 x 10 queries exceed the pool"),
    ],
)
def test_mistakes_end_before_any_job_with_one_sentence(workflow, changes, sentence):
    workflow.write(study(**changes))
    (line,) = [n for n, text in enumerate(workflow.config.read_text().splitlines(), 1) if text.startswith((*changes,))]
    done = workflow.snakemake(check=False)
    assert done.returncode
    output = done.stdout + done.stderr
    assert sentence.format(line=line) in output and output.splitlines()[-1].startswith("dagal: ")
    assert "Traceback" not in output
    assert not (workflow.folder / "results").exists()


def test_missing_raw_data_is_one_sentence(workflow):
    workflow.write(study(dataset={"name": "cifar10"}))
    done = workflow.snakemake("results/datasets/cifar10/images.h5", check=False)
    output = done.stdout + done.stderr
    assert done.returncode
    assert "data/raw/cifar10" in output and "dataset.download" in output
    assert "Traceback" not in output
    assert not (workflow.folder / "results").exists()


@pytest.mark.parametrize(("asked", "kept"), [((), False), (("--max-jobs-per-timespan", "5/1s"), True)])
def test_snakemakes_own_limit_of_starts_is_lifted_and_that_of_a_user_kept(workflow, asked, kept):
    workflow.write(study())
    told = workflow.folder / "Snakefile"
    told.write_text(
        f'include: "{ROOT}/Snakefile"\nonsuccess:\n    print("limit:", workflow.scheduler.job_rate_limiter)\n'
    )
    done = workflow.snakemake("results/datasets/digits/images.h5", "--snakefile", str(told), *asked)
    (limit,) = re.findall(r"^limit: (.*)", done.stdout, re.M)
    assert (limit != "None") == kept


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    """A small study, run to its end from a copy of the project, beside which its results lie."""
    folder = tmp_path_factory.mktemp("finished")
    workflow = Workflow(folder, copied_project(folder))
    workflow.write(study())
    workflow.snakemake()
    return workflow


@pytest.fixture
def finished(finished_once, tmp_path):
    """The finished study and the project, moved to another place; nothing a test does reaches the next one."""
    folder = tmp_path / "moved"
    shutil.copytree(finished_once.folder, folder, symlinks=True)  # copy2 keeps modification times
    return Workflow(folder, folder)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.slow
def test_a_moved_clone_has_nothing_to_do_nor_have_comments(finished):
    assert finished.planned() == {}
    for path in (finished.folder / "workflow").rglob("*.py"):
        path.write_text(path.read_text() + "\n# edited\n")
    assert finished.planned() == {}


@pytest.mark.slow
def test_a_body_that_changes_runs_what_reaches_it_unless_it_is_accepted(finished):
    edit(
        finished.folder / "workflow/dagal/acquisition/scores.py",
        "probs_N_C.astype(np.float64)",
        "probs_N_C.astype(float)",
    )
    planned = finished.planned()
    assert planned["score"] == planned["train"] == 2 and "dataset" not in planned  # of entropy, and what follows
    before = finished.files("small/seed0/**/*.h5")
    finished.dagal("accept", "study.yaml")
    assert finished.planned() == {} and finished.files("small/seed0/**/*.h5") == before
    finished.write(study(methods=SMALL["methods"] | {"margin": {}}))
    assert finished.planned()["train"] == 2  # what is missing is still made


@pytest.mark.slow
def test_a_finished_study_is_followed_and_cleaned(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished.folder)
    about = artifacts.read_json("results/small/study.json")
    (now,) = about["environments"]
    costs = artifacts.read_costs("results/small/seed0/entropy/cycle1/train.benchmark.tsv")
    assert costs["processor"] == now["processor"] and now["versions"]["torch"]
    assert set(about["inputs"]) == {f"results/datasets/digits/{kind}.h5" for kind in ("images", "truth")}
    assert not list(Path(".snakemake/dagal").glob("*.run.json"))
    for command in (["status", "study.yaml"], ["verify", "results/small"], ["diff", *["results/small"] * 2]):
        assert main(command) == 0
    out = capsys.readouterr().out
    assert re.search(r"^all +5 +0 +0 +0$", out, re.M) and " 0 damaged" in out and "made the same" in out

    assert main(["clean", "results/small", "--yes"]) == 0
    assert not Path("results/small/seed0/entropy/cycle1/model.safetensors").exists()
    assert finished.planned() == {}
    finished.write(study(cycles=3, methods=SMALL["methods"] | {"margin": {}}))
    assert finished.planned()["train"] == 2 + 3  # what a cycle and a method more begin with is still there


@pytest.mark.slow
def test_results_from_elsewhere_are_compared(finished, tmp_path):
    results, other = finished.folder / "results", tmp_path / "fresh"
    other.mkdir()
    fresh = Workflow(other, finished.root)
    shutil.copytree(results, other / "results", symlinks=True)
    fresh.write(study())
    assert fresh.planned() == {}  # made with the same settings and code
    fresh.write(study(learners={"mlp": SMALL["learners"]["mlp"] | {"epochs": 3}}))
    done = fresh.snakemake(check=False)
    assert done.returncode and "made elsewhere, with learners.mlp.epochs 2 where the study says 3" in done.stderr
    fresh.write(study(cycles=3, seeds=[0, 1]))
    assert fresh.planned()["train"] == 2 + 7  # a cycle and a seed more are no other settings
    (other / "results/small").rename(other / "results/renamed")
    fresh.write(study(study="renamed"))
    done = fresh.snakemake(check=False)
    assert done.returncode and "holds the results of the study 'small'" in done.stderr
    assert "Traceback" not in done.stderr


OWN_METHOD = '''
"""Rare and unsure: entropy weighted by the distance to what is labeled."""

import numpy as np


def far_and_unsure(probs_N_C, embeddings_N_D, centers_L_D, rng, weight=1.0):
    """Example."""
    distance_N_L = np.linalg.norm(embeddings_N_D[:, None] - centers_L_D[None], axis=2)
    return (1 - probs_N_C.max(1)) * distance_N_L.min(1) ** weight
'''


@pytest.mark.slow
def test_a_method_of_ones_own_is_one_file_and_one_line(finished):
    (finished.folder / "workflow/dagal/acquisition/far_and_unsure.py").write_text(OWN_METHOD)
    finished.write(study(methods=SMALL["methods"] | {"far_and_unsure": {"score_options": {"weight": 2.0}}}))
    planned = finished.planned()
    assert planned["train"] == planned["score"] == 2 and "split" not in planned
    finished.snakemake()
    metrics = (finished.folder / "results/small/metrics.csv").read_text()
    assert metrics.count("far_and_unsure") == 3
