"""How generated pictures of scenes are evaluated: feature networks, with the statistics of real scenes to compare with.

`score` turns pictures and their scenes into Estimates under fixed metric names, and keeps each picture's
influence on them, so that settings can be compared picture by picture (`ldm.metrics`, `ldm.statistics.frontier`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from tqdm import tqdm

from ldm.data.scenes.captions import PARTS
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.record import Scene
from ldm.files import write_atomic
from ldm.metrics import Estimate, Gaussian, Measured, Sample, frechet, kid, mean
from ldm.metrics.perceptual import detections, efficientnet_card
from ldm.metrics.perceptual.alignment import ASKED, alignment
from ldm.metrics.protocol import Protocol
from ldm.networks import weights
from ldm.profile import Profile
from ldm.tasks import models, register

if TYPE_CHECKING:
    from ldm.metrics.perceptual.detector import SceneNetwork
    from ldm.metrics.perceptual.efficientnet import EfficientNet

COMPONENTS = 64  # principal directions of the real features that the Frechet distances live in
FD_HOW = f"first {COMPONENTS} principal directions"  # as protocols say it: rows of one metric compare by the letter
KID_HOW = "unbiased, cubic kernel, x1000"
SAMPLE = 2_000  # real pictures behind a kernel distance
PAIRED = ("fd_scene_decoded", "kid_effnet_decoded", "alignment", "subject")  # whose influences are kept, of many cells
DECODED = "_decoded"  # ends the name of what is compared with scenes that went through the autoencoder


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Estimates by metric name, each with its protocol, and each picture's influence on them (n,).

    Influences are meant up to a constant: a score that is a mean over pictures may give the pictures' own values.
    """

    estimates: Mapping[str, tuple[Estimate, str]]
    influences: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What the networks saw in n pictures: features (n, d) by network, and answers (n,) about their captions."""

    features: dict[str, np.ndarray]
    answers: dict[str, np.ndarray]
    asked: dict[str, np.ndarray] = field(default_factory=dict)  # answer -> which captions ask for it; absent: all

    def __len__(self) -> int:
        return len(next(iter(self.answers.values())))

    def first(self, n: int) -> Seen:
        """Return the first n pictures alone."""
        return Seen(
            features={name: x[:n] for name, x in self.features.items()},
            answers={name: x[:n] for name, x in self.answers.items()},
            asked={name: x[:n] for name, x in self.asked.items()},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RealFeatures:
    """What distances of distributions ask of real pictures, as one network sees them."""

    gaussian: Gaussian  # of all of the pictures, within the first principal directions
    basis: np.ndarray  # (d, COMPONENTS)
    sample: Sample  # the first SAMPLE of the pictures

    @classmethod
    def of(cls, x: np.ndarray, **more: Any) -> Self:
        """Take them of features float64 (m, d); `more`: what else the class holds."""
        basis = Gaussian.of(x).principal(COMPONENTS)
        return cls(gaussian=Gaussian.of(x @ basis), basis=basis, sample=Sample(features=x[:SAMPLE]), **more)

    def distances(self, x: np.ndarray) -> dict[str, Measured]:
        """Return the distances of other pictures' features (n, d) to these, by kind: KID times 1000, and FD."""
        return {"kid": kid(x, self.sample).times(1000), "fd": frechet(x @ self.basis, self.gaussian)}


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneReference(RealFeatures):
    """The profile's real scenes as one network sees them, and what they were made from."""

    protocol: Protocol


@dataclass(frozen=True, kw_only=True, eq=False)
class Metrics:
    """EfficientNet-Lite0 (ImageNet) and the scene detector, each with its reference.

    The networks are loaded when they first look at a picture: names and protocols need none.
    """

    profile: Profile
    references: dict[str, SceneReference]

    @cached_property
    def effnet(self) -> EfficientNet:
        """The EfficientNet whose features and distance metrics are made of."""
        from ldm.metrics.perceptual import efficientnet

        return efficientnet.load_efficientnet()

    @cached_property
    def scene(self) -> SceneNetwork:
        """The detector of scenes."""
        from ldm.metrics.perceptual import detector

        return detector.load_detector(models.part_file(self.profile, "detector"))

    @property
    def networks(self) -> dict[str, EfficientNet | SceneNetwork]:
        """Both, by the name that metrics have of them."""
        return {"effnet": self.effnet, "scene": self.scene}

    @property
    def versions(self) -> dict[str, str]:
        """What a cell's name holds of them."""
        return {
            "judge": self.references["scene"].protocol.weights,
            "effnet": self.references["effnet"].protocol.network,
        }

    @property
    def protocols(self) -> dict[str, Protocol]:
        """How each distance is measured, by metric name."""
        cards = {}
        for name, reference in self.references.items():  # "effnet", and "effnet_decoded" where there is one
            cards[f"kid_{name}"] = replace(reference.protocol, how=KID_HOW, n=SAMPLE)
            cards[f"fd_{name}"] = replace(reference.protocol, how=FD_HOW)
        return cards

    def score(
        self, batches: Iterable[np.ndarray], scenes: Sequence[Scene], said: Sequence[Collection[str]] | None = None
    ) -> Measurement:
        """Score pictures uint8 (b, H, W, 3), batch by batch as they are made, of these scenes.

        `said`: what of each scene its caption says (`captions.PARTS`); None: everything.
        """
        return self.measure(self.look(batches, scenes, said))

    def look(
        self, batches: Iterable[np.ndarray], scenes: Sequence[Scene], said: Sequence[Collection[str]] | None = None
    ) -> Seen:
        """Return what the networks see in pictures of these scenes; `score` is `look`, then `measure`."""
        said = [PARTS] * len(scenes) if said is None else said
        effnet, features, answers, done = [], [], [], 0
        for images in batches:
            effnet.append(self.effnet(images))
            seen, detections = self.scene.look(images)
            features.append(seen)
            part = slice(done, done + len(images))
            answers.append(alignment(detections, scenes[part], said[part]))
            done += len(images)
        answered = {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}
        answered["alignment"] = answered.pop("all")
        asked = {name: np.array([need in spoken for spoken in said[:done]]) for name, need in ASKED.items()}
        asked["alignment"] = np.array([bool(spoken) for spoken in said[:done]])
        return Seen(
            features={"effnet": np.concatenate(effnet), "scene": np.concatenate(features)},
            answers=answered,
            asked={name: which for name, which in asked.items() if not which.all()},
        )

    def measure(self, seen: Seen) -> Measurement:
        """Measure distances and shares, each with its protocol and its interval.

        A share is of the pictures whose captions ask for it; one that no caption asks for is none.
        """
        influences, found = {}, {}
        for name, values in seen.answers.items():
            which = seen.asked.get(name, np.ones(len(values), bool))
            if which.any():
                share = mean(values[which])
                found[name] = share, self.references["scene"].protocol.network
                influences[name] = (
                    values if which.all() else share.value + which * (values - share.value) / which.mean()
                )
        for name, reference in self.references.items():
            for kind, distance in reference.distances(seen.features[name.removesuffix(DECODED)]).items():
                influences[f"{kind}_{name}"] = distance.influences[0]
                found[f"{kind}_{name}"] = distance, self.protocols[f"{kind}_{name}"].line
        paired = {name: influences[name] for name in PAIRED if name in influences}  # of all they would outgrow the rows
        return Measurement(estimates=found, influences=paired)


def references_path(profile: Profile) -> Path:
    """Return the file of the profile's reference statistics."""
    return models.part_file(profile, "reference")


def cards_of(path: Path) -> Path:
    """Return where it is written what the statistics at `path` were made from."""
    return path.with_suffix(".json")


def _protocols(profile: Profile) -> dict[str, Protocol]:
    """Return what the profile's references are to be made from, for each network: told by the networks' files alone."""
    detector, data = models.part_file(profile, "detector"), Scenes(profile.scenes, "test", profile.reference)
    _, side = detections.described(detector)
    networks = {
        "effnet": (efficientnet_card.protocol(), efficientnet_card.TRAINED),
        "scene": (detections.protocol(side), detector),
    }
    codec = register.digest_of(models.frozen_files(profile)[0])
    # Beside scenes, what any model on these latents could at best show.
    sources = {"": data.key, DECODED: f"{data.key} through autoencoder {codec}"}
    return {
        name + ending: Protocol(
            network=network,
            weights=register.digest_of(file),
            images=images,
            n=len(data),
            side=profile.scenes.size,
        )
        for ending, images in sources.items()
        for name, (network, file) in networks.items()
    }


def make_references(profile: Profile) -> dict[str, SceneReference]:
    """Look at the profile's number of real scenes and keep their statistics under weights/."""
    from ldm.data.latents import drawn
    from ldm.tasks import pretrain

    networks = Metrics(profile=profile, references={}).networks
    protocols = _protocols(profile)
    data = Scenes(profile.scenes, "test", profile.reference)
    codec = pretrain.frozen_networks(profile)[0]
    looks: dict[str, list[np.ndarray]] = {name: [] for name in protocols}
    with tqdm(total=len(data), desc="reference", unit="img") as bar:
        for images in drawn(data.images, len(data)):
            seen = {"": images, DECODED: codec.decode(codec.encode(images))}
            for ending, pictures in seen.items():
                for name, network in networks.items():
                    looks[name + ending].append(network(pictures))
            bar.update(len(images))
    tensors, references = {}, {}
    for name, parts in looks.items():
        x = np.concatenate(parts).astype(np.float64)
        made = references[name] = SceneReference.of(x, protocol=protocols[name])
        tensors |= {
            f"{name}.mean": made.gaussian.mean,
            f"{name}.covariance": made.gaussian.covariance,
            f"{name}.basis": made.basis.astype(np.float32),
            f"{name}.sample": x[:SAMPLE].astype(np.float16),
        }
    path = references_path(profile)
    cards_of(path).unlink(missing_ok=True)  # a kill between the two leaves statistics that are refused
    weights.save(path, tensors, {})
    cards = {name: asdict(card) for name, card in protocols.items()}
    write_atomic(cards_of(path), (json.dumps(cards, indent=1) + "\n").encode())
    return references


def load_metrics(profile: Profile) -> Metrics:
    """Return the metrics with the profile's shipped references.

    Raises: ValueError for a broken file, and for references of other pictures, networks or counts.
    """
    path = references_path(profile)
    tensors = weights.load(path)
    made = json.loads(cards_of(path).read_text()) if cards_of(path).is_file() else {}
    references = {}
    for name, protocol in _protocols(profile).items():
        protocol.require(made.get(name), f"{path}: {name}")
        references[name] = SceneReference(
            protocol=protocol,
            gaussian=Gaussian(n=protocol.n, mean=tensors[f"{name}.mean"], covariance=tensors[f"{name}.covariance"]),
            basis=tensors[f"{name}.basis"].astype(np.float64),
            sample=Sample(features=tensors[f"{name}.sample"].astype(np.float64)),
        )
    return Metrics(profile=profile, references=references)
