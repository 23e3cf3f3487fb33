"""Guidance: two estimates of x0 become one; how far, where and by which rule, `ldm.diffusion.guidance_settings` says.

The settings are data to the sampling loop (`ldm.diffusion.sampler`), so a sweep over them compiles once. Two estimates
cost two evaluations: of one network on a doubled batch, or of the network and a weaker one that guides it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ldm.diffusion.guidance_settings import Guidance
from ldm.networks.layers import AnyArray

Ask = Callable[..., Array]  # a denoiser (`ldm.diffusion.denoiser.Denoiser`)
Pair = Callable[..., tuple[Array, Array]]  # asked as a denoiser is, gives two estimates


def combine(
    weak: Float[Array, "b h w c"],
    text: Float[Array, "b h w c"],
    rest: Float[Array, "b h w c"] | float,
    guidance: Guidance,
    pushed: Float[Array, "b h w c"] | None = None,
) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"] | None]:
    """Return the guided estimate of x0, and the sum of the pushes so far, for a projection with momentum.

    x0 = weak + scale (text - weak) (Ho and Salimans 2022). On x0 this is the same as on eps or v, which are linear in
    it. A `projection` changes the push text - weak first, where it goes beyond the estimate with text.

    `rescale` is phi of Lin et al. (2024, eqs. 14-16): it brings the standard deviation of each image's guided output
    back, in that share, to what it is with text alone. The rule is for the network's output, and on x0 it would be
    another; c_out output = x0 - rest, rest = c_skip x, and c_out cancels in the ratio.
    """
    x0 = weak + guidance.scale * (text - weak)
    if guidance.projection is not None:
        parallel, norm, momentum = guidance.projection
        pushed = text - weak + (0.0 if pushed is None else momentum * pushed)
        push = pushed * jnp.minimum(1, norm / jnp.maximum(length(pushed), 1e-12))
        along = text / jnp.maximum(length(text), 1e-12)
        push = push + (parallel - 1) * (push * along).sum((1, 2, 3), keepdims=True) * along
        x0 = text + (guidance.scale - 1) * push
    output = x0 - rest
    ratio = spread(text - rest) / jnp.maximum(spread(output), 1e-12)
    return x0 + guidance.rescale * (ratio - 1) * output, pushed


def pair(denoise: Ask, null: Float[AnyArray, "b m d"] | None, guide: Ask | None = None) -> Pair:
    """Return the weaker estimate and the one with text.

    The weaker is that of `guide` where there is one: a smaller or less trained network (autoguidance, Karras et al.
    2024), with the same text, or with `null` where that is given too. Else it is the network's own on `null`, the
    empty caption or a negative prompt, in one call on the doubled batch.
    """

    def both(x: Array, t: Array, c_skip: Array | float, c_out: Array | float, context: Array) -> tuple[Array, Array]:
        if guide is not None:
            weak = guide(x, t, c_skip, c_out, context if null is None else null)
            return weak, denoise(x, t, c_skip, c_out, context)
        if null is None:
            raise ValueError("null and guide are None: expected one of them to guide away from; give one.")
        twice = (jnp.concatenate([x, x]), jnp.concatenate([t, t]))
        weak, text = jnp.split(denoise(*twice, c_skip, c_out, jnp.concatenate([null, context])), 2)
        return weak, text

    return both


def guided_step(denoise: Ask, two: Pair, guidance: Guidance) -> Callable[..., tuple[Array, Array, Array | None]]:
    """Guide as `denoiser.guided`, for a sampling step: (ask, alpha, applies, pushed) -> x0, x, pushed.

    x moves with x0 where the noise in it is to stay the weak estimate's (`renoise`; CFG++, Chung et al. 2024): a step
    from there is alpha' x0 + sigma' eps_weak for DDIM, and what follows from it for the others. Where `applies` is
    False the network is asked once; None: every step is guided.
    """

    def step(ask: tuple[Array, ...], alpha: Array, applies: Array | None, pushed: Array | None):
        x, _, c_skip, _, _ = ask

        def with_guidance() -> tuple[Array, Array, Array | None]:
            weak, text = two(*ask)
            x0, after = combine(weak, text, c_skip * x, guidance, pushed)
            return x0, x + guidance.renoise * alpha * (x0 - weak), after

        if applies is None:
            return with_guidance()
        return lax.cond(applies, with_guidance, lambda: (denoise(*ask), x, pushed))

    return step


def spread(x: Float[Array, "b h w c"]) -> Float[Array, "b 1 1 1"]:
    """Return each image's standard deviation."""
    return x.std((1, 2, 3), keepdims=True)


def length(x: Float[Array, "b h w c"]) -> Float[Array, "b 1 1 1"]:
    """Return each image's Euclidean norm."""
    return jnp.sqrt(jnp.square(x).sum((1, 2, 3), keepdims=True))
