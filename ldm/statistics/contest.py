"""The best smaller model against the largest at every budget: where is one surely better, and where are they alike?

At a budget each side uses the best setting that it can afford. What the sides can afford changes only where a setting's
cost is reached, so budgets fall into intervals, and a share of them is a share of doublings of the budget. The interval
of the difference holds for all budgets at once (a simultaneous band), so that a stretch of budgets is read as one
statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.metrics import Estimate
from ldm.statistics.budget import steps_within
from ldm.statistics.evidence import Evidence
from ldm.statistics.sides import lead

Winner = Literal["smaller", "same", "largest", "open", "forfeit"]
WINNERS: tuple[Winner, ...] = ("smaller", "same", "largest", "open", "forfeit")
MARGIN = 0.05  # a difference below this share of the value of the largest model counts as none
PAPER = "cost"  # ways to count a picture: the paper's cost,
COUNTED = "evaluated"  # GFLOPs of all evaluations, guidance's included,
DONE = "done"  # and GFLOPs truly done, where other networks or parts of one are asked, too


@dataclass(frozen=True, kw_only=True, eq=False)
class Contest:
    """What each budget's comparison came to; budgets are intervals, given by where they begin, and end at `end`.

    `advantage` is by how much the best smaller model is better than the largest, as a share of the largest one's
    distance, with a band [lo, hi] that holds the truth at all contested budgets together with 95 % certainty; it is
    infinite where the largest model affords no step (`forfeit`).
    """

    metric: str
    unit: str
    largest: int
    budgets: Float[np.ndarray, " m"]
    end: float
    advantage: Float[np.ndarray, " m"]
    lo: Float[np.ndarray, " m"]
    hi: Float[np.ndarray, " m"]
    winners: tuple[Winner, ...]
    best: tuple[int, ...]  # the size that is best at each budget, by value
    mean: Estimate  # of the advantage over the contested budgets, each doubling alike

    @property
    def doublings(self) -> Float[np.ndarray, " m"]:
        """How many doublings of the budget each interval spans."""
        return np.log2(np.append(self.budgets[1:], self.end) / self.budgets)

    @property
    def shares(self) -> dict[Winner, float]:
        """The share of all doublings that ends each way."""
        wide = self.doublings
        names = np.array(self.winners)
        return {name: float(wide[names == name].sum() / wide.sum()) for name in WINNERS}

    def at(self, budget: float) -> Winner:
        """Return how the comparison ends at a budget within those asked."""
        return self.winners[self.index(budget)]

    def index(self, budget: float) -> int:
        """Return which interval a budget lies in."""
        return int(np.searchsorted(self.budgets, budget * (1 + 1e-9), side="right")) - 1

    def table(self) -> pd.DataFrame:
        """Return a line a stretch of budgets, for a chart: `from`, `to`, `advantage`, `lo`, `hi`, `winner`, `best`."""
        return pd.DataFrame(
            {
                "from": self.budgets,
                "to": np.append(self.budgets[1:], self.end),
                "advantage": self.advantage,
                "lo": self.lo,
                "hi": self.hi,
                "winner": self.winners,
                "best": self.best,
            }
        )


def stretches(found: Contest, price: float) -> list[tuple[Winner, int, int]]:
    """Return who wins, and from how many steps of the largest model to how many, one stretch of budgets after another.

    price: of one step of the largest, in the contest's unit. Where it affords none, there is no stretch.
    """
    start = float(found.budgets[0])

    def winner(steps: int) -> Winner:
        return found.at(max(steps * price, start))

    counts = range(max(1, steps_within(start, price)), steps_within(found.end, price) + 1)
    groups = [list(part) for _, part in groupby(counts, winner)]
    return [(winner(part[0]), part[0], part[-1]) for part in groups if winner(part[0]) != "forfeit"]


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
    Raises: ValueError for fewer than two sizes, and for a range without budgets.
    """
    evidence = evidence.where((evidence.rows["steps"] >= fewest).to_numpy(bool))
    if len(evidence.sizes) < 2:
        raise ValueError(f"Sizes are compared, and the rows hold {evidence.sizes}: run the grid for two at least.")
    largest, cost = evidence.sizes[-1], counted(evidence.rows, unit)
    size, steps = evidence.rows["size"].to_numpy(), evidence.rows["steps"].to_numpy(float)
    big = size == largest
    four = float(cost[(size == evidence.sizes[0]) & (steps >= 4)].min(initial=np.inf))
    start = max(four if start is None else start, float(cost.min()))
    end = float(cost[big].max()) if end is None else end
    if not start < end:
        raise ValueError(f"budgets from {start:g} to {end:g}: expected a range that grows; run more step counts.")
    costs = np.unique(cost)
    budgets = np.concatenate([[start], costs[(costs > start * (1 + 1e-9)) & (costs < end * (1 - 1e-9))]])
    wide = np.log2(np.append(budgets[1:], end) / budgets)
    found = lead(evidence, cost, ~big, big, budgets, wide)
    winners: list[Winner] = [
        "forfeit" if not fair else "smaller" if a > 0 else "largest" if b < 0 else "open"
        for fair, a, b in zip(found.contested, found.lo, found.hi, strict=True)
    ]
    alike = found.contested & (found.lo > -margin) & (found.hi < margin)
    return Contest(
        metric=evidence.metric,
        unit=unit,
        largest=largest,
        budgets=budgets,
        end=float(end),
        advantage=found.advantage,
        lo=found.lo,
        hi=found.hi,
        winners=tuple("same" if same else winner for same, winner in zip(alike, winners, strict=True)),
        best=tuple(int(size[at]) for at in evidence.best_within(cost, budgets)),
        mean=found.mean,
    )


def agreement(one: Contest, other: Contest) -> Mapping[str, float]:
    """Return the share of doublings at which two contests surely agree, surely differ, or neither.

    The shares `agree`, `differ`, `open` are of the budgets that both contests have. Forfeits do not count.

    They agree where both end alike and neither is open, and differ where they end otherwise and their bands lie apart.
    """
    start, end = max(one.budgets[0], other.budgets[0]), min(one.end, other.end)
    if not start < end:
        raise ValueError("The two contests have no budget in common; run them over the same step counts.")
    inside = [b for b in {*one.budgets, *other.budgets} if start < b < end]
    budgets = np.array([start, *sorted(inside)])
    wide = np.log2(np.append(budgets[1:], end) / budgets)
    found = dict.fromkeys(("agree", "differ", "open"), 0.0)
    for budget, doublings in zip(budgets, wide, strict=True):
        i, j = one.index(budget), other.index(budget)
        pair = one.winners[i], other.winners[j]
        if "forfeit" in pair:
            continue
        apart = one.lo[i] > other.hi[j] or other.lo[j] > one.hi[i]
        alike = pair[0] == pair[1] != "open"
        found["agree" if alike else "differ" if apart and "open" not in pair else "open"] += float(doublings)
    total = sum(found.values())
    return {name: share / total if total else 0.0 for name, share in found.items()}
