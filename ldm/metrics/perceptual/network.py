"""What the feature networks share: pictures in batches, weights from a file, and a name for the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num, UInt8

from ldm.hashing import digest
from ldm.metrics.perceptual.resize import Resizer
from ldm.networks import batched, weights
from ldm.networks.initial import KeySource
from ldm.networks.structure import Params, Structure, abstract, merge
from ldm.networks.torch_layout import arrange


def check(images: np.ndarray, who: str) -> UInt8[np.ndarray, "n h w 3"]:
    """Raise ValueError, one sentence, for anything but a batch of uint8 pictures."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"{who} got {images.dtype} of shape {images.shape}; give it uint8 images of shape (n, height, width, 3)."
        )
    return images


def in_batches(
    look: Callable[..., Num[Array, "b ..."]], *arrays: Num[np.ndarray, "n ..."], batch: int = 64
) -> Num[np.ndarray, "n ..."]:
    """Return `look(*arrays)`, computed a batch of their rows at a time.

    batch: rows at once on an accelerator. More than 4 pictures fall out of a CPU's cache and take half
        as long again.
    """
    return batched.in_batches(look, *arrays, batch=4 if jax.default_backend() == "cpu" else batch)


class View(NamedTuple):
    """What a network sees of a picture: `side` pixels squared, each level x as (x - mean) / std."""

    resizer: Resizer
    side: int
    mean: tuple[float, ...]  # for all channels, or one for each; of levels 0 .. 255
    std: tuple[float, ...]

    def __call__(self, images: UInt8[Array, "n h w 3"]) -> Float[Array, "n side side 3"]:
        return self.normalised(self.resizer.resize(images, self.side))

    def normalised(self, levels: Float[Array, "n side side 3"]) -> Float[Array, "n side side 3"]:
        """Normalise pictures that have been resized."""
        return (levels - jnp.array(self.mean, jnp.float32)) / jnp.array(self.std, jnp.float32)


def per_level(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and spread as they are published, of pixels in [0, 1], for levels 0 .. 255."""
    return tuple(255 * m for m in mean), tuple(255 * s for s in std)


def exactly(look: Callable[..., Array]) -> Callable[..., Array]:
    """Compile in full float32: an accelerator's default is coarser, and its features another protocol's."""

    @partial(jax.jit, static_argnums=(0, 1))
    def compiled(structure: Structure, view: View, params: Params, *inputs: Array) -> Array:
        with jax.default_matmul_precision("highest"):
            return look(merge(structure, params), view, *inputs)

    return compiled


@exactly
def _features(module: nnx.Module, view: View, images: UInt8[Array, "n h w 3"]) -> Float[Array, "n d"]:
    return module(view(images))


@exactly
def _of_levels(module: nnx.Module, view: View, levels: Float[Array, "n side side 3"]) -> Float[Array, "n d"]:
    return module(view.normalised(levels))


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """`network(images)`: uint8 (n, H, W, 3) -> float32 (n, dimension), one compile per picture size."""

    name: str
    view: View
    structure: Structure  # of a module: pixels (n, side, side, 3) -> features (n, dimension)
    params: Params
    dimension: int

    @cached_property
    def protocol(self) -> str:
        """What determines the features; part of the protocol of every number made from them."""
        return (
            f"{self.name}, {self.dimension}-d, {self.view.side} px {self.view.resizer.name}, "
            f"float32, weights {digest(self.params, 8)}"
        )

    def __call__(self, images: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n d"]:
        """Return the features. Raises: ValueError if these are no uint8 images."""
        return in_batches(partial(_features, self.structure, self.view, self.params), check(images, self.name))

    def of_levels(self, levels: Float[np.ndarray, "n side side 3"]) -> Float[np.ndarray, "n d"]:
        """Return features of pictures that `Resizer.on_host` has resized: one compile, whatever shapes they had."""
        return in_batches(partial(_of_levels, self.structure, self.view, self.params), levels)


def read(
    path: str | Path,
    build: Callable[[KeySource], nnx.Module],
    rename: Callable[[str], str | None] = lambda name: name,
) -> tuple[Structure, Params]:
    """Return a module's structure and its weights from a safetensors file in torch's layout, in float32.

    rename: a name in the file -> our name; None for what is no weight of ours.
    Raises: ValueError, one sentence, for a file that is missing, pickled, truncated or foreign, and for a
    tensor that is missing, not expected or of another shape.
    """
    structure, like = abstract(build)
    params = arrange(Path(path), weights.load(path, half_to_float32=True), like, rename=rename)
    return structure, jax.device_put(params)
