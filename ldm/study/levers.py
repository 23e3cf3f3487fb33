"""The study of levers: a pretrained model, sampled with one lever pulled, scored as in the sampling study.

A lever's cost is counted twice: in FLOPs truly done for one picture (`Row.done`), and, where the paper's unit says
anything of it, in that. What is compared is the best setting with a lever and the best without any, at equal cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ldm import profiles
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.unwanted import unwanted
from ldm.diffusion.counting import Passes, passes
from ldm.diffusion.guidance_settings import Guidance, Projection
from ldm.diffusion.plan import handover
from ldm.hashing import key
from ldm.metrics.scores import mean
from ldm.networks import cost, sizes
from ldm.profile import Profile
from ldm.study.cells import check_length, check_size
from ldm.study.lever_cells import (
    Guide,
    Handover,
    Interval,
    Kept,
    Lever,
    Negative,
    Projected,
    Renoised,
    Rescaled,
    Search,
    Stored,
)
from ldm.study.sampling import Evaluation, SamplingEvaluator
from ldm.study.scene_metrics import Measurement
from ldm.tasks import models, register
from ldm.tasks.models import Model

if TYPE_CHECKING:
    from ldm.networks.scene_clip import Similarity
    from ldm.tasks.generate import Generator

Price = Callable[[int, str], float]  # (size, kind of pass: WHOLE, ALONE, "shallow 3", "int8") -> for one picture
WHOLE, ALONE = "whole", "alone"  # a pass for a picture: one of two that guidance asks at once, or by itself
LOOK, DECODED = "look", "decoding"  # of a search: at a picture, and of one more than is drawn without; c is 0
VERSION = 1  # raise it when the arithmetic between a cell's fields and its rows changes


@dataclass(frozen=True, kw_only=True)
class LeverEvaluation(Evaluation):
    """One point of the sampling study, with a lever."""

    lever: Lever

    def __post_init__(self) -> None:
        super().__post_init__()
        profile, lever = profiles.get(self.profile), self.lever
        if isinstance(lever, Guide):
            check_size(profile, lever.c)
            check_length(profile, lever.images)
        if isinstance(lever, Handover):
            check_size(profile, lever.c)
            if not 0 < lever.after < self.steps or lever.c == self.c:
                raise ValueError(
                    f"c = {lever.c} after {lever.after} steps: expected another size than c = {self.c}, and 1 to "
                    f"{self.steps - 1} of {self.steps} steps, so that both draw some; choose these."
                )
        if isinstance(lever, Kept) and profile.network != "unet":
            raise ValueError(f"network = {profile.network!r}: expected unet, the one with deep levels to keep.")
        if isinstance(lever, Handover | Kept) and int(profile.plan(self.sampler, self.steps).n) != self.steps:
            raise ValueError(f"sampler = {self.sampler!r}: expected one that asks once a step here; choose ddim.")

    def check_guidance(self) -> None:
        if isinstance(self.lever, Negative) and self.guidance == 1:
            raise ValueError("guidance = 1: expected more, since without guidance a negative prompt is not asked.")
        if not isinstance(self.lever, Renoised):
            super().check_guidance()
        elif not 0 <= self.guidance <= 1:
            raise ValueError(f"guidance = {self.guidance}: expected 0 to 1, which is the scale's range for CFG++.")

    @property
    def other(self) -> Model | None:
        """The second model that the lever asks: its size, training length and seed; None where it asks none."""
        match self.lever:
            case Guide(c=c, images=images):
                return Model(c, images, self.seed)
            case Handover(c=c):
                return Model(c, self.images, self.seed)
        return None


class LeverEvaluator(SamplingEvaluator):
    """Draws a picture of each caption with the cell's lever, and scores them all."""

    def __init__(self, profile: Profile):
        super().__init__(profile)
        self._model = lru_cache(maxsize=2)(self.load)  # of a pair
        self._fits: list[np.ndarray] = []  # of the cell that is evaluated: how its candidates fit their captions

    @cached_property
    def versions(self) -> dict[str, str | int]:
        return super().versions | {"levers": VERSION}

    def models_of(self, cell: LeverEvaluation) -> list[Model]:
        return [*super().models_of(cell), *([] if cell.other is None else [cell.other])]

    def key(self, cell: LeverEvaluation) -> str:
        """Return the cell's name. Raises: ValueError when one of its models does not exist."""
        asked = {"model": self._digest(self.model_of(cell))}
        if cell.other is not None:
            asked["other"] = self._digest(cell.other)
        if isinstance(cell.lever, Search):
            asked["verifier"] = register.digest_of(models.part_file(self.profile, "clip"))
        return key(cell, **self.versions, **asked, data=self.data_of(cell))

    @cached_property
    def verifier(self) -> Similarity:
        """What a search asks: the small CLIP whose text tower the models are told captions by."""
        from ldm.networks.scene_clip import load_clip

        return load_clip(models.part_file(self.profile, "clip"), models.frozen_files(self.profile)[1])

    def evaluate(self, cell: LeverEvaluation) -> tuple[Measurement, np.ndarray, float]:
        self._fits = []
        score, strip, seconds = super().evaluate(cell)
        if self._fits:  # what the verifier thinks of the pictures that it kept, and of those without a search
            fits = np.concatenate(self._fits)
            measured = {"similarity": fits.max(1), "similarity_first": fits[:, 0]}
            more = {name: (mean(values), "cosine by the small CLIP of scenes") for name, values in measured.items()}
            influences = {name: values - values.mean() for name, values in measured.items()}
            score = Measurement(estimates={**score.estimates, **more}, influences={**score.influences, **influences})
        return score, strip, seconds

    def guidance(self, cell: LeverEvaluation) -> Guidance:
        """Return how the cell is guided."""
        match cell.lever:
            case Interval(low=low, high=high):
                return Guidance(cell.guidance, interval=(low, high))
            case Rescaled(share=share):
                return Guidance(cell.guidance, share)
            case Projected(norm=norm, parallel=parallel, momentum=momentum):
                return Guidance(cell.guidance, projection=Projection(parallel, norm, momentum))
            case Renoised(share=share):
                return Guidance(cell.guidance, renoise=share)
        return Guidance(cell.guidance)

    def draw(self, cell: LeverEvaluation, data: Scenes) -> Iterator[np.ndarray]:
        """Yield the pictures, batch by batch."""
        from ldm.diffusion.sampler import Reuse
        from ldm.diffusion.stitching import stitch
        from ldm.networks.quantization import quantized
        from ldm.training.gradients import half

        generator, plan = self._model(self.model_of(cell)), self.profile.plan(cell.sampler, cell.steps)
        options: dict[str, Any] = {}
        match cell.lever:
            case Guide(captioned=captioned) if cell.other:
                guide = self._model(cell.other)
                options["guide"] = guide.structure, guide.drawing
                options["captioned"] = captioned
            case Handover(after=after) if cell.other:
                pair = [(one.structure, one.params) for one in (generator, self._model(cell.other))]
                structure, params = stitch(pair, handover(plan, [after]))
                generator = replace(generator, structure=structure, params=params)
            case Kept(every=every, depth=depth):
                options["reuse"] = Reuse(every, depth)
            case Negative(unwanted=what):
                options["negative"] = unwanted(data, range(cell.n), what)
            case Stored(kind="bfloat16"):
                generator = replace(generator, params=half(generator.params))
            case Stored(kind="int8"):
                generator = replace(generator, params=quantized(generator.params))
        captions = data.captions(range(cell.n))
        if isinstance(cell.lever, Search):
            return self._searched(cell, generator, captions)
        return generator.images(captions, plan, self.guidance(cell), seed=cell.noise, **options)

    def _searched(self, cell: LeverEvaluation, generator: Generator, captions: Sequence[str]) -> Iterator[np.ndarray]:
        from ldm.tasks.search import best_of

        plan, lever = self.profile.plan(cell.sampler, cell.steps), cell.lever
        assert isinstance(lever, Search)
        guidance = self.guidance(cell)
        found = best_of(generator, captions, plan, guidance, self.verifier, lever.candidates, seed=cell.noise)
        for batch in found:
            self._fits.append(batch.scores)
            yield batch.images

    def passes(self, cell: LeverEvaluation) -> Passes:
        """Return how often one picture asks which network."""
        plan, lever = self.profile.plan(cell.sampler, cell.steps), cell.lever
        guided = cell.guidance != 1 or isinstance(lever, Renoised)
        by_guide = isinstance(lever, Guide)
        made = passes(
            plan,
            self.guidance(cell),
            null=guided and not by_guide,
            guide=by_guide,
            every=lever.every if isinstance(lever, Kept) else 1,
            until=handover(plan, [lever.after]) if isinstance(lever, Handover) else None,
        )
        return made.times(lever.candidates) if isinstance(lever, Search) else made

    def asked(self, cell: LeverEvaluation) -> list[tuple[int, str, int]]:
        """Return which passes one picture takes: (size, kind, how many)."""
        made, lever, c = self.passes(cell), cell.lever, cell.c
        match lever:
            case Guide():
                return [(c, ALONE, made.whole[0]), (lever.c, ALONE, made.guide)]
            case Handover():
                return [(c, WHOLE, made.whole[0]), (lever.c, WHOLE, made.whole[1])]
            case Kept():
                return [(c, WHOLE, made.whole[0]), (c, f"shallow {lever.depth}", made.shallow)]
            case Stored():
                return [(c, lever.kind, made.whole[0])]
            case Search():
                whole = (c, ALONE if cell.guidance == 1 else WHOLE, made.whole[0])
                return [whole, (0, LOOK, made.verifier), (0, DECODED, made.verifier - 1)]
        guided = made.whole[0] - int(self.profile.plan(cell.sampler, cell.steps).n)
        return [(c, WHOLE, 2 * guided), (c, ALONE, made.whole[0] - 2 * guided)]

    def price(self, cell: LeverEvaluation, of: Price) -> float:
        """Return what one picture costs: all passes, and what a search adds to them. of: the price of one."""
        return sum(count * of(c, kind) for c, kind, count in self.asked(cell) if count)

    def gflops(self, c: int, kind: str) -> float:
        """Return the GFLOPs of one pass, or of what a search adds to passes; fewer bits save none."""
        if kind in (LOOK, DECODED):
            return self.search_gflops[kind]
        if kind.startswith("shallow"):
            return cost.shallow_gflops(c, int(kind.split()[1]), **self.network_shape)
        return sizes.gflops(self.profile.network, c, **self.network_shape)

    @cached_property
    def search_gflops(self) -> dict[str, float]:
        """GFLOPs of both towers' look at a picture and its caption, and of a decoding."""
        from ldm.tasks.search import decoding_gflops, look_gflops

        decoding = decoding_gflops(self.codec, self.profile.latent_shape)
        return {LOOK: look_gflops(self.verifier, self.profile.scenes.size), DECODED: decoding}

    def columns(self, cell: LeverEvaluation) -> dict[str, Any]:
        counted = Interval | Rescaled | Projected | Renoised | Negative | Stored  # what the paper's unit can tell
        paper = {} if isinstance(cell.lever, counted) else {"cost": None}
        return (
            super().columns(cell)
            | paper
            | dict(
                study="levers",
                lever=cell.lever.name,
                dose=cell.lever.dose,
                nfe=self.passes(cell).nfe,
                done=self.price(cell, self.gflops),
            )
        )
