"""The numbers of the two lessons, computed from recorded rows: what is asked, what is right, and what the charts need.

A lesson takes a profile and reads the rows that are recorded of it, so its numbers move with the edition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from ldm.metrics import Estimate, Z
from ldm.metrics.catalogue import metric_of, short
from ldm.networks.family import table1
from ldm.profiles import Profile
from ldm.statistics import optimum, verdicts
from ldm.statistics.bootstrap import Influences, lower_is_better, replicates
from ldm.statistics.frontier import frontier
from ldm.study.results import Store

PLAIN, DECODED = ("kid_effnet", "kid_scene", "alignment"), ("kid_effnet_decoded", "fd_scene_decoded", "alignment")
FEW = 4  # the paper's least number of steps
SMALL = 2  # steps of the largest model that a small budget of the lesson buys


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with its answer: a number and how near is near enough, or one of several choices.

    `right` and `near` are distances from the answer within which a number counts as right, and as nearly right.
    """

    ask: str
    answer: float | str
    why: str
    right: float = 0.0
    near: float = 0.0
    choices: tuple[str, ...] = ()

    def __post_init__(self):
        if self.choices and self.answer not in self.choices:
            raise ValueError(f"answer = {self.answer!r}: expected one of the choices, {', '.join(self.choices)}.")
        if not self.choices and not 0 <= self.right <= self.near:
            raise ValueError(f"right = {self.right}, near = {self.near}: expected 0 <= right <= near.")

    def judge(self, given: float | str) -> str:
        """Say whether what somebody answers is "right", "nearly" or "not"; the page does the same in JavaScript."""
        if self.choices:
            return "right" if given == self.answer else "not"
        off = abs(float(given) - float(self.answer)) * (1 - 1e-9)
        return "right" if off <= self.right else "nearly" if off <= self.near else "not"


def number(ask: str, answer: float, why: str, *, right: float = 0.02, near: float = 0.1) -> Question:
    """Return a question for a number; `right` and `near` are shares of it."""
    size = abs(float(answer))
    return Question(ask=ask, answer=float(answer), why=why, right=right * size, near=near * size)


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
        return DECODED if self.profile.decoded else PLAIN

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The grid by DDIM of one training a size. Raises: ValueError where it has fewer than two sizes."""
        profile = self.profile
        rows = self.store.rows(
            study="sampling",
            profile=profile.name,
            images_seen=profile.length,
            sampler="ddim",
            seed=0,
            steps=list(profile.steps),
            guidance=list(profile.guidance),
            level=[None, "all"] if profile.level == "all" else profile.level,
            c=list(profile.family),
        )
        rows = rows[rows.groupby("key")["n"].transform("max") == profile.n]
        rows = rows[rows["metric"].isin(self.metrics)].reset_index(drop=True)
        if rows["c"].nunique() < 2:
            raise ValueError(
                f"The lessons need the grid of two sizes of {profile.name}, and {rows['c'].nunique()} are recorded; run"
                f" `make notebook N=04_sampling PROFILE={profile.name}`, or teach from another profile."
            )
        return rows

    def influences(self, metric: str) -> Influences:
        return self.store.influences(self.rows[self.rows["metric"] == metric], metric)

    @property
    def sizes(self) -> list[int]:
        return sorted(int(c) for c in self.rows["c"].unique())

    @cached_property
    def steps_cost(self) -> dict[int, float]:
        """The cost of one step by size, in the paper's unit."""
        one = self.rows.assign(unit=self.rows["cost"] / self.rows["steps"].astype(float)).groupby("c")["unit"].first()
        return {int(c): float(unit) for c, unit in one.items()}

    @cached_property
    def few(self) -> int:
        """The step count nearest to four that every size has. Raises: ValueError where they share none."""
        by_size = self.rows.groupby("c")["steps"].agg(lambda steps: set(map(int, steps)))
        if not (shared := set.intersection(*by_size)):
            raise ValueError(f"The sizes of {self.profile.name} share no step count; run more cells of the grid.")
        return min(shared, key=lambda steps: (abs(steps - FEW), steps))

    @property
    def small_budget(self) -> float:
        return SMALL * self.steps_cost[self.sizes[-1]]

    def affordable(self, c: int, budget: float) -> int:
        """Return the most steps of a size within a budget, whether the grid has that count or not."""
        return int(budget / self.steps_cost[c] * (1 + 1e-9))

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best guidance of each size and step count by the first metric; lower is better."""
        rows = lower_is_better(self.rows, self.metrics[0])
        return rows.loc[rows.groupby(["size", "steps"])["value"].idxmin()].reset_index(drop=True)

    @cached_property
    def winner(self) -> pd.Series:
        """The best setting within the small budget, with `chance` that its size is truly the best there."""
        known = self.influences(self.metrics[0])
        return frontier(self.best, [self.small_budget], influences=known).iloc[0]

    @cached_property
    def within(self) -> pd.DataFrame:
        """The best setting of each size within the small budget, smallest size first."""
        rows = self.best[self.best["cost"] <= self.small_budget * (1 + 1e-9)]
        return rows.loc[rows.groupby("size")["value"].idxmin()].sort_values("size", ignore_index=True)

    @cached_property
    def f3(self) -> list[verdicts.Verdict]:
        """F3 by each metric, with all step counts."""
        return [verdicts.f3(self.rows, name, self.influences(name)) for name in self.metrics]

    @cached_property
    def enough(self) -> pd.DataFrame:
        return optimum.enough_steps(self.rows, self.metrics[0], self.influences(self.metrics[0]))

    @cached_property
    def pair(self) -> Pair:
        """Two neighbouring step counts of one size and guidance: intervals overlap, the paired difference is sure.

        Each size is asked at its best guidance. Pairs that unpaired intervals cannot tell apart come first; of them the
        one whose paired difference is surest is taken.
        Raises: ValueError where there is none.
        """
        metric = self.metrics[0]
        rows, influences = lower_is_better(self.rows, metric), self.influences(metric)
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
        """Two trainings of one size that differ in their seed alone, by each metric; empty where no size has two.

        Columns `metric`, `c`, `first`, `second`, `gap`, `lo`, `hi` (paired over pictures) and `sure`.
        """
        profile = self.profile
        rows = pd.concat(
            [
                self.store.rows(
                    study=study,
                    profile=profile.name,
                    images_seen=profile.length,
                    sampler="ddim",
                    seed=[0, 1],
                    level=[None, "all"] if profile.level == "all" else profile.level,
                    metric=list(self.metrics),
                )
                for study in ("pretraining", "sampling")
            ]
        )
        rows = rows[(rows["seed"] == 0) | rows["strength"].isna() | np.isclose(rows["strength"].astype(float), 0.1)]
        setting = ["study", "c", "steps", "guidance", "n", "metric"]
        rows = rows[rows.groupby(setting)["seed"].transform("nunique") == 2]
        if rows.empty:
            return pd.DataFrame(columns=["metric", "c", "first", "second", "gap", "lo", "hi", "sure"])
        least = rows.groupby(["c", "study", "n"])["steps"].max().index[0]
        rows = rows[(rows["c"] == least[0]) & (rows["study"] == least[1]) & (rows["n"] == least[2])]
        rows = rows[(rows["steps"] == rows["steps"].max())]
        rows, found = rows[rows["guidance"] == rows["guidance"].min()], []
        for metric in self.metrics:
            two = rows[rows["metric"] == metric].sort_values("seed").drop_duplicates("seed")
            drawn = replicates(two, self.store.influences(two, metric))
            a, b = two["value"].to_numpy(float)
            gap = Estimate.of(b - a, (drawn[1] - drawn[0]).std(), int(two["n"].min()))
            found.append((metric, int(least[0]), a, b, gap.value, gap.lo, gap.hi, gap.lo > 0 or gap.hi < 0))
        return pd.DataFrame(found, columns=["metric", "c", "first", "second", "gap", "lo", "hi", "sure"])

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


def first_lesson(of: Lessons) -> dict[str, Question]:
    """Return the questions of the lesson about steps and size."""
    small, large = of.sizes[0], of.sizes[-1]
    unit, metric = of.steps_cost, of.metrics[0]
    title, sign = short(metric), 1 if metric_of(metric).better == "lower" else -1
    few = of.best[(of.best["size"] == large) & (of.best["steps"] == of.few)].iloc[0]
    spread = float(of.best["value"].max() - of.best["value"].min())
    names = tuple(f"c = {c}" for c in of.sizes)
    enough = of.enough.set_index("c")
    most, counts = enough.loc[large, "enough steps"], sorted(set(of.best["steps"].astype(int)))
    around = counts[max(0, counts.index(int(most)) - 1) : counts.index(int(most)) + 2]
    winner, verdict = of.winner, of.f3[0]
    return {
        "steps": number(
            f"How many steps of c = {small} cost as much as 5 steps of c = {large}?",
            int(5 * unit[large] / unit[small] * (1 + 1e-9)),
            f"5 x {unit[large]:.3g} / {unit[small]:.3g} = {5 * unit[large] / unit[small]:.1f}.",
            right=0.03,
            near=0.25,
        ),
        "read": Question(
            ask=f"Read it off the chart: what is the best {title} of c = {large} with {of.few} steps?",
            answer=sign * float(few["value"]),
            right=0.03 * spread,
            near=0.1 * spread,
            why=f"It is {sign * few['value']:.3g}, at guidance {few['guidance']:g}. (Hover over the point.)",
        ),
        "winner": Question(
            ask=f"With a budget of {of.small_budget:.2g}, which size has the best {title}?",
            answer=f"c = {int(winner['size'])}",
            choices=names,
            why=f"c = {int(winner['size'])} with {int(winner['steps'])} steps. The chance that it is truly the best"
            f" is {winner['chance']:.0%}.",
        ),
        "enough": Question(
            ask=f"How few steps are enough for c = {large}, as far as these pictures can tell?",
            answer=float(most),
            right=0.0,
            near=float(max(abs(count - most) for count in around)),
            why=f"{int(most)} steps may be as good as its best count, {int(enough.loc[large, 'best steps'])} steps.",
        ),
        "verdict": Question(
            ask="Small budgets buy one to four steps of the largest model. Is a smaller model better there?",
            answer={"holds": "yes, surely", "fails": "no, surely not", "undecided": "one cannot tell"}[verdict.answer],
            choices=("yes, surely", "no, surely not", "one cannot tell"),
            why=f"By {title} the advantage of the best smaller model is {verdict.effect.value:.1%} of the value, with a"
            f" 95 % interval of {verdict.effect.lo:.1%} to {verdict.effect.hi:.1%}: {verdict.detail}.",
        ),
    }


def second_lesson(of: Lessons) -> dict[str, Question]:
    """Return the questions of the lesson about differences; those about trainings only where two are recorded."""
    (_, a), (_, b) = of.pair.rows.iterrows()
    halves = [(row["hi"] - row["lo"]) / 2 for row in (a, b)]
    paired, unpaired = of.pair.paired, of.pair.unpaired
    wide, narrow = unpaired.hi - unpaired.value, paired.hi - paired.value
    grid = len(of.best)
    orders = of.ranks["order"]
    agree = sum(order[0] == of.sizes[-1] for order in orders)
    needed = int(paired.n * (narrow / abs(paired.value)) ** 2) + 1
    paper = table1().set_index("name")
    odd, full = paper.loc["39M"], paper.loc["866M"]
    found = {
        "unpaired": number(
            "Suppose that the two settings drew different captions. How far does the 95 % interval of their difference"
            " reach to either side?",
            wide,
            f"Errors add as squares: √({halves[0]:.3g}² + {halves[1]:.3g}²) = {wide:.3g}. (Adding them plainly gives"
            f" {sum(halves):.3g}, which is too much.)",
            right=0.03,
            near=max(0.15, 1.01 * (sum(halves) / wide - 1)),
        ),
        "ratio": number(
            "Both settings drew the same captions from the same noise. How many times narrower is the paired interval?",
            wide / narrow,
            f"{wide:.3g} / {narrow:.3g} = {wide / narrow:.1f}.",
            right=0.05,
            near=0.2,
        ),
        "needed": number(
            "How few pictures would have been enough for a paired interval that just leaves out zero?",
            needed,
            f"Intervals shrink with the root of n: {paired.n} x ({narrow:.3g} / {abs(paired.value):.3g})² = {needed}.",
            right=0.1,
            near=0.4,
        ),
        "luck": number(
            f"The chart of this study has {grid} points (sizes x steps). If nothing differed, how many of {grid} such"
            " 95 % intervals would leave out zero by luck?",
            0.05 * grid,
            f"One in twenty: 0.05 x {grid} = {0.05 * grid:.1f}.",
            right=0.2,
            near=0.5,
        ),
        "metrics": Question(
            ask=f"With {of.few} steps, how many of the {len(orders)} metrics name the largest model as the best?",
            answer=float(agree),
            near=1.0,
            why="; ".join(
                f"{short(name)}: {', '.join(map(str, order))}" for name, order in of.ranks.itertuples(index=False)
            )
            + " (best first).",
        ),
        "row": Question(
            ask="One number of Table 1 contradicts its own row. In the row of which model?",
            answer="39M",
            choices=tuple(paper.index),
            why="Divide each GFLOPS by that of 866M, and compare with the normalised cost. In ten rows the two agree."
            f" In the row of 39M the quotient is {odd.gflops_paper / full.gflops_paper:.2f}, and the cost is"
            f" {odd.norm_cost_paper:.2f}.",
        ),
        "table": Question(
            ask="What should the wrong number be, about?",
            answer=float(odd.gflops),
            right=float(full.gflops_paper * 0.005 + abs(odd.gflops - full.gflops_paper * odd.norm_cost_paper)),
            near=float(0.25 * odd.gflops),
            why=f"The cost of 39M is printed as {odd.norm_cost_paper:.2f} of 866M's: {odd.norm_cost_paper:.2f} x"
            f" {full.gflops_paper:g} = {odd.norm_cost_paper * full.gflops_paper:.0f}, and not {odd.gflops_paper:g}."
            f" Counting layer by layer gives {odd.gflops:.1f}.",
        ),
    }
    twins = of.trainings
    if len(twins):
        found["seeds"] = Question(
            ask=f"Two trainings of c = {twins['c'].iloc[0]} differ in their seed alone. How many of the"
            f" {len(twins)} metrics tell their pictures apart?",
            answer=float(twins["sure"].sum()),
            near=1.0,
            why="; ".join(_gap(row) for row in twins.itertuples()) + ".",
        )
    return found


def _gap(row) -> str:
    return f"{short(row.metric)} {row.gap:+.3g}, interval {row.lo:+.3g} to {row.hi:+.3g}"


def letters(sizes: Sequence[int], seed: int = 7) -> dict[str, int]:
    """Return the sizes in a shuffled order under letters, the same in every build: what a class has to tell apart."""
    shuffled = np.random.default_rng(seed).permutation(list(sizes))
    return {chr(ord("A") + i): int(c) for i, c in enumerate(shuffled)}
