"""The verdicts of the study as Markdown: a summary, and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from ldm.metrics.catalogue import brief, short
from ldm.statistics.bootstrap import Influences
from ldm.statistics.refusal import NotAsked
from ldm.statistics.verdicts import Verdict
from ldm.study.findings import FINDINGS


def summary(answers: dict[str, list[Verdict]]) -> str:
    """Return one row a finding, in Markdown: the claim, linked to its chapter, and how it fares here.

    How it fares: how often it holds, fails or is open.

    It is asked once a metric, and again in each of its turns; the most frequent answer stands first.
    """
    rows = []
    for name, finding in FINDINGS.items():
        found, lines = answers.get(name, []), []
        for turn in finding.turns:
            part = [v for v in found if v.turn == turn]
            lines.append(turn + (counted([v.answer for v in part]) or "not asked yet"))
        claim = f"[{finding.claim}]({finding.chapter}.ipynb#{finding.place})"
        rows.append((name, claim, "<br>".join(lines) if found else "not asked yet"))
    return pd.DataFrame(rows, columns=["finding", "what the paper says", "what we find"]).to_markdown(index=False)


def facts(answers: dict[str, list[Verdict]]) -> str:
    """Say how many answers there are, and to how many questions."""
    asked = {(name, v.turn) for name, found in answers.items() for v in found}
    return f"There are {sum(map(len, answers.values()))} answers here to {len(asked)} questions."


def counted(answers: Sequence[str]) -> str:
    """Return in words how often each answer was given, the most frequent one first: "**holds** by 3 of 4 metrics"."""
    (first, most), *rest = Counter(answers).most_common() or [("", 0)]
    if not first:
        return ""
    words = f"**{first}** by {most} of {len(answers)} metrics" if rest else f"**{first}** by all {most} metrics"
    return ", ".join([words, *(f"{answer} by {times}" for answer, times in rest)])


def answer(found: Sequence[Verdict]) -> str:
    """Say in a sentence which metrics give which answer to one question: "**F1 holds** by KID and alignment"."""
    if not found:
        return "These rows do not answer it."
    by_answer: dict[str, list[str]] = {}
    for verdict in found:
        by_answer.setdefault(verdict.answer, []).append(brief(verdict.metric))
    words = {"undecided": "is undecided"}
    clauses = [
        f"**{words.get(given, given)}** by {' and '.join([', '.join(names[:-1]), names[-1]] if names[1:] else names)}"
        for given, names in by_answer.items()
    ]
    return f"{found[0].finding} {'; it '.join(clauses)}."


def told(
    ask: Callable[..., Verdict],
    rows: pd.DataFrame,
    metric: str,
    influences: Influences,
    *,
    form: str = "+.0%",
    **more: Any,
) -> str:
    """Return a verdict in a table's cell: the answer and its effect in this form, or why these rows cannot answer.

    more: options of the question.
    """
    try:
        found = ask(rows, metric, influences=influences, **more)
    except NotAsked as error:
        return f"not asked of these rows: {error}"
    return f"**{found.answer}** {found.effect:{form}}"


def page(answers: dict[str, list[Verdict]]) -> str:
    """Return a part for each finding, in Markdown: the claim, and for each question the answer by each metric."""
    parts = []
    for name, finding in FINDINGS.items():
        where = f"{finding.chapter}.ipynb#{finding.place}"
        parts.append(f'<a id="{name}"></a>\n\n### {name}\n\n**The paper:** {finding.claim} ([Chapter]({where}).)')
        if not answers.get(name):
            parts.append("Not asked yet.")
        for turn, group in groupby(answers.get(name, []), lambda v: v.turn):
            found = list(group)
            first = found[0]
            asked = f"**{turn[0].upper()}{turn[1:].rstrip(': ')}.** " if turn else ""
            asked += f"*Effect:* {first.meaning.rstrip(':')}. *Asked of:* {first.asked}."
            parts += [asked, by_metric(found)]
    return "\n\n".join(parts)


def by_metric(found: Sequence[Verdict]) -> str:
    """Return the answers to one question as a table in Markdown, a metric a row."""
    detailed = any(v.detail for v in found)
    heads = ["metric", "answer", "effect [95 % interval]", *(["in detail"] if detailed else [])]
    lines = [[short(v.metric), f"**{v.answer}**", f"{v.effect:.3g}", *([v.detail] if detailed else [])] for v in found]
    return pd.DataFrame(lines, columns=heads).to_markdown(index=False, disable_numparse=True)
