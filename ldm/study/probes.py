"""Probes: real pictures, disturbed by known amounts, scored by every metric at several n.

A probe is a cell of the study "metrics": one disturbance at one strength and one n; `real` is nothing done at all
and `model` the pictures of the profile's largest model. `ldm.statistics.sensitivity` says what their rows show.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ldm.data.scenes.captions import caption
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.disturbances import DISTURBANCES, SPLIT, check, draw
from ldm.data.scenes.record import Scene, SceneConfig
from ldm.diffusion.solvers import plan
from ldm.hashing import key
from ldm.metrics import cmmd, frechet_inf, manifold, median_bandwidth, mmd
from ldm.metrics.protocol import Protocol
from ldm.networks import cost
from ldm.profiles import Profile
from ldm.study import judges
from ldm.study.judges import Judges, Look, Score
from ldm.study.results import Row
from ldm.tasks import models

VERSION = 1  # raise it when what is done to the pictures or measured on them changes
STEPS, GUIDANCE = 8, 2.0  # how the model draws, by DDIM: not told from its best in the sampling chapter


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
        if not 16 <= self.n <= 100_000:
            raise ValueError(f"n = {self.n}: expected 16 to 100000 pictures; an interval needs some.")


def counts(scale: Profile) -> list[int]:
    """Numbers of pictures to ask with: a quarter of the profile's to four times as many, doubling."""
    return [n for n in (scale.n // 4, scale.n // 2, scale.n, 2 * scale.n, 4 * scale.n) if n >= 16]


def grid(scale: Profile, names: Iterable[str] = (), ns: Sequence[int] = ()) -> list[Probe]:
    """Real pictures, the model's, and every disturbance at each of its strengths, by all counts, the largest first."""
    settings = [("real", 0.0), ("model", 0.0)]
    settings += [(name, float(s)) for name in names or DISTURBANCES for s in DISTURBANCES[name].strengths]
    return [
        Probe(profile=scale.name, task=name, strength=strength, n=n)
        for name, strength in settings
        for n in sorted(ns or counts(scale), reverse=True)
    ]


class Laboratory:
    """Evaluates probes, as `ldm.study.run.run` asks; what the networks saw last serves every smaller n, too."""

    def __init__(self, scale: Profile):
        self.scale = scale
        self._seen: tuple[str, float, Look] | None = None

    @cached_property
    def judges(self) -> Judges:
        return judges.load(self.scale)

    @cached_property
    def versions(self) -> dict[str, str | int]:
        return {
            "sensitivity": VERSION,
            **self.judges.versions,
            "model": models.model_digest(self.scale, self.scale.family[-1], self.scale.length, 0),
        }

    def key(self, cell: Probe) -> str:
        """The cell's name."""
        return key(cell, **self.versions, data=Scenes(self.scale.scenes, SPLIT, cell.n).key)

    def evaluate(self, cell: Probe) -> tuple[Score, list[np.ndarray], float]:
        """Score, no pictures (they are drawn again in no time), and the seconds it took."""
        began = time.monotonic()
        if self._seen is None or self._seen[:2] != (cell.task, cell.strength) or len(self._seen[2]) < cell.n:
            self._seen = (cell.task, cell.strength, self.judges.look(*self.pictures(cell)))
        score = self.measure(self._seen[2].first(cell.n))
        return score, [], time.monotonic() - began

    def pictures(self, cell: Probe) -> tuple[Iterable[np.ndarray], list[Scene]]:
        """Batches of the cell's pictures uint8 (b, S, S, 3), and the scenes that their captions speak of."""
        if cell.task != "model":
            name = next(iter(DISTURBANCES)) if cell.task == "real" else cell.task
            return draw(self.scale.scenes, name, cell.strength, cell.n)
        from ldm.tasks import pretrain
        from ldm.tasks.generate import Generator

        codec, text = pretrain.frozen_parts(self.scale)
        structure, params = pretrain.load(self.scale, self.scale.family[-1], self.scale.length, 0)
        generator = Generator(profile=self.scale, structure=structure, params=params, codec=codec, text=text)
        data = Scenes(self.scale.scenes, SPLIT, cell.n)
        scenes = [data.scene(i) for i in range(cell.n)]
        return generator.images([caption(s) for s in scenes], plan("ddim", STEPS, self.scale.spacing), GUIDANCE), scenes

    @cached_property
    def bandwidths(self) -> dict[str, float]:
        return {name: median_bandwidth(reference.sample) for name, reference in self.judges.references.items()}

    @cached_property
    def protocols(self) -> dict[str, Protocol]:
        """The judges' cards, and those of the distances that this chapter adds to them."""
        cards = dict(self.judges.protocols)
        for name in self.judges.references:
            kernel, gaussian = cards[f"kid_{name}"], cards[f"fd_{name}"]
            cards[f"mmd_{name}"] = replace(
                kernel, how=f"unbiased, Gaussian kernel of sigma {self.bandwidths[name]:.3g}, x1000"
            )
            cards[f"cmmd_{name}"] = replace(kernel, how="unbiased, Gaussian kernel of sigma 10 on lengths of 1, x1000")
            cards[f"fdinf_{name}"] = replace(gaussian, how=f"{gaussian.how}, extrapolated to infinite n")
        for name in ("precision", "recall", "density", "coverage"):
            cards[name] = replace(cards["kid_effnet"], how="5 nearest neighbours")
        return cards

    def measure(self, look: Look) -> Score:
        """Every metric of the judges, and those of this chapter."""
        found = dict(self.judges.measure(look).estimates)
        for name, x in look.features.items():
            reference = self.judges.references[name]
            found[f"mmd_{name}"] = mmd(x, reference.sample, bandwidth=self.bandwidths[name]).times(1000), ""
            found[f"cmmd_{name}"] = cmmd(x, reference.sample), ""
            found[f"fdinf_{name}"] = frechet_inf(x @ reference.basis, reference.gaussian), ""
        shapes = manifold(look.features["effnet"], self.judges.references["effnet"].sample.features)
        found |= {name: (estimate, "") for name, estimate in shapes._asdict().items()}
        lines = {name: card.line for name, card in self.protocols.items()}
        return Score(estimates={name: (estimate, lines.get(name, line)) for name, (estimate, line) in found.items()})

    def rows(self, cell: Probe, score: Score, seconds: float) -> list[Row]:
        """One tidy row a metric."""
        about = dict(strength=cell.strength)
        if cell.task == "model":
            c = self.scale.family[-1]
            about = dict(
                c=c,
                params=cost.unet_params(c, self.scale.context),
                seed=0,
                images_seen=self.scale.length,
                sampler="ddim",
                steps=STEPS,
                guidance=GUIDANCE,
            )
        return [
            Row(
                study="metrics",
                profile=self.scale.name,
                task=cell.task,
                metric=name,
                protocol=f"{line}; {SPLIT} captions",
                value=e.value,
                lo=e.lo,
                hi=e.hi,
                n=e.n,
                seconds=seconds,
                **about,
            )
            for name, (e, line) in score.estimates.items()
        ]


def shown(config: SceneConfig, names: Sequence[str], index: int) -> np.ndarray:
    """Picture `index`, real and at each strength of each disturbance: uint8 (names, 1 + strengths, S, S, 3)."""
    return np.stack(
        [
            [
                np.concatenate(list(draw(config, name, s, index + 1)[0]))[index]
                for s in (0, *DISTURBANCES[name].strengths)
            ]
            for name in names
        ]
    )
