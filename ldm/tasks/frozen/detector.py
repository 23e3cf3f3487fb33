"""Trains the detector that judges pictures (`ldm.metrics.perceptual.detector`) on scenes.

It shares nothing with the small CLIP that conditions the generators, not even the seed. Two thirds
of what it sees carry faults of generated pictures, so that a soft picture of an owl is an owl.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, UInt8
from PIL import Image, ImageFilter

from ldm import paths
from ldm.data.batches import batch_indices
from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.truth import cover, vocabulary
from ldm.diffusion.losses import Batch, DeviceBatch
from ldm.metrics.perceptual.alignment import alignment
from ldm.metrics.perceptual.detector import Labels, SceneNetwork, build, load_detector
from ldm.networks import weights
from ldm.networks.autoencoder import to_side
from ldm.networks.structure import Params, Structure, merge
from ldm.profile import Profile
from ldm.tasks.models import part_file, run_folder
from ldm.training.loop import Loss, TrainConfig, fit

TRAINING = TrainConfig(
    images=130_000, batch=64, warmup_images=5_000, decay_images=40_000, seed=7
)  # 12 minutes on one core
HELD_OUT_SHARE = 6  # one scene with a held-out combination to so many without


def labels_of(config: SceneConfig) -> Labels:
    """Return the labels that a detector of these scenes tells apart."""
    return Labels(objects=vocabulary(config), styles=config.styles, kinds=config.kinds, colours=config.colours)


@dataclass(frozen=True, kw_only=True)
class DetectorSet:
    """What the detector learns from: pictures and their records as integers."""

    images: UInt8[np.ndarray, "n S S 3"]
    cells: Int[np.ndarray, "n g g"]  # the object, as `ldm.data.scenes.truth.cover` gives it
    shares: Float[np.ndarray, "n g g"]
    style: Int[np.ndarray, " n"]
    kind: Int[np.ndarray, " n"]
    colours: Float[np.ndarray, "n colours"]  # one or two of them, sum 1

    @classmethod
    def of(cls, scenes: Scenes, images: np.ndarray) -> DetectorSet:
        """Return all about the scenes whose pictures these are."""
        config = scenes.config
        records = [scenes.scene(i) for i in range(len(images))]
        labels, shares = cover(config, records)
        colours = np.array([[c in r.colours for c in config.colours] for r in records], np.float32)
        return cls(
            images=images,
            cells=labels,
            shares=shares,
            style=np.array([config.styles.index(r.style) for r in records], np.int32),
            kind=np.array([config.kinds.index(r.kind) for r in records], np.int32),
            colours=colours / colours.sum(1, keepdims=True),
        )

    def __add__(self, other: DetectorSet) -> DetectorSet:
        both = {
            field.name: np.concatenate([getattr(self, field.name), getattr(other, field.name)])
            for field in fields(self)
        }
        return DetectorSet(**both)

    def batch(self, seed: int, step: int, size: int) -> Batch:
        """Return the batch of a step, by (seed, step) alone."""
        i = batch_indices(seed, step, size, len(self.images))
        names = ("images", "cells", "shares", "style", "kind", "colours")
        return {name: np.asarray(getattr(self, name)[i]) for name in names}


def worsen(pixels: Float[Array, "b h w 3"], key: Array) -> Float[Array, "b h w 3"]:
    """Add faults of generated pictures, so that the detector is fair to them; a third stay as they are.

    Each by a random amount a picture: softness of two kinds (binomial blur, half resolution), slow
    and fast noise, a tint and a change of contrast.
    """
    b, h, w, _ = pixels.shape
    keys = jax.random.split(key, 7)

    def amount(key: Array, most: float) -> Array:
        """Draw zero for half of the pictures, else up to `most`."""
        return most * jnp.maximum(jax.random.uniform(key, (b, 1, 1, 1), minval=-1.0), 0)

    def blur(x: Array) -> Array:
        for axis in (1, 2):
            before, after = (jnp.roll(x, shift, axis) for shift in (1, -1))
            x = (before + 2 * x + after) / 4
        return x

    half = pixels.reshape(b, h // 2, 2, w // 2, 2, 3).mean((2, 4))
    soft = jax.image.resize(half, pixels.shape, "linear")
    slow = jax.random.normal(keys[0], (b, 8, 8, 3))
    x = pixels + amount(keys[1], 1.0) * (blur(pixels) - pixels)
    x = x + amount(keys[2], 0.7) * (soft - pixels)
    x = x + amount(keys[3], 0.15) * jax.image.resize(slow, pixels.shape, "linear")
    x = x + amount(keys[4], 0.12) * jax.random.normal(keys[5], pixels.shape)
    tint = jax.random.normal(keys[6], (b, 1, 1, 4))
    x = x * (1 + 0.06 * tint[..., :1]) + 0.04 * tint[..., 1:]
    kept = jnp.arange(b)[:, None, None, None] < b // 3
    return jnp.where(kept, pixels, x)


def detector_loss(structure: Structure) -> Loss:
    """Return the cross-entropy of every answer; the cells, which are the hardest, count four times.

    A cell should name its object with the probability of the share that the object covers.
    """
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels

    def loss(params: Params, batch: DeviceBatch, key: Array) -> tuple[Array, dict[str, Array]]:
        net = merge(structure, params)
        answers = net.answers(net.features(worsen(to_side(batch["images"], 32 * net.patch), key)))
        shares, empty = batch["shares"], jnp.zeros_like(batch["cells"])
        cells = shares * cross_entropy(answers["cells"], batch["cells"])
        cells = cells + (1 - shares) * cross_entropy(answers["cells"], empty)
        within = (shares > 0.9).astype(jnp.float32)
        right = (answers["cells"].argmax(-1) == batch["cells"]).astype(jnp.float32)
        terms = {
            "cells": cells.mean(),
            "style": cross_entropy(answers["style"], batch["style"]).mean(),
            "kind": cross_entropy(answers["kind"], batch["kind"]).mean(),
            "colours": optax.softmax_cross_entropy(answers["colours"], batch["colours"]).mean(),
            "named": (right * within).sum() / within.sum(),
        }
        return 4 * terms["cells"] + terms["style"] + terms["kind"] + terms["colours"], terms

    return loss


def train_detector(profile: Profile, images: int = 0) -> SceneNetwork:
    """Train the profile's detector, resuming where it stopped, and write its weights.

    Unlike the generators, the judge learns the held-out combinations too, from scenes of their own
    (another seed): it cannot recognise a drawing that it has never seen (without them it named 62 %
    of the held-out subjects and half of their styles). The file's metadata holds its accuracy on
    scenes that it has not seen, of the generators' distribution ("val") and "heldout".
    """
    config = replace(TRAINING, images=images or TRAINING.images)
    scenes = Scenes(profile.scenes, "train", profile.frozen_data)
    heldout = replace(scenes, split="heldout", n=max(1, profile.frozen_data // HELD_OUT_SHARE), seed=1)
    untrained = build(labels_of(scenes.config), side=scenes.config.size, seed=config.seed)
    cache = paths.RUNS / "cache"
    data = DetectorSet.of(scenes, scenes.cached(cache))
    data += DetectorSet.of(heldout, heldout.cached(cache))
    state = fit(
        detector_loss(untrained.structure),
        untrained.params,
        lambda step: data.batch(config.seed, step, config.batch),
        config,
        folder=run_folder(profile, "train-detector"),
        title="detector",
    )
    network = replace(untrained, params=state.ema)
    accuracy = {part: examine_detector(network, replace(scenes, split=part, n=2000)) for part in ("val", "heldout")}
    path = part_file(profile, "detector")
    save_detector(path, network, accuracy)
    return load_detector(path)


def save_detector(path: Path, network: SceneNetwork, accuracy: dict[str, dict[str, float]]) -> None:
    """Write in half precision, with what `ldm.metrics.perceptual.detector.load_detector` needs to know."""
    described = {"labels": asdict(network.labels), "side": network.side}
    weights.save_half(path, network.params, {"detector": described, "accuracy": accuracy})


def examine_detector(network: SceneNetwork, scenes: Scenes) -> dict[str, float]:
    """Return `alignment` of real scenes with their own captions, and of these scenes after a blur by 1/64 side.

    What it misses here is the detector's own error, to be reported beside every alignment.
    """
    records = [scenes.scene(i) for i in range(len(scenes))]
    images = scenes.images(range(len(scenes)))
    blurred = np.stack(
        [np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(scenes.config.size / 64))) for x in images]
    )
    out: dict[str, float] = {}
    for prefix, pictures in (("", images), ("blurred ", blurred)):
        aligned = alignment(network.detect(pictures), records)
        out |= {f"{prefix}{name}": round(float(right.mean()), 4) for name, right in aligned.items()}
    return out | {"n": len(scenes)}
