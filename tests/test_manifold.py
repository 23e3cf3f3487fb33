"""Precision, recall, density and coverage against the program of Naeem et al. and by leaving images out."""

from __future__ import annotations

import numpy as np
import pytest

from ldm.metrics import difference, manifold
from tests.golden import metrics as golden
from tests.synthetic import features

THEIRS = golden.theirs()


@pytest.mark.parametrize("n, m, k", golden.MANIFOLDS)
def test_the_four_equal_prdcs(n, m, k):
    found = {name: e.value for name, e in manifold(*golden.apart(n, m, 12), k=k)._asdict().items()}
    assert found == pytest.approx(THEIRS[f"manifold {n} {m} {k}"], abs=1e-12)


def test_influences_are_those_of_leaving_each_image_out():
    x, y = features(60, 4, 0, shift=0.2), features(300, 4, 1)  # more rows than are held at once
    whole = manifold(x, y, k=3)
    for i in range(0, 60, 7):
        without = manifold(np.delete(x, i, 0), y, k=3)
        for name in ("recall", "coverage"):
            one, influence = getattr(whole, name), getattr(whole, name).influences[0]
            pseudo = 59 * (one.value - getattr(without, name).value)
            first = manifold(np.delete(x, 0, 0), y, k=3)
            base = 59 * (one.value - getattr(first, name).value)
            assert influence[i] - influence[0] == pytest.approx(pseudo - base, abs=1e-10)


def test_a_generator_that_repeats_one_mode_is_precise_and_recalls_little():
    y = features(300, 6, 1)
    narrow = y[:1] + 0.01 * features(300, 6, 2)
    found = manifold(narrow, y)
    assert found.precision.value == 1 and found.recall.value < 0.05 and found.coverage.value < 0.1
    fair = manifold(features(300, 6, 3), y)
    assert difference(fair.recall, found.recall).lo > 0 and difference(fair.coverage, found.coverage).lo > 0


def test_images_that_are_all_equal_are_inside_nothing():
    x = np.ones((20, 3))
    assert [e.value for e in manifold(x, x)] == [0, 0, 0, 0]
    assert manifold(x, features(50, 3, 0) + 10).precision.value == 0


@pytest.mark.parametrize("k, n, m", [(0, 20, 20), (19, 20, 40), (20, 40, 20)])
def test_too_few_images_for_k_neighbours_are_refused(k, n, m):
    with pytest.raises(ValueError, match=f"k is {k} for {n} generated and {m} real images, expected 1 to"):
        manifold(features(n, 3, 0), features(m, 3, 1), k=k)
