"""What levers of guidance do to fidelity and diversity, apart: a chart of all settings, a table of the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from ldm.figures.charts import ABOVE, INK
from ldm.figures.levels import MISSING
from ldm.figures.tables import table
from ldm.metrics import Estimate
from ldm.metrics.catalogue import brief, metric_of
from ldm.statistics.worth import PLAIN
from ldm.study.real import DECODED

USUAL, REAL = "plain guidance", "real scenes, decoded"
FAITHFUL, DIVERSE = "precision_decoded", "recall_decoded"
ENDS = {"": "value", " lo": "lo", " hi": "hi"}  # how a metric's columns end -> what they hold


def settings(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a line a setting: `c`, `who` (the lever, or real scenes), `setting` in words, `guidance` and `done`.

    rows: of the study of diversity at one level of caption, with what they cost (`lever_record.with_costs`). Besides,
    each metric has three columns, its value and the ends of its interval: "alignment", "alignment lo", "alignment hi".
    Real scenes have no size and no guidance.
    """
    found = rows.drop_duplicates("key").set_index("key")[["c", "task", "lever", "dose", "guidance", "done"]]
    real, guidance = found["task"] == DECODED, found["guidance"].astype(float)
    dose = found["dose"].fillna("").map(lambda said: f"{said}, " if said else "")
    found = found.assign(
        who=found["lever"].fillna(PLAIN).replace(PLAIN, USUAL).mask(real, REAL),
        setting=(dose + guidance.map("guidance {:g}".format)).mask(real, ""),
        guidance=guidance,
        n=rows.groupby("key")["n"].max(),  # a metric may judge a part of the pictures
    ).drop(columns=["task", "lever", "dose"])
    for end, holds in ENDS.items():
        found = found.join(rows.pivot_table(index="key", columns="metric", values=holds).add_suffix(end))
    return found.reset_index(drop=True)


def tradeoff(rows: pd.DataFrame) -> Any:
    """Plot recall against precision, a panel a size: a point a setting, a line through plain guidance.

    A cross stands where real scenes lie, after the autoencoder. rows: as of `settings`.
    """
    if rows.empty:
        return Markdown(MISSING)
    found = settings(rows)
    drawn, real = found[found["who"] != REAL], found[found["who"] == REAL]
    sizes = sorted(set(drawn["c"]))
    shown = [*(f"{name}{end}" for name in (FAITHFUL, DIVERSE) for end in ENDS), "fd_scene_decoded"]
    panels = [pd.concat([part, real]).assign(panel=f"c = {c}") for c in sizes for part in [drawn[drawn["c"] == c]]]
    data = pd.concat(panels)[["panel", "who", "setting", "guidance", *shown]]
    names = [USUAL, *sorted(set(drawn["who"]) - {USUAL})]
    x, y = (
        of(f"{name}:Q", title=brief(name), scale=alt.Scale(zero=False, padding=12))
        for of, name in ((alt.X, FAITHFUL), (alt.Y, DIVERSE))
    )
    said = {"": "", " lo": ", from", " hi": ", to (95 % interval)"}
    tips = [
        alt.Tooltip("who:N", title="guided by"),
        alt.Tooltip("setting:N"),
        *(
            alt.Tooltip(f"{name}{end}:Q", title=f"{brief(name)}{words}", format=".2f")
            for name in (FAITHFUL, DIVERSE)
            for end, words in said.items()
        ),
        alt.Tooltip("fd_scene_decoded:Q", title="FD-scene", format=".3~g"),
    ]
    legend = alt.Legend(columns=2, labelLimit=200, values=names)
    base = alt.Chart().encode(color=alt.Color("who:N", title=None, scale=alt.Scale(domain=names), legend=legend))
    of_models, of_scenes = alt.datum.who != REAL, alt.datum.who == REAL
    layers = [
        base.mark_line(opacity=0.6).encode(x, y, order="guidance:Q").transform_filter(alt.datum.who == USUAL),
        base.mark_rule(opacity=0.3).encode(x, y=f"{DIVERSE} lo:Q", y2=f"{DIVERSE} hi:Q").transform_filter(of_models),
        base.mark_rule(opacity=0.3).encode(y, x=f"{FAITHFUL} lo:Q", x2=f"{FAITHFUL} hi:Q").transform_filter(of_models),
        base.mark_point(opacity=1).encode(x, y, tooltip=tips).transform_filter(of_models),
        alt.Chart().mark_point(shape="cross", color=INK).encode(x, y, tooltip=tips).transform_filter(of_scenes),
    ]
    return (
        alt.layer(*layers, data=data)
        .properties(width=520, height=230)
        .facet(row=alt.Row("panel:N", title=None, sort=[f"c = {c}" for c in sizes], header=ABOVE))
        .properties(description="recall against precision of every setting of guidance, a panel a size")
    )


def at_best(rows: pd.DataFrame, metric: str, also: Sequence[str]) -> Markdown:
    """Return as a table each lever at its best setting by a metric: a line a size and lever, real scenes first.

    also: metrics that are told of the same pictures. With each value stands its interval over pictures. Without rows
    it is empty, since `tradeoff` says so.
    """
    if rows.empty:
        return Markdown("")
    found = settings(rows)
    found = found.assign(loss=found[metric] * (1 if metric_of(metric).better == "lower" else -1))
    best = found.loc[found.groupby(["c", "who"], dropna=False)["loss"].idxmin()].sort_values(["c", "loss"])
    real = best["who"] == REAL
    lines = [
        {"size c": "–" if one["who"] == REAL else f"{one['c']}", "guided by": one["who"], "setting": one["setting"]}
        | {"GFLOPs": None if one["who"] == REAL else one["done"]}
        | {name: Estimate(one[name], one[f"{name} lo"], one[f"{name} hi"], int(one["n"])) for name in (metric, *also)}
        for _, one in pd.concat([best[real], best[~real]]).iterrows()
    ]
    return Markdown(table(pd.DataFrame(lines), what="Levers of guidance at their best settings"))
