"""The pictures that cells have kept, arranged so that one can compare: always the same captions, the same noise.

A cell keeps its first pictures; which of them are shown is fixed here, not chosen by anybody.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ldm.data.pictures import to_webp
from ldm.data.scenes.captions import Level
from ldm.data.scenes.dataset import Scenes
from ldm.figures.pictures import picture_grid, picture_strip
from ldm.profile import Profile
from ldm.statistics.verdicts import called
from ldm.study.cells import Evaluates
from ldm.study.results import Store
from ldm.study.sampling import Evaluation, SamplingEvaluator

SHOWN = (1, 6)  # of a cell's first pictures, the ones in tables: one object, and two
LABELS = {
    "c": "c = {}",
    "steps": "{} steps",
    "guidance": "guidance {:g}",
    "images": "{:,} images",
}


def label(field: str, value: Any) -> str:
    """Return a cell's field and its value in words: `8 steps`."""
    if field == "sampler":
        return called(value)
    return "1 step" if (field, value) == ("steps", 1) else LABELS[field].format(value)


def kept(store: Store, key: str) -> np.ndarray:
    """Return the first pictures of a cell, uint8 (n, h, w, 3). Raises: ValueError when they are not here."""
    path = store.file(key, "strip.webp")
    if path is None:
        raise ValueError(
            f"The pictures of cell {key} are missing: run the cell, or restore results/files. The repository keeps"
            " those alone that a chapter shows."
        )
    strip = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
    return np.stack(np.split(strip, strip.shape[1] // strip.shape[0], axis=1))


def stacked(store: Store, key: str, shown: Sequence[int] = SHOWN) -> np.ndarray:
    """Return pictures of a cell by their index, one above the other: uint8 (len(shown) h, w, 3)."""
    return np.concatenate(list(kept(store, key)[list(shown)]))


def thumbnail(store: Store, key: str) -> bytes:
    """Return the pictures that `stacked` takes of a cell, one above the other, as WebP."""
    return to_webp(stacked(store, key))


def captions(profile: Profile, levels: Sequence[Level], shown: Sequence[int] = SHOWN) -> dict[str, list[str]]:
    """Return the captions of a cell's pictures by their index, at each level of how much is said."""
    captions_at = {
        level: Scenes(profile.scenes, "val", profile.n, level=level).captions(range(max(shown) + 1)) for level in levels
    }
    return {level: [every[i] for i in shown] for level, every in captions_at.items()}


def strip(store: Store, evaluator: SamplingEvaluator, cell: Evaluation) -> Any:
    """Show a cell's pictures side by side with the captions that they were drawn by."""
    pictures = kept(store, evaluator.key(cell))
    return picture_strip(pictures, evaluator.scenes_of(cell).captions(range(len(pictures))))


def sample_table(
    store: Store,
    evaluator: Evaluates[Any],
    cells: Sequence[Evaluation],
    rows: str,
    columns: str,
    *,
    shown: Sequence[int] = SHOWN,
) -> Any:
    """Show pictures of the cells by two of their fields; values that some row or column lacks are left out."""
    found = {(getattr(cell, rows), getattr(cell, columns)): cell for cell in cells}
    down, across = (list(dict.fromkeys(pair[i] for pair in found)) for i in (0, 1))
    across = [value for value in across if all((row, value) in found for row in down)]
    return picture_grid(
        np.stack([[stacked(store, evaluator.key(found[row, value]), shown) for value in across] for row in down]),
        [label(rows, row) for row in down],
        [label(columns, value) for value in across],
        width=112,
    )


def of_rows(store: Store, rows: pd.DataFrame, down: str, across: str) -> Any:
    """Show pictures of rows' cells by two of their columns, in the order of their coming; grey where there is none."""
    found = {(row[down], row[across]): row for row in rows.to_dict("records")}
    lines, columns = list(dict.fromkeys(rows[down])), sorted(set(rows[across]))
    blank = np.full_like(stacked(store, rows["key"].iloc[0]), 128)
    at = [[found.get((line, column)) for column in columns] for line in lines]
    return picture_grid(
        np.stack([[stacked(store, row["key"]) if row else blank for row in line] for line in at]),
        lines,
        [label(across, column) for column in columns],
        width=112,
        notes=[[f"guidance {row['guidance']:g}" if row else "none" for row in line] for line in at],
    )


def at_equal_cost(store: Store, points: pd.DataFrame, budgets: Sequence[float]) -> Any:
    """Show what each size draws best within each budget (`ldm.statistics.optimum.within`).

    The place of a size that can afford nothing stays empty.
    """
    sizes = sorted(points["c"].unique())
    settings = {(row.budget, row.c): row for row in points.itertuples()}
    blank = np.full_like(stacked(store, points["key"].iloc[0]), 128)
    at = [[settings.get((budget, c)) for budget in budgets] for c in sizes]
    note = lambda row: f"{label('steps', row.steps)}, guidance {row.guidance:g}" if row else "costs more"
    return picture_grid(
        np.stack([[stacked(store, row.key) if row else blank for row in line] for line in at]),
        [f"c = {c}" for c in sizes],
        [f"cost {budget:.2g}" for budget in budgets],
        width=112,
        notes=[[note(row) for row in line] for line in at],
    )


def at_one_budget(store: Store, points: pd.DataFrame, captions: Sequence[str]) -> Any:
    """Show what each size draws best of the first captions within one budget: a line a size."""
    points = points.sort_values("c")
    lines = [f"c = {row.c}: {label('steps', row.steps)}" for row in points.itertuples()]
    return of_captions(store, points["key"], lines, captions)


def of_captions(store: Store, keys: Iterable[str], lines: Sequence[str], captions: Sequence[str]) -> Any:
    """Show what cells drew of the first captions: a line a cell, under these names."""
    return picture_grid(np.stack([kept(store, key)[: len(captions)] for key in keys]), lines, captions, width=88)
