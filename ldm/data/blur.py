"""Blur kernels: what lenses, motion and resamplers do to a picture (Wang et al. 2021, Real-ESRGAN, section 3.2).

Three families of bells, each round or stretched, over q = x' S^-1 x, S the covariance of a turned ellipse:

    Gaussian exp(-q / 2),   generalised exp(-q^beta / 2),   plateau 1 / (1 + q^beta)

and the circular low-pass filter, whose ringing is what sharpened and compressed pictures show.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float

Kernel = Float[np.ndarray, "k k"]  # sums to one
Planes = Float[np.ndarray, "3 h w"]  # float32 in [0, 1]
Range = tuple[float, float]

SIZES = tuple(range(7, 22, 2))  # sides of kernels, all equally likely
KINDS = {
    "gaussian round": 0.45,
    "gaussian stretched": 0.25,
    "generalised round": 0.12,
    "generalised stretched": 0.03,
    "plateau round": 0.12,
    "plateau stretched": 0.03,
}
BETA = {"gaussian": (1.0, 1.0), "generalised": (0.5, 4.0), "plateau": (1.0, 2.0)}
SINC = 0.1  # share of low-pass filters among a stage's kernels


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the pixels, seen from the middle."""
    line = np.arange(size) - (size - 1) / 2
    return np.meshgrid(line, line)


class Bell(NamedTuple):
    """A bell of one of KINDS; sigmas in pixels, along axes that are turned by `angle` (radians)."""

    kind: str
    size: int
    sigma: tuple[float, float]
    angle: float = 0.0
    beta: float = 1.0

    def kernel(self) -> Kernel:
        """Return the kernel, which sums to 1."""
        x, y = _grid(self.size)
        along = x * np.cos(self.angle) + y * np.sin(self.angle)
        across = y * np.cos(self.angle) - x * np.sin(self.angle)
        q = ((along / self.sigma[0]) ** 2 + (across / self.sigma[1]) ** 2) ** self.beta
        bell = 1 / (1 + q) if self.kind.startswith("plateau") else np.exp(-q / 2)
        return bell / bell.sum()


class Sinc(NamedTuple):
    """A low-pass filter that keeps frequencies below `cutoff` (radians a pixel, pi is all), cut off at its borders."""

    size: int
    cutoff: float

    def kernel(self) -> Kernel:
        """Return the kernel, which sums to 1."""
        r = np.hypot(*_grid(self.size))
        r[self.size // 2, self.size // 2] = 1  # any number: the limit stands there
        disc = self.cutoff * scipy.special.j1(self.cutoff * r) / (2 * np.pi * r)
        disc[self.size // 2, self.size // 2] = self.cutoff**2 / (4 * np.pi)
        return disc / disc.sum()


def draw_blur(rng: np.random.Generator, sigma: Range) -> Bell | Sinc:
    """Return a kernel of a degradation stage, its widths within `sigma`."""
    size = int(rng.choice(SIZES))
    if rng.random() < SINC:
        return draw_sinc(rng, size, widest=np.pi / 3 if size < 13 else np.pi / 5)
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    widths = rng.uniform(*sigma, 2)
    lo, hi = BETA[kind.split()[0]]
    beta = rng.uniform(lo, 1) if rng.random() < 0.5 else rng.uniform(1, hi)  # as often flatter as more pointed
    if kind.endswith("round"):
        return Bell(kind, size, (widths[0], widths[0]), beta=beta)
    return Bell(kind, size, (widths[0], widths[1]), rng.uniform(-np.pi, np.pi), beta)


def draw_sinc(rng: np.random.Generator, size: int | None = None, widest: float = np.pi / 3) -> Sinc:
    """Return a low-pass filter, of any size unless given, that cuts off somewhere between `widest` and pi."""
    return Sinc(size or int(rng.choice(SIZES)), rng.uniform(widest, np.pi))


def blurred(planes: Planes, kernel: Kernel) -> Planes:
    """Filter each plane; outside, the picture is mirrored about its border pixels. Not clipped: a sinc overshoots.

    Kernels are the same turned by half a circle, so that convolution and correlation are one.
    """
    reach = len(kernel) // 2
    wide = np.pad(planes, [(0, 0), (reach, reach), (reach, reach)], mode="reflect")
    return scipy.signal.fftconvolve(wide, kernel[None].astype(np.float32), mode="valid", axes=(1, 2))
