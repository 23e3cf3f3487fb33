"""The same questions, asked of Table 1's own sizes, where some have been measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
from IPython.display import Markdown

from ldm import profiles
from ldm.figures import plots, protocol
from ldm.profile import Profile
from ldm.statistics import student, superres, verdicts
from ldm.statistics.verdicts import FEWEST
from ldm.study import distillation, findings, recorded
from ldm.study.findings import RESTORED
from ldm.study.results import Store


class Part(NamedTuple):
    """What a chapter shows of them: rows that are there, one chart, and its finding, asked in one or more turns."""

    rows: Callable[[Store, Profile], pd.DataFrame]
    chart: Callable[[pd.DataFrame, str], Any]
    turns: dict[str, Callable[[pd.DataFrame, Store], tuple[list[Any], str]]]
    downstream: bool = False  # whether the models are those that are finetuned for super-resolution


def by_sampler(store: Store, profile: Profile) -> pd.DataFrame:
    """Return settings that every sampler was asked: one with more of them would have more tries."""
    rows = recorded.whole_grid(store, profile)
    setting = ["c", "steps", "guidance"]
    samplers = rows.groupby(setting)["sampler"].transform("nunique")
    return rows[samplers == len(recorded.SAMPLERS)]


def by_ddim(store: Store, profile: Profile) -> pd.DataFrame:
    """Return the rows of the whole grid that were drawn by DDIM."""
    rows = recorded.whole_grid(store, profile)
    return rows[rows["sampler"] == "ddim"]


def with_students(store: Store, profile: Profile) -> pd.DataFrame:
    """Return students, and teachers of sizes that have some."""
    rows = distillation.named(recorded.distilled(store, profile))
    return rows[rows["c"].isin(rows.loc[rows["task"] == "codi", "c"])]


def asked(
    ask: Callable[..., Any], metrics: Sequence[str] = findings.COUNTED, **more: Any
) -> Callable[[pd.DataFrame, Store], tuple[list[Any], str]]:
    """Return what asks a finding by these metrics, of all trainings that are recorded of the models in the rows."""
    return lambda rows, store: findings.asked(ask, recorded.with_trainings(store, rows), store, metrics, **more)


def asked_of_students(rows: pd.DataFrame, store: Store) -> tuple[list[Any], str]:
    """Ask F6 of first trainings, with the margin that all trainings tell."""
    taught = findings.teachings(store, rows)
    return findings.asked(student.f6, rows, store, findings.COUNTED, method="codi", steps=FEWEST, trainings=taught)


PARTS = {
    "F1": Part(recorded.pretrained, plots.quality_vs_compute, {"": asked(verdicts.f1)}),
    "F2": Part(
        recorded.restored_by_length,
        plots.quality_vs_compute,
        {
            "At equal compute: ": asked(superres.f2, RESTORED),
            "At the end: ": asked(superres.f2, RESTORED, at_end=True),
        },
        downstream=True,
    ),
    "F3": Part(
        by_ddim,
        plots.quality_vs_cost,
        {"All steps: ": asked(verdicts.f3), "Four and more: ": asked(verdicts.f3, fewest=FEWEST)},
    ),
    "F4": Part(
        by_sampler,
        plots.quality_by_sampler,
        {f"{name}: ": asked(verdicts.f4, sampler=name) for name in recorded.SAMPLERS[1:]},
    ),
    "F5": Part(recorded.restored_by_steps, plots.quality_vs_cost, {"": asked(superres.f5, RESTORED)}, downstream=True),
    "F6": Part(
        with_students,
        partial(plots.quality_vs_steps, by="drawn by"),
        {"": asked_of_students},
    ),
}


def shown(name: str, store: Store, metric: str) -> list[Any]:
    """Return what a chapter displays: a heading, which sizes are measured, chart and verdict; nothing where none is."""
    profile, part = profiles.get("gpu"), PARTS[name]
    profile = profiles.downstream(profile) if part.downstream else profile
    rows = part.rows(store, profile)
    if rows.empty:
        return []
    said = Markdown(f"### {name} at the paper's own sizes\n\n{state(rows, profile)}")
    answers = [Markdown(f"{turn}{ask(rows, store)[1]}") for turn, ask in part.turns.items()]
    fold = protocol.folded(rows[rows["metric"] == metric], {}, "make gpu-study")
    return [said, part.chart(rows, metric), Markdown(fold), *answers]


def state(rows: pd.DataFrame, profile: Profile) -> str:
    """Return in a sentence which of Table 1's sizes are measured, and how."""
    measured = set(rows["c"].astype(int)) & set(profile.family)
    return (
        f"The same question to networks of Table 1's own widths, c = {listed(measured)}, after {profile.length:,}"
        f" images of pretraining on scenes of {profile.scenes.size} px ([profile](10_tpu.ipynb) `{profile.name}`)."
    )


def listed(sizes: set[int]) -> str:
    """Return the sizes in words, rising."""
    return ", ".join(map(str, sorted(sizes)))
