"""The study of distilled models: cells, and what evaluates them, beside those of their teachers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from ldm import profiles
from ldm.data.scenes.captions import Level
from ldm.networks import cost
from ldm.profile import Profile
from ldm.statistics import optimum
from ldm.statistics.bootstrap import lower_is_better
from ldm.statistics.budget import step_price
from ldm.statistics.verdicts import called
from ldm.study import sampling
from ldm.tasks.distillation import methods as taught
from ldm.tasks.models import Model

if TYPE_CHECKING:
    from ldm.tasks.generate import Generator

NAMES = {
    "pretrain": "teacher",
    "continued": "teacher, trained on",
    "codi": "CoDi",
    "lcm": "LCM",
    "guided": "guidance told",  # the first of guided distillation's students, which makes all steps
}


CONSISTENT = ("codi", "lcm")  # whose students draw in any number of steps
STEPS = (1, 2, 4, 8)  # in which they are asked


@dataclass(frozen=True, kw_only=True)
class Distilled(sampling.Evaluation):
    """One point of a student; `images` and `seed` are its teacher's."""

    kind: str  # what was trained (`ldm.tasks.distillation.methods`)
    seen: int  # images that it saw

    def __post_init__(self):
        super().__post_init__()
        known = [kind for method in taught.METHODS for kind in taught.kinds(method)]
        if self.kind not in known:
            raise ValueError(f"kind = {self.kind!r}: expected one of {', '.join(known)}; choose among them.")
        lo, hi = profiles.get(self.profile).scales
        if self.kind != "continued" and not lo <= self.guidance <= hi:
            raise ValueError(
                f"guidance = {self.guidance}: students of profile {self.profile} know {lo:g} to {hi:g}; choose in"
                " between."
            )


def sampler_of(profile: Profile, kind: str) -> str:
    """Return the sampler that a kind is drawn by.

    Students are taught on trailing times (`ldm.tasks.distillation.flow`), and keep to them where their teacher, or one
    that is trained on, is drawn by others.
    """
    if kind in CONSISTENT:
        return "consistency"
    return "ddim-trailing" if taught.steps_of(kind) and profile.spacing != "trailing" else "ddim"


def distillation_grid(
    profile: Profile,
    kinds: Sequence[str],
    sizes: Sequence[int],
    steps: Sequence[int],
    guidance: Sequence[float],
    *,
    n: int | None = None,
    seed: int = 0,
    level: Level | None = None,
) -> list[Distilled]:
    """Return every kind x size x step count x guidance, each kind by the sampler that it was made for.

    A student of stage 2 makes the steps that it has learnt, and no others. No level: the profile's.
    """
    return [
        Distilled(
            study="distillation",
            profile=profile.name,
            c=c,
            images=profile.length,
            steps=s,
            guidance=float(g),
            n=n or profile.n,
            sampler=sampler_of(profile, kind),
            seed=seed,
            kind=kind,
            seen=taught.images_of(profile, kind),
            level=level or profile.level,
        )
        for kind in kinds
        for c in sizes
        for s in ([taught.steps_of(kind)] if taught.steps_of(kind) else steps)
        for g in guidance
    ]


def students_grid(
    profile: Profile,
    methods: Sequence[str],
    sizes: Sequence[int],
    steps: Sequence[int],
    guidance: Sequence[float],
    *,
    n: int | None = None,
) -> list[Distilled]:
    """Return the grid of all students by these methods.

    It leaves out the first stage of guided distillation, which saves no step.
    """
    kinds = [kind for method in methods for kind in taught.kinds(method) if kind != "guided"]
    return distillation_grid(profile, kinds, sizes, steps, guidance, n=n)


def teachers_grid(
    profile: Profile, sizes: Sequence[int], guidance: Sequence[float], *, n: int | None = None
) -> list[sampling.Evaluation]:
    """Return the grid of the teachers, by DDIM and by DPM-Solver++.

    By DDIM at every step count of the profile, and by DPM-Solver++ at those where it may replace a student: of second
    order, it is DDIM in one step or two.
    """
    few = [steps for steps in STEPS if steps >= 4 and steps in profile.steps]
    return [
        *sampling.sampling_grid(profile, sizes, profile.steps, guidance, n=n),
        *sampling.sampling_grid(profile, sizes, few, guidance, n=n, sampler="dpm++"),
    ]


class DistillationEvaluator(sampling.SamplingEvaluator):
    """A `SamplingEvaluator` for students."""

    def model_of(self, cell: Distilled) -> Model:
        return Model(cell.c, cell.seen, cell.seed, cell.kind)

    def load(self, model: Model) -> Generator:
        from ldm.tasks.distillation import student
        from ldm.tasks.generate import Generator

        structure, params = student.load_student(self.profile, *model)
        return Generator(
            profile=self.profile,
            structure=structure,
            params=params,
            codec=self.codec,
            text=self.text,
            takes_guidance=taught.takes_guidance(model.kind),
        )

    def columns(self, cell: Distilled) -> dict[str, Any]:
        """Return the teacher's columns, but for the task, which is the kind, and what the distillation saw and costs.

        A student that is told the scale is asked once a step, so `nfe` is the number of steps.
        """
        seen = cell.seen * taught.kinds(cell.kind.split("-")[0]).index(cell.kind) + cell.seen
        changed = {"task": cell.kind, "images_seen": seen, "train_steps": -(-seen // self.profile.train.batch)}
        if taught.takes_guidance(cell.kind):
            changed["nfe"] = cell.steps
        return super().columns(cell) | changed


def name_of(task: str) -> str:
    """Return what was trained in words, all students of guided distillation under one name."""
    return "guided distillation" if taught.steps_of(task) else NAMES[task]


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a column `drawn by`.

    It holds the teacher, by which sampler, or whose student, those of guided distillation under one name.
    """
    names = [
        name_of(task) + (f" by {called(sampler)}" if task == "pretrain" and sampler != "ddim" else "")
        for task, sampler in zip(rows["task"], rows["sampler"], strict=True)
    ]
    return rows.assign(**{"drawn by": names})


def largest(students: pd.DataFrame) -> tuple[int, list[str]]:
    """Return the largest size with a student that draws in any number of steps, and which kinds of such it has.

    Where there is no such student: the largest size of all, and no kind.
    """
    consistent = students[students["task"].isin(CONSISTENT)]
    c = int((students if consistent.empty else consistent)["c"].max())
    return c, [kind for kind in CONSISTENT if kind in set(consistent.loc[consistent["c"] == c, "task"])]


def at_best_guidance(rows: pd.DataFrame, metric: str, c: int, steps: Sequence[int]) -> pd.DataFrame:
    """Return of `named` rows those of one size at these step counts, each at its best guidance."""
    rows = lower_is_better(rows[(rows["c"] == c) & rows["steps"].isin(steps)], metric)
    return rows.loc[rows.groupby(["drawn by", "steps"], sort=False)["value"].idxmin()]


def at_one_guidance(rows: pd.DataFrame, metric: str, steps: int) -> tuple[pd.DataFrame, dict[int, float]]:
    """Return those of `named` rows at the guidance that is best for the teacher, and which it is.

    Best means at `steps` steps, size by size.
    """
    usual = rows[(rows["steps"] == steps) & (rows["drawn by"] == NAMES["pretrain"])]
    chosen = optimum.best_guidance(usual, metric).set_index("c")["guidance"].to_dict()
    return rows[rows["guidance"].to_numpy(float) == rows["c"].map(chosen).to_numpy(float)], chosen


def effort(rows: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """Return what each kind saw and cost to train: images, and compute in the paper's unit.

    The unit is normalised cost x images, a pretraining image being three forward passes. Compute is told as a share of
    its teacher's, too.
    """
    found = []
    for (kind, c), part in rows[rows["task"] != "pretrain"].groupby(["task", "c"], sort=False):
        seen, per_step = int(part["images_seen"].iloc[0]), float(step_price(part).iloc[0])
        compute = cost.training_compute(per_step, seen) * taught.passes(kind) / taught.passes("continued")
        share = compute / cost.training_compute(per_step, profile.length)
        found.append((NAMES.get(kind, kind), c, seen, compute, share))
    return pd.DataFrame(found, columns=["kind", "c", "images", "compute", "share"])
