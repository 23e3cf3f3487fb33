"""The grid of a study by the study's name: which cells, and what evaluates them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ldm.data.scenes.captions import Level
from ldm.profile import Profile
from ldm.study import denoising, distillation, sampling, superres, superres_grid
from ldm.study.evaluator import Evaluator

Name = Literal["pretraining", "denoising", "sampling", "superres", "distillation"]

SETTINGS: dict[Name, tuple[str, ...]] = {
    "sampling": ("steps", "guidance", "lengths", "sampler", "seed", "level"),
    "pretraining": ("steps", "guidance", "lengths", "seed", "level"),
    "denoising": ("lengths", "seed", "level"),
    "superres": ("steps", "lengths"),
    "distillation": ("steps", "guidance", "seed", "level"),
}  # of each study, besides sizes, kinds and the number of pictures


def cells_of(
    name: Name,
    profile: Profile,
    sizes: Sequence[int],
    *,
    steps: Sequence[int] = (),
    guidance: Sequence[float] = (),
    lengths: Sequence[int] = (),
    kinds: Sequence[str] = (),
    sampler: str = "ddim",
    n: int | None = None,
    seed: int = 0,
    level: Level | None = None,
) -> tuple[list[Any], Evaluator[Any]]:
    """Return cells and their evaluator. What is empty is the profile's own, and so is the study's n for None.

    Of superres: with lengths, every size at these; with steps, every size at these; with neither, the baselines.
    Raises: ValueError, one sentence, for a setting that no cell can have, or that the study does not have.
    """
    given = dict(steps=steps, guidance=guidance, lengths=lengths, level=level, seed=seed)
    given["sampler"] = sampler if sampler != "ddim" else ""
    for setting, value in given.items():
        if value and setting not in SETTINGS[name]:
            raise ValueError(
                f"{setting} = {value}: the study {name} has none to choose; leave it out, or choose of "
                f"{', '.join(SETTINGS[name])}."
            )
    if name == "distillation" and not kinds:
        raise ValueError("kinds is empty: expected at least one kind of student; name one.")
    if name == "pretraining" and len(steps) > 1:
        raise ValueError(
            f"steps = {tuple(steps)}: expected one number for the study pretraining; give the others apart."
        )
    if name == "sampling":
        return [
            cell
            for images in lengths or (profile.length,)
            for cell in sampling.sampling_grid(
                profile,
                sizes,
                steps or profile.steps,
                guidance or profile.guidance,
                n=n,
                images=images,
                sampler=sampler,
                seed=seed,
                level=level,
            )
        ], sampling.SamplingEvaluator(profile)
    if name == "denoising":
        cells = denoising.denoising_grid(profile, sizes, lengths, n=n, seed=seed, level=level)
        return cells, denoising.DenoisingEvaluator(profile)
    if name == "pretraining":
        cells = sampling.pretraining_grid(
            profile,
            sizes,
            lengths,
            steps=(steps or (50,))[0],
            guidance=guidance or (2.0,),
            n=n,
            seed=seed,
            level=level,
        )
        return cells, sampling.SamplingEvaluator(profile)
    if name == "distillation":
        cells = distillation.distillation_grid(
            profile,
            kinds,
            sizes,
            steps or distillation.STEPS,
            guidance or profile.distilled_guidance,
            n=n,
            seed=seed,
            level=level,
        )
        return cells, distillation.DistillationEvaluator(profile)
    by_length = superres_grid.finetuning_grid(profile, sizes, lengths, n=n)
    cells = by_length + superres_grid.steps_grid(profile, sizes, steps, n=n)
    return cells or superres_grid.baselines_grid(profile, n=n), superres.SuperResolutionEvaluator(profile)
