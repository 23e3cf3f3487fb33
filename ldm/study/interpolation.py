"""The interpolation study: how pictures change on the way from one caption to another (Fig. 24 of the paper)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, UInt8

from ldm.data.scenes.captions import Level, caption, said
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.record import Scene
from ldm.hashing import later
from ldm.metrics import mean
from ldm.metrics.perceptual.alignment import shows
from ldm.metrics.perceptual.detections import Detections
from ldm.profile import Profile
from ldm.study.sampling import Evaluation, SamplingEvaluator
from ldm.study.scene_metrics import Measurement
from ldm.tasks.interpolation import lerp, scene_pairs, slerp

if TYPE_CHECKING:
    from ldm.tasks.generate import Generator

KEPT = 3  # pairs of each cell whose pictures are kept to look at


@dataclass(frozen=True, kw_only=True)
class Interpolation(Evaluation):
    """One point: a model, asked for `frames` pictures on the way between the captions of each of n pairs.

    `rescale` is the share of rescaled guidance (Lin et al. 2024), which keeps strong guidance from oversaturating.
    """

    path: Literal["lerp", "slerp"] = "lerp"
    frames: int = 11
    rescale: float = later(0.0)

    def __post_init__(self):
        super().__post_init__()
        if self.path not in ("lerp", "slerp"):
            raise ValueError(f"path = {self.path!r}: expected lerp or slerp; choose one of them.")
        if not 3 <= self.frames <= 101:
            raise ValueError(f"frames = {self.frames}: expected 3 to 101 pictures on the way, both ends included.")
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale = {self.rescale}: expected 0 (guidance as it is) to 1; choose in between.")
        if self.level == "nothing":
            raise ValueError(
                "level = 'nothing': expected one that says the object that a way leads to; choose another."
            )


def interpolation_grid(
    profile: Profile,
    sizes: Sequence[int],
    guidance: Sequence[float],
    *,
    steps: int,
    n: int,
    frames: int,
    level: Level = "all",
    rescale: float = 0.0,
) -> list[Interpolation]:
    """Return every size x guidance x way, at the training length where sizes are compared."""
    return [
        Interpolation(
            study="interpolation",
            profile=profile.name,
            c=c,
            images=profile.length,
            steps=steps,
            guidance=float(g),
            n=n,
            level=level,
            path=path,
            frames=frames,
            rescale=rescale,
        )
        for c in sizes
        for g in guidance
        for path in ("lerp", "slerp")
    ]


def captions(pairs: Sequence[tuple[Scene, Scene]], level: Level) -> list[tuple[str, str]]:
    """Return the captions of pairs of scenes, at a level of caption."""
    first, second = ([caption(scene, said(scene, level)) for scene in scenes] for scenes in zip(*pairs, strict=True))
    return list(zip(first, second, strict=True))


def walk(generator: Generator, asked: Sequence[tuple[str, str]], cell: Interpolation) -> UInt8[np.ndarray, "k n h w 3"]:
    """Draw k pictures for each of n pairs of captions, from the second (a = 0) to the first (a = 1).

    Pair i starts from the noise of image i in all its pictures.
    """
    from ldm.diffusion.guidance_settings import Guidance

    first, second = (generator.text.encode([pair[i] for pair in asked]) for i in (0, 1))
    mix = {"lerp": lerp, "slerp": slerp}[cell.path]
    table = generator.profile.plan(cell.sampler, cell.steps)
    guidance = Guidance(scale=cell.guidance, rescale=cell.rescale) if cell.rescale else cell.guidance
    return np.stack(
        [
            np.concatenate(
                [
                    generator.codec.decode(latents)
                    for latents in generator.latents(
                        mix(a, first, second).astype(np.float32), table, guidance, seed=cell.noise
                    )
                ]
            )
            for a in np.linspace(0, 1, cell.frames)
        ]
    )


def coherence(
    features: Float[np.ndarray, "k n d"], seen: Sequence[Detections], scenes: Sequence[tuple[Scene, Scene]]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return how coherent the way of each pair is; `seen` holds the detector's answers for each of the k pictures.

    detour        Length of the way over the distance of its ends: 1 is straight.
    largest_step  The largest step's share of that length: 1 / (k - 1) is even, 1 a single jump.
    readable      Share of the pictures that clearly show the object of A, that of B, or both and no other.
    entropy       Of the detector's belief which object it is, in bits, averaged over the pictures.
    """
    steps = np.linalg.norm(np.diff(features, axis=0), axis=-1)
    length, ends = steps.sum(0), np.linalg.norm(features[-1] - features[0], axis=-1)
    objects = [[seen[0].labels.objects.index(scene.objects[0].name) for scene in pair] for pair in scenes]
    clear, bits = np.zeros((len(seen), len(scenes))), np.zeros((len(seen), len(scenes)))
    for k, detections in enumerate(seen):
        shares = detections.shares
        for i, (a, b) in enumerate(objects):
            clear[k, i] = any(shows(shares[i], wanted) for wanted in ([a], [b], [a, b]))
        belief = shares.sum((1, 2))
        belief = belief / belief.sum(1, keepdims=True)
        bits[k] = -(belief * np.log2(np.maximum(belief, 1e-12))).sum(1)
    return {
        "detour": length / np.maximum(ends, 1e-9),
        "largest_step": steps.max(0) / np.maximum(length, 1e-9),
        "readable": clear.mean(0),
        "entropy": bits.mean(0),
    }


class InterpolationEvaluator(SamplingEvaluator):
    """Draws the ways between n pairs of held-out captions, and measures them by the scene detector."""

    def evaluate(self, cell: Interpolation) -> tuple[Measurement, np.ndarray, float]:
        began = time.monotonic()
        generator = self._model(self.model_of(cell))
        asked = scene_pairs(Scenes(self.profile.scenes, cell.split, 16 * cell.n), cell.n)
        pictures = walk(generator, captions(asked, cell.level), cell)
        looks = [self.metrics.scene.look(frame) for frame in pictures]
        influences = coherence(np.stack([features for features, _ in looks]), [seen for _, seen in looks], asked)
        estimates = {name: (mean(values), self.metrics.scene.protocol) for name, values in influences.items()}
        kept = np.concatenate([pictures[:, i] for i in range(min(KEPT, cell.n))])
        return Measurement(estimates=estimates, influences=influences), kept, time.monotonic() - began

    def columns(self, cell: Interpolation) -> dict[str, Any]:
        """Return the row's columns: `task` is the way, `strength` the share of rescaled guidance; n counts pairs."""
        return super().columns(cell) | dict(task=cell.path, strength=cell.rescale or None)

    def setting(self, cell: Interpolation) -> str:
        sentence = f"{super().setting(cell)}; {cell.frames} pictures a way"
        return sentence + (f"; rescaled guidance, phi {cell.rescale:g}" if cell.rescale else "")
