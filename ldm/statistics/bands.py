"""One side against another along the budget: who is surely better where, in stretches that hold together.

What the sides can afford changes only where a setting's cost is reached, so budgets fall into intervals, and a share of
them is a share of doublings of the budget. The interval of the difference holds for all budgets at once (a simultaneous
band), so that a stretch of budgets is read as one statement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ldm.metrics import Estimate
from ldm.statistics.evidence import Evidence
from ldm.statistics.refusal import NotAsked
from ldm.statistics.sides import lead

MARGIN = 0.05  # a difference below this share of the other side's value counts as none
HALF = 0.5 + 1e-9  # a share above it is more than half; sums of doublings round
SAME, OPEN, FORFEIT = "same", "open", "forfeit"  # how a comparison ends without a winner; forfeit: one side has nothing


@dataclass(frozen=True, kw_only=True, eq=False)
class Bands:
    """What each budget's comparison came to; budgets are intervals, given by where they begin, and end at `end`.

    `advantage` is by how much the first of the sides is better than the second, as a share of the second one's value,
    with a band [lo, hi] that holds the truth at all contested budgets together with 95 % certainty; it is infinite
    where the second side affords nothing (`forfeit`). `winners` are names of sides, SAME, OPEN or FORFEIT.
    """

    metric: str
    sides: tuple[str, str]
    budgets: Float[np.ndarray, " m"]
    end: float
    advantage: Float[np.ndarray, " m"]
    lo: Float[np.ndarray, " m"]
    hi: Float[np.ndarray, " m"]
    winners: tuple[str, ...]
    best: tuple[int, ...]  # the size that is best at each budget, by value
    mean: Estimate  # of the advantage over the contested budgets, each doubling alike

    @property
    def doublings(self) -> Float[np.ndarray, " m"]:
        """How many doublings of the budget each interval spans."""
        return np.log2(np.append(self.budgets[1:], self.end) / self.budgets)

    @property
    def shares(self) -> dict[str, float]:
        """The share of all doublings that ends each way."""
        wide, names = self.doublings, np.array(self.winners)
        ways = (self.sides[0], SAME, self.sides[1], OPEN, FORFEIT)
        return {way: float(wide[names == way].sum() / wide.sum()) for way in ways}

    def at(self, budget: float) -> str:
        """Return how the comparison ends at a budget within those asked."""
        return self.winners[self.index(budget)]

    def index(self, budget: float) -> int:
        """Return which interval a budget lies in. Raises: ValueError for one below those asked."""
        if (found := int(np.searchsorted(self.budgets, budget * (1 + 1e-9), side="right")) - 1) < 0:
            raise ValueError(f"budget = {budget:g}: expected {self.budgets[0]:g} or more, from where it was asked.")
        return found

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


def outcome(lo: float, hi: float, sides: tuple[str, str], margin: float = MARGIN) -> str:
    """Return how a comparison with this band ends: SAME, the side that is surely better, or OPEN."""
    if lo > -margin and hi < margin:
        return SAME
    return sides[0] if lo > 0 else sides[1] if hi < 0 else OPEN


def bands(
    evidence: Evidence,
    cost: Float[np.ndarray, " rows"],
    first: Bool[np.ndarray, " rows"],
    sides: tuple[str, str],
    start: float,
    end: float,
    margin: float = MARGIN,
) -> Bands:
    """Compare the rows of the first side with all others at every budget from `start` to `end`.

    sides: what both are called; cost: of each row. Raises: NotAsked for a range without budgets.
    """
    if not start < end:
        raise NotAsked(f"budgets from {start:g} to {end:g}: expected a range that grows; run more step counts.")
    costs = np.unique(cost)
    budgets = np.concatenate([[start], costs[(costs > start * (1 + 1e-9)) & (costs < end * (1 - 1e-9))]])
    wide = np.log2(np.append(budgets[1:], end) / budgets)
    found = lead(evidence, cost, first, ~first, budgets, wide)
    winners = [
        outcome(lo, hi, sides, margin) if fair else FORFEIT
        for fair, lo, hi in zip(found.contested, found.lo, found.hi, strict=True)
    ]
    size = evidence.rows["size"].to_numpy()
    return Bands(
        metric=evidence.metric,
        sides=sides,
        budgets=budgets,
        end=float(end),
        advantage=found.advantage,
        lo=found.lo,
        hi=found.hi,
        winners=tuple(winners),
        best=tuple(int(size[at]) for at in evidence.best_within(cost, budgets)),
        mean=found.mean,
    )
