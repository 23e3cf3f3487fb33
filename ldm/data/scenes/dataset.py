"""Emoji scenes: captioned pictures drawn from a seed, with the truth about each one.

Item i of a split is a pure function of (config, split, i, seed): the data set is as long as one
needs, needs no download, and every caption can be checked, since the generator's own record says
what is where (`ldm.data.scenes.record`). The record is drawn first, then the picture (`ldm.data.scenes.render`) and the
words (`ldm.data.scenes.captions`) from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ldm.data.batches import CORES, in_order
from ldm.data.cache import cached
from ldm.data.scenes.captions import Level, caption, said
from ldm.data.scenes.config import SceneConfig, need
from ldm.data.scenes.emoji import art_digest
from ldm.data.scenes.record import SPLITS, Scene, scene
from ldm.data.scenes.render import render

CHUNK = 256  # pictures that a process draws before it hands them on
VERSION = 1  # raise it whenever a picture or a caption changes: caches are keyed by it


@dataclass(frozen=True)
class Scenes:
    """n scenes of a split. `item(i)` is (uint8 (S, S, 3), caption); `level`: how much of a scene its caption says.

    Pictures are drawn when asked for, about a millisecond each at 64 px; `cached` draws many on several processes
    (`ldm.data.batches.in_order`).
    """

    config: SceneConfig
    split: str
    n: int
    seed: int = 0
    level: Level = "all"

    def __post_init__(self) -> None:
        need(self.split in SPLITS, f"split={self.split!r}: expected one of {SPLITS}.")
        need(self.n >= 1, f"n={self.n}: expected at least 1 scene.")

    def __len__(self) -> int:
        return self.n

    def scene(self, i: int) -> Scene:
        """Return the record of scene i. Raises: IndexError outside 0 ... n - 1."""
        if not 0 <= i < self.n:
            raise IndexError(f"scene {i}: the data set has {self.n}.")
        return scene(self.config, self.split, int(i), self.seed)

    def said(self, i: int) -> frozenset[str]:
        """Return what of the scene its caption says (`captions.PARTS`)."""
        return said(self.scene(i), self.level, self.seed)

    def caption(self, i: int) -> str:
        """Return the caption of scene i."""
        record = self.scene(i)
        return caption(record, said(record, self.level, self.seed))

    def item(self, i: int) -> tuple[np.ndarray, str]:
        """Return the picture of scene i, uint8 (S, S, 3), and its caption."""
        return render(self.config, self.scene(i)), self.caption(i)

    def images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the pictures of these indices: uint8 (len(indices), S, S, 3)."""
        side = self.config.size
        out = np.empty((len(indices), side, side, 3), np.uint8)
        for k, i in enumerate(indices):
            out[k] = render(self.config, self.scene(int(i)))
        return out

    def captions(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        """Return the captions of these indices."""
        return [self.caption(int(i)) for i in indices]

    @property
    def key(self) -> str:
        """Sixteen hex digits that name these pictures and captions: config, split, seed, level, code and art."""
        level = (
            () if self.level == "all" else (self.level,)
        )  # full captions were the only ones once, and keep their names
        parts = (VERSION, self.config, self.split, self.seed, art_digest(), *level)
        return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()

    def cached(self, folder: str | Path, workers: int = CORES) -> np.ndarray:
        """Return all pictures as a read-only memory map uint8 (n, S, S, 3); drawn once, then reused.

        12 kB a picture at 64 px. The file appears under its name only when it is complete.
        """
        side = self.config.size
        path = Path(folder) / f"scenes-{self.split}-{side}px-{self.n}-{self.key}.npy"
        return cached(path, in_order(self.images, self.n, CHUNK, workers), self.n, np.uint8)
