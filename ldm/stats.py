"""From estimates to statements: bootstrap, seeds, scaling fits, optima.

Everything takes and returns `ldm.metrics.Estimate`s, lower is better throughout (negate scores of
the other kind), and whatever is random takes a seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.stats

from ldm.metrics import Estimate, Z


def bootstrap(
    *samples: np.ndarray,
    statistic: Callable[..., float] = np.mean,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Statistic of one or more samples (n, ...) with a BCa interval (Efron 1987) by SciPy.

    Several samples are resampled together, row by row (paired). For statistics that repeated rows
    do not bias: means, medians, accuracies; not for Frechet distances (see `ldm.metrics`).
    """
    if len({len(sample) for sample in samples}) != 1 or len(samples[0]) < 2:
        raise ValueError(
            f"bootstrap got samples of {[len(sample) for sample in samples]} rows, expected the "
            "same number, 2 or more, in each."
        )
    index = np.arange(len(samples[0]))

    def resampled(rows: np.ndarray) -> float:
        return statistic(*(sample[rows] for sample in samples))

    value = float(resampled(index))
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        result = scipy.stats.bootstrap(
            (index,), resampled, n_resamples=draws, vectorized=False, method="BCa",
            rng=np.random.default_rng(seed),
        )
    lo, hi = result.confidence_interval
    if not np.isfinite([lo, hi]).all():  # no correction where leaving one row out changes nothing
        lo, hi = np.quantile(result.bootstrap_distribution, [0.025, 0.975])
    return Estimate(value, float(lo), float(hi), len(index))


def paired(
    a: np.ndarray,
    b: np.ndarray,
    statistic: Callable[[np.ndarray], float] = np.mean,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Statistic of a minus that of b, resampling row i of both together."""

    def difference(a: np.ndarray, b: np.ndarray) -> float:
        return statistic(a) - statistic(b)

    return bootstrap(
        np.asarray(a), np.asarray(b), statistic=difference, draws=draws, seed=seed
    )


# --- Seeds --------------------------------------------------------------------------------------


class Spread(NamedTuple):
    """Standard deviation between training seeds, and its degrees of freedom."""

    sd: float
    dof: int


def seed_spread(groups: Sequence[Sequence[Estimate]]) -> Spread:
    """Pooled over groups of runs that differ in their seed alone.

    Two or three seeds say little about their own spread; pooled over all sizes that have several,
    they say enough.
    """
    scatter = [len(g) * np.var([e.value for e in g]) for g in groups]
    dof = sum(len(g) - 1 for g in groups)
    if dof < 1:
        raise ValueError("seed_spread got no group with two or more seeds; train a second seed.")
    return Spread(float(np.sqrt(sum(scatter) / dof)), dof)


def combine(estimates: Sequence[Estimate], spread: Spread | None = None) -> Estimate:
    """Mean over training seeds; its interval is about *training again*, not only drawing again.

    Half its width is the hypotenuse of t sd / sqrt(k), from the values' own scatter (or `spread`,
    from `seed_spread`), and of the images' half width: seeds scored on the same captions and noise
    share that part of the error, so k of them do not average it away. Where they share nothing the
    interval is wider than it need be. One seed without a `spread` keeps its interval, which then
    leaves the seeds out.
    """
    if not estimates:
        raise ValueError("combine got no estimates; give it one for each seed.")
    k, n = len(estimates), sum(e.n for e in estimates)
    value = float(np.mean([e.value for e in estimates]))
    if k == 1 and spread is None:
        return estimates[0]
    sd, dof = spread or seed_spread([estimates])
    seeds = scipy.stats.t.ppf(0.975, dof) * sd / np.sqrt(k)
    images = Z * np.sqrt(np.mean([e.se**2 for e in estimates]))
    half = float(np.hypot(seeds, images))
    return Estimate(value, value - half, value + half, n)


# --- Scaling fit --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """value = floor + scale * x ** -exponent; `residuals` are log ratios, measured over fitted."""

    exponent: Estimate
    log_scale: float
    floor: float
    residuals: tuple[float, ...]
    covariance: np.ndarray  # of (log_scale, -exponent)
    quantile: float

    def __call__(self, x: float) -> Estimate:
        """The fitted value at x, with the interval of the curve (not of a new measurement)."""
        row = np.array([1.0, np.log(x)])
        log = self.log_scale - self.exponent.value * row[1]
        half = self.quantile * np.sqrt(row @ self.covariance @ row)
        ends = self.floor + np.exp([log, log - half, log + half])
        return Estimate(*map(float, ends), self.exponent.n)


def power_law(x: Sequence[float], estimates: Sequence[Estimate], *, floor: float = 0) -> PowerLaw:
    """Least squares in logarithms, weighted by the intervals; `floor` is given, not fitted.

    Where the points miss the line by more than their intervals allow, the intervals of the fit
    widen by that factor (the root of chi squared a degree of freedom), with Student's quantile.
    `exponent.n` is the number of points.
    """
    x, y = np.asarray(x, float), np.array([e.value for e in estimates]) - floor
    se = np.array([e.se for e in estimates])
    if len(x) != len(y) or len(x) < 3 or len(set(x)) < 2 or min(x) <= 0 or min(y) <= 0:
        raise ValueError(
            f"power_law got x = {x.tolist()} and values above the floor {y.tolist()}, expected 3 "
            "or more points, all positive; leave out points at the floor or lower it."
        )
    if min(se) <= 0:
        raise ValueError("power_law got an estimate whose interval has no width; give intervals.")
    design = np.stack([np.ones(len(x)), np.log(x)], axis=1)
    weight = (y / se)[:, None]  # 1 / standard error of log y
    covariance = np.linalg.inv((design * weight).T @ (design * weight))
    log_scale, slope = covariance @ (design * weight).T @ (np.log(y) * weight[:, 0])
    residuals = np.log(y) - design @ [log_scale, slope]
    dof = len(x) - 2
    covariance *= max(1, np.sum((residuals * weight[:, 0]) ** 2) / dof)
    quantile = scipy.stats.t.ppf(0.975, dof)
    half = quantile * np.sqrt(covariance[1, 1])
    return PowerLaw(
        exponent=Estimate(float(-slope), float(-slope - half), float(-slope + half), len(x)),
        log_scale=float(log_scale),
        floor=floor,
        residuals=tuple(residuals.tolist()),
        covariance=covariance,
        quantile=float(quantile),
    )


# --- Optimum ------------------------------------------------------------------------------------


class Optimum(NamedTuple):
    """The setting of the lowest value, and those that cannot be told from it (it among them)."""

    setting: Hashable
    estimate: Estimate
    ties: tuple


def optimum(
    settings: Sequence[Hashable],
    estimates: Sequence[Estimate],
    difference: Callable[[int, int], Estimate] | None = None,
) -> Optimum:
    """For instance over guidance values: which is best, and which might be as good?

    A setting ties with the best one if the 95 % interval of their difference holds 0: of
    `difference(i, best)` if given (a paired one is sharper), else from the two intervals as if they
    were independent.
    """
    if not settings or len(settings) != len(estimates):
        raise ValueError(
            f"optimum got {len(settings)} settings and {len(estimates)} estimates, expected as "
            "many of both, at least one."
        )
    best = int(np.argmin([e.value for e in estimates]))

    def worse(i: int) -> bool:
        if difference is not None:
            return difference(i, best).lo > 0
        gap = estimates[i].value - estimates[best].value
        return Estimate.of(gap, np.hypot(estimates[i].se, estimates[best].se), 0).lo > 0

    ties = tuple(s for i, s in enumerate(settings) if i == best or not worse(i))
    return Optimum(settings[best], estimates[best], ties)
