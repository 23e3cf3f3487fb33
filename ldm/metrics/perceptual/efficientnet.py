"""EfficientNet-Lite0 on ImageNet (Tan & Le 2019, arXiv:1905.11946; no squeeze-excitation, ReLU6).

An independent judge of pictures: trained by others, on photographs, and never shown to the
generators. Its pooled features feed the distances called FD-EfficientNet and KID-EfficientNet
(`ldm.metrics`), which are *not* FID: FID is Inception's pool3 and nothing else.

A plain function over a flat dict of arrays; batch normalisations are folded into the kernels
(tools/convert_efficientnet.py).
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from ldm.metrics.perceptual.efficientnet_card import DIMENSION, SIDE, TRAINED, protocol
from ldm.metrics.perceptual.network import check, in_batches
from ldm.networks.weights import load

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # one for each of the 16 blocks


def resize(images: UInt8[Array, "n h w 3"], side: int) -> Float[Array, "n side side 3"]:
    """Resize bicubically (Keys, a = -1/2), antialiased where it shrinks, each channel in float32, clipped.

    As clean-fid's resizer (`ldm.metrics.perceptual.resize.CLEAN`) but for JAX's rounding of the weights, a
    hundredth of a level at most; the shipped statistics were made with it. Returns float32 in
    [0, 255].
    """
    shape = (images.shape[0], side, side, 3)
    return jax.image.resize(images.astype(jnp.float32), shape, "cubic").clip(0, 255)


def depthwise(x: Float[Array, "n h w c"], kernel: Float[Array, "k k 1 c"], stride: int) -> Array:
    """Compute a depthwise convolution, SAME padding, as a sum of k * k shifted products.

    XLA fuses the sum into one loop over channels; on a CPU this makes the whole network 9 times
    faster than `conv_general_dilated` with feature groups (3.6 against 32 ms an image).
    """
    k, height, width = kernel.shape[0], x.shape[1], x.shape[2]
    rows, cols = -(-height // stride), -(-width // stride)
    pads = [max((out - 1) * stride + k - size, 0) for out, size in ((rows, height), (cols, width))]
    x = jnp.pad(x, [(0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)])

    def tap(i: int, j: int) -> Array:
        i_end, j_end = i + (rows - 1) * stride + 1, j + (cols - 1) * stride + 1
        return x[:, i:i_end:stride, j:j_end:stride] * kernel[i, j].reshape(1, 1, 1, -1)

    return reduce(operator.add, (tap(i, j) for i in range(k) for j in range(k)))


def maps(weights: dict[str, Array], x: Float[Array, "n h w 3"]) -> Iterator[Float[Array, "n _ _ _"]]:
    """Yield the outputs of the sixteen blocks, and of the head, for pictures in [0, 255] at the size they have."""

    def bias(name: str) -> Array:
        return weights[f"{name}.bias"].reshape(1, 1, 1, -1)

    def pointwise(x: Array, name: str) -> Array:
        return x @ weights[f"{name}.kernel"][0, 0] + bias(name)

    x = (x - 127) / 128
    x = jax.lax.conv_general_dilated(
        x, weights["stem.kernel"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = jax.nn.relu6(x + bias("stem"))
    for i, stride in enumerate(STRIDES):
        name, h = f"blocks.{i}", x
        if f"{name}.expand.kernel" in weights:  # every block but the first
            h = jax.nn.relu6(pointwise(h, f"{name}.expand"))
        h = depthwise(h, weights[f"{name}.depthwise.kernel"], stride)
        h = jax.nn.relu6(h + bias(f"{name}.depthwise"))
        h = pointwise(h, f"{name}.project")
        x = x + h if h.shape == x.shape else h
        yield x
    yield jax.nn.relu6(pointwise(x, "head"))


def forward(weights: dict[str, Array], x: Float[Array, "n h w 3"]) -> Float[Array, "n 1280"]:
    """Return the mean-pooled features of pictures in [0, 255], at the size they have."""
    *_, head = maps(weights, x)
    return head.mean((1, 2))


@jax.jit(static_argnames="side")
def _features(weights: dict[str, Array], images: UInt8[Array, "n h w 3"], side: int) -> Array:
    with jax.default_matmul_precision("highest"):  # as `network.exactly`
        return forward(weights, resize(images, side))


@jax.jit
def _of_levels(weights: dict[str, Array], levels: Float[Array, "n side side 3"]) -> Float[Array, "n 1280"]:
    with jax.default_matmul_precision("highest"):
        return forward(weights, levels)


COMPARED = (0, 2, 4, 10, 15)  # the last blocks of each resolution: 1/2, 1/4, 1/8, 1/16, 1/32


@jax.jit(static_argnames="side")
def _distance(weights: dict[str, Array], a: UInt8[Array, "n h w 3"], b: Array, side: int) -> Float[Array, " n"]:
    with jax.default_matmul_precision("highest"):
        both = list(maps(weights, resize(jnp.concatenate([a, b]), side)))
    compared = [x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-10) for i, x in enumerate(both) if i in COMPARED]
    squares = [jnp.square(jnp.subtract(*jnp.split(x, 2))).sum(-1).mean((1, 2)) for x in compared]
    return reduce(operator.add, squares) / len(COMPARED)


@dataclass(frozen=True, kw_only=True, eq=False)
class EfficientNet:
    """`network(images)`: uint8 (n, H, W, 3) -> float32 (n, 1280), one compile per picture size."""

    weights: dict[str, Array]
    side: int = SIDE
    dimension = DIMENSION
    name = "EfficientNet"

    @property
    def protocol(self) -> str:
        """What determines the features; part of the protocol of every number made from them."""
        return protocol(self.side)

    def __call__(self, images: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n 1280"]:
        look = lambda part: _features(self.weights, part, self.side)
        return in_batches(look, check(images, self.name), batch=256)

    def of_levels(self, levels: Float[np.ndarray, "n side side 3"]) -> Float[np.ndarray, "n 1280"]:
        """Return features of pictures that were resized already, in [0, 255] (`resize.Resizer.on_host`)."""
        return in_batches(partial(_of_levels, self.weights), levels, batch=256)

    def distance(self, a: UInt8[np.ndarray, "n h w 3"], b: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
        """Return how far pictures are apart, 0 to 4, in LPIPS's way but with nothing learned from people.

        The formula is that of Zhang et al. (2018, eq. 1).

        Five blocks' maps, each pixel's channels scaled to unit length; squared differences, summed over channels,
        averaged over pixels and blocks. `ldm.metrics.perceptual.lpips` is the published one; its weights do not ship.
        """
        if a.shape != b.shape:
            raise ValueError(f"{self.name} got images of shapes {a.shape} and {b.shape}; give it pairs of one size.")
        look = lambda *pair: _distance(self.weights, *pair, self.side)
        return in_batches(look, check(a, self.name), check(b, self.name), batch=256)

    def logits(self, features: Float[np.ndarray, "n 1280"]) -> Float[np.ndarray, "n 1000"]:
        """Return ImageNet-1k class scores (before the softmax) from the features."""
        kernel, bias = (np.asarray(self.weights[f"logits.{part}"]) for part in ("kernel", "bias"))
        return features @ kernel + bias


def load_efficientnet(path: str | Path = TRAINED, *, side: int = SIDE) -> EfficientNet:
    """Return the network with its shipped weights, in float32; `side` is the resolution it looks at.

    Raises: ValueError, one sentence, for a file that is missing or broken, and for a side below 32.
    """
    if side < 32:
        raise ValueError(f"side is {side}, expected at least 32 pixels; 160 is the study's.")
    try:
        arrays = load(path, half_to_float32=True)
    except ValueError as error:
        raise ValueError(f"{str(error)[:-1]}, or restore the shipped one with `git checkout weights`.") from error
    return EfficientNet(weights=jax.device_put(arrays), side=side)
