"""Tables for people: frames as Markdown or HTML, with words for the names of columns, and long ones folded."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ldm.metrics import Estimate
from ldm.metrics.catalogue import METRICS, told_apart
from ldm.statistics import comparisons
from ldm.statistics.verdicts import called

LONG = 8  # rows from which on a table is folded
WORDS = {  # columns of frames -> what a reader calls them
    "c": "size c",
    "lo": "from",
    "hi": "to",
    "n": "pictures",
    "nfe": "network evaluations",
    "cost": "sampling cost",
    "params": "parameters",
    "gflops": "GFLOPs",
    "images_seen": "training images",
    "train_steps": "finetuning steps",
    "tied": "may be the best",
    "task": "model",
    "images": "training images",
    "from c": "smaller size",
    "to c": "larger size",
    "drawn": "pictures drawn",
    "full": "pictures of a full grid",
}
THERE = " there"  # ends the name of a metric at another setting of the row
SPREAD = {"c": "c = {}", "steps": "{} steps", "guidance": "guidance {:g}", "n": "{:,} pictures"}  # over columns


def words(labels: Iterable[object]) -> list[str]:
    """Return what a reader calls columns: the name of a metric, or an entry of `WORDS`, or the label itself.

    Metrics have their brief names where these tell them apart (`ldm.metrics.catalogue.told_apart`).
    """
    levels = [label if isinstance(label, tuple) else (label,) for label in labels]
    parts = [" · ".join(str(part) for part in label if part != "").partition(" · ") for label in levels]
    called = told_apart(metric for first, _, _ in parts if (metric := first.removesuffix(THERE)) in METRICS)

    def said(first: str) -> str:
        metric = first.removesuffix(THERE)
        return called[metric] + first[len(metric) :] if metric in called else WORDS.get(first, first)

    return [f"{said(first)} · {rest}" if rest else said(first) for first, _, rest in parts]


def _spread(label: Any, names: Sequence[Any]) -> str:
    """Return the label of a pivoted column, whose levels have these names: `c = 8`, `signal · 4 steps`."""
    parts = label if isinstance(label, tuple) else (label,)
    labels = [SPREAD[name].format(part) if name in SPREAD else part for part, name in zip(parts, names, strict=True)]
    return " · ".join(map(str, labels))


def cell(value: Any, digits: int = 3) -> str:
    """Return a value as text: numbers to `digits` digits, whole ones whole, a dash for what is missing or endless."""
    if isinstance(value, str):
        return value
    if isinstance(value, Estimate):
        return f"{value:.{digits}g}"
    if isinstance(value, list | tuple):
        return ", ".join(cell(part, digits) for part in value)
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{float(value):.{digits}g}" if abs(value) < 1000 else f"{float(value):,.0f}"


def table(frame: pd.DataFrame, *, what: str = "", digits: int = 3, unfolded: int = LONG) -> str:
    """Return a frame as a table in Markdown, folded where it has more rows than `unfolded`.

    Args:
        frame: an index with a name becomes columns.
        what: what a folded table is about.
        digits: of numbers.
    """
    if any(name in SPREAD for name in frame.columns.names):
        frame = frame.set_axis([_spread(label, frame.columns.names) for label in frame.columns], axis=1)
    if any(frame.index.names):
        frame = frame.reset_index()
    heads = words(frame.columns)
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    lines = [heads, ["---:" if right else "---" for right in numeric]]
    if "metric" in frame:
        called = told_apart(name for name in frame["metric"] if name in METRICS)
        frame = frame.assign(metric=[called.get(name, name) for name in frame["metric"]])
    lines += [[cell(value, digits) for value in row] for row in frame.itertuples(index=False)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return folded(text, f"{what or 'The table'}, {len(frame)} rows") if len(frame) > unfolded else text


def folded(text: str, summary: str) -> str:
    """Return Markdown that a reader unfolds beneath its summary."""
    return f"<details>\n<summary>{html.escape(summary)}</summary>\n\n{text}\n\n</details>"


def side_by_side(gaps: pd.DataFrame) -> str:
    """Return `ldm.statistics.comparisons.beside` in Markdown, a column a step count.

    A star stands where the interval excludes 0; how often it does is said, too.
    """
    by = gaps.columns[0]
    gaps = gaps.assign(sampler=gaps["sampler"].map(called)) if by == "sampler" else gaps
    table = gaps.assign(steps=gaps["steps"].astype(str) + " steps", text=comparisons.in_words(gaps)).pivot_table(
        index=[by, "c"], columns="steps", values="text", aggfunc="first", sort=False
    )
    counts = " ".join(
        f"{name}: surely worse in {(part['lo'] > 0).sum()} of {len(part)} settings, surely better in"
        f" {(part['hi'] < 0).sum()}."
        for name, part in gaps.groupby(by, sort=False)
    )
    by_luck = "Luck alone marks one setting in forty as surely worse, and one in forty as surely better."
    table = table.reset_index().rename(columns={"c": "size c"}).fillna("–")
    text = table.to_markdown(index=False)
    if len(table) > LONG:
        text = folded(text, f"All comparisons, {len(table)} rows")
    return f"{counts} {by_luck}\n\n{text}"


def grouped(heads: Sequence[tuple[str, Sequence[str]]], lines: Sequence[Sequence[str]]) -> str:
    """Return an HTML table whose columns stand in named groups; the first column names its row.

    Args:
        heads: (group, its columns), in order; a group without a name has none above its columns.
        lines: the cells as text, as many as there are columns.
    """
    top = "".join(f'<th scope="colgroup" colspan="{len(names)}">{html.escape(group)}</th>' for group, names in heads)
    under = "".join(f'<th scope="col">{html.escape(name)}</th>' for _, names in heads for name in names)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>'
        + "".join(f"<td>{html.escape(text)}</td>" for text in rest)
        + "</tr>"
        for first, *rest in lines
    )
    return element(f"<tr>{top}</tr><tr>{under}</tr>", body)


def element(head: str, body: str) -> str:
    """Return an HTML table of these rows, which a keyboard can scroll."""
    return (
        '<div class="ldm-table" tabindex="0" role="group" aria-label="table"><table>'
        f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def table1(paper: pd.DataFrame) -> str:
    """Return Table 1 as the paper prints it beside what is counted here, as HTML.

    Args:
        paper: what `ldm.networks.family.table1` returns.
    """
    heads = [
        ("", ["model", "c"]),
        ("parameters, millions", ["counted", "printed"]),
        ("GFLOPs", ["counted", "printed", "off by"]),
        ("normalised cost", ["counted", "printed"]),
        ("printed quality", ["FID", "CLIP"]),
    ]
    lines = [
        [row.name, f"{row.c}", f"{row.params / 1e6:,.1f}", f"{row.params_m_paper:g}"]
        + [f"{row.gflops:,.1f}", f"{row.gflops_paper:g}", f"{row.gflops_error:+.1%}"]
        + [f"{row.norm_cost:.2f}", f"{row.norm_cost_paper:.2f}", f"{row.fid_paper:.2f}", f"{row.clip_paper:.3f}"]
        for row in paper.itertuples(index=False)
    ]
    return grouped(heads, lines)


def family(ours: pd.DataFrame) -> str:
    """Return what the sizes of a family cost, in Markdown; `ours`: of `ldm.networks.family.family_table`."""
    names = {
        "params": "parameters, millions",
        "gflops": "GFLOPs a pass",
        "norm_cost": "normalised cost (c = 320 is 1)",
        "groups": "normalisation groups",
        "heads": "attention heads",
    }
    return table(ours.assign(params=ours["params"] / 1e6).rename(columns=names), digits=3)
