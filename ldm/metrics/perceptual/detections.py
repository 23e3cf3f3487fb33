"""What the detector can name, and what it says of pictures: arrays, which need no network to be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What the detector can name."""

    objects: tuple[str, ...]
    styles: tuple[str, ...]
    kinds: tuple[str, ...]
    colours: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """What the detector says of n pictures: logits, of `labels`' entries in their order."""

    labels: Labels
    cells: Float[np.ndarray, "n 8 8 1+objects"]  # the first is for background
    style: Float[np.ndarray, "n styles"]
    kind: Float[np.ndarray, "n kinds"]
    colours: Float[np.ndarray, "n colours"]  # of the background, one or two, in no order

    @property
    def shares(self) -> Float[np.ndarray, "n 8 8 objects"]:
        """Each cell's probability to show each object."""
        odds = np.exp(self.cells - self.cells.max(-1, keepdims=True))
        return (odds / odds.sum(-1, keepdims=True))[..., 1:]
