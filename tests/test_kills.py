"""`kill -9` at random points of a training: it goes on, and ends as one that nobody disturbed, to the bit."""

from __future__ import annotations

import pytest

from benchmarks.kills import killed


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_as_if_nothing_had_been(tmp_path):
    """Three kills; `python -m benchmarks.kills` makes it twenty."""
    fell, end, undisturbed = killed(tmp_path / "run", kills=3, steps=60)
    assert len(fell) == 3 and end == undisturbed
