"""Runs the cells of any study: what is missing is computed, what was computed before is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from ldm.data.pictures import to_webp
from ldm.paths import ROOT
from ldm.study import influences
from ldm.study.cells import Cell, Evaluates
from ldm.study.results import Store
from ldm.tasks import models

AnyCell = TypeVar("AnyCell", bound=Cell)

ASKED: dict[str, bool] = {}  # keys of all cells that this process has asked for -> whether it has computed them


def at_hand(cells: Sequence[AnyCell], *, store: Store, evaluator: Evaluates[AnyCell]) -> list[AnyCell]:
    """Return the cells that are in the store, can be run here or need no model: not every model of the study ships.

    Raises: ValueError, of the first model that is missing, where none of those that need one is left.
    """

    def here(cell: AnyCell) -> bool:
        if evaluator.is_here(cell):
            return True
        try:
            return store.has(evaluator.key(cell))
        except ValueError:  # neither a file nor a record of the model
            return False

    drawn_by = {cell: asked for cell in cells if (asked := evaluator.models_of(cell))}
    found = {cell for cell in drawn_by if here(cell)}
    if drawn_by and not found:
        lacking = [model for model in next(iter(drawn_by.values())) if not evaluator.file(model)]
        raise models.missing(evaluator.profile, *lacking[0])
    return [cell for cell in cells if cell in found or cell not in drawn_by]


def run(
    cells: Iterable[AnyCell], *, evaluator: Evaluates[AnyCell], store: Store | None = None, title: str = "cells"
) -> pd.DataFrame:
    """Return the rows of all cells, after `evaluator` has computed those that have none.

    All cells are checked first, so that a mistake costs nothing. Pictures and influences that an evaluator does not
    give are not kept. Raises: ValueError where the model of a cell without rows is not on this machine.
    """
    cells = list(cells)
    if not cells:
        raise ValueError("There are no cells: expected at least one size, one step count and one guidance value.")
    store = store or Store(ROOT)
    keys = {cell: evaluator.key(cell) for cell in cells}
    missing = [cell for cell in cells if not store.has(keys[cell])]
    for model in dict.fromkeys(model for cell in missing for model in evaluator.models_of(cell)):
        if not evaluator.file(model):  # its digest may be known, so that its cells have keys
            raise models.missing(evaluator.profile, *model)
    for key in keys.values():
        ASKED.setdefault(key, False)
    for cell in tqdm(missing, desc=title, unit="cell", disable=not missing):
        with store.lock(keys[cell]):
            if store.has(keys[cell]):
                continue
            found, strip, seconds = evaluator.evaluate(cell)
            files = {}
            if len(strip):
                files["strip.webp"] = to_webp(np.concatenate(list(strip), 1))
            if found.influences:
                files[influences.FILE] = influences.pack(found.influences)
            store.write(keys[cell], evaluator.rows(cell, found, seconds), files)
            ASKED[keys[cell]] = True
    return store.rows(key=list(keys.values()))
