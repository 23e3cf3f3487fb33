"""Prompt interpolation to look at: a slider from one caption to another, every size side by side, and its measures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd
from jaxtyping import UInt8

from ldm.data.pictures import to_webp
from ldm.figures.charts import INK, color, columns, curve, models, pick
from ldm.figures.pictures import data_url
from ldm.metrics import mean_difference
from ldm.metrics.catalogue import metric_of
from ldm.study.results import Store

SIDE = 96  # pixels of a picture on the page, at most
LINE = 15  # pixels of a line of text
LETTERS = 48  # of a line that fits a phone
TWO_LINES = "split(replace(datum.label, ', rescaled', '|rescaled'), '|')"  # of a label of an axis, for a phone


def film(
    columns: Mapping[str, UInt8[np.ndarray, "p k h w 3"]],
    texts: Sequence[Sequence[str]],
    *,
    drag: str,
    start: int,
    description: str,
    param: str = "frame",
) -> alt.LayerChart:
    """Show pictures in p rows, a column each entry, of which a slider shows one of k frames.

    texts: what stands above each row; long ones wrap. drag: the slider's label, start: its first frame, param: its name
        on the page.
    """
    texts = [[line for text in group for line in textwrap.wrap(text, LETTERS)] for group in texts]
    first = next(iter(columns.values()))
    table = pd.DataFrame(
        [
            {"column": name, "row": row, "frame": k, "url": data_url(to_webp(pictures[row, k]))}
            for name, pictures in columns.items()
            for row in range(len(first))
            for k in range(first.shape[1])
        ]
    )
    slider = alt.param(
        name=param, value=start, bind=alt.binding_range(min=0, max=first.shape[1] - 1, step=1, name=drag + " ")
    )
    top = alt.Axis(labelAngle=0, orient="top", domain=False, ticks=False)
    x = alt.X("column:N", title=None, sort=list(columns), axis=top)
    tall = SIDE + 22 + LINE * max(map(len, texts))
    y = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0))
    side = f"max(1, min({SIDE}, width / {len(columns)} - 6))"  # a container is of no width at first
    pictures = (
        alt.Chart(table)
        .transform_filter(f"datum.frame == {param}")
        .mark_image(width=alt.ExprRef(side), height=alt.ExprRef(side), yOffset=(tall - SIDE - 10) / 2)
        .encode(x=x, y=y, url="url:N", tooltip=[alt.Tooltip("column:N")])
    )
    words = pd.DataFrame(
        [
            {"row": row, "dy": 9 - tall / 2 + LINE * line, "text": text}
            for row, lines in enumerate(texts)
            for line, text in enumerate(lines)
        ]
    )
    lines = [
        alt.Chart(words[words["dy"] == dy])
        .mark_text(align="left", color=INK, fontSize=11.5, dy=dy, limit=alt.ExprRef("width"))
        .encode(x=alt.value(0), y=y, text="text:N")
        for dy in words["dy"].unique()
    ]
    return (
        alt.layer(pictures, *lines)
        .add_params(slider)
        .properties(width="container", height=tall * len(first), description=description)
    )


def scrubber(
    ways: Mapping[str, UInt8[np.ndarray, "p k h w 3"]], captions: Sequence[tuple[str, str]], *, param: str = "frame"
) -> alt.LayerChart:
    """Drag a: the pictures of p pairs, one row each, by every model, one column each.

    ways: model -> its pictures, k from B (a = 0) to A (a = 1). captions: A and B of each pair. param: as of `film`.
    """
    return film(
        ways,
        [(f"A: {a}", f"B: {b}") for a, b in captions],
        drag="from B to A",
        start=next(iter(ways.values())).shape[1] // 2,
        description="drag from caption B to caption A: the pictures of every model size, from the same noise",
        param=param,
    )


def guided(rows: pd.DataFrame) -> pd.Series:
    """Return each row's guidance in words: "7.5", or "7.5, rescaled", by how much where that differs."""
    strengths = rows["strength"].astype(float)
    by = ", rescaled" if strengths.nunique() < 2 else ", rescaled {:g}"
    words = ["" if np.isnan(strength) else by.format(strength) for strength in strengths]
    return rows["guidance"].map("{:g}".format) + pd.Series(words, rows.index, str)


def measures(rows: pd.DataFrame, metrics: Sequence[str]) -> alt.VConcatChart:
    """Plot each measure by way and guidance ("lerp, 2"), a colour a size."""
    panels = []
    for metric in metrics:
        each = [pick(part, metric) for _, part in rows.groupby(rows["strength"].astype(float).fillna(0), sort=False)]
        found = pd.concat(each, ignore_index=True)  # plain and rescaled stand beside each other, and say so
        data = columns(found).assign(shown=found["task"] + ", " + guided(found))
        title, better, _ = metric_of(metric)
        x = alt.X(
            "value:Q",
            title=[title, f"({better} is better)"],  # a phone cuts what is longer
            scale=alt.Scale(zero=False, padding=12),
            axis=alt.Axis(tickCount=5),
        )
        base = alt.Chart(data).encode(
            y=alt.Y("shown:N", title=None, axis=alt.Axis(labelExpr=TWO_LINES)),
            yOffset=alt.YOffset("model:O", sort=models(data), scale=alt.Scale(paddingOuter=0.6)),
            color=color(data),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("shown:N", title="way"),
                alt.Tooltip("value:Q", format=".4~g"),
                alt.Tooltip("lo:Q", title="from", format=".4~g"),
                alt.Tooltip("hi:Q", title="to (95 % interval)", format=".4~g"),
                alt.Tooltip("n:Q", title="pairs"),
            ],
        )
        panels.append(alt.layer(*curve(base, x, line=None)).properties(width=480, height=56 * data["shown"].nunique()))
    return alt.vconcat(*panels, spacing=12).properties(
        description="measures of how coherent the way between two captions is, by model size, way and guidance"
    )


def larger_against_smaller(rows: pd.DataFrame, metrics: Sequence[str], store: Store) -> pd.DataFrame:
    """Say by how much the largest size is better than the smallest, pair by pair: is it the more coherent one?"""
    small, large = rows["c"].min(), rows["c"].max()
    return pd.DataFrame(
        {"way": way, "guidance": guidance, **_gains(part[part["c"] == small], part[part["c"] == large], metrics, store)}
        for (way, guidance), part in rows.groupby([rows["task"], guided(rows).rename("guidance")])
    )


def rescaled_against_plain(rows: pd.DataFrame, metrics: Sequence[str], store: Store) -> pd.DataFrame:
    """Say by how much rescaled guidance is better than plain guidance of the same strength, pair by pair.

    One row a size, way and guidance; none where nothing is rescaled.
    """
    plain, rescaled = rows[rows["strength"].isna()], rows[rows["strength"].notna()]
    found = []
    for (c, way, words), part in rescaled.groupby(["c", "task", guided(rescaled).rename("guidance")]):
        as_strong = plain["guidance"] == part["guidance"].iloc[0]
        before = plain[as_strong & (plain["c"] == c) & (plain["task"] == way)]
        if len(before):
            found.append({"c": int(c), "way": way, "guidance": words, **_gains(before, part, metrics, store)})
    return pd.DataFrame(found)


def _gains(one: pd.DataFrame, other: pd.DataFrame, metrics: Sequence[str], store: Store) -> dict[str, str]:
    """Return metric -> by how much the other is better than the one, in the mean over pairs, and whether it surely is.

    Both are the rows of one cell.
    """
    line = {}
    for metric in metrics:
        keys = [str(rows.loc[rows["metric"] == metric, "key"].item()) for rows in (one, other)]
        influences = store.influences(pd.concat([one, other]), metric)
        pair = [influences[key].astype(float) for key in keys]
        e = mean_difference(*(pair[::-1] if metric_of(metric).better == "higher" else pair))
        answer = "better" if e.lo > 0 else "worse" if e.hi < 0 else "undecided"
        line[metric] = f"**{answer}** {e:+.3g}"
    return line
