"""The same questions in two settings, such as predicting the noise and v, or in two families: side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd

from ldm.figures.families import partners
from ldm.figures.findings import told
from ldm.figures.levels import setting
from ldm.metrics.catalogue import brief
from ldm.profile import Profile
from ldm.statistics import student
from ldm.statistics.verdicts import FEWEST, Verdict, called, f1, f3, f4
from ldm.study import findings, recorded
from ldm.study.results import Store

LOSS = "denoising"
ASKED = ("F1", "F3", "F4")
Ask = Callable[..., Verdict]


def answers(
    store: Store,
    profiles: Sequence[Profile],
    metrics: Sequence[str],
    asked: Sequence[str] = ASKED,
    named: Callable[[str], str] = setting,
) -> pd.DataFrame:
    """Ask F1 by the held-out loss, F3, F4 and F6 of the sizes that all have rows of: a line a question.

    Sizes of UNets and of transformers are the same where they are partners (`families.partners`). F3 and F4 are asked
    at the step counts that all have. All trainings are pooled, but for F6, as everywhere. Columns `asked`, `by`, and
    one a profile: answer, effect and interval in one text, or why its rows cannot answer.

    asked: which of these findings. named: profile -> what its column is called.
    """
    rows = {profile.name: _of(store, profile) for profile in profiles}
    sizes = _sizes(profiles, [set(rows[profile.name]["sampling"]["c"]) for profile in profiles])
    steps = set.intersection(*(set(part["sampling"]["steps"]) for part in rows.values()))
    lines = []
    for name, of, metric, ask in _questions(metrics, asked):
        line = {"asked": name, "by": brief(metric)}
        for i, profile in enumerate(profiles):
            part = rows[profile.name][of]
            kept = part[part["c"].isin(sizes[i])]
            if of in ("sampling", "samplers"):
                kept = kept[kept["steps"].isin(steps)]
            more = {"trainings": findings.teachings(store, kept)} if of == "students" else {}
            pooled = kept if of == "students" else recorded.with_trainings(store, kept)
            influences = store.influences(pooled, metric)
            line[named(profile.name)] = told(ask, pooled, metric, influences, form="+.2g", **more)
        lines.append(line)
    return pd.DataFrame(lines)


def _sizes(profiles: Sequence[Profile], known: Sequence[set[int]]) -> list[list[int]]:
    """Return each profile's sizes that all have rows of: the same ones, or partners where networks are of two kinds."""
    if len({profile.network for profile in profiles}) == 1:
        alike = [(c,) * len(profiles) for c in sorted(set.intersection(*known))]
    else:
        alike = partners(profiles)
    shared = [two for two in alike if all(c in of for c, of in zip(two, known, strict=True))]
    return [[two[i] for two in shared] for i in range(len(profiles))]


def _of(store: Store, profile: Profile) -> Mapping[str, pd.DataFrame]:
    """Return the first trainings' rows of each study."""
    grid, losses = recorded.whole_grid(store, profile), recorded.held_out(store, profile)
    few = grid[grid["steps"].isin(findings.few_steps(profile))]
    return {
        "losses": losses[losses["seed"] == 0],
        "sampling": grid[grid["sampler"] == "ddim"],
        "samplers": few,
        "students": recorded.distilled(store, profile),
    }


def _questions(metrics: Sequence[str], asked: Sequence[str]) -> list[tuple[str, str, str, Ask]]:
    """Return what is asked: its name, of which rows, by which metric, and how."""
    of_pictures: dict[str, tuple[str, Ask]] = {
        "F3, all steps": ("sampling", f3),
        f"F3, from {FEWEST} steps on": ("sampling", partial(f3, fewest=FEWEST)),
        **{f"F4, {called(other)}": ("samplers", partial(f4, sampler=other)) for other in recorded.SAMPLERS[1:]},
        **{
            f"F6, {turn.removesuffix(': ')}": ("students", partial(student.f6, method="codi", allowance=allowance))
            for turn, allowance in zip(findings.FINDINGS["F6"].turns, findings.ALLOWANCES, strict=True)
        },
    }
    drawn = [(name, of, metric, ask) for name, (of, ask) in of_pictures.items() for metric in metrics]
    return [one for one in [("F1", "losses", LOSS, f1), *drawn] if one[0].partition(",")[0] in asked]
