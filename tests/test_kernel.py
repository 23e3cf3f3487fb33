"""Kernel distances against double loops, other programs and large samples."""

from __future__ import annotations

import numpy as np
import pytest

from ldm import metrics
from ldm.metrics import Sample, kernel
from tests.golden import metrics as golden
from tests.synthetic import features

THEIRS = golden.theirs()


def by_double_loop(k, x, y) -> float:
    within_x = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    within_y = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    return within_x + within_y - 2 * np.mean([k(a, b) for a in x for b in y])


def test_the_distances_equal_double_loops_whatever_the_blocks(monkeypatch):
    x, y = features(12, 5, 0, shift=0.3), features(9, 5, 1)

    def rbf(sigma):
        return lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2))

    units = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y)]
    for block in (4, 5, 2048):
        monkeypatch.setattr(kernel, "BLOCK", block)
        found = metrics.kid(x, Sample(features=y)).value
        assert found == pytest.approx(by_double_loop(lambda a, b: (a @ b / 5 + 1) ** 3, x, y), rel=1e-9)
        found = metrics.mmd(x, Sample(features=y), bandwidth=0.7).value
        assert found == pytest.approx(by_double_loop(rbf(0.7), x, y), rel=1e-9)
        found = metrics.cmmd(x, Sample(features=y)).value
        assert found == pytest.approx(1000 * by_double_loop(rbf(10), *units), rel=1e-6)


def test_influences_do_not_depend_on_the_blocks(monkeypatch):
    x, y = features(30, 5, 0, shift=0.3), features(20, 5, 1)
    whole = metrics.kid(x, Sample(features=y))
    monkeypatch.setattr(kernel, "BLOCK", 7)
    for mine, theirs in zip(metrics.kid(x, Sample(features=y)).influences, whole.influences, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_kid_equals_torch_fidelitys_with_one_subset_of_all():
    x, y = golden.skewed(300, 300)
    assert metrics.kid(x, Sample(features=y)).value == pytest.approx(THEIRS["kid"], rel=1e-9)


def test_mmd_equals_torch_fidelitys_gaussian_kernel():
    x, y = golden.apart(200, 200, 16)
    assert metrics.mmd(x, Sample(features=y), bandwidth=2.0).value == pytest.approx(THEIRS["mmd"], rel=1e-9)


def test_cmmd_is_the_authors_less_what_an_image_has_with_itself():
    x, y = features(80, 16, 0, shift=0.5), features(60, 16, 1)
    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))

    def k(p, q):
        return np.exp(-((p[:, None] - q) ** 2).sum(-1) / 200)

    theirs = 1000 * (k(a, a).mean() + k(b, b).mean() - 2 * k(a, b).mean())
    own = 1000 * sum((1 - (k(z, z).sum() - len(z)) / (len(z) * (len(z) - 1))) / len(z) for z in (a, b))
    assert metrics.cmmd(x, Sample(features=y)).value == pytest.approx(theirs - own, rel=1e-6)


def test_the_distance_of_a_fresh_sample_is_zero_on_average_whatever_n():
    for n in (20, 200):
        pairs = [(features(n, 8, s), Sample(features=features(100, 8, 1000 + s))) for s in range(60)]
        for score in (metrics.kid, metrics.cmmd, lambda x, y: metrics.mmd(x, y, bandwidth=1)):
            values = [score(x, y).value for x, y in pairs]
            assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)


def test_kid_of_subsets_agrees_with_kid_of_all_pairs():
    x, real = features(300, 8, 0, shift=0.5), Sample(features=features(300, 8, 1))
    subsets = metrics.kid_subsets(x, real, subsets=200, size=100)
    assert subsets.n == 100
    assert abs(subsets.value - metrics.kid(x, real).value) < 4 * subsets.se / np.sqrt(200)
    assert metrics.kid_subsets(x, real, subsets=2, size=300).value == pytest.approx(metrics.kid(x, real).value)


@pytest.mark.usefixtures("any_types")
def test_the_bandwidth_is_the_references_median_distance():
    real = Sample(features=np.array([[0.0], [1.0], [3.0]]))
    assert metrics.median_bandwidth(real) == 2.0
    with pytest.raises(ValueError, match="no bandwidth"):
        metrics.median_bandwidth(Sample(features=np.ones((5, 3))))
    with pytest.raises(ValueError, match="bandwidth is 0"):
        metrics.mmd(np.ones((5, 1)), real, bandwidth=0)


def test_what_the_reference_has_with_itself_is_computed_once_a_kernel(monkeypatch):
    real, calls = Sample(features=features(50, 4, 1)), []
    whole = kernel._mean_with_others
    monkeypatch.setattr(kernel, "_mean_with_others", lambda k, x: calls.append(len(x)) or whole(k, x))
    for seed in range(3):
        metrics.kid(features(20, 4, seed), real)
        metrics.cmmd(features(20, 4, seed), real)
    assert calls.count(50) == 2 and calls.count(20) == 6
