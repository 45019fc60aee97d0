"""The file of answers: nothing that was given is lost, and the last answer of each annotator counts."""

import pytest

from dagal.errors import UserError
from dagal.labeling import answers


def answer(image, state="labeled", annotator="anna", **more):
    return {"id": image, "state": state, "annotator": annotator, "at": "2026-11-26T05:00:00Z", "source": "page"} | more


def test_last_answer_of_each_annotator_counts(tmp_path):
    path = answers.log_of(tmp_path)
    assert answers.read(path) == []
    answers.append(path, [answer(3, label="cat"), answer(4, "skipped"), answer(5, label="cat")])
    answers.append(path, [answer(3, label="dog"), answer(3, label="cat", annotator="ben"), answer(5, "withdrawn")])
    latest = answers.latest(answers.read(path))
    assert {image: {name: one["label"] for name, one in given.items()} for image, given in latest.items()} == {
        3: {"anna": "dog", "ben": "cat"}
    }


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_kill_costs_at_most_the_answer_being_written(tmp_path, cut):
    path = answers.log_of(tmp_path)
    answers.append(path, [answer(1, label="cat"), answer(2, label="dog")])
    path.write_bytes(path.read_bytes()[:-cut])
    kept = 2 if cut == 1 else 1
    assert [one["id"] for one in answers.read(path)] == [1, 2][:kept]
    answers.append(path, [answer(7, "unsure")])
    assert [one["id"] for one in answers.read(path)] == [*[1, 2][:kept], 7]


def test_damage_within_the_file_is_told_with_its_line(tmp_path):
    path = answers.log_of(tmp_path)
    answers.append(path, [answer(1, label="cat")])
    path.write_bytes(path.read_bytes() + b"what\nis this\n")
    with pytest.raises(UserError, match=r"answers\.jsonl, line 2: this is no answer"):
        answers.read(path)
