"""A plan: the table that `ldm.diffusion.solvers` makes of a sampler, padded to one shape for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int

from ldm.diffusion.schedule import Schedule

ROWS = 1000  # of every table of up to so many, so that all have one shape; the loop ends after row n


@no_type_check  # of what it is made of: in a compiled loop its columns are JAX's, and single numbers in a row
@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where the network is asked, and the coefficients of each step. Rows >= n are empty.

    `ldm.diffusion.sampler` makes JAX know it, so that a plan is data to a compiled loop.
    """

    t: Int[np.ndarray, " s"] | Float[np.ndarray, " s"]  # training time, 999 ... 0; fractions on some grids
    alpha: Float[np.ndarray, " s"]  # signal and noise at t
    sigma: Float[np.ndarray, " s"]
    x: Float[np.ndarray, " s"]  # coefficients of x, of x0, of the two x0 before, and of fresh noise
    x0: Float[np.ndarray, " s"]
    x0_prev: Float[np.ndarray, " s"]
    x0_prev2: Float[np.ndarray, " s"]
    z: Float[np.ndarray, " s"]
    n: np.int32  # rows, which is evaluations of the network (each of two passes when guided)


def tabulated(
    schedule: Schedule,
    times: np.ndarray,
    *,
    k: np.ndarray | float = 0.0,
    k2: np.ndarray | float = 0.0,
    **columns: np.ndarray,
) -> Plan:
    """Return the padded table; k and k2 are the coefficients of x0 - x0_prev and x0_prev - x0_prev2.

    Empty rows are clean: alpha = 1, sigma = 0.
    """
    n, zeros = len(times), np.zeros(len(times))
    empty = -n % ROWS
    alpha, sigma = schedule.levels(times)
    columns = {"alpha": alpha, "sigma": sigma, "z": zeros} | columns
    columns |= {"x0": columns["x0"] + k, "x0_prev": zeros - k + k2, "x0_prev2": zeros - k2}
    padded = {
        name: np.pad(column, (0, empty), constant_values=name == "alpha").astype(np.float32)
        for name, column in columns.items()
    }
    whole = np.int32 if np.issubdtype(times.dtype, np.integer) else np.float32
    return Plan(t=np.pad(times, (0, empty)).astype(whole), n=np.int32(n), **padded)


def handover(plan: Plan, rows: Sequence[int]) -> Float[np.ndarray, " k"]:
    """Return the times at which networks take over.

    They are those of networks that share a picture (`ldm.diffusion.stitching`). Each but the last has had its share
    once so many rows are done, 0 for none, plan.n for all. A solver that asks twice at one time does so with one
    network.

    Raises: ValueError for rows that fall or lie outside the plan.
    """
    n = int(plan.n)
    if any(not 0 <= row <= n for row in rows) or list(rows) != sorted(rows):
        raise ValueError(f"rows = {list(rows)}: expected numbers that do not fall, from 0 to {n}, the plan's rows.")
    return np.array([np.inf if row == 0 else plan.t[row - 1] if row < n else -1.0 for row in rows], np.float32)


def owners(plan: Plan, until: Float[np.ndarray, " k"]) -> Int[np.ndarray, " n"]:
    """Return which network each row of a plan asks."""
    return (np.asarray(plan.t[: int(plan.n)])[:, None] < until).sum(1)
