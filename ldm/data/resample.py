"""Resamplers as matrices: one for the rows of a picture, one for its columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Matrix = Float[np.ndarray, "out in"]
Kernel = Callable[[np.ndarray], np.ndarray]


def triangle(x: np.ndarray) -> np.ndarray:
    """Interpolate linearly."""
    return np.maximum(1 - np.abs(x), 0)


def cubic(a: float) -> Kernel:
    """Return the kernel of cubic convolution (Keys 1981); PIL and TensorFlow have a = -1/2, torch a = -3/4."""

    def kernel(x: np.ndarray) -> np.ndarray:
        x = np.abs(x)
        near = ((a + 2) * x - (a + 3)) * x**2 + 1
        far = ((x - 5) * x + 8) * a * x - 4 * a
        return np.where(x < 1, near, np.where(x < 2, far, 0))

    return kernel


def smooth(size: int, out: int, kernel: Kernel, kept: slice = slice(None)) -> Matrix:
    """Resample antialiased: where the picture shrinks, the kernel widens with the step; weights sum to one.

    Of the `out` rows only those that are `kept` are made: all those of a long and narrow picture fill the memory.
    """
    step = size / out
    centres = (np.arange(out)[kept] + 0.5) * step
    weights = kernel((np.arange(size) + 0.5 - centres[:, None]) / max(step, 1))
    return weights / weights.sum(1, keepdims=True)


def pick(positions: Float[np.ndarray, " out"], size: int, kernel: Kernel, reach: int) -> Matrix:
    """Interpolate between the 2 x `reach` pixels around each position; those outside are the border's.

    Where the picture shrinks, pixels in between are passed over: this is what aliases.
    """
    base = np.floor(positions).astype(int)
    matrix = np.zeros((len(positions), size))
    for offset in range(1 - reach, 1 + reach):
        pixels = np.clip(base + offset, 0, size - 1)
        np.add.at(matrix, (np.arange(len(positions)), pixels), kernel(positions - (base + offset)))
    return matrix
