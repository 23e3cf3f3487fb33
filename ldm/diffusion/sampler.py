"""The sampling loop: noise and a plan to latents.

One loop runs every table of `ldm.diffusion.solvers`. All that a sweep varies (the solver, the number of steps, their
spacing, guidance and its interval, how long features are kept, what the network predicts) is data to it, so a network
compiles once a batch shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from ldm.checks import check_seed
from ldm.diffusion.denoiser import Denoiser, Net, conditioned, denoiser, with_guidance
from ldm.diffusion.guidance import guided_step, pair
from ldm.diffusion.guidance_settings import Guidance, as_guidance, inside
from ldm.diffusion.plan import Plan
from ldm.diffusion.schedule import Predict, check_predict, preconditioning
from ldm.networks.layers import AnyArray
from ldm.networks.structure import Params, Structure, merge

# A plan's columns are data to a compiled loop; the solvers themselves are NumPy and know nothing of JAX.
jax.tree_util.register_dataclass(Plan, [field.name for field in fields(Plan)], [])


class Clip(NamedTuple):
    """Hold every estimate of x0 between -most and most, as the data of the network's training were."""

    most: float
    keep: float = 1.0  # 1: x then moves with x0, so that the noise in it stays what the network saw; 0: x stays


def initial_noise(keys: Key[Array, " b"], shape: tuple[int, ...]) -> Float[Array, "b ..."]:
    """Return the latents that sampling starts from: one standard normal a key."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), shape))(keys)


class Reuse(NamedTuple):
    """Keep the features of the UNet's deep levels from one row to the next (DeepCache, Ma et al. 2023)."""

    every: int  # rows from one whole pass to the next; 1: every pass is whole
    depth: int = 3  # skip connections that are computed at every row, 1 to 11 (`UNet.whole`); 3: the top level's


@runtime_checkable
class Layered(Protocol):
    """A network whose deep features can be kept, as `ldm.networks.unet.UNet`'s."""

    def whole(self, x: Array, t: Array, context: Array, *w: Array, depth: int) -> tuple[Array, Array]:
        """Return the output, and the deep features."""
        ...

    def shallow(self, x: Array, t: Array, context: Array, *w: Array, deep: Array, depth: int) -> Array:
        """Return the output, with deep features from another row."""
        ...


class Keeping:
    """A UNet for one row: whole where `fresh`, else with the deep features of the row before.

    It is asked once, and `deep` is then what the next row may use. Without features from before it is whole.
    """

    def __init__(self, unet: Layered, depth: int, fresh: Array, deep: Array | None):
        self.unet, self.depth, self.fresh, self.deep = unet, depth, fresh, deep

    def __call__(self, x: Array, t: Array, context: Array, *w: Array) -> Array:
        whole = lambda: self.unet.whole(x, t, context, *w, depth=self.depth)
        deep = self.deep
        if deep is None:
            output, self.deep = whole()
        else:
            shallow = lambda: (self.unet.shallow(x, t, context, *w, deep=deep, depth=self.depth), deep)
            output, self.deep = lax.cond(self.fresh, whole, shallow)
        return output


def sample(
    structure: Structure,
    params: Params,
    plan: Plan,
    context: Float[AnyArray, "b m d"],
    null: Float[AnyArray, "b m d"] | None,
    guidance: Guidance | Float[AnyArray, ""] | float,
    keys: Key[Array, " b"],
    *,
    predict: Predict,
    shape: tuple[int, ...],
    condition: Float[AnyArray, "b h w k"] | None = None,
    takes_guidance: bool = False,
    clip: Clip | None = None,
    guide: tuple[Structure, Params] | None = None,
    reuse: Reuse | None = None,
    start: Float[AnyArray, "b h w c"] | None = None,
) -> Float[Array, "b h w c"]:
    """Draw latents of b pictures, one key each, float32.

    Compiles once a network and batch shape, once more without guidance, and once more with an interval, a projection,
    a guide or reuse; all numbers in these are data. null None asks the network once a row instead of twice, and
    guidance is then 1, unless the network `takes_guidance` as an input, as a distilled one does, or there is a
    `guide`, a weaker network that predicts the same (`guidance.pair`). What is asked is counted in
    `ldm.diffusion.counting`.

    guidance: a number is its scale. `null`: the empty caption's context, or a negative prompt's. `condition`: a picture
    that the networks see beside the latents (`denoiser.conditioned`). `clip` holds the estimates of x0 in a range.
    `start`: latents that are noised to the plan's first level and begin there, in place of noise alone; a plan that
    begins later keeps more of them (`editing.beginning`).

    Noise at row i is drawn from the image's key with i + 1 folded in: image k is the same in any batch.

    Raises: ValueError for an unknown prediction, eps on a schedule without signal at its end, impossible guidance
    (`guidance.as_guidance`) or, without null and guide, a scale that is not 1, null for a network that takes guidance
    as an input, or reuse together with an interval, of an impossible depth, or of another network than the UNet.
    """
    check_predict(predict, plan.alpha)
    guidance = as_guidance(guidance)
    if takes_guidance and null is not None:
        raise ValueError("null is given: expected None for a network that takes guidance as an input; leave it out.")
    is_guided = null is not None or guide is not None
    if not is_guided and not takes_guidance and np.any(np.asarray(guidance.scale) != 1):
        raise ValueError(
            f"guidance = {guidance.scale}: expected 1 where null is None; give the empty caption's context to guide."
        )
    if reuse is not None:
        check_reuse(reuse, guidance, merge(structure, params))
    plan = replace(plan, t=plan.t.astype(np.float32))  # on some grids t has fractions; one type is one compilation
    c_skip, c_out = preconditioning(predict, plan.alpha, plan.sigma)
    applies = inside(plan, guidance) if is_guided and guidance.interval is not None else None
    numbers = jax.tree.map(jnp.float32, guidance._replace(interval=None))
    every, depth = (None, 0) if reuse is None else (np.int32(reuse.every), reuse.depth)
    how = (numbers if is_guided or takes_guidance else None, applies, keys, condition, clip, guide, every, start)
    return loop(structure, params, plan, c_skip, c_out, context, null, *how, shape=shape, depth=depth)


def check_reuse(reuse: Reuse, guidance: Guidance, net: Net) -> None:
    """Raise ValueError, in one sentence, for an impossible reuse, or a network whose features are not kept."""
    if not hasattr(net, "whole"):
        raise ValueError(f"reuse is given for a {type(net).__name__}; only a UNet's features are kept: leave it out.")
    if guidance.interval is not None:
        raise ValueError(
            f"interval = {guidance.interval}: expected None with reuse, whose features are those of a batch that is "
            "guided at every row; leave one of them out."
        )
    if reuse.every < 1 or not 1 <= reuse.depth <= 11:
        raise ValueError(f"reuse = {reuse}: expected every of at least 1 and depth from 1 to 11; choose them so.")


@partial(jax.jit, static_argnames=("structure", "shape", "depth"))
def loop(
    structure: Structure,
    params: Params,
    plan: Plan,
    c_skip: Float[Array, " s"],
    c_out: Float[Array, " s"],
    context: Float[Array, "b m d"],
    null: Float[Array, "b m d"] | None,
    guidance: Guidance | None,
    applies: Bool[Array, " s"] | None,
    keys: Key[Array, " b"],
    condition: Float[Array, "b h w k"] | None = None,
    clip: Clip | None = None,
    guide: tuple[Structure, Params] | None = None,
    every: Int[Array, ""] | None = None,
    start: Float[Array, "b h w c"] | None = None,
    *,
    shape: tuple[int, ...],
    depth: int = 0,
) -> Float[Array, "b h w c"]:
    """Run the sampling loop: this is what `sample` compiles.

    The plan has two more columns for what the network predicts (`schedule.preconditioning`), and a third for the rows
    that guidance `applies` to.

    Guidance without null and guide is an input of the network; without guidance it is asked as it is.
    """
    steered = None if null is None and guide is None else guidance  # here, and not by the network itself

    def as_denoiser(net: Net) -> Denoiser:
        return denoiser(net if condition is None else conditioned(net, condition))

    unet = merge(structure, params)
    weaker = None if guide is None else as_denoiser(merge(*guide))

    def estimate(
        i: Array, x: Array, pushed: Array | None, deep: Array | None
    ) -> tuple[Array, Array, Array | None, Array | None]:
        """Return x0 at row i, x, and what the next row may use: the pushes of guidance so far, and deep features."""
        keeping = None if every is None else Keeping(unet, depth, i % every == 0, deep)
        net = unet if keeping is None else keeping
        denoise = as_denoiser(net if steered is not None or guidance is None else with_guidance(net, guidance.scale))
        ask = (x, jnp.full(x.shape[:1], plan.t[i], jnp.float32), c_skip[i], c_out[i], context)
        if steered is not None:
            step = guided_step(denoise, pair(denoise, null, weaker), steered)
            x0, x, pushed = step(ask, plan.alpha[i], None if applies is None else applies[i], pushed)
        else:
            x0 = denoise(*ask)
        return x0, x, pushed, None if keeping is None else keeping.deep

    def step(i: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        x, previous, before, *memory = carry
        row = jax.tree.map(lambda column: column[i] if column.ndim else column, plan)
        x0, x, *memory = estimate(i, x, *memory)
        if clip is not None:
            held = jnp.clip(x0, -clip.most, clip.most)
            x, x0 = x + clip.keep * row.alpha * (held - x0), held
        z = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, i + 1), shape))(keys)
        x = row.x * x + row.x0 * x0 + row.x0_prev * previous + row.x0_prev2 * before + row.z * z
        return x, x0, previous, *memory

    x = initial_noise(keys, shape)
    if start is not None:
        x = plan.alpha[0] * start + plan.sigma[0] * x
    zeros = jnp.zeros_like(x)
    pushed = None if steered is None or steered.projection is None else zeros
    deep = None
    if every is not None:  # row 0 is whole, and does not look at it
        like = jax.eval_shape(estimate, jnp.int32(0), x, pushed, None)[-1]
        deep = jnp.zeros(like.shape, like.dtype)
    return lax.fori_loop(0, plan.n, step, (x, zeros, zeros, pushed, deep))[0]


def image_keys(seed: int, indices: Sequence[int] | np.ndarray) -> jax.Array:
    """Return one key an image, a function of the seed and the image's index alone.

    Raises: ValueError as `check_seed`.
    """
    check_seed(seed)
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(np.asarray(indices))
