"""A denoiser gives x0, whatever its network predicts; a guided one (`ldm.diffusion.guidance`) is again a denoiser.

This one change of view (Karras et al. 2022; k-diffusion) frees samplers from prediction types, guidance
and text: they ask `denoise(x, t, c_skip, c_out, context)` and get the estimate of the clean latents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from ldm.diffusion.guidance import combine, pair
from ldm.diffusion.guidance_settings import Guidance
from ldm.networks.layers import AnyArray

Net = Callable[[Array, Array, Array], Array]  # (x, t, context) -> eps, v or x0, of x's shape


@runtime_checkable
class Denoiser(Protocol):
    """Whatever gives an estimate of x0, guided or not."""

    def __call__(
        self,
        x: Float[Array, "b h w c"],
        t: Float[Array, " b"],
        c_skip: Float[Array, ""] | float,
        c_out: Float[Array, ""] | float,
        context: Float[Array, "b m d"],
    ) -> Float[Array, "b h w c"]:
        """Return the estimate of x0 in x at training time t, float32; c_skip and c_out: `schedule.preconditioning`."""
        ...


def denoiser(net: Net) -> Denoiser:
    """Return a network as a denoiser: x0 = c_skip x + c_out net(x) (Karras et al. 2022, eq. 7).

    What the network predicts is in the two numbers, so it is data: eps, v and x0 share one compilation.
    """

    def denoise(x: Array, t: Array, c_skip: Array | float, c_out: Array | float, context: Array) -> Array:
        return c_skip * x + c_out * net(x, t, context).astype(jnp.float32)

    return denoise


def conditioned(net: Net, condition: Float[AnyArray, "b h w k"]) -> Net:
    """Return a network that sees a picture beside the noisy latents (Rombach et al. 2022, 3.3).

    The picture comes as more channels of its input.

    Asked for several batches at once, as guidance does, it sees the same pictures in each.
    """

    def net_with_picture(x: Array, t: Array, context: Array) -> Array:
        seen = jnp.concatenate([condition] * (len(x) // len(condition)))
        return net(jnp.concatenate([x, seen], -1), t, context)

    return net_with_picture


def guided(
    denoise: Denoiser,
    null: Float[AnyArray, "b m d"],
    guidance: Float[Array, ...] | float,
    rescale: Float[Array, ""] | float = 0.0,
) -> Denoiser:
    """Return a denoiser with classifier-free guidance (Ho and Salimans 2022; `guidance.combine`).

    It asks the one that is given once, on the doubled batch.

    Guidance 1 is the model without guidance, at twice its price; guidance is data, so a sweep compiles once.
    """
    how, two = Guidance(guidance, rescale), pair(denoise, null)

    def denoise_guided(x: Array, t: Array, c_skip: Array | float, c_out: Array | float, context: Array) -> Array:
        return combine(*two(x, t, c_skip, c_out, context), c_skip * x, how)[0]

    return denoise_guided


def with_guidance(net: Callable[..., Array], guidance: Float[AnyArray, ""] | float) -> Net:
    """Return a distilled network that takes guidance as an input, (x, t, context, w), at one value for all images."""
    return lambda x, t, context: net(x, t, context, jnp.broadcast_to(guidance, t.shape))
