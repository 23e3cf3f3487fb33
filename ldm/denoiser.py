"""A denoiser gives x0, whatever its network predicts; a guided denoiser is again a denoiser.

This one change of view (Karras et al. 2022; k-diffusion) frees samplers from prediction types, guidance
and text: they ask `denoise(x, t, alpha, sigma, context)` and get the estimate of the clean latents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float

from ldm.schedule import Predict, to_x0

Net = Callable[[Array, Array, Array], Array]  # (x, t, context) -> eps, v or x0, of x's shape


class Denoiser(Protocol):
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        t: Float[Array, " b"],
        alpha: Float[Array, ""],
        sigma: Float[Array, ""],
        context: Float[Array, "b m d"],
    ) -> Float[Array, "b h w c"]:
        """The estimate of x0 in x = alpha x0 + sigma eps at training time t, float32."""


def denoiser(net: Net, predict: Predict) -> Denoiser:
    """A network that predicts eps, v or x0, as a denoiser. Raises: ValueError for another `predict`."""

    def denoise(x: Array, t: Array, alpha: Array, sigma: Array, context: Array) -> Array:
        return to_x0(predict, x, net(x, t, context).astype(jnp.float32), alpha, sigma)

    return denoise


def guided(denoise: Denoiser, null: Float[Array, "b m d"], scale: Float[Array, ""]) -> Denoiser:
    """Classifier-free guidance (Ho and Salimans 2022): x0 = x0_null + scale (x0_text - x0_null).

    On x0 this is the same as on eps or v, which are linear in it. One call on the doubled batch. Scale 1
    is the model without guidance, at twice its price; the scale is data, so a sweep compiles once.
    """

    def denoise_guided(x: Array, t: Array, alpha: Array, sigma: Array, context: Array) -> Array:
        both = denoise(jnp.concatenate([x, x]), jnp.concatenate([t, t]), alpha, sigma, jnp.concatenate([null, context]))
        without, with_text = jnp.split(both, 2)
        return without + scale * (with_text - without)

    return denoise_guided
