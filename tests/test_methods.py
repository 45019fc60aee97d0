"""From a method's name in the config to its functions, the signals they read, and the rows handed to them."""

import inspect
import sys

import numpy as np
import pytest
from conftest import kinds

from dagal import acquisition, artifacts, tasks
from dagal.acquisition import methods, scores, selection
from dagal.errors import UserError

CLASSIFICATION = tasks.find("classification")
SCORES = {
    "random",
    "least_confidence",
    "margin",
    "entropy",
    "bald",
    "label_dispersion",
    "distance_to_labeled",
    "misclassified",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A stand-in for a second acquisition folder; modules loaded from it are forgotten afterwards."""
    monkeypatch.setattr(acquisition, "__path__", [*acquisition.__path__, str(tmp_path)])
    monkeypatch.setattr(methods, "__file__", str(tmp_path / "methods.py"))
    yield tmp_path
    for name in (path.stem for path in tmp_path.glob("*.py")):
        sys.modules.pop(f"dagal.acquisition.{name}", None)
        vars(acquisition).pop(name, None)


def test_built_in_names_lead_to_their_functions():
    assert set(methods.available("score", CLASSIFICATION)) >= SCORES
    assert {"top_k", "kcenter_greedy"} <= set(methods.available("select", CLASSIFICATION))
    for name in SCORES:
        assert methods.find("score", name, CLASSIFICATION) is getattr(scores, name)
    assert methods.find("select", "top_k", CLASSIFICATION) is selection.top_k


@pytest.mark.parametrize("task", list(map(tasks.find, tasks.TASKS)), ids=tasks.TASKS)
@pytest.mark.parametrize("part", methods.HOMES)
def test_everything_available_is_found_and_reads_known_signals(part, task):
    assert methods.available(part, task)
    for name in methods.available(part, task):
        assert methods.find(part, name, task).__name__ == name


@pytest.mark.parametrize("task", list(map(tasks.find, tasks.TASKS)), ids=tasks.TASKS)
def test_every_signal_is_a_data_set_of_an_artifact(task):
    declared = {kind.schema: set(kind.datasets) for kind in kinds() if kind.name in dict(task.signals.values())}
    for kind, name in task.signals.values():
        assert name in declared[f"{kind}/1"], (kind, name)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("entropy", {}, {"score": "entropy", "select": "top_k"}),
        ("oracle", {}, {"score": "misclassified", "select": "top_k"}),
        ("debal", {}, {"score": "bald", "select": "top_k", "draws": "ensemble_dropout"}),
        ("kcenter_greedy", {}, {"score": "distance_to_labeled", "select": "kcenter_greedy"}),
        ("kcenter_greedy", {"score": "entropy"}, {"score": "entropy", "select": "kcenter_greedy"}),
        ("mine", {"score": "margin", "subset": 10}, {"score": "margin", "select": "top_k", "subset": 10}),
    ],
)
def test_config_comes_before_the_table_before_the_name(name, settings, expected):
    assert methods.compose(name, settings, CLASSIFICATION) == {"draws": "dropout"} | expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("random", []),
        ("entropy", [("signals", "probabilities")]),
        ("bald", [("draws", "draws")]),
        ("label_dispersion", [("trajectory", "trajectory")]),
        ("oracle", [("signals", "probabilities"), ("truth", "labels")]),
        ("kcenter_greedy", [("signals", "embeddings"), ("signals", "labeled_embeddings")]),
    ],
)
def test_a_method_reads_the_signals_it_declares_and_no_others(name, expected):
    assert methods.signals(methods.compose(name, {}, CLASSIFICATION), CLASSIFICATION) == expected


def test_signals_of_score_and_selector_are_joined():
    composed = methods.compose("entropy", {"select": "kcenter_greedy"}, CLASSIFICATION)
    assert methods.signals(composed, CLASSIFICATION) == [
        ("signals", "embeddings"),
        ("signals", "labeled_embeddings"),
        ("signals", "probabilities"),
    ]


def test_a_file_of_its_own_is_a_method(folder):
    (folder / "my_score.py").write_text(
        "def helper(x):\n    return x\n\n\n"
        "def my_score(probs_N_C, rng, temperature=2.0, hard=True):\n"
        "    return temperature * probs_N_C[:, 0]\n"
    )
    function = methods.find("score", "my_score", CLASSIFICATION)
    assert function(np.array([[0.5, 0.5]]), None).tolist() == [1.0]
    assert methods.inputs(function) == ["probs_N_C", "rng"]
    assert methods.options(function) == {"temperature": 2.0, "hard": True}
    assert inspect.getsourcefile(function) == str(folder / "my_score.py")
    assert methods.signals(methods.compose("my_score", {}, CLASSIFICATION), CLASSIFICATION) == [
        ("signals", "probabilities")
    ]
    assert "my_score" in methods.available("score", CLASSIFICATION)
    assert "my_score" not in methods.available("select", CLASSIFICATION)  # it does not ask for the budget
    for part in methods.HOMES:
        assert not {"helper", "methods", "distances", "scores"} & set(methods.available(part, CLASSIFICATION))


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("score", "entropie"),
        ("score", "top_k"),  # a selector
        ("select", "entropy"),  # a score
        ("score", "np"),
        ("score", "methods"),
        ("score", "distances"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(part, name):
    with pytest.raises(UserError) as error:
        methods.find(part, name, CLASSIFICATION)
    assert str(error.value) == f"unknown {part} '{name}'; allowed: {', '.join(methods.available(part, CLASSIFICATION))}"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def bad(probabilities):\n    return 0\n",
            "'bad' asks for 'probabilities', which a score of classification does not get; it may ask for probs_N_C,",
        ),
        ("def bad(rng, *rest):\n    return 0\n", "asks for 'rest'"),
        ("def bad(rng, budget):\n    return 0\n", "asks for 'budget', which a score of classification does not get"),
        ("def bad(rng:\n", "acquisition/bad.py cannot be loaded: SyntaxError"),
        ("def other(rng):\n    return 0\n", "unknown score 'bad'"),
        ("import not_installed\n", "acquisition/bad.py cannot be loaded: No module named 'not_installed'"),
    ],
)
def test_a_faulty_file_is_answered_with_a_sentence(folder, code, message):
    (folder / "bad.py").write_text(code)
    with pytest.raises(UserError) as error:
        methods.find("score", "bad", CLASSIFICATION)
    assert message in str(error.value)


N_IMAGES, N_CLASSES, EPOCHS, DRAWS = 60, 3, 5, 4
POOL = np.sort(np.random.default_rng(0).choice(N_IMAGES, 40, replace=False))
LABELED = np.setdiff1d(np.arange(N_IMAGES), POOL)


def encode(ids, leading=0, trailing=0):
    """Values that tell the id, and the row or column of the other axes."""
    values = ids * 1000.0
    if trailing:
        values = values[:, None] + np.arange(trailing)
    if leading:
        values = values[None] + 100 * np.arange(leading).reshape(-1, *[1] * values.ndim)
    return values


def all_signals(
    probs_N_C, embeddings_N_D, centers_L_D, trajectory_E_N, predicted_loss_N, logits_N_C, weight_norms_C, draws_T_N_C,
    boundary_N, discriminator_N, noise_K_N_C, queried_B, weights_C_D, biases_C, truth_N, rng, power=1.0,
):  # fmt: skip
    """Asks for every signal, the generator, and an option."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, origin = tmp_path_factory.mktemp("signals"), artifacts.provenance("test", {})
    data = {
        "signals": {
            "ids": POOL,
            "probabilities": encode(POOL, trailing=N_CLASSES),
            "embeddings": encode(POOL, trailing=7),
            "labeled_ids": LABELED,
            "labeled_embeddings": encode(LABELED, trailing=7),
            "predicted_loss": encode(POOL),
            "logits": encode(POOL, trailing=N_CLASSES),
            "weight_norms": encode(np.arange(N_CLASSES)),
        },
        "query": {"ids": POOL[:0]},
        "noise": {"ids": POOL, "changes": encode(POOL, leading=DRAWS, trailing=N_CLASSES)},
        "head": {"weights": encode(np.arange(N_CLASSES), trailing=7), "biases": encode(np.arange(N_CLASSES))},
        "adversary": {"ids": POOL, "discriminator": encode(POOL)},
        "boundary": {"ids": POOL, "distance": encode(POOL)},
        "trajectory": {"ids": POOL, "trajectory": encode(POOL, leading=EPOCHS)},
        "draws": {"ids": POOL, "draws": encode(POOL, leading=DRAWS, trailing=N_CLASSES)},
        "truth": {"labels": encode(np.arange(N_IMAGES))},
    }
    for kind, values in data.items():
        artifacts.write(folder / f"{kind}.h5", kind, origin, values)
    return {kind: str(folder / f"{kind}.h5") for kind in data}


def test_the_example_asks_for_every_signal_of_a_classifier():
    assert set(CLASSIFICATION.signals) <= set(inspect.signature(all_signals).parameters)


@pytest.mark.parametrize(
    "ids",
    [
        POOL,
        POOL[:1],
        POOL[-1:],
        POOL[:0],
        *(np.sort(np.random.default_rng(s).choice(POOL, 12, False)) for s in range(3)),
    ],
    ids=["all", "first", "last", "none", "some0", "some1", "some2"],
)
def test_gather_hands_over_the_rows_of_the_candidates(files, ids):
    context = {"rng": object(), "n_classes": N_CLASSES}
    found = methods.gather(all_signals, files, ids, context, CLASSIFICATION)
    expected = {
        "probs_N_C": encode(ids, trailing=N_CLASSES),
        "embeddings_N_D": encode(ids, trailing=7),
        "centers_L_D": encode(LABELED, trailing=7),
        "trajectory_E_N": encode(ids, leading=EPOCHS),
        "draws_T_N_C": encode(ids, leading=DRAWS, trailing=N_CLASSES),
        "boundary_N": encode(ids),
        "predicted_loss_N": encode(ids),
        "logits_N_C": encode(ids, trailing=N_CLASSES),
        "weight_norms_C": encode(np.arange(N_CLASSES)),
        "discriminator_N": encode(ids),
        "queried_B": [],
        "noise_K_N_C": encode(ids, leading=DRAWS, trailing=N_CLASSES),
        "weights_C_D": encode(np.arange(N_CLASSES), trailing=7),
        "biases_C": encode(np.arange(N_CLASSES)),
        "truth_N": encode(ids),
    }
    assert set(found) == {*expected, "rng"}
    assert found["rng"] is context["rng"]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_gather_opens_only_what_is_asked_for(files):
    found = methods.gather(scores.entropy, {"signals": files["signals"]}, POOL[:3], {}, CLASSIFICATION)
    assert list(found) == ["probs_N_C"]


@pytest.mark.parametrize(
    "ids", [LABELED[:3], np.array([POOL[0], LABELED[0]]), np.append(POOL[1:], N_IMAGES), LABELED[-1:]]
)
def test_gather_refuses_candidates_that_the_signals_lack(files, ids):
    with pytest.raises(UserError, match=r"signals\.h5 lacks some of the candidates"):
        methods.gather(scores.entropy, files, np.sort(ids), {}, CLASSIFICATION)


def test_labels_of_a_selector_stand_in_the_order_of_the_labeled_embeddings(folder, tmp_path):
    (folder / "probe.py").write_text(
        "def probe(centers_L_D, labels_L, budget):\n"
        "    assert (labels_L == centers_L_D[:, 0]).all()\n"
        "    return range(budget)\n"
    )
    origin = artifacts.provenance("test", {})
    ids = np.array([7, 2, 5])  # in the order of labeling
    labeled = {"ids": ids, "labels": ids % 4, "cycle": np.array([0, 0, 1])}
    artifacts.write(tmp_path / "labeled.h5", "labeled", origin, labeled, class_names=list("abcd"))
    signals = {"ids": np.array([1, 3]), "labeled_embeddings": np.sort(ids)[:, None] % 4}
    artifacts.write(tmp_path / "signals.h5", "signals", origin, signals)
    files = {kind: str(tmp_path / f"{kind}.h5") for kind in ("labeled", "signals")}
    rng = np.random.default_rng(0)
    positions, _ = methods.query("probe", files, signals["ids"], np.zeros(2), 2, 1, rng, {}, CLASSIFICATION)
    assert positions.tolist() == [0, 1]
