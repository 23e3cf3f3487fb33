"""Distances and scores: functions of feature arrays to an Estimate, with a 95 % interval.

Every score here is a smooth function of sample means, so each image has an *influence* on it: the
derivative of the score as that image gains weight (Hampel 1974). The infinitesimal jackknife
(Jaeckel 1972; Efron 1982) reads the interval off the n influences, with no resampling:

    variance of the score   =  variance of the influences / n
    variance of a difference of two scores on the same captions and noise
                            =  variance of the differences of influences / n

A bootstrap would not do: it repeats images, which lowers the effective n and so inflates a Frechet
distance, whose bias is of order 1/n.

An interval says what other images *from the same generator, as many of them*, would give. It does
not contain the spread over training seeds, nor, for a Frechet distance, its bias: compare Frechet
distances only at equal n. `kid` and `frechet_inf` have no such bias, or less.

The numbers are called FD-<network> and KID-<network>: "FID" is Inception's pool3 and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.linalg import eigh
from scipy.stats import norm

Z = float(norm.ppf(0.975))  # 1.96: every interval covers 95 %


class Estimate(NamedTuple):
    """A number, the ends of its 95 % interval, and the count of images behind it."""

    value: float
    lo: float
    hi: float
    n: int

    @property
    def se(self) -> float:
        """Standard error: half the interval's width over 1.96."""
        return (self.hi - self.lo) / (2 * Z)

    @classmethod
    def of(cls, value: float, se: float, n: int) -> Estimate:
        """Value plus and minus 1.96 standard errors."""
        return cls(float(value), float(value - Z * se), float(value + Z * se), int(n))


def features_of(
    images: Iterable[np.ndarray],
    network: Callable[[np.ndarray], np.ndarray],
    *,
    progress: str = "",
) -> np.ndarray:
    """Features (n, d) of a stream of uint8 images, single (H, W, 3) or in batches (b, H, W, 3).

    Images are consumed as they come, so as many can be scored as can be made; a non-empty
    `progress` labels a progress bar.
    """
    if progress:
        from tqdm.auto import tqdm

        images = tqdm(images, desc=progress)
    parts = [network(image if image.ndim == 4 else image[None]) for image in images]
    if not parts:
        raise ValueError("features_of got no images; give it at least one.")
    return np.concatenate(parts)


# --- Frechet distance ---------------------------------------------------------------------------


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
        """From features (n, d), n >= 2."""
        x = _checked(features)
        return cls(n=len(x), mean=x.mean(0), covariance=np.atleast_2d(np.cov(x, rowvar=False)))

    @classmethod
    def stream(cls, parts: Iterable[np.ndarray]) -> Gaussian:
        """From an iterable of features (b, d), b >= 2 each."""
        total = None
        for part in parts:
            total = cls.of(part) if total is None else total + cls.of(part)
        if total is None:
            raise ValueError("Gaussian.stream got no features; give it at least one array (b, d).")
        return total

    def __add__(self, other: Gaussian) -> Gaussian:
        n, gap = self.n + other.n, other.mean - self.mean
        scatter = (self.n - 1) * self.covariance + (other.n - 1) * other.covariance
        scatter += np.outer(gap, gap) * (self.n * other.n / n)
        return Gaussian(
            n=n, mean=self.mean + gap * (other.n / n), covariance=scatter / (n - 1)
        )

    @cached_property
    def _eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues, largest first and none negative, and their vectors in columns."""
        values, vectors = eigh(self.covariance)
        return np.maximum(values[::-1], 0), vectors[:, ::-1]

    @cached_property
    def factor(self) -> np.ndarray:
        """A (d, d) with A A^T = covariance, by a symmetric eigendecomposition."""
        values, vectors = self._eigen
        return vectors * np.sqrt(values)

    def principal(self, components: int) -> np.ndarray:
        """The first principal directions (d, components), orthonormal."""
        if not 1 <= components <= len(self.mean):
            raise ValueError(
                f"components is {components}, expected 1 to {len(self.mean)}, the features' width."
            )
        return self._eigen[1][:, :components]

    def project(self, basis: np.ndarray) -> Gaussian:
        """The statistics of features @ basis."""
        return Gaussian(
            n=self.n, mean=self.mean @ basis, covariance=basis.T @ self.covariance @ basis
        )

    def save(self, path: str | Path) -> None:
        """Safetensors, of the covariance only the upper triangle: 6.6 MB for d = 1280."""
        upper = self.covariance[np.triu_indices(len(self.mean))]
        tensors = {"mean": self.mean, "covariance_upper": upper}
        save_file(tensors, path, metadata={"n": str(self.n)})

    @classmethod
    def load(cls, path: str | Path) -> Gaussian:
        """What `save` wrote."""
        with safe_open(path, framework="numpy") as file:
            mean, upper = file.get_tensor("mean"), file.get_tensor("covariance_upper")
            n = int(file.metadata()["n"])
        covariance = np.empty((len(mean), len(mean)))
        rows, columns = np.triu_indices(len(mean))
        covariance[rows, columns] = covariance[columns, rows] = upper
        return cls(n=n, mean=mean, covariance=covariance)


def frechet(fake: np.ndarray, real: Gaussian, *, components: int | None = None) -> Estimate:
    """Frechet distance of features (n, d) to the reference (Heusel et al. 2017, eq. 6).

        FD = |m - m_r|^2 + tr S + tr S_r - 2 tr (S S_r)^(1/2)

    Not below 0; 0 only for equal Gaussians. Biased upwards by about 1/n, and the bias depends on
    the generator: compare at equal n, and where n is not several times the dimension d (it is
    1280 for EfficientNet) prefer `components`, the distance within the reference's first principal
    directions (name it in the protocol), or `kid`. The reference counts as exact.
    """
    return frechet_influence(fake, real, components=components)[0]


def frechet_influence(
    fake: np.ndarray, real: Gaussian, *, components: int | None = None
) -> tuple[Estimate, np.ndarray]:
    """`frechet`, and the influence of each image on it (n,), of mean 0."""
    value, influence = _frechet(*_projected(_checked(fake), real, components))
    return Estimate.of(value, _standard_error(influence), len(fake)), influence


def frechet_difference(
    fake_a: np.ndarray, fake_b: np.ndarray, real: Gaussian, *, components: int | None = None
) -> Estimate:
    """FD of a minus FD of b; row i of both comes from the same caption and noise.

    Negative: a is better. Where bias is the same for both, it cancels.
    """
    a, b = _checked_pair(fake_a, fake_b)
    value_a, influence_a = _frechet(*_projected(a, real, components))
    value_b, influence_b = _frechet(*_projected(b, real, components))
    return Estimate.of(value_a - value_b, _standard_error(influence_a - influence_b), len(a))


def frechet_inf(
    fake: np.ndarray,
    real: Gaussian,
    *,
    components: int | None = None,
    parts: tuple[int, ...] = (1, 2, 4),
    seed: int = 0,
) -> Estimate:
    """The Frechet distance that infinitely many images would give (Chong & Forsyth 2020).

    The distance is averaged over 1, 2 and 4 disjoint parts of the sample, and a straight line
    through the three against 1/n is read at 1/n = 0. That the bias is a line in 1/n needs parts of
    several times the dimension: use `components`. May be negative, as an unbiased score must.
    """
    x, real = _projected(_checked(fake), real, components)
    smallest = len(x) // max(parts)
    if len(set(parts)) < 2 or min(parts) < 1 or smallest < 2:
        raise ValueError(
            f"parts is {parts} for {len(x)} images, expected two or more different counts that "
            "leave at least 2 images a part; give fewer parts or more images."
        )
    order = np.random.default_rng(seed).permutation(len(x))
    values, influences = [], np.empty((len(parts), len(x)))
    for level, count in enumerate(parts):
        blocks = np.array_split(order, count)
        scores = [_frechet(x[block], real) for block in blocks]
        values.append(np.mean([value for value, _ in scores]))
        for block, (_, influence) in zip(blocks, scores, strict=True):
            influences[level, block] = influence * (len(x) / (count * len(block)))
    # Least squares of value = a + b / n is linear in the values: a = weights @ values.
    line = np.stack([np.ones(len(parts)), np.array(parts) / len(x)], axis=1)
    weights = np.linalg.pinv(line)[0]
    return Estimate.of(weights @ values, _standard_error(weights @ influences), len(x))


def _frechet(x: np.ndarray, real: Gaussian) -> tuple[float, np.ndarray]:
    """The distance and each image's influence on it, n of them with mean 0.

    With d = m - m_r, y = x - m and T the optimal map from N(0, S) to N(0, S_r), the gradient is
    2 d by the mean and I - T by the covariance (Dowson & Landau 1982; T S T = S_r), so

        influence(x) = 2 d . y + n / (n - 1) y' (I - T) y - its mean.

    T itself is never formed. With A A' = S_r, Z = Y A / sqrt(n - 1) = U s V' (singular values),
    tr (S S_r)^(1/2) is the sum of s, and y_i' T y_i = (n - 1) sum_k U_ik^2 s_k. Only the smaller
    of Z Z' (n, n) and Z' Z (d, d) is decomposed. A sample smaller than d has a singular S; the
    formula stays exact, as images move the estimate only within their own span.
    """
    n, d = x.shape
    gap = x.mean(0) - real.mean
    y = x - x.mean(0)
    z = y @ real.factor / np.sqrt(n - 1)
    if n <= d:
        squares, u = eigh(z @ z.T)
        s = np.sqrt(np.maximum(squares, 0))
        transport = np.square(u) @ s
    else:
        squares, v = eigh(z.T @ z)
        s = np.sqrt(np.maximum(squares, 0))
        # U s = Z V, so U^2 s = (Z V)^2 / s; a direction with s = 0 moves nothing.
        inverse = np.divide(1, s, out=np.zeros_like(s), where=s > s.max() * 1e-7)
        transport = np.square(z @ v) @ inverse
    lengths = np.square(y).sum(1)
    value = gap @ gap + lengths.sum() / (n - 1) + np.trace(real.covariance) - 2 * s.sum()
    influence = 2 * (y @ gap) + n * (lengths / (n - 1) - transport)
    return float(value), influence - influence.mean()


def _projected(
    x: np.ndarray, real: Gaussian, components: int | None
) -> tuple[np.ndarray, Gaussian]:
    if x.shape[1] != len(real.mean):
        raise ValueError(
            f"the features are {x.shape[1]}-d and the reference {len(real.mean)}-d; "
            "use a reference made by the same network."
        )
    if components is None:
        return x, real
    basis = real.principal(components)
    return x @ basis, real.project(basis)


# --- Kernel distance ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Reference features (m, d) for `kid`; what depends on them alone is computed once."""

    features: np.ndarray

    @cached_property
    def within(self) -> np.ndarray:
        """Mean kernel of each reference image with all others, (m,)."""
        return _mean_with_others(_checked(self.features))


def kid(fake: np.ndarray, real: Sample) -> Estimate:
    """Kernel distance of features (n, d) to a reference sample (Binkowski et al. 2018, eq. 4).

    The unbiased squared maximum mean discrepancy under k(x, y) = (x . y / d + 1)^3, over all pairs
    and not over random subsets:

        KID = mean_(i != j) k(x_i, x_j) + mean_(i != j) k(y_i, y_j) - 2 mean_ij k(x_i, y_j)

    Unbiased for every n, so it may be negative. Times 1000 by custom, but not here. The interval
    counts the sampling of the reference too. 2,000 reference images are plenty; 20,000 take a
    hundred times as long.
    """
    return kid_influence(fake, real)[0]


def kid_influence(fake: np.ndarray, real: Sample) -> tuple[Estimate, np.ndarray]:
    """`kid`, and the influence of each generated image on it (n,), of mean 0.

    Kept, the influences of two settings on the same captions and noise give the interval of their
    difference without the features (`kid_difference` less the reference's own share).
    """
    value, of_fake, of_real = _kid(_checked(fake), real)
    variance = _standard_error(of_fake) ** 2 + _standard_error(of_real) ** 2
    return Estimate.of(value, np.sqrt(variance), len(fake)), of_fake


def kid_difference(fake_a: np.ndarray, fake_b: np.ndarray, real: Sample) -> Estimate:
    """KID of a minus KID of b; row i of both comes from the same caption and noise."""
    a, b = _checked_pair(fake_a, fake_b)
    value_a, fake_a, real_a = _kid(a, real)
    value_b, fake_b, real_b = _kid(b, real)
    variance = _standard_error(fake_a - fake_b) ** 2 + _standard_error(real_a - real_b) ** 2
    return Estimate.of(value_a - value_b, np.sqrt(variance), len(a))


def kid_subsets(
    fake: np.ndarray, real: Sample, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> Estimate:
    """The published form of KID: the mean over random subsets, for comparison with other tools.

    Its ends are the mean plus and minus 1.96 times the subsets' standard deviation, as other tools
    print it: the scatter of *one subset*, no interval of the mean. `n` is the subset's size.
    """
    x, y = _checked(fake), _checked(real.features)
    if not 2 <= size <= min(len(x), len(y)) or subsets < 2:
        raise ValueError(
            f"subsets is {subsets} and size {size}, expected 2 or more subsets of 2 to "
            f"{min(len(x), len(y))} images, as many as both samples have."
        )
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        a, b = (s[rng.choice(len(s), size, replace=False)] for s in (x, y))
        values.append(_kid(a, Sample(features=b))[0])
    return Estimate.of(np.mean(values), np.std(values, ddof=1), size)


def _kid(x: np.ndarray, real: Sample) -> tuple[float, np.ndarray, np.ndarray]:
    """The distance, and the influences of the fake (n,) and of the reference images (m,).

    The influence of a U-statistic's member is twice its mean kernel with the others (Hoeffding's
    first projection), less the mean.
    """
    if x.shape[1] != real.features.shape[1]:
        raise ValueError(
            f"the features are {x.shape[1]}-d and the reference {real.features.shape[1]}-d; "
            "use a reference made by the same network."
        )
    cross = _kernel(x, np.asarray(real.features, np.float64))
    within = _mean_with_others(x)
    of_fake = 2 * (within - cross.mean(1))
    of_real = 2 * (real.within - cross.mean(0))
    value = within.mean() + real.within.mean() - 2 * cross.mean()
    return float(value), of_fake - of_fake.mean(), of_real - of_real.mean()


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    inner = x @ y.T / x.shape[1] + 1
    return inner * inner * inner  # numpy's ** 3 is 50 times slower


def _mean_with_others(x: np.ndarray) -> np.ndarray:
    kernel = _kernel(x, x)
    return (kernel.sum(1) - kernel.diagonal()) / (len(x) - 1)


# --- Means and proportions ----------------------------------------------------------------------


def mean(values: np.ndarray) -> Estimate:
    """Mean of n scores (n,). Of booleans: the share that is true, with Wilson's (1927) interval."""
    x = _checked_scores(values)
    n, centre = len(x), x.mean()
    if np.asarray(values).dtype != bool:
        return Estimate.of(centre, _standard_error(x), n)
    middle = (centre + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(centre * (1 - centre) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    lo, hi = min(middle - half, centre), max(middle + half, centre)  # at 0 and 1 they are equal but for rounding
    return Estimate(float(centre), float(lo), float(hi), n)


def mean_difference(values_a: np.ndarray, values_b: np.ndarray) -> Estimate:
    """Mean of a minus mean of b, entry i of both from the same caption and noise.

    Of booleans: the interval of Bonett & Price (2012), which holds where few pairs differ.
    """
    a, b = _checked_scores(values_a), _checked_scores(values_b)
    if len(a) != len(b):
        raise ValueError(f"got {len(a)} and {len(b)} scores; a paired difference needs as many.")
    n, value = len(a), float((a - b).mean())
    if np.asarray(values_a).dtype != bool or np.asarray(values_b).dtype != bool:
        return Estimate.of(value, _standard_error(a - b), n)
    wins, losses = (np.sum(a > b) + 1) / (n + 2), (np.sum(a < b) + 1) / (n + 2)
    half = Z * np.sqrt((wins + losses - (wins - losses) ** 2) / (n + 2))
    middle = wins - losses
    return Estimate(value, float(middle - half), float(middle + half), n)


def _standard_error(influence: np.ndarray) -> float:
    return float(influence.std(ddof=1) / np.sqrt(len(influence)))


def _checked(features: np.ndarray) -> np.ndarray:
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"features have shape {x.shape}, expected (n, d) with n of 2 or more.")
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(1).sum())
        raise ValueError(f"{bad} of {len(x)} images have features that are not finite; look at "
                         "these images, and do not drop them silently.")
    return x


def _checked_pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = _checked(a), _checked(b)
    if a.shape != b.shape:
        raise ValueError(
            f"features have shapes {a.shape} and {b.shape}; a paired difference needs the same."
        )
    return a, b


def _checked_scores(values: np.ndarray) -> np.ndarray:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"scores have shape {x.shape}, expected (n,) with n of 2 or more, all of them finite."
        )
    return x
