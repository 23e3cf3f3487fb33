"""What the budget explorer is drawn from: settings with all their costs, and the chance of each size to be the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ldm.figures.charts import best, columns, models, pick
from ldm.statistics.bootstrap import InfluencesOf
from ldm.statistics.frontier import frontier

CHOICES = ("profile", "level", "metric", "sampler")  # columns of the points that the reader chooses from


def points_of(
    rows: pd.DataFrame, metric: str, seconds: Mapping[tuple[str, int], tuple[float, float]] | None
) -> pd.DataFrame:
    """Return the best guidance of each profile, level, sampler, size and step count, with every cost of it."""
    rows = rows.assign(level=rows["level"].fillna("all") if "level" in rows else "all")  # those from before said all
    levels = rows.groupby(["profile", "level"], sort=False)
    parts = [pick(part, metric) for _, part in levels if (part["metric"] == metric).any()] or [pick(rows, metric)]
    found = pd.concat([best(part, ["sampler", "c", "steps"]).sort_values("cost") for part in parts])
    ends = np.sort(np.stack([found["lo"], found["hi"]]) * np.where(found["loss"] == found["value"], 1, -1), axis=0)
    points = (
        columns(found)
        .drop(columns=["gflops", "norm_cost", "images_seen", "seed", "params"], errors="ignore")
        .assign(
            key=found["key"],
            metric=metric,
            profile=found["profile"],
            level=found["level"],
            sampler=found["sampler"],
            loss_lo=ends[0],
            loss_hi=ends[1],
            flops=found["done"]
            if "done" in found and found["done"].notna().all()
            else found["nfe"].astype(float) * found["gflops"].astype(float),
        )
    )
    if "clock" in found:
        points["passes"] = 1000 * found["clock"]
    elif seconds:
        known = [seconds.get(model, (np.nan, np.nan)) for model in zip(found["profile"], found["c"], strict=True)]
        points["ms"] = [1000 * (each * nfe + rest) for (each, rest), nfe in zip(known, found["nfe"], strict=True)]
    return points


def ranked(rows: pd.DataFrame, ranks: Mapping[tuple[str, str], int]) -> pd.DataFrame:
    """Return rows with the place of each model among the sizes of its networks, in `rank`."""
    return rows.assign(rank=[ranks[model] for model in zip(rows["profile"], rows["model"], strict=True)])


def chances_of(points: pd.DataFrame, costs: Sequence[str], influences: InfluencesOf | None = None) -> pd.DataFrame:
    """Return the chance of each model to be the best, for each stretch of budgets without a change."""
    found = []
    for (profile, level, metric, sampler), part in points.groupby(list(CHOICES), sort=False):
        known = influences(part, metric) if influences else None
        losses = part.assign(size=part["model"], value=part["loss"], lo=part["loss_lo"], hi=part["loss_hi"])
        for axis in costs:
            priced = losses.assign(cost=part[axis]).dropna(subset=["cost"])
            if priced.empty:
                continue
            best = frontier(priced, influences=known)
            for model in models(part):
                chances = [
                    (row.budget, round(row.chances[model], 2)) for row in best.itertuples() if model in row.chances
                ]
                changes = [
                    now for before, now in zip([(0, None), *chances], chances, strict=False) if now[1] != before[1]
                ]
                ends = [budget for budget, _ in changes[1:]] + [float(10 * best["budget"].max())]
                found += [
                    (profile, level, metric, sampler, axis, model, start, end, chance)
                    for (start, chance), end in zip(changes, ends, strict=True)
                ]
    return pd.DataFrame(found, columns=[*CHOICES, "axis", "model", "from", "to", "chance"])
