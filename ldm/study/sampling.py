"""The sampling study: a pretrained model, sampled in one way, scored on n captions by every metric of scenes.

A study is a grid of such cells: what is missing is run, what was run before is read. A cell's name is a hash of
everything that determines the result, so a changed parameter runs only what it touches, and a kill loses at most the
cell under way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ldm import profiles
from ldm.data.scenes.captions import Level
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.record import Scene
from ldm.hashing import later
from ldm.networks import cost
from ldm.profile import Profile
from ldm.study.cells import check_length, check_pictures, check_size
from ldm.study.evaluator import Evaluator
from ldm.study.scene_metrics import Measurement
from ldm.tasks import register
from ldm.tasks.models import Model

VERSION = 1  # raise it when the arithmetic between a cell's fields and its rows changes
STRIP = 8  # pictures of each cell that are kept to look at


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One point: a model at one training length, sampled in one way, scored on n captions."""

    study: str  # one of ldm.study.rows.STUDIES
    profile: str
    c: int
    images: int  # training length, images seen
    steps: int
    guidance: float
    n: int
    sampler: str = "ddim"
    seed: int = 0  # of the training run
    noise: int = 0  # seed of the initial noise
    split: str = "val"  # whose captions
    level: Level = later("all")  # how much of a scene they say

    def __post_init__(self):
        profile = profiles.get(self.profile)
        check_size(profile, self.c)
        check_length(profile, self.images)
        self.check_guidance()
        check_pictures(self.n)
        profile.plan(self.sampler, self.steps)  # refuses unknown samplers and impossible step counts

    def check_guidance(self) -> None:
        """Raise ValueError, one sentence, for a guidance outside its range."""
        if not 1 <= self.guidance <= 30:
            raise ValueError(
                f"guidance = {self.guidance}: expected 1 (no guidance) to 30; the paper's range is 1.5 to 8."
            )


def sampling_grid(
    profile: Profile,
    sizes: Sequence[int],
    steps: Sequence[int],
    guidance: Sequence[float],
    *,
    n: int | None = None,
    images: int | None = None,
    sampler: str = "ddim",
    seed: int = 0,
    level: Level | None = None,
) -> list[Evaluation]:
    """Return every size x step count x guidance.

    They are at the training length where sizes are compared, and at the profile's level of caption, unless told
    otherwise.
    """
    return [
        Evaluation(
            study="sampling",
            profile=profile.name,
            c=c,
            images=images or profile.length,
            steps=s,
            guidance=float(g),
            n=n or profile.n,
            sampler=sampler,
            seed=seed,
            level=level or profile.level,
        )
        for c in sizes
        for s in steps
        for g in guidance
    ]


def pretraining_grid(
    profile: Profile,
    sizes: Sequence[int],
    lengths: Sequence[int],
    *,
    steps: int,
    guidance: Sequence[float],
    n: int | None = None,
    seed: int = 0,
    level: Level | None = None,
) -> list[Evaluation]:
    """Return every size at every training length, sampled in the paper's one way (50-step DDIM).

    No lengths: all at which a model of the size is here. No level: the profile's.
    """
    return [
        Evaluation(
            study="pretraining",
            profile=profile.name,
            c=c,
            images=images,
            steps=steps,
            guidance=float(g),
            n=n or profile.n,
            seed=seed,
            level=level or profile.level,
        )
        for c in sizes
        for images in lengths or register.trained_lengths(profile, c, seed)
        for g in guidance
    ]


@lru_cache(maxsize=1)
def described(data: Scenes) -> list[Scene]:
    """Return what is in its pictures."""
    return [data.scene(i) for i in range(len(data))]


class SamplingEvaluator(Evaluator[Evaluation]):
    """Draws a picture of each caption in the cell's way, and scores them all."""

    @cached_property
    def versions(self) -> dict[str, str | int]:
        return {"study": VERSION} | self.frozen_versions() | self.metrics.versions

    def model_of(self, cell: Evaluation) -> Model:
        return Model(cell.c, cell.images, cell.seed)

    def data_of(self, cell: Evaluation) -> str:
        return self.scenes_of(cell).key

    def scenes_of(self, cell: Evaluation) -> Scenes:
        """Return the scenes whose captions are drawn."""
        return Scenes(self.profile.scenes, cell.split, cell.n, level=cell.level)

    def evaluate(self, cell: Evaluation) -> tuple[Measurement, np.ndarray, float]:
        """Return what was measured, the first pictures, and the seconds that making and scoring them took."""
        began = time.monotonic()
        data = self.scenes_of(cell)
        strip: list[np.ndarray] = []

        def watched():
            for images in self.draw(cell, data):
                strip.extend(images[: STRIP - len(strip)])
                yield images

        score = self.metrics.score(watched(), described(data), [data.said(i) for i in range(cell.n)])
        return score, np.stack(strip), time.monotonic() - began

    def draw(self, cell: Evaluation, data: Scenes) -> Iterator[np.ndarray]:
        """Yield a picture of each caption, uint8 (b, H, W, 3), batch by batch."""
        generator, plan = self._model(self.model_of(cell)), self.profile.plan(cell.sampler, cell.steps)
        return generator.images(data.captions(range(cell.n)), plan, cell.guidance, seed=cell.noise)

    def columns(self, cell: Evaluation) -> dict[str, Any]:
        evaluations = int(self.profile.plan(cell.sampler, cell.steps).n)  # Heun asks twice a step
        return dict(
            study=cell.study,
            profile=cell.profile,
            task="pretrain",
            **self.network_columns(cell.c, cell.images, cell.seed, self.profile.train.batch),
            sampler=cell.sampler,
            steps=cell.steps,
            guidance=cell.guidance,
            level=None if {self.profile.level, cell.level} == {"all"} else cell.level,
            nfe=cost.nfe(evaluations, guided=cell.guidance != 1),
            cost=cost.sampling_cost(self.norm_cost(cell.c), evaluations),
        )

    def setting(self, cell: Evaluation) -> str:
        return f"{cell.split} captions" + ("" if cell.level == "all" else f" that say {cell.level}")
