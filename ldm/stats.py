"""From estimates to statements: bootstrap, seeds, scaling fits, frontiers, crossovers, optima.

Everything takes and returns `ldm.metrics.Estimate`s, lower is better throughout (negate scores of
the other kind), and whatever is random takes a seed. Where a question has no closed answer ("which
size is best at this budget?") it is asked of many worlds drawn from the intervals, each estimate a
normal with its own standard error, independently of the others (a parametric bootstrap). Scores
made from the same captions and noise move together, so these worlds differ more than real repeats
would, and the chances given err towards doubt.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

from ldm.metrics import Estimate, Z

WORLDS = 4000  # draws of the parametric bootstrap: chances to about .01


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


# --- Frontier -----------------------------------------------------------------------------------


def frontier(
    rows: pd.DataFrame, budgets: Sequence[float] | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """The best setting within each budget, and the chance that its size is truly the best one.

    rows: columns `size`, `cost`, `value`, `lo`, `hi`, and any that describe the setting (`steps`,
    `guidance`, ...). Result: for each budget (by default every cost at which something becomes
    affordable) the row of the lowest value among those that cost no more, with `budget`, `chance`
    (the share of worlds in which a setting of that size is lowest) and `chances` (a dict of every
    affordable size). A size with more settings has more tries: give all sizes the same grid.
    """
    rows = _checked(rows)
    budgets = np.unique(rows["cost"]) if budgets is None else np.sort(budgets)
    if budgets[0] < rows["cost"].min():
        raise ValueError(
            f"budget {budgets[0]:g} buys nothing, the cheapest setting costs "
            f"{rows['cost'].min():g}; raise the budget."
        )
    sizes, best = _best_within(rows, budgets, seed)
    winners = best.argmin(0)  # (budgets, worlds)
    found = []
    for budget, winner in zip(budgets, winners, strict=True):
        affordable = rows[rows["cost"] <= budget]
        row = affordable.loc[affordable["value"].idxmin()].to_dict()
        names = set(affordable["size"])
        chances = {s: float((winner == i).mean()) for i, s in enumerate(sizes) if s in names}
        found.append({"budget": budget, **row, "chance": chances[row["size"]], "chances": chances})
    return pd.DataFrame(found)


class Crossover(NamedTuple):
    """The budget from which on `large` is at least as good as `small`, with a 95 % interval.

    `chance` is the share of worlds in which it happens within the budgets measured; value and ends
    may be infinite, where it does not.
    """

    small: Hashable
    large: Hashable
    budget: float
    lo: float
    hi: float
    chance: float


def crossover(
    rows: pd.DataFrame, small: Hashable, large: Hashable, *, seed: int = 0
) -> Crossover:
    """Where, on the costs of `rows` (as in `frontier`), `large` overtakes `small` for good."""
    rows = _checked(rows)
    for size in (small, large):
        if size not in set(rows["size"]):
            raise ValueError(f"no row has size {size}, expected one of {sorted(set(rows['size']))}")
    rows = rows[rows["size"].isin([small, large])]
    budgets = np.unique(rows["cost"])

    def overtaken(best: np.ndarray, sizes: list) -> np.ndarray:
        ahead = best[sizes.index(large)] <= best[sizes.index(small)]  # (budgets, worlds)
        for_good = np.logical_and.accumulate(ahead[::-1], axis=0)[::-1]
        return np.where(for_good.any(0), budgets[for_good.argmax(0)], np.inf)

    sizes, best = _best_within(rows, budgets, seed)
    worlds = overtaken(best, sizes)
    measured = overtaken(_best_within(rows, budgets, None)[1], sizes)[0]
    lo, hi = np.quantile(worlds, [0.025, 0.975], method="nearest")
    chance = float(np.isfinite(worlds).mean())
    return Crossover(small, large, float(measured), float(lo), float(hi), chance)


def _best_within(
    rows: pd.DataFrame, budgets: np.ndarray, seed: int | None
) -> tuple[list, np.ndarray]:
    """Sizes, and (size, budget, world) the lowest affordable value; seed None: as measured."""
    value = rows["value"].to_numpy(float)
    if seed is None:
        worlds = value[:, None]
    else:
        se = (rows["hi"] - rows["lo"]).to_numpy(float) / (2 * Z)
        noise = np.random.default_rng(seed).normal(size=(len(rows), WORLDS))
        worlds = value[:, None] + se[:, None] * noise
    sizes = list(dict.fromkeys(rows["size"]))
    best = np.full((len(sizes), len(budgets), worlds.shape[1]), np.inf)
    for i, size in enumerate(sizes):
        for j, budget in enumerate(budgets):
            inside = ((rows["size"] == size) & (rows["cost"] <= budget)).to_numpy()
            if inside.any():
                best[i, j] = worlds[inside].min(0)
    return sizes, best


def _checked(rows: pd.DataFrame) -> pd.DataFrame:
    missing = {"size", "cost", "value", "lo", "hi"} - set(rows.columns)
    if missing or rows.empty:
        raise ValueError(
            f"rows are {len(rows)} without the columns {sorted(missing)}, expected at least one "
            "row with size, cost, value, lo and hi."
        )
    return rows.reset_index(drop=True)


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
