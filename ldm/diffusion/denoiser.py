"""A denoiser gives x0, whatever its network predicts; a guided denoiser is again a denoiser.

This one change of view (Karras et al. 2022; k-diffusion) frees samplers from prediction types, guidance
and text: they ask `denoise(x, t, c_skip, c_out, context)` and get the estimate of the clean latents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Net = Callable[[Array, Array, Array], Array]  # (x, t, context) -> eps, v or x0, of x's shape


@runtime_checkable
class Denoiser(Protocol):
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        t: Float[Array, " b"],
        c_skip: Float[Array, ""],
        c_out: Float[Array, ""],
        context: Float[Array, "b m d"],
    ) -> Float[Array, "b h w c"]:
        """The estimate of x0 in x at training time t, float32; c_skip and c_out: `schedule.preconditioning`."""


def denoiser(net: Net) -> Denoiser:
    """A network as a denoiser: x0 = c_skip x + c_out net(x) (Karras et al. 2022, eq. 7).

    What the network predicts is in the two numbers, so it is data: eps, v and x0 share one compilation.
    """

    def denoise(x: Array, t: Array, c_skip: Array, c_out: Array, context: Array) -> Array:
        return c_skip * x + c_out * net(x, t, context).astype(jnp.float32)

    return denoise


def conditioned(net: Net, condition: Float[Array, "b h w k"]) -> Net:
    """A network that sees a picture beside the noisy latents, as more channels of its input (Rombach et al. 2022, 3.3).

    Asked for several batches at once, as guidance does, it sees the same pictures in each.
    """

    def net_with_picture(x: Array, t: Array, context: Array) -> Array:
        seen = jnp.concatenate([condition] * (len(x) // len(condition)))
        return net(jnp.concatenate([x, seen], -1), t, context)

    return net_with_picture


def check_guidance(guidance: Float[Array, ...] | float) -> None:
    """Raises: ValueError, one sentence, for a guidance that is no finite float32."""
    if not np.all(np.abs(np.asarray(guidance, np.float64)) <= np.finfo(np.float32).max):  # nor is it for nan
        raise ValueError(f"guidance = {guidance}: expected a finite number; choose 1 (no guidance) to about 30.")


def guided(
    denoise: Denoiser,
    null: Float[Array, "b m d"],
    guidance: Float[Array, ""],
    rescale: Float[Array, ""] | float = 0.0,
) -> Denoiser:
    """Classifier-free guidance (Ho and Salimans 2022): x0 = x0_null + guidance (x0_text - x0_null).

    On x0 this is the same as on eps or v, which are linear in it. One call on the doubled batch. Guidance 1
    is the model without guidance, at twice its price; guidance is data, so a sweep compiles once.

    `rescale` is phi of Lin et al. (2024, eqs. 14-16): it brings the standard deviation of each image's
    guided output back, in that share, to what it is with text alone. The rule is for the network's output,
    and on x0 it would be another; c_out output = x0 - c_skip x, and c_out cancels in the ratio.
    """

    def denoise_guided(x: Array, t: Array, c_skip: Array, c_out: Array, context: Array) -> Array:
        twice = (jnp.concatenate([x, x]), jnp.concatenate([t, t]))
        both = denoise(*twice, c_skip, c_out, jnp.concatenate([null, context]))
        without, with_text = jnp.split(both, 2)
        x0 = without + guidance * (with_text - without)
        output = x0 - c_skip * x
        ratio = spread(with_text - c_skip * x) / jnp.maximum(spread(output), 1e-12)
        return x0 + rescale * (ratio - 1) * output

    return denoise_guided


def with_guidance(net: Callable[..., Array], guidance: Float[Array, ""]) -> Net:
    """A distilled network that takes guidance as an input, (x, t, context, w), at one value for all images."""
    return lambda x, t, context: net(x, t, context, jnp.broadcast_to(guidance, t.shape))


def spread(x: Float[Array, "b h w c"]) -> Float[Array, "b 1 1 1"]:
    """Each image's standard deviation."""
    return x.std((1, 2, 3), keepdims=True)
