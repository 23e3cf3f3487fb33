"""Probes: real pictures, disturbed by known amounts, scored by every metric at several n.

A probe is a cell of the study "metrics": one disturbance at one strength and one n; `real` is nothing done at all
and `model` the pictures of the profile's largest model. `ldm.statistics.sensitivity` says what their rows show.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ldm.data.scenes.captions import caption
from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.disturbances import DISTURBANCES, SPLIT, check, draw_disturbed
from ldm.data.scenes.record import Scene
from ldm.metrics import cmmd, frechet_inf, manifold, median_bandwidth, mmd
from ldm.metrics.protocol import Protocol
from ldm.networks import sizes
from ldm.profile import Profile
from ldm.study.cells import check_pictures
from ldm.study.evaluator import Evaluator
from ldm.study.scene_metrics import DECODED, Measurement, Seen
from ldm.tasks import register
from ldm.tasks.models import Model

VERSION = 1  # raise it when what is done to the pictures or measured on them changes
STEPS, GUIDANCE = 8, 2.0  # how the model draws, by DDIM, where captions say everything


@dataclass(frozen=True, kw_only=True)
class Probe:
    """n pictures of the validation split, disturbed; `task` is a disturbance, `real` or `model`."""

    profile: str
    task: str
    strength: float = 0
    n: int

    def __post_init__(self):
        if self.task not in ("real", "model"):
            check(self.task, self.strength)
        elif self.strength != 0:
            raise ValueError(f"strength = {self.strength}: expected 0 of {self.task} pictures, as they are.")
        check_pictures(self.n)


def counts(profile: Profile) -> list[int]:
    """Return the numbers of pictures to ask with: a quarter of the profile's to four times as many, doubling."""
    return [n for n in (profile.n // 4, profile.n // 2, profile.n, 2 * profile.n, 4 * profile.n) if n >= 16]


def probes_grid(profile: Profile, names: Iterable[str] = (), ns: Sequence[int] = ()) -> list[Probe]:
    """List real pictures, the model's, every disturbance at each of its strengths, by all counts, the largest first."""
    settings = [("real", 0.0), ("model", 0.0)]
    settings += [(name, float(s)) for name in names or DISTURBANCES for s in DISTURBANCES[name].strengths]
    return [
        Probe(profile=profile.name, task=name, strength=strength, n=n)
        for name, strength in settings
        for n in sorted(ns or counts(profile), reverse=True)
    ]


class ProbeEvaluator(Evaluator[Probe]):
    """Scores disturbed pictures; what the networks saw last serves every smaller n, too."""

    def __init__(self, profile: Profile):
        super().__init__(profile)
        self._seen: tuple[str, float, Seen] | None = None

    @cached_property
    def versions(self) -> dict[str, str | int]:
        return {"sensitivity": VERSION} | self.metrics.versions

    @cached_property
    def largest(self) -> Model:
        """The largest model that is trained: that of `model`, and the unit in which all disturbances are told."""
        return Model(register.trained_sizes(self.profile)[-1], self.profile.length)

    def model_of(self, _: Probe) -> Model:
        return self.largest

    def data_of(self, cell: Probe) -> str:
        return Scenes(self.profile.scenes, SPLIT, cell.n).key

    def evaluate(self, cell: Probe) -> tuple[Measurement, list[np.ndarray], float]:
        """Return what was measured, no pictures (they are drawn again in no time), and the seconds it took."""
        began = time.monotonic()
        if self._seen is None or self._seen[:2] != (cell.task, cell.strength) or len(self._seen[2]) < cell.n:
            self._seen = (cell.task, cell.strength, self.metrics.look(*self.pictures(cell)))
        score = self.measure(self._seen[2].first(cell.n))
        return score, [], time.monotonic() - began

    def pictures(self, cell: Probe) -> tuple[Iterable[np.ndarray], list[Scene]]:
        """Return batches of the cell's pictures uint8 (b, S, S, 3), and the scenes that their captions speak of."""
        if cell.task != "model":
            name = next(iter(DISTURBANCES)) if cell.task == "real" else cell.task
            return draw_disturbed(self.profile.scenes, name, cell.strength, cell.n)
        generator = self._model(self.model_of(cell))
        data = Scenes(self.profile.scenes, SPLIT, cell.n)
        scenes = [data.scene(i) for i in range(cell.n)]
        return generator.images([caption(s) for s in scenes], self.profile.plan("ddim", STEPS), GUIDANCE), scenes

    @cached_property
    def bandwidths(self) -> dict[str, float]:
        return {name: median_bandwidth(reference.sample) for name, reference in self.metrics.references.items()}

    @cached_property
    def protocols(self) -> dict[str, Protocol]:
        """The metrics' cards, and those of the distances that this chapter adds to them."""
        cards = dict(self.metrics.protocols)
        for name in (name for name in self.metrics.references if not name.endswith(DECODED)):
            kernel, gaussian = cards[f"kid_{name}"], cards[f"fd_{name}"]
            cards[f"mmd_{name}"] = replace(
                kernel, how=f"unbiased, Gaussian kernel of sigma {self.bandwidths[name]:.3g}, x1000"
            )
            cards[f"cmmd_{name}"] = replace(kernel, how="unbiased, Gaussian kernel of sigma 10 on lengths of 1, x1000")
            cards[f"fdinf_{name}"] = replace(gaussian, how=f"{gaussian.how}, extrapolated to infinite n")
        for name in ("precision", "recall", "density", "coverage"):
            cards[name] = replace(cards["kid_effnet"], how="5 nearest neighbours")
        return cards

    def measure(self, seen: Seen) -> Measurement:
        """Compute every metric of the other chapters, and those of this chapter."""
        found = dict(self.metrics.measure(seen).estimates)
        for name, x in seen.features.items():
            reference = self.metrics.references[name]
            found[f"mmd_{name}"] = mmd(x, reference.sample, bandwidth=self.bandwidths[name]).times(1000), ""
            found[f"cmmd_{name}"] = cmmd(x, reference.sample), ""
            found[f"fdinf_{name}"] = frechet_inf(x @ reference.basis, reference.gaussian), ""
        shapes = manifold(seen.features["effnet"], self.metrics.references["effnet"].sample.features)
        found |= {name: (estimate, "") for name, estimate in shapes._asdict().items()}
        lines = {name: card.line for name, card in self.protocols.items()}
        estimates = {name: (estimate, lines.get(name, line)) for name, (estimate, line) in found.items()}
        return Measurement(estimates=estimates)

    def columns(self, cell: Probe) -> dict[str, Any]:
        common = dict(study="metrics", profile=self.profile.name, task=cell.task)
        if cell.task != "model":
            return common | dict(strength=cell.strength)
        c, images, seed, _ = self.model_of(cell)
        return common | dict(
            c=c,
            params=sizes.params(self.profile.network, c, self.profile.context),
            seed=seed,
            images_seen=images,
            sampler="ddim",
            steps=STEPS,
            guidance=GUIDANCE,
        )

    def setting(self, cell: Probe) -> str:
        return f"{SPLIT} captions"


def shown(config: SceneConfig, names: Sequence[str], index: int) -> np.ndarray:
    """Return picture `index`, real and at each strength of each disturbance: uint8 (names, 1 + strengths, S, S, 3)."""
    return np.stack(
        [
            [
                np.concatenate(list(draw_disturbed(config, name, s, index + 1)[0]))[index]
                for s in (0, *DISTURBANCES[name].strengths)
            ]
            for name in names
        ]
    )
