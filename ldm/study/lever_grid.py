"""Which settings of each lever are asked: a small grid a lever, chosen from its paper before any row was there.

Every lever is asked at each size and at 4, 8 and 16 steps, so that it has something to offer at every budget. Its own
numbers are few, and guidance is at the two values around the best ones without a lever: the more settings, the more
tries, and plain sampling, which a lever has to beat, has 120 of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ldm.data.scenes.captions import Level
from ldm.profiles import Profile
from ldm.study.lever_cells import Guide, Handover, Interval, Kept, Lever, Projected, Renoised, Rescaled, Stored
from ldm.study.levers import LeverEvaluation
from ldm.study.sampling import Evaluation, sampling_grid
from ldm.tasks import models

STEPS = (4, 8, 16)
NOISE = ((0.3, 5.0), (0.0, 2.0), (1.0, 20.0))  # noise levels: the middle, the low ones, the high ones
SOLVERS = ("dpm++", "dpm++3m", "dpm++sde", "unipc")
NORM = 2.0  # of a push: 15 on latents of 64 x 64 x 4 (Sadat et al. 2024), which here are 8 x 8 x 4


def usual(profile: Profile, c: int, steps: int) -> tuple[float, float]:
    """Return two guidance values around the best without a lever: the smallest size and few steps want more."""
    return (3.0, 4.0) if c == profile.family[0] or steps <= 4 else (2.0, 3.0)


def settings(profile: Profile, sizes: Sequence[int], c: int, steps: int) -> Iterator[tuple[Lever, tuple[float, ...]]]:
    """Yield each lever as it is asked at a size and a step count, with the values of guidance."""
    around, smaller = usual(profile, c, steps), [size for size in sizes if size < c]
    for low, high in NOISE:
        yield Interval(low=low, high=high), (around[1], 6.0)
    for every, depth in ((2, 3), (2, 1), (3, 1)):
        yield Kept(every=every, depth=depth), around
    for guide in smaller[:1] + smaller[1:][-1:]:  # the smallest, and the next smaller one
        yield Guide(c=guide, images=profile.length, captioned=False), around
    for guide, images in [(c, profile.lengths[1])] + [(size, profile.lengths[3]) for size in smaller[-1:]]:
        yield Guide(c=guide, images=images, captioned=True), (1.5, 2.0, 3.0)
    for other in sizes:
        for after in sorted({max(1, round(steps * share)) for share in (0.25, 0.5, 0.75)}) if other != c else ():
            yield Handover(c=other, after=after), (3.0,)
    yield Projected(norm=NORM), (3.0, 6.0)
    yield Renoised(), (0.5, 1.0)
    yield Rescaled(share=0.7), (3.0, 6.0)
    for kind in ("bfloat16", "int8"):
        yield Stored(kind=kind), around[:1]


def lever_grid(
    profile: Profile, sizes: Sequence[int], steps: Sequence[int] = STEPS, *, level: Level | None = None, seed: int = 0
) -> list[LeverEvaluation]:
    """Return every lever at every size and step count, as far as the second model that it asks is known."""
    found = [
        LeverEvaluation(
            study="levers",
            profile=profile.name,
            c=c,
            images=profile.length,
            steps=s,
            guidance=guidance,
            n=profile.n,
            seed=seed,
            level=level or profile.level,
            lever=lever,
        )
        for c in sizes
        for s in steps
        for lever, values in settings(profile, sizes, c, s)
        for guidance in values
    ]
    return [cell for cell in found if cell.other is None or models.there(profile, *cell.other)]


def solver_grid(
    profile: Profile, sizes: Sequence[int], steps: Sequence[int] = STEPS, *, level: Level | None = None
) -> list[Evaluation]:
    """Return newer solvers at the same sizes, step counts and guidance: plain cells of the sampling study."""
    return [
        cell
        for name in SOLVERS
        for c in sizes
        for s in steps
        for cell in sampling_grid(profile, [c], [s], usual(profile, c, s), sampler=name, level=level)
    ]
