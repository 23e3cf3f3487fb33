"""Racing: the best guidance of each setting, with pictures spent only where the answer is still open.

A full grid draws as many pictures for a hopeless guidance as for the best. A race (Maron and Moore 1994) draws
a few for every contender, keeps those that may be the best (`ldm.statistics.optimum`), draws more for these alone, and
ends when one is left or the pictures are. Every stage is made of ordinary cells: a race can be interrupted, finds what
others have run, and leaves rows that any chart can draw. A stage draws its first pictures again; what that costs is
counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from ldm.statistics.bootstrap import lower_is_better
from ldm.statistics.optimum import confidence_set
from ldm.study.results import Store
from ldm.study.run import run
from ldm.study.sampling import Evaluation, SamplingEvaluator


def stages(n: int) -> tuple[int, ...]:
    """Return the pictures a contender gets by stage: a quarter of the grid's number, as many, four times as many."""
    return tuple(sorted({max(16, n // 4), n, 4 * n}))


def race(
    contenders: Sequence[Evaluation],
    metric: str,
    *,
    store: Store,
    evaluator: SamplingEvaluator,
    stages: Sequence[int],
) -> pd.DataFrame:
    """Return the contenders' rows of the metric, each from the last stage it ran in, with `left`: may it be the best?

    Contenders differ in their guidance alone.
    All stages together keep the truly best one with 95 % certainty (Bonferroni). `value`, `lo` and `hi` are
    turned so that lower is better; `n` counts the pictures of the row, `drawn` those of all its stages.
    """
    level, racing, done = 1 - 0.05 / len(stages), list(contenders), []
    for n in stages:
        cells = {evaluator.key(cell): cell for cell in (replace(cell, n=n) for cell in racing)}
        rows = lower_is_better(
            run(cells.values(), store=store, evaluator=evaluator, title=f"race, {n} pictures each"), metric
        )
        left = confidence_set(rows, store.influences(rows, metric), level=level)
        done.append(rows.assign(left=left, pictures=n))
        racing = [cells[key] for key in rows["key"][left]]
        if len(racing) == 1:
            break
    ran = pd.concat(done, ignore_index=True)
    ran["drawn"] = ran.groupby("guidance")["pictures"].transform("sum")  # a metric may judge a part of them alone
    return ran.drop_duplicates("guidance", keep="last")


def races(
    contenders: Sequence[Evaluation], metric: str, *, store: Store, evaluator: SamplingEvaluator, stages: Sequence[int]
) -> pd.DataFrame:
    """Return one race for each sampler, size and step count among the contenders, one row each.

    Columns `sampler`, `c`, `steps`, `best` and `tied` (guidance values), `drawn` (pictures, those drawn again
    included) and `full` (pictures of the last stage for every contender).
    """
    groups: dict[Evaluation, list[Evaluation]] = {}  # by all but their guidance
    for cell in contenders:
        groups.setdefault(replace(cell, guidance=1.0), []).append(cell)
    found = []
    for setting, cells in groups.items():
        ran = race(cells, metric, store=store, evaluator=evaluator, stages=stages)
        left = ran[ran["left"]]
        found.append(
            (
                setting.sampler,
                setting.c,
                setting.steps,
                left.loc[left["value"].idxmin(), "guidance"],
                sorted(left["guidance"]),
                int(ran["drawn"].sum()),
                len(cells) * stages[-1],
            )
        )
    return pd.DataFrame(found, columns=["sampler", "c", "steps", "best", "tied", "drawn", "full"])
