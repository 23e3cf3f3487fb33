"""What a budget affords, and the best of it: the one rule by which settings are chosen at equal cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float


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
