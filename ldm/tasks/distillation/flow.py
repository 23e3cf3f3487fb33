"""What the methods share: the grid that a teacher walks down, its guided step, and what a loss draws for each image."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ldm.diffusion.denoiser import denoiser, guided
from ldm.diffusion.losses import keys_of_batch
from ldm.diffusion.schedule import Predict, Schedule, check_predict, preconditioning
from ldm.networks.layers import AnyArray
from ldm.networks.structure import Params, Structure, merge


class Level(NamedTuple):
    """Where each image of a batch stands on the grid."""

    t: Float[Array, " b"]
    alpha: Float[Array, "b 1 1 1"]
    sigma: Float[Array, "b 1 1 1"]
    c_skip: Float[Array, "b 1 1 1"]  # x0 = c_skip x + c_out output
    c_out: Float[Array, "b 1 1 1"]

    def x0(self, x: Array, output: Array) -> Array:
        """Return the estimate of x0 that a network's output stands for."""
        return self.c_skip * x + self.c_out * output


def level_grid(schedule: Schedule, predict: Predict) -> Callable[[Int[Array, " b"], Int[Array, ""] | int], Level]:
    """Return (place, n) -> level, on a trailing grid.

    Places 0 ... n - 1 are the n times of the grid, from noise on; place n is clean.

    There alpha = 1 and sigma = 0, so that a network that predicts v, eps or flow gives x itself: the boundary condition
    of consistency models (Song et al. 2023, section 3) holds whatever its weights. n may be traced, so that one
    compilation serves every number of steps.

    Raises: ValueError for x0, with which it would not hold, and for an unknown prediction.
    """
    check_predict(predict, schedule.alpha)
    if predict == "x0":
        raise ValueError(
            "predict = 'x0': expected v, eps or flow, which keep a clean x as it is; distill another network."
        )
    alpha, sigma = np.append(schedule.alpha, 1.0), np.append(schedule.sigma, 0.0)  # the clean end is time -1
    table = [jnp.asarray(c, jnp.float32) for c in (alpha, sigma, *preconditioning(predict, alpha, sigma))]

    def level(place: Int[Array, " b"], n: Int[Array, ""] | int) -> Level:
        t = jnp.round(schedule.length * (n - place) / n).astype(jnp.int32) - 1  # as `Schedule.times`
        return Level(jnp.maximum(t, 0).astype(jnp.float32), *(column[t][:, None, None, None] for column in table))

    return level


def step(x: Array, x0: Array, at: Level, to: Level) -> Array:
    """Take DDIM's deterministic step: x at one level and its x0, to another level."""
    return to.alpha * x0 + to.sigma / at.sigma * (x - at.alpha * x0)


def guided_x0(
    structure: Structure, params: Params, x: Array, at: Level, context: Array, null: Float[AnyArray, "m d"], w: Array
) -> Array:
    """Return a plain network's estimate of x0 under guidance w, one scale an image."""
    net = guided(denoiser(merge(structure, params)), jnp.broadcast_to(null, context.shape), w[:, None, None, None])
    return at.x0(x, net(x, at.t, 0.0, 1.0, context))  # c_skip 0 and c_out 1: the output, guided


def student_x0(structure: Structure, params: Params, x: Array, at: Level, context: Array, w: Array) -> Array:
    """Return a student's estimate of x0: it takes the guidance scales as an input."""
    return at.x0(x, merge(structure, params)(x, at.t, context, w))


class Drawn(NamedTuple):
    """What a step of distillation draws for each image."""

    place: Int[Array, " b"]  # 0 ... n - 1, uniform
    noise: Array  # standard normal, of the latents' shape
    w: Float[Array, " b"]  # guidance scale, uniform


def draw(key: Array, latents: Array, n: Int[Array, ""] | int, scales: tuple[float, float]) -> Drawn:
    """Return what a loss draws for each image, from the image's own key."""

    def one(key: Array) -> Drawn:
        place, noise, w = jax.random.split(key, 3)
        return Drawn(
            jax.random.randint(place, (), 0, n),
            jax.random.normal(noise, latents.shape[1:]),
            jax.random.uniform(w, (), jnp.float32, *scales),
        )

    return jax.vmap(one)(keys_of_batch(key, len(latents)))


def spread(x0: Array, latents: Array) -> Array:
    """Return how far apart the estimates of a batch lie, as a share of what the data's do.

    Near 0, the student has collapsed.
    """
    return x0.std(0).mean() / latents.std(0).mean()


class Pair(NamedTuple):
    """Two estimates that a consistent student gives alike, and the level of the first."""

    at: Level
    x0: Array  # the student's at z_t
    target: Array  # the averaged student's at z_s, a step of the teacher further down; no gradient


def consistency(
    student: Structure,
    teacher: Structure,
    schedule: Schedule,
    predict: Predict,
    *,
    null: Float[Array, "m d"],
    segments: int,
    scales: tuple[float, float],
) -> Callable[..., Pair]:
    """Return (params, batch, key, teacher params, averaged params) -> Pair.

    This is consistency distillation (Song et al. 2023, algorithm 2).

    z_t is a noised latent at one of the `segments` places of the grid, z_s where one DDIM step of the teacher,
    guided by the guidance that the student takes, leads from there to the next place.
    """
    level = level_grid(schedule, predict)

    def pair(params: Params, batch: dict[str, Array], key: Array, taught: Params, averaged: Params) -> Pair:
        latents, context = batch["latents"], batch["context"]
        place, noise, w = draw(key, latents, segments, scales)
        at, to = level(place, segments), level(place + 1, segments)
        x = at.alpha * latents + at.sigma * noise
        further = step(x, guided_x0(teacher, taught, x, at, context, null, w), at, to)
        target = student_x0(student, averaged, further, to, context, w)
        return Pair(at, student_x0(student, params, x, at, context, w), jax.lax.stop_gradient(target))

    return pair
