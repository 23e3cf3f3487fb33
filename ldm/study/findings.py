"""The six findings on one page: every one that the recorded rows can answer, by metrics that need not agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from ldm.profiles import Profile
from ldm.statistics import downstream, student, verdicts
from ldm.statistics.verdicts import FEWEST, Verdict
from ldm.study import recorded
from ldm.study.results import Store
from ldm.study.run import at_hand, run
from ldm.study.sampling import Evaluation, SamplingEvaluator, pretraining_grid, sampling_grid
from ldm.tasks import register

COUNTED = ("fd_scene_decoded", "kid_effnet_decoded", "alignment")  # what verdicts count; charts show the first
RESTORED = ("kid_effnet_decoded", "is_effnet", "lpips_effnet")  # of restored pictures: how they look, how near they are
PAPER_STEPS = (4, 5, 8, 10, 16, 20, 32, 50)
ORDER = (("dpm++", "ddim"), ("ddim", "ddpm"))  # (better, worse) at few steps, as the paper has it
ALLOWANCES = 1.0, 7 / 4  # of a student's cost to an undistilled model: equal, and as in the paper's own comparison


class Finding(NamedTuple):
    """What the paper claims, and the chapter that asks it here, with the place of the verdict there.

    It says, too, of what it is asked in turn, if not of one thing only.
    """

    claim: str
    chapter: str
    turns: tuple[str, ...] = ("",)
    place: str = "verdict"


FINDINGS = {
    "F1": Finding(
        "Pretraining quality follows training compute, and not the number of images alone.", "03_pretraining"
    ),
    "F2": Finding(
        "Finetuned for super-resolution, quality follows the size more than the compute of finetuning.",
        "06_super_resolution",
        ("at equal compute: ", "at the end: "),
        "verdicts",
    ),
    "F3": Finding(
        "At a small sampling budget a smaller model beats the largest.",
        "04_sampling",
        ("from the fewest steps of the largest: ", "from four of its steps: "),
    ),
    "F4": Finding("The sampler does not change that trend.", "05_samplers", ("DDPM: ", "DPM-Solver++: ")),
    "F5": Finding(
        "In super-resolution, too, smaller models win at few steps, and the largest at many.",
        "06_super_resolution",
        place="verdicts",
    ),
    "F6": Finding(
        "Distilled, the largest model is no better than a smaller undistilled one of equal cost.",
        "08_distillation",
        ("equal cost: ", "7/4 of it: "),
    ),
}


def few_steps(profile: Profile) -> list[int]:
    """Return the step counts at which samplers are compared: the paper's, which has at most 20 for DPM-Solver++."""
    return [steps for steps in profile.steps if steps in PAPER_STEPS and steps <= 20]


def samplers_grid(profile: Profile, sizes: Sequence[int]) -> list[Evaluation]:
    """Return every sampler at every size, step count and guidance."""
    return [
        cell
        for name in recorded.SAMPLERS
        for cell in sampling_grid(profile, sizes, few_steps(profile), profile.guidance, sampler=name)
    ]


def lengths_grid(profile: Profile, sizes: Sequence[int]) -> list[Evaluation]:
    """Return every size at every length of training, sampled in the paper's one way."""
    return pretraining_grid(profile, sizes, (), steps=recorded.STEPS, guidance=[recorded.GUIDANCE])


def asked(
    ask: Callable[..., Verdict], rows: pd.DataFrame, store: Store, metrics: Sequence[str], **more: Any
) -> tuple[list[Verdict], str]:
    """Return a finding's verdicts by each metric, and what a chapter prints of them.

    It prints them in words by the first metric, and all as a table.

    Rows that cannot answer (one size, too few settings) leave no verdicts, and the reason as the text. Raises:
    ValueError where a file of theirs is broken.
    """
    influences = {name: store.influences(rows, name) for name in metrics}
    try:
        found = [ask(rows, name, influences=influences[name], **more) for name in metrics]
    except ValueError as error:
        return [], f"Not asked of these rows: {error}"
    return found, f"{found[0]}\n\n{verdicts.verdict_table(found).to_markdown(index=False)}"


def ask(profile: Profile, *, store: Store, evaluator: SamplingEvaluator) -> dict[str, list[Verdict]]:
    """Judge every finding by each metric; cells that nobody has run are run.

    But not those whose models this machine lacks. F6 is asked of what is recorded of students, F2 and F5 of what is
    recorded of the profile that super-resolution starts from. A finding that the rows do not answer is left out.
    """
    sizes, metrics, tasks = register.trained_sizes(profile), COUNTED, profile.downstream
    grids = (
        lengths_grid(profile, sizes),
        sampling_grid(profile, sizes, profile.steps, profile.guidance),
        samplers_grid(profile, sizes),
    )
    pretraining, sampling, samplers = (
        run(at_hand(cells, store=store, evaluator=evaluator), store=store, evaluator=evaluator) for cells in grids
    )
    pretraining, samplers = (recorded.with_trainings(store, rows) for rows in (pretraining, samplers))
    pooled = recorded.with_trainings(store, sampling)
    by_length, students = recorded.restored_by_length(store, tasks), recorded.distilled(store, profile)
    taught = recorded.with_trainings(store, students[students["task"] == student.TEACHER])
    found = {
        "F1": asked(verdicts.f1, pretraining, store, metrics)[0],
        "F2": [
            in_turn("F2", turn, verdict)
            for turn, at_end in enumerate((False, True))
            for verdict in asked(downstream.f2, by_length, store, RESTORED, at_end=at_end)[0]
        ],
        "F3": [
            in_turn("F3", turn, verdict)
            for turn, fewest in enumerate((1, FEWEST))
            for verdict in asked(verdicts.f3, pooled, store, metrics, fewest=fewest)[0]
        ],
        "F4": [
            in_turn("F4", turn, verdict)
            for turn, other in enumerate(recorded.SAMPLERS[1:])
            for verdict in asked(verdicts.f4, samplers, store, metrics, sampler=other)[0]
        ],
        "F5": asked(downstream.f5, recorded.restored_by_steps(store, tasks), store, RESTORED)[0],
        "F6": [
            in_turn("F6", turn, verdict)
            for turn, allowance in enumerate(ALLOWANCES)
            for verdict in asked(
                student.f6, students, store, metrics, method="codi", allowance=allowance, trainings=taught
            )[0]
        ],
    }
    return {
        name: answers for name, answers in found.items() if len({v.turn for v in answers}) == len(FINDINGS[name].turns)
    }


def in_turn(finding: str, turn: int, verdict: Verdict) -> Verdict:
    """Return the verdict, with the name of the finding's question that it answers."""
    return replace(verdict, turn=FINDINGS[finding].turns[turn])


def evidence_of(store: Store, profile: Profile) -> dict[str, pd.DataFrame]:
    """Return finding -> the rows that `ask` asks, by the metrics that it asks; nothing is run."""
    grid, tasks = recorded.whole_grid(store, profile), profile.downstream
    found = {
        "F1": (recorded.pretrained(store, profile), COUNTED),
        "F2": (recorded.restored_by_length(store, tasks), RESTORED),
        "F3": (recorded.with_trainings(store, grid[grid["sampler"] == "ddim"]), COUNTED),
        "F4": (grid[grid["steps"].isin(few_steps(profile))], COUNTED),
        "F5": (recorded.restored_by_steps(store, tasks), RESTORED),
        "F6": (recorded.distilled(store, profile), COUNTED),
    }
    return {name: rows[rows["metric"].isin(metrics)] for name, (rows, metrics) in found.items()}


def evidence(store: Store, profile: Profile) -> pd.DataFrame:
    """Return the rows that `ask` asks, each once; nothing is run."""
    return pd.concat(evidence_of(store, profile).values()).drop_duplicates(["key", "metric"])
