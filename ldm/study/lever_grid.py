"""Which settings of each lever are asked: a small grid a lever, chosen from its paper before any row was there.

Every lever is asked at each size and at 4, 8 and 16 steps, so that it has something to offer at every budget. Its own
numbers are few, and guidance is at the two values around the best ones without a lever: the more settings, the more
tries, and plain sampling, which a lever has to beat, has 120 of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ldm.data.scenes.captions import Level
from ldm.profiles import Profile
from ldm.statistics.worth import PLAIN
from ldm.study.findings import by_level, of_pictures, recorded_levels
from ldm.study.lever_cells import Guide, Handover, Interval, Kept, Lever, Projected, Renoised, Rescaled, Stored
from ldm.study.levers import WHOLE, LeverEvaluation, LeverEvaluator
from ldm.study.results import Store
from ldm.study.sampling import Evaluation, sampling_grid
from ldm.tasks import models

STEPS = (4, 8, 16)
BITS = 8  # steps at which weights in fewer bits are asked: they save bytes, and no FLOPs
NOISE = ((0.3, 5.0), (1.0, 20.0))  # noise levels: the middle, and the high ones
SOLVERS = ("dpm++", "dpm++sde", "unipc")
SOLVED = "solvers of higher order"  # their lever's name: they are settings of the sampling study
NORM = 2.0  # of a push: 15 on latents of 64 x 64 x 4 (Sadat et al. 2024), which here are 8 x 8 x 4


def usual(profile: Profile, c: int, steps: int) -> tuple[float, float]:
    """Return two guidance values around the best without a lever: the smallest size and few steps want more."""
    return (3.0, 4.0) if c == profile.family[0] or steps <= 4 else (2.0, 3.0)


def settings(profile: Profile, sizes: Sequence[int], c: int, steps: int) -> Iterator[tuple[Lever, tuple[float, ...]]]:
    """Yield each lever as it is asked at a size and a step count, with the values of guidance."""
    around, smaller = usual(profile, c, steps), [size for size in sizes if size < c]
    short, middle = profile.lengths[1], profile.lengths[len(profile.lengths) // 2]
    for low, high in NOISE:
        yield Interval(low=low, high=high), (around[1], 6.0)
    for every, depth in ((2, 3), (3, 1)):
        yield Kept(every=every, depth=depth), around
    for guide in smaller[:1] + smaller[1:][-1:]:  # the smallest, and the next smaller one
        yield Guide(c=guide, images=profile.length, captioned=False), around
    for guide, images in [(c, short)] + [(size, middle) for size in smaller[-1:]]:
        yield Guide(c=guide, images=images, captioned=True), (2.0, 3.0)
    for other in sizes:
        for after in sorted({max(1, round(steps * share)) for share in (0.25, 0.5, 0.75)}) if other != c else ():
            yield Handover(c=other, after=after), (3.0,)
    yield Projected(norm=NORM), (3.0, 6.0)
    yield Renoised(), (0.5, 1.0)
    yield Rescaled(share=0.7), (3.0, 6.0)
    for kind in ("bfloat16", "int8") if steps == BITS else ():
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
    """Return solvers of higher order at the same sizes, step counts and guidance: plain cells of the sampling study."""
    return [
        cell
        for name in SOLVERS
        for c in sizes
        for s in steps
        for cell in sampling_grid(profile, [c], [s], usual(profile, c, s), sampler=name, level=level)
    ]


def recorded(store: Store, profile: Profile, levels: Sequence[Level], sizes: Sequence[int]) -> pd.DataFrame:
    """Return what the store holds of the levers at these levels of caption, beside plain sampling; nothing is run.

    Columns as of rows; `lever` is empty where there is none, and `done` holds the GFLOPs of every row. A lever of which
    some cells are not there yet is left out of a level: it would be judged by part of its settings.
    """
    plain = by_level(store, profile, levels, profile.n)
    plain = plain[plain["seed"] == 0].assign(lever=PLAIN, dose="")
    solved = of_pictures(
        store.rows(
            study="sampling",
            profile=profile.name,
            images_seen=profile.length,
            sampler=list(SOLVERS),
            level=recorded_levels(levels),
            steps=list(STEPS),
            seed=0,
        ),
        profile.n,
    )
    settings = solved[["c", "steps", "guidance"]].itertuples(index=False)
    solved = solved[np.array([guidance in usual(profile, c, s) for c, s, guidance in settings], bool)]
    solved = solved.assign(lever=SOLVED, dose=solved["sampler"])
    spent = lambda rows: rows.assign(done=rows["gflops"].astype(float) * rows["nfe"].astype(float))
    pulled = store.rows(study="levers", profile=profile.name, level=recorded_levels(levels), seed=0)
    every = pd.concat([spent(plain), spent(solved), of_pictures(pulled, profile.n)], ignore_index=True)
    every = every[every["c"].isin(list(sizes))].assign(level=every["level"].fillna("all"))
    asked = Counter(cell.lever.name for cell in lever_grid(profile, sizes))
    asked |= {SOLVED: len(solver_grid(profile, sizes)), PLAIN: 1}
    found = every.groupby(["level", "lever"])["key"].nunique().reset_index(name="cells")
    counts = found[["lever", "cells"]].itertuples(index=False)
    whole = found[np.array([cells >= asked[lever] for lever, cells in counts], bool)]
    return every.merge(whole[["level", "lever"]], on=["level", "lever"])


def seconds(store: Store, profile: Profile, evaluator: LeverEvaluator, rows: pd.DataFrame) -> pd.Series:
    """Return the seconds that each row's picture costs the networks, on the machine that was measured last.

    They are those of all passes (`python -m benchmarks.levers`); missing where a pass of that kind was not timed.
    """
    timed = store.rows(study="benchmark", profile=profile.name, metric="seconds a pass")
    if timed.empty:
        return pd.Series(np.nan, index=rows.index)
    timed = timed[timed["machine"] == timed["machine"][timed["created"].idxmax()]]
    one = {(int(c), kind): value for c, kind, value in timed[["c", "lever", "value"]].itertuples(index=False)}
    price = lambda c, kind: one.get((c, kind), np.nan)
    sizes = sorted({int(c) for c in rows["c"]})
    cells = [cell for level in set(rows["level"]) for cell in lever_grid(profile, sizes, level=level)]
    priced = {evaluator.key(cell): evaluator.price(cell, price) for cell in cells}
    whole = rows["c"].map(lambda c: price(int(c), WHOLE)) * rows["nfe"].astype(float)
    return rows["key"].map(priced).where(rows["study"] == "levers", whole)
