"""Prompt interpolation: pictures on the way from one caption to another, and how coherent they are.

The paper has it in the supplement, Fig. 24.

The text embeddings of two captions are mixed, a A + (1 - a) B, or turned into each other on the sphere; every
picture on the way starts from the same noise. The paper shows pictures. Here the way is measured: how direct it is in
the space of a feature network, whether it jumps, and whether each picture on it shows A, B or both.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.record import Scene


def lerp(a: float, first: Float[np.ndarray, "... d"], second: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "... d"]:
    """Return a first + (1 - a) second (supplement)."""
    return a * first + (1 - a) * second


def slerp(
    a: float, first: Float[np.ndarray, "... d"], second: Float[np.ndarray, "... d"]
) -> Float[np.ndarray, "... d"]:
    """Mix on the great circle from second (a = 0) to first (a = 1), each vector by its own (Shoemake 1985).

    Lengths mix evenly.

    A mean of two vectors is shorter than both; this way keeps them as long as the text tower makes them.
    """
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (first, second)]
    u, v = (x / np.maximum(length, 1e-12) for x, length in zip((first, second), lengths, strict=True))
    angle = np.arccos(np.clip((u * v).sum(-1, keepdims=True), -1, 1))
    close = angle < 1e-4  # then the chord is the arc
    sine = np.where(close, 1, np.sin(angle))
    weights = [np.where(close, w, np.sin(w * angle) / sine) for w in (a, 1 - a)]
    return (weights[0] * u + weights[1] * v) * lerp(a, *lengths)


def scene_pairs(data: Scenes, n: int) -> list[tuple[Scene, Scene]]:
    """Return the first n pairs of neighbouring scenes with one object each, and not the same.

    Raises: ValueError where the data hold fewer.
    """
    single = [scene for scene in map(data.scene, range(len(data))) if len(scene.objects) == 1]
    found = [(a, b) for a, b in zip(single[::2], single[1::2], strict=False) if a.objects[0].name != b.objects[0].name]
    if len(found) < n:
        raise ValueError(f"n = {n}: there are only {len(found)} pairs among {len(data)} scenes; ask for fewer.")
    return found[:n]
