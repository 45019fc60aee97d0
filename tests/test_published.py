"""Published numbers beside the measured ones: by hand, wrong entries, those of experiments/, and that no result depends on them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL
from test_experiments import STUDIES, load
from test_page import made_up
from test_report import jobs, run

from dagal import config as of_config
from dagal.errors import UserError
from dagal.plan import Study, job, record
from dagal.report import tables
from dagal.report.page import content, results
from dagal.report.registry import ITEMS
from dagal.report.tables import gains
from dagal.report.tables.published import beside, numbers

ENTRY = {"source": "a paper, table 1", "measure": "accuracy", "labels": [30], "methods": {"entropy": [0.7]}}
METRICS = pd.DataFrame(
    [
        (method, "mlp", True, seed, cycle, 20 + 10 * cycle, accuracy)
        for method, accuracies in {
            "random": {0: (0.50, 0.60), 1: (0.54, 0.62)},
            "entropy": {0: (0.50, 0.64), 1: (0.54, 0.72)},
            "entropy_cb": {0: (0.50, 0.70), 1: (0.54, 0.74)},
        }.items()
        for seed, values in accuracies.items()
        for cycle, accuracy in enumerate(values)
    ],
    columns=["method", "learner", "deployable", "seed", "cycle", "labels", "accuracy"],
)
PAIRS = [("entropy", "random", "random"), ("entropy_cb", "random", "random"), ("entropy_cb", "plain", "entropy")]
SUPERVISED = pd.DataFrame(
    [("mlp", size, seed, labels, accuracy) for size, labels, accuracies in (("30", 30, (0.6, 0.8)), ("all", 100, (0.9, 0.9)))
     for seed, accuracy in enumerate(accuracies)],
    columns=["learner", "size", "seed", "labels", "accuracy"],
)  # fmt: skip
# change of ENTRY -> (measured_labels, seeds, measured, se, difference)
BY_HAND = {
    "at these labels": ({}, (30, 2, 0.68, 0.04, -0.02)),
    "nearest labels": ({"labels": [40]}, (30, 2, 0.68, 0.04, -0.02)),
    "the smaller of two": ({"labels": [25]}, (20, 2, 0.52, 0.02, -0.18)),
    "error": ({"measure": "error", "methods": {"entropy": [0.3]}}, (30, 2, 0.32, 0.04, 0.02)),
    "over random": (
        {"measure": "gain_over_random", "methods": {"entropy": [0.05]}},
        (30, 2, 0.07, 0.03, 0.02),  # .04 and .10
    ),
    "over plain": (
        {"measure": "gain_over_plain", "methods": {"entropy_cb": [0.01]}},
        (30, 2, 0.04, 0.02, 0.03),  # .06 and .02
    ),
    "over nothing": ({"measure": "gain_over_plain"}, (np.nan, 0, np.nan, np.nan, np.nan)),
    "supervised": ({"methods": {}, "learners": {"mlp": [0.75]}}, (30, 2, 0.7, 0.1, -0.05)),
    # 1,000 labels are nearest to all of them, but are not what the paper means by some
    "never all for a number": ({"labels": [1000], "methods": {}, "learners": {"mlp": [0.75]}}, (30, 2, 0.7, 0.1, -0.05)),
    "all": ({"labels": ["all"], "methods": {}, "learners": {"mlp": [0.95]}}, (100, 2, 0.9, 0, -0.05)),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_by_hand(change, expected):
    found = beside([{"learners": {}} | ENTRY | change], METRICS, SUPERVISED, PAIRS, "accuracy")
    names = ["measured_labels", "seeds", "measured", "se", "difference"]
    np.testing.assert_allclose(found[names].astype(float).to_numpy(), [expected], atol=1e-12)


def test_a_number_without_a_model_and_one_seed():
    """A study without supervised baselines; the standard error of one seed is not known."""
    entry = ENTRY | {"learners": {"mlp": [0.9]}}
    found = beside([entry], METRICS[METRICS["seed"] == 0], None, PAIRS, "accuracy")
    assert found["seeds"].tolist() == [1, 0]
    assert found["measured"].tolist()[0] == 0.64 and found[["se", "difference"]].isna().to_numpy().tolist() == [
        [True, False],
        [True, True],
    ]


def test_the_table_as_it_is_written(tmp_path):
    for name, table in (("metrics", METRICS), ("supervised", SUPERVISED)):
        tables.write(tmp_path / f"{name}.csv", table, "%.6f")
    entries = [
        ENTRY | {"labels": [20, 30], "methods": {"entropy": [0.5, 0.7]}, "learners": {}},
        ENTRY | {"labels": ["all"], "methods": {}, "learners": {"mlp": [0.95]}},
    ]
    files = {name: str(tmp_path / f"{name}.csv") for name in ("metrics", "supervised", "published")}
    run(ITEMS.find("published").make, files, files, published=entries, pairs=PAIRS, measure="accuracy")
    assert Path(files["published"]).read_text().splitlines() == [
        "source,measure,method,learner,labels,published,measured_labels,seeds,measured,se,difference",
        '"a paper, table 1",accuracy,entropy,,20,0.5,20,2,0.52,0.02,0.02',
        '"a paper, table 1",accuracy,entropy,,30,0.7,30,2,0.68,0.04,-0.02',
        '"a paper, table 1",accuracy,,mlp,,0.95,100,2,0.9,0,-0.05',
    ]
    assert tables.read(files["published"])["method"].tolist() == ["entropy", "entropy", ""]


WRONG = {
    "measure": ({"measure": "acuracy"}, "published.1.measure' is 'acuracy' (did you mean 'accuracy'?); allowed: accuracy, error, "),
    "measure of another task": ({"measure": "mean_ap"}, "published.1.measure' is 'mean_ap'; allowed: accuracy, error, "),
    "method": ({"methods": {"entrpy": [0.7]}}, "published.1.methods' names 'entrpy', which the study does not have (did you mean"),
    "learner": ({"learners": {"net": [0.7]}}, "published.1.learners' names 'net', which the study does not have; allowed: mlp."),
    "percent": ({"methods": {"entropy": [70]}}, "published.1.methods' is a mapping: entropy must have a list of fractions of 1"),
    "no list": ({"methods": {"entropy": 0.7}}, "entropy must have a list of fractions of 1, such as [0.9074] for 90.74 %, and not 0.7."),
    "too many": ({"methods": {"entropy": [0.7, 0.8]}}, "published.1.methods.entropy' has 2 value(s) for 1 number(s) of labels"),
    "no labels": ({"labels": []}, "published.1.labels' is []: must be a list of 1 or more"),
    "nothing": ({"methods": {}}, "published.1' names neither methods nor learners"),
    "all of a method": ({"labels": ["all"]}, "published.1.labels' holds all, which no method asks for"),
    "gain of a baseline": (
        {"measure": "gain_over_random", "learners": {"mlp": [0.1]}}, "published.1.learners' has no gain_over_random",
    ),
    "key": ({"spread": 1}, "published.1.spread' is unknown; allowed here: source, measure, labels, methods, learners."),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_entries_are_one_sentence(change, sentence):
    with pytest.raises(UserError) as raised:
        of_config.load(SMALL | {"published": [ENTRY, ENTRY | change]})
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_a_wrong_entry_is_found_by_its_line(tmp_path):
    path = tmp_path / "study.yaml"
    text = "\n".join(f"{key}: {value}" for key, value in SMALL.items()).replace("None", "null").replace("True", "true")
    path.write_text(
        f"{text}\npublished:\n  - source: a\n    measure: typo\n    labels: [30]\n    methods: {{entropy: [0.7]}}\n"
    )
    line = len(text.splitlines()) + 3
    with pytest.raises(UserError, match=rf"study.yaml:{line}: config key 'published.0.measure' is 'typo'"):
        of_config.load(path)


def test_no_result_depends_on_them():
    """Nothing but the table and the page, which shows it; and results with other ones stay those of the study."""
    plain, with_some = (Study(of_config.load(SMALL | {"published": published})) for published in ([], [ENTRY]))
    before, after = ({name: rest for name, _, *rest in jobs(study)} for study in (plain, with_some))
    assert set(after) - set(before) == {"published"}
    assert [name for name in before if before[name] != after[name]] == ["page"]
    for stage in ("train", "evaluate", "score", "select", "oracle", "signals"):
        place = {"seed": str(plain.seeds[0]), "branch": "entropy", "cycle": "1"}
        assert job.describe(plain, stage, place) == job.describe(with_some, stage, place)
    assert list(record.parts(plain.settings)) == list(record.parts(with_some.settings))


QUOTING = [name for name in STUDIES if load(name)["published"]]
# all labels: the paper has this baseline, the study does not
NOT_MEASURED = {"sraal_cifar10", "sraal_cifar10_random"}


@pytest.mark.parametrize("name", QUOTING)
def test_every_number_of_the_studies_is_measured(name):
    """At its very number of labels, by a model that the study trains."""
    study = load(name)
    pairs = {(method, against) for method, against, _ in gains.pairs(study["methods"])}
    asked = {study["pool"]["initial"]["size"] + cycle * study["budget"] for cycle in range(study["cycles"] + 1)}
    for entry, kind, of, labels, _ in numbers(study["published"]):
        if kind == "method":
            assert labels in asked
            against = entry["measure"].removeprefix("gain_over_")
            assert against == entry["measure"] or (of, against) in pairs
        else:
            assert labels in study["supervised"] or name in NOT_MEASURED


def test_printed_numbers():
    """Some of each paper that prints any, as printed."""
    found = {
        (name, kind, of, labels): value
        for name in QUOTING
        for _, kind, of, labels, value in numbers(load(name)["published"])
    }
    assert found["label_dispersion_cifar10", "method", "label_dispersion", 15000] == 0.9074
    assert found["constrained_cifar10_salt_and_pepper", "method", "bald_resnet18", 1100] == 0.3852
    assert found["ideal_mnist", "method", "entropy_resnet18", 11000] == 0.0147
    assert found["sraal_cifar100", "method", "sraal_standard_deviation", 17500] == 0.633
    assert found["camera_traps_cross_entropy", "method", "kcenter_greedy", 25000] == 0.8523
    assert found["class_balance_cifar10_if1", "method", "entropy_cb", 10000] == 0.00027
    assert found["class_balance_tiny_imagenet_if03", "method", "bald_cb", 22500] == 0.0036
    assert found["synthia_al", "method", "temporal_coherence_siamfc", 12048] == 0.591
    assert found["imagenet_vid", "learner", "detector", "all"] == 0.839
    assert found["low_budget_cifar100_10", "method", "vaal_on_images", 25000] == 0.648
    assert len(QUOTING) == 30


def test_page_has_a_table_and_hollow_points(tmp_path):
    """Errors as accuracies, gains over random in their own view, supervised baselines and gains over plain in the table alone."""
    folder = made_up(tmp_path)
    (folder / "published.csv").unlink()
    plain = results.read(folder)
    assert content.published_points(plain) is None and content.published(plain) is None
    measured = [
        ("accuracy", "entropy", "", 28, 0.705),
        ("error", "random", "", 24, 0.43),
        ("accuracy", "", "mlp", np.nan, 0.81),
    ]
    measured += [("gain_over_random", "entropy", "", 24, 0.04), ("gain_over_plain", "entropy", "", 24, 0.01)]
    table = pd.DataFrame(measured, columns=["measure", "method", "learner", "labels", "published"])
    table = table.assign(
        source="a paper", measured_labels=28, seeds=2, measured=0.7, se=0.01, difference=0.7 - table["published"]
    )
    tables.write(folder / "published.csv", table, "%.6g")
    points = content.published_points(results.read(folder))
    assert points[["method", "labels", "shown"]].values.tolist() == [
        ["entropy", 28, "value"], ["random", 24, "value"], ["entropy", 24, "gain"],
    ]  # fmt: skip
    np.testing.assert_allclose(points["value"], [70.5, 57, 4])
    page = content.page([folder], tmp_path)
    found = page["studies"][0]
    assert found["published"]["columns"][5:] == ["published", "measured", "se", "difference", "seeds", "measured at"]
    assert found["published"]["rows"][1] == ["a paper", "error", "random", "", "24", "43", "70", "1", "27", "2", "28"]
    assert found["published"]["rows"][2][2:5] == ["", "mlp", ""] and len(found["published"]["rows"]) == 5
    assert found["charts"]["curve"]["has_published"]
    html = content.rendered(page, "")
    assert "Published and measured" in html and "Hollow: what the paper printed." in html
