"""The judges of generated pictures: feature networks with the statistics of real scenes to compare with.

`score` turns pictures and their scenes into Estimates under fixed metric names, and keeps each picture's
influence on them, so that settings can be compared picture by picture (`ldm.metrics`, `ldm.frontier`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ldm import weights
from ldm.metrics import Estimate, Gaussian, Sample, frechet_influence, kid_influence, mean
from ldm.perceptual import efficientnet
from ldm.perceptual import scene as scene_network
from ldm.profiles import WEIGHTS, Profile
from ldm.scene import Scene
from ldm.scenes import Scenes

COMPONENTS = 64  # principal directions of the real features that the Frechet distances live in
SAMPLE = 2_000  # real pictures behind a kernel distance


class Metric(NamedTuple):
    """How a metric is called on an axis, and which end of it is good."""

    title: str
    better: str  # "lower" | "higher"


METRICS: dict[str, Metric] = {
    "kid_effnet": Metric("KID, EfficientNet-Lite0 (x1000)", "lower"),
    "fd_effnet": Metric("FD, EfficientNet-Lite0", "lower"),
    "kid_scene": Metric("KID, scene network (x1000)", "lower"),
    "fd_scene": Metric("FD, scene network", "lower"),
    "alignment": Metric("scene alignment", "higher"),
    "subject": Metric("subjects named right", "higher"),
    "style": Metric("styles named right", "higher"),
    "kind": Metric("background kinds named right", "higher"),
    "colours": Metric("colours named right", "higher"),
    "relation": Metric("relations right", "higher"),
}


def metric_of(name: str) -> Metric:
    """Title and direction of a metric; `ValueError` for one that METRICS does not hold."""
    if name not in METRICS:
        raise ValueError(f"metric {name!r} has no entry in ldm.judges.METRICS; known: {', '.join(METRICS)}.")
    return METRICS[name]


@dataclass(frozen=True, kw_only=True)
class Score:
    """Estimates by metric name, each with its protocol, and each picture's influence on them (n,)."""

    estimates: dict[str, tuple[Estimate, str]]
    parts: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Real scenes as one network sees them."""

    gaussian: Gaussian  # of `reference` pictures, within the first principal directions
    basis: np.ndarray  # (d, COMPONENTS)
    sample: Sample  # SAMPLE of the pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class Judges:
    """EfficientNet-Lite0 (ImageNet) and the scene detector, each with its reference."""

    profile: Profile
    effnet: efficientnet.EfficientNet
    scene: scene_network.SceneNetwork
    references: dict[str, Reference]

    def score(self, batches: Iterable[np.ndarray], scenes: Sequence[Scene]) -> Score:
        """Score pictures uint8 (b, H, W, 3), batch by batch as they are made, of these scenes."""
        effnet, features, answers, done = [], [], [], 0
        for images in batches:
            effnet.append(self.effnet(images))
            seen, detections = self.scene.look(images)
            features.append(seen)
            answers.append(scene_network.alignment(detections, scenes[done : done + len(images)]))
            done += len(images)
        parts = {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}
        parts["alignment"] = parts.pop("all")
        found = {name: (mean(values), self.scene.protocol) for name, values in parts.items()}
        for name, network, x in (("effnet", self.effnet, effnet), ("scene", self.scene, features)):
            x, reference = np.concatenate(x), self.references[name]
            estimate, influence = kid_influence(x, reference.sample)
            found[f"kid_{name}"] = (
                Estimate(*(1000 * v for v in estimate[:3]), estimate.n),
                f"{network.protocol}; unbiased, cubic kernel, x1000, {SAMPLE} real scenes",
            )
            parts[f"kid_{name}"] = 1000 * influence
            estimate, parts[f"fd_{name}"] = frechet_influence(x @ reference.basis, reference.gaussian)
            found[f"fd_{name}"] = (
                estimate,
                f"{network.protocol}; first {COMPONENTS} principal directions, {reference.gaussian.n} real scenes",
            )
        return Score(estimates=found, parts=parts)


def path_of(profile: Profile) -> Path:
    return WEIGHTS / profile.weights / "reference.safetensors"


def make_references(profile: Profile, n: int | None = None) -> dict[str, Reference]:
    """Look at n real scenes (the profile's number) and keep their statistics under weights/."""
    n = n or profile.reference
    networks = {
        "effnet": efficientnet.load(),
        "scene": scene_network.load(WEIGHTS / profile.weights / "detector.safetensors"),
    }
    data = Scenes(profile.scenes, "test", n)
    looks: dict[str, list[np.ndarray]] = {name: [] for name in networks}
    for start in tqdm(range(0, n, 256), desc="reference", unit="batch"):
        images = data.images(range(start, min(start + 256, n)))
        for name, network in networks.items():
            looks[name].append(network(images))
    tensors, references = {}, {}
    for name, parts in looks.items():
        x = np.concatenate(parts).astype(np.float64)
        basis = Gaussian.of(x).principal(COMPONENTS)
        gaussian = Gaussian.of(x @ basis)
        references[name] = Reference(gaussian=gaussian, basis=basis, sample=Sample(features=x[:SAMPLE]))
        tensors |= {
            f"{name}.mean": gaussian.mean, f"{name}.covariance": gaussian.covariance,
            f"{name}.basis": basis.astype(np.float32), f"{name}.sample": x[:SAMPLE].astype(np.float16),
        }  # fmt: skip
    weights.save(path_of(profile), tensors, {"n": n, "split": "test", "scenes": data.key})
    return references


def load(profile: Profile) -> Judges:
    """The judges with the profile's shipped references. Raises: ValueError for a broken file."""
    path = path_of(profile)
    tensors, n = weights.load(path), weights.metadata(path)["n"]
    references = {
        name: Reference(
            gaussian=Gaussian(n=n, mean=tensors[f"{name}.mean"], covariance=tensors[f"{name}.covariance"]),
            basis=tensors[f"{name}.basis"].astype(np.float64),
            sample=Sample(features=tensors[f"{name}.sample"].astype(np.float64)),
        )
        for name in ("effnet", "scene")
    }
    return Judges(
        profile=profile,
        effnet=efficientnet.load(),
        scene=scene_network.load(path.with_name("detector.safetensors")),
        references=references,
    )
