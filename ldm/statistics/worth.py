"""What a lever is worth: the best setting with it against the best without any, at each cost that it can have.

Budgets are the lever's own costs, where it has just what it pays for. There plain sampling has not: between two step
counts that were measured it would leave a part of the budget unspent, and any lever would seem to gain by it, even
one that does nothing. So plain sampling is given the steps between, as if quality followed one over the steps between
two counts: it errs, if at all, against the lever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.metrics import Estimate
from ldm.statistics.bands import MARGIN, OPEN, SAME, outcome
from ldm.statistics.budget import affordable, lowest
from ldm.statistics.evidence import Evidence
from ldm.statistics.sides import lead

SIDES = ("better", "worse")  # with the lever than without
OUTCOMES = (SIDES[0], SAME, SIDES[1], OPEN)
PLAIN = ""  # the lever of settings without any


@dataclass(frozen=True, kw_only=True, eq=False)
class Worth:
    """What a lever is worth at each of its costs, by one metric.

    `gain` is by how much the best with the lever is better than the best without, as a share of the latter, with a band
    [lo, hi] that holds the truth at all these budgets together with 95 % certainty.
    """

    lever: str
    metric: str
    budgets: Float[np.ndarray, " m"]
    gain: Float[np.ndarray, " m"]
    lo: Float[np.ndarray, " m"]
    hi: Float[np.ndarray, " m"]
    outcomes: tuple[str, ...]
    best: pd.DataFrame  # the row of the best setting with the lever at each budget
    mean: Estimate  # of the gain, each budget alike

    def table(self) -> pd.DataFrame:
        """Return a line a budget, for a chart: the best setting's columns, and `budget`, `gain`, `lo`, `hi`, `outcome`.

        `lo` and `hi` are those of the gain.
        """
        return self.best.drop(columns=["lo", "hi"]).assign(
            budget=self.budgets, gain=self.gain, lo=self.lo, hi=self.hi, outcome=self.outcomes
        )

    @property
    def counts(self) -> dict[str, int]:
        """At how many of the budgets it ends each way."""
        return {name: self.outcomes.count(name) for name in OUTCOMES}


class Priced(NamedTuple):
    """Settings with and without levers, and what each costs; plain sampling has the step counts between, too."""

    evidence: Evidence
    cost: Float[np.ndarray, " rows"]


def with_steps_between(evidence: Evidence, cost: Float[np.ndarray, " rows"]) -> Priced:
    """Return the evidence with a plain row for each step count between two that were measured, and all costs.

    The value of such a row, and each replicate of it, lies on a line in one over the steps.
    evidence: rows with a column `lever`, PLAIN where there is none. cost: of each row.
    """
    rows, plain = evidence.rows, _is_plain(evidence)
    places, steps = [], []
    for _, at in rows[plain].groupby(["size", "guidance"]).indices.items():
        at = np.flatnonzero(plain)[at]
        at = at[np.argsort(rows["steps"].to_numpy(int)[at])]
        for low, high in zip(at, at[1:], strict=False):
            between = range(int(rows["steps"].iloc[low]) + 1, int(rows["steps"].iloc[high]))
            places += [(low, high)] * len(between)
            steps += between
    if not places:
        return Priced(evidence, cost)
    low, high = np.array(places).T
    known, count = rows["steps"].to_numpy(float), np.array(steps, float)
    share = (1 / known[low] - 1 / count) / (1 / known[low] - 1 / known[high])
    mixed = lambda of: ((1 - share) * of[low].T + share * of[high].T).T
    joined = replace(
        evidence,
        rows=pd.concat([rows, rows.iloc[low].assign(value=mixed(evidence.values), steps=steps)], ignore_index=True),
        replicates=np.concatenate([evidence.replicates, mixed(evidence.replicates)]),
    )
    return Priced(joined, np.append(cost, cost[low] * count / known[low]))


def worth(priced: Priced, lever: str, *, margin: float = MARGIN) -> Worth:
    """Compare a lever with none at every cost at which its own best setting changes.

    Raises: ValueError where the lever has no setting, or none within the costs of plain ones, which is all one knows.
    """
    evidence, cost = priced
    pulled = (evidence.rows["lever"] == lever).to_numpy(bool)
    plain = _is_plain(evidence)
    if not pulled.any() or not plain.any():
        raise ValueError(f"lever = {lever!r}: expected rows with it and rows without any lever; run both.")
    costs = np.unique(cost[pulled])
    costs = np.array([x for x in costs if affordable(cost[plain].min(), x) and affordable(x, cost[plain].max())])
    if not len(costs):
        raise ValueError(f"lever = {lever!r}: none of its settings costs what some without a lever do.")
    reached = lowest(np.where(pulled, evidence.values, np.inf), cost, costs)
    budgets = costs[np.append(True, np.diff(reached) < 0)]
    found = lead(evidence, cost, pulled, plain, budgets, np.ones(len(budgets)))
    ends = zip(found.lo, found.hi, strict=True)
    at = evidence.where(pulled).best_within(cost[pulled], budgets)
    return Worth(
        lever=lever,
        metric=evidence.metric,
        budgets=budgets,
        gain=found.advantage,
        lo=found.lo,
        hi=found.hi,
        outcomes=tuple(outcome(lo, hi, SIDES, margin) for lo, hi in ends),
        best=evidence.where(pulled).rows.iloc[at].reset_index(drop=True),
        mean=found.mean,
    )


def _is_plain(evidence: Evidence) -> np.ndarray:
    return (evidence.rows["lever"] == PLAIN).to_numpy(bool)


def chances(priced: Priced, budgets: Float[np.ndarray, " m"]) -> Mapping[str, Float[np.ndarray, " m"]]:
    """Return lever -> how likely it is that the best setting within each budget has it (PLAIN: has none).

    It is the share of replicates. Of settings that are all as good, each is the best in some of them, so that many
    settings are more likely to hold the best one than few.
    """
    evidence, cost = priced
    if not all(affordable(cost.min(), budget) for budget in budgets):
        raise ValueError(f"budget {min(budgets):g} buys nothing, the cheapest setting costs {cost.min():g}; raise it.")
    levers = list(dict.fromkeys(evidence.rows["lever"]))
    of = [(evidence.rows["lever"] == lever).to_numpy() for lever in levers]
    best = np.stack([lowest(evidence.replicates[mine], cost[mine], budgets) for mine in of])
    winner = best.argmin(0)
    return {lever: (winner == i).mean(1) for i, lever in enumerate(levers)}
