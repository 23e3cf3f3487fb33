"""The detector: looks at a picture of a scene and says what it shows and where.

Trained on scenes with their records as truth (`ldm.tasks.frozen.detector.train_detector`), with another
seed than the small CLIP and sharing nothing with it: a network must not judge what it conditions.
It has two uses. What it sees is compared with what a caption asked for (`ldm.metrics.perceptual.alignment`). Its last
layer is the feature space of the distances FD-scene and KID-scene (never "FID" or "CLIP score").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8

from ldm.metrics.perceptual.detections import DIMENSION, Detections, Labels, described, protocol
from ldm.metrics.perceptual.network import check
from ldm.networks import weights
from ldm.networks.autoencoder import fold, to_side
from ldm.networks.batched import in_batches
from ldm.networks.initial import KeySource
from ldm.networks.layers import Conv, Downsample, GroupNorm, Linear, ResBlock
from ldm.networks.structure import Params, Structure, abstract, merge, split


class Detector(nnx.Module):
    """Pixels (b, side, side, 3) in [-1, 1] -> features of 8x8 cells -> answers.

    The first map is 32 x 32: of pixels at 32 px, of patches of pixels where pictures are larger.
    """

    def __init__(self, labels: Labels, *, side: int = 32, width: int = 32, keys: KeySource):
        block = partial(ResBlock, time=0, groups=16, keys=keys)
        self.patch = side // 32
        self.conv_in = Conv(3 * self.patch**2, width, keys=keys)
        self.blocks = nnx.List(
            [
                block(width, width),
                Downsample(width, keys=keys),
                block(width, 2 * width),
                Downsample(2 * width, keys=keys),
                block(2 * width, 4 * width),
                block(4 * width, 4 * width),
            ]
        )
        self.norm = GroupNorm(4 * width, 16)
        self.conv_out = Conv(4 * width, 8 * width, 1, keys=keys)
        self.cell = Linear(8 * width, 1 + len(labels.objects), keys=keys)
        self.style = Linear(16 * width, len(labels.styles), keys=keys)
        self.kind = Linear(16 * width, len(labels.kinds), keys=keys)
        self.colour = Linear(16 * width, len(labels.colours), keys=keys)

    def features(self, pixels: Float[Array, "b side side 3"]) -> Float[Array, "b 8 8 f"]:
        """Return what the last layer sees in each of the 8 x 8 cells of pixels in [-1, 1]."""
        x = self.conv_in(fold(pixels, self.patch))
        for block in self.blocks:
            x = block(x)
        return nnx.silu(self.conv_out(nnx.silu(self.norm(x))))

    def pooled(self, features: Float[Array, "b 8 8 f"]) -> Float[Array, "b 2*f"]:
        """Return the mean and spread over the cells: what there is, and how unevenly."""
        return jnp.concatenate([features.mean((1, 2)), jnp.sqrt(features.var((1, 2)) + 1e-4)], -1)

    def answers(self, features: Float[Array, "b 8 8 f"]) -> dict[str, Array]:
        """Return logits, as `Detections` has them, of what each cell and the whole picture show."""
        pooled = self.pooled(features)
        return {
            "cells": self.cell(features),
            "style": self.style(pooled),
            "kind": self.kind(pooled),
            "colours": self.colour(pooled),
        }


@partial(jax.jit, static_argnums=0)
def _look(structure: Structure, params: Params, images: Array) -> tuple[Array, dict[str, Array]]:
    net = merge(structure, params)
    with jax.default_matmul_precision("highest"):  # as `network.exactly`
        features = net.features(to_side(images, net.patch * 32))
        return net.pooled(features), net.answers(features)


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneNetwork:
    """The detector with its weights; pictures of other sizes than `side` are resampled to it.

    `network(images)` and `network.features(images)` are the features of FD-scene and KID-scene.
    """

    structure: Structure
    params: Params
    labels: Labels
    side: int
    batch: int = 32
    dimension = DIMENSION
    name = "scene"

    @property
    def protocol(self) -> str:
        """What determines the features; part of the protocol of every number made from them."""
        return protocol(self.side)

    def look(self, images: UInt8[np.ndarray, "n h w 3"]) -> tuple[Float[np.ndarray, "n 512"], Detections]:
        """Return features and detections at one go. Raises: ValueError if these are no uint8 images."""
        images = check(images, "The detector")
        features, answers = in_batches(partial(_look, self.structure, self.params), images, batch=self.batch)
        return features, Detections(labels=self.labels, **answers)

    def features(self, images: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n 512"]:
        """Return the mean and spread of the last layer. Raises: ValueError if these are no uint8 images."""
        return self.look(images)[0]

    __call__ = features

    def detect(self, images: UInt8[np.ndarray, "n h w 3"]) -> Detections:
        """Return the detections. Raises: ValueError if these are no uint8 images."""
        return self.look(images)[1]


def build(labels: Labels, *, side: int = 32, width: int = 32, seed: int = 0) -> SceneNetwork:
    """Return an untrained detector for pictures of `side` pixels, a multiple of 32."""
    keys = KeySource(jax.random.key(seed))
    structure, params = split(Detector(labels, side=side, width=width, keys=keys))
    return SceneNetwork(structure=structure, params=params, labels=labels, side=side)


def load_detector(path: str | Path) -> SceneNetwork:
    """Return the trained detector, in float32.

    The file describes itself: "detector" holds what it names and its side, "accuracy" how often it
    was right about scenes that it had not seen (`ldm.tasks.frozen.detector.examine_detector`).
    Raises: ValueError, in one sentence, for a file that is missing or broken.
    """
    labels, side = described(path)
    structure, like = abstract(lambda keys: Detector(labels, side=side, keys=keys))
    params = weights.load(path, like, half_to_float32=True)
    placed = jax.device_put({name: params[name] for name in like})
    return SceneNetwork(structure=structure, params=placed, labels=labels, side=side)


def accuracy(path: str | Path) -> dict[str, Any]:
    """Return how often the shipped detector is right about real scenes, by split: a ceiling for generated ones."""
    return weights.metadata(path)["accuracy"]
