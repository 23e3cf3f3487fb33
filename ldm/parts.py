"""Trains the frozen part of the diffusion model that sees pixels: the autoencoder.

(The text tower, the other frozen part, and the detector that judges are in `scene_networks.py`.)
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ldm.autoencoder import to_pixels
from ldm.layers import Params, merge
from ldm.train import Batch, Loss

KL = 1e-6  # weight of the prior, as in LDM: keeps the latents' scale from drifting, no more
EDGES = 1.0  # weight of the error of pixel differences: L1 alone is content with soft edges


def edges(pixels: Float[Array, "b h w 3"]) -> tuple[Array, Array]:
    """Differences of neighbours, down and across."""
    return pixels[:, 1:] - pixels[:, :-1], pixels[:, :, 1:] - pixels[:, :, :-1]


def autoencoder_loss(structure: nnx.GraphDef) -> Loss:
    """L1 on pixels and on their differences, and the KL term (Rombach et al. 2022, app. G, without the
    adversary and the perceptual network: at 64 pixels and on drawings these two suffice)."""

    def loss(params: Params, batch: Batch, key: Array) -> tuple[Array, dict[str, Array]]:
        net = merge(structure, params)
        pixels = to_pixels(batch["images"])
        mean, logvar = net.encode(pixels)
        z = mean + jnp.exp(logvar / 2) * jax.random.normal(key, mean.shape)
        error = net.decode(z) - pixels
        l1 = jnp.abs(error).mean()
        gradient = sum(jnp.abs(e).mean() for e in edges(error))
        kl = (jnp.square(mean) + jnp.exp(logvar) - 1 - logvar).sum((1, 2, 3)).mean() / 2
        psnr = 10 * jnp.log10(4 / jnp.square(error).mean())
        return l1 + EDGES * gradient + KL * kl, {"psnr": psnr, "l1": l1, "kl": kl}

    return loss
