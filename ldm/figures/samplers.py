"""Samplers side by side where captions say more or less: F4, and the paper's order of them, a line a level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from ldm.figures.levels import SAYS
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.refusal import NotAsked
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
    asked = {
        other: lambda part, metric, known, other=other: f4(part, metric, other, known, usual=usual) for other in others
    }
    return _by_level(rows, {called(other): ask for other, ask in asked.items()}, metrics, influences)


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
        f"{called(better)} before {called(worse)}": lambda part, metric, known, better=better, worse=worse: (
            order_of_samplers(part, metric, better, worse, known)
        )
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
        if metric not in set(part["metric"]):  # nobody can follow a caption that says nothing
            return "–"
        try:
            found = ask(part, metric, influences(part, metric))
        except NotAsked as error:
            return f"not asked of these rows: {error}"
        return f"**{found.answer}** {found.effect:+.0%}"

    return pd.DataFrame(
        {"the caption says": SAYS[level], "asked": name} | {metric: answer(ask, part, metric) for metric in metrics}
        for level, part in sorted(rows.items(), key=lambda one: list(SAYS).index(one[0]))
        for name, ask in asked.items()
    )
