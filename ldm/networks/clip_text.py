"""CLIP's text transformer, for the CLIP score and as it conditions Stable Diffusion (Radford et al. 2021, 2.4).

Stable Diffusion 1 has the tower of ViT-L/14 (quick GELU), Stable Diffusion 2 that of OpenCLIP's ViT-H/14
(GELU), of which it reads the penultimate layer through the final normalisation. As `diffusers` stores it,
the last of the 24 layers is simply left out; `penultimate` does the same to a tower that still has it.
Attributes are named as in `transformers.CLIPTextModel`, so a weight's path here is its path there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from flax import nnx
from jaxtyping import Array, Float, Int

from ldm.networks.initial import KeySource
from ldm.networks.layers import LayerNorm
from ldm.networks.transformer import Activation, Embedding, Encoder


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
                f"activation = {self.activation!r}: expected one of {', '.join(get_args(Activation))}; choose one of"
                " them."
            )


class Embeddings(nnx.Module):
    """Token plus position."""

    def __init__(self, config: ClipTextConfig, *, keys: KeySource):
        self.token_embedding = Embedding(config.vocabulary, config.width, keys=keys)
        self.position_embedding = Embedding(config.length, config.width, keys=keys)

    def __call__(self, ids: Int[Array, "b n"]) -> Float[Array, "b n d"]:
        return self.token_embedding.weight[...][ids] + self.position_embedding.weight[...][: ids.shape[1]]


class ClipText(nnx.Module):
    """Ids (b, n), n at most `config.length` -> context (b, n, width): every position's, padding's too."""

    def __init__(self, config: ClipTextConfig, *, keys: KeySource):
        self.embeddings = Embeddings(config, keys=keys)
        self.encoder = Encoder(
            config.layers,
            config.width,
            config.hidden,
            config.heads,
            config.activation,
            causal=True,
            unused=int(config.penultimate),
            keys=keys,
        )
        self.final_layer_norm = LayerNorm(config.width)

    def __call__(self, ids: Int[Array, "b n"]) -> Float[Array, "b n d"]:
        return self.final_layer_norm(self.encoder(self.embeddings(ids)))
