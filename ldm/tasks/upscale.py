"""Your own picture, four times as large.

Overlapping tiles of the size that the network learned are joined without seams.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from ldm.data.degrade import FACTOR
from ldm.data.pictures import opened, upright
from ldm.diffusion.plan import Plan
from ldm.files import check_file

LARGEST = 1024 * 1024  # pixels of a picture that is taken; the result, in memory, has sixteen times as many
TILES = 256  # restored at once


@runtime_checkable
class Restores(Protocol):
    """`ldm.tasks.superres.Restorer`, or what acts like it."""

    @property
    def side(self) -> int:
        """The side of the pictures that it takes, in pixels."""
        ...

    def images(
        self, low: UInt8[np.ndarray, "n h w 3"], plan: Plan | None, *, seed: int, first: int
    ) -> Iterator[UInt8[np.ndarray, "b H W 3"]]:
        """Yield the pictures four times as large, in batches; picture k has noise of index first + k."""
        ...


def upscale(
    image: UInt8[np.ndarray, "h w 3"],
    restorer: Restores,
    plan: Plan | None,
    *,
    overlap: int = 4,
    seed: int = 0,
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the picture, four times as large.

    Args:
        overlap: pixels that neighbouring tiles share. Across them one fades into the other, so where they agree there
            is nothing to see, and nowhere is there an edge.
    Raises: ValueError, one sentence, for anything but a uint8 picture of at most a million pixels, or an
        overlap that leaves a tile nothing of its own.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"the picture is {image.dtype} of shape {image.shape}; give uint8 (height, width, 3).")
    height, width = image.shape[:2]
    if height * width > LARGEST:
        raise _too_large("the picture", width, height)
    tile = restorer.side
    if not 0 <= 2 * overlap < tile:
        raise ValueError(
            f"overlap = {overlap}: expected 0 to less than half of the tile's {tile} pixels; make it smaller."
        )
    room = [(0, max(0, tile - side)) for side in (height, width)]
    wide = np.pad(image, [*room, (0, 0)], mode="symmetric")
    starts = [[*range(0, side - tile, tile - overlap), side - tile] for side in wide.shape[:2]]  # the last one is flush
    corners = [(y, x) for y in starts[0] for x in starts[1]]

    line = np.minimum(np.arange(FACTOR * tile) + 0.5, FACTOR * max(overlap, 1))
    window = np.minimum(line, line[::-1])
    window = (window[:, None] * window)[..., None].astype(np.float32)
    total = np.zeros((FACTOR * wide.shape[0], FACTOR * wide.shape[1], 3), np.float32)
    weight = np.zeros((*total.shape[:2], 1), np.float32)
    for begin in range(0, len(corners), TILES):
        some = corners[begin : begin + TILES]
        low = np.stack([wide[y : y + tile, x : x + tile] for y, x in some])
        restored = (big for batch in restorer.images(low, plan, seed=seed, first=begin) for big in batch)
        for (y, x), big in zip(some, restored, strict=True):
            here = np.s_[FACTOR * y : FACTOR * (y + tile), FACTOR * x : FACTOR * (x + tile)]
            total[here] += window * big
            weight[here] += window
    return np.rint(total / weight).astype(np.uint8)[: FACTOR * height, : FACTOR * width]


def read(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """Return a picture's pixels.

    Raises: ValueError, one sentence, for a file that is missing, no picture, or too large.
    """
    check_file(path, "a PNG, JPEG or WebP file")
    try:
        with opened(path) as file:
            size = file.size  # its header alone: a huge one is refused before it fills the memory
            image = upright(file) if size[0] * size[1] <= LARGEST else None
    except ValueError as error:
        raise ValueError(f"{path} is not a readable picture ({error}); give a PNG, JPEG or WebP file.") from error
    if image is None:
        raise _too_large(str(path), *size)
    return image


def _too_large(name: str, width: int, height: int) -> ValueError:
    return ValueError(f"{name} has {width} x {height} pixels; give at most {LARGEST:,}: crop it, or make it smaller.")
