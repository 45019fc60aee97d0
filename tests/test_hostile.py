"""Hostile files do no harm: the cases of `hostile`."""

import math
import os
import re
import signal
import time

import hostile
import numpy as np
import pytest
from conftest import ROOT
from hostile import _fuzz

from dagal import MOST_PIXELS, files
from dagal.config import fields, loader
from dagal.datasets import archives, decoding, source, tables, videos
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


def test_sentences_are_printable_and_of_bounded_length():
    assert str(UserError("a\x1b[2J\n\udc80é")) == "a\\x1b[2J\\n\\udc80é"
    assert str(UserError("a" * 5000 + "b" * 5000)) == "a" * 1000 + " ... " + "b" * 1000


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_pixels_are_the_same_in_blocks_of_rows(kind, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 7, 4)).astype(kind)
    if kind == np.float32:
        pixels /= 255
    settings = {"intensity": [0.0, 0.5], "background": [1, 2, 3]}
    whole = decoding.Decoder(settings, lambda: iter(())).fitted(pixels, "x")
    monkeypatch.setattr(decoding, "BLOCK_BYTES", 300)
    np.testing.assert_array_equal(decoding.Decoder(settings, lambda: iter(())).fitted(pixels, "x"), whole)


def test_bounds_in_the_guide_are_those_of_the_code():
    text = (ROOT / "data/README.md").read_text()
    (part,) = re.findall(r"## What is refused\n(.*?)\n## ", text, re.S)
    stated = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", part)]
    bounds = [
        MOST_PIXELS, math.isqrt(MOST_PIXELS), math.isqrt(MOST_PIXELS), files.MOST_BYTES >> 30, archives.MOST_TIMES,
        archives.FREE_BYTES >> 20, archives.MOST_DEPTH, tables.MOST_ROWS, videos.MOST_FRAMES, source.MOST_LETTERS, 0, 1,
        loader.MOST_BYTES >> 20, loader.MOST_DEPTH, loader.MOST_VALUES, fields.MOST_LETTERS,
    ]  # fmt: skip
    assert stated == bounds


FUZZED = 40  # changed files of each kind


def test_changed_files_are_read_or_refused(tmp_path):
    found = {}
    for kind, (samples, read) in _fuzz.kinds(tmp_path).items():
        found |= {
            (kind, number): wrong for number, wrong in _fuzz.fuzz(kind, samples, read, range(FUZZED), 0, tmp_path)
        }
    assert not found


def test_fuzzing_notices_what_it_is_for(tmp_path):
    def read(data, folder):
        if data[:1] == b"a":
            raise UserError("no")
        if data[:1] == b"b":
            raise KeyError("harm")
        if data[:1] == b"c":
            os.kill(os.getpid(), signal.SIGKILL)

    samples = [b"abcd" * 3]
    expected = {}
    for number in range(200):
        first = _fuzz.nth("x", samples, number, 0)[:1]
        if first in (b"b", b"c"):
            expected[number] = "KeyError" if first == b"b" else "signal 9"
    found = dict(_fuzz.fuzz("x", samples, read, range(200), 0, tmp_path))
    assert len(expected) > 4 and found.keys() == expected.keys()
    assert all(word in found[number] for number, word in expected.items())


def refuse(sentence="a refusal"):
    raise UserError(sentence)


def spin():
    while True:
        pass
