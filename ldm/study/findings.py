"""The six findings on one page: every one that the recorded rows can answer, by metrics that need not agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from ldm.profile import Profile
from ldm.profiles import downstream
from ldm.statistics import student, superres, verdicts
from ldm.statistics.refusal import NotAsked
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
    """What the paper claims, the chapter that asks it here, in which turns, and the place of the verdict there."""

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


def _by_ddim(store: Store, profile: Profile) -> pd.DataFrame:
    grid = recorded.whole_grid(store, profile)
    return recorded.with_trainings(store, grid[grid["sampler"] == "ddim"])


def _by_sampler(store: Store, profile: Profile) -> pd.DataFrame:
    grid = recorded.whole_grid(store, profile)
    return recorded.with_trainings(store, grid[grid["steps"].isin(few_steps(profile))])


# Finding -> the rows of a profile that it is asked of, all trainings that are whole; nothing is run. F6 is asked of
# first trainings, and its margin of others, too (`teachings`).
ROWS: dict[str, Callable[[Store, Profile], pd.DataFrame]] = {
    "F1": lambda store, profile: recorded.with_trainings(store, recorded.pretrained(store, profile)),
    "F2": lambda store, profile: recorded.whole_trainings(recorded.restored_by_length(store, downstream(profile))),
    "F3": _by_ddim,
    "F4": _by_sampler,
    "F5": lambda store, profile: recorded.whole_trainings(recorded.restored_by_steps(store, downstream(profile))),
    "F6": recorded.distilled,
}
METRICS = {name: RESTORED if name in ("F2", "F5") else COUNTED for name in FINDINGS}  # by which it is asked


def asked(
    ask: Callable[..., Verdict], rows: pd.DataFrame, store: Store, metrics: Sequence[str], **more: Any
) -> tuple[list[Verdict], str]:
    """Return a finding's verdicts by each metric, and what a chapter prints: the first in words, and all as a table.

    Rows that cannot answer (one size, too few settings) leave no verdicts, and the reason as the text. Raises:
    ValueError for rows that may not be compared, and where a file of theirs is broken.
    """
    influences = {name: store.influences(rows, name) for name in metrics}
    try:
        found = [ask(rows, name, influences=influences[name], **more) for name in metrics]
    except NotAsked as error:
        return [], f"Not asked of these rows: {error}"
    return found, f"{found[0]}\n\n{verdicts.verdict_table(found).to_markdown(index=False)}"


def ask(profile: Profile, *, store: Store, evaluator: SamplingEvaluator) -> dict[str, list[Verdict]]:
    """Judge every finding by each metric; cells that nobody has run are run.

    But not those whose models this machine lacks. F6 is asked of what is recorded of students, F2 and F5 of what is
    recorded of the profile that super-resolution starts from. A finding that the rows do not answer is left out.
    """
    sizes = register.trained_sizes(profile)
    grids = (
        lengths_grid(profile, sizes),
        sampling_grid(profile, sizes, profile.steps, profile.guidance),
        samplers_grid(profile, sizes),
    )
    for cells in grids:
        run(at_hand(cells, store=store, evaluator=evaluator), store=store, evaluator=evaluator)
    rows = {name: of(store, profile) for name, of in ROWS.items()}

    def turns(name: str, ask: Callable[..., Verdict], options: Sequence[dict[str, Any]] = ({},)) -> list[Verdict]:
        return [
            in_turn(name, turn, verdict)
            for turn, more in enumerate(options)
            for verdict in asked(ask, rows[name], store, METRICS[name], **more)[0]
        ]

    taught = teachings(store, rows["F6"])
    found = {
        "F1": turns("F1", verdicts.f1),
        "F2": turns("F2", superres.f2, [dict(at_end=at_end) for at_end in (False, True)]),
        "F3": turns("F3", verdicts.f3, [dict(fewest=fewest) for fewest in (1, FEWEST)]),
        "F4": turns("F4", verdicts.f4, [dict(sampler=other) for other in recorded.SAMPLERS[1:]]),
        "F5": turns("F5", superres.f5),
        "F6": turns("F6", student.f6, [dict(method="codi", allowance=a, trainings=taught) for a in ALLOWANCES]),
    }
    return {
        name: answers for name, answers in found.items() if len({v.turn for v in answers}) == len(FINDINGS[name].turns)
    }


def in_turn(finding: str, turn: int, verdict: Verdict) -> Verdict:
    """Return the verdict, with the name of the finding's question that it answers."""
    return replace(verdict, turn=FINDINGS[finding].turns[turn])


def teachings(store: Store, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the undistilled models among rows of F6, all trainings: they tell how far trainings scatter."""
    return recorded.with_trainings(store, rows[rows["task"] == student.TEACHER])


def evidence_of(store: Store, profile: Profile) -> dict[str, pd.DataFrame]:
    """Return finding -> the rows that `ask` asks, by the metrics that it asks; nothing is run."""
    found = {name: of(store, profile) for name, of in ROWS.items()}
    both = pd.concat([found["F6"], teachings(store, found["F6"])])
    found["F6"] = both.drop_duplicates(["key", "metric"], ignore_index=True)
    return {name: rows[rows["metric"].isin(METRICS[name])] for name, rows in found.items()}


def evidence(store: Store, profile: Profile) -> pd.DataFrame:
    """Return the rows that `ask` asks, each once; nothing is run."""
    return pd.concat(evidence_of(store, profile).values()).drop_duplicates(["key", "metric"])
