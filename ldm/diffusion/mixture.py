"""Two small worlds in which a denoiser needs no training: the mean of x0 given x is known in closed form.

In the plane, data are a mixture of Gaussians, and a caption names one of them. On the line, they are two points.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.nn import softmax
from jaxtyping import Array, Float, Real

from ldm.diffusion.schedule import Schedule
from ldm.diffusion.solvers import ddim

MEANS = np.array([[1.5, 0.0], [-0.9, 1.2], [-0.9, -1.2]])  # of the three Gaussians; the first is the caption's
SPREAD = 0.55  # their standard deviation


class Mixture(nnx.Module):
    """E[x0 | x] of a mixture of Gaussians; a context of 1 means the first of them alone, of 0 all three."""

    def __init__(self, schedule: Schedule):
        self.alpha, self.sigma = (nnx.Param(jnp.asarray(a, jnp.float32)) for a in (schedule.alpha, schedule.sigma))

    def __call__(self, x: Float[Array, "b 1 1 2"], t: Real[Array, " b"], context: Float[Array, "b 1 1"]) -> Array:
        alpha, sigma = (a[...][t.astype(jnp.int32)][:, None, None] for a in (self.alpha, self.sigma))
        point, means = x[:, 0], jnp.asarray(MEANS, jnp.float32)  # (b, 1, 2), (3, 2)
        variance = (alpha * SPREAD) ** 2 + sigma**2
        likely = -jnp.square(point - alpha * means).sum(-1) / (2 * variance[..., 0])
        only = jnp.where(jnp.arange(len(MEANS)) > 0, -jnp.inf, 0.0)
        share = softmax(jnp.where(context[:, 0] > 0, likely + only, likely), -1)[..., None]
        each = means + alpha * SPREAD**2 / variance * (point - alpha * means)
        return (share * each).sum(1)[:, None, None]


def two_points(x: np.ndarray, alpha: float, sigma: float, upper: float = 0.5) -> np.ndarray:
    """Return E[x0 | x] where x0 is 1 with probability `upper`, within (0, 1), and -1 otherwise.

    By Bayes' rule the odds of the two, given x = alpha x0 + sigma noise, are exp(2 alpha x / sigma^2) times the odds
    beforehand. The mean of -1 and 1 in these odds is a tanh. The answer has the shape of x.
    """
    return np.tanh(alpha * x / sigma**2 + np.log(upper / (1 - upper)) / 2)


def drawn(
    denoise: Callable[[np.ndarray, float, float], np.ndarray | float], steps: int, n: int = 2_000, seed: int = 0
) -> np.ndarray:
    """Return n numbers (n,), drawn by DDIM from noise in so many steps; `denoise(x, alpha, sigma)` guesses x0."""
    table, x = ddim(Schedule.sd(), steps), np.random.default_rng(seed).standard_normal(n)
    for row in range(steps):
        x = table.x[row] * x + table.x0[row] * denoise(x, float(table.alpha[row]), float(table.sigma[row]))
    return x
