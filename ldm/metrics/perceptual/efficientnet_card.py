"""What EfficientNet-Lite0 is called in protocols, and where its weights lie: all of it that needs no network."""

from __future__ import annotations

from ldm import paths

TRAINED = paths.WEIGHTS / "efficientnet_lite0.safetensors"
SIDE = 160  # pixels of the pictures that the study has it look at
DIMENSION = 1280  # of the features


def protocol(side: int = SIDE) -> str:
    """Return what determines the features; part of the protocol of every number made from them."""
    return f"EfficientNet-Lite0 ImageNet, mean-pooled {DIMENSION}-d, {side} px bicubic"
