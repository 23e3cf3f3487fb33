"""The judges of generated pictures: feature networks with the statistics of real scenes to compare with.

`score` turns pictures and their scenes into Estimates under fixed metric names, and keeps each picture's
influence on them, so that settings can be compared picture by picture (`ldm.metrics`, `ldm.frontier`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from ldm import weights
from ldm.files import write_atomic
from ldm.latents import digest, drawn
from ldm.metrics import Estimate, Gaussian, Sample, frechet, kid, mean
from ldm.perceptual import efficientnet
from ldm.perceptual import scene as scene_network
from ldm.perceptual.scene_alignment import alignment
from ldm.profiles import WEIGHTS, Profile
from ldm.protocol import Protocol, single
from ldm.scene import Scene
from ldm.scenes import Scenes

COMPONENTS = 64  # principal directions of the real features that the Frechet distances live in
SAMPLE = 2_000  # real pictures behind a kernel distance


class Metric(NamedTuple):
    """How a metric is called on an axis, and which end of it is good."""

    title: str
    better: str  # "lower" | "higher"
    biased: bool = False  # it moves with n, so that only values at equal n may be compared


METRICS: dict[str, Metric] = {
    "kid_effnet": Metric("KID, EfficientNet-Lite0 (x1000)", "lower"),
    "fd_effnet": Metric("FD, EfficientNet-Lite0", "lower", biased=True),
    "kid_scene": Metric("KID, scene network (x1000)", "lower"),
    "fd_scene": Metric("FD, scene network", "lower", biased=True),
    "alignment": Metric("scene alignment", "higher"),
    "subject": Metric("subjects named right", "higher"),
    "style": Metric("styles named right", "higher"),
    "kind": Metric("background kinds named right", "higher"),
    "colours": Metric("colours named right", "higher"),
    "relation": Metric("relations right", "higher"),
    "readable": Metric("pictures that show A, B or both", "higher"),
    "entropy": Metric("entropy of the object named, bits", "lower"),
    "detour": Metric("length of the way / distance of its ends", "lower"),
    "largest_step": Metric("largest step's share of the way", "lower"),
    "similar_effnet": Metric("similarity to the subject's pictures, EfficientNet-Lite0", "higher"),
    "similar_scene": Metric("similarity to the subject's pictures, scene network", "higher"),
    "true_effnet": Metric("similarity to the true picture, EfficientNet-Lite0", "higher"),
    "true_scene": Metric("similarity to the true picture, scene network", "higher"),
    "wrong_effnet": Metric("similarity to wrong subjects, EfficientNet-Lite0", "lower"),
    "wrong_scene": Metric("similarity to wrong subjects, scene network", "lower"),
    "recognised_effnet": Metric("subjects recognised, EfficientNet-Lite0", "higher"),
    "recognised_scene": Metric("subjects recognised, scene network", "higher"),
    "place": Metric("places right", "higher"),
    "prompt": Metric("kind, colours and place right", "higher"),
    "diversity": Metric("difference of two pictures of a caption", "higher"),
    "class_kept": Metric("class named right, without the rare token", "higher"),
    "class_leak": Metric("pictures of the class that show the subject", "lower"),
    "class_drift": Metric("change of the class's pictures", "lower"),
    # those below are measured in the chapter about metrics alone (`ldm.probes`)
    "mmd_effnet": Metric("Gaussian-kernel MMD, EfficientNet-Lite0 (x1000)", "lower"),
    "cmmd_effnet": Metric("MMD as CMMD has it, EfficientNet-Lite0", "lower"),
    "fdinf_effnet": Metric("FD at infinite n, EfficientNet-Lite0", "lower"),
    "mmd_scene": Metric("Gaussian-kernel MMD, scene network (x1000)", "lower"),
    "cmmd_scene": Metric("MMD as CMMD has it, scene network", "lower"),
    "fdinf_scene": Metric("FD at infinite n, scene network", "lower"),
    "precision": Metric("precision, EfficientNet-Lite0", "higher", biased=True),
    "recall": Metric("recall, EfficientNet-Lite0", "higher", biased=True),
    "density": Metric("density, EfficientNet-Lite0", "higher", biased=True),
    "coverage": Metric("coverage, EfficientNet-Lite0", "higher", biased=True),
    "lpips_effnet": Metric("distance to the true picture, EfficientNet-Lite0", "lower"),
    "psnr": Metric("PSNR (dB)", "higher"),
    "ssim": Metric("SSIM", "higher"),
    "is_effnet": Metric("Inception Score's formula, EfficientNet-Lite0", "higher", biased=True),
}


def metric_of(name: str) -> Metric:
    """Title and direction of a metric; `ValueError` for one that METRICS does not hold."""
    if name not in METRICS:
        raise ValueError(f"metric {name!r} has no entry in ldm.judges.METRICS; known: {', '.join(METRICS)}.")
    return METRICS[name]


def comparable(rows: pd.DataFrame, metric: str) -> None:
    """Raises: ValueError if rows of one metric were not all measured in the same way, or of a biased one at one n."""
    single(rows, ("protocol", "n") if metric_of(metric).biased else ("protocol",))


@dataclass(frozen=True, kw_only=True)
class Score:
    """Estimates by metric name, each with its protocol, and each picture's influence on them (n,)."""

    estimates: dict[str, tuple[Estimate, str]]
    parts: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What the networks saw in n pictures: features (n, d) by network, and answers (n,) about their captions."""

    features: dict[str, np.ndarray]
    answers: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.answers.values())))

    def first(self, n: int) -> Look:
        """The first n pictures alone."""
        return Look(
            features={name: x[:n] for name, x in self.features.items()},
            answers={name: x[:n] for name, x in self.answers.items()},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Real scenes as one network sees them."""

    protocol: Protocol
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

    @property
    def protocols(self) -> dict[str, Protocol]:
        """Of each distance, by metric name; `ldm.protocol.table` prints them."""
        cards = {}
        for name, reference in self.references.items():
            cards[f"kid_{name}"] = replace(reference.protocol, how="unbiased, cubic kernel, x1000", n=SAMPLE)
            cards[f"fd_{name}"] = replace(reference.protocol, how=f"first {COMPONENTS} principal directions")
        return cards

    def score(self, batches: Iterable[np.ndarray], scenes: Sequence[Scene]) -> Score:
        """Score pictures uint8 (b, H, W, 3), batch by batch as they are made, of these scenes."""
        return self.measure(self.look(batches, scenes))

    def look(self, batches: Iterable[np.ndarray], scenes: Sequence[Scene]) -> Look:
        """What the networks see in pictures of these scenes; `score` is `look`, then `measure`."""
        effnet, features, answers, done = [], [], [], 0
        for images in batches:
            effnet.append(self.effnet(images))
            seen, detections = self.scene.look(images)
            features.append(seen)
            answers.append(alignment(detections, scenes[done : done + len(images)]))
            done += len(images)
        parts = {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}
        parts["alignment"] = parts.pop("all")
        return Look(features={"effnet": np.concatenate(effnet), "scene": np.concatenate(features)}, answers=parts)

    def measure(self, look: Look) -> Score:
        """Distances and shares, each with its protocol and its interval."""
        parts = dict(look.answers)
        found = {name: (mean(values), self.scene.protocol) for name, values in parts.items()}
        for name, x in look.features.items():
            reference = self.references[name]
            distances = {
                "kid": kid(x, reference.sample).times(1000),
                "fd": frechet(x @ reference.basis, reference.gaussian),
            }
            for kind, distance in distances.items():
                parts[f"{kind}_{name}"] = distance.influences[0]
                found[f"{kind}_{name}"] = distance, self.protocols[f"{kind}_{name}"].line
        return Score(estimates=found, parts=parts)


def path_of(profile: Profile) -> Path:
    return WEIGHTS / profile.weights / "reference.safetensors"


def cards_of(path: Path) -> Path:
    """Where it is written what the statistics at `path` were made from."""
    return path.with_suffix(".json")


def _networks(profile: Profile) -> dict[str, efficientnet.EfficientNet | scene_network.SceneNetwork]:
    return {
        "effnet": efficientnet.load(),
        "scene": scene_network.load(WEIGHTS / profile.weights / "detector.safetensors"),
    }


def _protocols(profile: Profile, networks: dict) -> dict[str, Protocol]:
    """What the profile's references are to be made from, for each network."""
    params = {"effnet": networks["effnet"].weights, "scene": networks["scene"].params}
    data = Scenes(profile.scenes, "test", profile.reference)
    return {
        name: Protocol(
            network=network.protocol, weights=digest(params[name]), images=data.key, n=len(data),
            side=profile.scenes.size,
        )
        for name, network in networks.items()
    }  # fmt: skip


def make_references(profile: Profile) -> dict[str, Reference]:
    """Look at the profile's number of real scenes and keep their statistics under weights/."""
    networks = _networks(profile)
    protocols = _protocols(profile, networks)
    data = Scenes(profile.scenes, "test", profile.reference)
    looks: dict[str, list[np.ndarray]] = {name: [] for name in networks}
    with tqdm(total=len(data), desc="reference", unit="img") as bar:
        for images in drawn(data.images, len(data)):
            for name, network in networks.items():
                looks[name].append(network(images))
            bar.update(len(images))
    tensors, references = {}, {}
    for name, parts in looks.items():
        x = np.concatenate(parts).astype(np.float64)
        basis = Gaussian.of(x).principal(COMPONENTS)
        gaussian, sample = Gaussian.of(x @ basis), Sample(features=x[:SAMPLE])
        references[name] = Reference(protocol=protocols[name], gaussian=gaussian, basis=basis, sample=sample)
        tensors |= {
            f"{name}.mean": gaussian.mean, f"{name}.covariance": gaussian.covariance,
            f"{name}.basis": basis.astype(np.float32), f"{name}.sample": x[:SAMPLE].astype(np.float16),
        }  # fmt: skip
    path = path_of(profile)
    cards_of(path).unlink(missing_ok=True)  # a kill between the two leaves statistics that are refused
    weights.save(path, tensors, {})
    cards = {name: asdict(card) for name, card in protocols.items()}
    write_atomic(cards_of(path), (json.dumps(cards, indent=1) + "\n").encode())
    return references


def load(profile: Profile) -> Judges:
    """The judges with the profile's shipped references.

    Raises: ValueError for a broken file, and for references of other pictures, networks or counts.
    """
    path, networks = path_of(profile), _networks(profile)
    tensors = weights.load(path)
    made = json.loads(cards_of(path).read_text()) if cards_of(path).is_file() else {}
    references = {}
    for name, protocol in _protocols(profile, networks).items():
        protocol.require(made.get(name), f"{path}: {name}")
        references[name] = Reference(
            protocol=protocol,
            gaussian=Gaussian(n=protocol.n, mean=tensors[f"{name}.mean"], covariance=tensors[f"{name}.covariance"]),
            basis=tensors[f"{name}.basis"].astype(np.float64),
            sample=Sample(features=tensors[f"{name}.sample"].astype(np.float64)),
        )
    return Judges(profile=profile, effnet=networks["effnet"], scene=networks["scene"], references=references)
