"""Every kind of file that people have is read right, or refused in one sentence: the cases of `odd_inputs`."""

import odd_inputs
import pytest


@pytest.mark.parametrize("case", odd_inputs.cases(), ids=lambda case: case.name)
def test_is_read_right(case, tmp_path):
    case.check(odd_inputs.read(case, tmp_path), tmp_path / "raw")
