"""The findings for programs: claim, verdict by metric, value with its interval, n, seeds, protocols, where to look."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pandas as pd

from ldm.profile import Profile
from ldm.statistics.verdicts import Verdict
from ldm.study.findings import FINDINGS, evidence_of
from ldm.study.results import Store


def index(answers: dict[str, list[Verdict]], *, store: Store, profile: Profile) -> dict[str, Any]:
    """Return the profile and its findings, one entry a finding and question, as `book/machines.py` describes them.

    `answers`: of `ldm.study.findings.ask`. Seeds and protocols are those of the rows that the finding is asked of. A
    finding that these rows do not answer has no entry.
    """
    evidence = evidence_of(store, profile)
    entries = [
        entry(name, turn, list(verdicts), evidence[name])
        for name, found in answers.items()
        for turn, verdicts in groupby(found, lambda verdict: verdict.turn)
    ]
    return {"profile": profile.name, "findings": entries}


def entry(name: str, turn: str, verdicts: list[Verdict], rows: pd.DataFrame) -> dict[str, Any]:
    """Return one question of a finding with its answer by each metric, and the profile whose models it was asked of."""
    finding, [profile] = FINDINGS[name], rows["profile"].unique()
    files = sorted({f"{study}-{profile}.csv" for study in rows["study"]})
    return {
        "finding": name,
        "claim": finding.claim,
        "question": turn.rstrip(": "),
        "chapter": f"{finding.chapter}.html#{finding.place}",
        "profile": profile,
        "rows": files,
        "answers": [answer(verdict, rows[rows["metric"] == verdict.metric]) for verdict in verdicts],
    }


def answer(verdict: Verdict, rows: pd.DataFrame) -> dict[str, Any]:
    """Return a verdict by one metric, with the seeds and protocols of the rows that it was asked of."""
    effect = verdict.effect
    return {
        "metric": verdict.metric,
        "verdict": verdict.answer,
        "effect": verdict.meaning.rstrip(":"),
        "value": effect.value,
        "interval": [effect.lo, effect.hi],
        "n": int(effect.n),
        "seeds": sorted({int(seed) for seed in rows["seed"].dropna()}),
        "asked": verdict.asked,
        "detail": verdict.detail,
        "protocols": sorted(set(rows["protocol"])),
    }
