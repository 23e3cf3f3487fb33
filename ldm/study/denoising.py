"""Held-out denoising loss by noise level: sharp, without sampling and without the autoencoder's part in it.

A row is a noise level of a model: the mean square error of its estimate of the noise in held-out scenes, whose unit is
the same whatever the network predicts (`ldm.diffusion.losses.denoising_errors`). Every model meets the same noise.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ldm.data.scenes.captions import Level
from ldm.data.scenes.dataset import Scenes
from ldm.metrics import mean
from ldm.networks import cost
from ldm.profiles import Profile, profile
from ldm.study.evaluation import Score
from ldm.study.evaluator import Evaluator

VERSION = 1  # raise it when the arithmetic between a cell's fields and its rows changes
TIMES = (20, 60, 120, 200, 300, 400, 500, 620, 760, 900, 980)  # training times whose noise levels are asked
SPLIT, BATCH = "val", 256


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """One model, asked for the noise in n held-out scenes whose captions say so much."""

    profile: str
    c: int
    images: int  # training length, images seen
    n: int = 1024
    seed: int = 0  # of the training run
    level: Level = "some"

    def __post_init__(self):
        if self.images not in (lengths := profile(self.profile).lengths):
            raise ValueError(f"images = {self.images}: expected a training length of {self.profile}, one of {lengths}.")
        if not 16 <= self.n <= 100_000:
            raise ValueError(f"n = {self.n}: expected 16 to 100000 pictures a point; an interval needs some.")


def grid(scale: Profile, sizes: Sequence[int], lengths: Sequence[int] = (), **more: Any) -> list[Denoising]:
    """Every size at every training length, at the level of captions that it was trained on."""
    return [
        Denoising(profile=scale.name, c=c, images=images, level=scale.level, **more)
        for c in sizes
        for images in lengths or scale.lengths
    ]


class DenoisingEvaluator(Evaluator[Denoising]):
    """Asks a model at every level of noise; the metric `denoising t=500` is the error at training time 500."""

    @cached_property
    def versions(self) -> dict[str, str | int]:
        return {"denoising": VERSION, "times": " ".join(map(str, TIMES))} | self.frozen_versions()

    def model_of(self, cell: Denoising) -> tuple:
        return cell.c, cell.images, cell.seed

    def data_of(self, cell: Denoising) -> str:
        return self.asked(cell).key

    def asked(self, cell: Denoising) -> Scenes:
        """The scenes whose noise is asked for."""
        return Scenes(self.scale.scenes, SPLIT, cell.n, level=cell.level)

    @cached_property
    def _held(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {}  # latents and contexts of the scenes that were asked last, by their key

    def held_out(self, cell: Denoising) -> tuple[np.ndarray, np.ndarray]:
        """Latents (n, h, w, z) and contexts (n, m, d) of the cell's scenes."""
        data, key = self.asked(cell), self.data_of(cell)
        if key not in self._held:
            self._held.clear()
            rows = range(cell.n)
            self._held[key] = self.codec.encode(data.images(rows)), self.text.encode(data.captions(rows))
        return self._held[key]

    def evaluate(self, cell: Denoising) -> tuple[Score, list[np.ndarray], float]:
        """Score, no pictures, and the seconds that it took."""
        from ldm.diffusion.losses import denoising_errors
        from ldm.diffusion.sampler import image_keys
        from ldm.diffusion.schedule import Schedule

        began, schedule, times = time.monotonic(), Schedule.sd(), np.array(TIMES, np.int32)
        generator = self._model(*self.model_of(cell))
        alphas, sigmas = (a[times].astype(np.float32) for a in (schedule.alpha, schedule.sigma))
        latents, context = self.held_out(cell)
        found = []
        for start in range(0, cell.n, BATCH):
            rows = np.minimum(np.arange(start, start + BATCH), cell.n - 1)  # the last batch is filled up
            errors = denoising_errors(
                generator.structure,
                generator.drawing,
                alphas,
                sigmas,
                times,
                latents[rows],
                context[rows],
                image_keys(0, rows),
                predict=self.scale.predict,
            )
            found.append(np.asarray(errors))
        errors = np.concatenate(found)[: cell.n].astype(np.float64)
        named = {f"denoising t={t}": errors[:, i] for i, t in enumerate(TIMES)} | {"denoising": errors.mean(1)}
        protocol = "mean square of the estimated noise less the true"
        return (
            Score(estimates={name: (mean(values), protocol) for name, values in named.items()}, parts=named),
            [],
            time.monotonic() - began,
        )

    def columns(self, cell: Denoising) -> dict[str, Any]:
        params = cost.unet_params(cell.c, self.scale.context)
        side = self.scale.latent_shape[0]
        return dict(
            study="denoising",
            profile=cell.profile,
            task="pretrain",
            size=f"{params / 1e6:.3g}M",
            c=cell.c,
            params=params,
            gflops=cost.unet_gflops(cell.c, side, self.scale.tokens, self.scale.context),
            seed=cell.seed,
            train_steps=-(-cell.images // self.scale.train.batch),
            images_seen=cell.images,
            level=cell.level,
        )

    def setting(self, cell: Denoising) -> str:
        return f"{SPLIT} scenes, captions that say {cell.level}"
