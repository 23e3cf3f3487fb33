"""Budgets: what steps and trainings cost, what a budget affords, and the best of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float


def step_price(rows: pd.DataFrame) -> pd.Series:
    """Return what a step of each row costs, in the paper's unit (normalised cost; Heun's is of two evaluations)."""
    return rows["cost"].astype(float) / rows["steps"].astype(float)


def step_of_the_largest(rows: pd.DataFrame) -> float:
    """Return what a step of the largest size costs, in the paper's unit: what budgets are counted in for people."""
    return float(step_price(rows[rows["c"] == rows["c"].max()]).min())


def training_compute(rows: pd.DataFrame) -> pd.Series:
    """Return what trained each row's model: normalised cost x images seen, as in the paper's Fig. 3.

    The rows are of a sampler that asks the network once a step.
    """
    return step_price(rows) * rows["images_seen"].astype(float)


def affordable(cost: Any, budget: float) -> Any:
    """Return which costs (an array, or a column of rows) are at most the budget: a mask like it.

    A budget that is some setting's own cost affords that setting, however the products were rounded.
    """
    return cost <= budget * (1 + 1e-9)


def steps_within(budget: float, price: float) -> int:
    """Return the most steps of this price that a budget affords, whether the grid has that count or not."""
    return int(budget / price * (1 + 1e-9))


def lowest(
    values: Float[np.ndarray, "rows ..."],
    cost: Float[np.ndarray, " rows"],
    budgets: Sequence[float] | Float[np.ndarray, " m"],
) -> Float[np.ndarray, "m ..."]:
    """Return the lowest value within each budget, in each replicate; infinite where nothing is affordable."""
    return np.stack([values[affordable(cost, budget)].min(0, initial=np.inf) for budget in budgets])
