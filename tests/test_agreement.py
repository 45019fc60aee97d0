"""Several annotators: which answer counts, how alike answers are, and the estimate of Dawid and Skene."""

import itertools

import cv2
import numpy as np
import pytest

from dagal.__main__ import main
from dagal.inspect import agreement as table
from dagal.labeling import agreement, answers
from dagal.seeding import generator


def answer(image, annotator, state="labeled", **more):
    return {"id": image, "annotator": annotator, "state": state, "at": "2026-11-26T05:00:00Z", "source": "page"} | (
        answers.FIELDS | more
    )


def decided(*given, folder=None):
    return agreement.resolve(answers.latest(given), folder)


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        (["cat"], "cat"),
        (["cat", "cat"], "cat"),
        (["cat", "dog"], None),
        (["dog", "cat", "cat"], "cat"),
        (["cat", "dog", "fox"], None),
        (["cat", "cat", "dog", "dog"], None),
        (["dog", "cat", "fox", "cat"], "cat"),
        (["cat", "unsure"], None),
        (["cat", "unsure", "cat"], "cat"),
        (["cat", "unsure", "unsure"], "unsure"),
        (["no_class", "unsure"], None),
    ],
)
def test_label_of_most_counts_and_a_tie_waits(votes, label):
    states = [vote if vote in answers.STATES else "labeled" for vote in votes]
    given = [
        answer(7, f"annotator {k}", state, label=vote if state == "labeled" else None)
        for k, (vote, state) in enumerate(zip(votes, states, strict=True))
    ]
    counts = decided(*given)[7]
    found = counts and (counts["label"] or counts["state"])
    assert found == label


def test_decision_settles_it():
    given = [answer(7, name, label="cat") for name in ("a", "b")]
    settled = answer(7, "c", label="dog") | {"source": "decision"}
    assert decided(*given, settled)[7]["label"] == "dog"
    later = answer(7, "d", label="fox") | {"source": "decision", "at": "2026-11-27T05:00:00Z"}
    assert decided(later, *given, settled)[7]["label"] == "fox"


BOX = [10, 10, 20, 20, "cat"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([BOX], [[10, 10, 20, 15, "cat"]], 1),  # half of it: IoU .5
        ([BOX], [[10, 10, 20, 14.9, "cat"]], 0),
        ([BOX], [[10, 10, 20, 20, "dog"]], 0),
        ([BOX], [], 0),
        ([], [], 1),
        ([BOX, BOX], [BOX], 2 / 3),  # one to one
        ([BOX, [40, 40, 50, 50, "dog"]], [[40, 41, 50, 50, "dog"], BOX], 1),
        # the first fits both, the second only the first one: pairs are sought together
        ([[0, 0, 10, 10, "a"], [4, 0, 14, 10, "a"]], [[2, 0, 12, 10, "a"], [-3, 0, 7, 10, "a"]], 1),
    ],
)
def test_boxes_are_alike_as_they_match(one, other, expected):
    first, second = answer(1, "anna", boxes=one), answer(1, "ben", boxes=other)
    assert agreement.similarity(first, second) == pytest.approx(expected)
    assert agreement.similarity(second, first) == pytest.approx(expected)
    assert (decided(first, second)[1] is not None) == (expected == 1)


def test_matches_are_the_most_that_any_pairing_has():
    rng = generator(0, "boxes")
    for _ in range(50):
        corner = rng.integers(0, 8, (2, 4, 2))
        boxes = np.concatenate([corner, corner + rng.integers(5, 9, (2, 4, 2))], 2)
        one, other = ([[*map(int, box), "ab"[k % 2]] for k, box in enumerate(side)] for side in boxes)
        pairs = agreement.iou_matrix(*boxes.astype(float)) >= 0.5
        pairs &= np.array([[a[4] == b[4] for b in other] for a in one])
        brute = max(sum(pairs[k, p] for k, p in enumerate(order)) for order in itertools.permutations(range(4)))
        assert agreement.matches(one, other) == brute


def test_of_boxes_that_agree_those_most_like_the_others_count():
    highs = {"a": 6, "b": 10, "c": 4, "d": 30}  # IoU of a and b .6, of a and c .67, of b and c .4
    given = [answer(1, name, boxes=[[0, 0, 10, high, "cat"]]) for name, high in highs.items()]
    assert decided(*given)[1]["annotator"] == decided(*given[:3])[1]["annotator"] == "a"
    assert decided(*given[1:])[1] is None


def test_masks_agree_by_their_mean_iou(tmp_path):
    folder = answers.log_of(tmp_path).parent
    (folder / "masks").mkdir(parents=True)
    mask = np.full((10, 10), 255, np.uint8)
    mask[:5], mask[5:7] = 0, 1
    shifted = mask.copy()
    shifted[4] = 1  # class 0: 40 of 50 pixels; class 1: 20 of 30
    for name, image in (("1-1", mask), ("1-2", shifted), ("1-3", mask)):
        cv2.imwrite(str(folder / f"masks/{name}.png"), image)
    one, other, third = (answer(1, f"a{k}", mask=f"masks/1-{k}.png") for k in (1, 2, 3))
    assert agreement.similarity(one, other, folder) == pytest.approx((40 / 50 + 20 / 30) / 2)
    assert decided(one, other, folder=folder)[1] is None
    assert decided(other, one, third, folder=folder)[1] is one
    (folder / "masks/1-2.png").unlink()
    with pytest.raises(agreement.UserError, match=r"1-2\.png is no mask of 8 bits"):
        decided(one, other, folder=folder)


# ------------------------------------------------------------------------------------------------------- Dawid and Skene

# their table 1: 45 patients, what the first observer said three times and four others once
PATIENTS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212 1211111
1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121
1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""
SHARES = [0.40, 0.42, 0.11, 0.07]  # their table 2
RATES = [
    [[0.89, 0.11, 0.00, 0.00], [0.07, 0.88, 0.05, 0.00], [0.00, 0.34, 0.66, 0.00], [0.00, 0.00, 0.56, 0.44]],
    [[0.83, 0.17, 0.00, 0.00], [0.05, 0.63, 0.31, 0.00], [0.00, 0.00, 1.00, 0.00], [0.00, 0.00, 0.00, 1.00]],
    [[1.00, 0.00, 0.00, 0.00], [0.11, 0.79, 0.11, 0.00], [0.00, 0.40, 0.20, 0.40], [0.00, 0.00, 0.67, 0.33]],
    [[0.94, 0.06, 0.00, 0.00], [0.05, 0.84, 0.10, 0.00], [0.00, 0.00, 0.80, 0.20], [0.00, 0.00, 0.33, 0.67]],
    [[1.00, 0.00, 0.00, 0.00], [0.16, 0.73, 0.11, 0.00], [0.00, 0.21, 0.79, 0.00], [0.00, 0.00, 0.33, 0.67]],
]


def test_dawid_and_skene_find_what_they_printed():
    said = np.array([list(map(int, patient)) for patient in PATIENTS.split()]) - 1
    item_V, annotator_V = np.repeat(np.arange(45), 7), np.tile([0, 0, 0, 1, 2, 3, 4], 45)
    probs_N_C, share_C, rates_A_C_C = agreement.dawid_skene(item_V, annotator_V, said.ravel(), 4)
    np.testing.assert_allclose(share_C, SHARES, atol=0.0051)
    np.testing.assert_allclose(rates_A_C_C, RATES, atol=0.0051)
    assert probs_N_C.argmax(1)[[1, 2, 6]].tolist() == [3, 1, 0]  # patient 2: class 4, against the majority of the votes
    np.testing.assert_allclose(probs_N_C.sum(1), 1)


def likelihood(votes, share_C, rates_A_C_C):
    """Of the votes, summed over all truths of all items; and the probability of each class of each item."""
    n, n_classes = max(item for item, *_ in votes) + 1, len(share_C)
    total, of_class = 0.0, np.zeros((n, n_classes))
    for truth in itertools.product(range(n_classes), repeat=n):
        value = np.prod(share_C[list(truth)]) * np.prod([rates_A_C_C[a, truth[i], k] for i, a, k in votes])
        total += value
        of_class[range(n), truth] += value
    return total, of_class / total


def test_dawid_and_skene_end_at_a_maximum_of_the_likelihood_of_all_votes():
    rng = generator(1, "votes")
    truth = np.array([0, 0, 1, 1, 0, 1])
    votes = [
        (i, a, int(truth[i] if rng.random() < right else 1 - truth[i]))
        for a, right in enumerate((0.9, 0.8, 0.7))
        for i in range(6)
        if (i, a) != (2, 2)
    ]
    probs_N_C, share_C, rates_A_C_C = agreement.dawid_skene(*np.array(votes).T, 2)
    best, posterior_N_C = likelihood(votes, share_C, rates_A_C_C)
    np.testing.assert_allclose(probs_N_C, posterior_N_C, atol=1e-6)
    for _ in range(40):  # other parameters near these explain the votes no better
        near_C, near_A_C_C = (
            np.clip(values + rng.normal(0, 0.02, values.shape), 1e-9, None) for values in (share_C, rates_A_C_C)
        )
        near = likelihood(votes, near_C / near_C.sum(), near_A_C_C / near_A_C_C.sum(2, keepdims=True))[0]
        assert near <= best * (1 + 1e-9)


def test_dawid_and_skene_know_whom_to_believe():
    rng = generator(2, "crowd")
    truth = rng.integers(0, 3, 300)
    right = (0.95, 0.9, 0.4, 0.4, 0.4)
    said = [np.where(rng.random(300) < p, truth, (truth + rng.integers(1, 3, 300)) % 3) for p in right]
    item_V, annotator_V = np.tile(np.arange(300), 5), np.repeat(np.arange(5), 300)
    probs_N_C, share_C, rates_A_C_C = agreement.dawid_skene(item_V, annotator_V, np.concatenate(said), 3)
    majority = np.array([np.bincount(votes, minlength=3).argmax() for votes in np.array(said).T])
    assert (probs_N_C.argmax(1) == truth).mean() > (majority == truth).mean() + 0.05
    np.testing.assert_allclose(np.einsum("c,acc->a", share_C, rates_A_C_C), right, atol=0.08)


def test_dawid_and_skene_take_classes_and_pairs_that_nobody_has():
    votes = np.array([(0, 0, 0), (1, 1, 2), (2, 0, 0), (2, 1, 0), (3, 0, 2), (3, 1, 2)])
    probs_N_C, share_C, _ = agreement.dawid_skene(*votes.T, 4)
    assert probs_N_C.argmax(1).tolist() == [0, 2, 0, 2] and share_C[[1, 3]].tolist() == [0, 0]
    assert np.isfinite(probs_N_C).all()


# ------------------------------------------------------------------------------------------------------- the command


def test_kappas_are_those_of_their_books():
    # 50 proposals: both yes 20, both no 15; p_o .7, p_e .5
    pairs = [["yes", "yes"]] * 20 + [["yes", "no"]] * 5 + [["no", "yes"]] * 10 + [["no", "no"]] * 15
    assert table.cohen(pairs) == pytest.approx(0.4)
    assert np.isnan(table.cohen([["yes", "yes"]]))
    # 4 images, 3 votes each; P mean 2/3, P_e .5
    votes = ["aaa", "bbb", "aab", "abb"]
    several = {k: {str(j): answer(k, str(j), label=name) for j, name in enumerate(own)} for k, own in enumerate(votes)}
    value, n, size = table.fleiss(several | {9: dict(list(several[0].items())[:2])})
    assert (value, n, size) == (pytest.approx(1 / 3), 4, 3)


def test_command_tells_conflicts_and_keeps_names_to_itself(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    given = [answer(image, name, label="cat") for image in range(8) for name in ("Anna Muster", "Ben Beispiel")]
    given += [
        answer(8, "Anna Muster", label="dog"),
        answer(8, "Ben Beispiel", label="cat"),
        answer(9, "Cleo", "unsure"),
    ]
    answers.append(answers.log_of(tmp_path), given)
    assert main(["agreement", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "10 images answered by 3 annotators, 9 of them by several" in printed
    assert "1 image in conflict" in printed and "1 dog, 1 cat" in printed
    assert not any(name in printed for name in ("Anna", "Ben", "Cleo"))
    assert main(["agreement", str(tmp_path), "--names"]) == 0
    assert "Anna Muster" in capsys.readouterr().out
    assert main(["agreement", str(tmp_path / "other")]) == 2
    assert "holds no answer yet" in capsys.readouterr().err
