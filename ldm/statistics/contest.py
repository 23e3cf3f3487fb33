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
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.metrics import Estimate, Z
from ldm.statistics.budget import affordable, steps_within
from ldm.statistics.evidence import Evidence

Winner = Literal["smaller", "same", "largest", "open", "forfeit"]
WINNERS: tuple[Winner, ...] = ("smaller", "same", "largest", "open", "forfeit")
MARGIN = 0.05  # a difference below this share of the value of the largest model counts as none
PAPER, COUNTED = "cost", "evaluated"  # ways to count: the paper's cost; GFLOPs of all evaluations, guidance's included


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
    """Return what each row's picture costs: by the paper's cost, or in GFLOPs of all evaluations.

    Guidance asks twice.
    """
    if unit == PAPER:
        return rows["cost"].to_numpy(float)
    if unit == COUNTED:
        return (rows["gflops"].astype(float) * rows["nfe"].astype(float)).to_numpy()
    raise ValueError(f"unit = {unit!r}: expected {PAPER!r}, the paper's cost, or {COUNTED!r}, evaluations counted.")


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

    large, small = (_best(evidence, cost, side, budgets) for side in (big, ~big))
    contested = np.isfinite(large.value) & np.isfinite(small.value)
    share = np.ones(len(budgets))  # of what the advantage is one; a value that may be 0 is no measure of anything
    share[contested] = np.maximum(np.abs(large.value[contested]), Z * large.drawn[contested].std(1))
    with np.errstate(invalid="ignore"):
        advantage = (large.value - small.value) / share
    lo, hi = advantage.copy(), advantage.copy()
    mean = Estimate(float("nan"), -np.inf, np.inf, evidence.n)
    if contested.any():
        weights = wide[contested] / wide[contested].sum()
        value = float(weights @ advantage[contested])
        ends = []
        # Luck favours the side with more settings. Each end of the interval supposes it of the side that gains by it.
        for sign, theirs, ours in ((-1, large.drawn, small.tied), (1, large.tied, small.drawn)):
            drawn = (theirs - ours)[contested] / share[contested][:, None]
            ends.append((_end(advantage[contested], drawn, sign, evidence), 2 * value - weights @ drawn))
        lo[contested], hi[contested] = ends[0][0], ends[1][0]
        low, high = np.quantile(ends[0][1], 0.025), np.quantile(ends[1][1], 0.975)
        mean = Estimate(value, float(low), float(high), evidence.n)
    winners: list[Winner] = [
        "forfeit" if not fair else "smaller" if a > 0 else "largest" if b < 0 else "open"
        for fair, a, b in zip(contested, lo, hi, strict=True)
    ]
    alike = contested & (lo > -margin) & (hi < margin)
    return Contest(
        metric=evidence.metric,
        unit=unit,
        largest=largest,
        budgets=budgets,
        end=float(end),
        advantage=advantage,
        lo=lo,
        hi=hi,
        winners=tuple("same" if same else winner for same, winner in zip(alike, winners, strict=True)),
        best=tuple(int(size[at]) for at in evidence.best_within(cost, budgets)),
        mean=mean,
    )


class _Best(NamedTuple):
    """The best setting of one side within each budget: its value, and what replicates say of it."""

    value: Float[np.ndarray, " m"]
    drawn: Float[np.ndarray, "m worlds"]  # the lowest of each replicate
    tied: Float[np.ndarray, "m worlds"]  # the same if all that cannot be told from the best were truly as good


def _best(evidence: Evidence, cost: np.ndarray, side: np.ndarray, budgets: np.ndarray) -> _Best:
    """Return the lowest within each budget; infinite where the side affords nothing.

    The lowest of many equal settings is low by luck, and a bootstrap sees less than half of that luck: its replicates
    are of what was measured, where the lucky setting stands alone. `tied` redraws them from where luck is all that
    parts them: settings within two paired standard errors of the best are set equal to it.
    """
    values, noise = evidence.values, evidence.replicates - evidence.values[:, None]
    found: dict[int, tuple[float, np.ndarray, np.ndarray]] = {}
    lines = []
    for budget in budgets:
        at = np.flatnonzero(side & affordable(cost, budget))
        if not len(at):
            nothing = np.full(noise.shape[1], np.inf)
            lines.append((np.inf, nothing, nothing))
            continue
        if len(at) not in found:  # what is affordable only grows
            first = at[values[at].argmin()]
            apart = values[at] - values[first]
            close = apart <= 2 * (noise[at] - noise[first]).std(1)
            tied = np.where(close, values[first], values[at])[:, None] + noise[at]
            found[len(at)] = float(values[first]), (values[at][:, None] + noise[at]).min(0), tied.min(0)
        lines.append(found[len(at)])
    return _Best(*map(np.array, zip(*lines, strict=True)))


def _end(advantage: np.ndarray, drawn: np.ndarray, sign: int, evidence: Evidence) -> np.ndarray:
    """Return one end of a band that holds at all budgets at once.

    Twice the value, less the replicates' middle, plus or minus the same number of standard errors everywhere.
    """
    few = evidence.scatter is not None and evidence.scatter.dof < 3  # then replicates have no mean that settles
    middle = np.median(drawn, 1) if few else drawn.mean(1)
    errors = drawn - middle[:, None]
    spread = np.maximum(errors.std(1), 1e-12)
    return 2 * advantage - middle + sign * np.quantile(np.abs(errors / spread[:, None]).max(0), 0.95) * spread


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
