"""What happens to pictures in the world: the second-order degradation of Real-ESRGAN (Wang et al. 2021).

Twice over: blur, resize, noise, JPEG; at the end a resize to the wanted size with a low-pass filter, before
or after the last JPEG. The ranges are those published for the 4x model. The record is drawn first
(`recipe`), then it is applied; both are a function of (seed, index) alone.

A real camera's low-resolution picture has no high-resolution twin, so super-resolution learns from pairs made
like this. As published, the degraded picture is made from the sharpened one, and that is the target, too.

Beside it stands a mild degradation, that of classical benchmarks: the picture is made smaller, and that is all.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import scipy
from jaxtyping import Float, UInt8
from PIL import Image

from ldm.data.blur import Bell, Planes, Range, Sinc, blurred, draw_blur, draw_sinc
from ldm.data.resample import cubic, pick, triangle

VERSION = 2  # raise it when a picture comes out otherwise: caches are keyed by it
Strength = Literal["published", "mild"]  # how much is lost: `degrade`, or `reduced` alone
STRENGTHS: tuple[Strength, ...] = get_args(Strength)
FACTOR = 4  # height and width of the sharp picture over those of the degraded one
MODES = ("area", "bilinear", "bicubic")
GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # luma of red, green, blue
GREY_NOISE = 0.4  # share of noise that is the same in all channels
RADIUS, SIGMA, AMOUNT, THRESHOLD = 25, 8.0, 0.5, 10 / 255  # of the unsharp mask; pixels, pixels, share, level


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Where the numbers of a stage are drawn from, each uniformly."""

    blur: float  # probability
    sigma: Range  # of the blur, pixels
    resize: tuple[float, float, float]  # probabilities of up, down, keep
    scale: Range
    gaussian: Range  # standard deviation, levels of 255; half of all noise
    poisson: Range  # times shot noise; the other half
    quality: tuple[int, int]  # of JPEG


FIRST = Ranges(
    blur=1.0,
    sigma=(0.2, 3.0),
    resize=(0.2, 0.7, 0.1),
    scale=(0.15, 1.5),
    gaussian=(1, 30),
    poisson=(0.05, 3),
    quality=(30, 95),
)
SECOND = Ranges(
    blur=0.8,
    sigma=(0.2, 1.5),
    resize=(0.3, 0.4, 0.3),
    scale=(0.3, 1.2),
    gaussian=(1, 25),
    poisson=(0.05, 2.5),
    quality=(30, 95),
)
LAST_SINC = 0.8  # probability of the last low-pass filter


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One blur, resize, noise and JPEG."""

    blur: Bell | Sinc | None
    scale: float
    mode: str  # one of MODES
    noise: str  # "gaussian" or "poisson"
    strength: float
    grey: bool
    quality: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that is drawn for one picture, but the noise itself."""

    first: Stage
    second: Stage
    sinc: Sinc | None
    mode: str  # of the last resize
    jpeg_last: bool  # the second stage's JPEG comes after the last resize and filter


def generator(seed: int, index: int) -> np.random.Generator:
    """Return the randomness of one picture."""
    return np.random.default_rng([seed, index])


def recipe(rng: np.random.Generator) -> Recipe:
    """Return what is done to one picture."""
    return Recipe(
        first=_stage(rng, FIRST),
        second=_stage(rng, SECOND),
        sinc=draw_sinc(rng) if rng.random() < LAST_SINC else None,
        mode=_mode(rng),
        jpeg_last=rng.random() < 0.5,
    )


def _mode(rng: np.random.Generator) -> str:
    return str(rng.choice(MODES))


def _stage(rng: np.random.Generator, ranges: Ranges) -> Stage:
    lo, hi = ranges.scale
    around = {"up": (1, hi), "down": (lo, 1), "keep": (1, 1)}[str(rng.choice(["up", "down", "keep"], p=ranges.resize))]
    noise = "gaussian" if rng.random() < 0.5 else "poisson"
    return Stage(
        blur=draw_blur(rng, ranges.sigma) if rng.random() < ranges.blur else None,
        scale=rng.uniform(*around),
        mode=_mode(rng),
        noise=noise,
        strength=rng.uniform(*getattr(ranges, noise)),
        grey=rng.random() < GREY_NOISE,
        quality=int(rng.integers(*ranges.quality, endpoint=True)),
    )


def degrade(
    images: UInt8[np.ndarray, "n H W 3"], seed: int, indices: Sequence[int] | np.ndarray
) -> UInt8[np.ndarray, "n h w 3"]:
    """Return sharp pictures at a quarter of their size, each degraded by its own recipe: a function of (seed, index).

    Sharpen them first (`sharpened`), as the published pipeline does.
    Raises: ValueError, one sentence, for anything but uint8 pictures whose sides are multiples of 4, one index each.
    """
    images = np.asarray(images)
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[3] != 3
        or any(s % FACTOR or not s for s in images.shape[1:3])
    ):
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}; give uint8 (n, height, width, 3), height and width"
            f" multiples of {FACTOR}."
        )
    if len(images) != len(indices):
        raise ValueError(f"{len(images)} images and {len(indices)} indices; give one index an image.")
    out = np.empty((len(images), images.shape[1] // FACTOR, images.shape[2] // FACTOR, 3), np.uint8)
    for k, i in enumerate(indices):
        rng = generator(seed, int(i))
        out[k] = applied(images[k], recipe(rng), rng)
    return out


def reduced(images: UInt8[np.ndarray, "n H W 3"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Return sharp pictures at a quarter of their size, averaged by bicubic weights, and not degraded otherwise."""
    size = (images.shape[2] // FACTOR, images.shape[1] // FACTOR)
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in images])


def applied(image: UInt8[np.ndarray, "H W 3"], what: Recipe, rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """Return one picture, degraded as the recipe says; `rng` draws the noise."""
    first, second, target = what.first, what.second, tuple(side // FACTOR for side in image.shape[:2])
    x = _planes(image)
    if first.blur:
        x = blurred(x, first.blur.kernel())
    x = resized(x, _scaled(image.shape[:2], first.scale), first.mode, first.scale)
    x = compressed(noisy(x, first, rng), first.quality)
    if second.blur:
        x = blurred(x, second.blur.kernel())
    x = resized(x, _scaled(target, second.scale), second.mode)
    x = noisy(x, second, rng)
    if not what.jpeg_last:
        x = compressed(x, second.quality)
    x = resized(x, target, what.mode)
    if what.sinc:
        x = blurred(x, what.sinc.kernel())
    if what.jpeg_last:
        x = compressed(x, second.quality)
    return _levels(x)


def resized(planes: Planes, shape: tuple[int, int], mode: str, scale: float | None = None) -> Planes:
    """Resize planes to `shape` (h, w) as torch's `interpolate` does it.

    Area averages; the other two modes pass pixels over and so alias.

    scale: what places are divided by, in place of the ratio of the sides: torch's `scale_factor`, of which the sides
        are only the rounded products. As published, the first resize has it; the later ones are told the sides.
    """
    rows, columns = (_matrix(size, out, mode, scale) for size, out in zip(planes.shape[1:], shape, strict=True))
    return rows @ planes @ columns.T


def noisy(planes: Planes, stage: Stage, rng: np.random.Generator) -> Planes:
    """Return planes with the stage's noise, clipped to [0, 1].

    Gaussian: of standard deviation strength / 255. Poisson: strength times the shot noise of as many photons at
    full light as the picture has different levels, rounded up to a power of two (as published).
    """
    shape = (1 if stage.grey else 3, *planes.shape[1:])
    if stage.noise == "gaussian":
        noise = rng.standard_normal(shape, np.float32) * np.float32(stage.strength / 255)
    else:
        seen = np.tensordot(GREY, planes, 1)[None] if stage.grey else planes
        levels = _levels(seen)
        photons = 2 ** np.ceil(np.log2(np.count_nonzero(np.bincount(levels.ravel()))))
        light = levels.transpose(2, 0, 1) / 255
        noise = ((rng.poisson(light * photons) / photons - light) * stage.strength).astype(np.float32)
    return np.clip(planes + noise, 0, 1)


def compressed(planes: Planes, quality: int) -> Planes:
    """Pass planes through JPEG, as Pillow writes it: colours at half the resolution."""
    file = io.BytesIO()
    Image.fromarray(_levels(planes)).save(file, "JPEG", quality=quality)
    return _planes(np.asarray(Image.open(file)))


def sharpened(images: UInt8[np.ndarray, "n H W 3"]) -> UInt8[np.ndarray, "n H W 3"]:
    """Sharpen by the unsharp mask of the published targets.

    Where a picture is away from its blur by more than 10 levels, it is moved away by half as much again.
    """
    images = np.asarray(images)
    rows, columns = (_bell(side) for side in images.shape[1:3])
    x = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    away = x - rows @ x @ columns.T
    mask = rows @ (np.abs(away) > THRESHOLD).astype(np.float32) @ columns.T
    x += mask * (np.clip(x + AMOUNT * away, 0, 1) - x)
    return np.clip(np.rint(x * 255), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


@lru_cache
def _bell(size: int) -> Float[np.ndarray, "size size"]:
    """Return the mask's Gaussian blur along one axis, the picture mirrored about its border pixels."""
    bell = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    return scipy.ndimage.correlate1d(np.eye(size), bell / bell.sum(), axis=0, mode="mirror").astype(np.float32)


def _matrix(size: int, out: int, mode: str, scale: float | None = None) -> Float[np.ndarray, "out size"]:
    if mode == "area":
        begin, end = np.arange(out) * size // out, -(-np.arange(1, out + 1) * size // out)
        pixel = np.arange(size)
        inside = (pixel >= begin[:, None]) & (pixel < end[:, None])
        return (inside / inside.sum(1, keepdims=True)).astype(np.float32)
    kernel, reach = (triangle, 1) if mode == "bilinear" else (cubic(-0.75), 2)
    places = (np.arange(out) + 0.5) / scale if scale else (np.arange(out) + 0.5) * size / out
    return pick(places - 0.5, size, kernel, reach).astype(np.float32)


def _scaled(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))


def _planes(image: UInt8[np.ndarray, "h w 3"]) -> Planes:
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / 255


def _levels(planes: Float[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "h w c"]:
    return np.clip(np.rint(planes * 255), 0, 255).astype(np.uint8).transpose(1, 2, 0)
