"""Two families of networks at every budget: which one draws better, each at the best setting that it can afford.

The rule is in `book/protocol.md`: sizes count that have a partner of like cost in the other family, and budgets are
those that both families can use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ldm.statistics.bands import HALF, SAME, Bands, bands
from ldm.statistics.contest import PAPER, counted
from ldm.statistics.evidence import Evidence
from ldm.statistics.isoflop import at_budgets, training_flops
from ldm.statistics.refusal import NotAsked

NEITHER = "undecided"
PER_DOUBLING = 4  # training budgets that are asked


def with_partners(rows: pd.DataFrame, pairs: Sequence[Sequence[int]]) -> pd.DataFrame:
    """Return the rows of sizes whose partner has rows, too.

    rows: of both families, with a column `family`, 0 or 1. pairs: a size of each family, which are partners.
    """
    known = [set(rows.loc[rows["family"] == i, "c"].astype(int)) for i in (0, 1)]
    kept = [(i, pair[i]) for pair in pairs if pair[0] in known[0] and pair[1] in known[1] for i in (0, 1)]
    return rows[pd.MultiIndex.from_frame(rows[["family", "c"]].astype(int)).isin(kept)]


def between(evidence: Evidence, names: tuple[str, str]) -> Bands:
    """Compare the first family with the second, at every budget that both can use.

    evidence: of rows with a column `family`, 0 or 1. names: of the families, in that order.
    Raises: NotAsked where one of them has no rows, or no budget in common with the other.
    """
    cost = counted(evidence.rows, PAPER)
    first, start, end = _common(evidence, cost, names)
    return bands(evidence, cost, first, names, start, end)


def by_training(evidence: Evidence, names: tuple[str, str]) -> Bands:
    """Compare the first family with the second at equal training FLOPs, each by the best model that they buy.

    Between two lengths at which a network was kept it is read off its curve (`isoflop.at_budgets`), so that a family
    does not lose a stretch of budgets because its next length costs a little more.
    evidence: a row for each network and length, with a column `family`, 0 or 1. Raises: NotAsked as `between`.
    """
    spent = training_flops(evidence.rows)
    _, start, end = _common(evidence, spent, names)
    grid = np.geomspace(start, end, 1 + int(np.ceil(PER_DOUBLING * np.log2(end / start))))
    kept = spent[(start < spent) & (spent < end)]  # at which a network was kept
    read, flops = at_budgets(evidence, np.union1d(grid, kept))
    return bands(read, flops, (read.rows["family"] == 0).to_numpy(bool), names, start, end)


class Apart(NotAsked):
    """Two families have no range of budgets in common."""


def _common(evidence: Evidence, cost: np.ndarray, names: tuple[str, str]) -> tuple[np.ndarray, float, float]:
    """Return which rows are of the first family, and the least and the most that both can use."""
    first = (evidence.rows["family"] == 0).to_numpy(bool)
    if first.all() or not first.any():
        raise NotAsked(f"Two families are compared, and the rows are of one: run the grid for {' and '.join(names)}.")
    start = float(max(cost[first].min(), cost[~first].min()))
    end = float(min(cost[first].max(), cost[~first].max()))
    if not start < end:
        raise Apart(
            f"The {names[0]} and the {names[1]} have no range of budgets in common (from {start:.3g} to {end:.3g});"
            " run settings that cost alike."
        )
    return first, start, end


def better(found: Bands) -> str:
    """Return the family that is surely better over more than half of the doublings, "same", or "undecided"."""
    for way in (*found.sides, SAME):
        if found.shares[way] > HALF:
            return way
    return NEITHER
