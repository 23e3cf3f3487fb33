"""Which size is best at a budget, and from which budget on a larger one takes over.

Such questions have no closed answer, so they are asked of many *replicates*: what other captions and other
noise might have given. All settings were scored on the same captions from the same noise, so their errors
move together. Where each picture's influence on each score is known (`ldm.metrics`), a replicate gives every
picture one random weight that counts in all settings alike (a multiplier bootstrap): differences are then as
sharp as the pairing makes them. Where it is not, each score is a normal of its own, and the chances err
towards doubt. Lower is better throughout.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ldm.statistics.bootstrap import Influences, replicates
from ldm.statistics.budget import affordable, lowest


def frontier(
    rows: pd.DataFrame,
    budgets: Sequence[float] | np.ndarray | None = None,
    influences: Influences | None = None,
) -> pd.DataFrame:
    """Return the best setting within each budget, and the chance that its size is truly the best one.

    rows: columns `size`, `cost`, `value`, `lo`, `hi`, and any that describe the setting (`steps`,
    `guidance`, ...). Result: for each budget (by default every cost at which something becomes
    affordable) the row of the lowest value among those that cost no more, with `budget`, `chance`
    (the share of replicates in which a setting of that size is lowest) and `chances` (a dict of every
    affordable size). A size with more settings has more tries: give all sizes the same grid.
    """
    rows = _checked(rows)
    grid = np.unique(rows["cost"]) if budgets is None else np.sort(budgets)
    if not affordable(rows["cost"].min(), grid[0]):
        raise ValueError(
            f"budget {grid[0]:g} buys nothing, the cheapest setting costs {rows['cost'].min():g}; raise the budget."
        )
    sizes, best = _best_within(rows, grid, replicates(rows, influences))
    winners = best.argmin(0)  # (budgets, replicates)
    found = []
    for budget, winner in zip(grid, winners, strict=True):
        within = rows[affordable(rows["cost"], budget)]
        row = within.loc[within["value"].idxmin()].to_dict()
        names = set(within["size"])
        chances = {s: float((winner == i).mean()) for i, s in enumerate(sizes) if s in names}
        found.append({"budget": budget, **row, "chance": chances[row["size"]], "chances": chances})
    return pd.DataFrame(found)


class Crossover(NamedTuple):
    """The budget from which on `large` is at least as good as `small`, with a 95 % interval.

    `chance` is the share of replicates in which it happens within the budgets measured; value and ends
    may be infinite, where it does not.
    """

    small: Hashable
    large: Hashable
    budget: float
    lo: float
    hi: float
    chance: float


def crossover(rows: pd.DataFrame, small: Hashable, large: Hashable, influences: Influences | None = None) -> Crossover:
    """Find where, on the costs of `rows` (as in `frontier`), `large` overtakes `small` for good."""
    rows = _checked(rows)
    for size in (small, large):
        if size not in set(rows["size"]):
            raise ValueError(f"no row has size {size}, expected one of {sorted(set(rows['size']))}")
    rows = rows[rows["size"].isin([small, large])]
    budgets = np.unique(rows["cost"])

    def overtaken(best: np.ndarray, sizes: list[Any]) -> np.ndarray:
        ahead = best[sizes.index(large)] <= best[sizes.index(small)]  # (budgets, replicates)
        for_good = np.logical_and.accumulate(ahead[::-1], axis=0)[::-1]
        return np.where(for_good.any(0), budgets[for_good.argmax(0)], np.inf)

    sizes, best = _best_within(rows, budgets, replicates(rows, influences))
    drawn = overtaken(best, sizes)
    measured = overtaken(_best_within(rows, budgets, rows["value"].to_numpy(float)[:, None])[1], sizes)[0]
    lo, hi = np.quantile(drawn, [0.025, 0.975], method="nearest")
    chance = float(np.isfinite(drawn).mean())
    return Crossover(small, large, float(measured), float(lo), float(hi), chance)


def _best_within(rows: pd.DataFrame, budgets: np.ndarray, values: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """Return sizes, and (size, budget, replicate) the lowest affordable of the values (rows, replicates)."""
    sizes, cost = list(dict.fromkeys(rows["size"])), rows["cost"].to_numpy(float)
    of = [(rows["size"] == size).to_numpy() for size in sizes]
    return sizes, np.stack([lowest(values[mine], cost[mine], budgets) for mine in of])


def _checked(rows: pd.DataFrame) -> pd.DataFrame:
    missing = {"size", "cost", "value", "lo", "hi"} - set(rows.columns)
    if missing or rows.empty:
        raise ValueError(
            f"rows are {len(rows)} without the columns {sorted(missing)}, expected at least one "
            "row with size, cost, value, lo and hi."
        )
    return rows.reset_index(drop=True)
