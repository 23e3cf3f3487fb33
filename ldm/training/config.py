"""What determines a training besides its data and its network: numbers alone, which load no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ldm.checks import check_seed


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What determines a run besides its data and its network."""

    images: int  # training length, in images seen
    batch: int = 64
    learning_rate: float = 1e-3  # reached after the warm-up
    warmup_images: int = 10_000
    decay_images: int = 100_000  # from here on, learning_rate * sqrt(decay_images / images)
    clip: float = 1.0  # global norm of the gradient
    ema: float = 6.94  # gamma of the power average; 6.94 spans about the last 10 % of the run
    seed: int = 0
    bf16: bool = False  # compute in bfloat16; weights, norms and loss stay float32 (`ldm.training.gradients`)
    accumulate: int = 1  # micro-batches that a batch is seen in, one after another
    averages: tuple[
        float, ...
    ] = ()  # gammas of more power averages, whose snapshots `ldm.training.ema` makes others of

    def __post_init__(self):
        for name in ("images", "batch", "learning_rate", "warmup_images", "decay_images", "clip", "ema", "accumulate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name} = {getattr(self, name)}: expected a positive number, and finite; change it in the training"
                    " configuration."
                )
        check_seed(self.seed)
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate = {self.accumulate}: expected a divisor of batch = {self.batch}.")

    @property
    def steps(self) -> int:
        """The number of steps: images over batch, rounded up."""
        return -(-self.images // self.batch)
