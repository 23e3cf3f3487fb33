"""Charts of quality against cost, guidance, steps and size: one function each, from rows to an `altair.Chart`.

A quality is drawn only with its interval and its sample count (`ldm.figures.charts.pick` refuses others).
All interaction is Vega's own, so a chart is as alive in the built book as in JupyterLab.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from ldm.figures.charts import (
    INK,
    best,
    color,
    columns,
    cost_axis,
    curve,
    models,
    panel_axis,
    pick,
    quality_axis,
    real_scenes,
    theme,
    tooltip,
)
from ldm.metrics.catalogue import metric_of
from ldm.statistics.bootstrap import Influences
from ldm.statistics.budget import training_compute
from ldm.statistics.optimum import best_guidance
from ldm.statistics.verdicts import called

__all__ = [
    "guidance_curves",
    "optimum_guidance",
    "quality_by_sampler",
    "quality_vs_compute",
    "quality_vs_cost",
    "quality_vs_params",
    "quality_vs_steps",
    "table1_chart",
    "theme",
]


def _curves(rows: pd.DataFrame, metric: str, x: alt.X, *, points_only: bool = False) -> alt.Chart:
    """Plot value with interval against `x`, a line a model; hovering a legend entry singles one out."""
    rows = columns(rows)
    focus = alt.selection_point(fields=["model"], bind="legend", on="pointerover", name="focus")
    faded = alt.when(focus).then(alt.value(1.0)).otherwise(alt.value(0.15))
    base = alt.Chart(rows).encode(x=x, color=color(rows), opacity=faded)
    line = [] if points_only else [base.mark_line().encode(y=alt.Y("mean(value):Q"), detail="model:N")]
    points = curve(base, quality_axis(metric), line=None, tooltip=tooltip(rows, metric))
    layers = alt.layer(*real_scenes(rows), *line, *points, data=rows)
    return layers.add_params(focus).properties(width="container", height=330)


def quality_vs_compute(rows: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Plot quality against training compute = normalised cost x images seen (paper, Fig. 3).

    `rows`: evaluations of every training length at one sampler, step count and guidance.
    """
    rows = pick(rows, metric, one=("sampler", "steps", "guidance"))
    rows["compute"] = training_compute(rows)
    x = alt.X(
        "compute:Q",
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(format="~s", tickCount=6),
        title="training compute (cost x images seen)",
    )
    return _curves(rows, metric, x).properties(
        description=f"{metric_of(metric).title} against training compute, one curve a model size"
    )


def quality_vs_params(rows: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Plot quality of each model after its longest training against its size (paper, Table 1)."""
    rows = pick(rows, metric, one=("sampler", "steps", "guidance"))
    rows = rows[rows["images_seen"] == rows.groupby("c")["images_seen"].transform("max")]
    x = alt.X(
        "params:Q",
        scale=alt.Scale(type="log", nice=False, padding=30),
        title="parameters",
        axis=alt.Axis(format="~s", tickCount=6),
    )
    return _curves(rows, metric, x, points_only=True).properties(
        description=f"{metric_of(metric).title} against the number of parameters"
    )


def guidance_curves(rows: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Plot quality against guidance, one curve a size, a selector for the step count (paper, Fig. 8)."""
    rows = pick(rows, metric)
    steps = sorted(int(n) for n in rows["steps"].unique())
    chosen = alt.param(
        name="steps_shown",
        value=steps[-1],
        bind=alt.binding_radio(options=steps, name="sampling steps"),
    )
    x = alt.X("guidance:Q", title="guidance scale w", scale=alt.Scale(zero=False, nice=False, padding=14))
    chart = _curves(rows, metric, x)
    return (
        chart.add_params(chosen)
        .transform_filter("datum.steps == steps_shown")
        .properties(description=f"{metric_of(metric).title} against guidance, by step count")
    )


def optimum_guidance(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> alt.LayerChart:
    """Plot the best guidance of each size and step count, and between which others it may lie.

    Both are said by `ldm.statistics.optimum`.
    """
    rows = pick(rows, metric)
    tied = best_guidance(rows, metric, influences).set_index(["c", "steps"])["tied"]
    winner = best(rows, ["c", "steps"])
    sets = [tied[c, steps] for c, steps in zip(winner["c"], winner["steps"], strict=True)]
    winner["tied"] = [f"{min(s):g} to {max(s):g}" if len(s) > 1 else "no other" for s in sets]
    data = columns(winner)
    two_lines = alt.Axis(
        labelAngle=0, orient="top", labelPadding=18, labelExpr="split(datum.label, ' · ')"
    )  # for phones
    base = alt.Chart(data).encode(
        x=alt.X("model:O", title=None, sort=models(data), axis=two_lines),
        y=alt.Y("steps:O", title="sampling steps"),
        tooltip=[*tooltip(data, metric), alt.Tooltip("tied:N", title="may be the best")],
    )
    least, most = float(rows["guidance"].min()), float(rows["guidance"].max())
    dark = f"datum.guidance > {least + 0.6 * (most - least)}"  # tiles on which dark letters are hard to read
    letters = alt.condition(dark, alt.value("#ffffff"), alt.value("#10222b"))
    tiles = base.mark_rect(cornerRadius=4, stroke=INK, strokeOpacity=0.25).encode(
        color=alt.Color(
            "guidance:Q",
            title="best guidance",
            scale=alt.Scale(scheme="tealblues", domain=[least, most]),
        )
    )
    text = base.mark_text(fontSize=13, fontWeight="bold", dy=-6).encode(
        text=alt.Text("guidance:Q", format="~g"), color=letters
    )
    tied = base.mark_text(fontSize=11, dy=9).encode(text="tied:N", color=letters)
    return alt.layer(tiles, text, tied).properties(
        width="container",
        height={"step": 38},
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        description=f"guidance with the best {metric_of(metric).title}, by model size and steps",
    )


def quality_vs_cost(rows: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Plot quality at the best guidance against sampling cost, with the frontier (paper, Fig. 9).

    Drag over the chart to keep a range of budgets; everything outside it fades.
    """
    rows = best(pick(rows, metric), ["c", "steps"]).sort_values("cost")
    rows["frontier"] = rows["loss"].cummin() * (1 if metric_of(metric).better == "lower" else -1)
    brush = alt.selection_interval(encodings=["x"], name="budgets")
    x = cost_axis()
    data = columns(rows)
    base = alt.Chart(data).encode(
        x=x,
        color=color(data),
        opacity=alt.when(brush).then(alt.value(1)).otherwise(alt.value(0.15)),
    )
    line = alt.Chart(data).mark_line(strokeOpacity=0.5).encode(x=x, y=quality_axis(metric), color=color(data))
    bars, dots = curve(base, quality_axis(metric), line=None, tooltip=tooltip(data, metric))
    frontier = (
        alt.Chart(data)
        .mark_line(interpolate="step-after", strokeDash=[4, 4], color=INK, strokeWidth=1.5)
        .encode(x=x, y="frontier:Q")
    )
    return alt.layer(*real_scenes(data), frontier, line, bars, dots.add_params(brush), data=data).properties(
        width="container",
        height=350,
        description=f"{metric_of(metric).title} against sampling cost, one curve a model size; "
        "the stepped line is the best that any model reaches within a budget",
    )


def quality_by_sampler(rows: pd.DataFrame, metric: str) -> alt.FacetChart:
    """Plot quality at the best guidance against sampling cost, a panel a sampler on common axes (paper, Fig. 11)."""
    rows = best(pick(rows, metric), ["sampler", "c", "steps"]).sort_values("cost")
    data = columns(rows).assign(sampler=rows["sampler"].map(called))
    x = cost_axis()
    base = alt.Chart().encode(x=x, color=color(data), tooltip=tooltip(data, metric))
    return (
        alt.layer(*real_scenes(data), *curve(base, panel_axis(metric)), data=data)
        .properties(width=540, height=290)
        .facet(
            row=alt.Row("sampler:N", title=None, sort=None, header=alt.Header(labelOrient="top", labelAnchor="start"))
        )
        .properties(description=f"{metric_of(metric).title} against sampling cost, one panel a sampler")
    )


def quality_vs_steps(rows: pd.DataFrame, metric: str, by: str) -> alt.LayerChart:
    """Plot quality at the best guidance against the number of steps.

    Each value of the column `by` has a colour, each size a button.
    """
    rows = best(pick(rows, metric), [by, "c", "steps"])
    data = columns(rows).assign(**{by: rows[by]})
    sizes = sorted(int(c) for c in data["c"].unique())
    chosen = alt.param(name="size_shown", value=sizes[-1], bind=alt.binding_radio(options=sizes, name="c ="))
    focus = alt.selection_point(fields=[by], bind="legend", on="pointerover", name="focus")
    base = alt.Chart(data).encode(
        x=alt.X("steps:Q", title="sampling steps", scale=alt.Scale(type="log", base=2, nice=False, padding=14)),
        color=alt.Color(f"{by}:N", title=None, sort=list(rows[by].unique()), scale=alt.Scale(scheme="category10")),
        opacity=alt.when(focus).then(alt.value(1.0)).otherwise(alt.value(0.15)),
        tooltip=[alt.Tooltip(f"{by}:N", title="drawn by"), *tooltip(data, metric)],
    )
    return (
        alt.layer(*real_scenes(data), *curve(base, quality_axis(metric)), data=data)
        .transform_filter("datum.c == size_shown")
        .add_params(chosen, focus)
        .properties(
            width="container", height=330, description=f"{metric_of(metric).title} against steps, by {by} and size"
        )
    )


def table1_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Plot parameters against GFLOPs of the paper's family: counted here, and as printed in Table 1.

    `table`: `name`, `params`, `gflops` and `gflops_paper` (the printed column). A printed figure
    more than 2 % away from the count is ringed and named.
    """
    data = table.reset_index()[["name", "params", "gflops", "gflops_paper"]].copy()
    data["off"] = data["gflops_paper"] / data["gflops"] - 1
    tips = [
        alt.Tooltip("name:N", title="model"),
        alt.Tooltip("params:Q", title="parameters", format=",d"),
        alt.Tooltip("gflops:Q", title="GFLOPs, counted", format=",.2f"),
        alt.Tooltip("gflops_paper:Q", title="GFLOPs, printed", format=",.1f"),
        alt.Tooltip("off:Q", title="printed against counted", format="+.1%"),
    ]
    log = alt.Scale(type="log", nice=False, padding=20)
    base = alt.Chart(data).encode(
        x=alt.X("params:Q", scale=log, title="parameters", axis=alt.Axis(format="~s", tickCount=6)),
        tooltip=tips,
    )
    y = alt.Y(
        "gflops:Q",
        scale=log,
        title="GFLOPs of one evaluation (64x64x4 latents)",
        axis=alt.Axis(format="~s", tickCount=6),
    )
    line = base.mark_line(color=INK, strokeWidth=1).encode(y=y)
    counted = base.mark_point(size=70, color="#3b7dd8").encode(y=y)
    wrong = base.transform_filter("abs(datum.off) > 0.02")
    gap = wrong.mark_rule(color="#d1495b", strokeDash=[3, 3]).encode(y="gflops:Q", y2="gflops_paper:Q")
    ring = wrong.mark_point(size=110, filled=False, strokeWidth=2.5, color="#d1495b").encode(y="gflops_paper:Q")
    words = (
        wrong.transform_calculate(
            text="datum.name + ': ' + format(datum.gflops_paper, '.1f') + ' printed, '"
            " + format(datum.gflops, '.1f') + ' counted'"
        )
        .mark_text(align="left", dx=12, color="#d1495b", fontSize=12)
        .encode(y="gflops_paper:Q", text="text:N")
    )
    return alt.layer(line, gap, counted, ring, words).properties(
        width="container",
        height=320,
        description="parameters against GFLOPs of the 11 models of Table 1; one printed figure is far off the line",
    )
