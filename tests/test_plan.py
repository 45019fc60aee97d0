"""The plan of studies, without Snakemake: which jobs there are, what they read, and what a change makes run again."""

import copy
import functools
import graphlib
import json

import pytest
import yaml
from conftest import ROOT, SMALL

from dagal import config
from dagal.plan import Study, graph, job
from dagal.report import registry

EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))
PER_QUERY = ("score", "select", "oracle")
DRAWN = (
    "learning_curves",
    "gains",
    "class_distribution",
    "informativeness",
    "class_entropy",
    "query_classes",
    "selection_costs",
)
FIGURES = {f"figure_{name}": 1 for name in DRAWN}
TABLES = dict.fromkeys(
    (
        "metrics",
        "summary",
        "comparison",
        "checks",
        "gains",
        "costs",
        "informativeness",
        "class_entropy",
        "selection_costs",
        "publication",
        "page",
    ),
    1,
)


def small(**changes):
    return copy.deepcopy(SMALL) | changes


@functools.cache
def experiment(name):
    return Study(config.load(ROOT / "experiments" / f"{name}.yaml"))


@functools.cache
def whole(name):
    """The graph of an experiment."""
    return graph.jobs(experiment(name), registry.targets(experiment(name)))


def planned(study):
    if not isinstance(study, Study):
        study = Study(config.load(study))
    return graph.jobs(study, registry.targets(study))


def counted(study):
    return graph.counts(planned(study))


def reruns(before: dict, after: dict) -> dict[str, int]:
    """Number of jobs of each stage that have to run when a finished study becomes another: new ones, and those that read, are set to
    or depend on other things; then what follows from these."""
    studies = [Study(config.load(one)) for one in (before, after)]
    signatures = []
    for study in studies:
        signatures.append({})
        for (stage, wildcards), reads in planned(study).items():
            at = study.at(dict(wildcards))
            settings = json.dumps(study.stage(stage).settings(study, at), sort_keys=True)
            signatures[-1][stage, wildcards] = (sorted(reads), settings, job.code(study, stage, at))
    again = {one for one, about in signatures[1].items() if signatures[0].get(one) != about}
    written = {}
    for stage, wildcards in signatures[1]:
        for pattern in job.writes(studies[1], stage).values():
            written[pattern.format(**dict(wildcards))] = (stage, wildcards)
    grown = True
    while grown:
        follow = {one for one, about in signatures[1].items() if any(written.get(path) in again for path in about[0])}
        grown, again = not follow <= again, again | follow
    return graph.counts(dict.fromkeys(again))


# ----------------------------------------------------------------------------------------------------------- which jobs


def test_default_study_shares_the_start():
    found = counted(yaml.safe_load((ROOT / "config.yaml").read_text()))
    assert found["train"] == 3 * (1 + 8 * 4) == 99
    assert found["evaluate"] == 99
    assert all(found[rule] == 3 * 8 * 4 for rule in PER_QUERY)
    assert found["draws"] == 3 * 4  # bald alone reads them
    assert found["trajectory"] == 3 * 4  # label dispersion alone reads them
    # random reads no signals, bald only draws, label dispersion only trajectories; the last model of a chain answers no query
    assert found["signals"] == 3 * (1 + 5 * 3)
    assert found["split"] == found["initial"] == 3
    assert found["dataset"] == 1


def test_learner_of_its_own_gets_a_start_of_its_own():
    study = small()
    study["learners"]["wide"] = study["learners"]["mlp"] | {"hidden_units": [32]}
    study["methods"] = {"random": {"learner": "mlp"}, "entropy": {"learner": "mlp"}, "margin": {"learner": "wide"}}
    assert counted(study)["train"] == 2 + 3 * 2


def test_zero_cycles_train_the_initial_model_only():
    found = counted(small(cycles=0))
    assert found["train"] == 1
    assert "score" not in found and "informativeness" not in found


def test_hundred_cycles_plan():
    assert counted(small(cycles=70, budget=10))["train"] == 1 + 2 * 70


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_a_whole_graph(name):
    """Every file has one maker, or is the user's; what a chain does comes in the order of its cycles; nothing reads what it makes."""
    study = experiment(name)
    jobs = whole(name)
    trained = sum(stage == "train" for stage, _ in jobs)
    assert trained == len(study.nodes()) + len(study.supervised())
    brought = {path for reads in jobs.values() for path in reads if not path.startswith("results/")}
    assert all("weights" in path or "data/raw" in path for path in brought)
    for reads in jobs.values():
        made = [
            path for path in reads if path.startswith("results/") and not path.endswith("answers.json")
        ]  # of people
        assert all(graph.made_by(study, path) in jobs for path in made)
    files = [job.stem(study, stage).format(**dict(wildcards)) for stage, wildcards in jobs]
    assert len(set(files)) == len(files)  # logs and benchmark files of their own


SEALED = {
    "dataset",
    "source_dataset",
    "split",
    "initial",
    "supervised",
    "oracle",
    "evaluate",
    "errors",
    "embedding",
    "true_pixels",
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_only_these_stages_read_the_truth(name):
    """Labels cannot leak: no job reads truth.h5 but the split, the oracle, the evaluation, the analyses after the fact, and scores of upper bounds."""
    study = experiment(name)
    for (stage, wildcards), reads in whole(name).items():
        if study.truth in reads and stage not in study.report:
            branch = dict(wildcards).get("branch")
            upper_bound = stage == "score" and not study.deployable(branch)
            assert stage in SEALED or upper_bound, stage
        assert (
            stage in study.report or not any(path.endswith("truth.h5") for path in reads) or stage in SEALED | {"score"}
        )


@pytest.mark.parametrize("name", ["video_small", "digits_simsiam", "digits_two_model", "digits_class_balance"])
def test_snakemake_plans_the_same_jobs(name, workflow):
    workflow.config = ROOT / "experiments" / f"{name}.yaml"
    assert workflow.planned() == graph.counts(whole(name))


# ----------------------------------------------------------------------------------------------------- what runs again


def test_a_method_more_runs_only_its_own_nodes():
    more = small(methods=SMALL["methods"] | {"label_dispersion": {}, "kcenter_greedy": {}, "bald": {}})
    new = {rule: 3 * 2 for rule in (*PER_QUERY, "train", "evaluate")}
    analysis = dict.fromkeys(("dispersion", "figure_dispersion_histogram", "dispersion_images", "selected_images"), 1)
    assert reruns(small(), more) == new | {"signals": 1, "draws": 2, "trajectory": 2} | TABLES | FIGURES | analysis


def test_a_seed_more_runs_only_its_own_nodes():
    new = {rule: 2 * 2 for rule in PER_QUERY} | {rule: 1 + 2 * 2 for rule in ("train", "evaluate")}
    assert reruns(small(), small(seeds=[0, 7])) == new | {"split": 1, "initial": 1, "signals": 2} | TABLES | FIGURES


def test_a_cycle_more_runs_only_its_own_nodes():
    new = {rule: 2 for rule in (*PER_QUERY, "train", "evaluate")}
    analysis = {rule: 1 for rule in (TABLES | FIGURES) if "informativeness" not in rule}
    assert reruns(small(), small(cycles=3)) == new | {"signals": 1} | analysis


def test_settings_rerun_only_what_they_touch():
    assert reruns(small(), small(plots={"dpi": 90})) == FIGURES | {"page": 1}  # which holds them
    found = reruns(small(), small(methods={"random": {}, "entropy": {"subset": 3}}))
    assert found["train"] == found["score"] == 2
    reordered = dict(reversed(small().items()))
    reordered["learners"] = {"mlp": dict(reversed(SMALL["learners"]["mlp"].items()))}
    assert reruns(small(), reordered) == {}
    longer = {"mlp": SMALL["learners"]["mlp"] | {"epochs": 3}}
    assert reruns(small(), small(learners=longer))["train"] == 5


def test_the_device_and_what_is_only_looked_at_rerun_nothing():
    assert reruns(small(), small(learners={"mlp": SMALL["learners"]["mlp"] | {"device": "auto"}})) == {}
    assert reruns(small(), small(signals={"members": 7})) == {}


# ------------------------------------------------------------------------------------------------------------ what is read


def test_costs_of_true_errors_are_those_of_the_detections_too():
    about = yaml.safe_load((ROOT / "experiments" / "video_small.yaml").read_text())
    study = Study(
        config.load(
            ROOT / "experiments" / "video_small.yaml",
            {"methods": {"random": {}, "oracle_fp": {}}, "cycles": 2, "supervised": [30]},
        )
    )
    costs = job.reads(study, "costs", study.at({}))["benchmarks"]
    assert about["study"] == study.name
    for seed in study.seeds:
        for name in ("errors", "detections"):
            assert f"{study.results}/seed{seed}/oracle_fp/cycle1/{name}.benchmark.tsv" in costs
        assert any(f"seed{seed}/supervised30-" in path for path in costs)


def test_what_a_query_reads():
    study = Study(config.load(small(methods={"random": {}, "entropy": {}, "oracle": {}, "kcenter_greedy": {}})))
    folder = "results/small/seed0"
    at = [study.at({"seed": "0", "branch": "entropy", "cycle": cycle}) for cycle in "12"]
    assert job.reads(study, "score", at[0]) == {
        "labeled": f"{folder}/start-mlp/cycle0/labeled.h5",
        "signals": f"{folder}/start-mlp/cycle0/signals.h5",
        "split": f"{folder}/split.h5",
        "withheld": [],
    }
    assert job.reads(study, "score", at[1])["signals"] == f"{folder}/entropy/cycle1/signals.h5"
    oracle = study.at({"seed": "0", "branch": "oracle", "cycle": "1"})
    assert job.reads(study, "score", oracle)["truth"] == study.truth
    assert not study.deployable("oracle") and study.deployable("entropy")
    center = study.at({"seed": "0", "branch": "kcenter_greedy", "cycle": "1"})
    assert "signals" in job.reads(study, "select", center) and "signals" not in job.reads(study, "select", at[0])


def test_nodes_by_hand():
    study = Study(config.load(small(supervised=[30, "all"])))
    first, second = study.node(0, "entropy", 1), study.node(0, "entropy", 2)
    start = study.node(0, "entropy", 0)
    assert study.parent(second) == first and study.parent(first) == start and study.parent(start) is None
    assert start == study.node(0, "random", 0) and start.branch.kind == "start"
    assert study.folder(start) == "results/small/seed0/start-mlp/cycle0"
    assert [study.folder(node) for node in study.supervised()] == [
        "results/small/seed0/supervised30-mlp/cycle0", "results/small/seed0/supervisedall-mlp/cycle0",
    ]  # fmt: skip
    assert len(study.nodes()) == 1 + 2 * 2
    at = study.at({"seed": "0", "branch": "start-mlp", "cycle": "0"})
    assert at.node == start and at.seed == 0


# ------------------------------------------------------------------------------------------------------------- clusters


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_nothing_that_a_cluster_is_given_together_waits_for_itself(name):
    """No job outside lies between two jobs of a submission."""
    study, jobs = experiment(name), whole(name)
    submission, writer = {}, {}
    for stage, wildcards in jobs:
        about = dict(wildcards)
        together = study.stage(stage).group(study, study.at(about))
        submission[stage, wildcards] = (together, *wildcards) if together else (stage, *wildcards)
        for pattern in job.writes(study, stage).values():
            writer[pattern.format(**about)] = submission[stage, wildcards]
    waits = {}
    for one, files in jobs.items():
        waits.setdefault(submission[one], set()).update(writer[file] for file in files if file in writer)
    for one, others in waits.items():
        others.discard(one)
    graphlib.TopologicalSorter(waits).prepare()
    assert len(set(submission.values())) < len(jobs)
