"""The picture of a scene: a background pattern, soft shadows, and the objects, composed in integers.

Patterns avoid the platform's sine, so that a picture is the same everywhere.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from ldm.data.scenes.config import KINDS, SceneConfig
from ldm.data.scenes.emoji import COLOURS, sprite
from ldm.data.scenes.record import Draws, Scene, Thing


def render(config: SceneConfig, scene: Scene) -> np.ndarray:
    """Return the picture of a scene: uint8 (S, S, 3)."""
    size = config.size
    picture = _background(scene, size)
    drawn = [_drawn(scene.style, thing) for thing in scene.objects]
    if config.shadow:
        canvas = Image.new("L", (size, size))
        drop = max(1, size // 40)
        for image, x, y in drawn:
            alpha = image.getchannel("a")
            canvas.paste(alpha, (x + drop // 2, y + drop), alpha)
        shade = np.asarray(canvas.filter(ImageFilter.BoxBlur(size / 48)), np.uint16)
        light = 1020 - shade[..., None] * np.uint32(7) // 5  # 35 % darker where it is full
        picture = (picture * light // 1020).astype(np.uint8)
    for image, x, y in drawn:
        pixels = np.asarray(image).astype(np.uint16)
        here = picture[y : y + image.height, x : x + image.width]
        over = (here * (255 - pixels[..., 3:]) + 127) // 255 + pixels[..., :3]
        here[:] = np.minimum(over, 255)
    return picture


def _drawn(style: str, thing: Thing) -> tuple[Image.Image, int, int]:
    """Return an object turned and fitted to its box, colours premultiplied by alpha, and its corner."""
    image = sprite(style, thing.index)
    if thing.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if thing.angle:
        image = image.rotate(thing.angle, Image.Resampling.BICUBIC, expand=True)
    box = image.getbbox() or (0, 0, *image.size)
    x0, y0, x1, _ = thing.box
    side, wide, high = x1 - x0, box[2] - box[0], box[3] - box[1]
    longest = max(wide, high)
    wide, high = ((2 * side * n + longest) // (2 * longest) for n in (wide, high))  # rounded
    image = image.resize((max(1, wide), max(1, high)), Image.Resampling.HAMMING, box=box)
    return image, x0 + (side - image.width) // 2, y0 + (side - image.height) // 2


def _background(scene: Scene, size: int) -> np.ndarray:
    """Draw the background, uint8 (S, S, 3)."""
    first, second = (np.array(COLOURS[name]) for name in (scene.colours * 2)[:2])
    share = np.arange(256)[:, None]
    ramp = ((first * (255 - share) + second * share + 127) // 255).astype(np.uint8)
    return ramp[pattern(scene.kind, scene.variation, size)]


@lru_cache(maxsize=512)
def pattern(kind: str, variation: int, size: int) -> np.ndarray:
    """Return how much of the second colour each pixel takes: uint8 (S, S), drawn at four times the resolution.

    `variation` 0 to 3 are the simple ones; higher ones add phases and a finer period.
    """
    fine = 4 * size
    axis = (np.arange(fine) + 0.5) / fine
    v, u = np.meshgrid(axis, axis, indexing="ij")
    turn, more = variation % 4, variation // 4
    phase, zoom = (more // 2) / 4, (1.0, 1.5)[more % 2]
    if kind == "plain":
        share = np.zeros_like(u)
    elif kind == "gradient":
        radius = ((u - 0.5) ** 2 + (v - 0.5) ** 2) * 2
        share = (v, u, (u + v) / 2, radius)[turn]
        share = np.clip((share - 0.5) * zoom + 0.5, 0, 1)
    elif kind == "striped":
        w = (v * 4, u * 4, (u + v) * 8 / 3, (u - v) * 8 / 3)[turn]
        share = (w * zoom + phase) % 1 >= 0.5
    elif kind == "checkered":
        a, b = ((u, v), (u * 4 / 3, v * 4 / 3), (u, v), ((u + v) / 2, (u - v) / 2))[turn]
        shift = phase + 0.5 * (turn == 2)
        share = (np.floor(a * 4 * zoom + shift) + np.floor(b * 4 * zoom + shift)) % 2
    elif kind == "dotted":
        a, b = (u, v) if turn < 3 else (v, u)
        a, b = a * 4 * zoom + phase, b * 4 * zoom
        if turn in (1, 3):
            a = a + 0.5 * (np.floor(b) % 2)
        share = (a % 1 - 0.5) ** 2 + (b % 1 - 0.5) ** 2 < (0.38 if turn == 2 else 0.31) ** 2
    elif kind == "wavy":
        along, across = ((u, v), (v, u))[turn % 2]
        bend = _sine(2 * along * zoom + phase + 0.5 * (turn // 2))
        share = (4 * zoom * across + 0.25 * bend) % 1 >= 0.5
    elif kind == "hilly":
        share = v > 0.6 - 0.04 * (more % 2) + 0.1 * _sine(u * zoom + phase + turn / 4)
    else:
        share = _random_pattern(kind, variation, fine)
    share = np.asarray(share, float).reshape(size, 4, size, 4).mean((1, 3))
    return np.floor(share * 255 + 0.5).astype(np.uint8)


def _random_pattern(kind: str, variation: int, fine: int) -> np.ndarray:
    draws = Draws(KINDS.index(kind), variation)
    if kind == "starry":
        share = np.zeros((fine, fine))
        y, x = np.mgrid[:fine, :fine] / fine
        for _ in range(24):
            cx, cy = draws.below(1024) / 1024, draws.below(1024) / 1024
            radius = draws.between(9, 20) / 1024
            share[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = 1
        return share
    cells = {"cloudy": 6, "grainy": 64}[kind]
    noise = np.array([draws.below(256) for _ in range(cells * cells)], np.uint8)
    image = Image.fromarray(noise.reshape(cells, cells))
    if kind == "cloudy":
        image = image.resize((fine, fine), Image.Resampling.BICUBIC)
        return np.clip((np.asarray(image) / 255 - 0.5) * 1.6 + 0.5, 0, 1)
    return np.asarray(image.resize((fine, fine), Image.Resampling.NEAREST)) / 510


def _sine(turns: np.ndarray) -> np.ndarray:
    """Return sin(2 pi turns) within 0.002 (Bhaskara I), from exactly rounded operations alone."""
    half = (turns % 1) * 2
    x = half % 1
    arch = 16 * x * (1 - x) / (5 - 4 * x * (1 - x))
    return np.where(half < 1, arch, -arch)
