"""How a chart looks and what it may show: theme, the interval rule, the renderer.

Importing this file switches Altair to the theme and renderer below. The renderer emits the one
MIME type that JupyterLab, VS Code and nbviewer all draw by themselves; the book's build
(`book/build.py`) turns the same output into a chart drawn by a bundle that the book carries.
Text and rule colours are left to whoever draws, since only they know whether the page is dark.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ldm.metrics.catalogue import comparable, metric_of, short
from ldm.metrics.protocol import single
from ldm.statistics.budget import step_price

MIMETYPE = "application/vnd.vegalite.v5+json"  # the newest that JupyterLab 4 draws
COST = "sampling cost (normalised cost x steps)"  # the paper's
ABOVE = alt.Header(  # of a panel: its name above it, parted at commas, since a phone has no room for one line
    labelOrient="top", labelAnchor="start", labelFontSize=13, labelExpr="split(datum.label, ', ')"
)
INK = "#888"  # readable on white and on near-black
FAMILY = (8, 16, 24, 32)  # widths that most charts show, each in its own colour, also where a chart has fewer


def pick(rows: pd.DataFrame, metric: str, one: Iterable[str] = ()) -> pd.DataFrame:
    """Return the rows of one metric, ready to draw.

    Adds `model` (label), `norm_cost` (cost of one evaluation, c = 320 is 1), `loss` (the value
    with its sign turned so that lower is better) and `setting`. Raises `ValueError` for a missing
    column, for no rows, for a row whose interval or sample count is missing, for rows that were not
    measured in the same way, and where a column named in `one` holds more than one value.
    """
    better = metric_of(metric).better
    needed = ["metric", "c", "params", "steps", "guidance", "cost", "value", "lo", "hi", "n"]
    needed += ["protocol", *one]
    if missing := [name for name in needed if name not in rows]:
        raise ValueError(f"rows lack the columns {missing}: pass rows as ldm.study.results stores them.")
    rows = rows[rows["metric"] == metric].copy()
    if rows.empty:
        raise ValueError(f"no row holds the metric {metric!r}: run the cells that measure it.")
    bare = rows[["value", "lo", "hi", "n"]].isna().any(axis=1)
    if bare.any():
        raise ValueError(
            f"{int(bare.sum())} of {len(rows)} rows of {metric!r} have no interval or no n: "
            "a point is drawn only with value, lo, hi and n."
        )
    comparable(rows, metric)
    single(rows, one)
    rows["c"] = rows["c"].astype(int)
    rows["model"] = [model_label(c, p) for c, p in zip(rows["c"], rows["params"], strict=True)]
    rows["norm_cost"] = step_price(rows)
    rows["loss"] = rows["value"] if better == "lower" else -rows["value"]
    rows["setting"] = [
        f"{int(steps)} step{'s' if steps > 1 else ''}, guidance {guidance:g}"
        for steps, guidance in zip(rows["steps"], rows["guidance"].fillna(1.0), strict=True)
    ]
    if "dose" in rows:  # of a lever (`ldm.study.levers`)
        rows["setting"] += [f", {dose}" if isinstance(dose, str) and dose else "" for dose in rows["dose"]]
    return rows.sort_values(["c", "steps", "guidance"], kind="stable")


def best(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the best one of each group of rows that `pick` gave."""
    return rows.loc[rows.groupby(by, sort=False)["loss"].idxmin()]


def unbeaten(rows: pd.DataFrame, cost: str, value: str = "loss") -> pd.DataFrame:
    """Return the rows that no cheaper one beats, cheapest first. cost, value: columns, lower is better."""
    rows = rows.sort_values([cost, value])
    return rows[rows[value] < rows[value].cummin().shift(fill_value=np.inf)]


def model_label(c: int, params: float) -> str:
    """`c 16 · 2.3M`."""
    millions = params / 1e6
    return f"c {c} · " + (f"{millions:.2g}M" if millions < 10 else f"{millions:.0f}M")


def models(rows: pd.DataFrame) -> list[str]:
    """Return labels from the smallest to the largest model."""
    return list(rows.sort_values("c")["model"].unique())


def color(rows: pd.DataFrame) -> alt.Color:
    """Return model size as an ordered colour; the theme holds the palette, light and dark."""
    scale = alt.Scale(domain=coloured(rows))
    return alt.Color("model:O", title=None, scale=scale, legend=alt.Legend(values=models(rows)))


def coloured(rows: pd.DataFrame) -> list[str]:
    """Return the labels that share out the palette: of FAMILY where all models are of it, else of these models."""
    shown = {int(c): model for c, model in zip(rows["c"], rows["model"], strict=True)}
    return palette(shown) if rows["model"].nunique() == len(shown) else models(rows)


def palette(shown: Mapping[int, str]) -> list[str]:
    """Return width -> label with a place for each of FAMILY, where all are of it; else these alone, by width."""
    return [shown.get(c, f"c {c}") for c in (FAMILY if set(shown) <= set(FAMILY) else sorted(shown))]


def tooltip(rows: pd.DataFrame, metric: str) -> list[alt.Tooltip]:
    """Return model, setting, value, interval, sample count: on every quality point of the book."""
    tips = [alt.Tooltip("model:N", title="model"), alt.Tooltip("setting:N", title="setting")]
    tips.append(alt.Tooltip("cost:Q", title="sampling cost", format=".3~g"))
    if "images_seen" in rows and rows["images_seen"].notna().all():
        tips.append(alt.Tooltip("images_seen:Q", title="images seen in training", format=",d"))
    tips += interval(metric_of(metric).title)
    if "seed" in rows and rows["seed"].nunique() > 1:
        tips.append(alt.Tooltip("seed:O", title="seed"))
    return tips


def interval(title: str, form: str = ".4~g") -> list[alt.Tooltip]:
    """Return a value under this title, its interval and its sample count: how every tooltip of a point ends."""
    return [
        alt.Tooltip("value:Q", title=title, format=form),
        alt.Tooltip("lo:Q", title="from", format=form),
        alt.Tooltip("hi:Q", title="to (95 % interval)", format=form),
        alt.Tooltip("n:Q", title="n images", format=",d"),
    ]


def columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep only what a chart reads: the rest would make the page heavy."""
    keep = ["model", "c", "params", "gflops", "norm_cost", "steps", "guidance", "cost", "setting"]
    keep += ["value", "lo", "hi", "n", "loss", "seed", "images_seen", "compute", "tied"]
    keep += ["frontier", "real"]
    return rows[[name for name in keep if name in rows]]


def cost_axis(field: str = "cost", title: str = COST) -> alt.X:
    """Return the x axis of a sampling cost or budget, logarithmic."""
    return alt.X(
        f"{field}:Q",
        scale=alt.Scale(type="log", nice=False, padding=14),
        title=title,
        axis=alt.Axis(format="~g", tickCount=6),
    )


def quality_lines(metric: str) -> tuple[str, str]:
    """Return a metric and its good direction as two lines, for where they do not fit a phone's line.

    `KID`, `↓ lower is better`.
    """
    title, better, _ = metric_of(metric)
    return title, f"{'↓' if better == 'lower' else '↑'} {better} is better"


def quality_axis(metric: str, **scale: Any) -> alt.Y:
    """Return the y axis of a metric, its title in two lines: one would be longer than a phone's plot is high."""
    return alt.Y("value:Q", title=list(quality_lines(metric)), scale=alt.Scale(zero=False, **scale))


def panel_axis(metric: str, **scale: Any) -> alt.Y:
    """Return the y axis of a metric in panels that stand above each other, which a long title would part or overrun."""
    better = "↓" if metric_of(metric).better == "lower" else "↑"
    return quality_axis(metric, **scale).title(f"{short(metric)} {better}")


def curve(
    base: alt.Chart,
    value: alt.X | alt.Y,
    *,
    line: float | None = 0.5,
    ends: tuple[str, str] = ("lo", "hi"),
    tooltip: Sequence[alt.Tooltip] | None = None,
) -> list[alt.Chart]:
    """Return the layers of values with their intervals: a line, a rule from end to end, and a point, in that order.

    Args:
        base: has the other axis and the colour.
        value: the axis of the values, along which the intervals lie.
        line: its opacity; None leaves it out.
        ends: the columns of an interval's ends.
        tooltip: of the points, where `base` has none.
    """
    axis = "x" if isinstance(value, alt.X) else "y"
    lo, hi = ends
    drawn = [base.mark_rule().encode(**{axis: f"{lo}:Q", f"{axis}2": f"{hi}:Q"}), base.mark_point().encode(value)]
    if tooltip is not None:
        drawn[1] = drawn[1].encode(tooltip=list(tooltip))
    return drawn if line is None else [base.mark_line(strokeOpacity=line).encode(value), *drawn]


def quality_panels(
    found: pd.DataFrame,
    metric: str,
    panels: Sequence[str],
    *,
    x: alt.X | None = None,
    lines: Sequence[str] = (),
    keep: Sequence[str] = (),
    tips: Sequence[alt.Tooltip] = (),
    **encoding: Any,
) -> alt.FacetChart:
    """Plot quality against sampling cost on one logarithmic axis of cost, a panel a value of the column `panel`.

    Args:
        found: rows that `pick` gave, with `panel`; panels: its values, from above. x: another axis than the cost's.
        lines: columns whose value in each panel is a dashed line across it, under its name. keep: others that are
            drawn. tips: what a tooltip begins with; encoding: of the curves, such as their colour.
    """
    found = found.sort_values("cost")
    least = found["value"].min() / 4  # a logarithmic axis has no nought, which an interval may reach
    if "real" in found:  # such as a KID of nought
        found = found.assign(real=found["real"].where(found["real"] > 0))
    more = {name: found[name] for name in ("panel", *lines, *keep)}
    data = columns(found).assign(lo=found["lo"].clip(lower=least), **more)
    base = alt.Chart().encode(x=x or cost_axis(), tooltip=[*tips, *tooltip(data, metric)], **encoding)
    y = panel_axis(metric, type="log", nice=False, padding=10)
    across = [mark for name in lines for mark in _across(name, name)]
    return (
        alt.layer(*across, *real_scenes(data), *curve(base, y), data=data)
        .properties(width=540, height=240)
        .facet(row=alt.Row("panel:N", title=None, sort=list(panels), header=ABOVE))
        .resolve_scale(y="independent")
    )


def real_scenes(data: pd.DataFrame) -> list[alt.Chart]:
    """Return a dotted line at what real scenes score after the autoencoder, where rows know it.

    data: what the chart draws, with a column `real` (`ldm.study.recorded.beside_real`).
    """
    known = "real" in data and data["real"].notna().any()
    return _across("real", "real scenes, decoded", dash=(1, 3), left=True) if known else []  # curves end on the right


def _across(column: str, name: str, *, dash: Sequence[int] = (4, 4), left: bool = False) -> list[alt.Chart]:
    """Return a broken line across a panel at the value of this column, and its name above one end."""
    y = f"mean({column}):Q"
    line = alt.Chart().mark_rule(color=INK, strokeDash=list(dash)).encode(y=y)
    align, dx, end = ("left", 2, 0) if left else ("right", -2, "width")
    word = alt.Chart().mark_text(color=INK, align=align, dx=dx, dy=-7)
    return [line, word.encode(y=y, x=alt.value(end), text=alt.datum(name))]


def interactive() -> bool:
    """Return whether somebody looks at a notebook while its cells run (papermill's reader comes later)."""
    from IPython import get_ipython

    return get_ipython() is not None and "LDM_UNATTENDED" not in os.environ


@alt.theme.register("ldm", enable=True)
def theme() -> alt.theme.ThemeConfig:
    """Quiet axes, an ordered colour-blind-safe palette, charts as wide as their column."""
    return alt.theme.ThemeConfig(
        config={
            "background": "transparent",
            "view": {"stroke": None, "continuousWidth": 560, "continuousHeight": 320},
            "axis": {
                "domain": False,
                "tickSize": 4,
                "titlePadding": 8,
                "titleFontWeight": "normal",
                "gridOpacity": 0.25,
                "labelFontSize": 12,
                "titleFontSize": 12.5,
            },
            "legend": {"orient": "top", "labelFontSize": 12, "symbolStrokeWidth": 2, "columns": 4},
            "title": {"anchor": "start", "fontSize": 14, "fontWeight": 600, "subtitleFontSize": 12},
            "range": {"ordinal": {"scheme": "plasma", "extent": [-0.2, 0.92]}},
            "line": {"strokeWidth": 2},
            "point": {"filled": True, "size": 55},
            "rule": {"strokeWidth": 1.5},
        }
    )


def _render(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Return the MIME bundle of a chart: Vega-Lite for the front end, its description for everyone else."""
    spec = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    return {MIMETYPE: spec, "text/plain": spec.get("description", "an interactive chart")}


alt.renderers.register("ldm", _render)
alt.renderers.enable("ldm")
alt.data_transformers.disable_max_rows()
