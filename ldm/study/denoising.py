"""The held-out denoising loss: how well a model estimates the noise in latents that it has not seen, by noise level.

The sharpest measure of a model there is here: no sampler, no guidance, no decoder, and every picture is judged ten
times, from the same noise in every model. It says nothing of how pictures look; what it says of sizes and lengths of
training it says with small intervals.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from ldm import profiles
from ldm.data.scenes.captions import Level
from ldm.data.scenes.dataset import Scenes
from ldm.hashing import later
from ldm.metrics import mean
from ldm.profile import Profile
from ldm.study.cells import check_length, check_pictures, check_size
from ldm.study.evaluator import Evaluator
from ldm.study.rows import Row
from ldm.study.scene_metrics import Measurement
from ldm.tasks import models, register
from ldm.tasks.models import Model
from ldm.training import ema

VERSION = 1  # raise it when the arithmetic between a cell's fields and its rows changes
TIMES = tuple(range(50, 1000, 100))  # of the schedule's 1000, evenly: their mean is that over uniform times, nearly
LEAST = 1024  # pictures; they cost next to nothing here
OVER_TIMES, AT_TIME = "denoising", "denoising_at"  # the mean over TIMES, and the error at one of them


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """One model at one training length, asked for the noise in n held-out latents."""

    profile: str
    c: int
    images: int  # training length, images seen
    n: int
    level: Level
    seed: int = 0  # of the training run
    split: str = "val"
    share: float = later(0.0)  # of the training that the weights are averaged over, after the fact; 0: as it kept them

    def __post_init__(self):
        profile = profiles.get(self.profile)
        check_size(profile, self.c)
        check_length(profile, self.images)
        check_pictures(self.n)
        if self.share:
            ema.exponent(self.share)  # refuses shares that make no sense


def denoising_grid(
    profile: Profile,
    sizes: Sequence[int],
    lengths: Sequence[int] = (),
    *,
    n: int | None = None,
    level: Level | None = None,
    seed: int = 0,
    shares: Sequence[float] = (0.0,),
) -> list[Denoising]:
    """Return every size at every training length (none: all at which there is a model), on captions as in training.

    shares: of the training that weights are averaged over; 0: as the training kept them.
    """
    common: dict[str, Any] = dict(
        profile=profile.name, n=n or max(LEAST, profile.n), level=level or profile.level, seed=seed
    )
    return [
        Denoising(c=c, images=images, share=share, **common)
        for c in sizes
        for images in lengths or register.trained_lengths(profile, c, seed)
        for share in shares
    ]


class DenoisingEvaluator(Evaluator[Denoising]):
    """Adds noise to the latents of held-out scenes, and measures the error of the model's estimate of it."""

    def __init__(self, profile: Profile):
        super().__init__(profile)
        self._held_out = lru_cache(maxsize=1)(self.held_out)

    @property
    def versions(self) -> dict[str, str | int]:
        return {"study": VERSION} | self.frozen_versions()

    def model_of(self, cell: Denoising) -> Model:
        kind = models.average_kind(cell.share) if cell.share else "unet"
        return Model(cell.c, cell.images, cell.seed, kind)

    def data_of(self, cell: Denoising) -> str:
        return self.scenes_of(cell).key

    def scenes_of(self, cell: Denoising) -> Scenes:
        """Return the scenes on which the loss is measured."""
        return Scenes(self.profile.scenes, cell.split, cell.n, level=cell.level)

    def held_out(self, data: Scenes) -> tuple[Float[np.ndarray, "n h w z"], Float[np.ndarray, "n m d"]]:
        """Return latents and contexts of scenes that no model was trained on, float32."""
        rows = range(len(data))
        latents, context = self.codec.encode(data.images(rows)), self.text.encode(data.captions(rows))
        return np.asarray(latents, np.float32), np.asarray(context, np.float32)

    def evaluate(self, cell: Denoising) -> tuple[Measurement, Sequence[np.ndarray], float]:
        """Return the mean error over times and that at each, and nothing to look at."""
        import jax.numpy as jnp

        from ldm.diffusion.losses import denoising_errors
        from ldm.diffusion.sampler import image_keys
        from ldm.networks.batched import in_batches

        began = time.monotonic()
        model, schedule = self._model(self.model_of(cell)), self.profile.schedule
        latents, context = self._held_out(self.scenes_of(cell))
        alphas, sigmas = (jnp.asarray(x[list(TIMES)], jnp.float32) for x in (schedule.alpha, schedule.sigma))

        def errors_of(latents: Any, context: Any, rows: Any) -> Any:
            return denoising_errors(
                model.structure,
                model.drawing,
                alphas,
                sigmas,
                jnp.asarray(TIMES, jnp.int32),
                latents,
                context,
                image_keys(0, rows),
                predict=self.profile.predict,
            )

        errors = in_batches(errors_of, latents, context, np.arange(cell.n), batch=self.profile.batch).astype(np.float64)
        overall = errors.mean(1)
        how = "mean square error of the noise"
        estimates = {OVER_TIMES: (mean(overall), f"{how} over times {TIMES[0]} to {TIMES[-1]}")}
        estimates |= {f"{AT_TIME}_{t}": (mean(errors[:, i]), f"{how} at time {t}") for i, t in enumerate(TIMES)}
        return Measurement(estimates=estimates, influences={OVER_TIMES: overall}), (), time.monotonic() - began

    def columns(self, cell: Denoising) -> dict[str, Any]:
        return dict(
            study="denoising",
            profile=cell.profile,
            task="average" if cell.share else "denoise",
            **self.network_columns(cell.c, cell.images, cell.seed, self.profile.train.batch),
            level=cell.level,
            cost=self.norm_cost(cell.c),
            nfe=1,
            steps=1,
            strength=cell.share or None,
        )

    def setting(self, cell: Denoising) -> str:
        return f"{cell.split} captions that say {cell.level}"

    def rows(self, cell: Denoising, found: Measurement, seconds: float) -> list[Row]:
        """Return one row for the mean over times, and one a time: metric `denoising_at`, the time as `strength`.

        Of weights that were averaged after the fact there is the mean alone, the share as its `strength`.
        """
        rows = super().rows(cell, found, seconds)
        mean = [row for row in rows if row.metric == OVER_TIMES]
        times = [(row, float(row.metric.removeprefix(f"{AT_TIME}_"))) for row in rows if row.metric != OVER_TIMES]
        return mean if cell.share else mean + [replace(row, metric=AT_TIME, strength=at) for row, at in times]
