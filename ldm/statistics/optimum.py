"""The best of several settings, and the settings that cannot be told from it.

The lowest of many measured values is partly luck, so naming one best setting says too much. A *confidence
set* (Hansen, Lunde and Nason 2011) holds the truly best setting with 95 % certainty: starting from all, the
worst is left out as long as it is worse than the others' mean by more than chance explains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ldm.metrics import Estimate
from ldm.metrics.catalogue import metric_of
from ldm.statistics.bootstrap import Influences, lower_is_better, of_one_training, replicates
from ldm.statistics.budget import affordable
from ldm.statistics.evidence import Evidence


def confidence_set(rows: pd.DataFrame, influences: Influences | None = None, *, level: float = 0.95) -> np.ndarray:
    """Return which of the rows (`value`, lower is better) may be the best: bool (rows,); the lowest always may.

    Paired where the influences are given, see `ldm.statistics.bootstrap.replicates`.
    """
    values = rows["value"].to_numpy(float)
    noise = replicates(rows, influences) - values[:, None]
    kept = np.arange(len(rows))
    while len(kept) > 1:
        gap = values[kept] - values[kept].mean()
        spread = noise[kept] - noise[kept].mean(0)
        error = np.maximum(spread.std(1), 1e-12 + 1e-9 * np.abs(values[kept]))  # equal rows differ by rounding alone
        bound = np.quantile((spread / error[:, None]).max(0), level)
        worst = int((gap / error).argmax())
        if gap[worst] / error[worst] <= bound:
            break
        kept = np.delete(kept, worst)
    return np.isin(np.arange(len(rows)), [*kept, values.argmin()])


def best_guidance(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> pd.DataFrame:
    """Find for each size and step count the row of the best guidance, with `tied`: all that may be the best, in order.

    `value`, `lo` and `hi` are turned so that lower is better (`ldm.statistics.bootstrap.lower_is_better`).
    """
    rows, found = of_one_training(rows, metric), []
    for _, group in rows.groupby(["c", "steps"]):
        inside = group[confidence_set(group, influences)]
        found.append(group.loc[group["value"].idxmin()].to_dict() | {"tied": sorted(inside["guidance"])})
    return pd.DataFrame(found)


def enough_steps(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> pd.DataFrame:
    """Find for each size the fewest steps, at their best guidance, that may be as good as its best step count.

    `loss` is an Estimate of how much worse they are than that, in the metric's unit: the set guards against many
    comparisons, so a small loss may stand in it whose own interval excludes 0.
    """
    rows = of_one_training(rows, metric)
    sign = 1 if metric_of(metric).better == "lower" else -1
    found = []
    for size, group in rows.groupby("size"):
        group = group.loc[group.groupby("steps")["value"].idxmin()].sort_values("steps", ignore_index=True)
        first, top = int(confidence_set(group, influences).argmax()), int(group["value"].argmin())
        drawn, few, many = replicates(group, influences), group.loc[first], group.loc[top]
        gap = Estimate.of(few["value"] - many["value"], (drawn[first] - drawn[top]).std(), int(few["n"]))
        found.append(
            {
                "c": size,
                "enough steps": few["steps"],
                "guidance": few["guidance"],
                metric: sign * few["value"],
                "best steps": many["steps"],
                f"{metric} there": sign * many["value"],
                "loss": gap,
            }
        )
    return pd.DataFrame(found)


def more_steps(rows: pd.DataFrame, metric: str, influences: Influences | None, few: int, many: int) -> pd.DataFrame:
    """Say for each size by how much `many` steps are better than `few`, at their best guidance, all trainings pooled.

    Columns `c`, `few` and `many` (mean values, lower is better), `trainings`, and `better`, an Estimate: the gain as a
    share of the value in few steps. Its interval is the wider of two: over pictures, which all settings share, and,
    where a size was trained several times, Student's over the trainings. Sizes that lack either count are left out.
    """
    evidence = Evidence.of(rows, metric, influences, luck="none")
    pooled, values, single, found = evidence.rows, evidence.values, lower_is_better(rows, metric), []
    for size in evidence.sizes:
        at = [np.flatnonzero((pooled["size"] == size) & (pooled["steps"] == steps)) for steps in (few, many)]
        if not all(map(len, at)):
            continue
        a, b = (places[values[places].argmin()] for places in at)
        first, last = float(values[a]), float(values[b])
        share, drawn = abs(first), evidence.replicates
        better = evidence.estimate((first - last) / share, (drawn[a] - drawn[b]) / share)
        of = [
            single[(single["size"] == size) & (single["steps"] == steps) & (single["guidance"] == guidance)]
            for steps, guidance in pooled.loc[[a, b], ["steps", "guidance"]].itertuples(index=False)
        ]
        one, other = (part.set_index("seed")["value"].astype(float) for part in of)
        gains = ((one - other) / share).dropna().to_numpy()
        if len(gains) > 1:
            half = max(one.hi - one.lo for one in (Estimate.of_few(gains), better)) / 2
            better = Estimate(better.value, better.value - half, better.value + half, better.n)
        found.append({"c": size, "few": first, "many": last, "trainings": len(gains), "better": better})
    return pd.DataFrame(found)


def within(rows: pd.DataFrame, metric: str, budgets: Sequence[float]) -> pd.DataFrame:
    """Return the best setting that each size can afford within each budget: the row of it, with `budget`."""
    rows, found = of_one_training(rows, metric), []
    for budget in budgets:
        inside = rows[affordable(rows["cost"], budget)]
        found.append(inside.loc[inside.groupby("c")["value"].idxmin()].assign(budget=budget))
    return pd.concat(found, ignore_index=True)
