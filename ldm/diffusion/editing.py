"""Sampling that begins with a noised picture in place of noise alone (SDEdit; Meng et al. 2022)."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from ldm.diffusion.plan import Plan


def beginning(plan: Plan, row: int) -> Plan:
    """Return the plan from this row on, as sampling from a noised picture takes it.

    The method is SDEdit (Meng et al. 2022, algorithm 1).

    There is no estimate before the first one, so its row becomes of order 1, and the next one of order 2 at most.
    Raises: ValueError for a row it lacks.
    """
    if not 0 <= row < plan.n:
        raise ValueError(f"row = {row}: expected 0 to {plan.n - 1}, the rows of this plan.")
    left = {}
    for name in (field.name for field in fields(Plan) if field.name != "n"):
        column = getattr(plan, name)
        left[name] = np.append(column[row:], np.full(row, name == "alpha", column.dtype))
    left["x0"][0] += left["x0_prev"][0] + left["x0_prev2"][0]
    left["x0_prev"][0] = left["x0_prev2"][0] = 0
    left["x0_prev"][1] += left["x0_prev2"][1]  # a plan has hundreds of rows, most of them empty
    left["x0_prev2"][1] = 0
    return Plan(n=np.int32(plan.n - row), **left)
