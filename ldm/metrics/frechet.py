"""Frechet distance: between Gaussians with the features' means and covariances.

``FD = |m - m_r|^2 + tr S + tr S_r - 2 tr (S S_r)^(1/2)`` (Heusel et al. 2017, eq. 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from ldm.metrics.estimate import Measured
from ldm.metrics.features import blocks, checked, same_width
from ldm.metrics.stored import Features


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaussian:
    """Sufficient statistics of features in float64: n, mean (d,), covariance (d, d; n - 1).

    `a + b` are the statistics of both samples together (Chan, Golub & LeVeque 1979), so a stream
    needs no more memory than its largest part.
    """

    n: int
    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Gaussian:
        """Take the statistics of features (n, d), n >= 2."""
        x = checked(features)
        return cls(n=len(x), mean=x.mean(0), covariance=np.atleast_2d(np.cov(x, rowvar=False)))

    @classmethod
    def stream(cls, parts: Iterable[np.ndarray]) -> Gaussian:
        """Take them of an iterable of features (b, d), together n >= 2; needs the memory of two parts and of d x d."""
        total = None
        for part in parts:
            x = checked(part, least=1)
            y = x - x.mean(0)
            new = cls(n=len(x), mean=x.mean(0), covariance=y.T @ y / max(len(x) - 1, 1))
            total = new if total is None else total + new
        if total is None or total.n < 2:
            raise ValueError("Gaussian.stream got no features, or those of one image; give it two or more.")
        return total

    def __add__(self, other: Gaussian) -> Gaussian:
        n, gap = self.n + other.n, other.mean - self.mean
        scatter = (self.n - 1) * self.covariance + (other.n - 1) * other.covariance
        scatter += np.outer(gap, gap) * (self.n * other.n / n)
        return Gaussian(n=n, mean=self.mean + gap * (other.n / n), covariance=scatter / (n - 1))

    @cached_property
    def _eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues, largest first and none negative, and their vectors in columns."""
        values, vectors = scipy.linalg.eigh(self.covariance)
        return np.maximum(values[::-1], 0), vectors[:, ::-1]

    @cached_property
    def factor(self) -> np.ndarray:
        """A (d, d) with A A^T = covariance, by a symmetric eigendecomposition."""
        values, vectors = self._eigen
        return vectors * np.sqrt(values)

    def principal(self, components: int) -> np.ndarray:
        """Return the first principal directions (d, components), orthonormal."""
        if not 1 <= components <= len(self.mean):
            raise ValueError(f"components is {components}, expected 1 to {len(self.mean)}, the features' width.")
        return self._eigen[1][:, :components]

    def project(self, basis: np.ndarray) -> Gaussian:
        """Return the statistics of features @ basis."""
        return Gaussian(n=self.n, mean=self.mean @ basis, covariance=basis.T @ self.covariance @ basis)


def frechet(fake: Features, real: Gaussian | np.ndarray, *, components: int | None = None) -> Measured:
    """Return the Frechet distance of features (n, d) to the reference; not below 0, and 0 only for equal Gaussians.

    real: the Gaussian of the reference's features (`Gaussian.of`), or these features (m, d).

    Biased upwards by about 1/n, and the bias depends on the generator: compare at equal n, and where n is
    not several times the dimension d (it is 1280 for EfficientNet) prefer `components`, the distance within
    the reference's first principal directions (name it in the protocol), or `kid`. The reference counts as
    exact. The interval holds what n images give on average; where the generator *is* the reference its
    influences vanish as a kernel distance's do, and it is wider than need be.
    """
    x, real = _projected(fake, real if isinstance(real, Gaussian) else Gaussian.of(real), components)
    value, influence = _frechet(x, real)
    return Measured.by(max(value, 0.0), influence)


def frechet_between(a: Gaussian, b: Gaussian) -> float:
    """Return the Frechet distance of two Gaussians, a number without an interval, as other tools give it.

    For streams that are too long to keep (`Gaussian.stream`), and four times as fast as by a matrix square
    root (`benchmarks/metrics.py`): with A A' = S_a, the eigenvalues of A' S_b A are those of S_a S_b, and
    A' S_b A is symmetric.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"the Gaussians are {len(a.mean)}-d and {len(b.mean)}-d; a distance needs as many of both.")
    try:
        factor = np.linalg.cholesky(a.covariance)
    except np.linalg.LinAlgError:  # fewer images than dimensions, or a feature that is always 0
        factor = a.factor
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(factor.T @ b.covariance @ factor), 0))
    gap = a.mean - b.mean
    value = float(gap @ gap + np.trace(a.covariance) + np.trace(b.covariance) - 2 * roots.sum())
    return max(value, 0.0)  # by rounding, that of equal ones would be a little less


def frechet_inf(
    fake: Features,
    real: Gaussian,
    *,
    components: int | None = None,
    parts: tuple[int, ...] = (1, 2, 4),
    seed: int = 0,
) -> Measured:
    """Return the Frechet distance that infinitely many images would give (Chong & Forsyth 2020).

    The distance is averaged over 1, 2 and 4 disjoint parts of the sample, and a straight line
    through the three against 1/n is read at 1/n = 0. That the bias is a line in 1/n needs parts of
    several times the dimension: use `components`. May be negative, as an unbiased score must.
    """
    x, real = _projected(fake, real, components)
    smallest = len(x) // max(parts)
    if len(set(parts)) < 2 or min(parts) < 1 or smallest < 2:
        raise ValueError(
            f"parts is {parts} for {len(x)} images, expected two or more different counts that "
            "leave at least 2 images a part; give fewer parts or more images."
        )
    order = np.random.default_rng(seed).permutation(len(x))
    values, influences = [], np.empty((len(parts), len(x)))
    for level, count in enumerate(parts):
        groups = np.array_split(order, count)
        if not isinstance(x, np.ndarray):  # what lies on a disk is read from its beginning to its end
            groups = [np.sort(group) for group in groups]
        scores = [_frechet(x[group], real) for group in groups]
        values.append(np.mean([value for value, _ in scores]))
        for block, (_, influence) in zip(groups, scores, strict=True):
            influences[level, block] = influence * (len(x) / (count * len(block)))
    # Least squares of value = a + b / n is linear in the values: a = weights @ values.
    line = np.stack([np.ones(len(parts)), np.array(parts) / len(x)], axis=1)
    weights = np.linalg.pinv(line)[0]
    return Measured.by(weights @ values, weights @ influences)


def _frechet(x: Features, real: Gaussian) -> tuple[float, np.ndarray]:
    """Return the distance, of equal Gaussians 0 but for rounding, and each image's influence on it.

    There are n influences, with mean 0.

    With d = m - m_r, y = x - m and T the optimal map from N(0, S) to N(0, S_r), the gradient is
    2 d by the mean and I - T by the covariance (Dowson & Landau 1982; T S T = S_r), so

        influence(x) = 2 d . y + n / (n - 1) y' (I - T) y - its mean.

    With A A' = S_r and the eigenvalues s^2 and eigenvectors V of A' S A, tr (S S_r)^(1/2) is the sum of s and
    T = A V s^(-1) V' A'. So y' T y is the squared length of y A V s^(-1/2): two products with the n images,
    one for S and this one. A sample of n <= d has a singular S, and the smaller Z Z' (n, n) with
    Z = Y A / sqrt(n - 1) has the same s: y_i' T y_i = (n - 1) sum_k U_ik^2 s_k with its eigenvectors U. The
    formula stays exact there, as images move the estimate only within their own span.
    """
    n, d = x.shape
    rows = blocks(x)
    own = Gaussian.stream(x[part] for part in rows) if n > d else None
    mean = own.mean if own else x[:].mean(0)
    gap = mean - real.mean
    if own is None:
        z = (x[:] - mean) @ real.factor / np.sqrt(n - 1)
        squares, u = scipy.linalg.eigh(z @ z.T)
        s = np.sqrt(np.maximum(squares, 0))
        transports = [(n - 1) * (np.square(u[part]) @ s) for part in rows]
    else:
        squares, v = scipy.linalg.eigh(real.factor.T @ own.covariance @ real.factor)
        s = np.sqrt(np.maximum(squares, 0))
        # A direction with s = 0 moves nothing.
        inverse = np.divide(1, s, out=np.zeros_like(s), where=s > s.max() * 1e-7)
        moving = real.factor @ (v * np.sqrt(inverse))
        transports = [_squares((x[part] - mean) @ moving) for part in rows]
    lengths = np.concatenate([_squares(x[part] - mean) for part in rows])
    transport = np.concatenate(transports)
    value = gap @ gap + lengths.sum() / (n - 1) + np.trace(real.covariance) - 2 * s.sum()
    influence = 2 * np.concatenate([(x[part] - mean) @ gap for part in rows]) + n / (n - 1) * (lengths - transport)
    return float(value), influence - influence.mean()


def _squares(x: np.ndarray) -> np.ndarray:
    """Return the squared length of each row."""
    return np.einsum("ij,ij->i", x, x)


def _projected(features: Features, real: Gaussian, components: int | None) -> tuple[Features, Gaussian]:
    x = checked(features)
    same_width(x, len(real.mean))
    if components is None:
        return x, real
    basis = real.principal(components)
    return np.concatenate([x[rows] @ basis for rows in blocks(x)]), real.project(basis)
