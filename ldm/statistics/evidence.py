"""What a verdict is asked of: one metric's rows, pooled over training seeds, and replicates of their values.

A value moves for two reasons: other captions and noise might have been drawn, and the same model might have been
trained from another seed. Replicates hold both. The first comes from the pictures' influences, which all settings share
(`ldm.statistics.bootstrap`). The second is one number for each model and replicate, shared by all settings of a model,
as if a lucky training were lucky at every step count; how much it then moves the value is known for each step count.
That is a simplification (`book/protocol.md`): it is right for comparisons of models, and says nothing of comparisons of
settings within one. The luck of training can be counted in other ways (`Luck` in `ldm.statistics.scatter`), to see what
an answer owes to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float

from ldm.metrics import Estimate, Z
from ldm.statistics.bootstrap import REPLICATES, Influences, basic, lower_is_better, of_all, replicates
from ldm.statistics.budget import affordable
from ldm.statistics.refusal import NotAsked
from ldm.statistics.scatter import RULE, Luck, Spread, scatter_of, tails
from ldm.statistics.settings import SETTING, present


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Rows of one metric, one a setting, lower is better, with what their values might have been.

    `rows` has `value` (mean over training seeds), `size` (c), `seeds` (how many trainings the mean is of) and the
    columns of `ldm.study.rows.Row`; `replicates` (rows, REPLICATES) has a line a row.
    """

    metric: str
    rows: pd.DataFrame
    replicates: Float[np.ndarray, "rows replicates"]
    scatter: Spread | None  # of trainings that differ in their seed alone, as a share of the value; None: not known

    @classmethod
    def of(
        cls, rows: pd.DataFrame, metric: str, influences: Influences | None = None, *, luck: Luck = RULE
    ) -> Evidence:
        """Pool the rows of a metric over seeds, and draw the replicates; luck: how the luck of training is counted.

        A setting that one of its model's seeds lacks is left out: a setting with fewer trainings would win by luck.
        Raises: NotAsked for a metric without rows, and where no setting has all of a model's seeds; ValueError for rows
        that may not be compared.
        """
        rows = lower_is_better(rows, metric)
        pooled, together = _pooled(rows, influences or {})
        scatter = scatter_of(rows, luck)
        return cls(metric=metric, rows=pooled, replicates=_replicates(pooled, together, scatter), scatter=scatter)

    @cached_property
    def values(self) -> Float[np.ndarray, " rows"]:
        """The value of each row."""
        return self.rows["value"].to_numpy(float)

    @property
    def sizes(self) -> list[int]:
        """The base filter counts, small to large."""
        return sorted(set(self.rows["size"]))

    @property
    def n(self) -> int:
        """The least number of pictures behind a value of one training."""
        return int(self.rows["n"].min())

    @property
    def trainings(self) -> str:
        """How many trainings of each size there are, in words: one, or several that are pooled."""
        seeds = sorted(set(self.rows["seeds"]))
        many = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
        return (
            "one training a size, so the interval does not cover training again"
            if many == "1"
            else f"{many} trainings a size"
        )

    @property
    def spread(self) -> str:
        """How far trainings scatter that differ in their seed alone, in words; empty where that is not known."""
        return f"trainings scatter by {self.scatter.shares} of the value" if self.scatter else ""

    def sd(self, drawn: Float[np.ndarray, "*m replicates"]) -> Float[np.ndarray, " *m"]:
        """Return the standard deviation of each line of replicates.

        Where the scatter of trainings is part of them, it is read off their middle 95 %: known from two or three
        trainings, it has Student's tails, of which no variance exists.
        """
        if self.scatter is None:
            return drawn.std(-1)
        lo, hi = np.quantile(drawn, [0.025, 0.975], axis=-1)
        return (hi - lo) / (2 * Z)

    def best_within(self, cost: Float[np.ndarray, " rows"], budgets: Sequence[float] | np.ndarray) -> list[int]:
        """Return the place of the row with the lowest value among those that each budget affords."""
        return [int(np.where(affordable(cost, budget), self.values, np.inf).argmin()) for budget in budgets]

    def where(self, keep: pd.Series | np.ndarray) -> Evidence:
        """Return the rows that a mask keeps, with their replicates."""
        keep = np.asarray(keep, bool)
        return replace(self, rows=self.rows[keep].reset_index(drop=True), replicates=self.replicates[keep])

    def estimate(self, value: float, drawn: Float[np.ndarray, " replicates"]) -> Estimate:
        """Return a number computed from the values with its interval (`ldm.statistics.bootstrap.basic`)."""
        return basic(value, drawn, self.n)


def _pooled(rows: pd.DataFrame, influences: Influences) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return one row a setting, and the mean influence of each picture on it where they are known."""
    if "seed" not in rows:
        return rows.assign(seeds=1), dict(influences)
    setting = rows.groupby(present(rows, *SETTING), dropna=False, sort=False)
    rows = rows.assign(place=setting.ngroup())
    twice = rows.duplicated(["place", "seed"])
    if twice.any():
        same = rows[rows["place"] == rows.loc[twice, "place"].iloc[0]]
        raise ValueError(
            f"Two rows are of one setting and training (n = {sorted(set(same['n']))}); pass the rows of one n alone."
        )
    if rows["seed"].nunique() < 2:
        return rows.drop(columns="place").assign(seeds=1), dict(influences)
    of_model = rows.groupby(present(rows, "profile", "size", "task", "images_seen"), dropna=False)["seed"]
    rows = rows[setting["seed"].transform("nunique") >= of_model.transform("nunique")]
    if rows.empty:
        raise NotAsked(
            "No setting was evaluated for every training seed of its size; evaluate the seeds at the same settings."
        )
    group = rows.assign(half=(rows["hi"] - rows["lo"]) / 2).groupby("place")
    pooled = rows.drop_duplicates("place").drop(columns="place").reset_index(drop=True)
    value, half = (group[name].mean().to_numpy(float) for name in ("value", "half"))
    pooled["value"], pooled["seeds"], pooled["n"] = value, group.size().to_numpy(), group["n"].min().to_numpy()
    pooled["lo"], pooled["hi"] = value - half, value + half  # as if the trainings shared all their luck with pictures
    together = {}
    if influences:
        for key, (_, same) in zip(pooled["key"], group, strict=True):
            if (known := of_all(same, influences)) is not None:
                together[key] = known.mean(0)
    return pooled, together


def _replicates(rows: pd.DataFrame, influences: Influences, scatter: Spread | None) -> np.ndarray:
    drawn = replicates(rows, influences)
    if scatter is None:
        return drawn
    rng, each = np.random.default_rng(1), scatter.each(rows)  # apart from the pictures' luck
    wide = tails({one.dof for one in each}, rng)
    models = rows[present(rows, "profile", "size", "task")].astype(str).agg("-".join, axis=1)
    lucky = {name: rng.standard_normal(REPLICATES) for name in sorted(set(models))}
    luck = np.stack([lucky[name] * wide[one.dof] for name, one in zip(models, each, strict=True)])
    luck /= np.sqrt(rows["seeds"].to_numpy(float))[:, None]
    return drawn + (np.abs(rows["value"].to_numpy(float)) * scatter.at(rows))[:, None] * luck
