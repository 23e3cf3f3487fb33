"""The transformer of CLIP, of vision transformers and of DINO: each layer's input is normalised, not its output.

Vaswani et al. 2017; layer scale: Touvron et al. 2021 (arXiv:2103.17239). Attributes are named as in
`transformers.CLIPModel`, so a weight's path here is its path there.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ldm.networks.initial import KeySource, normal, torch_default
from ldm.networks.layers import LayerNorm, Linear, attend, matmul

Activation = Literal["quick_gelu", "gelu"]


class Embedding(nnx.Module):
    """One row a token, or a position."""

    def __init__(self, rows: int, width: int, *, keys: KeySource):
        self.weight = nnx.Param(normal(keys(), (rows, width), 0.02))


class Patches(nnx.Module):
    """A picture as a sequence: its squares of patch x patch pixels, row by row, each through one matrix."""

    def __init__(self, patch: int, width: int, *, bias: bool, channels: int = 3, keys: KeySource):
        self.weight = nnx.Param(torch_default(keys(), (patch, patch, channels, width), channels * patch**2))
        if bias:
            self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b n d"]:
        patch, _, channels, width = self.weight.shape
        b, h, w, _ = x.shape
        x = x.reshape(b, h // patch, patch, w // patch, patch, channels).swapaxes(2, 3)
        y = matmul(x.reshape(b, -1, channels * patch**2), self.weight[...].reshape(-1, width))
        return y + self.bias[...] if hasattr(self, "bias") else y


class SelfAttention(nnx.Module):
    """Multi-head self-attention; `causal`: a position looks at itself and at those before it."""

    def __init__(self, width: int, heads: int, *, causal: bool, keys: KeySource):
        self.heads, self.causal = heads, causal
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (Linear(width, width, keys=keys) for _ in range(4))

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        mask = jnp.tril(jnp.ones((x.shape[1],) * 2, bool)) if self.causal else None
        return self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, mask))


class Mlp(nnx.Module):
    """Linear, activation, linear."""

    def __init__(self, width: int, hidden: int, activation: Activation, *, keys: KeySource):
        self.activation = activation
        self.fc1 = Linear(width, hidden, keys=keys)
        self.fc2 = Linear(hidden, width, keys=keys)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        y = self.fc1(x)
        quick = self.activation == "quick_gelu"
        return self.fc2(y * jax.nn.sigmoid(1.702 * y) if quick else jax.nn.gelu(y, approximate=False))


class LayerScale(nnx.Module):
    """One factor a channel."""

    def __init__(self, width: int):
        self.lambda1 = nnx.Param(jnp.ones(width))

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        return x * self.lambda1[...]


class Layer(nnx.Module):
    """Attention and an MLP, each on a normalised input, each (scaled and) added."""

    def __init__(
        self,
        width: int,
        hidden: int,
        heads: int,
        activation: Activation,
        *,
        causal: bool,
        scaled: bool,
        eps: float,
        keys: KeySource,
    ):
        self.layer_norm1, self.layer_norm2 = LayerNorm(width, eps), LayerNorm(width, eps)
        self.self_attn = SelfAttention(width, heads, causal=causal, keys=keys)
        self.mlp = Mlp(width, hidden, activation, keys=keys)
        if scaled:
            self.layer_scale1, self.layer_scale2 = LayerScale(width), LayerScale(width)

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        same = lambda y: y
        x = x + getattr(self, "layer_scale1", same)(self.self_attn(self.layer_norm1(x)))
        return x + getattr(self, "layer_scale2", same)(self.mlp(self.layer_norm2(x)))


class Encoder(nnx.Module):
    """Layers, one after the other; of `layers` of them the last few may stay unused."""

    def __init__(
        self,
        layers: int,
        width: int,
        hidden: int,
        heads: int,
        activation: Activation = "gelu",
        *,
        causal: bool = False,
        scaled: bool = False,
        eps: float = 1e-5,
        unused: int = 0,
        keys: KeySource,
    ):
        self.used = layers - unused
        self.layers = nnx.List(
            [
                Layer(width, hidden, heads, activation, causal=causal, scaled=scaled, eps=eps, keys=keys)
                for _ in range(layers)
            ]
        )

    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        for layer in list(self.layers)[: self.used]:
            x = layer(x)
        return x
