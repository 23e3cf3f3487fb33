"""A rule to act on with levers: "pull this lever at the largest size that affords N steps with it, else another one".

The best setting within a budget is known only to those who have measured all of them. A policy needs a lever, a second
one for budgets that are too small for the first, and a number of steps for each. Its regret is by how much its picture
is worse than the best that the budget buys with any lever. As for the rule without levers
(`ldm.statistics.rule_of_thumb`), all that is chosen is chosen on some budgets, and the regret is measured on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ldm.metrics import Estimate
from ldm.statistics.budget import affordable, lowest
from ldm.statistics.evidence import Evidence
from ldm.statistics.worth import PLAIN

BUDGETS = 24  # every second one chooses


class Pull(NamedTuple):
    """A lever, and the least number of steps that a size must afford with it to be taken."""

    lever: str
    steps: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Policy:
    """Which lever is pulled, in how many steps at least, and what following that costs."""

    pulls: tuple[Pull, ...]  # the first that any size affords is pulled
    regret: Estimate  # mean over budgets that did not choose, as a share of the best value
    worst: float  # the largest of them


def budgets_of(evidence: Evidence, cost: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " m"]:
    """Return budgets, evenly in logarithms, from where there is something to choose to the most expensive lever.

    The first affords a setting with a lever and one without. Raises: ValueError where there are not both.
    """
    pulled = (evidence.rows["lever"] != PLAIN).to_numpy(bool)
    if pulled.all() or not pulled.any():
        raise ValueError("There are rows with levers alone, or without; a policy is asked of both.")
    first = max(cost[~pulled].min(), cost[pulled].min())
    return np.geomspace(first, max(first, cost[pulled].max()), BUDGETS)


def follow(
    evidence: Evidence, cost: Float[np.ndarray, " rows"], pulls: Sequence[Pull], budgets: Float[np.ndarray, " m"]
) -> list[int]:
    """Return the place of the row that a policy takes within each budget.

    It is of the largest size that affords the steps of the first pull, with as many steps as it affords, at the best
    setting for them; where no size affords them, of the next pull; where none of them is affordable, of the
    smallest size without a lever, in as many steps as it affords. Plain sampling is guided as a lever's is, unless a
    budget buys no guided step: without guidance it affords twice the steps, and a rule that asks for steps alone would
    give guidance up for them. Raises: ValueError for a budget that buys nothing.
    """
    rows = evidence.rows
    lever, size, steps = rows["lever"].to_numpy(), rows["size"].to_numpy(int), rows["steps"].to_numpy(int)
    usual = (lever != PLAIN) | (rows["guidance"] > 1).to_numpy(bool)
    found = []
    for budget in budgets:
        within = affordable(cost, budget)
        able = (within & usual & (lever == pull.lever) & (steps >= pull.steps) for pull in pulls)
        at = next((mine & (size == size[mine].max()) for mine in able if mine.any()), None)
        if at is None:
            plain = within & (lever == PLAIN)
            if not plain.any():
                cheapest = cost[lever == PLAIN].min(initial=np.inf)
                raise ValueError(f"budget {budget:g} buys nothing without a lever; the cheapest is {cheapest:g}.")
            at = plain & usual if (plain & usual).any() else plain
            at = at & (size == size[at].min())
        at = at & (steps == steps[at].max())
        found.append(int(np.where(at, evidence.values, np.inf).argmin()))
    return found


def policy(evidence: Evidence, cost: Float[np.ndarray, " rows"], lever: str, seconds: Sequence[str]) -> Policy:
    """Choose how a lever is pulled on every second budget, and measure what that loses on the others.

    evidence: rows with a column `lever`, PLAIN where there is none. cost: of each row. seconds: levers to choose from
    for budgets in which no size affords the first. The pictures of both halves are the same, and the best of many is
    low by luck, so the regret comes out too large rather than too small. Raises: ValueError for a lever without rows.
    """
    known = set(evidence.rows["lever"])
    if unknown := [name for name in (lever, *seconds) if name not in known]:
        raise ValueError(f"lever = {unknown[0]!r}: expected one of {sorted(known)}, '' for none.")
    grid = budgets_of(evidence, cost)
    values = np.concatenate([evidence.values[:, None], evidence.replicates], axis=1)
    best = lowest(values, cost, grid)

    def regrets(pulls: Sequence[Pull], of: slice) -> Float[np.ndarray, "m replicates"]:
        taken = values[follow(evidence, cost, pulls, grid[of])]
        return (taken - best[of]) / np.abs(best[of][:, :1])

    chosen = min(
        _candidates(evidence, lever, seconds),
        key=lambda pulls: float(regrets(pulls, slice(0, None, 2))[:, 0].mean()),
    )
    spent = regrets(chosen, slice(1, None, 2))
    return Policy(
        pulls=chosen,
        regret=evidence.estimate(float(spent[:, 0].mean()), spent[:, 1:].mean(0)),
        worst=float(spent[:, 0].max()),
    )


def _candidates(evidence: Evidence, lever: str, seconds: Sequence[str]) -> list[tuple[Pull, ...]]:
    """Return the lever alone, and with each of the others below its reach, in all their step counts."""
    alone = _pulls(evidence, lever)
    others = [pull for other in seconds if other != lever for pull in _pulls(evidence, other)]
    return [(first,) for first in alone] + list(product(alone, others))


def _pulls(evidence: Evidence, lever: str) -> list[Pull]:
    """Return the lever with each of its step counts."""
    rows = evidence.rows
    return [Pull(lever, int(steps)) for steps in sorted(rows.loc[rows["lever"] == lever, "steps"].unique())]
