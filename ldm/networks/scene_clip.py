"""The small CLIP of scenes: how well a picture fits a caption (Radford et al. 2021).

Its text tower conditions the UNets; with the image tower and both projections, which ship beside it, it is the verifier
that a search asks which of several pictures fits its caption best (`ldm.tasks.search`). It is trained in
`ldm.tasks.frozen.text`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from ldm.hashing import digest
from ldm.networks import weights
from ldm.networks.autoencoder import fold, to_side
from ldm.networks.batched import in_batches
from ldm.networks.initial import KeySource
from ldm.networks.layers import AnyArray, Conv, GroupNorm, Linear, ResBlock
from ldm.networks.structure import Params, Structure, abstract, merge
from ldm.networks.text import SceneTextTower, TextConfig, described
from ldm.networks.tokenizer import Tokenizer

SIDE = 64  # of the pictures that the image tower sees
CELLS = 8  # of its map, along a side
WIDTH = 64  # of the image tower
OWN = ("pool.", "text_proj.", "image.", "logit_scale")  # how the names begin of what is not the text tower's


class ImageTower(nnx.Module):
    """Pixels (b, 64, 64, 3) -> map (b, 8, 8, 2 width) and embedding (b, out), not normalised.

    Works on 4x4 patches; the embedding reads the map cell by cell: it knows where things are.
    """

    def __init__(self, width: int, outputs: int, *, keys: KeySource):
        self.conv_in = Conv(48, width, keys=keys)
        self.block1 = ResBlock(width, width, 0, 16, keys=keys)
        self.down = Conv(width, 2 * width, stride=2, keys=keys)
        self.block2 = ResBlock(2 * width, 2 * width, 0, 16, keys=keys)
        self.block3 = ResBlock(2 * width, 2 * width, 0, 16, keys=keys)
        self.norm = GroupNorm(2 * width, 16)
        self.squeeze = Conv(2 * width, 32, 1, keys=keys)
        self.proj = Linear(32 * CELLS**2 + 2 * width, outputs, keys=keys)

    def __call__(self, pixels: Float[AnyArray, "b h w 3"]) -> tuple[Array, Array]:
        x = self.block1(self.conv_in(fold(pixels, 4)))
        x = self.block3(self.block2(self.down(x)))
        x = nnx.silu(self.norm(x))
        flat = nnx.silu(self.squeeze(x)).reshape(x.shape[0], -1)
        return x, self.proj(jnp.concatenate([flat, x.mean((1, 2))], -1))


class SceneClip(nnx.Module):
    """Both towers, their projections, and the temperature."""

    def __init__(self, text: TextConfig, *, width: int = WIDTH, keys: KeySource):
        self.text = SceneTextTower(text, keys=keys)
        self.pool = Linear(text.out, 2 * text.width, keys=keys)
        self.text_proj = Linear(2 * text.width, 2 * text.width, keys=keys)
        self.image = ImageTower(width, 2 * text.width, keys=keys)
        self.logit_scale = nnx.Param(jnp.asarray(math.log(1 / 0.07), jnp.float32))

    def captions(self, ids: Int[Array, "b n"]) -> tuple[Array, Array, Array]:
        """Return context, its pooled features, unit embedding.

        Pooled over all positions, since the UNet sees padding too; and not linearly, since a mean
        of words alone does not know which of two objects is on the left.
        """
        context = self.text(ids)
        pooled = jax.nn.gelu(self.pool(context)).mean(1)
        return context, pooled, normalised(self.text_proj(pooled))

    def pictures(self, pixels: Float[AnyArray, "b 64 64 3"]) -> tuple[Array, Array]:
        """Return feature map and unit embedding."""
        features, embedding = self.image(pixels)
        return features, normalised(embedding)


def normalised(x: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Return vectors of length 1 in the same directions."""
    return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-8)


@partial(jax.jit, static_argnums=0)
def similarities(
    structure: Structure, params: Params, images: UInt8[Array, "b h w 3"], ids: Int[Array, "b n"]
) -> Float[Array, " b"]:
    """Return the cosine of each picture's embedding and its caption's."""
    net = merge(structure, params)
    return (net.pictures(to_side(images, SIDE))[1] * net.captions(ids)[2]).sum(-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Similarity:
    """Pictures and their captions -> how well each fits its own: cosines, (b,), larger is better."""

    structure: Structure
    params: Params
    tokenizer: Tokenizer
    batch: int = 64  # pictures at once: one compilation, whatever their number

    def __call__(self, images: UInt8[np.ndarray, "n h w 3"], captions: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Score pictures. Raises: ValueError for another number of captions, and for words that it does not know."""
        if len(images) != len(captions):
            raise ValueError(f"{len(captions)} captions of {len(images)} pictures: expected one each; give as many.")
        ids = self.tokenizer(captions)
        return in_batches(partial(similarities, self.structure, self.params), np.asarray(images), ids, batch=self.batch)


def save_clip(path: Path, params: Params, text: Path) -> None:
    """Write what a small CLIP has besides its text tower, in half precision; the tower's file is there already."""
    own = {name: array for name, array in params.items() if name.startswith(OWN)}
    weights.save_half(path, own, {"clip": {"tower": digest(weights.load(text))}})


def load_clip(path: Path, text: Path) -> Similarity:
    """Return the trained CLIP; `text`: the file of its text tower.

    Raises: ValueError, in one sentence, for a file that is missing or broken.
    """
    about: dict[str, Any] = {}
    for file, what in ((text, "tower"), (path, "clip")):
        if not (found := weights.metadata(file).get(what)):
            raise ValueError(f"{file} does not describe a {what}; restore it with `git checkout weights`.")
        about[what] = found
    if about["clip"]["tower"] != digest(weights.load(text)):
        raise ValueError(f"{path} was trained beside another text tower than {text}; restore both files.")
    tokenizer, config = described(**about["tower"])
    structure, shapes = abstract(lambda keys: SceneClip(config, keys=keys))
    own = weights.load(
        path, {name: like for name, like in shapes.items() if name.startswith(OWN)}, half_to_float32=True
    )
    params = own | {f"text.{name}": array for name, array in weights.load(text, half_to_float32=True).items()}
    return Similarity(
        structure=structure, params={name: jax.device_put(params[name]) for name in shapes}, tokenizer=tokenizer
    )
