"""An estimate is a number with its 95 % interval; a measured one remembers how each image moved it."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np

Z = 1.959963984540054  # the normal distribution's quantile at 0.975: every interval covers 95 %


class Estimate(NamedTuple):
    """A number, the ends of its 95 % interval, and the count of images behind it."""

    value: float
    lo: float
    hi: float
    n: int

    def __format__(self, form: str) -> str:
        """Return `value [lo, hi]`, each in this form: f"{estimate:+.1%}" is `+5.0% [+2.0%, +8.0%]`.

        What rounding leaves of a nought, a billionth of the interval or less, is written as nought.
        """
        wide = self.hi - self.lo
        least = 1e-9 * wide if math.isfinite(wide) else 0.0
        value, lo, hi = (0.0 if abs(x) < least else x for x in (self.value, self.lo, self.hi))
        return f"{value:{form}} [{lo:{form}}, {hi:{form}}]"

    @property
    def se(self) -> float:
        """Standard error: half the interval's width over 1.96."""
        return (self.hi - self.lo) / (2 * Z)

    @classmethod
    def of(cls, value: float, se: float, n: int) -> Self:
        """Return the value plus and minus 1.96 standard errors."""
        return cls(float(value), float(value - Z * se), float(value + Z * se), int(n))

    @classmethod
    def of_few(cls, values: np.ndarray) -> Self:
        """Return the mean of two values or more with Student's interval, as of trainings or subjects."""
        from scipy.special import stdtrit  # where a browser asks rows (`ldm.figures.ask`) there is no scipy

        half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
        return cls(float(values.mean()), float(values.mean() - half), float(values.mean() + half), len(values))


class Measured(Estimate):
    """An estimate with the influences that its interval comes from, so that differences can be paired.

    `influences` holds one array for each independent sample: of the n generated images, (n,), and of the m
    reference images, (m,), where these are a sample too. Each is float64 and of mean 0.
    """

    influences: tuple[np.ndarray, ...]

    @classmethod
    def by(cls, value: float, *influences: np.ndarray) -> Measured:
        """Estimate by the infinitesimal jackknife: the variance of each sample's influences over its size, summed."""
        errors = [float(part.std(ddof=1) / np.sqrt(len(part))) for part in influences]
        # One error is left alone: the root of its square may differ in the last bit.
        se = errors[0] if len(errors) == 1 else np.sqrt(sum(error**2 for error in errors))
        return cls.of(value, se, len(influences[0])).remembering(influences)

    def remembering(self, influences: tuple[np.ndarray, ...]) -> Measured:
        """Return the estimate itself, with these influences kept in it."""
        self.influences = influences
        return self

    def times(self, factor: float) -> Measured:
        """Return the estimate in another unit: KID is printed x1000. `factor` is positive."""
        scaled = Measured(factor * self.value, factor * self.lo, factor * self.hi, self.n)
        return scaled.remembering(tuple(factor * part for part in self.influences))


def difference(a: Measured, b: Measured) -> Measured:
    """Return a minus b, image i of both made from the same caption and noise, and judged by the same reference.

    Where pictures or bias go together they cancel, so a difference is sharper than two levels. Influences
    that have nothing to do with each other cost nothing: their variances add up, as they should.
    Raises: ValueError where the two were not measured on as many images.
    """
    sizes = [tuple(len(part) for part in x.influences) for x in (a, b)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"scores of {sizes[0]} and {sizes[1]} images; a paired difference needs as many of each.")
    return Measured.by(a.value - b.value, *(p - q for p, q in zip(a.influences, b.influences, strict=True)))
