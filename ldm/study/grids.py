"""The grid of a study by the study's name: which cells, and what evaluates them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ldm.data.scenes.captions import Level
from ldm.profiles import Profile
from ldm.study import distillation, sampling, superres
from ldm.study.evaluator import Evaluator

Name = Literal["pretraining", "sampling", "superres", "distillation"]


def of(
    name: Name,
    scale: Profile,
    sizes: Sequence[int],
    *,
    steps: Sequence[int],
    guidance: Sequence[float],
    lengths: Sequence[int],
    kinds: Sequence[str],
    sampler: str,
    n: int | None,
    seed: int = 0,
    level: Level = "all",
) -> tuple[list[Any], Evaluator[Any]]:
    """Cells and their evaluator. What is empty is the profile's own, and so is the study's n for None.

    Of superres: with lengths, every size at these; with steps, every size at these; with neither, the baselines.
    Raises: ValueError, one sentence, for a setting that no cell can have, or a seed or level of a study that has one
    alone.
    """
    if level != "all" and name != "sampling":
        raise ValueError(f"level = {level!r}: expected all for the study {name}; leave it out, or ask for sampling.")
    if seed and name not in ("sampling", "pretraining"):
        raise ValueError(
            f"seed = {seed}: expected 0 for the study {name}, whose models are trained by one seed; leave it out."
        )
    if name == "sampling":
        return [
            cell
            for images in lengths or (scale.length,)
            for cell in sampling.sampling_grid(
                scale,
                sizes,
                steps or scale.steps,
                guidance or scale.guidance,
                n=n,
                images=images,
                sampler=sampler,
                seed=seed,
                level=level,
            )
        ], sampling.SamplingEvaluator(scale)
    if name == "pretraining":
        return sampling.pretraining_grid(
            scale, sizes, lengths, steps=(steps or (50,))[0], guidance=guidance or (2.0,), n=n, seed=seed
        ), sampling.SamplingEvaluator(scale)
    if name == "distillation":
        cells = distillation.grid(scale, kinds, sizes, steps or (1, 2, 4, 8), guidance or (1.0, 1.5, 2.0, 3.0), n=n)
        return cells, distillation.DistillationEvaluator(scale)
    cells = superres.finetuning_grid(scale, sizes, lengths, n=n) + superres.steps_grid(scale, sizes, steps, n=n)
    return cells or superres.baselines_grid(scale, n=n), superres.SuperResolutionEvaluator(scale)
