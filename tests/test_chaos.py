"""A study that is killed six times ends with the same bytes (the rest of tests/chaos.py: ``make chaos``)."""

import random

import pytest
from chaos import KILLS, Study, flips, kills


@pytest.mark.slow
def test_a_study_that_is_killed_ends_the_same(tmp_path_factory):
    """By group, Snakemake alone and single jobs, at seeded moments; what was finished is kept."""
    whole, killed = (Study(tmp_path_factory.mktemp(name)) for name in ("whole", "killed"))
    assert whole.finish() == 0, whole.screen()
    done = kills(killed, whole.results(), 6, random.Random(0))
    print(dict(done))
    assert all(done[how] for how in KILLS) and done["studies"] >= 1
    found = flips(whole.folder / "results", 100, random.Random(1))
    print(dict(found))
    assert found["refused"] == 100
