"""Are the intervals honest? Scores of samples whose truth is known, drawn again and again.

An interval of 95 % is right if it holds the truth 95 times in 100 in new samples. Features are normal here, so
that the true Frechet and kernel distances are known in closed form. Where a score has no truth but that of
its sample size (a Frechet distance at n images, an Inception Score), the intervals are to hold its mean over
all samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ldm import metrics
from ldm.metrics import Estimate, Gaussian, Sample, difference, mean

BANDWIDTH = 4.0  # of the Gaussian kernel


@dataclass(frozen=True, kw_only=True)
class World:
    """A generator N(shift, scale^2 S) of d features and real images N(0, S), n and m of them a sample."""

    d: int = 8
    n: int = 300
    m: int = 300
    shift: float = 0.4
    scale: float = 1.1

    @property
    def root(self) -> np.ndarray:
        """(d, d), its product with its transpose is S: a few strong directions, as features have."""
        mix = np.random.default_rng(self.d).normal(size=(self.d, self.d)) / np.sqrt(self.d)
        return mix + 0.5 * np.eye(self.d)

    @property
    def gaussians(self) -> tuple[Gaussian, Gaussian]:
        """The true moments of generator and real images; n plays no part."""
        s = self.root @ self.root.T
        generated = Gaussian(n=self.n, mean=np.full(self.d, self.shift), covariance=self.scale**2 * s)
        return generated, Gaussian(n=self.m, mean=np.zeros(self.d), covariance=s)

    def sample(self, rng: np.random.Generator) -> dict[str, Estimate]:
        """Every score of one sample of the generator, and of its difference from another one."""
        noise = rng.normal(size=(3, self.n, self.d))[:2] @ self.root.T  # of three: the samples stay what they were
        x = self.shift + self.scale * noise[0]
        other = 0.3 * self.shift + 0.8 * noise[0] + 0.5 * noise[1]  # the same captions, another model
        real = rng.normal(size=(self.m, self.d)) @ self.root.T
        exact, sampled = self.gaussians[1], Sample(features=real)
        scores = {
            "frechet": lambda x: metrics.frechet(x, exact),
            "frechet_inf": lambda x: metrics.frechet_inf(x, exact),
            "kid": lambda x: metrics.kid(x, sampled),
            "mmd": lambda x: metrics.mmd(x, sampled, bandwidth=BANDWIDTH),
            "cmmd": lambda x: metrics.cmmd(x, sampled),
            "mean": lambda x: mean(x[:, 0]),
            "inception_score": lambda x: metrics.inception_score(2 * x),
        }
        found: dict[str, Estimate] = {}
        for name, score in scores.items():
            found[name] = score(x)
            found[f"{name}, difference"] = difference(found[name], score(other))
        return found

    def manifolds(self, rng: np.random.Generator) -> dict[str, Estimate]:
        """Precision, recall, density and coverage of one sample, against real images that stay the same."""
        fixed = np.random.default_rng(0).normal(size=(self.m, self.d)) @ self.root.T
        x = self.shift + self.scale * rng.normal(size=(self.n, self.d)) @ self.root.T
        return dict(metrics.manifold(x, fixed)._asdict())

    @property
    def truths(self) -> dict[str, float]:
        """What is known in closed form."""
        a, b = self.gaussians
        distance = metrics.frechet_between(a, b)
        return {
            "frechet_inf": distance,
            "kid": _true_mmd(_cubic, a, b),
            "mmd": _true_mmd(_rbf, a, b),
            "mean": self.shift,
        }


Trial = Callable[[World, np.random.Generator], dict[str, Estimate]]


def coverage(world: World, trial: Trial = World.sample, *, repeats: int = 500, seed: int = 0) -> pd.DataFrame:
    """One row a score: truth, the share of intervals that hold it with its own interval, and se / sd.

    `se / sd` is the mean standard error over the true one; half the interval over 1.96 counts as the former.
    """
    samples = pd.DataFrame([trial(world, np.random.default_rng((seed, i))) for i in range(repeats)])
    known, found = world.truths, []
    for name, estimates in samples.items():
        values = np.array([e.value for e in estimates])
        truth = known.get(name, values.mean())
        share = mean(np.array([e.lo <= truth <= e.hi for e in estimates]))
        found.append(
            {
                "score": name,
                "truth": truth,
                "from": "closed form" if name in known else "its mean at n",
                "covered": share.value,
                "lo": share.lo,
                "hi": share.hi,
                "se / sd": np.mean([e.se for e in estimates]) / values.std(ddof=1),
            }
        )
    return pd.DataFrame(found)


def _true_mmd(kernel: Callable[[Gaussian, Gaussian], float], a: Gaussian, b: Gaussian) -> float:
    return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)


def _cubic(a: Gaussian, b: Gaussian) -> float:
    """Mean of (x . y / d + 1)^3 over independent normal x and y, by the moments of x . y."""
    d = len(a.mean)
    second = [np.outer(g.mean, g.mean) + g.covariance for g in (a, b)]
    third = [
        np.einsum("i,j,k->ijk", g.mean, g.mean, g.mean)
        + np.einsum("i,jk->ijk", g.mean, g.covariance)
        + np.einsum("j,ik->ijk", g.mean, g.covariance)
        + np.einsum("k,ij->ijk", g.mean, g.covariance)
        for g in (a, b)
    ]
    moments = 1, a.mean @ b.mean / d, (second[0] * second[1]).sum() / d**2, (third[0] * third[1]).sum() / d**3
    return float(np.dot([1, 3, 3, 1], moments))


def _rbf(a: Gaussian, b: Gaussian) -> float:
    """Mean of the Gaussian kernel: x - y is normal, and the integral of two Gaussians is one."""
    gap, spread = a.mean - b.mean, a.covariance + b.covariance + BANDWIDTH**2 * np.eye(len(a.mean))
    scale = np.linalg.det(spread / BANDWIDTH**2) ** -0.5
    return float(scale * np.exp(-gap @ np.linalg.solve(spread, gap) / 2))
