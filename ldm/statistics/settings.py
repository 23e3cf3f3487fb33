"""What rows are of: the columns that name a model, how it was drawn with, and a setting that both make."""

from __future__ import annotations

import pandas as pd

MODEL = ("study", "profile", "task", "c", "images_seen")  # columns of a row: what was trained, apart from the seed,
DRAWN = ("sampler", "steps", "guidance", "level", "lever", "dose")  # and how it was drawn with
SETTING = (
    *(*MODEL, *DRAWN, "strength"),
    *("cost", "nfe", "gflops", "params", "protocol", "metric", "size"),
)


def network_of(rows: pd.DataFrame) -> pd.Series:
    """Name what was trained, apart from its length and seed: two profiles may have networks of one size."""
    return rows[present(rows, "profile", "size")].astype(str).agg("-".join, axis=1)


def present(rows: pd.DataFrame, *columns: str) -> list[str]:
    """Return those of the columns that the rows have."""
    return [column for column in columns if column in rows]
