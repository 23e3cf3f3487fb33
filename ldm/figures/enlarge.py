"""Photographs in a notebook, the book's and one's own: enlarged, saved whole, shown beside bicubic enlargement.

The page holds a reduced picture and, of a large one, its middle pixel by pixel: the whole would be megabytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ldm import paths
from ldm.data import pictures
from ldm.data.degrade import reduced
from ldm.diffusion.plan import Plan
from ldm.figures.divider import divider
from ldm.tasks import pairs, upscale

EXAMPLES = tuple(sorted((paths.ROOT / "art" / "photographs").glob("*.jpg")))  # of 256 px, with their licence
WHOLE, DETAIL = 768, 384  # pixels of the longer side, on the page


def example(path: Path) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "H W 3"]]:
    """Return a photograph at a quarter of its size, and as it was: sides are multiples of 4."""
    whole = upscale.read(path)
    return reduced(whole[None])[0], whole


def enlarged(
    small: UInt8[np.ndarray, "h w 3"],
    restorer: upscale.Restores,
    plan: Plan | None,
    *,
    name: str,
    true: UInt8[np.ndarray, "H W 3"] | None = None,
    folder: Path = paths.RUNS / "upscaled",
) -> tuple[Any, Path]:
    """Show the picture four times as large under a divider against bicubic, and the true one where it is known.

    The file that holds all of it is returned as well, named like `name`.
    """
    big = {"bicubic": pairs.enlarged(small[None])[0], "restored": upscale.upscale(small, restorer, plan)}
    big |= {} if true is None else {"true": true}
    path = folder / f"{Path(name).stem}.png"
    pictures.save(path, big["restored"])
    parts = {
        way: [_whole(image), *([_middle(image)] if max(image.shape) > WHOLE else [])] for way, image in big.items()
    }
    names = ["the whole", "its middle, pixel by pixel"][: len(parts["bicubic"])]
    return divider(parts, names, left="bicubic", right="restored", width=640), path


def _whole(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    small = Image.fromarray(image)
    small.thumbnail((WHOLE, WHOLE), Image.Resampling.LANCZOS)
    return np.asarray(small)


def _middle(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    sides = [max(1, round(side * DETAIL / max(image.shape))) for side in image.shape[:2]]
    top, left = ((side - part) // 2 for side, part in zip(image.shape[:2], sides, strict=True))
    return image[top : top + sides[0], left : left + sides[1]]
