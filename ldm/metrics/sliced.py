"""Sliced Wasserstein distance: features along random directions, compared by sorting.

Along a direction u the cheapest way to carry one sample to another is in order, so the squared Wasserstein distance
there is the mean of (x_(i) - y_(i))^2, of sorted projections; of samples of different sizes an integral over ranks.
Its mean over directions compares whole distributions and not their means and covariances alone. On Inception's features
it is the distance that MIND is built on (Berthet et al. 2026, arXiv:2605.06797).
"""

from __future__ import annotations

import numpy as np

from ldm.metrics.estimate import Measured
from ldm.metrics.features import blocks, checked, same_width
from ldm.metrics.stored import Features

TOGETHER = 64  # directions that the samples are projected to at once


def sliced_wasserstein(fake: Features, real: Features, *, directions: int = 512, seed: int = 0) -> Measured:
    """Return the mean squared Wasserstein distance of features (n, d) and (m, d) along random directions, times d.

    Times d, so that of samples that differ by a shift alone it is the shift's squared length, as of a Frechet distance.
    The directions are those of the seed: name both in the protocol. Biased upwards by about 1/n: compare at equal n.

    A direction's distance moves with the weight of an image by the dual potential at its place, which is read off the
    sorted samples; the influences are the potentials' means over the directions. The reference counts as a sample.
    """
    x, y = checked(fake), checked(real)
    same_width(x, y.shape[1])
    if directions < 1:
        raise ValueError(f"directions is {directions}, expected at least 1; 512 is usual.")
    drawn = np.random.default_rng(seed).standard_normal((x.shape[1], directions))
    drawn /= np.linalg.norm(drawn, axis=0)
    total, of_x, of_y = 0.0, np.zeros(len(x)), np.zeros(len(y))
    for begin in range(0, directions, TOGETHER):
        some = drawn[:, begin : begin + TOGETHER]
        along = [np.concatenate([sample[rows] @ some for rows in blocks(sample)]) for sample in (x, y)]
        for a, b in zip(*(one.T for one in along), strict=True):
            value, potential_a, potential_b = _line(a, b)
            total += value
            of_x += potential_a
            of_y += potential_b
    factor = x.shape[1] / directions
    return Measured.by(factor * total, *(factor * (part - part.mean()) for part in (of_x, of_y)))


def _line(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the squared Wasserstein distance of numbers (n,) and (m,), and the dual potential at each of them."""
    order_a, order_b = np.argsort(a), np.argsort(b)
    x, y = a[order_a], b[order_b]
    n, m = len(x), len(y)
    ranks = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)  # in units of 1 / (n m), so that none is rounded
    i, j = ranks[:-1] // m, ranks[:-1] // n
    value = float(np.square(x[i] - y[j]) @ np.diff(ranks)) / (n * m)
    out = []
    for own, other, order in ((x, y, order_a), (y, x, order_b)):
        count, others = len(own), len(other)
        # Between two neighbours the potential rises as the cost to what the rank between them is carried to.
        place = np.arange(1, count) * others
        to = (other[(place - 1) // count] + other[np.minimum(place // count, others - 1)]) / 2
        rise = np.square(own[1:] - to) - np.square(own[:-1] - to)
        potential = np.empty(count)
        potential[order] = np.concatenate([[0.0], np.cumsum(rise)])
        out.append(potential)
    return value, *out
