"""A rule to act on, and what it costs to follow it: "take the largest size that affords N steps".

The best setting within a budget is known only to those who have measured all of them. A rule needs one number. Its
regret is by how much its picture is worse than the best that the budget buys; the number is chosen on some budgets and
trainings, and the regret is measured on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.metrics import Estimate
from ldm.statistics.budget import affordable
from ldm.statistics.contest import PAPER, counted
from ldm.statistics.evidence import Evidence

SETTING = ["size", "steps", "guidance"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """The least number of steps that a size must afford to be taken, and what following that costs."""

    steps: int
    chosen: Float[np.ndarray, " k"]  # mean regret of every candidate, on what the number was chosen by
    candidates: tuple[int, ...]
    regret: Estimate  # mean over budgets that did not choose it, as a share of the best value
    worst: float  # the largest of them
    table: pd.DataFrame  # a line a budget: `budget`, `size`, `steps`, `guidance`, `regret`
    elsewhere: bool  # measured on other evidence than chose it


def budgets_between(evidence: Evidence, count: int = 24) -> Float[np.ndarray, " count"]:
    """Return budgets, evenly in logarithms, from the fewest steps of the largest size to its most."""
    cost = counted(evidence.rows, PAPER)[(evidence.rows["size"] == evidence.sizes[-1]).to_numpy()]
    return np.geomspace(cost.min(), cost.max(), count)


def settings(evidence: Evidence, steps: int, budgets: Sequence[float] | np.ndarray) -> pd.DataFrame:
    """Return what the rule takes within each budget: columns `budget`, `size`, `steps`, `guidance`.

    The largest size that affords `steps` steps, with as many steps as it affords, at the best guidance for them; where
    no size affords them, the smallest size.
    """
    rows, cost = evidence.rows, counted(evidence.rows, PAPER)
    found = []
    for budget in budgets:
        within = rows[affordable(cost, budget)]
        if within.empty:
            raise ValueError(f"budget {budget:g} buys nothing; the cheapest setting costs {cost.min():g}.")
        able = within[within["steps"] >= steps]
        size = able["size"].max() if len(able) else within["size"].min()
        mine = within[within["size"] == size]
        mine = mine[mine["steps"] == mine["steps"].max()]
        found.append({"budget": budget} | mine.loc[mine["value"].idxmin(), SETTING].to_dict())
    return pd.DataFrame(found)


def best_settings(evidence: Evidence, budgets: Sequence[float] | np.ndarray) -> pd.DataFrame:
    """Return the best measured setting within each budget: columns as of `settings`."""
    at = evidence.best_within(counted(evidence.rows, PAPER), budgets)
    return evidence.rows.iloc[at][SETTING].assign(budget=list(budgets)).reset_index(drop=True)


def regrets(evidence: Evidence, taken: pd.DataFrame, best: pd.DataFrame) -> Float[np.ndarray, "budgets replicates"]:
    """Say by how much each taken setting is worse than its budget's best one, as a share: measured, then replicates.

    Where `best` was found on other pictures or trainings than this evidence, the mean is without bias, and may lie
    below 0; found on the same, it is too large, since the best of many is so by luck. Raises: ValueError for a setting
    that this evidence lacks.
    """
    values = np.concatenate([evidence.values[:, None], evidence.replicates], axis=1)
    pairs = zip(_places(evidence, taken), _places(evidence, best), strict=True)
    return np.stack([(values[a] - values[b]) / abs(evidence.values[b]) for a, b in pairs])


def _places(evidence: Evidence, wanted: pd.DataFrame) -> list[int]:
    rows, found = evidence.rows, []
    for one in wanted.itertuples():
        here = (rows["size"] == one.size) & (rows["steps"] == one.steps) & (rows["guidance"] == one.guidance)
        if not here.any():
            raise ValueError(
                f"c = {one.size} in {one.steps} steps at guidance {one.guidance:g} was not evaluated here; run it."
            )
        found.append(int(np.flatnonzero(here)[0]))
    return found


def rule(
    chosen_by: Evidence,
    measured_on: Evidence,
    candidates: Sequence[int] = (),
) -> Rule:
    """Choose the number of steps on every second budget of one evidence, and measure its regret on the rest of another.

    The two should be of other pictures or of trainings by other seeds: on the same ones the regret is too large.
    candidates: numbers of steps to choose from; none: all that the rows have.
    """
    grid, known = budgets_between(chosen_by), sorted({int(steps) for steps in chosen_by.rows["steps"]})
    tried = [n for n in candidates or known if n in known]
    if not tried:
        raise ValueError(f"candidates = {tuple(candidates)}: expected step counts that the rows have.")
    some, others = grid[::2], grid[1::2]
    best = best_settings(chosen_by, some)
    costs = [float(regrets(chosen_by, settings(chosen_by, n, some), best)[:, 0].mean()) for n in tried]
    steps = tried[int(np.argmin(costs))]
    taken = settings(chosen_by, steps, others)
    spent = regrets(measured_on, taken, best_settings(chosen_by, others))
    return Rule(
        steps=steps,
        chosen=np.array(costs),
        candidates=tuple(tried),
        regret=measured_on.estimate(float(spent[:, 0].mean()), spent[:, 1:].mean(0)),
        worst=float(spent[:, 0].max()),
        table=taken.assign(regret=spent[:, 0]),
        elsewhere=measured_on is not chosen_by,
    )
