"""The cells of the super-resolution study: ways to enlarge pictures, and the grids that the findings are asked of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ldm import profiles
from ldm.data.degrade import STRENGTHS, Strength
from ldm.profile import Profile
from ldm.study.cells import check_pictures, check_size
from ldm.tasks import superres_recipe

STEPS = (4, 8, 16, 20, 50, 100, 250)  # the paper's two ranges, 4 to 20 and 20 to 250 (section 3.5)
USUAL = 50  # steps of DDIM at which models are compared (section 3.2)
CONTROL = 16  # width of the two controls, finetuned half as long as the models, to be compared with as much of it
FLOORS = ("true", "autoencoder")  # the true pictures, and as the autoencoder shows them: what a latent model can reach
GIVEN = (*FLOORS, "bicubic")  # they ask no model
BASELINES = (*GIVEN, "superres-regression")  # they have no steps


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """One point: a way to enlarge pictures, measured on n of them."""

    profile: str
    kind: str = "superres"  # one of ldm.tasks.superres_recipe.Kind, or of GIVEN, which have no model
    strength: Strength = "published"  # of the degradation
    c: int = 0
    images: int = 0  # of finetuning
    steps: int = 0
    sampler: str = "ddim"
    n: int = 256
    seed: int = 0  # of the training run
    noise: int = 0  # seed of the initial noise

    def __post_init__(self):
        profile = profiles.get(self.profile)
        check_pictures(self.n)
        if self.strength not in STRENGTHS:
            raise ValueError(
                f"strength = {self.strength!r}: expected one of {', '.join(STRENGTHS)}; choose one of them."
            )
        if self.kind in GIVEN:
            if (self.c, self.images, self.steps) != (0, 0, 0):
                given = f"c = {self.c}, images = {self.images}, steps = {self.steps}"
                raise ValueError(f"{given}: {self.kind!r} has no network and takes no steps; leave them out.")
            if self.kind in FLOORS and self.strength != STRENGTHS[0]:
                raise ValueError(f"strength = {self.strength!r}: of {self.kind!r} nothing is degraded; leave it out.")
            return
        superres_recipe.check_kind(self.kind)
        check_size(profile, self.c)
        known = superres_recipe.lengths(profile)
        if self.images not in known:
            raise ValueError(f"images = {self.images}: expected a length of finetuning, one of {known}.")
        if self.kind not in BASELINES:
            profile.plan(self.sampler, self.steps)  # refuses unknown samplers and impossible step counts
        elif self.steps:
            raise ValueError(f"steps = {self.steps}: {self.kind} restores at once; leave the steps out.")


def pictures(profile: Profile) -> int:
    """Return how many pictures judge a model, unless told otherwise.

    They are four times as large as those of the other studies.
    """
    return max(16, profile.n // 2)


def finetuning_grid(
    profile: Profile,
    sizes: Sequence[int],
    lengths: Sequence[int],
    strengths: Sequence[Strength] = STRENGTHS,
    *,
    n: int | None = None,
) -> list[Restoration]:
    """Return every size at every length of finetuning, in the paper's one way: 50 steps of DDIM, no guidance (F2)."""
    return [
        Restoration(profile=profile.name, strength=s, c=c, images=images, steps=USUAL, n=n or pictures(profile))
        for s in strengths
        for c in sizes
        for images in lengths
    ]


def steps_grid(
    profile: Profile,
    sizes: Sequence[int],
    steps: Sequence[int] = STEPS,
    strengths: Sequence[Strength] = STRENGTHS,
    *,
    images: int = 0,
    n: int | None = None,
) -> list[Restoration]:
    """Return every size at every step count, at one length of finetuning, the longest unless told otherwise (F5)."""
    common: dict[str, Any] = dict(profile=profile.name, images=images or profile.finetuned, n=n or pictures(profile))
    return [
        Restoration(strength=strength, c=c, steps=count, **common)
        for strength in strengths
        for c in sizes
        for count in steps
    ]


def baselines_grid(
    profile: Profile, c: int = CONTROL, strengths: Sequence[Strength] = STRENGTHS, *, n: int | None = None
) -> list[Restoration]:
    """Return the floors, bicubic, and the controls of width c with what they are compared with.

    The controls are the regression and diffusion from fresh parameters; they are compared with the usual finetuning for
    as long.
    """
    common: dict[str, Any] = dict(profile=profile.name, n=n or pictures(profile))
    kinds = ("superres-regression", "superres-scratch", "superres")
    return [Restoration(kind=kind, **common) for kind in FLOORS] + [
        cell
        for strength in strengths
        for cell in (
            Restoration(kind="bicubic", strength=strength, **common),
            *(
                Restoration(
                    kind=kind,
                    strength=strength,
                    c=c,
                    images=superres_recipe.half(profile),
                    steps=0 if kind in BASELINES else USUAL,
                    **common,
                )
                for kind in kinds
            ),
        )
    ]
