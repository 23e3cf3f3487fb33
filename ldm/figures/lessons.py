"""What the two lessons show: charts that hide or give the answer, pictures without names, and questions as forms."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from ldm.figures import contest, plots
from ldm.figures.charts import INK
from ldm.figures.pictures import picture_grid
from ldm.figures.samples import kept
from ldm.metrics.catalogue import brief, told_apart
from ldm.networks.family import table1
from ldm.statistics.contest import PAPER
from ldm.statistics.contest import contest as compare
from ldm.statistics.evidence import Evidence
from ldm.study.lessons import Lessons
from ldm.study.questions import Question, letters

BLUE, RED = "#3b7dd8", "#d1495b"
SEEN = 4  # pictures of each size in the guessing game


def step_costs(of: Lessons, width: int | Literal["container"] = "container") -> alt.LayerChart:
    """Plot what one step costs, a bar a size: all that a class needs for its guess. width: in pixels."""
    data = pd.DataFrame([{"size": f"c = {c}", "cost": unit} for c, unit in of.steps_cost.items()])
    data["times"] = [f"{unit / data['cost'].min():.1f} x" for unit in data["cost"]]
    base = alt.Chart(data).encode(y=alt.Y("size:N", title=None, sort=None))
    bars = base.mark_bar(color=BLUE, height=16).encode(
        x=alt.X("cost:Q", title="cost of one step (normalised cost)", axis=alt.Axis(format="~g", tickCount=5))
    )
    words = base.mark_text(align="left", dx=6, color=INK, fontSize=12).encode(x="cost:Q", text="times:N")
    return alt.layer(bars, words).properties(
        width=width, height={"step": 30}, description="the cost of one step of every size"
    )


def curves(of: Lessons) -> alt.LayerChart:
    """Plot quality against sampling cost by the first metric: the answer to the guess."""
    return plots.quality_vs_cost(of.rows, of.metrics[0])


def advantage(of: Lessons, metrics: Sequence[str]) -> alt.FacetChart:
    """Plot smaller against largest at every budget, a panel a metric."""
    named = told_apart(metrics).items()
    found = {name: compare(Evidence.of(of.trained, m, of.influences[m]), unit=PAPER) for m, name in named}
    return contest.advantages(found)


def unnamed(of: Lessons) -> str:
    """Show what each size draws best within the small budget, the sizes under letters, as HTML."""
    rows = of.within.set_index("size")
    names = {letter: c for letter, c in letters(of.sizes).items() if c in rows.index}
    pictures = np.stack([kept(of.store, rows.loc[c, "key"])[:SEEN] for c in names.values()])
    return picture_grid(pictures, list(names), [f"caption {i + 1}" for i in range(SEEN)], width=88).data


def named(of: Lessons) -> str:
    """Say which letter of `unnamed` is which size, and in which setting."""
    rows = of.within.set_index("size")
    return "; ".join(
        f"{letter} is c = {c} with {int(rows.loc[c, 'steps'])} steps"
        for letter, c in letters(of.sizes).items()
        if c in rows.index
    )


def pair(of: Lessons) -> alt.LayerChart:
    """Plot the two settings whose intervals overlap."""
    rows = of.pair.rows
    data = pd.DataFrame(
        {
            "setting": [f"{int(steps)} steps" for steps in rows["steps"]],
            **{name: rows[name].to_numpy(float) for name in ("value", "lo", "hi")},
        }
    )
    return _intervals(data, "setting", brief(of.metrics[0]), "two settings whose intervals overlap")


def differences(of: Lessons) -> alt.LayerChart:
    """Plot the difference of that pair, with the interval of strangers and with that of pairs."""
    found = of.pair
    data = pd.DataFrame(
        [
            {"how": how, "value": e.value, "lo": e.lo, "hi": e.hi}
            for how, e in (("other captions", found.unpaired), ("the same captions", found.paired))
        ]
    )
    chart = _intervals(data, "how", f"difference in {brief(of.metrics[0])}", "one difference, known in two ways")
    return alt.layer(alt.Chart().mark_rule(color=INK, strokeDash=[4, 4]).encode(x=alt.datum(0.0)), chart).properties(
        width="container", height=90, description="one difference with its unpaired and its paired interval"
    )


def _intervals(data: pd.DataFrame, by: str, title: str, about: str) -> alt.LayerChart:
    base = alt.Chart(data).encode(
        y=alt.Y(f"{by}:N", title=None, sort=None, axis=alt.Axis(labelLimit=220, labelPadding=8))
    )
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False))
    tips = [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("value", "lo", "hi")]
    return alt.layer(
        base.mark_rule(color=BLUE, strokeWidth=3).encode(x=alt.X("lo:Q", title=title), x2="hi:Q"),
        base.mark_point(color=BLUE, size=90).encode(x=x, tooltip=tips),
    ).properties(width="container", height=90, description=about)


def trainings(of: Lessons) -> str:
    """Return two trainings of one size beside each other as a table in Markdown, or a sentence where there is one."""
    found = of.trainings
    if found.empty:
        return "Every size of these rows was trained once, so nothing can be said about trainings."
    at = found.iloc[0]
    lines = [f"c = {at['c']} in {at['steps']} steps at guidance {at['guidance']:g}:", ""]
    lines += ["| metric | first training | second | difference [95 % interval] |", "|---|---:|---:|---:|"]
    lines += [
        f"| {brief(r.metric)} | {r.first:.3g} | {r.second:.3g} | {r.gap:+.3g} [{r.lo:+.3g}, {r.hi:+.3g}] |"
        for r in found.itertuples()
    ]
    return "\n".join(lines)


def ranking(of: Lessons) -> str:
    """Return how each metric ranks the sizes with few steps, as a table in Markdown."""
    lines = ["| metric | sizes, best first |", "|---|---|"]
    lines += [f"| {brief(name)} | {', '.join(f'c = {c}' for c in order)} |" for name, order in of.ranks.values]
    return "\n".join(lines)


def answers(of: Lessons) -> str:
    """Return F3 by each metric as a table in Markdown."""
    lines = ["| metric | answer | advantage of the best smaller model |", "|---|---|---:|"]
    lines += [f"| {brief(v.metric)} | {v.answer} | {v.effect:+.0%} |" for v in of.f3]
    return "\n".join(lines)


def printed_table1() -> str:
    """Return Table 1 as the paper prints it, without a word about what is wrong in it, in Markdown."""
    lines = ["| model | parameters | base filters | GFLOPS | normalised cost | FID | CLIP |", "|---|" + "---:|" * 6]
    lines += [
        f"| {r.name} | {r.params_m_paper:g}M | {r.c} | {r.gflops_paper:g} | {r.norm_cost_paper:.2f} |"
        f" {r.fid_paper:.2f} | {r.clip_paper:.3f} |"
        for r in table1().itertuples(index=False)
    ]
    return "\n".join(lines)


def form(name: str, question: Question) -> str:
    """Return a question as an HTML form that book/_static/lessons.js checks in the page; nothing is sent."""
    judged = {"answer": question.answer, "right": question.right, "near": question.near}
    box = (
        "".join(
            f'<label><input type="radio" name="{name}" value="{html.escape(c)}"> {html.escape(c)}</label> '
            for c in question.choices
        )
        if question.choices
        else f'<label>Your answer <input name="{name}" inputmode="decimal" autocomplete="off" size="8"></label> '
    )
    return (
        f'<form class="ldm-ask" data-judge="{html.escape(json.dumps(judged))}"><p>{html.escape(question.ask)}</p>'
        f'{box}<button>Check</button> <output aria-live="polite"></output>'
        f"<details><summary>How one finds it</summary><p>{html.escape(question.why)}</p></details></form>"
    )


def guess(name: str, ask: str, choices: list[str]) -> str:
    """Return a vote as HTML: a button a choice and how often each was pressed, counted in the page alone."""
    buttons = "".join(
        f'<button type="button" value="{html.escape(c)}">{html.escape(c)} <b>0</b></button> ' for c in choices
    )
    return (
        f'<div class="ldm-guess" role="group" aria-label="{html.escape(ask)}" data-name="{name}">'
        f"<p>{html.escape(ask)}</p>{buttons}</div>"
    )
