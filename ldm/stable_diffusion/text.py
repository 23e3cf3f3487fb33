"""CLIP's text transformer, which conditions Stable Diffusion (Radford et al. 2021, section 2.4).

Stable Diffusion 1 has the tower of ViT-L/14 (quick GELU), Stable Diffusion 2 that of OpenCLIP's ViT-H/14
(GELU), of which it reads the penultimate layer through the final normalisation. As `diffusers` stores it,
the last of the 24 layers is simply left out; `penultimate` does the same to a tower that still has it.
Attributes are named as in `transformers.CLIPTextModel`, so a weight's path here is its path there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from ldm.layers import KeySource, LayerNorm, Linear

Activation = Literal["quick_gelu", "gelu"]


@dataclass(frozen=True, kw_only=True)
class ClipTextConfig:
    """Shape of a tower; the default is Stable Diffusion 1's."""

    vocabulary: int = 49408
    length: int = 77  # positions
    width: int = 768
    hidden: int = 3072  # width of the MLPs
    layers: int = 12
    heads: int = 12
    activation: Activation = "quick_gelu"
    penultimate: bool = False  # leave the last layer out

    def __post_init__(self):
        for name in ("vocabulary", "length", "width", "hidden", "layers", "heads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} = {value!r}: expected a whole number of at least 1.")
        if self.width % self.heads:
            raise ValueError(f"heads = {self.heads}: expected a divisor of width = {self.width}.")
        if self.activation not in get_args(Activation):
            raise ValueError(
                f"activation = {self.activation!r}: expected one of {', '.join(get_args(Activation))}; choose one of them."
            )


VIT_L = ClipTextConfig()
VIT_H = ClipTextConfig(width=1024, hidden=4096, layers=23, heads=16, activation="gelu")


class Embedding(nnx.Module):
    """One row a token, or a position."""

    def __init__(self, rows: int, width: int, *, keys: KeySource):
        self.weight = nnx.Param(0.02 * jax.random.normal(keys(), (rows, width)))


class Embeddings(nnx.Module):
    """Token plus position."""

    def __init__(self, config: ClipTextConfig, *, keys: KeySource):
        self.token_embedding = Embedding(config.vocabulary, config.width, keys=keys)
        self.position_embedding = Embedding(config.length, config.width, keys=keys)

    def __call__(self, ids: Int[Array, "b n"]) -> Float[Array, "b n d"]:
        return self.token_embedding.weight[...][ids] + self.position_embedding.weight[...][: ids.shape[1]]


class CausalAttention(nnx.Module):
    """Multi-head self-attention; a position looks at itself and at those before it."""

    def __init__(self, width: int, heads: int, *, keys: KeySource):
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (Linear(width, width, keys=keys) for _ in range(4))

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        split = lambda y: y.reshape(*y.shape[:2], self.heads, -1)
        q, k, v = split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        scores = jnp.einsum("bnhd,bmhd->bhnm", q, k) / math.sqrt(q.shape[-1])
        past = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        weights = jax.nn.softmax(jnp.where(past, scores, -jnp.inf), -1)
        return self.out_proj(jnp.einsum("bhnm,bmhd->bnhd", weights, v).reshape(x.shape))


class Mlp(nnx.Module):
    """Linear, activation, linear."""

    def __init__(self, config: ClipTextConfig, *, keys: KeySource):
        self.activation = config.activation
        self.fc1 = Linear(config.width, config.hidden, keys=keys)
        self.fc2 = Linear(config.hidden, config.width, keys=keys)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        y = self.fc1(x)
        quick = self.activation == "quick_gelu"
        return self.fc2(y * jax.nn.sigmoid(1.702 * y) if quick else jax.nn.gelu(y, approximate=False))


class Layer(nnx.Module):
    """Attention and an MLP, each on a normalised input, each added."""

    def __init__(self, config: ClipTextConfig, *, keys: KeySource):
        self.layer_norm1, self.layer_norm2 = LayerNorm(config.width), LayerNorm(config.width)
        self.self_attn = CausalAttention(config.width, config.heads, keys=keys)
        self.mlp = Mlp(config, keys=keys)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nnx.Module):
    def __init__(self, config: ClipTextConfig, *, keys: KeySource):
        self.layers = nnx.List([Layer(config, keys=keys) for _ in range(config.layers)])


class ClipText(nnx.Module):
    """Ids (b, n), n at most `config.length` -> context (b, n, width): every position's, padding's too."""

    def __init__(self, config: ClipTextConfig, *, keys: KeySource):
        self.used = config.layers - config.penultimate
        self.embeddings = Embeddings(config, keys=keys)
        self.encoder = Encoder(config, keys=keys)
        self.final_layer_norm = LayerNorm(config.width)

    def __call__(self, ids: Int[Array, "b n"]) -> Float[Array, "b n d"]:
        x = self.embeddings(ids)
        for layer in list(self.encoder.layers)[: self.used]:
            x = layer(x)
        return self.final_layer_norm(x)
