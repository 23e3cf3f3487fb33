"""The same questions in two settings, such as predicting the noise and predicting v: F1, F3 and F4 side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd

from ldm.figures.findings import told
from ldm.figures.levels import setting
from ldm.metrics.catalogue import brief
from ldm.profiles import Profile
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
            pooled = recorded.with_trainings(store, kept)
            line[setting(profile.name)] = told(ask, pooled, metric, store.influences(pooled, metric), form="+.2g")
        lines.append(line)
    return pd.DataFrame(lines)


def _of(store: Store, profile: Profile) -> Mapping[str, pd.DataFrame]:
    """Return the first trainings' rows of each study."""
    grid, losses = recorded.whole_grid(store, profile), recorded.held_out(store, profile)
    few = grid[grid["steps"].isin(findings.few_steps(profile))]
    return {"losses": losses[losses["seed"] == 0], "sampling": grid[grid["sampler"] == "ddim"], "samplers": few}


def _questions(metrics: Sequence[str]) -> list[tuple[str, str, str, Ask]]:
    """Return what is asked: its name, of which rows, by which metric, and how."""
    of_pictures: dict[str, tuple[str, Ask]] = {
        "F3, all steps": ("sampling", f3),
        f"F3, from {FEWEST} steps on": ("sampling", partial(f3, fewest=FEWEST)),
        **{f"F4, {called(other)}": ("samplers", partial(f4, sampler=other)) for other in recorded.SAMPLERS[1:]},
    }
    asked = [(name, of, metric, ask) for name, (of, ask) in of_pictures.items() for metric in metrics]
    return [("F1", "losses", LOSS, f1), *asked]
