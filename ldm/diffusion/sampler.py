"""The sampling loop: noise and a plan to latents.

One loop runs every table of `ldm.diffusion.solvers`. All that a sweep varies (the solver, the number of steps, their
spacing, guidance, what the network predicts) is data to it, so a network compiles once a batch shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Key

from ldm.checks import check_seed
from ldm.diffusion.denoiser import check_guidance, conditioned, denoiser, guided, with_guidance
from ldm.diffusion.schedule import Predict, check_predict, preconditioning
from ldm.diffusion.solvers import Plan
from ldm.networks.layers import Params, Structure, merge

# A plan's columns are data to a compiled loop; the solvers themselves are NumPy and know nothing of JAX.
jax.tree_util.register_dataclass(Plan, [field.name for field in fields(Plan)], [])


class Clip(NamedTuple):
    """Hold every estimate of x0 between -most and most, as the data of the network's training were."""

    most: float
    keep: float = 1.0  # 1: x then moves with x0, so that the noise in it stays what the network saw; 0: x stays


def initial_noise(keys: Key[Array, " b"], shape: tuple[int, ...]) -> Float[Array, "b ..."]:
    """The latents that sampling starts from: one standard normal a key."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), shape))(keys)


def sample(
    structure: Structure,
    params: Params,
    plan: Plan,
    context: Float[Array, "b m d"],
    null: Float[Array, "b m d"] | None,
    guidance: Float[Array, ""] | float,
    keys: Key[Array, " b"],
    *,
    predict: Predict,
    shape: tuple[int, int, int],
    rescale: float = 0.0,
    condition: Float[Array, "b h w k"] | None = None,
    takes_guidance: bool = False,
    clip: Clip | None = None,
) -> Float[Array, "b h w c"]:
    """Latents of b pictures, one key each, float32.

    Compiles once a network and batch shape, and once more without guidance: null None asks the network
    once a row instead of twice, and guidance is then 1, unless the network `takes_guidance` as an
    input, as a distilled one does.
    `rescale` (0 to 1) is phi of `denoiser.guided`. `condition`: a picture that the network sees beside the latents
    (`denoiser.conditioned`). `clip` holds the estimates of x0 in a range.

    Noise at row i is drawn from the image's key with i + 1 folded in: image k is the same in any batch.

    Raises: ValueError for an unknown prediction, eps on a schedule without signal at its end, rescale
    outside [0, 1], guidance that is not finite or, without null, not 1, or null for a network that takes guidance as an
    input.
    """
    check_predict(predict, plan.alpha)
    check_guidance(guidance)
    if not 0 <= rescale <= 1:
        raise ValueError(
            f"rescale = {rescale}: expected 0 (guidance as it is) to 1 (fully rescaled); choose in between."
        )
    if takes_guidance and null is not None:
        raise ValueError("null is given: expected None for a network that takes guidance as an input; leave it out.")
    if null is None and not takes_guidance and np.any(np.asarray(guidance) != 1):
        raise ValueError(
            f"guidance = {guidance}: expected 1 where null is None; give the empty caption's context to guide."
        )
    c_skip, c_out = preconditioning(predict, plan.alpha, plan.sigma)
    guidance = None if null is None and not takes_guidance else jnp.asarray(guidance, jnp.float32)
    how = (guidance, jnp.float32(rescale), keys, condition, clip)
    return loop(structure, params, plan, c_skip, c_out, context, null, *how, shape=shape)


@partial(jax.jit, static_argnames=("structure", "shape"))
def loop(
    structure: Structure,
    params: Params,
    plan: Plan,
    c_skip: Float[Array, " s"],
    c_out: Float[Array, " s"],
    context: Float[Array, "b m d"],
    null: Float[Array, "b m d"] | None,
    guidance: Float[Array, ""] | None,
    rescale: Float[Array, ""],
    keys: Key[Array, " b"],
    condition: Float[Array, "b h w k"] | None = None,
    clip: Clip | None = None,
    *,
    shape: tuple[int, int, int],
) -> Float[Array, "b h w c"]:
    """What `sample` compiles, with what the network predicts as two more columns (`schedule.preconditioning`).

    Guidance without null is an input of the network; without guidance it is asked as it is.
    """
    net = merge(structure, params)
    net = net if condition is None else conditioned(net, condition)
    denoise = denoiser(net if null is not None or guidance is None else with_guidance(net, guidance))
    if null is not None:
        denoise = guided(denoise, null, guidance, rescale)
    x = initial_noise(keys, shape)

    def step(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        x, previous = carry
        row = jax.tree.map(lambda column: column[i] if column.ndim else column, plan)
        t = jnp.full(x.shape[:1], row.t, jnp.float32)
        x0 = denoise(x, t, c_skip[i], c_out[i], context)
        if clip is not None:
            held = jnp.clip(x0, -clip.most, clip.most)
            x, x0 = x + clip.keep * row.alpha * (held - x0), held
        z = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, i + 1), shape))(keys)
        return row.x * x + row.x0 * x0 + row.x0_prev * previous + row.z * z, x0

    return lax.fori_loop(0, plan.n, step, (x, jnp.zeros_like(x)))[0]


def image_keys(seed: int, indices: Sequence[int] | np.ndarray) -> jax.Array:
    """One key an image, a function of the seed and the image's index alone. Raises: ValueError as `check_seed`."""
    check_seed(seed)
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(np.asarray(indices))
