"""Power laws through the study's points: fitted, drawn with their residuals, and put in words.

A law is a summary. Whether it is more than that, its residuals say: they scatter about zero by their own
intervals where it holds, and bend where it does not.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from ldm.figures.charts import INK, best, color, curve, models, pick, unbeaten
from ldm.metrics import Estimate
from ldm.metrics.catalogue import brief, metric_of, short
from ldm.statistics.budget import training_compute
from ldm.statistics.power_law import PowerLaw, power_law


def losses(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return rows that `pick` gave with `value`, `lo`, `hi` as a distance from perfect: a share s becomes 1 - s."""
    rows = pick(rows, metric)
    if metric_of(metric).better == "higher":
        if rows["value"].max() > 1:
            raise ValueError(
                f"metric {metric!r} is no share: expected a distance or a share; a law needs a distance from perfect."
            )
        rows["value"], rows["lo"], rows["hi"] = 1 - rows["value"], 1 - rows["hi"], 1 - rows["lo"]
    return rows


def training_points(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return every model's loss, with `x` = training compute (normalised cost x images seen)."""
    rows = losses(rows, metric)
    return rows.assign(x=training_compute(rows))


def frontier_points(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the settings that no cheaper one beats, cheapest first, with `x` = sampling cost."""
    return unbeaten(best(losses(rows, metric), ["c", "steps"]), "cost", "value").assign(x=lambda r: r["cost"])


def shown(points: pd.DataFrame, metric: str, x_title: str) -> tuple[Any, ...]:
    """Return what a notebook displays of points with `x`: chart and sentence, or why there is no law.

    Points at 0 and below, where an unbiased distance may lie, have no logarithm and are left out.
    """
    above = points[points["value"] > 0]
    left_out = f" {len(points) - len(above)} at 0 or below are left out." if len(above) < len(points) else ""
    if len(above) < 4:
        return (Markdown(f"{len(above)} points are too few for a power law with a floor, which needs 4.{left_out}"),)
    law = fit(above)
    return law_chart(above, law, metric, x_title), Markdown(
        in_words(law, _named(metric, brief(metric)), x_title) + left_out
    )


def fit(points: pd.DataFrame) -> PowerLaw:
    """Fit the power law with a floor through points with `x`, `value`, `lo`, `hi`.

    Raises: ValueError for under 4 points.
    """
    estimates = [Estimate(row.value, row.lo, row.hi, row.n) for row in points.itertuples()]
    return power_law(points["x"].tolist(), estimates, floor=None)


def in_words(law: PowerLaw, what: str = "loss", x: str = "training compute (cost x images seen)") -> str:
    """Return the law and how well it fits, in short sentences of Markdown; `what`: the quantity that it is of."""
    e = law.exponent
    floor = f"{law.floor:.3g} + " if law.floor else ""
    misses = (
        f"The points scatter about the curve by {law.scatter:.0%} beyond their intervals, so it is a summary and not"
        " the truth."
        if law.scatter > 0.01
        else "The points lie as close to the curve as their intervals allow."
    )
    return (
        f"The fitted curve: {what} = {floor}{scientific(np.exp(law.log_scale))} / x<sup>{e.value:.2f}</sup>,"
        f" where x is the {x}. The exponent's 95 % interval is {e.lo:.2f} to {e.hi:.2f}, from {e.n} points. {misses}"
    )


def scientific(number: float) -> str:
    """Return a number for sentences, without an e: 3,630, or 3.6 x 10<sup>7</sup>."""
    if 0.001 <= number < 100_000:
        return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"
    digits, power = f"{number:.1e}".split("e")
    return f"{digits} x 10<sup>{int(power)}</sup>"


def _named(metric: str, name: str = "") -> str:
    """Return the name of a metric's distance from perfect; name: of the metric, its title if empty."""
    title, better, _ = metric_of(metric)
    return name or title if better == "lower" else f"1 - {name or title}"


def law_chart(points: pd.DataFrame, law: PowerLaw, metric: str, x_title: str) -> alt.VConcatChart:
    """Plot points and law above, with the law's interval as a band, and below how far each point lies off it.

    How far is told in per cent.
    """
    label, axis = f"{_named(metric)} ↓ lower is better", f"{_named(metric, short(metric))} ↓"  # no longer than the plot
    shown = points[["model", "c", "setting", "x", "value", "lo", "hi", "n"]].reset_index(drop=True)
    shown["off"] = np.expm1(law.residuals)
    for end in ("lo", "hi"):
        shown[f"off_{end}"] = (1 + shown["off"]) * shown[end] / shown["value"] - 1
    grid = np.geomspace(shown["x"].min(), shown["x"].max(), 60)
    of_x = pd.DataFrame([{"x": x, **law(x)._asdict()} for x in grid])
    x = lambda axis: alt.X(
        "x:Q", scale=alt.Scale(type="log", nice=False, padding=14), title=axis, axis=alt.Axis(format="~g", tickCount=6)
    )
    tips = [
        alt.Tooltip("model:N"),
        alt.Tooltip("setting:N"),
        alt.Tooltip("x:Q", format=".3~g", title=x_title),
        alt.Tooltip("value:Q", format=".4~g", title=label),
        alt.Tooltip("lo:Q", format=".4~g", title="from"),
        alt.Tooltip("hi:Q", format=".4~g", title="to (95 % interval)"),
        alt.Tooltip("n:Q", title="n images"),
        alt.Tooltip("off:Q", format="+.1%", title="off the law by"),
    ]
    y = alt.Y(
        "value:Q",
        title=axis,
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(tickCount=5, format="~g"),
    )
    of_law, base = (
        alt.Chart(of_x).encode(x=x(None)),
        alt.Chart(shown).encode(x=x(None), color=color(shown), tooltip=tips),
    )
    upper = alt.layer(
        of_law.mark_area(opacity=0.15, color=INK).encode(y=alt.Y("lo:Q", title=axis), y2="hi:Q"),
        of_law.mark_line(color=INK, strokeDash=[4, 4], strokeWidth=1.5).encode(y=y),
        *curve(base, y, line=None),
    ).properties(width=540, height=260)
    off = alt.Y("off:Q", title="off the law", axis=alt.Axis(format="+.0%", tickCount=5))
    base = alt.Chart(shown).encode(x=x(x_title), color=color(shown), tooltip=tips)
    lower = alt.layer(
        alt.Chart(pd.DataFrame({"off": [0]})).mark_rule(color=INK).encode(y=off),
        *curve(base, off, line=None, ends=("off_lo", "off_hi")),
    ).properties(width=540, height=110)
    return alt.vconcat(upper, lower, spacing=8).properties(
        description=(
            f"{label} against {x_title} for {len(models(shown))} sizes, with the fitted power law; below, the residuals"
        )
    )
