"""Fidelity apart from diversity: precision and recall, density and coverage, by nearest neighbours.

Around each image lies a ball that reaches to its k-th nearest neighbour in its own sample; the union of the
balls stands for the support of the distribution.

    precision   share of generated images inside a real ball      (Kynkaanniemi et al. 2019, eq. 1)
    recall      share of real images inside a generated ball
    density     mean count of real balls around a generated image, over k   (Naeem et al. 2020, eq. 4)
    coverage    share of real balls with a generated image inside           (eq. 5)

One outlier among the real images makes a huge ball, which precision believes in; density and coverage do
not. All four move with n and k: compare at equal both, and name them in the protocol.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy

from ldm.metrics.estimate import Measured
from ldm.metrics.features import checked, same_width
from ldm.metrics.scores import mean
from ldm.metrics.stored import Features

ROWS = 256  # of the distance matrix held at once


class Manifold(NamedTuple):
    """The four scores, each with its interval."""

    precision: Measured
    recall: Measured
    density: Measured
    coverage: Measured


def manifold(fake: Features, real: Features, *, k: int = 5) -> Manifold:
    """Return precision, recall, density and coverage of features (n, d) against reference features (m, d).

    k = 5 is Naeem's, 3 Kynkaanniemi's; n >= k + 2, m >= k + 1. Insideness is strict, so among images that are
    all equal, whose balls have radius 0, every score is 0. The reference counts as exact. Precision and
    density are then means over the generated images. Recall and coverage are not, so their intervals come
    from leaving out each generated image in turn, exactly: it takes its own ball with it, and those whose
    near neighbour it was reach to their next one. That errs towards doubt (Efron & Stein 1981): in
    `benchmarks.calibration` these two hold their mean 96 to 100 times in 100.
    """
    x, y = (checked(features)[:] for features in (fake, real))
    same_width(x, y.shape[1])
    n, m = len(x), len(y)
    if not (k >= 1 and n >= k + 2 and m >= k + 1):
        raise ValueError(f"k is {k} for {n} generated and {m} real images, expected 1 to {min(n - 2, m - 1)}.")
    radius_y = _neighbours(y, k)[1][:, -1]
    near, distances = _neighbours(x, k + 1)
    radius_x, next_radius_x = distances[:, k - 1], distances[:, k]
    # neighbour[i, l] is 1 where i is among the k nearest of l
    neighbour = scipy.sparse.csr_array(
        (np.ones(n * k), (near[:, :k].ravel(), np.repeat(np.arange(n), k))), shape=(n, n)
    )

    around = np.zeros(n)  # real balls around each generated image
    covered = recalled = 0
    uncovered, forgotten = np.zeros(n), np.zeros(n)  # real images lost with each generated one
    for begin in range(0, m, ROWS):
        rows = slice(begin, begin + ROWS)
        apart = _distances(y[rows], x)
        inside = apart < radius_y[rows, None]
        around += inside.sum(0)
        visits = inside.sum(1)
        covered += np.count_nonzero(visits)
        uncovered += inside[visits == 1].sum(0)

        ball = apart < radius_x
        grown = (apart < next_radius_x) & ~ball
        balls = ball.sum(1)
        recalled += np.count_nonzero(balls)
        without = balls[:, None] - ball + (neighbour @ grown.T.astype(float)).T
        forgotten += (balls > 0).sum() - np.count_nonzero(without, axis=0)
    return Manifold(
        precision=mean(around > 0),
        recall=_jackknife(recalled / m, forgotten / m),
        density=mean(around / k),
        coverage=_jackknife(covered / m, uncovered / m),
    )


def _jackknife(value: float, loss: np.ndarray) -> Measured:
    """Return the value with its jackknife; `loss` (n,): how much it falls without each image (Tukey 1958)."""
    return Measured.by(value, (len(loss) - 1) * (loss - loss.mean()))


def _neighbours(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the k nearest others of each image, and how far they are, nearest first; both (n, k)."""
    indices, distances = np.empty((len(x), k), int), np.empty((len(x), k))
    for begin in range(0, len(x), ROWS):
        rows = np.arange(begin, min(begin + ROWS, len(x)))
        apart = _distances(x[rows], x)
        apart[rows - begin, rows] = np.inf  # not itself
        some = np.argpartition(apart, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(apart, some, 1), axis=1)
        indices[rows] = np.take_along_axis(some, order, 1)
        distances[rows] = np.take_along_axis(apart, indices[rows], 1)
    return indices, distances


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    return np.sqrt(np.maximum(squares, 0))
