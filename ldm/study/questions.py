"""The questions of the two lessons, with what is right and why: all from the numbers of `ldm.study.lessons`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldm.metrics.catalogue import brief, metric_of
from ldm.networks.family import table1
from ldm.statistics.budget import steps_within
from ldm.study.lessons import Lessons


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


def first_lesson(of: Lessons) -> dict[str, Question]:
    """Return the questions of the lesson about steps and size."""
    small, large = of.sizes[0], of.sizes[-1]
    unit, metric = of.steps_cost, of.metrics[0]
    title, sign = brief(metric), 1 if metric_of(metric).better == "lower" else -1
    few = of.best[(of.best["size"] == large) & (of.best["steps"] == of.few)].iloc[0]
    spread = float(of.best["value"].max() - of.best["value"].min())
    names = tuple(f"c = {c}" for c in of.sizes)
    settled, counts = of.settled, sorted(set(of.best["steps"].astype(int)))
    most = int(settled["enough steps"])
    around = counts[max(0, counts.index(most) - 1) : counts.index(most) + 2]
    winner, verdict = of.winner, of.f3[0]
    return {
        "steps": number(
            f"How many steps of c = {small} cost as much as 5 steps of c = {large}?",
            steps_within(5 * unit[large], unit[small]),
            f"5 x {unit[large]:.3g} / {unit[small]:.3g} = {5 * unit[large] / unit[small]:.1f}.",
            right=0.03,
            near=0.25,
        ),
        "read": Question(
            ask=f"Read it off the chart: what is the best {title} of c = {large} with {of.few} steps?",
            answer=sign * float(few["value"]),
            right=0.03 * spread,
            near=0.1 * spread,
            why=f"It is {sign * few['value']:.3g}, at guidance {few['guidance']:g}. ({of.few} steps of c = {large} cost"
            f" {of.few * unit[large]:.2g}.)",
        ),
        "winner": Question(
            ask=f"With a budget of {of.small_budget:.2g}, which size has the best {title}?",
            answer=f"c = {int(winner['size'])}",
            choices=names,
            why=f"c = {int(winner['size'])} with {int(winner['steps'])} steps. The chance that it is truly the best"
            f" is {winner['chance']:.0%}.",
        ),
        "enough": Question(
            ask=f"How few steps are enough for c = {settled['c']}, as far as these pictures can tell?",
            answer=float(most),
            right=0.0,
            near=float(max(abs(count - most) for count in around)),
            why=f"{most} steps may be as good as its best count, {settled['best steps']} steps."
            if most < counts[-1]
            else f"All {most}: no count below the largest one that was measured may be as good.",
        ),
        "verdict": Question(
            ask=f"Small budgets begin with the fewest steps of c = {large} and span two doublings. Is a smaller model"
            " better there? (Surely means: over more than half of that range.)",
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
            f"Intervals shrink with the root of n: {paired.n} x ({narrow:.3g} / {abs(paired.value):.3g})² = {needed}."
            " That is for an even chance; for four times in five it takes twice as many. (FD needs more pictures"
            " than it has directions, of which there are dozens.)",
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
                f"{brief(name)}: {', '.join(map(str, order))}" for name, order in of.ranks.itertuples(index=False)
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


def _gap(row: Any) -> str:
    return f"{brief(row.metric)} {row.gap:+.3g}, interval {row.lo:+.3g} to {row.hi:+.3g}"


def letters(sizes: Sequence[int]) -> dict[str, int]:
    """Return the sizes in a shuffled order under letters, the same in every build: what a class has to tell apart."""
    shuffled = np.random.default_rng(7).permutation(list(sizes))
    return {chr(ord("A") + i): int(c) for i, c in enumerate(shuffled)}
