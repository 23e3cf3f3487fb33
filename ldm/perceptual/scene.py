"""The detector: looks at a picture of a scene and says what it shows and where.

Trained on scenes with their records as truth (`ldm.scene_detector.train_detector`), with another
seed than the small CLIP and sharing nothing with it: a network must not judge what it conditions.
It has two uses. *Scene alignment* compares what it sees with what a caption asked for. Its last
layer is the feature space of the distances FD-scene and KID-scene (never "FID" or "CLIP score").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, UInt8

from ldm import weights
from ldm.autoencoder import fold, to_pixels
from ldm.layers import (
    Conv,
    Downsample,
    GroupNorm,
    KeySource,
    Linear,
    Params,
    ResBlock,
    merge,
    split,
)
from ldm.scene import COLS, SIZES, Scene

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "mini" / "detector.safetensors"
GRID = 8  # cells a side


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What the detector can name."""

    objects: tuple[str, ...]
    styles: tuple[str, ...]
    kinds: tuple[str, ...]
    colours: tuple[str, ...]


class Detector(nnx.Module):
    """Pixels (b, side, side, 3) in [-1, 1] -> features of 8x8 cells -> answers.

    The first map is 32 x 32: of pixels at 32 px, of patches of pixels where pictures are larger.
    """

    def __init__(self, labels: Labels, *, side: int = 32, width: int = 32, keys: KeySource):
        block = partial(ResBlock, time=0, groups=16, keys=keys)
        self.patch = side // 32
        self.conv_in = Conv(3 * self.patch**2, width, keys=keys)
        self.blocks = nnx.List([
            block(width, width), Downsample(width, keys=keys),
            block(width, 2 * width), Downsample(2 * width, keys=keys),
            block(2 * width, 4 * width), block(4 * width, 4 * width),
        ])  # fmt: skip
        self.norm = GroupNorm(4 * width, 16)
        self.conv_out = Conv(4 * width, 8 * width, 1, keys=keys)
        self.cell = Linear(8 * width, 1 + len(labels.objects), keys=keys)
        self.style = Linear(16 * width, len(labels.styles), keys=keys)
        self.kind = Linear(16 * width, len(labels.kinds), keys=keys)
        self.colour = Linear(16 * width, len(labels.colours), keys=keys)

    def features(self, pixels: Float[Array, "b side side 3"]) -> Float[Array, "b 8 8 f"]:
        x = self.conv_in(fold(pixels, self.patch))
        for block in self.blocks:
            x = block(x)
        return nnx.silu(self.conv_out(nnx.silu(self.norm(x))))

    def pooled(self, features: Float[Array, "b 8 8 f"]) -> Float[Array, "b 2f"]:
        """Mean and spread over the cells: what there is, and how unevenly."""
        return jnp.concatenate([features.mean((1, 2)), jnp.sqrt(features.var((1, 2)) + 1e-4)], -1)

    def answers(self, features: Float[Array, "b 8 8 f"]) -> dict[str, Array]:
        pooled = self.pooled(features)
        return {
            "cells": self.cell(features),
            "style": self.style(pooled),
            "kind": self.kind(pooled),
            "colours": self.colour(pooled),
        }


def to_side(images: UInt8[Array, "b h w 3"], side: int) -> Float[Array, "b side side 3"]:
    """Pixels in [-1, 1], resampled to side x side (triangle filter, antialiased) where needed."""
    pixels = to_pixels(images)
    if pixels.shape[1:3] == (side, side):
        return pixels
    return jax.image.resize(pixels, (pixels.shape[0], side, side, 3), "linear")


@partial(jax.jit, static_argnums=0)
def _look(structure: nnx.GraphDef, params: Params, images: Array) -> tuple[Array, dict[str, Array]]:
    net = merge(structure, params)
    features = net.features(to_side(images, net.patch * 32))
    return net.pooled(features), net.answers(features)


def _first(n: int, x: np.ndarray) -> np.ndarray:
    return x[:n]


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """What the detector says of n pictures: logits, of `labels`' entries in their order."""

    labels: Labels
    cells: Float[np.ndarray, "n 8 8 1+objects"]  # the first is for background
    style: Float[np.ndarray, "n styles"]
    kind: Float[np.ndarray, "n kinds"]
    colours: Float[np.ndarray, "n colours"]  # of the background, one or two, in no order

    @property
    def shares(self) -> Float[np.ndarray, "n 8 8 objects"]:
        """Each cell's probability to show each object."""
        odds = np.exp(self.cells - self.cells.max(-1, keepdims=True))
        return (odds / odds.sum(-1, keepdims=True))[..., 1:]


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneNetwork:
    """The detector with its weights; pictures of other sizes than `side` are resampled to it.

    `network(images)` and `network.features(images)` are the features of FD-scene and KID-scene.
    """

    structure: nnx.GraphDef
    params: Params
    labels: Labels
    side: int
    batch: int = 32
    dimension = 512
    name = "scene"

    @property
    def protocol(self) -> str:
        """What determines the features; part of the protocol of every number made from them."""
        return (
            f"scene detector, mean and spread of the last layer {self.dimension}-d, {self.side} px"
        )

    def look(
        self, images: UInt8[np.ndarray, "n h w 3"]
    ) -> tuple[Float[np.ndarray, "n 512"], Detections]:
        """Features and detections at one go. Raises: ValueError if these are no uint8 images."""
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or not len(images):
            raise ValueError(
                f"The detector got {images.dtype} of shape {images.shape}: expected uint8 images "
                "of shape (n, height, width, 3), at least one."
            )
        parts = []
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            full = np.pad(part, ((0, self.batch - len(part)), (0, 0), (0, 0), (0, 0)))
            seen = jax.device_get(_look(self.structure, self.params, jax.device_put(full)))
            parts.append(jax.tree.map(partial(_first, len(part)), seen))
        features, told = jax.tree.map(lambda *x: np.concatenate(x), *parts)
        return features, Detections(labels=self.labels, **told)

    def features(self, images: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n 512"]:
        """Mean and spread of the last layer. Raises: ValueError if these are no uint8 images."""
        return self.look(images)[0]

    __call__ = features

    def detect(self, images: UInt8[np.ndarray, "n h w 3"]) -> Detections:
        """Raises: ValueError if these are no uint8 images."""
        return self.look(images)[1]


# --- alignment ---------------------------------------------------------------------------------


def alignment(seen: Detections, scenes: Sequence[Scene]) -> dict[str, Bool[np.ndarray, " n"]]:
    """Whether each picture shows what its caption asks for.

    No true box is used, and of a record only what its caption says: generated pictures have no box.

    subject   The objects that cover most of the picture are those of the caption: of all objects
              the m with the largest summed probability, where the caption names m; and each of them
              is likelier than all else in some cell.
    relation  They stand as the caption says, by the centroids of their probability: left of, above
              ... (and more so than in the other direction), or, for one object, its place in
              thirds of the room that an object of this size word has. Needs `subject`.
    style, kind   The likeliest is the caption's.
    colours   The likeliest one or two are the caption's, in any order.
    all       All of these.

    Raises: ValueError if the numbers of pictures and scenes differ, or a caption names something
    that the detector does not know.
    """
    if len(seen.style) != len(scenes):
        raise ValueError(f"{len(seen.style)} pictures and {len(scenes)} scenes: expected as many.")
    labels, shares = seen.labels, seen.shares
    out = {name: np.zeros(len(scenes), bool) for name in ("subject", "relation")}
    for i, scene in enumerate(scenes):
        wanted = [_number(labels.objects, thing.name, "object") for thing in scene.objects]
        out["subject"][i] = shows(shares[i], wanted)
        out["relation"][i] = out["subject"][i] and _stands(shares[i][..., wanted], scene)
    out |= surroundings(seen, scenes)
    return out | {"all": np.all(list(out.values()), 0)}


def surroundings(seen: Detections, scenes: Sequence[Scene]) -> dict[str, Bool[np.ndarray, " n"]]:
    """`style`, `kind` and `colours` of `alignment`, of scenes whatever they show."""
    labels = seen.labels
    out = {name: np.zeros(len(scenes), bool) for name in ("style", "kind", "colours")}
    for i, scene in enumerate(scenes):
        out["style"][i] = seen.style[i].argmax() == _number(labels.styles, scene.style, "style")
        out["kind"][i] = seen.kind[i].argmax() == _number(labels.kinds, scene.kind, "kind")
        colours = {_number(labels.colours, colour, "colour") for colour in scene.colours}
        out["colours"][i] = set(np.argsort(-seen.colours[i])[: len(colours)]) == colours
    return out


def placed(seen: Detections, scenes: Sequence[Scene]) -> Bool[np.ndarray, " n"]:
    """Whether the one object, be it known or not, stands where its caption says; by the cells that show any object."""
    anything = seen.shares.sum(-1, keepdims=True)
    return np.array([_stands(shares, scene) for shares, scene in zip(anything, scenes, strict=True)])


def _number(known: tuple[str, ...], name: str, what: str) -> int:
    if name not in known:
        raise ValueError(
            f"The detector knows no {what} {name!r}, only {', '.join(known)}; "
            "judge captions of these."
        )
    return known.index(name)


def shows(shares: Float[np.ndarray, "8 8 objects"], wanted: list[int]) -> bool:
    """Whether the m wanted objects are the m that cover most, each of them likelier than all else in some cell."""
    largest = np.argsort(-shares.sum((0, 1)))[: len(wanted)]
    return set(largest) == set(wanted) and bool((shares[..., wanted].max((0, 1)) > 0.5).all())


def _stands(shares: Float[np.ndarray, "8 8 m"], scene: Scene) -> bool:
    middles = (np.arange(GRID) + 0.5) / GRID
    total = shares.sum((0, 1))
    x = (shares.sum(0) * middles[:, None]).sum(0) / total
    y = (shares.sum(1) * middles[:, None]).sum(0) / total
    if len(x) == 1:
        return _place(x[0], y[0], scene.objects[0].size) == scene.place
    dx, dy = x[1:] - x[:-1], y[1:] - y[:-1]
    match scene.relation:
        case "left of" | "right of":
            sign = 1 if scene.relation == "left of" else -1
            return bool(sign * dx[0] > abs(dy[0]))
        case "below":
            return bool(-dy[0] > abs(dx[0]))
        case "above" if len(x) == 2:
            return bool(dy[0] > abs(dx[0]))
        case "above":
            return bool(y[0] < min(y[1:]))
        case "from left to right":
            return bool((dx > 0).all())
        case _:  # from top to bottom
            return bool((dy > 0).all())


def _place(x: float, y: float, size: str) -> str:
    side = sum(SIZES[1][size]) / 2048  # as the generator draws a single object of this size word

    def third(centre: float, names: tuple[str, str]) -> str:
        share = (centre - side / 2) / (1 - side) * 1024
        low, high = (
            (max(a) + min(b)) / 2 for a, b in ((COLS["left"], COLS[""]), (COLS[""], COLS["right"]))
        )
        return names[0] if share < low else names[1] if share > high else ""

    words = " ".join(filter(None, (third(y, ("top", "bottom")), third(x, ("left", "right")))))
    return f"at the {words}" if words else "in the centre"


def build(labels: Labels, *, side: int = 32, width: int = 32, seed: int = 0) -> SceneNetwork:
    """An untrained detector for pictures of `side` pixels, a multiple of 32."""
    keys = KeySource(jax.random.key(seed))
    structure, params = split(Detector(labels, side=side, width=width, keys=keys))
    return SceneNetwork(structure=structure, params=params, labels=labels, side=side)


def load(path: str | Path = WEIGHTS) -> SceneNetwork:
    """The trained detector, in float32.

    The file describes itself: "detector" holds the arguments of `build`, "accuracy" how often it
    was right about scenes that it had not seen (`ldm.scene_detector.examine_detector`).
    Raises: ValueError, in one sentence, for a file that is missing or broken.
    """
    described = weights.metadata(path).get("detector")
    if not described:
        raise ValueError(
            f"{path} does not describe a detector; restore it with `git checkout weights`."
        )
    names = {name: tuple(known) for name, known in described["labels"].items()}
    network = build(Labels(**names), **{k: v for k, v in described.items() if k != "labels"})
    params = weights.load(path, network.params, half_to_float32=True)
    return replace(network, params={name: jax.device_put(params[name]) for name in network.params})


def accuracy(path: str | Path = WEIGHTS) -> dict[str, float]:
    """How often the shipped detector is right about real scenes: a ceiling for generated ones."""
    return weights.metadata(path)["accuracy"]
