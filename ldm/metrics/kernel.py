"""Kernel distances: the unbiased squared maximum mean discrepancy, with KID's kernel and with CMMD's.

Gretton et al. 2012, eq. 3, of generated x (n, d) and real y (m, d), over all pairs and not over subsets:

    MMD^2 = mean_(i != j) k(x_i, x_j) + mean_(i != j) k(y_i, y_j) - 2 mean_ij k(x_i, y_j)

Unbiased for every n, so it may be negative. It is made of two U-statistics: the influence of a member is
twice its mean kernel with the others (Hoeffding's first projection), and the interval counts the sampling
of the reference too. Where generator and reference are the *same* distribution the projections vanish and
the jackknife sees twice the variance that is left (Efron & Stein 1981), so there the interval is wider than
it need be and covers 96 to 99 % (`benchmarks.calibration`); no trained generator is so good.

2,000 reference images are plenty; the reference's own sum, taken once, grows with their square. Memory does not grow
with either: kernels are summed in blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy

from ldm.metrics.estimate import Estimate, Measured
from ldm.metrics.features import blocks, checked, same_width, unit
from ldm.metrics.stored import Features

BLOCK = 2048  # rows and columns of the kernel matrix held at once: 32 MB
Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]  # features (a, d) and (b, d) to (a, b)


def cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return KID's kernel (x . y / d + 1)^3 (Binkowski et al. 2018, eq. 4)."""
    inner = x @ y.T / x.shape[1] + 1
    return inner * inner * inner  # numpy's ** 3 is 50 times slower


@dataclass(frozen=True)
class Rbf:
    """The Gaussian kernel ``exp(-|x - y|^2 / (2 sigma^2))``."""

    sigma: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma < np.inf:
            raise ValueError(f"bandwidth is {self.sigma}, expected a length in the features' unit, above 0.")

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
        return np.exp(np.maximum(squares, 0) / (-2 * self.sigma**2))


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Reference features (m, d); what depends on them alone is computed once."""

    features: Features
    _within: dict[Kernel, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def checked(self) -> Features:
        return checked(self.features)

    @cached_property
    def unit(self) -> Sample:
        """Return the reference of the same images with their features scaled to length 1."""
        return Sample(features=unit(self.checked))

    def within(self, kernel: Kernel) -> np.ndarray:
        """Return the mean kernel of each reference image with all others, (m,)."""
        if kernel not in self._within:
            self._within[kernel] = _mean_with_others(kernel, self.checked)
        return self._within[kernel]


def kid(fake: Features, real: Sample | Features) -> Measured:
    """Return KID of features (n, d) to a reference sample, or to its features (m, d) (Binkowski et al. 2018).

    Times 1000 by custom, but not here: `kid(...).times(1000)`.
    """
    return _distance(checked(fake), _sample(real), cubic)


def cmmd(fake: Features, real: Sample | Features) -> Measured:
    """Return CMMD of CLIP image features (n, d), times 1000 (Jayasumana et al. 2024, section 4).

    Features are scaled to length 1, sigma is 10. The authors' program keeps the pairs i = j, which adds
    about 1000 (1 - mean kernel) (1 / n + 1 / m); here they are left out, as in their eq. 4. "CMMD" is CLIP
    ViT-L/14 at 336 pixels; with another network name that.
    """
    return _distance(unit(checked(fake)), _sample(real).unit, Rbf(10.0)).times(1000)


def mmd(fake: Features, real: Sample | Features, *, bandwidth: float) -> Measured:
    """Return the squared MMD of features (n, d) under a Gaussian kernel; name the bandwidth in the protocol.

    Small bandwidths see fine differences and need many images; `median_bandwidth` is a usual choice.
    """
    return _distance(checked(fake), _sample(real), Rbf(bandwidth))


def median_bandwidth(real: Sample) -> float:
    """Return the median distance between two of the first thousand reference images.

    Of the *reference*, so that it is the same for every generator: a bandwidth taken from both samples, as
    in two-sample tests (Gretton et al. 2012, section 8), would measure each generator with its own ruler.
    """
    sigma = float(np.median(scipy.spatial.distance.pdist(real.checked[:1000])))
    if sigma == 0:
        raise ValueError("half of the reference's pairs of images have equal features, so there is no bandwidth.")
    return sigma


def kid_subsets(fake: np.ndarray, real: Sample, *, subsets: int = 100, size: int = 1000, seed: int = 0) -> Estimate:
    """Return the published form of KID: the mean over random subsets, for comparison with other tools.

    Its ends are the mean plus and minus 1.96 times the subsets' standard deviation, as other tools
    print it: the scatter of *one subset*, no interval of the mean. `n` is the subset's size.
    """
    x, y = checked(fake), real.checked
    if not 2 <= size <= min(len(x), len(y)) or subsets < 2:
        raise ValueError(
            f"subsets is {subsets} and size {size}, expected 2 or more subsets of 2 to "
            f"{min(len(x), len(y))} images, as many as both samples have."
        )
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        a, b = (s[rng.choice(len(s), size, replace=False)] for s in (x, y))
        values.append(kid(a, Sample(features=b)).value)
    return Estimate.of(float(np.mean(values)), float(np.std(values, ddof=1)), size)


def _sample(real: Sample | Features) -> Sample:
    return real if isinstance(real, Sample) else Sample(features=real)


def _distance(x: Features, real: Sample, kernel: Kernel) -> Measured:
    y = real.checked
    same_width(x, y.shape[1])
    of_x, of_y, total = np.zeros(len(x)), np.zeros(len(y)), 0.0
    for rows in blocks(x, BLOCK):
        for columns in blocks(y, BLOCK):
            block = kernel(x[rows], y[columns])
            of_x[rows] += block.sum(1)
            of_y[columns] += block.sum(0)
            total += block.sum()
    within_x, within_y = _mean_with_others(kernel, x), real.within(kernel)
    value = within_x.mean() + within_y.mean() - 2 * (total / (len(x) * len(y)))
    influences = (2 * (within_x - of_x / len(y)), 2 * (within_y - of_y / len(x)))
    return Measured.by(value, *(part - part.mean() for part in influences))


def _mean_with_others(kernel: Kernel, x: Features) -> np.ndarray:
    """Return the mean kernel of each with all others, (n,); a kernel is symmetric, so each pair is asked once."""
    sums, parts = np.zeros(len(x)), blocks(x, BLOCK)
    for i, rows in enumerate(parts):
        block = kernel(x[rows], x[rows])
        sums[rows] += block.sum(1) - block.diagonal()
        for columns in parts[i + 1 :]:
            block = kernel(x[rows], x[columns])
            sums[rows] += block.sum(1)
            sums[columns] += block.sum(0)
    return sums / (len(x) - 1)
