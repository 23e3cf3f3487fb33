"""Values that an executed notebook keeps for others to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ldm.figures import charts
from ldm.metrics.catalogue import metric_of
from ldm.statistics.verdicts import Verdict
from ldm.study import run

RESULTS = "application/vnd.ldm.results+json"
VERDICTS, BEST, CELLS = "verdicts in words", "best settings", "cells"  # names of what the functions below record


def record(name: str, value: Any) -> None:
    """Store a number (or an Estimate) in the notebook's output, where nbval compares it strictly.

    Floats keep 6 significant digits, so that the last bits of another machine are not a change.
    """
    from IPython.display import display

    display({RESULTS: {name: _plain(value)}}, raw=True)


def record_verdicts(verdicts: Iterable[Verdict]) -> None:
    """Store verdicts in words, for whoever runs the notebook at a terminal."""
    record(VERDICTS, [str(verdict) for verdict in verdicts])


def record_best(rows: pd.DataFrame, metric: str) -> None:
    """Store the best setting of each model by this metric, in words, with its interval and n."""
    best = charts.best(charts.pick(rows, metric), ["c"])
    words = {
        f"c = {row.c}": f"{row.setting}: {row.value:.4g} [{row.lo:.4g}, {row.hi:.4g}], n = {row.n}"
        for row in best.itertuples()
    }
    record(BEST, {metric_of(metric).title: words})


def record_cells() -> None:
    """Store how many cells this notebook has computed and how many were there before, if it asked for any."""
    if run.ASKED:
        new = sum(run.ASKED.values())
        record(CELLS, {"new": new, "recorded": len(run.ASKED) - new})


def recorded(notebook: Path | str) -> dict[str, Any]:
    """Return everything that `record` left in an executed notebook."""
    import nbformat

    return recorded_in(nbformat.read(notebook, as_version=4))


def recorded_in(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that `record` left in an executed notebook that has been read (nbformat, as JSON)."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return {name: value for output in outputs for name, value in output.get("data", {}).get(RESULTS, {}).items()}


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
