"""LCM, latent consistency models (Luo et al. 2023, arXiv:2310.04378)."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ldm.diffusion.losses import DeviceBatch
from ldm.diffusion.schedule import Predict, Schedule
from ldm.networks.structure import Params, Structure
from ldm.tasks.distillation.flow import consistency, spread

HUBER = 0.001  # differences far below it count squared, those far above it as they are


def lcm_loss(
    student: Structure,
    teacher: Structure,
    schedule: Schedule,
    predict: Predict = "v",
    *,
    null: Float[Array, "m d"],
    scales: tuple[float, float],
    segments: int,
):
    """Return the loss of consistency in x0 by the pseudo-Huber distance, sqrt(d^2 + HUBER^2) - HUBER of each number.

    The guided teacher skips from place to place by DDIM (section 4.3), and the student takes guidance as an input
    (4.2). The published c_skip and c_out are 0 and 1 to five digits wherever the network is asked, and the clean end
    keeps its x by the grid (`flow.level_grid`): they are left out.

    Arguments, result and errors are those of `codi.codi_loss`; terms: "spread".
    """
    pair = consistency(student, teacher, schedule, predict, null=null, segments=segments, scales=scales)

    def loss(params: Params, batch: DeviceBatch, key: Array, taught: Params, averaged: Params):
        _, x0, target = pair(params, batch, key, taught, averaged)
        value = jnp.mean(jnp.sqrt(jnp.square(x0 - target) + HUBER**2) - HUBER)
        return value, {"spread": spread(x0, batch["latents"])}

    return loss
