"""How networks are finetuned for super-resolution: which kinds of them, for how long, how fast."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, takewhile
from typing import Literal, get_args

from ldm.profile import Profile
from ldm.training.config import TrainConfig

Kind = Literal["superres", "superres-scratch", "superres-regression"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHORTEST = 8_000  # images of finetuning at which the first model is kept; then at each doubling
BATCH = 32


def check_kind(kind: str) -> Kind:
    """Return a kind as it is. Raises: ValueError, one sentence, for an unknown one."""
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r}: expected one of {', '.join(KINDS)}; choose one of them.")
    return kind


def lengths(profile: Profile) -> tuple[int, ...]:
    """Return the images of finetuning at which a model is kept: doubled from SHORTEST on, `half`, and the profile's."""
    doubled = takewhile(lambda images: images < profile.finetuned, (SHORTEST << k for k in count()))
    return tuple(sorted({*doubled, half(profile), profile.finetuned}))


def half(profile: Profile) -> int:
    """Return the images that a control sees: half of a finetuning."""
    return profile.finetuned // 2


def config_of(profile: Profile, c: int, images: int = 0, kind: Kind = "superres") -> TrainConfig:
    """Return how a profile's network of size c is finetuned: for so many images, or as long as the study asks."""
    trained = profile.training(c)
    return replace(
        trained,
        images=images or (profile.finetuned if kind == "superres" else half(profile)),
        batch=BATCH,
        learning_rate=profile.finetuning_rate * trained.learning_rate,
        warmup_images=SHORTEST // 4,
        decay_images=2 * SHORTEST,
    )
