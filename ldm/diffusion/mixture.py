"""A world of two dimensions in which a denoiser needs no training.

Data are a mixture of Gaussians, a caption names one of them, and the mean of x0 given x is known in closed form.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.nn import softmax
from jaxtyping import Array, Float, Real

from ldm.diffusion.schedule import Schedule

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
