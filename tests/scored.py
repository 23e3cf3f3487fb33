"""A network that compiles nothing, and folders of pictures for it: what the tests of scores share."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ldm.metrics.perceptual.extractors import Extractor
from ldm.metrics.perceptual.resize import CLEAN

PROJECTION = np.random.default_rng(0).normal(size=(4 * 4 * 3, 8)).astype(np.float32) / 255


def toy(**fields) -> Extractor:
    """A network that compiles nothing: a random projection of 4 x 4 pixels."""
    asked = []

    def look(levels):
        asked.append(len(levels))
        return levels.reshape(len(levels), -1) @ PROJECTION

    named = dict(name="toy", title="Toy", protocol="toy", resizer=CLEAN, side=4, dimension=8, look=look)
    made = Extractor(**named | dict(logits=lambda x: x[:, :5], classes=5) | fields)
    made.look.asked = asked
    return made


def write(folder, n, seed, size=(9, 7), shift=0):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(n):
        pixels = (rng.integers(0, 200, (*size, 3)) + shift).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
        (folder / f"{i:03d}.txt").write_text(f"caption {i % 7}")
    return folder


def array(folder):
    names = sorted(folder.glob("*.png"))
    return toy().features([np.asarray(Image.open(name)) for name in names]).astype(np.float64)
