"""The numbers of the two lessons, from recorded rows: what their questions (`ldm.study.questions`) and charts need.

A lesson takes a profile and reads the rows that are recorded of it, so its numbers move with the edition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from ldm.metrics import Estimate, Z
from ldm.profile import Profile
from ldm.statistics import optimum, verdicts
from ldm.statistics.bootstrap import Influences, lower_is_better, replicates
from ldm.statistics.budget import affordable, step_price, steps_within
from ldm.statistics.frontier import frontier
from ldm.study import findings, recorded
from ldm.study.results import Store

SMALL_BUDGET = 2  # steps of the largest model that a small budget of the lesson buys


class Pair(NamedTuple):
    """Two settings of one size whose intervals overlap, and their difference (second less first) in two ways."""

    rows: pd.DataFrame
    paired: Estimate
    unpaired: Estimate


@dataclass(frozen=True)
class Lessons:
    """The recorded rows of a profile, and what the lessons ask of them."""

    profile: Profile
    store: Store

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the lessons; the first is the one on the charts."""
        return findings.COUNTED

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The grid by DDIM of one training a size. Raises: ValueError where it has fewer than two sizes."""
        profile = self.profile
        rows = recorded.by_level(self.store, profile, [profile.level], profile.n)
        chosen = (rows["seed"] == 0) & rows["c"].isin(profile.family) & rows["metric"].isin(self.metrics)
        rows = rows[chosen].reset_index(drop=True)
        if rows["c"].nunique() < 2:
            raise ValueError(
                f"The lessons need the grid of two sizes of {profile.name}, and {rows['c'].nunique()} are recorded; run"
                f" `make notebook N=04_sampling PROFILE={profile.name}`, or teach from another profile."
            )
        return rows

    @cached_property
    def influences(self) -> dict[str, Influences]:
        """The influences of each metric's rows, of all trainings."""
        rows = self.trained
        return {name: self.store.influences(rows[rows["metric"] == name], name) for name in self.metrics}

    @property
    def sizes(self) -> list[int]:
        """The sizes of the grid, smallest first."""
        return sorted(int(c) for c in self.rows["c"].unique())

    @cached_property
    def steps_cost(self) -> dict[int, float]:
        """The cost of one step by size, in the paper's unit."""
        return {int(c): float(price) for c, price in step_price(self.rows).groupby(self.rows["c"]).first().items()}

    @cached_property
    def few(self) -> int:
        """The step count nearest to four that every size has. Raises: ValueError where they share none."""
        by_size = self.rows.groupby("c")["steps"].agg(lambda steps: set(map(int, steps)))
        if not (shared := set.intersection(*by_size)):
            raise ValueError(f"The sizes of {self.profile.name} share no step count; run more cells of the grid.")
        return min(shared, key=lambda steps: (abs(steps - verdicts.FEWEST), steps))

    @property
    def small_budget(self) -> float:
        """A small sampling budget: what few steps of the largest size cost."""
        return SMALL_BUDGET * self.steps_cost[self.sizes[-1]]

    def affordable(self, c: int, budget: float) -> int:
        """Return the most steps of a size within a budget, whether the grid has that count or not."""
        return steps_within(budget, self.steps_cost[c])

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best guidance of each size and step count by the first metric; lower is better."""
        rows = lower_is_better(self.rows, self.metrics[0])
        return rows.loc[rows.groupby(["size", "steps"])["value"].idxmin()].reset_index(drop=True)

    @cached_property
    def winner(self) -> pd.Series:
        """The best setting within the small budget, with `chance` that its size is truly the best there."""
        known = self.influences[self.metrics[0]]
        return frontier(self.best, [self.small_budget], influences=known).iloc[0]

    @cached_property
    def within(self) -> pd.DataFrame:
        """The best setting of each size within the small budget, smallest size first."""
        rows = self.best[affordable(self.best["cost"], self.small_budget)]
        return rows.loc[rows.groupby("size")["value"].idxmin()].sort_values("size", ignore_index=True)

    @cached_property
    def trained(self) -> pd.DataFrame:
        """The grid with all trainings that are whole, which the comparisons of sizes pool as their chapter does."""
        return recorded.with_trainings(self.store, self.rows)

    @cached_property
    def f3(self) -> list[verdicts.Verdict]:
        """F3 by each metric, with all step counts."""
        return [verdicts.f3(self.trained, name, self.influences[name]) for name in self.metrics]

    @cached_property
    def enough(self) -> pd.DataFrame:
        """The fewest steps of each size that cannot be told from its best, by the first metric."""
        return optimum.enough_steps(self.rows, self.metrics[0], self.influences[self.metrics[0]])

    @property
    def settled(self) -> pd.Series:
        """The line of `enough` of the largest size that needs fewer steps than were measured; else of the largest."""
        table = self.enough[["c", "enough steps", "best steps"]].astype(int).sort_values("c")
        settled = table[table["enough steps"] < self.best["steps"].max()]
        return (settled if len(settled) else table).iloc[-1]

    @cached_property
    def pair(self) -> Pair:
        """Two neighbouring step counts of one size and guidance: intervals overlap, the paired difference is sure.

        Each size is asked at its best guidance. Pairs that unpaired intervals cannot tell apart come first; of them the
        one whose paired difference is surest is taken.
        Raises: ValueError where there is none.
        """
        metric = self.metrics[0]
        rows, influences = lower_is_better(self.rows, metric), self.influences[metric]
        usual = self.best.loc[self.best.groupby("size")["value"].idxmin()].set_index("size")["guidance"]
        rows, found = rows[rows["guidance"] == rows["size"].map(usual)], []
        for _, group in rows.groupby("c"):
            group = group.sort_values("steps", ignore_index=True)
            drawn = replicates(group, influences)
            for i in range(len(group) - 1):
                two = group.iloc[[i, i + 1]]
                apart = two["lo"].max() > two["hi"].min()
                gap, error = two["value"].diff().iloc[1], (drawn[i + 1] - drawn[i]).std()
                if apart or abs(gap) <= Z * error:
                    continue
                halves = (two["hi"] - two["lo"]).to_numpy(float) / 2
                n, both = int(two["n"].min()), float(np.hypot(*halves) / Z)
                found.append(
                    (
                        abs(gap) > Z * both,
                        error / abs(gap),
                        Pair(two, Estimate.of(gap, error, n), Estimate.of(gap, both, n)),
                    )
                )
        if not found:
            raise ValueError(f"No two settings of {self.profile.name} overlap and differ surely; record more settings.")
        return min(found, key=lambda one: one[:2])[2]

    @cached_property
    def trainings(self) -> pd.DataFrame:
        """Two trainings of the smallest size that has two, by each metric, in its most steps; empty where none has.

        Both are drawn at the guidance that is best for the first. Columns `metric`, `c`, `steps`, `guidance`, `first`,
        `second`, `gap`, `lo`, `hi` (paired over pictures) and `sure`.
        """
        columns = ["metric", "c", "steps", "guidance", "first", "second", "gap", "lo", "hi", "sure"]
        known = self.trained.groupby("c")["seed"].nunique()
        several = known.index[known > 1]
        if several.empty:
            return pd.DataFrame(columns=columns)
        of_size = self.best[self.best["size"] == int(several.min())]
        at = of_size.loc[of_size["steps"].idxmax()]
        same = (self.trained[["c", "steps", "guidance"]] == at[["c", "steps", "guidance"]]).all(axis=1)
        rows, found = self.trained[same], []
        for metric in self.metrics:
            two = rows[rows["metric"] == metric].sort_values("seed").head(2)
            drawn = replicates(two, self.store.influences(two, metric))
            a, b = two["value"].to_numpy(float)
            gap = Estimate.of(b - a, (drawn[1] - drawn[0]).std(), int(two["n"].min()))
            sure = gap.lo > 0 or gap.hi < 0
            found.append((metric, int(at["c"]), int(at["steps"]), float(at["guidance"]), a, b, *gap[:3], sure))
        return pd.DataFrame(found, columns=columns)

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Rank the sizes at `few` steps by each metric, each size at its own best guidance.

        Columns `metric` and `order`: the sizes, best first.
        """
        found = []
        for metric in self.metrics:
            rows = lower_is_better(self.rows, metric)
            best = rows[rows["steps"] == self.few].groupby("size")["value"].min().sort_values()
            found.append((metric, [int(c) for c in best.index]))
        return pd.DataFrame(found, columns=["metric", "order"])
