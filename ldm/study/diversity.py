"""How faithful and how diverse the pictures of a setting are, apart: precision and density, recall and coverage.

A cell is a cell of another study, whose pictures are drawn again; the four shares need all features at once, which rows
do not keep. They are taken beside decoded real scenes, as the distances that rank (`ldm.metrics.manifold`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ldm.data.scenes.captions import Level
from ldm.data.scenes.dataset import Scenes
from ldm.hashing import key
from ldm.metrics.manifold import manifold
from ldm.profile import Profile
from ldm.study import lever_grid
from ldm.study.cells import Pictures
from ldm.study.evaluator import Evaluator
from ldm.study.lever_cells import Guide, Interval, Projected, Renoised, Rescaled
from ldm.study.levers import LeverEvaluation, LeverEvaluator
from ldm.study.real import Real, RealEvaluator
from ldm.study.sampling import Evaluation, SamplingEvaluator, described, sampling_grid
from ldm.study.scene_metrics import DECODED, Measurement
from ldm.tasks.models import Model

VERSION = 1  # raise it when what is measured changes
NEIGHBOURS = 5  # Naeem et al. (2020)
STEPS, SIZES = 8, (8, 16, 32)  # at which levers of guidance are asked
GUIDANCE = Guide | Interval | Projected | Renoised | Rescaled  # levers that change it, but not the captions
BESIDE = ("fd_scene_decoded", "kid_effnet_decoded", "alignment")  # what is told of the same pictures besides


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """The pictures of a cell: with a lever, without one, or real scenes."""

    of: Evaluation | Real

    @property
    def profile(self) -> str:
        """The profile whose models drew them."""
        return self.of.profile


def diversity_grid(
    profile: Profile, sizes: Sequence[int] = SIZES, *, levels: Sequence[Level] = ("some", "all")
) -> list[Diversity]:
    """Return at each level real scenes, and every lever of guidance and none in STEPS steps of these of SIZES.

    Nothing for a profile without levers (`lever_grid`).
    """
    cells: list[Evaluation | Real] = []
    for level in levels:
        pulled = [
            cell
            for cell in lever_grid.lever_grid(profile, sizes, level=level)
            if cell.c in SIZES and cell.steps == STEPS and isinstance(cell.lever, GUIDANCE)
        ]
        if pulled:
            cells.append(Real(profile=profile.name, n=profile.n, level=level, decoded=True))
            asked = [c for c in SIZES if c in sizes]
            cells += sampling_grid(profile, asked, [STEPS], profile.guidance, level=level)
            cells += pulled
    return [Diversity(of=cell) for cell in cells]


class DiversityEvaluator(Evaluator[Diversity]):
    """Draws the pictures of a cell as its own study does, and says how they lie among decoded real scenes."""

    @cached_property
    def drawing(self) -> dict[type, RealEvaluator | SamplingEvaluator]:
        """Who draws which kind of cell."""
        return {
            Real: RealEvaluator(self.profile),
            Evaluation: SamplingEvaluator(self.profile),
            LeverEvaluation: LeverEvaluator(self.profile),
        }

    def by(self, cell: Diversity) -> Any:
        """Return who draws the cell's pictures."""
        return self.drawing[type(cell.of)]

    @property
    def versions(self) -> dict[str, str | int]:
        return {"diversity": VERSION}

    def model_of(self, cell: Diversity) -> Model | None:
        return self.by(cell).model_of(cell.of)

    def models_of(self, cell: Diversity) -> list[Model]:
        return self.by(cell).models_of(cell.of)

    def data_of(self, cell: Diversity) -> str:
        return self.by(cell).data_of(cell.of)

    def key(self, cell: Diversity) -> str:
        """Return the cell's name. Raises: ValueError when one of its models does not exist."""
        return key(cell, **self.versions, drawn=self.by(cell).key(cell.of))

    def evaluate(self, cell: Diversity) -> tuple[Measurement, Pictures, float]:
        """Return what was measured, no pictures (those of the cell are kept), and the seconds it took."""
        began, data = time.monotonic(), self.by(cell).scenes_of(cell.of)
        said = [data.said(i) for i in range(cell.of.n)]
        seen = self.metrics.look(self.pictures(cell, data), described(data), said)
        known = self.metrics.measure(seen).estimates
        reference = self.metrics.references[f"effnet{DECODED}"]
        found = manifold(seen.features["effnet"], reference.sample.features, k=NEIGHBOURS)
        card = replace(self.metrics.protocols[f"kid_effnet{DECODED}"], how=f"{NEIGHBOURS} nearest neighbours")
        shares = {f"{name}{DECODED}": (estimate, card.line) for name, estimate in found._asdict().items()}
        return (
            Measurement(estimates={name: known[name] for name in BESIDE if name in known} | shares),
            (),
            time.monotonic() - began,
        )

    def pictures(self, cell: Diversity, data: Scenes) -> Iterator[np.ndarray]:
        """Yield the cell's pictures, uint8 (b, H, W, 3), batch by batch."""
        drawing = self.by(cell)
        return drawing.shown(cell.of, data) if isinstance(cell.of, Real) else drawing.draw(cell.of, data)

    def columns(self, cell: Diversity) -> dict[str, Any]:
        return self.by(cell).columns(cell.of) | dict(study="diversity")

    def setting(self, cell: Diversity) -> str:
        return self.by(cell).setting(cell.of)
