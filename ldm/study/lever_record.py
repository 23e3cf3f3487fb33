"""What is recorded of levers beside plain sampling: rows with what they truly cost, in FLOPs and by the clock.

Nothing is run here. A lever counts where all of its settings are recorded (`ldm.study.lever_grid`), and a level of
caption where all of plain sampling's are: else either would be judged by part of its settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ldm.data.scenes.captions import Level
from ldm.profile import Profile
from ldm.statistics.verdicts import called
from ldm.statistics.worth import PLAIN
from ldm.study import distillation
from ldm.study.conditions import latest
from ldm.study.evaluator import Evaluator
from ldm.study.lever_cells import Search
from ldm.study.lever_grid import (
    PARTNERS,
    SIZES,
    SOLVERS,
    STEPS,
    STUDENTS,
    guided_grid,
    lever_grid,
    solver_grid,
    student_grid,
)
from ldm.study.levers import ALONE, WHOLE, LeverEvaluator
from ldm.study.recorded import by_level
from ldm.study.results import Store
from ldm.study.sampling import SamplingEvaluator
from ldm.tasks import models, register


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
    rows = with_costs(store.rows(key=list(dict.fromkeys(kept))))
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
    rows = with_costs(store.rows(key=[*plain["key"].unique(), *keys])) if whole else plain[:0]
    return rows.assign(lever=rows["lever"].fillna(PLAIN), dose=rows["dose"].fillna(""))


def with_costs(rows: pd.DataFrame) -> pd.DataFrame:
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
        lever = next(name for name, samplers in SOLVERS.items() if cell.sampler in samplers)
        keep(plain, cell, Pulled(lever, called(cell.sampler), [(cell.c, WHOLE, twice)]))
    for cell in student_grid(profile, level=level):
        keep(students, cell, Pulled(STUDENTS, distillation.NAMES[cell.kind], [(cell.c, ALONE, cell.steps)]))
    return found


def seconds_a_pass(store: Store, profile: Profile) -> dict[tuple[int, str], float]:
    """Return (size, kind of pass) -> seconds for a picture, on the machine that was measured last.

    The dict is empty where no machine was timed (`python -m benchmarks.levers` does that).
    """
    timed = latest(store.rows(study="benchmark", profile=profile.name, metric="seconds a pass"))
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
