"""Samplers side by side where captions say more or less: F4, and the paper's order of them, a line a level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd

from ldm.figures.findings import told
from ldm.figures.levels import SAYS, in_order
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.verdicts import Verdict, called, f4, order_of_samplers


def f4_by_level(
    rows: Mapping[str, pd.DataFrame],
    usual: str,
    others: Sequence[str],
    metrics: Sequence[str],
    influences: InfluencesOf,
) -> pd.DataFrame:
    """Ask F4 of each other sampler at each level of caption: a line each, a column a metric.

    rows: level -> what all samplers drew there. Where rows cannot answer, the cell says why not.
    """
    asked = {called(other): partial(f4, sampler=other, usual=usual) for other in others}
    return _by_level(rows, asked, metrics, influences)


def order_by_level(
    rows: Mapping[str, pd.DataFrame],
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[str],
    influences: InfluencesOf,
) -> pd.DataFrame:
    """Ask at each level whether one sampler is better than another: a line each, a column a metric.

    pairs: (better, worse), as the paper has them.
    """
    asked = {
        f"{called(better)} before {called(worse)}": partial(order_of_samplers, better=better, worse=worse)
        for better, worse in pairs
    }
    return _by_level(rows, asked, metrics, influences)


def _by_level(
    rows: Mapping[str, pd.DataFrame],
    asked: Mapping[str, Callable[..., Verdict]],
    metrics: Sequence[str],
    influences: InfluencesOf,
) -> pd.DataFrame:
    def answer(ask: Callable[..., Verdict], part: pd.DataFrame, metric: str) -> str:
        known = metric in set(part["metric"])  # nobody can follow a caption that says nothing
        return told(ask, part, metric, influences(part, metric)) if known else "–"

    return pd.DataFrame(
        {"the caption says": SAYS[level], "asked": name} | {metric: answer(ask, part, metric) for metric in metrics}
        for level, part in in_order(rows).items()
        for name, ask in asked.items()
    )
