"""DINO and DINOv2: vision transformers that learnt from pictures alone; their class token is the feature.

DINO ViT-S/16 (Caron et al. 2021, arXiv:2104.14294) compares subjects in DreamBooth; DINOv2 ViT-L/14
(Oquab et al. 2023, arXiv:2304.07193) is the space of FD-DINOv2 (Stein et al. 2023, arXiv:2306.04675).
The published model.safetensors of facebook/dino-vits16 and facebook/dinov2-large on Hugging Face are
read as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from ldm.data.resample import cubic, pick
from ldm.metrics.perceptual.network import Network, View, per_level, read
from ldm.metrics.perceptual.resize import DINO, SQUARE, Resizer
from ldm.networks.initial import KeySource
from ldm.networks.layers import LayerNorm
from ldm.networks.transformer import Encoder, Patches

MEAN, STD = per_level((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # ImageNet's
EPS = 1e-6  # of the normalisations, as in both authors' code


@dataclass(frozen=True, kw_only=True)
class DinoConfig:
    """Shape of a network, and what it is shown."""

    name: str
    side: int  # of the pictures it is shown
    trained: int  # side that its positions were learnt at
    patch: int
    width: int
    layers: int
    heads: int
    scaled: bool  # whether it has layer scale
    resizer: Resizer
    offset: float = 0.1  # patches by which the authors' code misses the side when it resizes positions


VIT_S_16 = DinoConfig(
    name="DINO ViT-S/16", side=224, trained=224, patch=16, width=384, layers=12, heads=6, scaled=False, resizer=DINO
)
VIT_L_14 = DinoConfig(
    name="DINOv2 ViT-L/14",
    side=224,
    trained=518,
    patch=14,
    width=1024,
    layers=24,
    heads=16,
    scaled=True,
    resizer=SQUARE,
)


class Projection(nnx.Module):
    """The patches' projection, a level deeper for the published names' sake."""

    def __init__(self, config: DinoConfig, *, keys: KeySource):
        self.projection = Patches(config.patch, config.width, bias=True, keys=keys)


class Embeddings(nnx.Module):
    """Patches, a class token before them, and a position added to each."""

    def __init__(self, config: DinoConfig, *, keys: KeySource):
        self.grid, self.learnt, self.offset = config.side // config.patch, config.trained // config.patch, config.offset
        self.cls_token = nnx.Param(jnp.zeros((1, 1, config.width)))
        self.patch_embeddings = Projection(config, keys=keys)
        self.position_embeddings = nnx.Param(jnp.zeros((1, self.learnt**2 + 1, config.width)))

    def positions(self) -> Float[Array, "1 n d"]:
        """Return positions as learnt; for another grid resized by torch's bicubic, which does not antialias.

        The authors give torch the factor (grid + 0.1) / learnt in place of the size, against a rounding
        error. It moves every position a little, so it is kept. transformers gives the size: offset = 0.
        """
        learnt = self.position_embeddings[...]
        if self.grid == self.learnt:
            return learnt
        step = self.learnt / (self.grid + self.offset)
        places = step * (np.arange(self.grid) + 0.5) - 0.5
        matrix = jnp.asarray(pick(places, self.learnt, cubic(-0.75), 2), jnp.float32)
        square = learnt[0, 1:].reshape(self.learnt, self.learnt, -1)
        square = jnp.einsum("ui,vj,ijd->uvd", matrix, matrix, square)
        return jnp.concatenate([learnt[:, :1], square.reshape(1, self.grid**2, -1)], 1)

    def __call__(self, pixels: Float[Array, "b side side 3"]) -> Float[Array, "b n d"]:
        x = self.patch_embeddings.projection(pixels)
        first = jnp.broadcast_to(self.cls_token[...], (x.shape[0], 1, x.shape[2]))
        return jnp.concatenate([first, x], 1) + self.positions()


class Dino(nnx.Module):
    """Pixels (b, side, side, 3), normalised -> the class token's last state (b, width)."""

    def __init__(self, config: DinoConfig, *, keys: KeySource):
        width = config.width
        self.embeddings = Embeddings(config, keys=keys)
        self.encoder = Encoder(config.layers, width, 4 * width, config.heads, scaled=config.scaled, eps=EPS, keys=keys)
        self.layernorm = LayerNorm(width, EPS)

    def __call__(self, pixels: Float[Array, "b side side 3"]) -> Float[Array, "b d"]:
        return self.layernorm(self.encoder(self.embeddings(pixels))[:, 0])


# The published files' names, DINO's and DINOv2's, for those of `ldm.networks.transformer`; the first that fits counts.
NAMES = (
    ("attention.attention.query", "self_attn.q_proj"),
    ("attention.attention.key", "self_attn.k_proj"),
    ("attention.attention.value", "self_attn.v_proj"),
    ("attention.output.dense", "self_attn.out_proj"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
    ("layernorm_before", "layer_norm1"),
    ("layernorm_after", "layer_norm2"),
    ("norm1", "layer_norm1"),
    ("norm2", "layer_norm2"),
)


def ours(name: str) -> str | None:
    """Return a published name -> ours; None for what only training needs."""
    if name == "embeddings.mask_token" or name.startswith("pooler."):
        return None
    name = name.replace("encoder.layer.", "encoder.layers.")
    for theirs, mine in NAMES:
        if f".{theirs}." in name:
            return name.replace(f".{theirs}.", f".{mine}.")
    return name


def load_dino(path: str | Path, config: DinoConfig = VIT_L_14) -> Network:
    """Return the network with its published weights.

    Raises: ValueError, one sentence, for a file that is missing, broken or another network's.
    """
    structure, params = read(path, lambda keys: Dino(config, keys=keys), ours)
    return Network(
        name=f"{config.name} class token",
        view=View(config.resizer, config.side, MEAN, STD),
        structure=structure,
        params=params,
        dimension=config.width,
    )
