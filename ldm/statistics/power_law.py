"""A power law fitted to estimates, with the intervals of its exponent and of its curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from ldm.metrics import Estimate


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """value = floor + scale * x ** -exponent; `residuals` are log ratios, measured over fitted."""

    exponent: Estimate
    log_scale: float
    floor: float
    residuals: tuple[float, ...]
    misfit: float  # chi squared a degree of freedom: about 1 where the points miss the curve by chance alone
    scatter: float  # standard deviation of the log ratios beyond what the intervals explain
    covariance: np.ndarray  # of log_scale, exponent and, where it was fitted, floor
    quantile: float

    def __call__(self, x: float) -> Estimate:
        """Return the fitted value at x, with the interval of the curve (not of a new measurement)."""
        falling = np.exp(self.log_scale) * x**-self.exponent.value
        value = self.floor + falling
        slopes = np.array([falling, -falling * np.log(x), 1.0])[: len(self.covariance)] / value
        half = self.quantile * np.sqrt(slopes @ self.covariance @ slopes)
        return Estimate(float(value), float(value * np.exp(-half)), float(value * np.exp(half)), self.exponent.n)


def power_law(x: ArrayLike, estimates: Sequence[Estimate], *, floor: float | None = 0) -> PowerLaw:
    """Fit by least squares in logarithms of the value; a floor of None is fitted, from 0 up.

    Where the points miss the curve by more than their intervals allow, all of them get the same further variance, as
    much as explains it (a random effect, DerSimonian and Laird 1986): a sharp point far off then counts no more than
    others, and the intervals of the fit widen. `exponent.n` is the number of points.
    """
    x, y = np.asarray(x, float), np.array([e.value for e in estimates])
    se = np.array([e.se for e in estimates])
    dof = len(x) - (3 if floor is None else 2)
    above = y - (floor or 0)
    if len(x) != len(y) or dof < 1 or len(set(x)) < 2 or min(x) <= 0 or min(above) <= 0:
        raise ValueError(
            f"power_law got x = {x.tolist()} and values above the floor {above.tolist()}, expected 3 "
            "or more points (4 to fit a floor), all positive; leave out points at the floor or lower it."
        )
    if min(se) <= 0:
        raise ValueError("power_law got an estimate whose interval has no width; give intervals.")

    def law(x: np.ndarray, log_scale: float, exponent: float, level: float = floor or 0) -> np.ndarray:
        return np.log(level + np.exp(log_scale - exponent * np.log(x)))

    start = np.polynomial.Polynomial.fit(np.log(x), np.log(above), 1).convert().coef * np.array([1, -1])
    if floor is None:
        start, bounds = [*start, y.min() / 2], ([-np.inf, -np.inf, 0], [np.inf, np.inf, y.min()])
    else:
        bounds = (-np.inf, np.inf)
    own = se / y

    def fitted(scatter: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        sigma = np.hypot(own, scatter)
        found, covariance = scipy.optimize.curve_fit(
            law, x, np.log(y), start, sigma, absolute_sigma=True, bounds=bounds, method="trf", max_nfev=10_000
        )
        residuals = np.log(y) - law(x, *found)
        return found, covariance, residuals, float(np.sum((residuals / sigma) ** 2) / dof)

    scatter = 0.0
    if fitted(0)[3] > 1:
        most = float(np.log(y).max() - np.log(y).min()) + 1
        scatter = float(scipy.optimize.brentq(lambda s: fitted(s)[3] - 1, 0, most, xtol=1e-4 * most))
    found, covariance, residuals, _ = fitted(scatter)
    if floor is None and found[2] < 1e-6 * y.min():
        return power_law(x, estimates)  # no floor is the best floor
    quantile = float(scipy.special.stdtrit(dof, 0.975))
    half = quantile * np.sqrt(covariance[1, 1])
    return PowerLaw(
        exponent=Estimate(float(found[1]), float(found[1] - half), float(found[1] + half), len(x)),
        log_scale=float(found[0]),
        floor=float(found[2]) if floor is None else floor,
        residuals=tuple(residuals.tolist()),
        misfit=float(np.sum((residuals / own) ** 2) / dof),
        scatter=scatter,
        covariance=covariance,
        quantile=quantile,
    )
