"""What a metric sees: how far each disturbance moves it, from how many pictures on, and where two metrics disagree.

All of it is read off the rows of `ldm.study.probes`. Movements are in multiples of the distance between the model's and
real pictures, so that a reader sees how much blur is worth the whole model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pandas as pd

from ldm.data.scenes.disturbances import DISTURBANCES
from ldm.metrics import Z
from ldm.metrics.catalogue import comparable, metric_of
from ldm.statistics.bootstrap import replicates
from ldm.statistics.ranks import rank_correlation

DISTANCES = ("kid_effnet", "fd_effnet", "mmd_effnet", "cmmd_effnet", "kid_scene", "fd_scene", "mmd_scene", "cmmd_scene")


def label(task: str, strength: float) -> str:
    """Return a label: `blur 0.5`, `JPEG quality 95`, `wrong subject 25%`."""
    how = DISTURBANCES[task]
    return f"{how.title} {how.said(strength)}"


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how much worse than real pictures each metric calls each disturbance, at equal n.

    Columns `task`, `strength`, `metric`, `n`, `value`, `lo`, `hi` (in the metric's unit, above 0: worse), and
    `gaps`, `gaps_lo`, `gaps_hi`: in multiples of how much worse it calls the model; missing where that is not sure
    to be above 0. Errors of a cell and of the real pictures add up, though both are of the same scenes: the
    intervals err towards doubt.
    """
    found = []
    for (metric, n), group in rows.groupby(["metric", "n"], sort=False):
        comparable(group, metric)
        sign = 1 if metric_of(metric).better == "lower" else -1
        value, se = sign * group["value"], (group["hi"] - group["lo"]) / (2 * Z)
        real = (group["task"] == "real").to_numpy()
        if not real.any():
            raise ValueError(f"no row of {metric} at n = {n} is of real pictures; run the cells of task real.")
        worse, error = value - value[real].iloc[0], np.hypot(se, se[real].iloc[0])
        table = group[["task", "strength", "metric", "n"]].assign(
            value=worse, lo=worse - Z * error, hi=worse + Z * error
        )
        model = table[table["task"] == "model"]
        if len(model) and model["lo"].iloc[0] > 0:
            gap = model["value"].iloc[0]
            spread = np.hypot(error, worse / gap * error[model.index[0]]) / gap
            table = table.assign(gaps=worse / gap, gaps_lo=worse / gap - Z * spread, gaps_hi=worse / gap + Z * spread)
        found.append(table[~real])
    columns = ["task", "strength", "metric", "n", "value", "lo", "hi", "gaps", "gaps_lo", "gaps_hi"]
    order = {name: place for place, name in enumerate(["model", *DISTURBANCES])}
    return (
        pd.concat(found)
        .sort_values(
            ["task", "strength"],
            key=lambda x: x.map(order) if x.name == "task" else x,
            kind="stable",
            ignore_index=True,
        )
        .reindex(columns=columns)
    )


def fewest(moved: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the fewest of the counts from which on each metric tells each strength from real pictures; "-" for none.

    One line a disturbance, its strengths from weak to strong in its name and in each cell, "never" where all are "-".
    `moved`: what
    `changes` returns. A metric tells a strength where the interval of its change lies above 0, at this n and at every
    larger one. Raises: ValueError for a metric that the rows do not hold.
    """
    if unknown := sorted(set(metrics) - set(moved["metric"])):
        raise ValueError(
            f"metrics: {unknown[0]!r} is not in these rows; choose among {', '.join(sorted(set(moved['metric'])))}."
        )

    def fewest_of(group: pd.DataFrame) -> str:
        group = group.sort_values("n", ascending=False)
        counts = group["n"][(group["lo"] > 0).cummin()]
        return str(counts.min()) if len(counts) else "-"

    table: dict[str, dict[str, str]] = {}
    for (task, metric), group in moved[moved["metric"].isin(metrics)].groupby(["task", "metric"], sort=False):
        counts = [fewest_of(part) for _, part in group.groupby("strength", dropna=False)]
        told = " · ".join(DISTURBANCES[task].said(s) for s in sorted(set(group["strength"]))) if task != "model" else ""
        name = f"{DISTURBANCES[task].title} {told}" if told else "the model"
        table.setdefault(name, {})[metric] = " · ".join(counts) if set(counts) != {"-"} else "never"
    return pd.DataFrame.from_dict(table, orient="index")[list(metrics)]


def orders(moved: pd.DataFrame, metric: str, others: Sequence[str]) -> pd.DataFrame:
    """Return Kendall's rank correlation of the disturbances' orders by two metrics, at the largest n.

    One order is by `metric`, the second by each other metric.
    """
    levels = at_most(moved, (metric, *others))
    drawn = {name: replicates(part, seed=i)[:, :500].T for i, (name, part) in enumerate(levels.items())}
    values = {name: part["value"].to_numpy(float) for name, part in levels.items()}
    n = int(moved["n"].max())
    found = [
        {"metric": name, **rank_correlation(values[metric], values[name], drawn[metric], drawn[name], n)._asdict()}
        for name in others
    ]
    return pd.DataFrame(found)


def falls(moved: pd.DataFrame, metrics: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """Return where a disturbance grows and a metric calls the pictures better, surely, at the largest n.

    A line each, with columns `metric`, `task`, `from` and `to`, its strengths; and how many steps from one strength to
    the next there are in all. The weakest is compared with real pictures.
    """
    found, total = [], 0
    for name, level in at_most(moved, metrics).items():
        for task, group in level.groupby("task", sort=False):
            value = np.array([0.0, *group["value"]])
            error = np.array([0.0, *(group["hi"] - group["lo"]) / (2 * Z)])
            steps = [0.0, *group["strength"]]
            total += len(steps) - 1
            for i in np.flatnonzero(np.diff(value) < -Z * np.hypot(error[1:], error[:-1])):
                found.append({"metric": name, "task": task, "from": steps[i], "to": steps[i + 1]})
    return pd.DataFrame(found, columns=["metric", "task", "from", "to"]), total


def parted(moved: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Return pairs of disturbances of which `a` calls the first worse and `b` the second, both surely.

    The surest pair of each two kinds is taken.

    Columns `worse by a`, `worse by b` and `z`: of the two differences the smaller, in standard errors.
    """
    levels = at_most(moved, (a, b))
    names = [label(*row) for row in levels[a][["task", "strength"]].itertuples(index=False)]
    kinds = levels[a]["task"].tolist()

    def sure(metric: str, i: int, j: int) -> float:
        x = levels[metric]
        se = (x["hi"] - x["lo"]).to_numpy(float)[[i, j]] / (2 * Z)
        return float((x["value"].iloc[i] - x["value"].iloc[j]) / max(np.hypot(*se), 1e-12))

    found = [
        {
            "kinds": (kinds[i], kinds[j]),
            f"worse by {a}": names[i],
            f"worse by {b}": names[j],
            "z": min(sure(a, i, j), sure(b, j, i)),
        }
        for i, j in permutations(range(len(names)), 2)
    ]
    table = pd.DataFrame(found, columns=["kinds", f"worse by {a}", f"worse by {b}", "z"])
    table = table[table["z"] > Z].sort_values("z", ascending=False).drop_duplicates("kinds")
    return table.drop(columns="kinds").reset_index(drop=True)


def at_most(moved: pd.DataFrame, metrics: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return of each metric the disturbances' changes at the largest n, all in one order."""
    most = moved[(moved["n"] == moved["n"].max()) & (moved["task"] != "model")]
    return {name: most[most["metric"] == name].reset_index(drop=True) for name in metrics}
