"""Pictures with their degraded twins: what super-resolution learns from, and is asked to restore."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ldm import paths
from ldm.data import degrade
from ldm.data.datasets import Captioned, Crops
from ldm.data.degrade import FACTOR, Strength
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.record import SPLITS
from ldm.profile import Profile

Degraded = Strength | Literal["both"]
DATA = 32_000  # different pictures to finetune on; then they repeat


@dataclass(frozen=True)
class DegradedPairs:
    """Pictures with their degraded twins; `sharpen` photographs first, as published: scenes are drawn sharp.

    Of strength "both", every other picture is degraded mildly: what a network learns from that is to restore either.
    """

    data: Captioned
    seed: int = 0
    sharpen: bool = False
    strength: Degraded = "published"

    def __len__(self) -> int:
        return len(self.data)

    @property
    def key(self) -> str:
        """The name of the pairs: of their pictures and of how they are degraded."""
        more = "" if self.strength == "published" else f"-{self.strength}"
        return f"{self.data.key}-d{degrade.VERSION}-{self.seed}-{int(self.sharpen)}{more}"

    def high(self, rows: range | np.ndarray) -> UInt8[np.ndarray, "b H W 3"]:
        """Return the pictures of these rows at full size, uint8."""
        images = self.data.images(rows)
        return degrade.sharpened(images) if self.sharpen else images

    def low(self, rows: range | np.ndarray) -> UInt8[np.ndarray, "b h w 3"]:
        """Return the degraded pictures of these rows, uint8."""
        high, rows = self.high(rows), np.asarray(rows)
        mildly = {"published": rows < 0, "mild": rows >= 0, "both": rows % 2 == 1}[self.strength]
        low = degrade.reduced(high)
        low[~mildly] = degrade.degrade(high[~mildly], self.seed, rows[~mildly])
        return low

    def seen(self, rows: range | np.ndarray) -> UInt8[np.ndarray, "b H W 3"]:
        """Return the degraded twin as the network sees it: `enlarged`."""
        return enlarged(self.low(rows))


def scenes(profile: Profile, split: str, n: int, strength: Degraded = "published") -> DegradedPairs:
    """Return n scenes of a split, of the side that the profile's super-resolution restores."""
    data = Scenes(replace(profile.scenes, size=profile.restored), split, n)
    return DegradedPairs(data, seed=SPLITS.index(split), strength=strength)


def photographs(
    profile: Profile, folder: str | Path, n: int = DATA, seed: int = 0, strength: Degraded = "published"
) -> DegradedPairs:
    """Return n random crops of the pictures in a folder, as large as the scenes.

    They are sharpened before they are degraded, as published.

    Raises: ValueError, one sentence, for a folder without pictures, or with unreadable or too small ones.
    """
    crops = Crops(folder, profile.restored, n, seed)
    return DegradedPairs(crops, seed=seed, sharpen=True, strength=strength)


def folder_of(pairs: DegradedPairs, folder: str | Path) -> Path:
    """Return where models of a folder's pictures go, apart from those of scenes.

    The place is named by the folder and its very crops.
    """
    return paths.RUNS / f"{Path(folder).resolve().name}-{pairs.key[:6]}"


def latent_side(profile: Profile) -> int:
    """Return the side of the latents of such a scene."""
    return profile.restored // profile.autoencoder.factor


def enlarged(low: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "n H W 3"]:
    """Enlarge bicubically, four times the height and width: what the network sees, and the simplest of baselines."""
    size = (low.shape[2] * FACTOR, low.shape[1] * FACTOR)
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in low])
