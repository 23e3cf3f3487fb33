"""What real scenes score, which no model drew: as they are the metrics' own error, and decoded what models can reach.

Through the autoencoder they are what a perfect model would give. Charts show that as a line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from ldm import profiles
from ldm.data.scenes.captions import Level
from ldm.data.scenes.dataset import Scenes
from ldm.profile import Profile
from ldm.study.cells import Pictures, check_pictures
from ldm.study.evaluator import Evaluator
from ldm.study.sampling import described
from ldm.study.scene_metrics import Measurement
from ldm.tasks.models import Model

VERSION = 1  # raise it when the arithmetic between a cell's fields and its rows changes
TRUE, DECODED = "true", "autoencoder"  # tasks of rows: as the scenes are, and as the autoencoder shows them


@dataclass(frozen=True, kw_only=True)
class Real:
    """The first n validation scenes, judged as if a model had drawn their captions."""

    profile: str
    n: int
    level: Level  # how much these captions say: only what is said is judged
    decoded: bool  # whether the scenes went through the autoencoder

    def __post_init__(self):
        profiles.get(self.profile)
        check_pictures(self.n)


def real_grid(profile: Profile, n: int = 0) -> list[Real]:
    """Return the scenes of the profile's pictures a point (or n) at every level, as they are and decoded."""
    return [
        Real(profile=profile.name, n=n or profile.n, level=level, decoded=decoded)
        for level in get_args(Level)
        for decoded in (False, True)
    ]


class RealEvaluator(Evaluator[Real]):
    """Scores scenes that were not drawn."""

    @property
    def versions(self) -> dict[str, str | int]:
        return {"study": VERSION, "codec": self.frozen_versions()["codec"]} | self.metrics.versions

    def model_of(self, cell: Real) -> Model | None:
        return None

    def data_of(self, cell: Real) -> str:
        return self.scenes_of(cell).key

    def scenes_of(self, cell: Real) -> Scenes:
        """Return the scenes that are scored."""
        return Scenes(self.profile.scenes, "val", cell.n, level=cell.level)

    def evaluate(self, cell: Real) -> tuple[Measurement, Pictures, float]:
        """Return what was measured, and the seconds that it took. The scenes can be had again, so none is kept."""
        began, data = time.monotonic(), self.scenes_of(cell)
        found = self.metrics.score(self.shown(cell, data), described(data), [data.said(i) for i in range(cell.n)])
        return Measurement(estimates=found.estimates), (), time.monotonic() - began

    def shown(self, cell: Real, data: Scenes) -> Iterator[np.ndarray]:
        """Yield the scenes, decoded if the cell asks for it, uint8 (b, H, W, 3), batch by batch."""
        from ldm.data.latents import drawn

        for images in drawn(data.images, cell.n):
            yield self.codec.decode(self.codec.encode(images)) if cell.decoded else images

    def columns(self, cell: Real) -> dict[str, Any]:
        return dict(
            study="real",
            profile=cell.profile,
            task=DECODED if cell.decoded else TRUE,
            level=None if {self.profile.level, cell.level} == {"all"} else cell.level,
        )

    def setting(self, cell: Real) -> str:
        return "val scenes"
