"""Ranks and fits on data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from ldm.metrics import Estimate
from ldm.statistics import power_law as stats
from ldm.statistics import ranks


def spread(values: np.ndarray, truth: float, fit) -> float:
    """Share of repeats whose interval holds the truth."""
    estimates = [fit(v) for v in values]
    return float(np.mean([e.lo <= truth <= e.hi for e in estimates]))


def test_a_power_law_is_found_with_its_interval():
    x = np.geomspace(1, 100, 6)
    truth = 3 * x**-0.5
    rng = np.random.default_rng(0)
    noisy = truth * np.exp(rng.normal(0, 0.05, (200, 6)))

    def fit(y):
        return stats.power_law(x, [Estimate.of(v, 0.05 * v, 10) for v in y])

    assert 0.92 <= spread(noisy, 0.5, lambda y: fit(y).exponent) <= 1.0
    assert 0.92 <= spread(noisy, 3 * 30**-0.5, lambda y: fit(y)(30.0)) <= 1.0
    exact = stats.power_law(x, [Estimate.of(v + 2, 0.1, 10) for v in truth], floor=2)
    assert exact.exponent.value == pytest.approx(0.5)
    assert exact(10.0).value == pytest.approx(2 + 3 * 10**-0.5)
    np.testing.assert_allclose(exact.residuals, 0, atol=1e-12)


def test_a_floor_is_found():
    x = np.geomspace(1, 1000, 10)
    law = stats.power_law(x, [Estimate.of(v, 0.01 * v, 10) for v in 2 + 3 * x**-0.5], floor=None)
    assert law.floor == pytest.approx(2, abs=0.02) and law.exponent.value == pytest.approx(0.5, abs=0.02)
    assert law.misfit < 0.1 < 1 < stats.power_law(x, [Estimate.of(v, 0.01 * v, 10) for v in 2 + 3 * x**-0.5]).misfit


def test_a_curve_that_is_no_power_law_gets_a_wider_interval_and_residuals_that_show_it():
    x = np.geomspace(1, 100, 6)
    bent = [Estimate.of(v, 0.01 * v, 10) for v in x**-0.5 + 0.3]
    straight = [Estimate.of(v, 0.01 * v, 10) for v in x**-0.5]
    fit = stats.power_law(x, bent)
    assert fit.exponent.se > 5 * stats.power_law(x, straight).exponent.se
    assert fit.residuals[0] > 0.02 and fit.residuals[-1] > 0.02 and fit.residuals[2] < 0


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: stats.power_law([1, 2], [Estimate(1, 0, 2, 5)] * 2), "3 or more points"),
        (lambda: stats.power_law([1, 2, 3], [Estimate(1, 0, 2, 5)] * 3, floor=None), "4 to fit a floor"),
        (lambda: stats.power_law([1, 2, 4], [Estimate(-1, -2, 0, 5)] * 3), "all positive"),
        (lambda: stats.power_law([1, 2, 4], [Estimate(1, 1, 1, 5)] * 3), "no width"),
    ],
)
def test_bad_input_is_told_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("levels", [3, 50])
def test_rank_correlations_of_many_worlds_are_scipys_of_each(levels):
    """With few levels most pairs tie, on one side or on both."""
    a, b = np.random.default_rng(0).integers(0, levels, (2, 20, 13)).astype(float)
    kendall = [scipy.stats.kendalltau(*replicate).statistic for replicate in zip(a, b, strict=True)]
    somers = [scipy.stats.somersd(*replicate).statistic for replicate in zip(a, b, strict=True)]
    np.testing.assert_allclose(ranks.kendall(a, b), kendall, rtol=1e-12)
    np.testing.assert_allclose(ranks.somers(a, b), somers, rtol=1e-12)
    assert np.isnan(ranks.kendall(a[0], np.ones(13))) and np.isnan(ranks.somers(np.ones(13), a[0]))
