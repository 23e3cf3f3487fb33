"""Rank correlations of Kendall and of Somers, over replicates."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ldm.metrics import Estimate


def _concordance(
    a: Float[np.ndarray, "*replicates n"], b: Float[np.ndarray, "*replicates n"]
) -> Float[np.ndarray, "*replicates"]:
    """Count the pairs that a and b order alike, less those that they order the other way.

    Of a with itself, these are the pairs without a tie.
    """
    i, j = np.triu_indices(a.shape[-1], 1)
    return np.sum(np.sign(a[..., i] - a[..., j]) * np.sign(b[..., i] - b[..., j]), -1)


def kendall(
    a: Float[np.ndarray, "*replicates n"], b: Float[np.ndarray, "*replicates n"]
) -> Float[np.ndarray, "*replicates"]:
    """Return Kendall's tau-b of two lists, for all replicates at once; NaN where one of them is constant."""
    with np.errstate(invalid="ignore"):
        return _concordance(a, b) / np.sqrt(_concordance(a, a) * _concordance(b, b))


def somers(
    x: Float[np.ndarray, "*replicates n"], y: Float[np.ndarray, "*replicates n"]
) -> Float[np.ndarray, "*replicates"]:
    """Return Somers' D of y on x, for all replicates at once: pairs that tie in x do not count.

    NaN where x is constant.
    """
    with np.errstate(invalid="ignore"):
        return _concordance(x, y) / _concordance(x, x)


def somers_lead(
    first: Float[np.ndarray, " m"],
    second: Float[np.ndarray, " m"],
    losses: Float[np.ndarray, " m"],
    drawn: Float[np.ndarray, "m replicates"],
    n: int,
) -> Estimate:
    """Return Somers' D of quality on the first quantity, less that on the second, with the interval of replicates."""

    def lead(losses: Float[np.ndarray, "*replicates m"]) -> Float[np.ndarray, "*replicates"]:
        return somers(-first, losses) - somers(-second, losses)

    value = float(lead(losses))
    lo, hi = np.quantile(lead(drawn.T[:500]), [0.025, 0.975])
    return Estimate(value, float(min(lo, value)), float(max(hi, value)), n)


def rank_correlation(
    a: Float[np.ndarray, " m"],
    b: Float[np.ndarray, " m"],
    drawn_a: Float[np.ndarray, "replicates m"],
    drawn_b: Float[np.ndarray, "replicates m"],
    n: int,
) -> Estimate:
    """Return Kendall's tau-b, with the interval of the replicates; n is what the estimate is said to rest on.

    Noise lowers a rank correlation, and a replicate holds it twice: the replicates say how low the truth may lie, and
    the upper end mirrors that at the value, if no replicate comes up to it. So the interval errs towards doubt on both
    sides.
    """
    value = float(kendall(a, b))
    lo, hi = np.quantile(kendall(drawn_a, drawn_b), [0.025, 0.975])
    return Estimate(value, float(min(lo, value)), float(min(1, max(hi, 2 * value - lo))), n)
