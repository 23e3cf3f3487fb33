"""Runs the cells of any study: what is missing is computed, what was computed before is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save as to_bytes
from tqdm import tqdm

from ldm.paths import ROOT
from ldm.profiles import profile
from ldm.study.results import Store, to_webp
from ldm.study.sampling import Evaluation, Laboratory
from ldm.tasks import models


def at_hand(cells: Sequence[Any], *, store: Store, lab: Any) -> list[Any]:
    """The cells that are in the store or can be run here: not every model of the study ships.

    Raises: ValueError, of the first model that is missing, where none is left.
    """

    def here(cell: Any) -> bool:
        if lab.file(*lab.model_of(cell)):
            return True
        try:
            return store.has(lab.key(cell))
        except ValueError:  # neither a file nor a record of the model
            return False

    found = [cell for cell in cells if here(cell)]
    if cells and not found:
        raise models.missing(lab.scale, *lab.model_of(cells[0]))
    return found


def run(
    cells: Iterable[Evaluation],
    *,
    store: Store | None = None,
    lab: Laboratory | None = None,
    title: str = "cells",
) -> pd.DataFrame:
    """Rows of all cells, after running those that have none.

    All cells are checked first, so that a mistake costs nothing. Another laboratory's cells are run in the same
    way; pictures and parts that it does not give are not kept.
    """
    cells = list(cells)
    if not cells:
        raise ValueError("There are no cells: expected at least one size, one step count and one guidance value.")
    store = store or Store(ROOT)
    lab = lab or Laboratory(profile(cells[0].profile))
    keys = {cell: lab.key(cell) for cell in cells}
    missing = [cell for cell in cells if not store.has(keys[cell])]
    for cell in tqdm(missing, desc=title, unit="cell", disable=not missing):
        with store.lock(keys[cell]):
            if store.has(keys[cell]):
                continue
            score, strip, seconds = lab.evaluate(cell)
            files = {}
            if len(strip):
                files["strip.webp"] = to_webp(np.concatenate(list(strip), 1))
            if score.parts:
                files["parts.safetensors"] = to_bytes({k: np.asarray(v, np.float16) for k, v in score.parts.items()})
            store.write(keys[cell], lab.rows(cell, score, seconds), files)
    return store.rows(key=list(keys.values()))
