"""Which settings of each lever are asked.

The grid is small: four sizes, 4, 8 and 16 steps (guides at more), and of each lever's own numbers what its paper says,
or what is said here to be ours. Guidance is at one or two values near the best ones without a lever. Plain sampling,
which a lever has to beat, has five values and eight step counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from ldm.data.scenes.captions import Level
from ldm.data.scenes.unwanted import Unwanted
from ldm.profile import Profile
from ldm.study import distillation
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
from ldm.study.levers import LeverEvaluation
from ldm.study.sampling import Evaluation, sampling_grid

SIZES = (8, 16, 24, 32)  # that are compared; others of the family change nothing
PARTNERS = (8, 16, 32)  # of these: that guide, also after a shorter training, take over from others and have students
STEPS = (4, 8, 16)
MOST = 16  # steps of the largest size, where guides are compared at every step count
BITS = 8  # steps at which weights in fewer bits are asked: they save bytes, and no FLOPs
NOISE = (  # noise levels that are guided
    (0.3, 5.0),  # the paper's for Stable Diffusion XL
    (0.3, 3.0),  # ours: leaves out the first step of any number, where 5 leaves out none of four
    (1.0, 20.0),  # ours: leaves out low noise alone
)
FRESH = "fresh noise in each step"
SOLVERS = {  # a lever's name -> samplers: they are settings of the sampling study
    "solvers of higher order": ("dpm++", "dpm++3m", "dpm++sde", "unipc"),
    "other noise levels": ("dpm++-karras", "dpm++-exponential"),  # of the steps, by a usual solver on other times
    FRESH: ("ddpm",),
}
STUDENTS = "students"  # a lever's name, too: they are settings of the study of distillation
NORM = 1.0  # of a push: 15 on latents of 128 x 128 x 4 (Sadat et al. 2024), by the root of their number


def usual(c: int, steps: int) -> tuple[float, float]:
    """Return two guidance values near the best without a lever: the smallest size and few steps want more."""
    return (3.0, 4.0) if c == SIZES[0] or steps <= 4 else (2.0, 3.0)


def settings(profile: Profile, c: int, steps: int) -> Iterator[tuple[Lever, tuple[float, ...]]]:
    """Yield each lever as it is asked at a size and a step count, with the values of guidance."""
    around = usual(c, steps)
    for low, high in NOISE:
        yield Interval(low=low, high=high), (around[1], 6.0)
    for every, depth in ((2, 3), (3, 1)):
        yield Kept(every=every, depth=depth), around
    yield from guides(profile, c, steps)
    for other in PARTNERS:
        for after in sorted({max(1, round(steps * share)) for share in (0.25, 0.5, 0.75)}) if other != c else ():
            yield Handover(c=other, after=after), (3.0,)
    yield Projected(norm=NORM), (3.0, 6.0)
    yield Renoised(), (0.5, 1.0)
    yield Rescaled(share=0.7), (3.0, 6.0)
    for what in get_args(Unwanted):
        yield Negative(unwanted=what), (1.5, around[0])
    for candidates in (2, 4, 8) if steps == STEPS[0] else (2, 4) if steps == STEPS[1] else ():
        yield Search(candidates=candidates), around
    for kind in ("bfloat16", "int8") if steps == BITS else ():
        yield Stored(kind=kind), around[:1]


def guides(profile: Profile, c: int, steps: int) -> Iterator[tuple[Guide, tuple[float, ...]]]:
    """Yield each member of the family that guides a size, with the values of guidance.

    No shorter training guides a size that is none of PARTNERS: of c = 24 none was kept.
    """
    smaller = [size for size in PARTNERS if size < c]
    short, middle = profile.lengths[1], profile.lengths[len(profile.lengths) // 2]
    for guide in smaller[:1] + smaller[1:][-1:]:  # the smallest, and the next smaller one
        yield Guide(c=guide, images=profile.length, captioned=False), usual(c, steps)
    worse = [(c, short)] + [(size, middle) for size in smaller[-1:]]
    for guide, images in worse if c in PARTNERS else ():
        yield Guide(c=guide, images=images, captioned=True), (2.0, 3.0)


def lever_grid(
    profile: Profile, sizes: Sequence[int] = SIZES, *, level: Level | None = None, seed: int = 0
) -> list[LeverEvaluation]:
    """Return every lever at these of SIZES and at every step count; nothing for a profile that has not all of SIZES."""
    at = [(c, steps) for c in SIZES for steps in STEPS]
    return _cells_at(at, settings, profile, sizes, level, seed)


def guided_grid(
    profile: Profile, sizes: Sequence[int] = PARTNERS, *, level: Level | None = None, seed: int = 0
) -> list[LeverEvaluation]:
    """Return every guide at these of PARTNERS and at the profile's step counts, MOST of the largest at most.

    Sizes are compared by it, so each needs the step counts that cost what few steps of the largest do, and all guides.
    Nothing for a profile that has not all of SIZES.
    """
    at = [(c, steps) for c in PARTNERS for steps in profile.steps if c != PARTNERS[-1] or steps <= MOST]
    return _cells_at(at, guides, profile, sizes, level, seed)


def _cells_at(
    at: Sequence[tuple[int, int]],
    asked: Callable[[Profile, int, int], Iterator[tuple[Lever, tuple[float, ...]]]],
    profile: Profile,
    sizes: Sequence[int],
    level: Level | None,
    seed: int,
) -> list[LeverEvaluation]:
    """Return what is asked at each size and step count, of these sizes alone."""
    if not set(SIZES) <= set(profile.family):
        return []
    return [
        LeverEvaluation(
            study="levers",
            profile=profile.name,
            c=c,
            images=profile.length,
            steps=steps,
            guidance=guidance,
            n=profile.n,
            seed=seed,
            level=level or profile.level,
            lever=lever,
        )
        for c, steps in at
        if c in sizes
        for lever, values in asked(profile, c, steps)
        for guidance in values
    ]


def solver_grid(profile: Profile, sizes: Sequence[int] = SIZES, *, level: Level | None = None) -> list[Evaluation]:
    """Return other solvers at the same sizes and step counts: plain cells of the sampling study.

    Guidance is as other levers have it; of fresh noise it is plain sampling's, by which the samplers are compared, too.
    """
    return [
        cell
        for lever, names in SOLVERS.items()
        for name in names
        for c in SIZES
        if c in sizes and c in profile.family
        for s in STEPS
        for cell in sampling_grid(
            profile, [c], [s], profile.guidance if lever == FRESH else usual(c, s), sampler=name, level=level
        )
    ]


def student_grid(
    profile: Profile, sizes: Sequence[int] = PARTNERS, *, level: Level | None = None
) -> list[distillation.Distilled]:
    """Return the consistent students of PARTNERS, at all guidance that they know: cells of their own study."""
    return distillation.distillation_grid(
        profile,
        distillation.CONSISTENT,
        [c for c in PARTNERS if c in sizes and c in profile.family],
        distillation.STEPS,
        profile.distilled_guidance,
        level=level,
    )
