"""Fits, frontiers and optima on data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from ldm import stats
from ldm.metrics import Estimate


def spread(values: np.ndarray, truth: float, fit) -> float:
    """Share of repeats whose interval holds the truth."""
    estimates = [fit(v) for v in values]
    return float(np.mean([e.lo <= truth <= e.hi for e in estimates]))


def test_bootstrap_intervals_of_a_skewed_mean_hold_it():
    values = np.random.default_rng(0).exponential(size=(150, 60))
    covered = spread(values, 1.0, lambda v: stats.bootstrap(v, draws=400))
    assert 0.88 <= covered <= 0.99


def test_paired_bootstrap_is_sharper_and_the_same_for_the_same_seed():
    a = np.random.default_rng(0).normal(size=200)
    b = a + np.random.default_rng(1).normal(0.3, 0.1, 200)
    both = stats.paired(a, b, np.median, seed=3)
    assert both == stats.paired(a, b, np.median, seed=3)
    assert both.hi < 0 and both.n == 200
    assert both.se < 0.5 * np.hypot(stats.bootstrap(a).se, stats.bootstrap(b).se)


def test_a_statistic_that_never_varies_has_an_interval_of_no_width():
    assert stats.bootstrap(np.ones(10), draws=50)[:3] == (1.0, 1.0, 1.0)


def test_combined_seeds_hold_the_mean_over_seeds_though_they_share_their_images():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.5, (400, 1))  # the same captions and noise for all three seeds
    values = 10 + shared + rng.normal(0, 1.0, (400, 3))

    def combined(v):
        return stats.combine([Estimate.of(x, 0.5, 100) for x in v])

    assert 0.93 <= spread(values, 10.0, combined) <= 1.0
    assert combined(values[0]).n == 300


def test_spread_pooled_over_sizes_sharpens_two_seeds():
    rng = np.random.default_rng(1)
    groups = [[Estimate.of(x, 0.01, 50) for x in rng.normal(m, 0.3, 2)] for m in (1, 5, 9, 20)]
    pooled = stats.seed_spread(groups)
    assert pooled.dof == 4
    expected = np.sqrt(np.mean([(g[0].value - g[1].value) ** 2 / 2 for g in groups]))
    assert pooled.sd == pytest.approx(expected)
    ratio = stats.combine(groups[0], pooled).se / (12.7 * pooled.sd / np.sqrt(2) / 1.96)
    assert ratio < 0.3  # Student's quantile falls from 12.7 to 2.8
    alone = groups[0][0]
    assert stats.combine([alone]) == alone
    assert stats.combine([alone], pooled).se > alone.se


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


def test_a_curve_that_is_no_power_law_gets_a_wider_interval_and_residuals_that_show_it():
    x = np.geomspace(1, 100, 6)
    bent = [Estimate.of(v, 0.01 * v, 10) for v in x**-0.5 + 0.3]
    straight = [Estimate.of(v, 0.01 * v, 10) for v in x**-0.5]
    fit = stats.power_law(x, bent)
    assert fit.exponent.se > 5 * stats.power_law(x, straight).exponent.se
    assert fit.residuals[0] > 0.02 and fit.residuals[-1] > 0.02 and fit.residuals[2] < 0


def test_the_optimum_comes_with_all_that_cannot_be_told_from_it():
    settings = [1, 2, 3, 4]
    estimates = [Estimate.of(v, 0.2, 100) for v in (2.0, 1.2, 1.0, 1.9)]
    found = stats.optimum(settings, estimates)
    assert found.setting == 3 and found.estimate == estimates[2] and found.ties == (2, 3)

    def paired(i, j):
        return Estimate.of(estimates[i].value - estimates[j].value, 0.05, 100)

    assert stats.optimum(settings, estimates, paired).ties == (3,)


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: stats.bootstrap(np.ones(3), np.ones(4)), r"\[3, 4\]"),
        (lambda: stats.combine([]), "no estimates"),
        (lambda: stats.seed_spread([[Estimate(1, 0, 2, 5)]]), "second seed"),
        (lambda: stats.power_law([1, 2], [Estimate(1, 0, 2, 5)] * 2), "3 or more points"),
        (lambda: stats.power_law([1, 2, 4], [Estimate(-1, -2, 0, 5)] * 3), "all positive"),
        (lambda: stats.power_law([1, 2, 4], [Estimate(1, 1, 1, 5)] * 3), "no width"),
        (lambda: stats.optimum([1, 2], []), "2 settings and 0 estimates"),
    ],
)
def test_bad_input_is_told_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()
