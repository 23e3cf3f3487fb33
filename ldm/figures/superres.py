"""Ways to enlarge pictures, as the chapter on super-resolution names and compares them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ldm.statistics import comparisons
from ldm.study.results import Store
from ldm.study.superres import HALF


def gains_table(rows: pd.DataFrame, metrics: Sequence[str], store: Store, *, over: str) -> pd.DataFrame:
    """Return `comparisons.gains` by several metrics, a row a way to enlarge pictures; bold: the interval excludes 0."""
    columns = {}
    for metric in metrics:
        found = comparisons.gains(rows, metric, store.influences(rows[rows["metric"] == metric], metric), over=over)
        ways = [way(*of) for of in zip(found["task"], found["c"], found["images_seen"], strict=True)]
        sure = np.where((found["lo"] > 0) | (found["hi"] < 0), "**", "")
        columns[metric] = pd.Series(
            [
                f"{bold}{g.better:+.3g}{bold} [{g.lo:+.3g}, {g.hi:+.3g}]"
                for bold, g in zip(sure, found.itertuples(), strict=True)
            ],
            ways,
        )
    return pd.DataFrame(columns).rename_axis("way").reset_index()


def way(task: str, c: int, images: int) -> str:
    """Return what a chapter calls a way to enlarge pictures.

    `c = 16`, `c = 16, half as long`, `regression, c = 16`, `bicubic`.

    The controls all see half of the images.
    """
    control = task.removeprefix("superres").removeprefix("-")
    half = "half as long" if task == "superres" and images == HALF else ""
    return ", ".join(part for part in (control, f"c = {int(c)}" if c else "", half) if part)
