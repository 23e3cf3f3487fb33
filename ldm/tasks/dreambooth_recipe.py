"""How a subject is learnt by DreamBooth, in numbers: part of the name of every cell of that study."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a subject is learnt, at every size."""

    learning_rate: float = 1e-3  # that of pretraining
    pictures: int = 4  # of the subject in a batch, and as many of its class
    weight: float = 1.0  # of the class's loss: lambda of Ruiz et al. 2023, eq. 2
    drawn: int = 64  # pictures of the class, drawn beforehand

    def __post_init__(self):
        for name in ("learning_rate", "weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a finite number, not below 0; change it.")
