"""Which settings of each lever are asked, and what is recorded of them beside plain sampling.

The grid is small: four sizes, 4, 8 and 16 steps (guides at more), and of each lever's own numbers what its paper says,
or what is said here to be ours. Guidance is at one or two values near the best ones without a lever. Plain sampling,
which a lever has to beat, has five values and eight step counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from ldm.data.scenes.captions import Level
from ldm.data.scenes.unwanted import Unwanted
from ldm.profiles import Profile
from ldm.statistics.verdicts import called
from ldm.statistics.worth import PLAIN
from ldm.study import distillation
from ldm.study.evaluator import Evaluator
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
from ldm.study.levers import ALONE, WHOLE, LeverEvaluation, LeverEvaluator
from ldm.study.recorded import by_level
from ldm.study.results import Store
from ldm.study.sampling import Evaluation, SamplingEvaluator, sampling_grid
from ldm.tasks import models, register

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
SOLVED = "solvers of higher order"  # their lever's name: they are settings of the sampling study
SOLVERS = ("dpm++", "dpm++sde", "unipc")
STUDENTS = "students"  # and these, settings of the study of distillation
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
    """Return solvers of higher order at the same sizes, step counts and guidance: plain cells of the sampling study."""
    return [
        cell
        for name in SOLVERS
        for c in SIZES
        if c in sizes and c in profile.family
        for s in STEPS
        for cell in sampling_grid(profile, [c], [s], usual(c, s), sampler=name, level=level)
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


class Pulled(NamedTuple):
    """A recorded setting: its lever and dose, and which passes one picture takes, as `LeverEvaluator.asked`."""

    lever: str
    dose: str
    asked: list[tuple[int, str, int]]


def recorded(
    store: Store, evaluator: LeverEvaluator, levels: Sequence[Level]
) -> tuple[pd.DataFrame, dict[str, Pulled]]:
    """Return rows at these levels of caption, of levers beside plain sampling, and key -> setting; nothing is run.

    Columns as of rows; `lever` is empty where there is none, and `done` holds the GFLOPs of every row. A level counts
    where plain sampling has every guidance value at all its step counts, and a lever where all its cells are there:
    else it would be judged by part of its settings.
    """
    found, kept = {}, []
    for level in levels:
        plain = _plain(store, evaluator.profile, level)
        if plain.empty:
            continue
        kept += list(plain["key"].unique())
        for key, c, nfe, guidance in plain[["key", "c", "nfe", "guidance"]].itertuples(index=False):
            found[key] = Pulled(PLAIN, "", [(int(c), ALONE if guidance == 1 else WHOLE, int(nfe))])
        for cells in _cells(evaluator, level).values():
            if all(store.has(key) for key in cells):
                found |= cells
                kept += list(cells)
    rows = _with_costs(store.rows(key=list(dict.fromkeys(kept))))
    return rows.assign(
        lever=[found[key].lever for key in rows["key"]], dose=[found[key].dose for key in rows["key"]]
    ), found


def with_guides(store: Store, evaluator: LeverEvaluator, level: Level) -> pd.DataFrame:
    """Return what is recorded at a level of caption of plain sampling and of all guides; nothing is run.

    Columns as of `recorded`. It has no rows where one of the settings is missing.
    """
    plain, cells = _plain(store, evaluator.profile, level, PARTNERS), guided_grid(evaluator.profile, level=level)
    there = all(register.is_known(evaluator.profile, *model) for cell in cells for model in evaluator.models_of(cell))
    keys = [evaluator.key(cell) for cell in cells] if cells and there and not plain.empty else []
    whole = bool(keys) and all(store.has(key) for key in keys)
    rows = _with_costs(store.rows(key=[*plain["key"].unique(), *keys])) if whole else plain[:0]
    return rows.assign(lever=rows["lever"].fillna(PLAIN), dose=rows["dose"].fillna(""))


def _with_costs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the GFLOPs of each in `done`, plain ones too, and the name of their level."""
    spent = rows["gflops"].astype(float) * rows["nfe"].astype(float)
    return rows.assign(level=rows["level"].fillna("all"), done=rows["done"].astype(float).fillna(spent))


def _plain(store: Store, profile: Profile, level: Level, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
    """Return the rows of plain sampling at a level, nothing where a setting is missing."""
    rows = by_level(store, profile, [level], profile.n)
    rows = rows[(rows["seed"] == 0) & rows["c"].isin(sizes)]
    steps, guidance = set(rows["steps"]), set(rows["guidance"])
    whole = rows["key"].nunique() == len(sizes) * len(steps) * len(guidance)
    return rows if whole and set(STEPS) <= steps and guidance == set(profile.guidance) else rows[:0]


def _cells(evaluator: LeverEvaluator, level: Level) -> dict[str, dict[str, Pulled]]:
    """Return lever -> key -> setting, of all that is asked at a level.

    The key of a cell with a model that is not known is empty, which the store has not.
    """
    profile, found = evaluator.profile, {}
    plain, students = SamplingEvaluator(profile), distillation.DistillationEvaluator(profile)

    def keep(asked: Evaluator[Any], cell: Any, setting: Pulled, verified: bool = True) -> None:
        known = verified and all(register.is_known(profile, *model) for model in asked.models_of(cell))
        found.setdefault(setting.lever, {})[asked.key(cell) if known else ""] = setting

    for cell in lever_grid(profile, level=level):
        verified = not isinstance(cell.lever, Search) or models.part_file(profile, "clip").is_file()
        keep(evaluator, cell, Pulled(cell.lever.name, cell.lever.dose, evaluator.asked(cell)), verified)
    for cell in solver_grid(profile, level=level):
        twice = 2 * int(profile.plan(cell.sampler, cell.steps).n)
        keep(plain, cell, Pulled(SOLVED, called(cell.sampler), [(cell.c, WHOLE, twice)]))
    for cell in student_grid(profile, level=level):
        keep(students, cell, Pulled(STUDENTS, distillation.NAMES[cell.kind], [(cell.c, ALONE, cell.steps)]))
    return found


def seconds_a_pass(store: Store, profile: Profile) -> dict[tuple[int, str], float]:
    """Return (size, kind of pass) -> seconds for a picture, on the machine that was measured last.

    The dict is empty where no machine was timed (`python -m benchmarks.levers` does that).
    """
    timed = store.rows(study="benchmark", profile=profile.name, metric="seconds a pass")
    if timed.empty:
        return {}
    timed = timed[timed["machine"] == timed["machine"][timed["created"].idxmax()]]
    return {(int(c), kind): value for c, kind, value in timed[["c", "lever", "value"]].itertuples(index=False)}


def seconds(store: Store, profile: Profile, settings: dict[str, Pulled]) -> dict[str, float]:
    """Return key -> the seconds that a picture costs the networks: those of all its passes (`seconds_a_pass`).

    The dict is empty where no machine was timed. Raises: ValueError, in one sentence, for a kind of pass that was not
    timed there.
    """
    if not (one := seconds_a_pass(store, profile)):
        return {}
    wanted = {(c, kind) for setting in settings.values() for c, kind, count in setting.asked if count}
    if missing := sorted(wanted - set(one)):
        raise ValueError(f"Passes {missing} were not timed: run `python -m benchmarks.levers` again.")
    return {
        key: float(np.sum([count * one[c, kind] for c, kind, count in setting.asked if count]))
        for key, setting in settings.items()
    }
