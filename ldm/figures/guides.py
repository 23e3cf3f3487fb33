"""Sizes compared where each may be guided by a member of the family: quality against cost, and who wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm.figures.charts import color, columns, cost_axis, curve, pick, quality_axis, tooltip, unbeaten
from ldm.figures.contest import UNITS, advantages, f3_each_way, shares
from ldm.figures.tables import table
from ldm.metrics.catalogue import metric_of, told_apart
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.contest import DONE, contest
from ldm.statistics.evidence import Evidence
from ldm.statistics.worth import PLAIN

MISSING = "Not every guide is recorded yet: `python -m tools.evaluate_family` runs them."
WAYS = ("plain sampling", "a guide allowed")


def ways(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows that each way may choose from."""
    return dict(zip(WAYS, (rows[rows["lever"] == PLAIN], rows), strict=True))


def curves(rows: pd.DataFrame, metric: str) -> Any:
    """Plot what no cheaper setting of a size beats, against GFLOPs truly done: dashed without guides, solid with."""
    if rows.empty:
        return Markdown(MISSING)
    parts = [
        unbeaten(pick(mine, metric), DONE).assign(way=way)
        for way, part in ways(rows).items()
        for _, mine in part.groupby("c")
    ]
    found = pd.concat(parts, ignore_index=True)
    data = columns(found).assign(way=found["way"], cost=found[DONE]).drop(columns="norm_cost")
    shown = [
        *tooltip(data, metric)[:2],
        alt.Tooltip("cost:Q", title=UNITS[DONE], format=".3~g"),
        *tooltip(data, metric)[3:],
    ]
    dash = alt.StrokeDash(
        "way:N",
        title=None,
        scale=alt.Scale(domain=list(WAYS), range=[[5, 4], [1, 0]]),
        legend=alt.Legend(symbolType="stroke", orient="bottom"),  # beside the other it would be too wide for a phone
    )
    base = alt.Chart(data).encode(
        x=cost_axis("cost", UNITS[DONE]), color=color(data), tooltip=shown, detail="way:N", strokeDash=dash
    )
    y = quality_axis(metric, type="log", nice=False, padding=10)
    return alt.layer(*curve(base, y)).properties(
        width="container",
        height=330,
        description=f"{metric_of(metric).title} against GFLOPs truly done, with and without a guide from the family",
    )


def contests(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> tuple[Any, ...]:
    """Compare the best smaller model with the largest at every budget, by each metric: without guides, then with.

    Budgets end where the largest affords its most expensive guided setting, since more of its steps were not guided.
    """
    if rows.empty:
        return (Markdown(MISSING),)
    most = rows.loc[(rows["lever"] != PLAIN) & (rows["c"] == rows["c"].max()), DONE].max()
    found = {
        f"{name}, {way}": contest(Evidence.of(part, metric, influences(part, metric)), unit=DONE, end=float(most))
        for metric, name in told_apart(metrics).items()
        for way, part in ways(rows).items()
    }
    return advantages(found), Markdown(table(shares(found), what="Shares of the budgets"))


def verdicts(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> Markdown:
    """Ask F3 both ways, of all step counts and of four and more: a table with a column a metric."""
    if rows.empty:
        return Markdown(MISSING)
    asked = {way: (part, {"unit": DONE}) for way, part in ways(rows).items()}
    return Markdown(table(f3_each_way("way", asked, metrics, influences)))
