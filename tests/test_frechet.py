"""The Frechet distance against the textbook formula, other programs and known truths."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from ldm import metrics
from ldm.metrics import Gaussian
from ldm.metrics.frechet import _frechet
from tests.golden import metrics as golden
from tests.synthetic import features

THEIRS = golden.theirs()


def frechet_by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """The textbook formula."""
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(s @ t)
    gap = x.mean(0) - y.mean(0)
    return float(gap @ gap + np.trace(s + t - 2 * root.real))


@pytest.mark.parametrize("n", [40, 400], ids=["n below d", "n above d"])
def test_it_equals_the_matrix_square_root_formula(n):
    x, y = features(n, 64, 0, shift=0.2), features(2000, 64, 1)
    expected = frechet_by_sqrtm(x, y)
    assert metrics.frechet(x, Gaussian.of(y)).value == pytest.approx(expected, rel=1e-5)
    for pair in ((x, y), (y, x)):
        assert metrics.frechet_between(*map(Gaussian.of, pair)) == pytest.approx(expected, rel=1e-5)


def test_in_float64_it_equals_the_matrix_square_root_to_ten_digits():
    x, y = np.random.default_rng(0).normal(size=(2, 600, 128)) * [[[1.0]], [[1.3]]]
    expected = frechet_by_sqrtm(x, y)
    assert metrics.frechet(x, Gaussian.of(y)).value == pytest.approx(expected, rel=1e-10)
    assert metrics.frechet_between(Gaussian.of(x), Gaussian.of(y)) == pytest.approx(expected, rel=1e-10)


def test_it_equals_torch_fidelitys():
    x, y = golden.skewed(300, 400)
    assert metrics.frechet(x, Gaussian.of(y)).value == pytest.approx(THEIRS["frechet"], rel=1e-9)


@pytest.mark.parametrize("n", [40, 4000], ids=["n below d", "n above d"])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_not_below_0_and_of_a_sample_to_itself_0(n, seed):
    x = 30 * features(n, 64, seed)
    itself = Gaussian.of(x)
    for value in (metrics.frechet(x, itself).value, metrics.frechet_between(itself, itself)):
        assert 0 <= value < 0.01


def test_of_one_dimension_it_is_the_difference_of_means_and_spreads():
    x, y = np.random.default_rng(0).normal(size=(2, 500, 1)) * [[[1.0]], [[3.0]]]
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert metrics.frechet(x, Gaussian.of(y)).value == pytest.approx(expected)


@pytest.mark.parametrize("n", [20, 100], ids=["n below d", "n above d"])
def test_an_images_influence_is_the_derivative_by_its_weight(n):
    x, real = features(n, 30, 0, shift=0.1), Gaussian.of(features(500, 30, 1))
    _, influence = _frechet(x, real)

    def weighted(weight: np.ndarray) -> float:
        mean = weight @ x / weight.sum()
        y = (x - mean) * np.sqrt(weight / weight.sum() * n / (n - 1))[:, None]
        gap = mean - real.mean
        roots = np.linalg.svd(y @ real.factor, compute_uv=False).sum()
        return gap @ gap + np.square(y).sum() + np.trace(real.covariance) - 2 * roots

    for i in (0, 7):
        step = 1e-4 * np.eye(n)[i]
        slope = (weighted(1 + step) - weighted(1 - step)) / 2e-4
        assert influence[i] / n == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_the_principal_part_is_the_distance_of_projected_features():
    x, y = features(200, 40, 0, shift=0.2), features(900, 40, 1)
    _, vectors = np.linalg.eigh(np.cov(y, rowvar=False))
    basis = vectors[:, -5:]
    part = metrics.frechet(x, Gaussian.of(y), components=5)
    assert part.value == pytest.approx(frechet_by_sqrtm(x @ basis, y @ basis), rel=1e-6)
    whole = metrics.frechet(x, Gaussian.of(y), components=40)
    assert whole.value == pytest.approx(metrics.frechet(x, Gaussian.of(y)).value, rel=1e-6)


@pytest.mark.parametrize("parts", [1, 7, 501], ids="{} parts".format)
def test_streamed_and_merged_statistics_equal_those_of_the_whole(parts):
    x = features(501, 12, 0) + 1000
    whole = Gaussian.of(x)
    streamed = Gaussian.stream(np.array_split(x, parts))
    assert streamed.n == whole.n == 501
    np.testing.assert_allclose(streamed.mean, np.mean(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(streamed.covariance, np.cov(x, rowvar=False), rtol=1e-8)


def test_the_extrapolated_distance_loses_most_of_the_bias():
    real = Gaussian.of(features(50_000, 16, 0))
    samples = [features(400, 16, seed) for seed in range(1, 21)]
    plain = np.mean([metrics.frechet(x, real).value for x in samples])
    limit = np.mean([metrics.frechet_inf(x, real).value for x in samples])
    assert abs(limit) < 0.2 * plain


def test_intervals_hold_where_there_are_fewer_images_than_dimensions():
    real = Gaussian.of(features(5000, 64, 1))
    estimates = [metrics.frechet(features(48, 64, 10_000 + s, shift=0.3, scale=1.2), real) for s in range(300)]
    expectation = np.mean([e.value for e in estimates])
    assert 0.92 <= np.mean([e.lo <= expectation <= e.hi for e in estimates]) <= 0.98
