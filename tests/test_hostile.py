"""Hostile files do no harm: the cases of `hostile`."""

import time

import hostile
import pytest

from dagal.errors import UserError


@pytest.mark.parametrize("case", hostile.cases(), ids=lambda case: case.name)
def test_does_no_harm(case, tmp_path):
    found = hostile.attempt(case, tmp_path)
    assert not found.wrong, (found.wrong, found.said)
    assert found.megabytes < hostile.MEMORY_BYTES / 1e6


def written(folder):
    return folder


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        (lambda built, out: (out / "file").write_text("x") and refuse(), "something was written"),
        (lambda built, out: None, "it was not refused"),
        (lambda built, out: 1 / 0, "ZeroDivisionError"),
        (lambda built, out: bytes(2_000_000_000), "MemoryError"),
        (lambda built, out: spin(), "its process died of signal"),
        (lambda built, out: refuse("another"), "lacks"),
    ],
)
def test_harm_is_noticed(tmp_path, read, wrong):
    assert wrong in hostile.attempt(hostile.Case("harm", written, read, ("refusal",)), tmp_path).wrong


def test_waiting_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(hostile, "WAIT_SECONDS", 0.2)
    case = hostile.Case("pipe", written, lambda built, out: time.sleep(60), ("no",))
    assert "it waited" in hostile.attempt(case, tmp_path).wrong


def refuse(sentence="a refusal"):
    raise UserError(sentence)


def spin():
    while True:
        pass
