"""Replicates of what was measured: each row drawn anew from its interval, with what rows have in common kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.metrics import Estimate, Z
from ldm.metrics.catalogue import comparable, metric_of
from ldm.statistics.refusal import NotAsked

REPLICATES = 4000  # chances to about .01
# A row's key -> each picture's influence on its value (n,), up to a constant: their mean is of no account.
Influences = Mapping[str, np.ndarray]
InfluencesOf = Callable[[pd.DataFrame, str], Influences]  # of rows by a metric (`ldm.study.results.Store.influences`)


def lower_is_better(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return rows of one metric, of one protocol, turned so that lower is better, with `size` = c.

    `value`, `lo` and `hi` are what is turned. Raises: NotAsked for a metric without rows.
    """
    rows = rows[rows["metric"] == metric].reset_index(drop=True)
    if rows.empty:
        raise NotAsked(f"no row holds the metric {metric!r}: run the cells that measure it.")
    comparable(rows, metric)
    if metric_of(metric).better == "higher":
        rows["value"], rows["lo"], rows["hi"] = -rows["value"], -rows["hi"], -rows["lo"]
    return rows.assign(size=rows["c"].astype(int))


def of_one_training(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return `lower_is_better` of rows among which the best of several is looked for.

    Raises: ValueError where a model has rows of several trainings: the best would be the luckiest of them.
    """
    rows = lower_is_better(rows, metric)
    if "seed" in rows:
        models = rows.groupby(
            [name for name in ("profile", "task", "size", "images_seen") if name in rows], dropna=False
        )
        if (models["seed"].nunique() > 1).any():
            raise ValueError("These rows are of several trainings of one model: keep those of one seed.")
    return rows


def replicates(rows: pd.DataFrame, influences: Influences | None = None, *, seed: int = 0) -> np.ndarray:
    """Return (rows, REPLICATES): the values that rows with `value`, `lo`, `hi` (and `key`) might have had."""
    value = rows["value"].to_numpy(float)[:, None]
    if influences and (known := of_all(rows, influences)) is not None:
        moved, n = known - known.mean(1, keepdims=True), known.shape[1]
        return value + moved @ _luck(n, seed) / n
    se = (rows["hi"] - rows["lo"]).to_numpy(float)[:, None] / (2 * Z)
    return value + se * _luck(len(rows), seed)


@lru_cache(maxsize=2)  # a chapter asks some dozens of times for that of its pictures
def _luck(count: int, seed: int) -> np.ndarray:
    """Return (count, REPLICATES) standard normal, read-only."""
    drawn = np.random.default_rng(seed).standard_normal((count, REPLICATES))
    drawn.setflags(write=False)
    return drawn


def basic(value: float, drawn: Float[np.ndarray, " replicates"], n: int) -> Estimate:
    """Return a number computed from n pictures' values, with a basic bootstrap's 95 % interval.

    drawn: what the same computation gives from the replicates.
    """
    lo, hi = 2 * value - np.quantile(drawn, [0.975, 0.025])
    return Estimate(float(value), float(lo), float(hi), n)


def of_all(rows: pd.DataFrame, influences: Influences) -> np.ndarray | None:
    """Return every row's influences (rows, n), float64; None where none is known, or some are of other pictures.

    Raises: ValueError where some are known and others are not: by intervals alone, all would be less sure, unsaid.
    """
    lacking = [key for key in rows["key"] if key not in influences]
    if 0 < len(lacking) < len(rows):
        raise ValueError(
            f"{len(lacking)} of {len(rows)} rows, {lacking[0]} first, have no influences: give those of all, or none."
        )
    known = [influences[key] for key in rows["key"] if key in influences]
    if len({len(part) for part in known}) != 1:
        return None
    return np.stack(known).astype(float)
