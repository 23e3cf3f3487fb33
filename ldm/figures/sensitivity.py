"""The chapter about metrics: how far each one moves, what it makes of few pictures, and in words what it sees."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from ldm.data.scenes.disturbances import DISTURBANCES, Disturbance
from ldm.figures.charts import ABOVE, INK, curve, quality_lines
from ldm.metrics.catalogue import short
from ldm.metrics.protocol import single
from ldm.statistics import sensitivity


def in_gaps(moved: pd.DataFrame, metrics: Sequence[str]) -> alt.FacetChart:
    """Plot change of each metric, in multiples of the model's, against the strength; one panel a disturbance.

    `moved`: of `ldm.statistics.sensitivity.changes`; drawn at its largest n. A metric that cannot tell the model from
    real pictures has no such unit and is not drawn.
    """
    data = moved[(moved["n"] == moved["n"].max()) & moved["metric"].isin(metrics) & (moved["task"] != "model")]
    data, names = data.dropna(subset="gaps"), [short(metric) for metric in metrics]
    data = data.assign(
        panel=[_panel(DISTURBANCES[task]) for task in data["task"]],
        said=[DISTURBANCES[task].said(strength) for task, strength in zip(data["task"], data["strength"], strict=True)],
        metric=pd.Categorical(data["metric"].map(short), names),
    ).sort_values(["metric", "strength"])
    focus = alt.selection_point(fields=["metric"], bind="legend", on="pointerover", name="focus")
    base = alt.Chart().encode(
        x=alt.X(
            "said:O",
            title=None,
            sort=alt.EncodingSortField("strength", op="min"),
            axis=alt.Axis(labelAngle=0, labelPadding=4),
        ),
        color=alt.Color("metric:N", title=None, sort=names, legend=alt.Legend(labelLimit=260, columns=1)),
        opacity=alt.when(focus).then(alt.value(1.0)).otherwise(alt.value(0.12)),
        tooltip=[
            alt.Tooltip("metric:N"),
            alt.Tooltip("panel:N", title="disturbance"),
            alt.Tooltip("said:N", title="strength"),
            alt.Tooltip("gaps:Q", title="times the model's distance", format=".2f"),
            alt.Tooltip("gaps_lo:Q", title="from", format=".2f"),
            alt.Tooltip("gaps_hi:Q", title="to (95 % interval)", format=".2f"),
            alt.Tooltip("value:Q", title="change in its own unit", format=".3~g"),
            alt.Tooltip("n:Q", title="n images", format=",d"),
        ],
    )
    y = alt.Y(
        "gaps:Q",
        title="times the model's",
        scale=alt.Scale(type="symlog", constant=0.3),
        axis=alt.Axis(values=[0, 1, 3, 10, 30], format="~f", labelOverlap=False),
    )
    levels = [
        alt.Chart().mark_rule(color=INK, strokeDash=dash, strokeWidth=1).encode(y=alt.datum(level))
        for level, dash in ((0, [1, 0]), (1, [4, 4]))
    ]
    line = base.mark_line(strokeWidth=1.5).encode(y=y)
    bars, dots = curve(base, y, line=None, ends=("gaps_lo", "gaps_hi"))
    return (
        alt.layer(*levels, line, bars, dots.add_params(focus), data=data)
        .properties(width=540, height=120)
        .facet(
            row=alt.Row("panel:N", title=None, sort=[_panel(how) for how in DISTURBANCES.values()], header=ABOVE),
            spacing=14,
        )
        .resolve_scale(x="independent")
        .properties(
            description="change of each metric against the strength of a disturbance, the model's distance is 1"
        )
    )


def _panel(how: Disturbance) -> str:
    """Return a disturbance's title with the unit of its strengths; shares and JPEG's quality need none."""
    return how.title if how.top or how.most <= 1 else f"{how.title}: {how.unit}"


def by_count(rows: pd.DataFrame, settings: Sequence[tuple[str, float]], metrics: Sequence[str]) -> alt.FacetChart:
    """Plot values against the number of pictures, one panel a metric.

    The pictures are real ones, the model's and some disturbed ones.

    `rows`: of the study "metrics". `settings`: (task, strength) of the disturbed ones. Values of one metric at
    different n share an axis here, since that is the question; of two protocols none do.
    """
    for metric in metrics:
        single(rows[rows["metric"] == metric], ("protocol",))
    names = {("real", 0.0): "real", ("model", 0.0): "model"} | {
        (t, float(s)): sensitivity.label(t, s) for t, s in settings
    }
    asked = [
        names.get((task, float(0 if pd.isna(s) else s))) for task, s in zip(rows["task"], rows["strength"], strict=True)
    ]
    data = rows.assign(pictures=asked)[["pictures", "metric", "n", "value", "lo", "hi"]].dropna()
    data = data[data["metric"].isin(metrics)].sort_values("n")
    named = {metric: f"{title} {better[0]}" for metric in metrics for title, better in [quality_lines(metric)]}
    data["metric"], order = data["metric"].map(named), list(named.values())  # an arrow alone: a phone's line is short
    x = alt.X(
        "n:Q",
        title="number of pictures",
        scale=alt.Scale(type="log", base=2, nice=False, padding=14),
        axis=alt.Axis(values=sorted({int(n) for n in data["n"]}), format="d"),
    )
    base = alt.Chart().encode(
        x=x,
        color=alt.Color("pictures:N", title=None, sort=list(names.values())),
        tooltip=[
            alt.Tooltip("pictures:N"),
            alt.Tooltip("n:Q", title="n images", format=",d"),
            alt.Tooltip("value:Q", format=".4~g"),
            alt.Tooltip("lo:Q", title="from", format=".4~g"),
            alt.Tooltip("hi:Q", title="to (95 % interval)", format=".4~g"),
        ],
    )
    return (
        alt.layer(*curve(base, alt.Y("value:Q", title=None)), data=data)
        .properties(width=540, height=150)
        .facet(row=alt.Row("metric:N", title=None, sort=order, header=ABOVE), spacing=14)
        .resolve_scale(y="independent")
        .properties(description="values of each metric against the number of pictures they were computed from")
    )


def parted_in_words(moved: pd.DataFrame, a: str, b: str) -> str:
    """Return pairs that two metrics part (`sensitivity.parted`) in Markdown, under the names of both."""
    pairs = sensitivity.parted(moved, a, b)
    one, other = short(a), short(b)
    if pairs.empty:
        return f"**{one} and {other}** surely disagree about no pair of disturbances."
    heads = [f"worse by {one}", f"worse by {other}", "standard errors"]
    return f"**{one} and {other}**\n\n{pairs.head(6).to_markdown(index=False, floatfmt='.1f', headers=heads)}"


def in_words(moved: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Say for each metric what it does not see, and what costs as much as the model, at the largest n.

    What it does not see is told at its strongest; what costs as much as the model, by the weakest ones that do.
    """
    lines = []
    for name in metrics:
        group = sensitivity.at_most(moved, (name,))[name]
        strongest = group.loc[group.groupby("task", sort=False)["strength"].idxmax()]
        blind = [DISTURBANCES[task].title for task in strongest[strongest["lo"] <= 0]["task"]]
        beyond = group[group["gaps_lo"] > 1].groupby("task", sort=False)["strength"].min()
        worse = [sensitivity.label(*item) for item in beyond.items()]
        lines.append(
            f"- **{short(name)}** does not see, even at full strength: {', '.join(blind) or 'none of these'}. It surely"
            f" rates as worse than the model: {', '.join(worse) or 'none of these'}."
        )
    return "\n".join(lines)


def falls(moved: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Say where a disturbance grows and a metric surely calls the pictures better (`sensitivity.falls`)."""
    found, total = sensitivity.falls(moved, metrics)
    if found.empty:
        return f"In {total} steps from one strength to the next, no distance surely falls."
    said = [
        f"{short(metric)} under {DISTURBANCES[task].title},"
        f" {DISTURBANCES[task].said(weaker)} to {DISTURBANCES[task].said(stronger)}"
        for metric, task, weaker, stronger in found.itertuples(index=False)
    ]
    return f"In {total} steps from one strength to the next, {len(said)} distances surely fall: {'; '.join(said)}."
