"""CLIP: pictures and captions as unit vectors of one space (Radford et al. 2021, arXiv:2103.00020).

The CLIP score is the cosine of the two (Hessel et al. 2021, arXiv:2104.08718); CMMD compares the image
vectors of ViT-L/14 at 336 px (Jayasumana et al. 2024, arXiv:2401.09603); CLIP-I is the cosine of two
pictures. Attributes are named as in `transformers.CLIPModel`: the published model.safetensors of
openai/clip-vit-base-patch32, -large-patch14 and -large-patch14-336 are read as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from ldm.metrics.perceptual.network import Network, View, exactly, in_batches, per_level, read
from ldm.metrics.perceptual.resize import CLIP
from ldm.networks.clip_text import ClipText, ClipTextConfig
from ldm.networks.initial import KeySource
from ldm.networks.layers import LayerNorm, Linear
from ldm.networks.transformer import Embedding, Encoder, Patches

MEAN, STD = per_level((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Shape of the image tower and of the space; the text tower has a shape of its own."""

    name: str
    side: int
    patch: int
    width: int
    layers: int
    heads: int
    dimension: int
    text: ClipTextConfig


VIT_B_32 = ClipConfig(
    name="CLIP ViT-B/32",
    side=224,
    patch=32,
    width=768,
    layers=12,
    heads=12,
    dimension=512,
    text=ClipTextConfig(width=512, hidden=2048, heads=8),
)
VIT_L_14 = ClipConfig(
    name="CLIP ViT-L/14", side=224, patch=14, width=1024, layers=24, heads=16, dimension=768, text=ClipTextConfig()
)
VIT_L_14_336 = ClipConfig(**vars(VIT_L_14) | {"name": "CLIP ViT-L/14@336", "side": 336})


class Embeddings(nnx.Module):
    """Patches, a class token before them, and a position added to each."""

    def __init__(self, config: ClipConfig, *, keys: KeySource):
        self.class_embedding = nnx.Param(jnp.zeros(config.width))
        self.patch_embedding = Patches(config.patch, config.width, bias=False, keys=keys)
        self.position_embedding = Embedding((config.side // config.patch) ** 2 + 1, config.width, keys=keys)

    def __call__(self, pixels: Float[Array, "b side side 3"]) -> Float[Array, "b n d"]:
        x = self.patch_embedding(pixels)
        first = jnp.broadcast_to(self.class_embedding[...], (x.shape[0], 1, x.shape[2]))
        return jnp.concatenate([first, x], 1) + self.position_embedding.weight[...]


class Vision(nnx.Module):
    """Pixels (b, side, side, 3), normalised -> the class token's last state (b, width)."""

    def __init__(self, config: ClipConfig, *, keys: KeySource):
        width = config.width
        self.embeddings = Embeddings(config, keys=keys)
        self.pre_layrnorm = LayerNorm(width)  # so spelt in the published files
        self.encoder = Encoder(config.layers, width, 4 * width, config.heads, config.text.activation, keys=keys)
        self.post_layernorm = LayerNorm(width)

    def __call__(self, pixels: Float[Array, "b side side 3"]) -> Float[Array, "b d"]:
        x = self.encoder(self.pre_layrnorm(self.embeddings(pixels)))
        return self.post_layernorm(x[:, 0])


def unit(x: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Return vectors of length 1 in the same directions."""
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


class Clip(nnx.Module):
    """Both towers, each with its projection into the common space."""

    def __init__(self, config: ClipConfig, *, keys: KeySource):
        self.vision_model, self.text_model = Vision(config, keys=keys), ClipText(config.text, keys=keys)
        self.visual_projection = Linear(config.width, config.dimension, bias=False, keys=keys)
        self.text_projection = Linear(config.text.width, config.dimension, bias=False, keys=keys)

    def __call__(self, pixels: Float[Array, "b side side 3"]) -> Float[Array, "b d"]:
        return unit(self.visual_projection(self.vision_model(pixels)))

    def text(self, ids: Int[Array, "b n"]) -> Float[Array, "b d"]:
        """Return the state at the end token, which has the highest id of all."""
        states = self.text_model(ids)
        end = jnp.take_along_axis(states, ids.argmax(-1)[:, None, None], 1)[:, 0]
        return unit(self.text_projection(end))


@exactly
def _texts(module: Clip, _: View, ids: Int[Array, "b n"]) -> Float[Array, "b d"]:
    return module.text(ids)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipNetwork(Network):
    """`network(images)` and `network.text(ids)`: float32 (n, dimension), of unit length."""

    config: ClipConfig

    def text(self, ids: Int[np.ndarray, "n length"]) -> Float[np.ndarray, "n d"]:
        """Return features of captions as CLIP's tokenizer gives them (`ldm.interop.stable_diffusion.tokenizer`).

        Raises: ValueError if these are no ids, or more a caption than the tower has positions.
        """
        ids, tower = np.asarray(ids), self.config.text
        if ids.ndim != 2 or ids.dtype.kind not in "iu" or not 1 <= ids.shape[1] <= tower.length:
            raise ValueError(
                f"{self.name} got {ids.dtype} of shape {ids.shape}; give it ids of shape (n, at most {tower.length})."
            )
        if ids.size and not 0 <= ids.min() <= ids.max() < tower.vocabulary:
            raise ValueError(
                f"{self.name} got ids from {ids.min()} to {ids.max()}; give it those of its tokenizer, 0 to "
                f"{tower.vocabulary - 1}."
            )
        return in_batches(partial(_texts, self.structure, self.view, self.params), ids.astype(np.int32))


def load_clip(path: str | Path, config: ClipConfig = VIT_L_14) -> ClipNetwork:
    """Return both towers with their published weights.

    Raises: ValueError, one sentence, for a file that is missing, broken or another network's.
    """
    skip = lambda name: None if name == "logit_scale" or name.endswith("position_ids") else name
    structure, params = read(path, lambda keys: Clip(config, keys=keys), skip)
    return ClipNetwork(
        name=config.name,
        view=View(CLIP, config.side, MEAN, STD),
        structure=structure,
        params=params,
        dimension=config.dimension,
        config=config,
    )
