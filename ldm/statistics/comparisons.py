"""Comparisons behind the verdicts: sampler against sampler, student against teacher, each size against the next.

They say by how much and from where on, with intervals, and decide nothing. Paired where the pictures' influences
are given (`ldm.statistics.bootstrap.replicates`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ldm.metrics import Estimate
from ldm.statistics.bootstrap import Influences, lower_is_better, of_one_training, replicates
from ldm.statistics.budget import step_of_the_largest
from ldm.statistics.frontier import crossover


def paired(rows: pd.DataFrame, metric: str, one: str | float, other: str | float, by: str = "sampler") -> pd.DataFrame:
    """Return what both samplers (or values of another column) have, each at its best guidance.

    All rows of the one come first, then those of the other in that order.
    """
    rows = of_one_training(rows, metric)
    rows = rows.loc[rows.groupby([by, "size", "steps"])["value"].idxmin()]
    a, b = (rows[rows[by] == name].set_index(["size", "steps"]) for name in (one, other))
    shared = a.index.intersection(b.index)
    return pd.concat([a.loc[shared], b.loc[shared]]).reset_index()


def beside(
    rows: pd.DataFrame, metric: str, usual: str | float, influences: Influences | None = None, *, by: str = "sampler"
) -> pd.DataFrame:
    """Say by how much each sampler is worse than the usual one at every size and step count, in the metric's own unit.

    Columns `sampler`, `c`, `steps`, `worse`, `lo`, `hi`, `n`; negative: better. The interval is paired where the
    influences are given, and of the guidance values as chosen: each sampler at its best one. `by` names another
    column to compare by, in place of the sampler.
    """
    found = []
    for other in [name for name in rows[by].unique() if name != usual]:
        both = paired(rows, metric, usual, other, by)
        n, drawn = len(both) // 2, replicates(both, influences)
        gaps, errors = np.diff(both["value"].to_numpy(float).reshape(2, n), axis=0)[0], (drawn[n:] - drawn[:n]).std(1)
        for (_, row), gap, error in zip(both[:n].iterrows(), gaps, errors, strict=True):
            found.append((other, row["size"], int(row["steps"]), *Estimate.of(gap, error, int(row["n"]))))
    return pd.DataFrame(found, columns=[by, "c", "steps", "worse", "lo", "hi", "n"])


def in_words(gaps: pd.DataFrame) -> list[str]:
    """Return each gap of `beside` with its interval, and a star where that excludes 0."""
    star = np.where((gaps["lo"] > 0) | (gaps["hi"] < 0), " *", "")
    return [f"{g.worse:+.3g} [{g.lo:.3g}, {g.hi:.3g}]{mark}" for g, mark in zip(gaps.itertuples(), star, strict=True)]


def accelerations(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> pd.DataFrame:
    """Return how many times fewer steps a student needs for its quality than its teacher (the paper: about 5).

    `rows` as for `f6`. For each kind, size and step count of a student, at its best guidance: the fewest steps at which
    the teacher, at its best guidance for them, is as good, over the student's. Columns `task`, `c`, `steps`,
    `teacher steps`, `factor`, `lo`, `hi`, `n`; infinite where the teacher is as good at none.
    """
    rows = of_one_training(rows, metric)
    rows = rows.loc[rows.groupby(["task", "size", "steps"])["value"].idxmin()]
    found = []
    for (task, size, steps), one in rows[rows["task"] != "pretrain"].groupby(["task", "size", "steps"]):
        teacher = rows[(rows["task"] == "pretrain") & (rows["size"] == size)].sort_values("steps")
        value, drawn = accelerated(one, teacher, influences)
        lo, hi = np.quantile(drawn, [0.025, 0.975], method="nearest")
        n = int(min(one["n"].min(), teacher["n"].min()))
        found.append((task, size, steps, value, value / steps, lo / steps, hi / steps, n))
    return pd.DataFrame(found, columns=["task", "c", "steps", "teacher steps", "factor", "lo", "hi", "n"])


def accelerated(
    student: pd.DataFrame, teacher: pd.DataFrame, influences: Influences | None = None
) -> tuple[float, np.ndarray]:
    """Return the fewest steps at which a teacher is as good as its student, and the same in each replicate.

    student: one row. teacher: one row a step count, few to many. Infinite where the teacher is as good at none.
    """
    both, counts = pd.concat([student, teacher]), np.append(teacher["steps"].to_numpy(float), np.inf)

    def fewest(values: np.ndarray) -> np.ndarray:
        as_good = np.vstack([values[1:] <= values[0], np.ones(values.shape[1], bool)])
        return counts[as_good.argmax(0)]

    return float(fewest(both["value"].to_numpy(float)[:, None])[0]), fewest(replicates(both, influences))


def gains(rows: pd.DataFrame, metric: str, influences: Influences, *, over: str) -> pd.DataFrame:
    """Say by how much each row is better than the one of the task `over`, in the metric's unit, picture by picture.

    Columns `task`, `c`, `images_seen`, `steps`, `better`, `lo`, `hi`, `n`; negative: worse.
    Raises: ValueError where there is not one row of the task.
    """
    rows = lower_is_better(rows.assign(c=rows["c"].fillna(0)), metric)
    base = np.flatnonzero(rows["task"] == over)
    if len(base) != 1:
        raise ValueError(f"{len(base)} rows are of task {over!r}, expected one to compare with; keep one of them.")
    drawn, value = replicates(rows, influences), rows["value"].to_numpy(float)
    found = []
    for i in np.flatnonzero(rows["task"] != over):
        e = Estimate.of(value[base[0]] - value[i], (drawn[base[0]] - drawn[i]).std(), int(rows["n"][i]))
        found.append((rows["task"][i], rows["c"][i], rows["images_seen"][i], rows["steps"][i], *e))
    return pd.DataFrame(found, columns=["task", "c", "images_seen", "steps", "better", "lo", "hi", "n"])


def takeovers(rows: pd.DataFrame, metric: str, influences: Influences | None = None) -> pd.DataFrame:
    """Return the budget at which each size is overtaken by the next larger one, with its interval and chance.

    The last column counts the budget in steps of the largest size.
    """
    rows = of_one_training(rows, metric)
    sizes = sorted(set(rows["size"]))
    step = step_of_the_largest(rows)
    found = []
    for small, large in zip(sizes, sizes[1:], strict=False):
        c = crossover(rows, small, large, influences)
        line = {"from c": small, "to c": large, "budget": c.budget, "lo": c.lo, "hi": c.hi, "chance": c.chance}
        found.append(line | {f"steps of c = {sizes[-1]}": c.budget / step})
    return pd.DataFrame(found)
