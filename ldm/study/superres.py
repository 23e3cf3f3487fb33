"""How good restored pictures are: the cells of the super-resolution study, and what evaluates them.

Every model sees the same degraded pictures and starts from the same noise, so two of them are compared picture by
picture. The true pictures are known, and each is compared with its own; a distance of distributions tells what
looks right from what is only near.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ldm import paths, profiles
from ldm.hashing import digest
from ldm.metrics import inception_score, mean, psnr, ssim
from ldm.metrics.perceptual import efficientnet_card
from ldm.networks import cost
from ldm.profiles import Profile
from ldm.study.cells import check_pictures, check_size
from ldm.study.evaluator import Evaluator
from ldm.study.scene_metrics import FD_HOW, KID_HOW, SAMPLE, Measurement, RealFeatures
from ldm.tasks import pairs, superres_recipe
from ldm.tasks.models import Model

if TYPE_CHECKING:
    from ldm.metrics.perceptual.efficientnet import EfficientNet
    from ldm.tasks.superres import Restorer

VERSION = 1  # raise it when the arithmetic between a cell's fields and its rows changes
REFERENCE = SAMPLE  # true held-out pictures behind the distances of distributions
STEPS = (4, 8, 16, 20, 50, 100, 250)  # the paper's two ranges, 4 to 20 and 20 to 250 (section 3.5)
USUAL = 50  # steps of DDIM at which models are compared (section 3.2)
CONTROL = 16  # width of the two controls
HALF = 16_000  # images that they see: half the longest finetuning, to be compared with as much of it
STRIP = 6  # pictures of each cell that are kept to look at
BASELINES = ("bicubic", "superres-regression")  # they have no steps


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """One point: a way to enlarge pictures, measured on n of them."""

    profile: str
    kind: str = "superres"  # one of ldm.tasks.superres_recipe.Kind, or "bicubic", which has no model
    c: int = 0
    images: int = 0  # of finetuning
    steps: int = 0
    sampler: str = "ddim"
    n: int = 256
    seed: int = 0  # of the training run
    noise: int = 0  # seed of the initial noise

    def __post_init__(self):
        profile = profiles.get(self.profile)
        check_pictures(self.n)
        if self.kind == "bicubic":
            return
        superres_recipe.check_kind(self.kind)
        check_size(profile, self.c)
        if self.images not in superres_recipe.LENGTHS:
            raise ValueError(
                f"images = {self.images}: expected a length of finetuning, one of {superres_recipe.LENGTHS}."
            )
        if self.kind not in BASELINES:
            profile.plan(self.sampler, self.steps)  # refuses unknown samplers and impossible step counts


def pictures(profile: Profile) -> int:
    """Return how many pictures judge a model, unless told otherwise.

    They are four times as large as those of the other studies.
    """
    return max(16, profile.n // 2)


def finetuning_grid(
    profile: Profile, sizes: Sequence[int], lengths: Sequence[int], *, n: int | None = None
) -> list[Restoration]:
    """Return every size at every length of finetuning, in the paper's one way: 50 steps of DDIM, no guidance (F2)."""
    return [
        Restoration(profile=profile.name, c=c, images=images, steps=USUAL, n=n or pictures(profile))
        for c in sizes
        for images in lengths
    ]


def steps_grid(
    profile: Profile,
    sizes: Sequence[int],
    steps: Sequence[int] = STEPS,
    *,
    images: int = superres_recipe.LENGTHS[-1],
    n: int | None = None,
) -> list[Restoration]:
    """Return every size at every step count, at one length of finetuning (F5)."""
    return [
        Restoration(profile=profile.name, c=c, images=images, steps=s, n=n or pictures(profile))
        for c in sizes
        for s in steps
    ]


def baselines_grid(
    profile: Profile, c: int = CONTROL, lengths: Sequence[int] = (HALF,), *, n: int | None = None
) -> list[Restoration]:
    """Return the grid of bicubic, and of the controls of width c with what they are compared with.

    The controls are the regression and diffusion from fresh parameters; they are compared with the usual finetuning for
    as long.
    """
    common: dict[str, Any] = dict(profile=profile.name, n=n or pictures(profile))
    return [Restoration(kind="bicubic", **common)] + [
        Restoration(kind=kind, c=c, images=images, steps=0 if kind in BASELINES else USUAL, **common)
        for kind in ("superres-regression", "superres-scratch", "superres")
        for images in lengths
    ]


class SuperResolutionEvaluator(Evaluator[Restoration]):
    """Restores degraded pictures, and compares them with the true ones."""

    motifs = "scenes"  # what the pictures are of

    def __init__(self, profile: Profile):
        super().__init__(profile)
        self.truth = self.pairs("test", min(REFERENCE, 16 * pictures(profile)))
        self._pictures = lru_cache(maxsize=1)(self._pictures_of)

    @cached_property
    def versions(self) -> dict[str, str | int]:
        compared = {"effnet": efficientnet_card.protocol(), "truth": self.truth.key}
        return {"restoration": VERSION} | self.frozen_versions() | compared

    def model_of(self, cell: Restoration) -> Model | None:
        """Return the model that a cell asks; bicubic interpolation has none."""
        return None if cell.kind == "bicubic" else Model(cell.c, cell.images, cell.seed, cell.kind)

    def data_of(self, cell: Restoration) -> str:
        return self.pairs("val", cell.n).key

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

    def pairs(self, split: str, n: int) -> pairs.DegradedPairs:
        """Return n pictures of a split, with their degraded twins."""
        return pairs.scenes(self.profile, split, n)

    @cached_property
    def reference(self) -> RealFeatures:
        """The true held-out pictures, as distances of distributions ask of them."""
        from ldm.data.latents import drawn, half_precision

        name = f"effnet-{digest(self.effnet.weights)}-{self.effnet.side}-{len(self.truth)}-{self.truth.key}"
        looks = map(self.effnet, drawn(self.truth.high, len(self.truth)))
        x = half_precision(paths.RUNS / "cache", name, looks, len(self.truth))
        return RealFeatures.of(np.asarray(x, np.float64))

    def _pictures_of(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return true and degraded pictures."""
        from ldm.data.latents import drawn

        both = self.pairs("val", n)
        high, low = (np.concatenate(list(drawn(draw, n))) for draw in (both.high, both.low))
        return high, low

    def restored(self, cell: Restoration) -> np.ndarray:
        """Return what the cell makes of the degraded pictures: uint8 (n, H, W, 3)."""
        low, model = self._pictures(cell.n)[1], self.model_of(cell)
        if model is None:
            return pairs.enlarged(low)
        table = None if cell.kind in BASELINES else self.profile.plan(cell.sampler, cell.steps)
        return np.concatenate(list(self._model(model).images(low, table, seed=cell.noise)))

    def evaluate(self, cell: Restoration) -> tuple[Measurement, np.ndarray, float]:
        """Return what was measured, the first pictures, and the seconds that making and scoring them took."""
        began = time.monotonic()
        true, images = self._pictures(cell.n)[0], self.restored(cell)
        return self.score(images, true), images[:STRIP], time.monotonic() - began

    def score(self, images: np.ndarray, true: np.ndarray) -> Measurement:
        """Score restored pictures beside the true ones, uint8 (n, H, W, 3) both."""
        features = self.effnet(images)
        distances = self.reference.distances(features)
        side = f"{self.effnet.protocol}, of {images.shape[1]} px"
        real = f"{len(self.truth)} real scenes"
        pictures = {
            "lpips_effnet": self.effnet.distance(images, true),
            "psnr": psnr(images, true),
            "ssim": ssim(images, true),
        }
        measured = {
            "fd_effnet": (distances["fd"], f"{side}; {FD_HOW}, {real}"),
            "kid_effnet": (distances["kid"], f"{side}; {KID_HOW}, {real}"),
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
        influences = {
            name: pictures[name] if name in pictures else e.influences[0] for name, (e, _) in measured.items()
        }
        return Measurement(estimates=measured, influences=influences)

    def columns(self, cell: Restoration) -> dict[str, Any]:
        """Return the row's columns; the task is the cell's kind."""
        common = dict(study="superres", profile=cell.profile, task=cell.kind)
        if cell.kind != "bicubic":
            evaluations = 1 if cell.kind in BASELINES else int(self.profile.plan(cell.sampler, cell.steps).n)
            common |= dict(
                **self.network_columns(cell.c, cell.images, cell.seed, superres_recipe.CONFIG.batch),
                steps=evaluations,
                guidance=1.0,
                sampler=None if cell.kind in BASELINES else cell.sampler,
                nfe=cost.nfe(evaluations, guided=False),
                cost=cost.sampling_cost(self.norm_cost(cell.c), evaluations),
            )
        return common

    def setting(self, cell: Restoration) -> str:
        return f"val {self.motifs}, degraded"
