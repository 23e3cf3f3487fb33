"""Captions to contexts: the text tower whose output the UNet's cross-attention reads.

As Stable Diffusion is conditioned by the frozen text tower of CLIP (Radford et al. 2021), so the
scenes' family is by the frozen text tower of a small CLIP trained on scenes
(`ldm.tasks.frozen.text.train_text`). The context has one vector for each of `length` positions, and
the UNet sees all of them without a mask, padding included, as in Stable Diffusion: a padded
position attends to the caption's words like any other and carries a summary of them.

The null condition of classifier-free guidance is the context of the empty caption "".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from ldm.networks import weights
from ldm.networks.batched import in_batches
from ldm.networks.initial import KeySource, normal
from ldm.networks.layers import Attention, LayerNorm, Linear
from ldm.networks.structure import Params, Structure, abstract, merge, split
from ldm.networks.tokenizer import FIRST_WORD, PAD, Tokenizer, Tokenizes


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Shape of a text tower."""

    words: int  # in the tokenizer's vocabulary
    length: int = 24
    width: int = 128
    layers: int = 3
    heads: int = 4
    context: int = 0  # width of what comes out, where it is projected to another than the tower's

    @property
    def out(self) -> int:
        return self.context or self.width


class Mlp(nnx.Module):
    """To four times the width, GELU, and back."""

    def __init__(self, width: int, *, keys: KeySource):
        self.fc1 = Linear(width, 4 * width, keys=keys)
        self.fc2 = Linear(4 * width, width, keys=keys)

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        return self.fc2(jax.nn.gelu(self.fc1(x)))


class TextLayer(nnx.Module):
    """Self-attention and an MLP, each on a normalised input, each added."""

    def __init__(self, width: int, heads: int, *, keys: KeySource):
        self.layer_norm1 = LayerNorm(width)
        self.self_attn = Attention(width, width, heads, bias=True, keys=keys)
        self.layer_norm2 = LayerNorm(width)
        self.mlp = Mlp(width, keys=keys)

    def __call__(self, x: Float[Array, "b n d"], mask: Bool[Array, "b 1 1 n"]) -> Float[Array, "b n d"]:
        y = self.layer_norm1(x)
        x = x + self.self_attn(y, y, mask)
        return x + self.mlp(self.layer_norm2(x))


class SceneTextTower(nnx.Module):
    """Ids (b, length) -> context (b, length, out).

    Every position looks at the words and the end, in both directions, and none looks at padding.
    """

    def __init__(self, config: TextConfig, *, keys: KeySource):
        rows = FIRST_WORD + config.words
        self.token_embedding = nnx.Param(normal(keys(), (rows, config.width), 0.5))
        self.position_embedding = nnx.Param(normal(keys(), (config.length, config.width), 0.1))
        self.layers = nnx.List([TextLayer(config.width, config.heads, keys=keys) for _ in range(config.layers)])
        self.project = Linear(config.width, config.out, keys=keys) if config.out != config.width else None
        self.final_layer_norm = LayerNorm(config.out)

    def __call__(self, ids: Int[Array, "b n"]) -> Float[Array, "b n d"]:
        x = self.token_embedding[...][ids] + self.position_embedding[...]
        mask = (ids != PAD)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        return self.final_layer_norm(self.project(x) if self.project else x)


@partial(jax.jit, static_argnums=0)
def _encode(structure: Structure, params: Params, ids: Int[Array, "b n"]) -> Float[Array, "b n d"]:
    return merge(structure, params)(ids)


@dataclass(frozen=True, kw_only=True, eq=False)
class TextEncoder:
    """Captions -> context, float32 (n, length, width), of about unit variance."""

    structure: Structure
    params: Params
    tokenizer: Tokenizes
    width: int
    batch: int = 64  # captions at once: one compilation, whatever their number

    def encode(self, captions: Sequence[str]) -> Float[np.ndarray, "n length width"]:
        """Encode captions. Raises: ValueError for unknown words and captions that are too long (see `Tokenizer`)."""
        ids = self.tokenizer(captions)
        context = in_batches(partial(_encode, self.structure, self.params), ids, batch=self.batch)
        return context.astype(np.float32, copy=False)

    def null(self, n: int) -> Float[np.ndarray, "n length width"]:
        """Return n times the null condition: the context of the empty caption."""
        return np.repeat(self.encode([""]), n, 0)


def described(words: Sequence[str], *, length: int = 24, **shape: int) -> tuple[Tokenizer, TextConfig]:
    """Return the tokenizer and the shape of a tower; `shape` holds further fields of `TextConfig`."""
    tokenizer = Tokenizer(words=tuple(words), length=length)
    return tokenizer, TextConfig(words=len(tokenizer.words), length=length, **shape)


def build(words: Sequence[str], *, length: int = 24, seed: int = 0, **shape: int) -> TextEncoder:
    """Return an untrained encoder."""
    tokenizer, config = described(words, length=length, **shape)
    structure, params = split(SceneTextTower(config, keys=KeySource(jax.random.key(seed))))
    return TextEncoder(structure=structure, params=params, tokenizer=tokenizer, width=config.out)


def load_text_encoder(path: str | Path) -> TextEncoder:
    """Return the trained encoder, in float32.

    The file describes itself: "tower" holds the arguments of `described`, "accuracy" what the tower
    knew about scenes that it had not seen.
    Raises: ValueError, in one sentence, for a file that is missing or broken.
    """
    tower = weights.metadata(path).get("tower")
    if not tower:
        raise ValueError(f"{path} does not describe a text tower; restore it with `git checkout weights`.")
    tokenizer, config = described(**tower)
    structure, shapes = abstract(lambda keys: SceneTextTower(config, keys=keys))
    params = weights.load(path, shapes, half_to_float32=True)
    params = {name: jax.device_put(params[name]) for name in shapes}
    return TextEncoder(structure=structure, params=params, tokenizer=tokenizer, width=config.out)
