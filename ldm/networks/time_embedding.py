"""The time, and the guidance scale of a distilled network, as sinusoids and what two layers make of them."""

from __future__ import annotations

import math

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ldm.networks.initial import KeySource
from ldm.networks.layers import AnyArray, Linear


def timestep_embedding(t: AnyArray, width: int) -> Float[Array, "b width"]:
    """Return the sinusoids of the training time t in 0..999: cosines first, frequencies 10000^(-i / (width/2)) (SD)."""
    steps = jnp.arange(width // 2, dtype=jnp.float32)
    frequencies = jnp.exp(-math.log(10000) * steps / (width // 2))
    angles = t.astype(jnp.float32)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)


LCM_FREQUENCY = 1000.0  # radians of the fastest sinusoid for one unit of guidance, as published


def guidance_embedding(w: AnyArray, width: int, frequency: float = LCM_FREQUENCY) -> Float[Array, "b width"]:
    """Return the sinusoids of w, sines first, frequencies f 10000^(-i / (width/2 - 1)) (Luo et al. 2023, LCM).

    frequency: f, radians of the fastest for one unit of guidance. Where it is LCM's, nearly half of them turn more than
    twice between one whole number and the next, and to a short training they are noise (the book's log has the
    numbers).
    """
    steps = jnp.arange(width // 2, dtype=jnp.float32)
    angles = frequency * w.astype(jnp.float32)[:, None] * jnp.exp(-math.log(10000) * steps / (width // 2 - 1))[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


class TimeEmbedding(nnx.Module):
    """Sinusoids, linear, SiLU, linear.

    `guidance`: width of a second embedding, of the guidance scale w of a distilled network, that is added to the
    sinusoids; its projection starts at 0, so that the network starts as the one without. `frequency`: as of
    `guidance_embedding`.
    """

    def __init__(
        self, width: int, outputs: int, guidance: int = 0, frequency: float = LCM_FREQUENCY, *, keys: KeySource
    ):
        self.width, self.guidance, self.frequency = width, guidance, frequency
        if guidance:
            self.cond_proj = Linear(guidance, width, bias=False, keys=keys)
            self.cond_proj.weight = nnx.Param(jnp.zeros((guidance, width)))
        self.linear_1 = Linear(width, outputs, keys=keys)
        self.linear_2 = Linear(outputs, outputs, keys=keys)

    def __call__(self, t: AnyArray, w: AnyArray | None = None) -> Float[Array, "b outputs"]:
        emb = timestep_embedding(t, self.width)
        if w is not None:
            emb = emb + self.cond_proj(guidance_embedding(w, self.guidance, self.frequency))
        return self.linear_2(nnx.silu(self.linear_1(emb)))
