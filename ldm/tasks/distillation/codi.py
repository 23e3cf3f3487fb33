"""CoDi, conditional diffusion distillation, for captions (Mei et al. 2023, arXiv:2310.01407).

CoDi is published for conditions that are pictures. There, z_s is reached by the student's own estimate, the
loss is a distance of noise estimates, and a second term holds the student to the picture itself, which the
condition all but determines. A caption leaves the picture open, and what its authors did with captions is
not published. We chose:

- The frozen teacher makes the step from z_t to z_s (consistency distillation, which the paper names beside
  CoDi). With the student's own step nothing but the second term would tie it to the teacher's flow.
- The distance of noise is taken in v, as the network is parametrised: at one z_t, ``|v - v'|^2`` is
  ``|x0 - x0'|^2 + |eps - eps'|^2``, which keeps its weight where there is hardly any signal.
- z_s lies a segment of the grid below z_t, not one time of a thousand: what is learnt at the clean end has to
  come up to the noisy one, segment by segment, within a short training.
- The second term has a small weight. Its optimum is the mean of all pictures that a caption may mean, so it
  pulls away from the flow's end; how far is known in closed form for Gaussian data, and tested.
- The guidance scale is an input of the student, so that the best one can be chosen afterwards, as section
  3.3.1 of the paper has it.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ldm.diffusion.losses import DeviceBatch
from ldm.diffusion.schedule import Predict, Schedule
from ldm.networks.structure import Params, Structure
from ldm.tasks.distillation.flow import consistency, spread


def codi_loss(
    student: Structure,
    teacher: Structure,
    schedule: Schedule,
    predict: Predict = "v",
    *,
    null: Float[Array, "m d"],
    scales: tuple[float, float],
    segments: int,
    data: float = 0.1,
):
    """Return the loss of consistency in v, plus `data` times the squared distance of the estimated x0 from the latents.

    Args:
        student, teacher: structures; the student takes the guidance scale as an input.
        null: the empty caption's context (m, d); scales: guidance is drawn uniformly between them.
        segments: steps of the teacher from noise to picture, each of which the student learns to skip.

    Returns:
        loss(params, batch, key, teacher params, averaged params): "latents" (b, h, w, 4), "context" (b, m, d).
        Terms: "consistency", "data", and "spread" (`flow.spread`).

    Raises: ValueError as `flow.level_grid`.
    """
    pair = consistency(student, teacher, schedule, predict, null=null, segments=segments, scales=scales)

    def loss(params: Params, batch: DeviceBatch, key: Array, taught: Params, averaged: Params):
        at, x0, target = pair(params, batch, key, taught, averaged)
        terms = {
            "consistency": jnp.mean(jnp.square((x0 - target) / at.sigma)),
            "data": jnp.mean(jnp.square(x0 - batch["latents"])),
            "spread": spread(x0, batch["latents"]),
        }
        return terms["consistency"] + data * terms["data"], terms

    return loss
