"""The same questions in two settings, such as predicting the noise and predicting v: F1, F3 and F4 side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from ldm.figures.levels import setting
from ldm.metrics.catalogue import brief
from ldm.profiles import Profile
from ldm.statistics.refusal import NotAsked
from ldm.statistics.verdicts import FEWEST, Verdict, called, f1, f3, f4
from ldm.study import findings, recorded
from ldm.study.results import Store

LOSS = "denoising"
Ask = Callable[..., Verdict]


def answers(store: Store, profiles: Sequence[Profile], metrics: Sequence[str]) -> pd.DataFrame:
    """Ask F1 by the held-out loss, F3 and F4 of the sizes and step counts that all settings have: a line a question.

    All trainings are pooled. Columns `asked`, `by`, and one a setting: answer, effect and interval in one text, or why
    its rows cannot answer.
    """
    rows = {profile.name: _of(store, profile) for profile in profiles}
    sizes = set.intersection(*(set(part["sampling"]["c"]) for part in rows.values()))
    steps = set.intersection(*(set(part["sampling"]["steps"]) for part in rows.values()))
    lines = []
    for name, of, metric, ask in _questions(metrics):
        line = {"asked": name, "by": brief(metric)}
        for profile in profiles:
            part = rows[profile.name][of]
            kept = part[part["c"].isin(sizes) & (part["steps"].isin(steps) | (metric == LOSS))]
            line[setting(profile.name)] = _answer(ask, recorded.with_trainings(store, kept), metric, store)
        lines.append(line)
    return pd.DataFrame(lines)


def _of(store: Store, profile: Profile) -> Mapping[str, pd.DataFrame]:
    """Return the first trainings' rows of each study."""
    grid, losses = recorded.whole_grid(store, profile), recorded.held_out(store, profile)
    few = grid[grid["steps"].isin(findings.few_steps(profile))]
    return {"losses": losses[losses["seed"] == 0], "sampling": grid[grid["sampler"] == "ddim"], "samplers": few}


def _questions(metrics: Sequence[str]) -> list[tuple[str, str, str, Ask]]:
    """Return what is asked: its name, of which rows, by which metric, and how."""
    asked: list[tuple[str, str, str, Ask]] = [("F1", "losses", LOSS, f1)]
    for metric in metrics:
        asked.append(("F3, all steps", "sampling", metric, f3))
        asked.append(
            (f"F3, from {FEWEST} steps on", "sampling", metric, lambda *given: f3(*given, fewest=FEWEST)),
        )
        for other in recorded.SAMPLERS[1:]:
            ask = lambda rows, metric, known, other=other: f4(rows, metric, other, known)
            asked.append((f"F4, {called(other)}", "samplers", metric, ask))
    return sorted(asked, key=lambda one: one[0])


def _answer(ask: Ask, rows: pd.DataFrame, metric: str, store: Store) -> str:
    try:
        found = ask(rows, metric, store.influences(rows, metric))
    except NotAsked as error:
        return f"not asked of these rows: {error}"
    return f"**{found.answer}** {found.effect:+.2g}"
