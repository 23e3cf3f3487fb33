"""Guided distillation, in two stages (Meng et al. 2023, arXiv:2210.03142).

Guidance becomes an input, then the steps are halved.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ldm.diffusion.losses import DeviceBatch
from ldm.diffusion.schedule import Predict, Schedule
from ldm.networks.structure import Params, Structure
from ldm.tasks.distillation.flow import draw, guided_x0, level_grid, spread, step, student_x0


def guidance_loss(
    student: Structure,
    teacher: Structure,
    schedule: Schedule,
    predict: Predict = "v",
    *,
    null: Float[Array, "m d"],
    scales: tuple[float, float],
):
    """Return the loss of stage 1: one network that takes guidance as an input answers as the guided teacher (eq. 4).

    Arguments, result and errors are those of `codi.codi_loss`; terms: "spread".
    """
    level = level_grid(schedule, predict)

    def loss(params: Params, batch: DeviceBatch, key: Array, taught: Params, averaged: Params):
        latents, context = batch["latents"], batch["context"]
        place, noise, w = draw(key, latents, schedule.length, scales)
        at = level(place, schedule.length)
        x = at.alpha * latents + at.sigma * noise
        target = guided_x0(teacher, taught, x, at, context, null, w)
        x0 = student_x0(student, params, x, at, context, w)
        return jnp.mean(jnp.square((x0 - target) / at.sigma)), {"spread": spread(x0, latents)}

    return loss


def halving_loss(
    student: Structure,
    schedule: Schedule,
    predict: Predict = "v",
    *,
    scales: tuple[float, float],
):
    """Return the loss of stage 2: one DDIM step of the student goes as far as two of its teacher.

    The teacher takes guidance as an input, too.

    The target is the x0 with which one step leads where the two have led; distances are in v, which is the weight
    SNR + 1 (Salimans and Ho 2022, section 3 and algorithm 2).

    Arguments, result and errors are otherwise those of `codi.codi_loss`, and the batch says in "steps", an int32, how
    many steps the student is to make: all halvings share one compilation. Terms: "spread".
    """
    level = level_grid(schedule, predict)

    def loss(params: Params, batch: DeviceBatch, key: Array, taught: Params, averaged: Params):
        latents, context, steps = batch["latents"], batch["context"], batch["steps"]
        place, noise, w = draw(key, latents, steps, scales)
        at, mid, to = (level(2 * place + i, 2 * steps) for i in range(3))
        x = at.alpha * latents + at.sigma * noise
        halfway = step(x, student_x0(student, taught, x, at, context, w), at, mid)
        there = step(halfway, student_x0(student, taught, halfway, mid, context, w), mid, to)
        ratio = to.sigma / at.sigma
        target = (there - ratio * x) / (to.alpha - ratio * at.alpha)
        x0 = student_x0(student, params, x, at, context, w)
        return jnp.mean(jnp.square((x0 - lax.stop_gradient(target)) / at.sigma)), {"spread": spread(x0, latents)}

    return loss
