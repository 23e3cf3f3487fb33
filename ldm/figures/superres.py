"""Super-resolution by strength of the degradation: ways to enlarge pictures, named, charted and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from ldm.figures import tables
from ldm.figures.charts import COST, color, cost_axis, pick, quality_panels
from ldm.figures.contest import advantages, in_steps, shares
from ldm.figures.levels import evidence_of
from ldm.metrics.catalogue import metric_of, short
from ldm.statistics import comparisons, optimum
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.budget import training_compute
from ldm.statistics.contest import contest
from ldm.study.superres_grid import FLOORS, USUAL

DEGRADED = {"published": "degraded as published", "mild": "only made smaller"}  # in words, worst first
MARKS = ("bicubic", "autoencoder")  # ways without a model that charts draw a line at
SPENT = "compute of finetuning (cost x images)"


def by_cost(rows: pd.DataFrame, given: pd.DataFrame, metric: str) -> alt.FacetChart:
    """Plot quality against sampling cost, a panel a strength, a curve a size (paper, Fig. 12).

    given: rows of the ways without a model, at which a line is drawn.
    """
    return _panels(rows, given, metric, cost_axis(title=COST), "sampling cost")


def by_compute(rows: pd.DataFrame, given: pd.DataFrame, metric: str) -> alt.FacetChart:
    """Plot quality against the compute of finetuning, a panel a strength, a curve a size (paper, Figs. 4 and 5)."""
    spent = rows.assign(compute=training_compute(rows))
    axis = cost_axis("compute", SPENT).axis(format="~s", tickCount=6)
    return _panels(spent, given, metric, axis, "the compute of finetuning")


def _panels(rows: pd.DataFrame, given: pd.DataFrame, metric: str, x: alt.X, against: str) -> alt.FacetChart:
    found = pick(rows, metric).assign(panel=rows["level"].map(DEGRADED))
    lines = {way: found["level"].map(lambda level, way=way: value_of(given, metric, way, level)) for way in MARKS}
    titles = [DEGRADED[level] for level in DEGRADED if level in set(found["level"])]
    chart = quality_panels(found.assign(**lines), metric, titles, x=x, lines=MARKS, color=color(found))
    return chart.properties(description=f"{metric_of(metric).title} against {against}, a panel a strength")


def value_of(given: pd.DataFrame, metric: str, way: str, level: str) -> float:
    """Return the value of a way without a model, of the strength where it has one; none where there is no such row."""
    rows = given[(given["metric"] == metric) & (given["task"] == way)]
    rows = rows if way in FLOORS else rows[rows["level"] == level]
    return float(rows["value"].iloc[0]) if len(rows) else float("nan")


def at_each_strength(rows: pd.DataFrame, draw: Callable[[pd.DataFrame], pd.DataFrame]) -> Markdown:
    """Return a table of the rows of each strength, each under its name; the rows without one belong to all."""
    parts = []
    for level in (level for level in DEGRADED if level in set(rows["level"])):
        part = rows[(rows["level"] == level) | rows["level"].isna()]
        table = tables.table(draw(part), what=DEGRADED[level], unfolded=12)
        parts.append(f"*{DEGRADED[level].capitalize()}:*\n\n{table}")
    return Markdown("\n\n".join(parts))


def gains_table(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf, *, over: str) -> pd.DataFrame:
    """Return `comparisons.gains` by several metrics, a row a way to enlarge pictures; bold: the interval excludes 0.

    rows: of one strength. The ways that know the true picture are left out.
    """
    rows, columns = rows[~rows["task"].isin(FLOORS)], {}
    longest = rows["images_seen"].max()
    for metric in metrics:
        found = comparisons.gains(rows, metric, influences(rows[rows["metric"] == metric], metric), over=over)
        ways = _ways(found, longest)
        columns[metric] = pd.Series([_gain(one) for _, one in found.iterrows()], ways)
    return pd.DataFrame(columns).rename_axis("way").reset_index()


def values_table(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return every way's own values with their intervals, those that know the true picture first."""
    longest, columns = rows["images_seen"].max(), {}
    rank = {task: place for place, task in enumerate(FLOORS)}
    rows = rows.sort_values("task", key=lambda task: task.map(rank).fillna(len(FLOORS)), kind="stable")
    for metric in metrics:
        part = rows[rows["metric"] == metric]
        ways = _ways(part, longest)
        columns[metric] = pd.Series(
            [f"{row.value:.3g} [{row.lo:.3g}, {row.hi:.3g}]" for row in part.itertuples()], ways
        )
    return pd.DataFrame(columns).rename_axis("way").reset_index()


def settled(rows: pd.DataFrame, metrics: Sequence[str], influences: InfluencesOf) -> pd.DataFrame:
    """Say by how much the last doubling of the finetuning made each size better, in each metric's unit.

    rows: of one strength, at every length. Bold: the interval excludes 0.
    """
    longest, columns = rows["images_seen"].max(), {}
    for metric in metrics:
        part = rows[rows["metric"] == metric]
        cells = {}
        for c, one in part.groupby("c"):
            both = one[one["images_seen"].isin([longest, longest // 2])]
            if len(both) < 2:
                continue
            named = both.assign(task=np.where(both["images_seen"] == longest, "longest", "half"))
            cells[f"c = {c}"] = _gain(comparisons.gains(named, metric, influences(both, metric), over="half").iloc[0])
        columns[metric] = pd.Series(cells)
    return pd.DataFrame(columns).rename_axis("size").reset_index()


def _gain(one: pd.Series) -> str:
    """Return a row of `comparisons.gains` in words, bold where its interval excludes 0."""
    bold = "**" if one["lo"] > 0 or one["hi"] < 0 else ""
    return f"{bold}{one['better']:+.3g}{bold} [{one['lo']:+.3g}, {one['hi']:+.3g}]"


def contests(rows: pd.DataFrame, metric: str, influences: InfluencesOf) -> tuple[Any, ...]:
    """Compare the best smaller size with the largest at every sampling budget, a panel a strength."""
    evidence = evidence_of(rows, metric, list(DEGRADED), influences)
    if not evidence:
        return (Markdown("No two sizes with two step counts each: nothing is compared at equal cost."),)
    found = {level: contest(one) for level, one in evidence.items()}
    lines = [f"- {DEGRADED[level].capitalize()}, {in_steps(one, found[level])}." for level, one in evidence.items()]
    panels = {DEGRADED[level]: one for level, one in found.items()}
    table = tables.table(shares(panels), what="Shares of the budgets")
    return advantages(panels), Markdown(f"{table}\n\nBy {short(metric)}:\n\n" + "\n".join(lines))


def enough_steps(rows: pd.DataFrame, metric: str, influences: InfluencesOf) -> pd.DataFrame:
    """Return how many steps are enough for each size (`optimum.enough_steps`); rows: of one strength."""
    part = rows[rows["metric"] == metric]
    return optimum.enough_steps(part, metric, influences(part, metric)).drop(columns="guidance")


def _ways(rows: pd.DataFrame, longest: float) -> list[str]:
    told = zip(rows["task"], rows["c"], rows["images_seen"], rows["steps"], strict=True)
    return [way(task, c, images, longest, steps) for task, c, images, steps in told]


def way(task: str, c: float, images: float, longest: float, steps: float = USUAL) -> str:
    """Return what a chapter calls a way to enlarge pictures.

    `c = 16`, `c = 16, half as long`, `c = 16, 4 steps`, `regression, c = 16`, `bicubic`, `autoencoder`. The controls
    all see half of the images. Nothing is said of the usual number of steps.
    """
    control, model = task.removeprefix("superres").removeprefix("-"), task == "superres"
    half = "half as long" if model and images < longest else ""
    few = f"{int(steps)} steps" if model and steps != USUAL else ""
    return ", ".join(part for part in (control, f"c = {int(c)}" if not pd.isna(c) and c else "", half, few) if part)
