"""The resizers of published metrics: each is one matrix for the rows and one for the columns.

A distance between feature distributions moves with its resizer (Parmar et al. 2022, arXiv:2104.11222),
so the resizer is named in a network's protocol. The matrices are made in NumPy when a program is traced;
on the device a resize is two products, in full float32 or in integers. All take uint8 (n, h, w, 3) and return float32
in [0, 255]. A folder of photographs has nearly as many shapes as pictures, and a program each would take longer to
compile than to run: `Resizer.on_host` resizes one picture by the same matrices in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float, UInt8

from ldm.data.resample import Matrix, cubic, pick, smooth, triangle

COLUMNS, ROWS = "nhwc,vw->nhvc", "nhwc,uh->nuwc"
Rows = Float[np.ndarray, "side h"]
Columns = Float[np.ndarray, "side w"]
Matrices = tuple[Rows, Columns]  # for the rows of a picture, and for its columns
BITS = 22  # behind the point of PIL's integer weights


def resample(images: UInt8[Array, "n h w 3"], rows: Rows, columns: Columns) -> Float[Array, "n side side 3"]:
    """Return rows x image x columns^T in float32, first along the width, clipped to [0, 255]."""
    x = images.astype(jnp.float32)
    for axis, matrix in ((COLUMNS, columns), (ROWS, rows)):
        x = jnp.einsum(axis, x, jnp.asarray(matrix, jnp.float32), precision="highest")
    return x.clip(0, 255)


def resample_levels(images: UInt8[Array, "n h w 3"], rows: Rows, columns: Columns) -> Float[Array, "n side side 3"]:
    """Resample 8-bit pictures as PIL does: in integers, and to whole levels after each of the two products.

    Pillow 13 begins with the height where that shrinks much more than the width, which moves such pictures
    by some levels. The published numbers are older, so the width always comes first.
    """
    x = images.astype(jnp.int32)
    for axis, matrix in ((COLUMNS, columns), (ROWS, rows)):
        weights = jnp.asarray(np.rint(matrix * (1 << BITS)), jnp.int32)
        x = (jnp.einsum(axis, x, weights) + (1 << BITS - 1) >> BITS).clip(0, 255)
    return x.astype(jnp.float32)


def clean(h: int, w: int, side: int) -> Matrices:
    """Return clean-fid's matrices: PIL's bicubic on one float channel at a time; antialiased, nothing is rounded."""
    return smooth(h, side, cubic(-0.5)), smooth(w, side, cubic(-0.5))


def torch_bilinear(h: int, w: int, side: int) -> Matrices:
    """Return pytorch-fid's matrices: `torch.nn.functional.interpolate`, bilinear, corners not aligned, aliased."""

    def matrix(size: int) -> Matrix:
        step = float(np.float32(size / side))  # as torch counts: in float32, rounded once
        return pick((step * (np.arange(side) + 0.5) - 0.5).astype(np.float32), size, triangle, 1)

    return matrix(h), matrix(w)


def tensorflow_bilinear(h: int, w: int, side: int) -> Matrices:
    """Return TensorFlow 1's matrices, which the first FID had and torch-fidelity keeps: aliased, half a pixel off."""

    def matrix(size: int) -> Matrix:
        return pick(np.float32(size / side) * np.arange(side, dtype=np.float32), size, triangle, 1)

    return matrix(h), matrix(w)


def crop(h: int, w: int, side: int, shorter: int) -> Matrices:
    """Return matrices of PIL's bicubic that bring the shorter side to `shorter`, then the middle `side` x `side`.

    Rounding as in torchvision's Resize and CenterCrop: down, and to the even one of two halves.
    """

    def matrix(size: int) -> Matrix:
        out = shorter * size // min(h, w)
        start = round((out - side) / 2)
        return smooth(size, out, cubic(-0.5), slice(start, start + side))

    return matrix(h), matrix(w)


class Resizer(NamedTuple):
    """A resizer: its name in protocols, its matrices, and whether it makes whole levels, as of 8-bit pictures."""

    name: str
    matrices: Callable[[int, int, int], Matrices]  # height, width and side -> rows (side, h), columns (side, w)
    whole: bool = False

    def resize(self, images: UInt8[Array, "n h w 3"], side: int) -> Float[Array, "n side side 3"]:
        """Resize pictures of one shape, where the network is."""
        _, height, width, _ = images.shape
        matrices = self.matrices(height, width, side)
        return (resample_levels if self.whole else resample)(images, *matrices)

    def on_host(self, image: UInt8[np.ndarray, "h w 3"], side: int) -> Float[np.ndarray, "side side 3"]:
        """Return one picture of any shape, in float64 and then rounded to float32.

        Whole levels are equal to the last one.
        """
        h, w, _ = image.shape
        rows, columns = _sparse(self, h, w, side)
        x = image.transpose(1, 0, 2).reshape(w, -1).astype(np.float64)
        x = self._held(columns @ x).reshape(side, h, 3)
        x = self._held(rows @ x.transpose(1, 0, 2).reshape(h, -1))
        return x.reshape(side, side, 3).clip(0, 255).astype(np.float32)

    def _held(self, x: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
        """Return what PIL keeps between the two products of an 8-bit picture: whole levels."""
        return np.floor(x / (1 << BITS) + 0.5).clip(0, 255) if self.whole else x


@lru_cache(maxsize=64)
def _sparse(resizer: Resizer, h: int, w: int, side: int) -> tuple[scipy.sparse.csr_array, scipy.sparse.csr_array]:
    """Return the matrices of a shape, most of whose entries are 0; of whole levels in integers, exact in float64."""
    scaled = lambda matrix: np.rint(matrix * (1 << BITS)) if resizer.whole else matrix
    return tuple(scipy.sparse.csr_array(scaled(matrix)) for matrix in resizer.matrices(h, w, side))


CLEAN = Resizer("clean-fid bicubic", clean)
TORCH = Resizer("torch bilinear", torch_bilinear)
TENSORFLOW = Resizer("TensorFlow 1 bilinear", tensorflow_bilinear)
SQUARE = Resizer("PIL bicubic", clean, whole=True)
CLIP = Resizer("PIL bicubic, shorter side, centre crop", lambda h, w, side: crop(h, w, side, side), whole=True)
DINO = Resizer(
    "PIL bicubic, shorter side 8/7, centre crop", lambda h, w, side: crop(h, w, side, side * 256 // 224), whole=True
)
