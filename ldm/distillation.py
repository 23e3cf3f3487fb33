"""The study of distilled models: cells, and the laboratory that runs them, beside those of their teachers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ldm import pretrain, study
from ldm.distill import student
from ldm.generate import Generator
from ldm.judges import Score
from ldm.profiles import Profile, profile
from ldm.results import Row


@dataclass(frozen=True, kw_only=True)
class Distilled(study.Evaluation):
    """One point of a student; `images` and `seed` are its teacher's."""

    kind: str  # what was trained (`ldm.distill.student`)
    seen: int  # images that it saw

    def __post_init__(self):
        super().__post_init__()
        known = [kind for method in student.METHODS for kind in student.kinds(method)]
        if self.kind not in known:
            raise ValueError(f"kind = {self.kind!r}: expected one of {', '.join(known)}; choose among them.")
        lo, hi = profile(self.profile).scales
        if self.kind != "continued" and not lo <= self.guidance <= hi:
            raise ValueError(
                f"guidance = {self.guidance}: students of profile {self.profile} know {lo:g} to {hi:g}; choose in between."
            )


def grid(
    scale: Profile, kinds: Sequence[str], sizes: Sequence[int], steps: Sequence[int], guidance: Sequence[float],
    *, n: int | None = None,
) -> list[Distilled]:  # fmt: skip
    """Every kind x size x step count x guidance, each kind by the sampler that it was made for.

    A student of stage 2 makes the steps that it has learnt, and no others.
    """
    return [
        Distilled(
            study="distillation", profile=scale.name, c=c, images=scale.length, steps=s, guidance=float(g),
            n=n or scale.n, sampler="consistency" if kind in ("codi", "lcm") else "ddim", kind=kind, seen=scale.distilled,
        )
        for kind in kinds for c in sizes
        for s in ([student.steps_of(kind)] if student.steps_of(kind) else steps) for g in guidance
    ]  # fmt: skip


class Laboratory(study.Laboratory):
    """The same for students."""

    def model_of(self, cell: Distilled) -> tuple:
        return cell.kind, cell.c, cell.seen, cell.seed

    def digest(self, kind: str, c: int, seen: int, seed: int) -> str:
        return pretrain.model_digest(self.scale, c, seen, seed, kind)

    def file(self, kind: str, c: int, seen: int, seed: int) -> Path | None:
        return pretrain.file_of(self.scale, c, seen, seed, kind)

    def load(self, kind: str, c: int, seen: int, seed: int) -> Generator:
        structure, params = student.load(self.scale, kind, c, seen, seed)
        return Generator(
            profile=self.scale, structure=structure, params=params, codec=self.codec, text=self.text,
            told=student.told(kind),
        )  # fmt: skip

    def rows(self, cell: Distilled, score: Score, seconds: float) -> list[Row]:
        """The teacher's columns, but for the task, which is the kind, and what the distillation itself saw and costs.

        A student that is told the scale is asked once a step, so `nfe` is the number of steps.
        """
        seen = cell.seen * student.kinds(cell.kind.split("-")[0]).index(cell.kind) + cell.seen
        changed = {"task": cell.kind, "images_seen": seen, "train_steps": -(-seen // self.scale.train.batch)}
        if student.told(cell.kind):
            changed["nfe"] = cell.steps
        return [replace(row, **changed) for row in super().rows(cell, score, seconds)]
