"""The resizers of published metrics: each is one matrix for the rows and one for the columns.

A distance between feature distributions moves with its resizer (Parmar et al. 2022, arXiv:2104.11222),
so the resizer is named in a network's protocol. The matrices are made in NumPy when a program is traced;
on the device a resize is two products, in full float32 or in integers. All take uint8 (n, h, w, 3) and return float32
in [0, 255].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from ldm.data.resample import Matrix, cubic, pick, smooth, triangle

COLUMNS, ROWS = "nhwc,vw->nhvc", "nhwc,uh->nuwc"
BITS = 22  # behind the point of PIL's integer weights


def resample(images: UInt8[Array, "n h w 3"], rows: Matrix, columns: Matrix) -> Float[Array, "n h2 w2 3"]:
    """rows x image x columns^T in float32, first along the width, clipped to [0, 255]."""
    x = images.astype(jnp.float32)
    for axis, matrix in ((COLUMNS, columns), (ROWS, rows)):
        x = jnp.einsum(axis, x, jnp.asarray(matrix, jnp.float32), precision="highest")
    return x.clip(0, 255)


def resample_levels(images: UInt8[Array, "n h w 3"], rows: Matrix, columns: Matrix) -> Float[Array, "n h2 w2 3"]:
    """The same as PIL does it to 8-bit pictures: in integers, and to whole levels after each of the two.

    Pillow 13 begins with the height where that shrinks much more than the width, which moves such pictures
    by some levels. The published numbers are older, so the width always comes first.
    """
    x = images.astype(jnp.int32)
    for axis, matrix in ((COLUMNS, columns), (ROWS, rows)):
        weights = jnp.asarray(np.rint(matrix * (1 << BITS)), jnp.int32)
        x = (jnp.einsum(axis, x, weights) + (1 << BITS - 1) >> BITS).clip(0, 255)
    return x.astype(jnp.float32)


def clean(images: UInt8[Array, "n h w 3"], side: int) -> Float[Array, "n side side 3"]:
    """clean-fid's: PIL's bicubic on one float channel at a time; antialiased, nothing is rounded."""
    _, h, w, _ = images.shape
    return resample(images, smooth(h, side, cubic(-0.5)), smooth(w, side, cubic(-0.5)))


def torch_bilinear(images: UInt8[Array, "n h w 3"], side: int) -> Float[Array, "n side side 3"]:
    """pytorch-fid's: `torch.nn.functional.interpolate`, bilinear, corners not aligned, aliased."""

    def matrix(size: int) -> Matrix:
        step = float(np.float32(size / side))  # as torch counts: in float32, rounded once
        return pick((step * (np.arange(side) + 0.5) - 0.5).astype(np.float32), size, triangle, 1)

    return resample(images, matrix(images.shape[1]), matrix(images.shape[2]))


def tensorflow_bilinear(images: UInt8[Array, "n h w 3"], side: int) -> Float[Array, "n side side 3"]:
    """TensorFlow 1's, which the first FID had and torch-fidelity keeps: aliased, half a pixel off."""

    def matrix(size: int) -> Matrix:
        return pick(np.float32(size / side) * np.arange(side, dtype=np.float32), size, triangle, 1)

    return resample(images, matrix(images.shape[1]), matrix(images.shape[2]))


def square(images: UInt8[Array, "n h w 3"], side: int) -> Float[Array, "n side side 3"]:
    """PIL's bicubic on 8-bit pictures, whatever their aspect: whole levels."""
    _, h, w, _ = images.shape
    return resample_levels(images, smooth(h, side, cubic(-0.5)), smooth(w, side, cubic(-0.5)))


def crop(images: UInt8[Array, "n h w 3"], side: int, shorter: int) -> Float[Array, "n side side 3"]:
    """The shorter side to `shorter` by PIL's bicubic on 8-bit pictures, then the middle `side` x `side`.

    Rounding as in torchvision's Resize and CenterCrop: down, and to the even one of two halves.
    """
    _, h, w, _ = images.shape

    def matrix(size: int) -> Matrix:
        out = shorter * size // min(h, w)
        start = round((out - side) / 2)
        return smooth(size, out, cubic(-0.5), slice(start, start + side))

    return resample_levels(images, matrix(h), matrix(w))


def _clip(images: UInt8[Array, "n h w 3"], side: int) -> Float[Array, "n side side 3"]:
    return crop(images, side, side)


def _dino(images: UInt8[Array, "n h w 3"], side: int) -> Float[Array, "n side side 3"]:
    return crop(images, side, side * 256 // 224)


class Resizer(NamedTuple):
    """A resizer and its name in protocols."""

    name: str
    resize: Callable[[UInt8[Array, "n h w 3"], int], Float[Array, "n side side 3"]]


CLEAN = Resizer("clean-fid bicubic", clean)
TORCH = Resizer("torch bilinear", torch_bilinear)
TENSORFLOW = Resizer("TensorFlow 1 bilinear", tensorflow_bilinear)
SQUARE = Resizer("PIL bicubic", square)
CLIP = Resizer("PIL bicubic, shorter side, centre crop", _clip)
DINO = Resizer("PIL bicubic, shorter side 8/7, centre crop", _dino)
