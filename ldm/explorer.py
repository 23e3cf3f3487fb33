"""The budget explorer: drag a sampling budget and see which size wins within it, and how surely."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from ldm.charts import INK, best, color, columns, models, pick, quality_axis, tooltip
from ldm.frontier import Influences, frontier
from ldm.judges import metric_of
from ldm.plots import cost_axis


def budget_explorer(
    rows: pd.DataFrame, metric: str, influences: Influences | None = None
) -> alt.VConcatChart:
    """Drag a sampling budget: who wins within it, by which setting, and how surely.

    Above, every size at its best guidance against cost, settings beyond the budget faded. Below,
    the best affordable setting of each size with its interval: the winner filled, and the others
    marked where their interval overlaps the winner's; at the right the chance that a size is truly
    the best one within the budget (`ldm.frontier`; paired where the pictures' `influences` are given), so that nobody reads noise as
    a verdict.
    """
    title, better, _ = metric_of(metric)
    rows = best(pick(rows, metric), ["c", "steps"]).sort_values("cost")
    data = columns(rows)
    low, high = np.log10(rows["cost"].min()), np.log10(rows["cost"].max())
    slider = alt.param(
        name="budget_log10",
        value=round(float(low + 0.5 * (high - low)), 2),
        bind=alt.binding_range(
            min=float(np.ceil(low * 100) / 100),
            step=0.01,
            max=float(np.ceil(high * 100) / 100),
            name="sampling budget",
        ),
    )
    budget = alt.param(name="budget", expr="pow(10, budget_log10)")
    order = models(data)

    x = cost_axis()
    base = alt.Chart(data).encode(
        x=x,
        color=color(data),
        opacity=alt.condition("datum.cost <= budget * 1.0001", alt.value(1), alt.value(0.13)),
    )
    line = (
        alt.Chart(data)
        .mark_line(strokeOpacity=0.35)
        .encode(x=x, y=quality_axis(metric), color=color(data))
    )
    bars = base.mark_rule().encode(y="lo:Q", y2="hi:Q")
    dots = base.mark_point().encode(y=quality_axis(metric), tooltip=tooltip(data, metric))
    rule = (
        alt.Chart(pd.DataFrame({"at": [1]}))
        .transform_calculate(cost="budget")
        .encode(x=alt.X("cost:Q"))
    )
    mark = rule.mark_rule(color=INK, strokeDash=[4, 4])
    note = (
        rule.mark_text(align="left", dx=6, y=4, baseline="top", color=INK, fontSize=12)
        .encode(text=alt.Text("label:N"))
        .transform_calculate(label="'budget ' + format(budget, '.3~g')")
    )
    curves = alt.layer(line, bars, dots, mark, note).properties(width=560, height=260)

    good, bad = ("lo", "hi") if better == "lower" else ("hi", "lo")
    reach = (
        f"datum.{good} <= datum.win.{bad}"
        if better == "lower"
        else (f"datum.{good} >= datum.win.{bad}")
    )
    affordable = (
        alt.Chart(data)
        .transform_filter("datum.cost <= budget * 1.0001")
        .transform_joinaggregate(least="min(loss)", groupby=["model"])
        .transform_filter("datum.loss == datum.least")
        .transform_joinaggregate(
            [alt.JoinAggregateFieldDef(op="argmin", field="loss", **{"as": "win"})]
        )
        .transform_calculate(
            wins="datum.loss == datum.win.loss",
            verdict=f"datum.loss == datum.win.loss ? 'best' : {reach} ? 'not told apart' : ''",
            what="datum.setting + (datum.loss == datum.win.loss ? '  ◀ best'"
            f" : {reach} ? '  ≈ within the error' : '')",
        )
        .encode(
            y=alt.Y("model:O", title=None, scale=alt.Scale(domain=order[::-1])),
            color=alt.Color("model:O", title=None, scale=alt.Scale(domain=order)),
        )
    )
    values = alt.X(
        "value:Q",
        title=title,
        scale=alt.Scale(zero=False, domain=[float(rows["lo"].min()), float(rows["hi"].max())]),
    )
    spans = affordable.mark_rule(strokeWidth=3, strokeOpacity=0.7).encode(x="lo:Q", x2="hi:Q")
    tops = affordable.mark_point(size=110).encode(
        x=values,
        tooltip=tooltip(data, metric),
        fillOpacity=alt.condition("datum.wins", alt.value(1), alt.value(0.25)),
    )
    words = affordable.mark_text(align="left", dy=-14, fontSize=11.5).encode(
        x=alt.value(6), text="what:N", color=alt.value(INK)
    )
    chances = (
        alt.Chart(_chances(rows, influences))
        .transform_filter(
            "datum.budget_from <= budget * 1.0001 && budget * 1.0001 < datum.budget_to"
        )
        .mark_text(align="right", dy=-14, fontSize=11.5)
        .encode(x=alt.value("width"), y=alt.Y("model:O"), color=alt.value(INK), text="label:N")
    )
    bests = alt.layer(spans, tops, words, chances).properties(width=560, height={"step": 44})
    return (
        alt.vconcat(curves, bests, spacing=18)
        .add_params(slider, budget)
        .properties(
            description=f"drag the sampling budget: {title} of every model size at its best setting"
        )
    )


def in_words(chance: float) -> str:
    """A chance that was counted over a few thousand worlds: no more certain than they can say."""
    return "under 1%" if chance < 0.01 else "over 99%" if chance > 0.99 else f"{chance:.0%}"


def _chances(rows: pd.DataFrame, influences: Influences | None = None) -> pd.DataFrame:
    """The chance of each model to be the best, for each stretch of budgets without a change."""
    sign = np.where(rows["loss"] == rows["value"], 1, -1)
    ends = np.sort(np.stack([sign * rows["lo"], sign * rows["hi"]]), axis=0)
    losses = rows.assign(size=rows["model"], value=rows["loss"], lo=ends[0], hi=ends[1])
    found = frontier(losses, influences=influences)
    found["budget_to"] = [*found["budget"][1:], float(10 * found["budget"].max())]
    return pd.DataFrame(
        [
            {
                "budget_from": row.budget,
                "budget_to": row.budget_to,
                "model": model,
                "label": f"best: {in_words(chance)}",
            }
            for row in found.itertuples()
            for model, chance in row.chances.items()
        ]
    )
