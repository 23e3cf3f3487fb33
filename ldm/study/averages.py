"""Over how much of a training should weights be averaged?

One run, averaged after the fact in many ways (EDM2, Fig. 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ldm.profiles import Profile
from ldm.study import sampling
from ldm.study.results import Store
from ldm.study.run import at_hand, run
from ldm.tasks import models
from ldm.training import ema

USUAL = 0.1  # what `train.TrainConfig.ema` spans


@dataclass(frozen=True, kw_only=True)
class Averaged(sampling.Evaluation):
    """One point: the run's weights, averaged over a share of it (sigma_rel, `ldm.training.ema`)."""

    share: float

    def __post_init__(self):
        super().__post_init__()
        ema.exponent(self.share)  # refuses shares that make no sense


def averages_grid(
    profile: Profile,
    sizes: Sequence[int],
    lengths: Sequence[int],
    shares: Sequence[float],
    *,
    steps: int,
    guidance: float,
    n: int | None = None,
    seed: int = 1,
) -> list[Averaged]:
    """Return every size x length x share, of the training by this seed. No lengths: all of the profile."""
    return [
        Averaged(
            study="pretraining",
            profile=profile.name,
            c=c,
            images=images,
            steps=steps,
            guidance=guidance,
            n=n or profile.n,
            seed=seed,
            share=share,
        )
        for c in sizes
        for images in lengths or profile.lengths
        for share in shares
    ]


class AveragesEvaluator(sampling.SamplingEvaluator):
    """A `SamplingEvaluator` for averages: `strength` of a row is the share."""

    def model_of(self, cell: Averaged) -> tuple:
        return cell.c, cell.images, cell.seed, models.average_kind(cell.share)

    def columns(self, cell: Averaged) -> dict[str, Any]:
        return super().columns(cell) | dict(task="average", strength=cell.share)


def measure(cells: Sequence[Averaged], *, store: Store, evaluator: AveragesEvaluator) -> pd.DataFrame:
    """Return the rows of those cells that are in the store or can be run here.

    There are none where no snapshots are: they do not ship.
    """
    try:
        found = at_hand(cells, store=store, evaluator=evaluator)
    except ValueError:  # no model of any of them
        return pd.DataFrame()
    return run(found, store=store, evaluator=evaluator, title="averages")
