"""DreamBooth to look at: its measures over subjects, against size and steps, and what prior preservation is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from ldm.figures.charts import color, curve, pick, quality_axis, quality_lines
from ldm.metrics import Estimate
from ldm.metrics.catalogue import metric_of, short
from ldm.statistics.dreambooth import LEAKED, RECOGNISED, learnt_and_kept, subject_by_subject
from ldm.tasks.dreambooth_recipe import WAYS

VARIANTS = ["before", *WAYS]  # in the order of their colours


def _points(data: pd.DataFrame, x: alt.X, shade: alt.Color, metric: str) -> alt.LayerChart:
    what = "subjects" if "counted" in data and data["counted"].notna().all() else "pictures"
    base = alt.Chart(data[["model", "params", "task", "train_steps", "value", "lo", "hi", "n"]]).encode(
        x=x,
        color=shade,
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("task:N", title="learnt with"),
            alt.Tooltip("train_steps:Q", title="steps"),
            alt.Tooltip("value:Q", title=metric_of(metric).title, format=".3~g"),
            alt.Tooltip("lo:Q", title="from", format=".3~g"),
            alt.Tooltip("hi:Q", title="to (95 % interval)", format=".3~g"),
            alt.Tooltip("n:Q", title=what),
        ],
    )
    y = quality_axis(metric).title(None)  # long ones stand above their panel
    return alt.layer(*curve(base, y, line=0.6)).properties(
        title=alt.Title(list(quality_lines(metric)), fontSize=12.5, fontWeight="normal"), width=460, height=170
    )


def _way(table: pd.DataFrame) -> alt.Color:
    """Return the colour of a way to learn, of those that the table has."""
    there = [name for name in VARIANTS if name in set(table["task"])]
    return alt.Color("task:N", title=None, scale=alt.Scale(domain=there, scheme="category10"))


def titles(metrics: Sequence[str]) -> str:
    """Return what they are called, side by side."""
    return "; ".join(metric_of(metric).title for metric in metrics)


def by_size(table: pd.DataFrame, metrics: Sequence[str]) -> alt.VConcatChart:
    """Plot each measure after the longest finetuning against the size, a colour a variant.

    The pretrained model stands beside.
    """
    longest, panels = table["train_steps"].max(), []
    for metric in metrics:
        data = pick(table[table["train_steps"].isin([0, longest]) & (table["task"] != "truth")], metric)
        scale = alt.Scale(type="log", nice=False, padding=20)
        x = alt.X("params:Q", title="parameters", scale=scale, axis=alt.Axis(format="~s", tickCount=4))
        panels.append(_points(data, x, _way(table), metric))
    return alt.vconcat(*panels, spacing=16).properties(description=f"{titles(metrics)} after DreamBooth, by model size")


def frontier(table: pd.DataFrame) -> alt.FacetChart:
    """Plot how often subjects are recognised against how often their class shows them, a panel a size.

    A colour a way to learn, its lengths of finetuning joined by a line. The grey corner is where both are had.
    """
    wide = _learnt(table)
    wide["size"] = "c = " + wide["c"].astype(str)
    sizes = [f"c = {c}" for c in sorted(set(wide["c"]))]
    corner = alt.Chart(wide).transform_aggregate(groupby=["size"]).mark_rect(color="#888888", opacity=0.15)
    corner = corner.encode(x=alt.datum(0.0), x2=alt.datum(LEAKED), y=alt.datum(RECOGNISED), y2=alt.datum(1.0))
    share = lambda title: dict(title=title, scale=alt.Scale(domain=[0, 1], clamp=True))
    base = alt.Chart(wide).encode(
        color=_way(wide),
        tooltip=[
            alt.Tooltip("size:N"),
            alt.Tooltip("task:N", title="learnt with"),
            alt.Tooltip("train_steps:Q", title="steps"),
            *(
                alt.Tooltip(f"{name}_{end}:Q", title=title, format=".2f")
                for name, what in (("recognised", "recognised"), ("leaked", "class shows the subject"))
                for end, title in (("value", what), ("lo", "from"), ("hi", "to (95 % interval)"))
            ),
        ],
    )
    x = alt.X("leaked_value:Q", **share("in its class's pictures"))
    y = alt.Y("recognised_value:Q", **share("subject recognised"))
    across = curve(base.encode(y), x, line=None, ends=("leaked_lo", "leaked_hi"))[:1]
    up = curve(base.encode(x, order="train_steps:Q"), y, ends=("recognised_lo", "recognised_hi"))
    return (
        alt.layer(corner, *across, *up)
        .properties(width=215, height=170)
        .facet(facet=alt.Facet("size:N", title=None, sort=sizes), columns=2)
        .properties(description="subjects recognised against their class lost, a panel a size, a colour a way to learn")
    )


def _learnt(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a setting: value, lo and hi of how often subjects are recognised, and of how often they leak."""
    names = {"recognised_scene": "recognised", "class_leak": "leaked"}
    found = table[table["metric"].isin(names) & (table["task"] != "truth")]
    wide = found.pivot_table(index=["task", "c", "train_steps"], columns="metric", values=["value", "lo", "hi"])
    wide.columns = [f"{names[metric]}_{end}" for end, metric in wide.columns]
    return wide.reset_index()


def who_learns(table: pd.DataFrame) -> pd.DataFrame:
    """Say of each way and size whether subjects are learnt and their class is kept (`learnt_and_kept`).

    After the longest finetuning, and before any, with how often subjects are recognised, and how often their class
    shows them.
    """
    wide = _learnt(table)
    wide = wide[wide["train_steps"].isin([0, wide["train_steps"].max()])]
    wide["way"] = pd.Categorical(wide["task"], VARIANTS)
    found = []
    for row in wide.sort_values(["way", "c"]).itertuples():
        seen = Estimate(row.recognised_value, row.recognised_lo, row.recognised_hi, 0)
        leak = Estimate(row.leaked_value, row.leaked_lo, row.leaked_hi, 0)
        shares = {"recognised": f"{seen:.2f}", "the class shows the subject": f"{leak:.2f}"}
        found.append({"learnt with": row.task, "c": row.c, **shares, "learnt and kept": learnt_and_kept(seen, leak)})
    return pd.DataFrame(found)


def by_steps(table: pd.DataFrame, metrics: Sequence[str], way: str) -> alt.VConcatChart:
    """Plot each measure against the steps of finetuning in one way, a colour a size; 0 is the model as pretrained."""
    panels = []
    for metric in metrics:
        data = pick(table[table["task"].isin(["before", way])], metric)
        x = alt.X("train_steps:Q", title="steps of finetuning", scale=alt.Scale(type="symlog", constant=10))
        panels.append(_points(data, x, color(data), metric))
    return alt.vconcat(*panels, spacing=16).properties(description=f"{titles(metrics)} by steps of DreamBooth")


def side_by_side(
    rows: pd.DataFrame, subjects: Mapping[str, str], metrics: Sequence[str], one: str, other: str
) -> pd.DataFrame:
    """Set `subject_by_subject` side by side for several measures: by how much larger each is by variant `one`.

    A star stands where the interval excludes 0.
    """
    found = []
    for metric in metrics:
        gap = subject_by_subject(rows, subjects, metric, one, other)
        star = " *" if gap.lo > 0 or gap.hi < 0 else ""
        found.append(
            {
                "": metric_of(metric).title,
                f"{one}, minus {other}": f"{gap:+.3f}{star}",
            }
        )
    return pd.DataFrame(found)


def limits(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the floor and ceiling of each measure, a line each.

    Every size as pretrained, and the true pictures through the autoencoder.
    """
    found = pd.DataFrame({"": [short(metric) for metric in metrics]})
    for task, part in table[table["task"].isin(["before", "truth"])].groupby(["task", "c"], sort=False):
        name = "the true pictures" if task[0] == "truth" else f"c = {task[1]}, before"
        said = {row.metric: f"{row.value:.2f} [{row.lo:.2f}, {row.hi:.2f}]" for row in part.itertuples()}
        found[name] = [said.get(metric, "") for metric in metrics]
    return found
