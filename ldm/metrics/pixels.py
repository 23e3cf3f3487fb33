"""How near a picture comes to the one it should be, pixel by pixel: PSNR and SSIM, one number a picture.

They ask for the very pixels, and so prefer a blur to a sharp guess (Blau & Michaeli 2018): read them beside a
perceptual distance.
"""

from __future__ import annotations

import numpy as np
import scipy
from jaxtyping import Float, UInt8

Images = UInt8[np.ndarray, "n h w 3"]
LUMA = np.array([0.299, 0.587, 0.114])
RADIUS, SIGMA = 5, 1.5  # of SSIM's window, 11 x 11
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(a: Images, b: Images) -> Float[np.ndarray, " n"]:
    """Return the peak signal-to-noise ratio, decibels, over all channels.

    For equal pictures it is that of an error of 1/256 level.
    """
    error = np.square(_checked(a, b)[0] - b).mean((1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(error, 2.0**-16))


def ssim(a: Images, b: Images) -> Float[np.ndarray, " n"]:
    """Return the structural similarity of the luma, at most 1 (Wang et al. 2004, eqs. 13-17).

    The Gaussian window is of 11 x 11 pixels, within the picture.
    """
    x, y = (part.astype(np.float64) @ LUMA for part in _checked(a, b))
    mean_x, mean_y = _windows(x), _windows(y)
    var_x, var_y = _windows(x * x) - mean_x**2, _windows(y * y) - mean_y**2
    together = _windows(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + C1) * (2 * together + C2)
    return (alike / ((mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2))).mean((1, 2))


def _windows(x: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h2 w2"]:
    """Return the weighted means of all windows that lie within the picture."""
    bell = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    for axis in (1, 2):
        x = scipy.ndimage.correlate1d(x, bell / bell.sum(), axis)
    return x[:, RADIUS:-RADIUS, RADIUS:-RADIUS]


def _checked(a: Images, b: Images) -> tuple[Float[np.ndarray, "n h w 3"], Float[np.ndarray, "n h w 3"]]:
    """Return both in float32. Raises: ValueError, one sentence, for what is no two times uint8 of one shape."""
    if a.shape != b.shape or a.ndim != 4 or a.shape[3] != 3 or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(
            f"got {a.dtype} of shape {a.shape} and {b.dtype} of shape {b.shape}; give two times uint8 (n, h, w, 3)."
        )
    if min(a.shape[1:3]) <= 2 * RADIUS:
        raise ValueError(f"the pictures are {a.shape[1]} x {a.shape[2]} pixels; give at least {2 * RADIUS + 1} a side.")
    return a.astype(np.float32), b.astype(np.float32)
