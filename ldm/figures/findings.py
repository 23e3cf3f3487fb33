"""The verdicts of the study as Markdown: a summary, and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from ldm.metrics.catalogue import short
from ldm.statistics import verdicts
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
        rows.append(
            (name, f"[{finding.claim}]({finding.chapter}.ipynb)", "<br>".join(lines) if found else "not asked yet")
        )
    return pd.DataFrame(rows, columns=["finding", "what the paper says", "what we find"]).to_markdown(index=False)


def counted(answers: Sequence[str]) -> str:
    """Return in words how often each answer was given, the most frequent one first: "**holds** by 3 of 4 metrics"."""
    (first, most), *rest = Counter(answers).most_common() or [("", 0)]
    if not first:
        return ""
    words = f"**{first}** by {most} of {len(answers)} metrics" if rest else f"**{first}** by all {most} metrics"
    return ", ".join([words, *(f"{answer} by {times}" for answer, times in rest)])


def page(answers: dict[str, list[Verdict]]) -> str:
    """Return one row a finding and question, in Markdown, with the answer by each metric."""
    rows = []
    for name, finding in FINDINGS.items():
        where = f"[{name}]({finding.chapter}.ipynb)"
        unbroken = lambda v: verdicts.effect_in_words(v).replace(
            " ", "\N{NO-BREAK SPACE}"
        )  # a narrow column keeps it whole
        question = lambda v: f"{v.meaning.rstrip(':')}; {v.asked}"
        for effect, group in groupby(answers.get(name, []), question):
            said = [
                f"{short(v.metric)}: **{v.answer}**, {unbroken(v)}" + f" ({v.detail})" * bool(v.detail) for v in group
            ]
            rows.append((where, finding.claim, effect, "<br>".join(said)))
        if not answers.get(name):
            rows.append((where, finding.claim, "not asked yet", ""))
    return pd.DataFrame(
        rows, columns=["finding", "what the paper says", "what is measured here", "answer by each metric"]
    ).to_markdown(index=False)
