"""How good restored pictures are: what evaluates the cells of the super-resolution study (`superres_grid`).

Every model sees the same degraded pictures and starts from the same noise, so two of them are compared picture by
picture. The true pictures are known, and each is compared with its own; a distance of distributions tells what
looks right from what is only near; and the detector of scenes tells whether a restored picture still shows its subject.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ldm import paths
from ldm.data.degrade import Strength
from ldm.data.scenes.dataset import Scenes
from ldm.hashing import digest
from ldm.metrics import inception_score, mean, psnr, ssim
from ldm.metrics.perceptual import detections, efficientnet_card
from ldm.metrics.perceptual.alignment import alignment
from ldm.networks import cost
from ldm.profile import Profile
from ldm.study.evaluator import Evaluator
from ldm.study.scene_metrics import DECODED, FD_HOW, KID_HOW, SAMPLE, Measurement, RealFeatures
from ldm.study.superres_grid import BASELINES, FLOORS, GIVEN, Restoration, pictures
from ldm.tasks import models, pairs, register, superres_recipe
from ldm.tasks.models import Model

if TYPE_CHECKING:
    from ldm.metrics.perceptual.detector import SceneNetwork
    from ldm.metrics.perceptual.efficientnet import EfficientNet
    from ldm.tasks.superres import Restorer

VERSION = 2  # raise it when the arithmetic between a cell's fields and its rows changes
REFERENCE = SAMPLE  # true held-out pictures behind the distances of distributions
HOW = {"fd": FD_HOW, "kid": KID_HOW}
STRIP = 6  # pictures of each cell that are kept to look at


class SuperResolutionEvaluator(Evaluator[Restoration]):
    """Restores degraded pictures, and compares them with the true ones."""

    motifs = "scenes"  # what the pictures are of
    compared_with = ("", DECODED)  # real pictures, and as the autoencoder shows them

    def __init__(self, profile: Profile):
        super().__init__(profile)
        known = min(REFERENCE, 16 * pictures(profile))
        self.truth = self.pairs("test", known, "published")  # of which the true pictures alone are asked
        self._pictures = lru_cache(maxsize=1)(self._pictures_of)

    @cached_property
    def versions(self) -> dict[str, str | int]:
        compared = {"effnet": efficientnet_card.protocol(), "truth": self.truth.key, "judge": self._judge}
        return {"restoration": VERSION} | self.frozen_versions() | compared

    @cached_property
    def _judge(self) -> str:
        return register.digest_of(models.part_file(self.profile, "detector"))

    def model_of(self, cell: Restoration) -> Model | None:
        """Return the model that a cell asks; what is given has none."""
        return None if cell.kind in GIVEN else Model(cell.c, cell.images, cell.seed, cell.kind)

    def data_of(self, cell: Restoration) -> str:
        return self.pairs("val", cell.n, cell.strength).key

    def load(self, model: Model) -> Restorer:
        """Return a finetuned model with its frozen networks, ready to restore."""
        from ldm.tasks import superres

        known = superres_recipe.check_kind(model.kind)
        return superres.restorer(self.profile, *model[:3], known, frozen=self.frozen)

    @property
    def network_shape(self) -> dict[str, int]:
        """The latents are of larger pictures than those of the other studies."""
        return super().network_shape | {"size": pairs.latent_side(self.profile)}

    @cached_property
    def effnet(self) -> EfficientNet:
        """What compares pictures, loaded when it first does."""
        from ldm.metrics.perceptual import efficientnet

        return efficientnet.load_efficientnet()

    @cached_property
    def detector(self) -> SceneNetwork:
        """What names the subjects of scenes, loaded when it first does."""
        from ldm.metrics.perceptual import detector

        return detector.load_detector(models.part_file(self.profile, "detector"))

    def pairs(self, split: str, n: int, strength: Strength) -> pairs.DegradedPairs:
        """Return n pictures of a split, with their degraded twins."""
        return pairs.scenes(self.profile, split, n, strength)

    @cached_property
    def references(self) -> dict[str, RealFeatures]:
        """The true held-out pictures as distances of distributions ask of them, and as the autoencoder shows them."""
        shown = lambda images: self.codec.decode(self.codec.encode(images))
        codec = register.digest_of(models.part_file(self.profile, "autoencoder"))
        ways = {"": ("", lambda images: images), DECODED: (f"-{codec}", shown)}
        return {name: self._looked_at(*ways[name]) for name in self.compared_with}

    def _looked_at(self, name: str, shown: Callable[[np.ndarray], np.ndarray]) -> RealFeatures:
        from ldm.data.latents import drawn, half_precision

        name = f"effnet-{digest(self.effnet.weights)}-{self.effnet.side}-{len(self.truth)}-{self.truth.key}{name}"
        looks = (self.effnet(shown(images)) for images in drawn(self.truth.high, len(self.truth)))
        x = half_precision(paths.RUNS / "cache", name, looks, len(self.truth))
        return RealFeatures.of(np.asarray(x, np.float64))

    def _pictures_of(self, n: int, strength: Strength) -> tuple[np.ndarray, np.ndarray]:
        """Return true and degraded pictures."""
        from ldm.data.latents import drawn

        both = self.pairs("val", n, strength)
        high, low = (np.concatenate(list(drawn(draw, n))) for draw in (both.high, both.low))
        return high, low

    def restored(self, cell: Restoration) -> np.ndarray:
        """Return what the cell makes of the degraded pictures, or of the true ones: uint8 (n, H, W, 3)."""
        (true, low), model = self._pictures(cell.n, cell.strength), self.model_of(cell)
        if model is None:
            makes = {"true": lambda: true, "autoencoder": lambda: self.codec.decode(self.codec.encode(true))}
            return makes.get(cell.kind, lambda: pairs.enlarged(low))()
        table = None if cell.kind in BASELINES else self.profile.plan(cell.sampler, cell.steps)
        return np.concatenate(list(self._model(model).images(low, table, seed=cell.noise)))

    def evaluate(self, cell: Restoration) -> tuple[Measurement, np.ndarray, float]:
        """Return what was measured, the first pictures, and the seconds that making and scoring them took."""
        began = time.monotonic()
        true, images = self._pictures(cell.n, cell.strength)[0], self.restored(cell)
        return self.score(images, true), images[:STRIP], time.monotonic() - began

    def score(self, images: np.ndarray, true: np.ndarray) -> Measurement:
        """Score restored pictures beside the true ones of the same places, uint8 (n, H, W, 3) both."""
        features = self.effnet(images)
        side = f"{self.effnet.protocol}, of {images.shape[1]} px"
        measured = {}
        for name, reference in self.references.items():
            real = f"{len(self.truth)} real {self.motifs}" + " through the autoencoder" * bool(name)
            for kind, distance in reference.distances(features).items():
                measured[f"{kind}_effnet{name}"] = distance, f"{side}; {HOW[kind]}, {real}"
        pictures = {
            "lpips_effnet": self.effnet.distance(images, true),
            "psnr": psnr(images, true),
            "ssim": ssim(images, true),
            **self.named(images),
        }
        measured |= {
            "is_effnet": (
                inception_score(self.effnet.logits(features), splits=1),
                f"{side}; ImageNet's classes, 1 split",
            ),
            "lpips_effnet": (
                mean(pictures["lpips_effnet"]),
                f"{side}; unit-length channels of five blocks, to the true picture",
            ),
            "psnr": (mean(pictures["psnr"]), "RGB, to the true picture"),
            "ssim": (mean(pictures["ssim"]), "luma, Gaussian window of 11 x 11, to the true picture"),
        }
        if "subject" in pictures:
            measured["subject"] = mean(pictures["subject"]), detections.protocol(self.detector.side)
        influences = {
            name: pictures[name] if name in pictures else e.influences[0] for name, (e, _) in measured.items()
        }
        return Measurement(estimates=measured, influences=influences)

    def named(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return whether the detector names the subjects of the first validation scenes in these pictures."""
        if not isinstance(self.truth.data, Scenes):
            return {}
        data = replace(self.truth.data, split="val", n=len(images))
        seen = self.detector.detect(images)
        return {"subject": alignment(seen, [data.scene(i) for i in range(len(images))])["subject"]}

    def columns(self, cell: Restoration) -> dict[str, Any]:
        """Return the row's columns; the task is the cell's kind, the level how strongly its pictures are degraded."""
        common: dict[str, Any] = dict(study="superres", profile=cell.profile, task=cell.kind)
        if cell.kind not in FLOORS:
            common["level"] = cell.strength
        if cell.kind not in GIVEN:
            steps = 1 if cell.kind in BASELINES else cell.steps
            evaluations = 1 if cell.kind in BASELINES else int(self.profile.plan(cell.sampler, cell.steps).n)
            common |= dict(
                **self.network_columns(cell.c, cell.images, cell.seed, superres_recipe.BATCH),
                steps=steps,
                guidance=1.0,
                sampler=None if cell.kind in BASELINES else cell.sampler,
                nfe=cost.nfe(evaluations, guided=False),
                cost=cost.sampling_cost(self.norm_cost(cell.c), evaluations),
            )
        return common

    def setting(self, cell: Restoration) -> str:
        return f"val {self.motifs}" + ", degraded" * (cell.kind not in FLOORS)
