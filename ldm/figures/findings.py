"""The verdicts of the study as Markdown: a summary, and a page."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pandas as pd

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
            first, *rest = [f"{answer} {times}" for answer, times in Counter(v.answer for v in part).most_common()] or [
                "not asked yet"
            ]
            lines.append(turn + ", ".join([f"**{first}**", *rest]))
        claim = f"[{finding.claim}]({finding.chapter}.ipynb#{finding.place})"
        rows.append((name, claim, "<br>".join(lines) if found else "not asked yet"))
    return pd.DataFrame(rows, columns=["finding", "the paper", "here"]).to_markdown(index=False)


def page(answers: dict[str, list[Verdict]]) -> str:
    """Return one row a finding and question, in Markdown, with the answer by each metric."""
    rows = []
    for name, finding in FINDINGS.items():
        where, here = f"[{name}]({finding.chapter}.ipynb#{finding.place})", f'<a id="{name}"></a>'
        unbroken = lambda v: verdicts.effect_in_words(v).replace(
            " ", "\N{NO-BREAK SPACE}"
        )  # a narrow column keeps it whole
        question = lambda v: f"{v.meaning.rstrip(':')}; {v.asked}"
        for effect, group in groupby(answers.get(name, []), question):
            said = [f"{v.metric} **{v.answer}** {unbroken(v)}" + f" ({v.detail})" * bool(v.detail) for v in group]
            rows.append((here + where, finding.claim, effect, "<br>".join(said)))
            here = ""  # a finding's place is its first row
        if not answers.get(name):
            rows.append((here + where, finding.claim, "not asked yet", ""))
    return pd.DataFrame(rows, columns=["finding", "the paper", "effect here", "answer by each metric"]).to_markdown(
        index=False
    )
