"""The commands that follow a study, on made-up results; test_workflow.py has them look at those of a real run."""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import h5py
import made_up
import numpy as np
import pytest
from conftest import SMALL, edited

from dagal import artifacts, config, hardware, storage
from dagal.__main__ import main
from dagal.errors import UserError
from dagal.inspect import clean, content, diff, export, status, trace, usage, verify
from dagal.inspect.results import Results, described, opened, read
from dagal.plan import Study, environment, job, record
from dagal.report.registry import ITEMS

ROOT = Path(__file__).parents[1]
METHODS = {"random": {}, "entropy": {}, "label_dispersion": {}}


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    return made_up.results(tmp_path_factory.mktemp("made"), methods=METHODS, seeds=[0, 1])


@pytest.fixture
def folder(made_once, tmp_path):
    """Results to be changed."""
    shutil.copytree(made_once.parent, tmp_path / "results")
    return tmp_path / "results" / made_once.name


def printed(capsys, *arguments):
    code = main(list(map(str, arguments)))
    return code, capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------ the plan of it


def test_jobs_come_after_those_that_they_read_from(made_once):
    jobs, made = described(opened(made_once).study), set()
    every = {path for about in jobs.values() for path in about["output"].values()}
    assert len(jobs) > 50
    for about in jobs.values():
        assert set(read(about)) & every <= made
        made |= set(about["output"].values())


def test_a_folder_without_study_is_one_sentence(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "study.json" in error


# -------------------------------------------------------------------------------------------------------------- status


def test_output_that_nobody_reads_any_more_is_no_error(made_once):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "dagal", "trace", "0", str(made_once)]
    done = subprocess.run(
        command,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "PYTHONUNBUFFERED": "1"},
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_not_there_has_no_differences(made_once, tmp_path, capsys):
    assert main(["diff", str(made_once), str(tmp_path / "b")]) == 2
    assert "b does not exist: give two folders" in capsys.readouterr().err


def test_status_of_a_finished_study(made_once, capsys):
    code, out = printed(capsys, "status", made_once)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert code == 0 and rows["start-mlp"] == ["2"] and rows["entropy"] == ["4"]
    assert rows["all"] == ["14", "0", "0", "0"]
    jobs = len(described(opened(made_once).study))
    assert f"{jobs:,} finished" in out and "left" not in out


def test_status_tells_failed_running_and_waiting(folder, capsys):
    node = folder / "seed0/entropy/cycle2"
    for path in node.iterdir():
        path.unlink()
    for name in ("train.log", "score.log"):
        (node / name).write_text("epoch 1/2\n")
    (node / "train.log").write_text("epoch 1/2\ndagal: no room.\n")
    random = folder / "seed1/random/cycle2"
    for name in ("metrics.json", "model.safetensors", "evaluate.log", "metrics.log"):
        (random / name).unlink(missing_ok=True)
    results = opened(folder)
    jobs = described(results.study)
    now = status.state(results, jobs)
    assert now.run is None and dict(now.nodes["entropy"]) == {"finished": 3, "failed": 1}
    assert dict(now.nodes["random"]) == {"finished": 3, "waiting": 1}
    assert {stage for stage, _ in now.jobs["failed"]} == {"train"} and not now.jobs["running"]
    _, out = printed(capsys, "status", folder)
    assert "failed: train of entropy, seed 0, cycle 2" in out and "  dagal: no room." in out
    missing = sum(
        stage in ("score", "select", "oracle", "evaluate", "train")
        for stage, _ in now.jobs["waiting"] + now.jobs["failed"]
    )
    assert missing == 7 and f"about {2 * missing} s of jobs, one after the other" in out

    # a process that runs it: this one; what it has begun is the score
    started = (node / "score.log").stat().st_mtime + 100
    os.utime(node / "score.log", (started + 1,) * 2)
    about = {"host": socket.gethostname(), "process": os.getpid(), "started": started}
    record_of_run = results.home / record.running(results.study)
    artifacts.write_json(record_of_run, about)
    now = status.state(results, jobs)
    assert [stage for stage, _ in now.jobs["running"]] == ["score"] and now.nodes["entropy"]["failed"] == 1
    _, out = printed(capsys, "status", folder)
    assert "running since" in out and "score of entropy, seed 0, cycle 2" in out
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    artifacts.write_json(record_of_run, about | {"process": int(gone.stdout)})
    assert status.state(results, jobs).run is None
    assert printed(capsys, "status", folder, "--watch")[0] == 0  # ends, as no run does


def test_estimate_takes_as_many_jobs_at_a_time_as_the_run_so_far(monkeypatch):
    now = status.State(run={"started": 100.0}, spent_in_run=60.0)
    now.spent |= {"train": [20.0, 20.0], "score": [10.0, 10.0]}
    now.jobs["waiting"] = [("train", ())] * 3 + [("score", ())] * 3
    monkeypatch.setattr(status.time, "time", lambda: 130.0)  # 60 seconds of jobs in 30: two at a time; 90 are left
    assert "about 45 s of jobs, 2.0 at a time" in " ".join(status.summary(now))


# --------------------------------------------------------------------------------------------------------------- trace


def test_trace_follows_a_sample(made_once, tmp_path, capsys):
    sample = 33  # asked for in cycle 2, by all
    code, out = printed(
        capsys, "trace", sample, made_once, "--method", "entropy", "--seed", 1, "--picture", tmp_path / "a.png"
    )
    assert code == 0 and "file raw/33.png" in out and "true class: 3" in out and "seed 1: pool" in out
    assert cv2.imread(str(tmp_path / "a.png")) is not None
    first, second, third = trace.steps(opened(made_once), sample, 1, "entropy")
    assert (first.place, second.place, third.place) == (None, 4, None)
    seed = made_once / "seed1"
    with h5py.File(seed / "entropy/cycle2/scores.h5") as file:
        score = dict(zip(file["ids"][()], file["score"][()], strict=True))
    assert second.score == score[33] and second.candidates == len(score) == 50
    assert second.rank == sorted(score.values(), reverse=True).index(score[33]) + 1
    with h5py.File(seed / "start-mlp/cycle0/signals.h5") as file:
        probs_C = file["probabilities"][33 - 20]
    assert first.predicted == probs_C.argmax() and first.probability == probs_C.max()
    with h5py.File(seed / "start-mlp/cycle0/trajectory.h5") as file:
        one, two = file["trajectory"][:, 33 - 20]
    assert first.dispersion == (0.5 if one != two else 0.0)
    assert third.predicted is None and third.score is None
    assert "cycle 2, place 4" in out


def test_trace_of_a_test_image_has_the_predictions_of_every_model(made_once, capsys):
    _, out = printed(capsys, "trace", 100, made_once, "--seed", 0)
    assert "seed 0: test" in out and "never" in out
    for step in trace.steps(opened(made_once), 100, 0, "random"):
        folder = opened(made_once).study.folder(opened(made_once).study.node(0, "random", step.cycle))
        with h5py.File(opened(made_once).path(f"{folder}/predictions.h5")) as file:
            assert step.predicted == file["probabilities"][20].argmax()


@pytest.mark.parametrize(
    "arguments", [["200", "{}"], ["-1", "{}"], ["3", "{}", "--seed", "7"], ["3", "{}", "--method", "no"]]
)
def test_trace_refuses_what_is_not_there(made_once, arguments, capsys):
    assert main(["trace", *(argument.format(made_once) for argument in arguments)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_trace_of_a_frame_takes_its_surest_detection(tmp_path):
    study = Study(config.load(ROOT / "experiments/video_small.yaml"))
    results, method = Results(tmp_path / study.results, study, {}), next(iter(study.methods))
    node = study.node(study.seeds[0], method, 0)
    data = {"ids": np.array([3, 5, 8]), "offsets": np.array([0, 2, 2, 3])}  # two boxes in frame 3, none in 5, one in 8
    data["probabilities"] = np.array([[0.1, 0.5, 0.4], [0.0, 0.3, 0.7], [0.2, 0.8, 0.0]])  # the background comes first
    artifacts.write(results.path(study.file(node, "detections.h5")), "detections", artifacts.provenance("x", {}), data)
    artifacts.write(
        results.path(study.file(node, "predictions.h5")), "predictions", artifacts.provenance("x", {}), data
    )
    found = [trace.prediction(results, node, method, frame) for frame in (3, 5, 8, 9)]
    assert found == [(1, 0.7), (None, None), (0, 0.8), (None, None)]


# ---------------------------------------------------------------------------------------------------------------- diff


def test_equal_studies_do_not_differ(made_once, folder, capsys):
    (folder / "seed0/entropy/cycle1/train.benchmark.tsv").unlink()
    artifacts.write_costs(folder / "seed0/entropy/cycle1/train.benchmark.tsv", ["9", "9", "9", "NA", "NA"], "another")
    artifacts.write_csv(folder / "costs.csv", ["study", "value"], [["small", 2]])  # made of times
    code, out = printed(capsys, "diff", made_once, folder)
    assert code == 0 and "made the same" in out


def test_the_first_difference_is_found_with_its_cause(made_once, folder, capsys):
    """A model of another processor, and all that followed from it."""
    node = folder / "seed1/entropy/cycle1"
    with edited(node / "predictions.h5") as file:
        file["probabilities"][3, 1] += 0.25
    (node / "train.benchmark.tsv").unlink()
    artifacts.write_costs(node / "train.benchmark.tsv", ["9", "9", "9", "NA", "NA"], "made up, SSE4.2")
    metrics = artifacts.read_json(node / "metrics.json")
    artifacts.write_json(node / "metrics.json", metrics | {"accuracy": 0.0})  # follows from the predictions
    results = [opened(path) for path in (made_once, folder)]
    roots, different, _ = diff.compared(*results, *(described(one.study) for one in results))
    assert [root.job for root in roots] == [("train", (("branch", "entropy"), ("cycle", "1"), ("seed", "1")))]
    assert [stage for stage, _ in different] == ["train", "evaluate"]
    (what,), causes = roots[0].what, roots[0].causes
    assert what.startswith("predictions.h5: probabilities: 1 of 400 values differ, by 0.25 at most; first [3, 1]")
    assert causes == ["it ran on another processor: made up, AVX2 against made up, SSE4.2"]
    code, out = printed(capsys, "diff", made_once, folder)
    assert code == 1 and "train of entropy, seed 1, cycle 1" in out and "another processor" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith("entropy ")}
    assert rows["entropy"][:2] == ["1.000", "1.000"] and float(rows["entropy"][-1]) == pytest.approx(
        metrics["accuracy"], abs=1e-3
    )


def test_drift_is_counted_in_queries_and_measures(made_once, folder):
    with edited(folder / "seed0/entropy/cycle1/query.h5") as file:
        file["ids"][:4] = [70, 71, 72, 73]
    metrics = artifacts.read_json(folder / "seed1/entropy/cycle2/metrics.json")
    artifacts.write_json(
        folder / "seed1/entropy/cycle2/metrics.json", metrics | {"accuracy": metrics["accuracy"] - 0.25}
    )
    rows = {row[0]: row[1:] for row in diff.drift(opened(made_once), opened(folder), "accuracy")}
    first, every, one, other, farthest = rows["entropy"]  # of two seeds, one is as it was
    assert (first, every) == (pytest.approx((0.6 + 1) / 2), pytest.approx((16 / 20 + 1) / 2))
    assert one - other == pytest.approx(0.25 / 2) and farthest == pytest.approx(0.25)
    assert rows["random"][:2] == [1, 1] and rows["random"][-1] == 0


def test_an_unfinished_and_a_stopped_study_are_told_as_such(made_once, folder):
    (folder / "seed0/entropy/cycle1/scores.h5").unlink()
    stopped = folder / "seed1/random/cycle2/model.safetensors"
    stopped.unlink()
    stopped.symlink_to("../cycle1/model.safetensors")
    results = [opened(path) for path in (made_once, folder)]
    first, second = diff.compared(*results, *(described(one.study) for one in results))[0]
    assert first.what == ["scores.h5: is there in the first only"] and first.causes == [
        "it is finished in one of them only"
    ]
    assert second.what == ["model.safetensors: is of a chain that had stopped in the second only"]


def changed_study(folder, **changes):
    """Store other facts in the record of a study."""
    about = artifacts.read_json(folder / "study.json")
    artifacts.write_json(folder / "study.json", about | changes)


@pytest.mark.parametrize("cause", ["settings", "code", "raw", "versions", "commits", "labels", "nothing"])
def test_causes_on_record(made_once, folder, cause):
    about = artifacts.read_json(folder / "study.json")
    node, expected = folder / "seed0/entropy/cycle1", "of nothing that is on record"
    file = node / "model.safetensors"
    if cause == "settings":
        about["settings"]["learners"]["mlp"]["epochs"] = 7
        changed_study(folder, settings=about["settings"])
        expected = "its settings differ: learner.epochs is 2 against 7"
    elif cause == "code":
        changed_study(folder, code=about["code"] | {"train of entropy": "0"})
        expected = "the code of train of entropy differs"
    elif cause == "raw":
        for path, digest in ((made_once, "a"), (folder, "b")):
            changed_study(path, inputs={"results/datasets/digits/raw": digest})
        file, expected = (
            folder.parent / "datasets/digits/images.h5",
            "what it began with differs: results/datasets/digits/raw",
        )
    elif cause in ("versions", "commits"):
        now = about["environments"][0]
        other = {"versions": now["versions"] | {"numpy": "0.1"}} if cause == "versions" else {"commit": "1" * 40}
        changed_study(folder, environments=[now | other])
        expected = (
            "versions of libraries differ" if cause == "versions" else f"commits differ: {'0' * 40} against {'1' * 40}"
        )
    elif cause == "labels":
        file, expected = node / "labeled.h5", "other labels were given"
    if file.suffix == ".h5":
        with edited(file) as opened_file:
            name = "images" if "images" in opened_file else "labels"
            opened_file[name][0] = 1
    else:
        file.write_bytes((folder / "seed1/entropy/cycle1/model.safetensors").read_bytes())
    results = [opened(path) for path in (made_once, folder)]
    root = diff.compared(*results, *(described(one.study) for one in results))[0][0]
    assert root.causes[0].startswith(expected)
    if cause == "raw":
        changed_study(made_once, inputs={})


def test_jobs_of_one_study_alone_are_told(made_once, tmp_path, capsys):
    other = made_up.results(tmp_path, methods=METHODS, seeds=[0])
    code, out = printed(capsys, "diff", made_once, other)
    assert code == 1 and "jobs are planned in the first only" in out and "in the second only" not in out


VALUES = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"x": VALUES}, []),
        ({"x": VALUES + (VALUES == 7)}, ["x: 1 of 12 values differ, by 1 at most; first [2, 1], 7 against 8"]),
        ({"x": VALUES[:3]}, ["x is float64 4 x 3 against float64 3 x 3"]),
        ({"x": VALUES.astype(np.float32)}, ["x is float64 4 x 3 against float32 4 x 3"]),
        ({"x": VALUES, "y": VALUES}, ["y is only in the second"]),
        ({}, ["x is only in the first"]),
    ],
)
def test_differences_of_artifacts(tmp_path, other, expected, monkeypatch, capsys):
    monkeypatch.setattr(content, "BLOCK_BYTES", 2 * 3 * 8)  # two rows at a time
    for name, data, origin in (("a.h5", {"x": VALUES}, "one"), ("b.h5", other, "another")):
        artifacts.write(tmp_path / name, "scores", artifacts.provenance(origin, {}), data)
    assert list(content.differences(tmp_path / "a.h5", tmp_path / "b.h5")) == expected
    assert main(["diff", str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]) == (1 if expected else 0)


def test_nan_equals_nan_and_differs_from_numbers(tmp_path):
    with_nan = np.array([np.nan, 1.0])
    for name, values in (("a.h5", with_nan), ("b.h5", with_nan), ("c.h5", np.array([0.0, 1.0]))):
        artifacts.write(tmp_path / name, "scores", artifacts.provenance("x", {}), {"x": values})
    assert list(content.differences(tmp_path / "a.h5", tmp_path / "b.h5")) == []
    assert list(content.differences(tmp_path / "a.h5", tmp_path / "c.h5")) == [
        "x: 1 of 2 values differ, by inf at most; first [0], nan against 0"
    ]


def test_differences_of_other_kinds_of_files(tmp_path):
    artifacts.write_json(tmp_path / "a.json", {"created_by": "x", "accuracy": {"cat": 0.5}, "n": 1})
    artifacts.write_json(tmp_path / "b.json", {"created_by": "y", "accuracy": {"cat": 0.25}})
    found = list(content.differences(tmp_path / "a.json", tmp_path / "b.json"))
    assert found == ["accuracy.cat is 0.5 against 0.25", "n is only in the first"]
    artifacts.write_csv(tmp_path / "a.csv", ["m", "v"], [["a", 1], ["b", 2], ["c", 3]])
    artifacts.write_csv(tmp_path / "b.csv", ["m", "v"], [["a", 1], ["b", 4]])
    found = list(content.differences(tmp_path / "a.csv", tmp_path / "b.csv"))
    assert found == ['2 of 3 rows differ; first row 2: v is "2" against "4"']
    with pytest.raises(UserError, match="different kinds"):
        list(content.differences(tmp_path / "a.csv", tmp_path / "b.json"))


# ------------------------------------------------------------------------------------------------ verify, usage, clean


@pytest.mark.parametrize(
    "name", ["signals.h5", "model.safetensors", "metrics.json", "query.csv", "train.benchmark.tsv"]
)
def test_verify_names_a_damaged_file(folder, name, capsys):
    code, out = printed(capsys, "verify", folder)
    assert code == 0 and " 0 damaged" in out
    path = next(folder.glob(f"seed0/*/cycle1/{name}"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, out = printed(capsys, "verify", folder)
    assert code == 1 and f"{path} is damaged" in out and " 1 damaged" in out


def test_verify_looks_into_every_block(tmp_path):
    path = tmp_path / "x.h5"
    artifacts.write(path, "scores", artifacts.provenance("x", {}), {"x": np.random.default_rng(0).random(300_000)})
    verify.verify(path)
    with storage.Verified(path) as blocks:
        size = blocks.size
    for place in (storage.BLOCK * 70, size - 1):
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        (tmp_path / "y.h5").write_bytes(data)
        with pytest.raises(UserError, match="damaged"):
            verify.verify(tmp_path / "y.h5")


def test_usage_adds_up(made_once, capsys):
    rows = usage.usage(opened(made_once))
    every = [path for path in made_once.parent.rglob("*") if path.is_file()]
    assert sum(row[0] for row in rows.values()) == len(every)
    assert sum(row[1] for row in rows.values()) == sum(path.stat().st_size for path in every)
    trained = list(made_once.glob("seed*/*/cycle*/model.safetensors"))
    assert rows["train"][0] == 3 * len(trained) and rows["train"][2] == 2.0 * len(trained)
    assert "in all" in printed(capsys, "usage", made_once)[1]


def test_clean_removes_what_no_job_needs(folder, capsys):
    before = {path for path in folder.rglob("*") if path.is_file()}
    code, out = printed(capsys, "clean", folder)
    assert (
        code == 0
        and "nothing is removed yet" in out
        and before == {path for path in folder.rglob("*") if path.is_file()}
    )
    gone = {
        path
        for path in before
        if path.parent.name == "cycle1" and path.name in ("model.safetensors", "signals.h5", "trajectory.h5")
    }
    assert len(gone) == 2 * 3 + 2 + 2  # models of all, signals of entropy, trajectories of dispersion; of two seeds
    assert "to make them again takes 20 s of jobs" in out  # two seconds each
    _, out = printed(capsys, "clean", folder, "--yes")
    assert out.startswith("removed 10 files") and before - gone == {
        path for path in folder.rglob("*") if path.is_file()
    }
    assert "holds no model" in printed(capsys, "clean", folder, "--yes")[1]


def test_clean_keeps_what_jobs_still_read(folder):
    for path in folder.glob("seed0/entropy/cycle2/scores.h5"):
        path.unlink()
    kept = {folder / "seed0/entropy/cycle1/signals.h5"}
    found = {path for one in clean.removable(opened(folder)) for path in one.paths}
    assert not kept & found and folder / "seed1/entropy/cycle1/signals.h5" in found


def test_clean_keeps_what_a_stopped_chain_goes_on_with(folder):
    node = folder / "seed0/entropy/cycle2/model.safetensors"
    node.unlink()
    node.symlink_to("../cycle1/model.safetensors")
    found = {path.resolve() for one in clean.removable(opened(folder)) for path in one.paths}
    assert node.resolve() not in found and folder.resolve() / "seed1/entropy/cycle1/model.safetensors" in found


# -------------------------------------------------------------------------------------------------------------- export


@pytest.fixture(scope="module")
def packed(made_once, tmp_path_factory):
    (made_once / "report").mkdir(exist_ok=True)
    (made_once / "report/index.html").write_text("<p>page</p>")
    out = tmp_path_factory.mktemp("out") / "small.zip"
    export.export(made_once, out)
    return out


def test_a_packed_study_is_an_ro_crate(packed):
    """By the requirements of RO-Crate: context, descriptor, root data set, and an entity for each file."""
    with zipfile.ZipFile(packed) as file:
        names = set(file.namelist())
        metadata = json.loads(file.read("ro-crate-metadata.json"))
        version = re.fullmatch(r"https://w3id.org/ro/crate/(1\.\d+)/context", metadata["@context"])[1]
        entities = {entity["@id"]: entity for entity in metadata["@graph"]}
        descriptor = entities["ro-crate-metadata.json"]
        assert descriptor["about"] == {"@id": "./"}
        assert descriptor["conformsTo"] == {"@id": f"https://w3id.org/ro/crate/{version}"}
        root = entities["./"]
        assert root["@type"] == "Dataset" and {"name", "description", "datePublished", "hasPart"} <= root.keys()
        files = {name for name, entity in entities.items() if entity["@type"] == "File"}
        assert files == {part["@id"] for part in root["hasPart"]} == names - {"ro-crate-metadata.json"}
        for name in files:
            content = file.read(name)
            assert entities[name]["sha256"] == hashlib.sha256(content).hexdigest()
            assert int(entities[name]["contentSize"]) == len(content)
        assert entities["#run"]["instrument"] == {"@id": "#dagal"}
    assert {"study.json", "study.yaml", "metrics.csv", "summary.csv", "report/index.html"} <= files
    assert {
        "seed0/entropy/cycle1/query.h5",
        "seed0/entropy/cycle1/query.csv",
        "seed1/start-mlp/cycle0/metrics.json",
    } <= files
    assert not [
        name for name in files if name.endswith((".png", ".safetensors", "images.h5", "signals.h5", "labeled.h5"))
    ]


def test_the_library_reads_the_crate(packed, tmp_path):
    from rocrate.rocrate import ROCrate

    with zipfile.ZipFile(packed) as file:
        file.extractall(tmp_path)
    crate = ROCrate(tmp_path)
    assert crate.root_dataset["name"] == "The study small of dagal" and crate.get("metrics.csv").type == "File"


def test_a_packed_study_is_read_as_a_folder(packed, made_once):
    folder = export.opened(packed)
    assert folder.name == "small" and (folder / "metrics.csv").read_bytes() == (made_once / "metrics.csv").read_bytes()
    assert artifacts.read_csv(folder / "metrics.csv") == artifacts.read_csv(made_once / "metrics.csv")
    assert opened(folder).study.name == "small"
    assert config.load(folder / "study.yaml") == opened(made_once).study.settings
    assert export.opened(made_once) == made_once


def test_the_page_can_be_left_out(made_once, packed, tmp_path, capsys):
    assert main(["export", str(made_once), str(tmp_path / "a.zip"), "--without-page"]) == 0
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        assert not [name for name in file.namelist() if name.endswith(".html")]


@pytest.mark.parametrize("how", ["missing", "no zip", "no crate", "changed", "leads out"])
def test_what_is_no_packed_study_is_refused(packed, tmp_path, how):
    path = tmp_path / "x.zip"
    if how == "no zip":
        path.write_text("no zip")
    elif how != "missing":
        with zipfile.ZipFile(packed) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if how == "no crate" and name == "ro-crate-metadata.json":
                    continue
                if how == "leads out":
                    content = content.replace(b'"metrics.csv"', b'"../metrics.csv"')
                new.writestr(name, content + (b" " if how == "changed" and name == "metrics.csv" else b""))
    with pytest.raises(UserError):
        export.opened(path)
    assert not (tmp_path / "metrics.csv").exists()


# ---------------------------------------------------------------------------------------------------------- provenance

CPUINFO = """processor\t: 0
cpu family\t: 25
model\t\t: 1
model name\t: AMD   EPYC
flags\t\t: fpu avx avx2 fma sse4_2 {}
"""


@pytest.mark.parametrize(
    ("flags", "expected"), [("", "AVX2"), ("avx512f", "AVX2"), ("avx512f avx512bw avx512dq avx512vl", "AVX512")]
)
def test_a_processor_is_told_by_its_widest_instructions(flags, expected):
    assert hardware.described(CPUINFO.format(flags), "x86_64") == f"AMD EPYC, family 25, model 1, {expected}"


def test_other_processors_are_told_as_far_as_they_are_known():
    assert hardware.described("", "arm64") == "arm64"
    assert (
        hardware.described("CPU implementer\t: 0x41\nCPU part\t: 0xd0c", "aarch64")
        == "aarch64, CPU implementer 0x41, CPU part 0xd0c"
    )


def test_what_the_environment_forces_is_part_of_the_processor(monkeypatch):
    plain = hardware.processor()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert hardware.processor() == f"{plain}; ATEN_CPU_CAPABILITY=default; ONEDNN_MAX_CPU_ISA=SSE41"


def test_a_gpu_and_its_peak_memory_are_among_the_costs(tmp_path, monkeypatch):
    """By a stand-in for what torch tells of a GPU."""
    assert hardware.gpu() is None  # this process has loaded torch or not, and uses none
    plain = hardware.processor()
    told = {"is_initialized": True, "get_device_name": "NVIDIA H100", "max_memory_allocated": 3 << 19}
    cuda = SimpleNamespace(**{name: lambda value=value: value for name, value in told.items()})
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert hardware.processor() == f"{plain}; NVIDIA H100"
    name, memory = hardware.gpu()
    path = tmp_path / "seed0/start-mlp/cycle0/train.benchmark.tsv"
    artifacts.write_costs(path, ["2", "1", "80", "NA", "NA"], "made up", (name, f"{memory:.2f}"))
    source = SimpleNamespace(benchmarks=[path], stop_records=[])
    output = SimpleNamespace(costs=tmp_path / "costs.csv")
    ITEMS.find("costs").make(SimpleNamespace(input=source, output=output, params=SimpleNamespace(study="pets")))
    (row,) = artifacts.read_csv(output.costs)
    assert (row["seconds"], row["startup_seconds"], row["gpu"], row["gpu_memory_mb"]) == (
        "2",
        "",
        "NVIDIA H100",
        "1.50",
    )


def test_the_commit_of_a_clone(tmp_path):
    def git(*arguments):
        author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *author, *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("init", "--quiet")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "--quiet", "-m", "One")
    head = git("rev-parse", "HEAD").strip()
    assert environment.commit(tmp_path) == head
    (tmp_path / "a").write_text("2")
    assert environment.commit(tmp_path) == f"{head}-dirty"
    (tmp_path / "inside").mkdir()
    assert environment.commit(tmp_path / "inside") is None


def test_a_study_records_inputs_and_every_environment_once(made_once, folder, monkeypatch):
    monkeypatch.chdir(folder.parents[1])
    study = Study(config.load(SMALL | {"methods": METHODS, "seeds": [0, 1]}))
    (folder / "study.json").unlink()
    record.begin(study)
    assert artifacts.read_json(record.running(study))["process"] == os.getpid()
    record.end(study)
    assert not record.running(study).exists()
    about = artifacts.read_json("results/small/study.json")
    assert about["settings"] == study.settings and about["environments"] == [environment.now()]
    assert about["inputs"] == {
        f"results/datasets/digits/{kind}.h5": artifacts.fingerprint(f"results/datasets/digits/{kind}.h5")
        for kind in ("truth", "images")
    }
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    record.write(study)
    environments = artifacts.read_json("results/small/study.json")["environments"]
    assert [one["processor"].endswith("ATEN_CPU_CAPABILITY=default") for one in environments] == [False, True]
    assert record.made_here(study).read_bytes() == Path("results/small/study.json").read_bytes()
    assert record.running(study).parent == job.FOLDER


def test_weights_and_raw_files_are_inputs_by_their_hashes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.pth").write_bytes(b"weights")
    learner = SMALL["learners"]["mlp"] | {"architecture": "resnet18", "weights": "net.pth"}
    for key in ("hidden_units", "dropout"):
        del learner[key]
    study = Study(config.load(SMALL | {"learners": {"resnet": learner}}))
    digest = [b"a" * 64, b"b" * 64]
    data = {
        "images": np.zeros((2, 8, 8, 1), np.uint8),
        "raw_file": np.array([b"1.png", b"2.png"]),
        "raw_sha256": np.array(digest),
    }
    for kind, values in (("images", data), ("truth", {"labels": np.arange(2)})):
        artifacts.write(f"results/datasets/digits/{kind}.h5", kind, artifacts.provenance("x", {}), values)
    found = record.inputs(study)
    assert found["net.pth"] == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    lines = b"1.png\0" + digest[0] + b"\n2.png\0" + digest[1]
    assert found["results/datasets/digits/raw"] == f"sha256:{hashlib.sha256(lines).hexdigest()}"
