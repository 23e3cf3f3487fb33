"""Two sides at every budget: by how much the best of one is better than the best of the other, with a band.

A side is a set of settings: the smaller models against the largest, a lever against none. At a budget each side uses
the best setting that it can afford. The band holds the truth at all budgets together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ldm.metrics import Estimate, Z
from ldm.statistics.budget import affordable
from ldm.statistics.evidence import Evidence


class Lead(NamedTuple):
    """By how much one side is better at each budget, as a share of the other side's value, with its band.

    It is infinite where the other side affords nothing, and minus infinite where this one does.
    """

    advantage: Float[np.ndarray, " m"]
    lo: Float[np.ndarray, " m"]
    hi: Float[np.ndarray, " m"]
    contested: Bool[np.ndarray, " m"]  # both sides afford something
    mean: Estimate  # of the advantage over the contested budgets


def lead(
    evidence: Evidence,
    cost: Float[np.ndarray, " rows"],
    ours: Bool[np.ndarray, " rows"],
    theirs: Bool[np.ndarray, " rows"],
    budgets: Float[np.ndarray, " m"],
    weights: Float[np.ndarray, " m"],
) -> Lead:
    """Compare the best of our settings with the best of theirs at every budget; `weights` are those of the mean."""
    their, our = (best(evidence, cost, side, budgets) for side in (theirs, ours))
    contested = np.isfinite(their.value) & np.isfinite(our.value)
    share = np.ones(len(budgets))  # of what the advantage is one; a value that may be 0 is no measure of anything
    share[contested] = np.maximum(np.abs(their.value[contested]), Z * evidence.sd(their.drawn[contested]))
    share[share == 0] = 1  # where all is exactly 0, as a small share of few pictures can be
    with np.errstate(invalid="ignore"):
        advantage = (their.value - our.value) / share
    lo, hi = advantage.copy(), advantage.copy()
    mean = Estimate(float("nan"), -np.inf, np.inf, evidence.n)
    if contested.any():
        wide = weights[contested] / weights[contested].sum()
        value = float(wide @ advantage[contested])
        ends = []
        # Luck favours the side with more settings. Each end of the interval supposes it of the side that gains by it.
        for sign, them, us in ((-1, their.drawn, our.tied), (1, their.tied, our.drawn)):
            drawn = (them - us)[contested] / share[contested][:, None]
            ends.append((_end(advantage[contested], drawn, sign, evidence), 2 * value - wide @ drawn))
        lo[contested], hi[contested] = ends[0][0], ends[1][0]
        low, high = np.quantile(ends[0][1], 0.025), np.quantile(ends[1][1], 0.975)
        mean = Estimate(value, float(low), float(high), evidence.n)
    return Lead(advantage, lo, hi, contested, mean)


class Best(NamedTuple):
    """The best setting of one side within each budget: its value, and what replicates say of it."""

    value: Float[np.ndarray, " m"]
    drawn: Float[np.ndarray, "m replicates"]  # the lowest of each replicate
    tied: Float[np.ndarray, "m replicates"]  # the same if all that cannot be told from the best were truly as good


def best(evidence: Evidence, cost: np.ndarray, side: np.ndarray, budgets: np.ndarray) -> Best:
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
            close = apart <= 2 * evidence.sd(noise[at] - noise[first])
            tied = np.where(close, values[first], values[at])[:, None] + noise[at]
            found[len(at)] = float(values[first]), (values[at][:, None] + noise[at]).min(0), tied.min(0)
        lines.append(found[len(at)])
    return Best(*map(np.array, zip(*lines, strict=True)))


def _end(advantage: np.ndarray, drawn: np.ndarray, sign: int, evidence: Evidence) -> np.ndarray:
    """Return one end of a band that holds at all budgets at once.

    Twice the value, less the replicates' middle, plus or minus the same number of standard errors everywhere.
    """
    few = evidence.scatter is not None and evidence.scatter.dof < 3  # then replicates have no mean that settles
    middle = np.median(drawn, 1) if few else drawn.mean(1)
    errors = drawn - middle[:, None]
    spread = np.maximum(evidence.sd(errors), 1e-12)
    return 2 * advantage - middle + sign * np.quantile(np.abs(errors / spread[:, None]).max(0), 0.95) * spread
