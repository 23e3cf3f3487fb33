"""How networks are finetuned for super-resolution: which kinds of them, for how long, how fast."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from ldm.profiles import Profile
from ldm.training.config import TrainConfig

Kind = Literal["superres", "superres-scratch", "superres-regression"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LENGTHS = (1_000, 4_000, 16_000, 32_000)  # images of finetuning at which a model is kept
CONFIG = TrainConfig(images=32_000, batch=16, learning_rate=5e-4, warmup_images=500, decay_images=8_000)


def check_kind(kind: str) -> Kind:
    """Return a kind as it is. Raises: ValueError, one sentence, for an unknown one."""
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r}: expected one of {', '.join(KINDS)}; choose one of them.")
    return kind


def config_of(profile: Profile, images: int = 0) -> TrainConfig:
    """Return how a profile's networks are finetuned: no faster than they were trained, and in the same arithmetic."""
    rate = min(CONFIG.learning_rate, profile.train.learning_rate)
    return replace(CONFIG, images=images or CONFIG.images, learning_rate=rate, bf16=profile.train.bf16)
