"""The best smaller model against the largest at every budget: where is one surely better, and where are they alike?

At a budget each side uses the best setting that it can afford.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import groupby

import numpy as np
import pandas as pd

from ldm.statistics.bands import FORFEIT, MARGIN, OPEN, Bands, bands
from ldm.statistics.budget import steps_within
from ldm.statistics.evidence import Evidence
from ldm.statistics.refusal import NotAsked

SIDES = ("smaller", "largest")
PAPER = "cost"  # ways to count a picture: the paper's cost,
COUNTED = "evaluated"  # GFLOPs of all evaluations, guidance's included,
DONE = "done"  # and GFLOPs truly done, where other networks or parts of one are asked, too


@dataclass(frozen=True, kw_only=True, eq=False)
class Contest(Bands):
    """The best smaller model (the first side) against the largest, at every budget.

    A forfeit is a budget at which the largest affords no step.
    """

    unit: str
    largest: int


def stretches(found: Contest, price: float) -> list[tuple[str, int, int]]:
    """Return who wins, and from how many steps of the largest model to how many, one stretch of budgets after another.

    price: of one step of the largest, in the contest's unit. Where it affords none, there is no stretch.
    """
    start = float(found.budgets[0])

    def winner(steps: int) -> str:
        return found.at(max(steps * price, start))

    counts = range(max(1, steps_within(start, price)), steps_within(found.end, price) + 1)
    groups = [list(part) for _, part in groupby(counts, winner)]
    return [(winner(part[0]), part[0], part[-1]) for part in groups if winner(part[0]) != FORFEIT]


def counted(rows: pd.DataFrame, unit: str) -> np.ndarray:
    """Return what each row's picture costs: by the paper's cost, or in GFLOPs of all evaluations, or truly done.

    Guidance asks twice.
    """
    if unit in (PAPER, DONE):
        return rows[unit].to_numpy(float)
    if unit == COUNTED:
        return (rows["gflops"].astype(float) * rows["nfe"].astype(float)).to_numpy()
    raise ValueError(f"unit = {unit!r}: expected {PAPER!r}, the paper's cost, {COUNTED!r} or {DONE!r}, both GFLOPs.")


def contest(
    evidence: Evidence,
    *,
    start: float | None = None,
    end: float | None = None,
    fewest: int = 1,
    unit: str = PAPER,
    margin: float = MARGIN,
) -> Contest:
    """Compare the best smaller model with the largest at every budget from `start` to `end`.

    Settings of fewer than `fewest` steps are left out for all sizes. By default budgets begin where the smallest size
    affords four steps, and end where the largest affords its most.
    Raises: NotAsked for fewer than two sizes, and for a range without budgets.
    """
    evidence = evidence.where((evidence.rows["steps"] >= fewest).to_numpy(bool))
    if len(evidence.sizes) < 2:
        raise NotAsked(f"Sizes are compared, and the rows hold {evidence.sizes}: run the grid for two at least.")
    largest, cost = evidence.sizes[-1], counted(evidence.rows, unit)
    big = (evidence.rows["size"] == largest).to_numpy()
    start = max(_first(evidence, cost) if start is None else start, float(cost.min()))
    end = float(cost[big].max()) if end is None else end
    found = bands(evidence, cost, ~big, SIDES, start, end, margin)
    return Contest(unit=unit, largest=largest, **{field.name: getattr(found, field.name) for field in fields(found)})


def up_to(evidence: Evidence, steps: int) -> Contest | None:
    """Compare them from where the smallest size affords four steps to where the largest affords so many.

    None where that is no range: the largest was not drawn in so many steps, or they cost no more than four of the
    smallest that was drawn in four.
    """
    rows, cost = evidence.rows, counted(evidence.rows, PAPER)
    end = cost[(rows["size"] == evidence.sizes[-1]) & (rows["steps"] == steps)].min(initial=np.inf)
    return contest(evidence, end=float(end)) if _first(evidence, cost) < end < np.inf else None


def _first(evidence: Evidence, cost: np.ndarray) -> float:
    """Return the budget with which a contest begins: four steps of the smallest size; infinite where it has fewer."""
    rows = evidence.rows
    return float(cost[(rows["size"] == evidence.sizes[0]) & (rows["steps"] >= 4)].min(initial=np.inf))


def agreement(one: Contest, other: Contest) -> Mapping[str, float]:
    """Return the share of doublings at which two contests surely agree, surely differ, or neither.

    The shares `agree`, `differ`, `open` are of the budgets that both contests have. Forfeits do not count.

    They agree where both end alike and neither is open, and differ where they end otherwise and their bands lie apart.
    """
    start, end = max(one.budgets[0], other.budgets[0]), min(one.end, other.end)
    if not start < end:
        raise NotAsked("The two contests have no budget in common; run them over the same step counts.")
    inside = [b for b in {*one.budgets, *other.budgets} if start < b < end]
    budgets = np.array([start, *sorted(inside)])
    wide = np.log2(np.append(budgets[1:], end) / budgets)
    found = dict.fromkeys(("agree", "differ", "open"), 0.0)
    for budget, doublings in zip(budgets, wide, strict=True):
        i, j = one.index(budget), other.index(budget)
        pair = one.winners[i], other.winners[j]
        if FORFEIT in pair:
            continue
        apart = one.lo[i] > other.hi[j] or other.lo[j] > one.hi[i]
        alike = pair[0] == pair[1] != OPEN
        found["agree" if alike else "differ" if apart and OPEN not in pair else "open"] += float(doublings)
    total = sum(found.values())
    return {name: share / total if total else 0.0 for name, share in found.items()}
