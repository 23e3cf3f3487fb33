"""The budget explorer: drag a sampling budget and see which size wins within it, how surely, and how it looks."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from ldm import profiles
from ldm.figures.charts import INK, coloured, curve, quality_lines, tooltip
from ldm.figures.explorer_data import CHOICES, chances_of, points_of, ranked
from ldm.figures.levels import NETWORKS, SAYS
from ldm.figures.pictures import data_url
from ldm.metrics.catalogue import short
from ldm.statistics import verdicts
from ldm.statistics.bootstrap import InfluencesOf

COSTS = {  # a column of the points -> what it is called
    "cost": "normalised cost x steps (the paper's)",
    "flops": "GFLOPs of all network evaluations",
    "ms": "ms a picture, text and decoding included",
    "passes": "ms a picture, in the networks",
}
NAME = "sizes[profile][datum.value]"  # of a rank, on axes
UNITS = {"cost": "", "flops": " GFLOPs", "ms": " ms", "passes": " ms"}  # what a budget of each is followed by
LABELS = {"profile": "networks", "level": "the caption says"}  # of choices whose column's name is no word for readers
SIDE = 104  # pixels of a picture, where there is room
WITHIN = "datum.spent <= budget * 1.0001"  # a budget of exactly a setting's cost buys it


def budget_explorer(
    rows: pd.DataFrame,
    metrics: Sequence[str],
    influences: InfluencesOf | None = None,
    *,
    pictures: Callable[[str], bytes] | None = None,
    captions: Mapping[str, Sequence[str]] | None = None,
    seconds: Mapping[tuple[str, int], tuple[float, float]] | None = None,
    axes: Sequence[str] = tuple(COSTS),
    called: Mapping[str, str] = LABELS,
    start: float | None = None,
) -> alt.VConcatChart:
    """Drag a sampling budget: who wins within it, by which setting, and how surely.

    Above, every size at its best guidance against cost, settings beyond the budget faded. Below, the best affordable
    setting of each size with its interval, on an axis that stays where it is while one drags: the winner filled, others
    marked where even their fewest steps cost more; at the right the
    chance that a size is the best one within the budget (`ldm.statistics.frontier`), so that nobody reads noise as a
    verdict. Then the pictures that these settings drew.

    Args:
        rows: of one or several profiles, levels of caption and samplers, the first of which are shown at first.
        metrics: those to choose from, the first is shown.
        influences: of rows by a metric (`ldm.study.results.Store.influences`): the chances are paired then.
        pictures: of a cell by its key, as WebP, twice as high as wide; captions: theirs, the upper one first, at each
            level.
        seconds: (profile, c) -> seconds of one network evaluation and of all else, a picture; adds them as a cost.
            Rows that say it themselves, in a column `clock`, need none.
        axes: which of COSTS the reader may choose, the first is shown.
        called: what choices are called whose column's name is no word for readers.
        start: the budget that is shown at first, in the first of the axes; None: the middle.
    """
    points = pd.concat([points_of(rows, metric, seconds) for metric in metrics], ignore_index=True)
    costs = [name for name in axes if name in points and points[name].notna().any()]
    shown = {name: list(dict.fromkeys(points[name])) for name in CHOICES}
    titles = {metric: list(quality_lines(metric)) for metric in metrics}
    named = {"metric": short, "level": SAYS.__getitem__, "profile": _networks}
    if "sampler" not in called:
        named["sampler"] = verdicts.called
    selects = [
        _select(name, values, [named.get(name, str)(value) for value in values], called.get(name, ""))
        for name, values in shown.items()
        if len(values) > 1
    ]
    selects.append(_select("axis", costs, [COSTS[name] for name in costs], label="cost"))
    fixed = [alt.param(name=name, value=values[0]) for name, values in shown.items() if len(values) == 1]
    logs = {name: np.log(points[name].agg(["min", "max"])).tolist() for name in costs}
    low, high = logs[costs[0]]
    share = 0.5 if start is None or low == high else np.clip((np.log(start) - low) / (high - low), 0, 1)
    share = float(np.ceil(share * 200) / 200)  # a stop of the slider that affords it
    slider = alt.param(
        name="share", value=share, bind=alt.binding_range(min=0, max=1, step=0.005, name="sampling budget ")
    )
    ends = alt.param(name="ends", value=logs)  # by which ldm-charts.js finds the place of an address's budget
    units = alt.param(name="units", value={name: UNITS[name] for name in costs})  # which it writes beside the slider
    sizes = {str(profile): coloured(part) for profile, part in points.groupby("profile", sort=False)}
    ranks = {(profile, size): rank for profile, of in sizes.items() for rank, size in enumerate(of)}
    points = ranked(points, ranks)
    among = alt.param(name="sizes", value=sizes)
    colour = _colour(points, sizes)
    budget = alt.param(name="budget", expr="exp(ends[axis][0] * (1 - share) + ends[axis][1] * share)")

    chosen = " && ".join(f"datum.{name} == {name}" for name in CHOICES)
    data = (
        alt.Chart(points)
        .transform_filter(chosen)
        .transform_calculate(spent="datum[axis]")
        .transform_filter("isValid(datum.spent)")
    )
    affordable = (
        data.transform_filter(WITHIN)
        .transform_joinaggregate(least="min(loss)", groupby=["model"])
        .transform_filter("datum.loss == datum.least")
        .transform_joinaggregate([alt.JoinAggregateFieldDef(op="argmin", field="loss", **{"as": "win"})])
        .transform_calculate(
            wins="datum.loss == datum.win.loss",
            what=("datum.setting + (datum.loss == datum.win.loss ? '  ◀ best' : '')"),
        )
    )
    chances = alt.Chart(ranked(chances_of(points, costs, influences), ranks)).transform_filter(
        f"{chosen} && datum.axis == axis && datum.from <= budget * 1.0001 && budget * 1.0001 < datum.to"
    )
    views = [_curves(data, colour, points, metrics, costs), _winners(data, affordable, chances, colour, metrics)]
    if pictures:
        views.append(_looks(affordable, points, pictures, captions or {}))
    heading = alt.TitleParams(text=alt.ExprRef(f"{titles}[metric]"), fontSize=12.5, fontWeight="normal", offset=8)
    return (
        alt.vconcat(*views, spacing=18)
        .add_params(*selects, *fixed, among, units, slider, ends, budget)
        .properties(
            title=heading, description="drag the sampling budget: quality of every model size at its best setting"
        )
    )


def _select(name: str, values: Sequence[str], labels: Sequence[str] | None = None, label: str = "") -> alt.Parameter:
    bind = alt.binding_select(options=list(values), labels=list(labels or values), name=f"{label or name} ")
    return alt.param(name=name, value=values[0], bind=bind)


def _networks(profile: str) -> str:
    """Say what a profile trains, and which one it is."""
    return f"{NETWORKS[profiles.get(profile).network]} ({profile})"


def _colour(points: pd.DataFrame, sizes: Mapping[str, Sequence[str]]) -> alt.Color:
    """Return the colour of a size, the one that it has in other charts.

    Sizes are told by their `rank`, which the axes turn into names: an axis of names would hold those of all networks,
    not of the chosen ones alone.
    """
    there = {str(profile): sorted(map(int, part["rank"].unique())) for profile, part in points.groupby("profile")}
    legend = alt.Legend(labelExpr=NAME, values=alt.ExprRef(f"{there}[profile]"))
    scale = alt.Scale(domain=list(range(max(map(len, sizes.values())))))
    return alt.Color("rank:O", title=None, scale=scale, legend=legend)


def _curves(
    data: alt.Chart, colour: alt.Color, points: pd.DataFrame, metrics: Sequence[str], costs: Sequence[str]
) -> alt.LayerChart:
    """Plot quality against the chosen cost, whose name stands below: an axis's own title cannot change."""
    scale = alt.Scale(type="log", nice=False, padding=14)
    x = alt.X("spent:Q", scale=scale, title=None, axis=alt.Axis(format="~g", tickCount=6))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    base = data.encode(x=x, color=colour, opacity=alt.condition(WITHIN, alt.value(1), alt.value(0.13)))
    line = data.mark_line(strokeOpacity=0.35).encode(x=x, y=y, color=colour)
    tips = tooltip(points, metrics[0])
    tips = [tip for tip in tips if tip.shorthand != "value:Q"] + [alt.Tooltip("value:Q", title="value", format=".4~g")]
    bars, dots = curve(base, y, line=None, tooltip=tips)
    rule = alt.Chart(pd.DataFrame({"at": [1]})).transform_calculate(spent="budget").encode(x="spent:Q")
    ends = (  # which size a line is of, where it ends
        data.transform_joinaggregate(most="max(spent)", groupby=["model"])
        .transform_filter("datum.spent == datum.most")
        .transform_calculate(size="split(datum.model, ' · ')[0]")
        .mark_text(align="right", dy=-9, fontSize=11)
        .encode(x=x, y=y, color=colour, text="size:N")
    )
    spent = f"{ ({name: COSTS[name] for name in costs}) }[axis]"
    named = _below(f"['sampling cost: ' + {spent}, 'dashed: the budget, ' + format(budget, '.3~g') + units[axis]]")
    return alt.layer(line, bars, dots, ends, rule.mark_rule(color=INK, strokeDash=[4, 4])).properties(
        width=560, height=260, title=named
    )


def _winners(
    data: alt.Chart, affordable: alt.Chart, chances: alt.Chart, colour: alt.Color, metrics: Sequence[str]
) -> alt.LayerChart:
    """Plot the best that each size affords, on the axis of all that is measured of the chosen metric."""
    y = alt.Y("rank:O", title=None, axis=alt.Axis(labelExpr=NAME))
    base = affordable.encode(y=y, color=colour)
    values = alt.X("value:Q", title=None, scale=alt.Scale(type="symlog", zero=False, nice=False, padding=8))
    still = data.mark_point(opacity=0).encode(x=values, y=y, tooltip=alt.value(None))  # which holds the axis
    poor = (
        data.transform_aggregate(least="min(spent)", groupby=["model", "rank"])
        .transform_filter("datum.least > budget * 1.0001")
        .mark_text(align="left", dy=-14, fontSize=11.5)
        .encode(x=alt.value(6), y=y, text=alt.value("costs more, even in its fewest steps"), color=alt.value(INK))
    )
    spans = base.mark_rule(strokeWidth=3, strokeOpacity=0.7).encode(x="lo:Q", x2="hi:Q")
    tops = base.mark_point(size=110).encode(
        x=values, fillOpacity=alt.condition("datum.wins", alt.value(1), alt.value(0.25))
    )
    words = base.mark_text(align="left", dy=-14, fontSize=11.5).encode(
        x=alt.value(6), text="what:N", color=alt.value(INK)
    )
    sure = (
        chances.transform_calculate(
            label=(
                "'best: ' + (datum.chance < .01 ? 'under 1%' : datum.chance > .99 ? 'over 99%' : format(datum.chance,"
                " '.0%'))"
            )
        )
        .mark_text(align="right", dy=-14, fontSize=11.5)
        .encode(x=alt.value("width"), y=y, color=alt.value(INK), text="label:N")
    )
    names = {metric: [f"best within the budget: {quality_lines(metric)[1][2:]}", short(metric)] for metric in metrics}
    return alt.layer(still, spans, tops, words, sure, poor).properties(
        width=560, height={"step": 44}, title=_below(f"{names}[metric]")
    )


def _looks(
    affordable: alt.Chart,
    points: pd.DataFrame,
    pictures: Callable[[str], bytes],
    captions: Mapping[str, Sequence[str]],
) -> alt.Chart:
    """Show what the best affordable setting of each size drew: the same captions, which stand below, the same noise."""
    urls = pd.DataFrame([(key, data_url(pictures(key))) for key in points["key"].unique()], columns=["key", "url"])
    x = alt.X(
        "rank:O",
        title=None,
        axis=alt.Axis(labelAngle=0, orient="top", domain=False, ticks=False, labelExpr=NAME),
    )
    side = "max(1, min(height / 2, width / length(sizes[profile]) - 6))"
    lines = {level: _lines(said) for level, said in captions.items()}
    most = max(map(len, lines.values()), default=0)  # the chart has room for what it shows at first
    lines = {level: [*said, *[""] * (most - len(said))] for level, said in lines.items()}
    title = {"title": _below(f"{lines}[level] || ''")} if lines else {}
    return (
        affordable.transform_lookup(lookup="key", from_=alt.LookupData(urls, "key", ["url"]))
        .mark_image(width=alt.ExprRef(side), height=alt.ExprRef(f"2 * {side}"), aspect=False)
        .encode(
            x=x,
            y=alt.value(alt.ExprRef("height / 2")),
            url="url:N",
            tooltip=[alt.Tooltip("model:N"), alt.Tooltip("setting:N")],
        )
        .properties(width=560, height=2 * SIDE, **title)  # on a phone less: ldm-charts.js
    )


def _lines(captions: Sequence[str]) -> list[str]:
    """Return the captions of the upper and the lower picture in lines that fit a phone."""
    pairs = zip(("above: ", "below: "), captions, strict=False)
    return [line for name, said in pairs for line in textwrap.wrap(name + said, 52, subsequent_indent="    ")]


def _below(expression: str) -> alt.TitleParams:
    """Return small text under a view, as an expression of Vega gives it."""
    return alt.TitleParams(
        text=alt.ExprRef(expression), orient="bottom", anchor="start", fontSize=11, fontWeight="normal", offset=4
    )
