"""What the detector can name, and what it says of pictures: all of it that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ldm.networks import weights

DIMENSION = 512  # of the features


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
    cells: Float[np.ndarray, "n 8 8 answers"]  # the first is for background, then one an object
    style: Float[np.ndarray, "n styles"]
    kind: Float[np.ndarray, "n kinds"]
    colours: Float[np.ndarray, "n colours"]  # of the background, one or two, in no order

    @property
    def shares(self) -> Float[np.ndarray, "n 8 8 objects"]:
        """Each cell's probability to show each object."""
        odds = np.exp(self.cells - self.cells.max(-1, keepdims=True))
        return (odds / odds.sum(-1, keepdims=True))[..., 1:]


def described(path: str | Path) -> tuple[Labels, int]:
    """Return what the detector in a file names, and the side of the pictures that it looks at; the file says so itself.

    Raises: ValueError, in one sentence, for a file that is missing, broken or no detector's.
    """
    facts = weights.metadata(path).get("detector")
    if not facts:
        raise ValueError(f"{path} does not describe a detector; restore it with `git checkout weights`.")
    return Labels(**{name: tuple(known) for name, known in facts["labels"].items()}), facts["side"]


def protocol(side: int) -> str:
    """Return what determines the detector's features; part of the protocol of every number made from them."""
    return f"scene detector, mean and spread of the last layer {DIMENSION}-d, {side} px"
