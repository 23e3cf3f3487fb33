"""No recorded row is orphaned: today's code gives every cell the name under which its rows were written.

A name hashes the cell's dataclass and its fields by name, those of `SceneConfig`, and the networks' parameters by name.
Where code moves and one of them is renamed, nothing fails: the rows are no longer found, and hours of work run again.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from launch.gpu.queue import Command
from ldm import paths, profiles
from ldm.hashing import key
from ldm.paths import ROOT
from ldm.profile import Profile
from ldm.profiles import OPEN_EPS
from ldm.study import (
    denoising,
    distillation,
    diversity,
    dreambooth,
    lever_grid,
    levers,
    probes,
    real,
    superres_grid,
    training_rows,
)
from ldm.study import (
    interpolation as interpolation_study,
)
from ldm.study import (
    sampling as sampling_study,
)
from ldm.study import (
    superres as superres_study,
)
from ldm.study import (
    tpu_plan as plan,
)
from ldm.study.results import Store
from ldm.study.training_rows import Training
from ldm.tasks import pairs

Record = SimpleNamespace  # one row of a cell, by its columns; None where there is nothing
MACHINE = "AMD EPYC (x86_64, family 26, model 2), 2 cores, cpu"  # that of some records

Evaluators = cache(lambda kind, name: kind(profiles.get(name)))


@pytest.fixture(scope="module", autouse=True)
def nothing_of_ones_own(tmp_path_factory) -> Iterator[None]:
    """Models that this machine has trained, which go before those that ship, are not looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RUNS", tmp_path_factory.mktemp("runs"))
        yield


@pytest.fixture(scope="module")
def recorded() -> pd.DataFrame:
    """One row a cell; what one metric's row leaves open, another's may tell."""
    rows = Store(ROOT).rows(only="recorded")
    rows = rows.assign(pictures=rows.groupby("key")["n"].transform("max"))  # not every caption asks for every metric
    rows = rows.groupby("key", sort=False, as_index=False).first().astype(object)
    return rows.where(rows.notna(), None)


# --- from a row to its cell, built as the chapter builds it, and to its key ---


def only(cells: list[Any], **fields: Any) -> Any:
    """The one cell of a grid that has these fields."""
    [cell] = [cell for cell in cells if all(getattr(cell, name) == value for name, value in fields.items())]
    return cell


def in_protocol(row: Record, pattern: str) -> str:
    """What the row's protocol says there."""
    return re.search(pattern, row.protocol)[1]


def pretraining(profile: Profile, row: Record) -> str:
    common = dict(steps=row.steps, n=row.pictures, seed=row.seed)
    cells = sampling_study.pretraining_grid(profile, [row.c], [row.images_seen], guidance=[row.guidance], **common)
    return Evaluators(sampling_study.SamplingEvaluator, profile.name).key(only(cells))


def sampling(profile: Profile, row: Record) -> str:
    cells = sampling_study.sampling_grid(
        profile,
        [row.c],
        [row.steps],
        [row.guidance],
        n=row.pictures,
        images=row.images_seen,
        sampler=row.sampler,
        seed=row.seed,
        level=row.level or "all",
    )
    return Evaluators(sampling_study.SamplingEvaluator, profile.name).key(only(cells))


def pulled(profile: Profile, row: Record) -> str:
    asked = dict(level=row.level or "all", seed=row.seed)
    grids = (lever_grid.lever_grid, lever_grid.guided_grid)
    cells = list(dict.fromkeys(cell for grid in grids for cell in grid(profile, [row.c], **asked)))
    cell = only(
        [cell for cell in cells if (cell.lever.name, cell.lever.dose) == (row.lever, row.dose)],
        steps=row.steps,
        guidance=row.guidance,
    )
    return Evaluators(levers.LeverEvaluator, profile.name).key(cell)


def real_scenes(profile: Profile, row: Record) -> str:
    decoded, level = row.task == real.DECODED, row.level or "all"
    cells = real.real_grid(profile, row.pictures)
    return Evaluators(real.RealEvaluator, profile.name).key(only(cells, decoded=decoded, level=level))


def spread(profile: Profile, row: Record) -> str:
    level, where = row.level or "all", [row.c] if row.c else [16]
    cells = diversity.diversity_grid(profile, where, levels=[level])
    kind = real.Real if row.task == real.DECODED else levers.LeverEvaluation if row.lever else sampling_study.Evaluation
    asked = dict(guidance=row.guidance) if row.c else {}
    found = [cell.of for cell in cells if type(cell.of) is kind]
    found = [cell for cell in found if not row.lever or (cell.lever.name, cell.lever.dose) == (row.lever, row.dose)]
    return Evaluators(diversity.DiversityEvaluator, profile.name).key(diversity.Diversity(of=only(found, **asked)))


def held_out(profile: Profile, row: Record) -> str:
    shares = [row.strength if row.task == "average" else 0.0]
    cells = denoising.denoising_grid(
        profile, [row.c], [row.images_seen], n=row.n, level=row.level, seed=row.seed, shares=shares
    )
    return Evaluators(denoising.DenoisingEvaluator, profile.name).key(only(cells))


def super_resolution(profile: Profile, row: Record) -> str:
    if row.task == "superres":
        cells = superres_grid.steps_grid(profile, [row.c], [row.steps], images=row.images_seen, n=row.n)
    else:
        cells = superres_grid.baselines_grid(profile, row.c or profile.family[0], n=row.n)
    asked = {"kind": row.task} | ({"strength": row.level} if row.level else {})
    return Evaluators(superres_study.SuperResolutionEvaluator, profile.name).key(only(cells, **asked))


def booth(profile: Profile, row: Record) -> str:
    """The rows' own n counts pictures of the subject or of its class, or pairs of them."""
    subject, n = in_protocol(row, "pictures of (.+) as sks"), 2 * int(in_protocol(row, r"(\d+) captions, twice each"))
    cells = dreambooth.dreambooth_grid(
        profile,
        [row.c],
        [subject],
        dreambooth.TUNED,
        [row.train_steps or 1],
        steps=row.steps,
        guidance=row.guidance,
        n=n,
        seed=row.seed,
    )
    return Evaluators(dreambooth.DreamBoothEvaluator, profile.name).key(only(cells, variant=row.task))


def interpolation(profile: Profile, row: Record) -> str:
    frames = int(in_protocol(row, r"(\d+) pictures a way"))
    cells = interpolation_study.interpolation_grid(
        profile,
        [row.c],
        [row.guidance],
        steps=row.steps,
        n=row.n,
        frames=frames,
        level=row.level or "all",
        rescale=row.strength or 0.0,
    )
    return Evaluators(interpolation_study.InterpolationEvaluator, profile.name).key(only(cells, path=row.task))


def students(profile: Profile, row: Record) -> str:
    cells = distillation.distillation_grid(
        profile,
        [row.task],
        [row.c],
        [row.steps],
        [row.guidance],
        n=row.pictures,
        seed=row.seed,
        level=row.level or "all",
    )
    return Evaluators(distillation.DistillationEvaluator, profile.name).key(only(cells))


def metrics(profile: Profile, row: Record) -> str:
    names = [] if row.task in ("real", "model") else [row.task]
    cell = only(probes.probes_grid(profile, names, [row.n]), task=row.task, strength=row.strength or 0.0)
    return Evaluators(probes.ProbeEvaluator, profile.name).key(cell)


def tpu_plan(_: Profile, row: Record) -> str:
    micro_batches = int(in_protocol(row, r"(\d+) parts?$"))
    return key(plan.TpuTraining(size=row.size, topology=row.task, batch=row.images_seen, accumulate=micro_batches))


def training(profile: Profile, row: Record) -> str:
    parts, size, number, twice, data, together, devices, shared, machine = re.fullmatch(
        r"(\d+) x (\d+) images a step; (\w+)(; blocks computed twice)?(?:; from (.+?))?"
        r"(?:; (\d+) trainings side by side)?; "
        r"devices: (\d+), sharing a state: (\d+); (.+)",
        row.protocol,
    ).groups()
    return key(
        Training(
            profile=profile.name,
            task=row.task,
            c=row.c,
            images=row.images_seen,
            seed=row.seed,
            machine=machine,
            side=pairs.latent_side(profile) if row.task.startswith("superres") else profile.latent_shape[0],
            devices=int(devices),
            fsdp=int(shared),
            batch=int(parts) * int(size),
            parts=int(parts),
            bf16=number == "bfloat16",
            remat=twice is not None,
            data=data or "",
            together=int(together or 1),
        )
    )


def benchmark(_: Profile, row: Record) -> str:
    """Its key holds the machine's name, with which its protocol ends."""
    what, machine = row.protocol.split("; ")[0], row.protocol.split("; ")[-1]
    if row.task == "metrics":
        machine, threads = re.fullmatch(r"(.+), (\d+) BLAS threads", machine).groups()
        return key(benchmarked("metrics").Case(), machine=machine, threads=int(threads))
    return key(case_of(row, what), machine=machine)


def case_of(row: Record, what: str) -> Any:
    """What a benchmark measured."""
    cases = benchmarked("cases")
    small = cases.CASES[0]
    if row.task in ("train", "sample"):
        raced = [case for case in cases.cases(row.task, steps=row.steps or 0) if case.c == row.c]
        said = re.search(r"batch (\d+)", row.protocol)  # older rates do not say it: one batch a network
        return only(raced, batch=int(said[1])) if said else raced[0]
    if row.task == "picture":
        return cases.Case(task=row.task, **{**small, "c": row.c})
    if row.task in ("score", "score memory"):
        return cases.Case(task=f"{row.task}, {what}", **small)
    if row.task == "pass":
        return cases.Case(task=f"pass, {row.lever}", **{**small, "c": row.c})
    if row.task == "first":
        return cases.Case(task=f"first, {row.metric.removeprefix('seconds to ')}", **small)
    if row.task == "devices":
        return benchmarked("devices").Case(task=what, c=row.c, steps=row.train_steps)
    if row.task == "growth":
        return benchmarked("growth").Growth(kind=what, amount=int(row.strength))
    if row.task == "again":
        return benchmarked("again").Case(what=what)
    if row.task == "input":
        return benchmarked("input").Case(c=row.c)
    return benchmarked({"kills": "kills", "first page": "first_page", "degrade": "degradation"}[row.task]).Case()


@cache
def benchmarked(name: str) -> Any:
    """The file of benchmarks, of whose wishes about devices and folders nothing is left for other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", "")
        patch.setattr(sys, "path", [*sys.path])
        return importlib.import_module(f"benchmarks.{name}")


KEYS: dict[str, Callable[[Profile, Record], str]] = {  # study -> a row's key
    "pretraining": pretraining,
    "real": real_scenes,
    "denoising": held_out,
    "sampling": sampling,
    "levers": pulled,
    "diversity": spread,
    "superres": super_resolution,
    "dreambooth": booth,
    "interpolation": interpolation,
    "distillation": students,
    "metrics": metrics,
    "tpu_plan": tpu_plan,
    "training": training,
    "benchmark": benchmark,
}


def test_every_study_that_has_rows_is_asked(recorded):
    """Rows of the queue do not say their command; a literal stands for them below."""
    assert set(recorded["study"]) - {"queue"} == set(KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_the_key_of_every_recorded_row_is_that_of_the_cell_that_its_columns_name(name, recorded):
    rows = [SimpleNamespace(**row) for row in recorded[recorded["study"] == name].to_dict("records")]
    lost = [row for row in rows if KEYS[name](profiles.get(row.profile), row) != row.key]
    assert not lost, f"{len(lost)} of {len(rows)} cells are named otherwise today than in their rows, first {lost[0]}"


# --- literals, so that a change of code and rows together is seen ---


def a_training() -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_rows, "machine", lambda: MACHINE)
        return key(Training.here(OPEN_EPS, 16, replace(OPEN_EPS.training(16), seed=1), None))


GOLDEN: dict[str, Callable[[], str]] = {
    "24aa3de024122552": lambda: Evaluators(sampling_study.SamplingEvaluator, "laptop-eps").key(
        *sampling_study.sampling_grid(OPEN_EPS, [8], [4], [2.0])
    ),
    "502d942e41b34e26": lambda: Evaluators(superres_study.SuperResolutionEvaluator, "laptop-64").key(
        superres_grid.baselines_grid(profiles.get("laptop-64"))[0]
    ),
    "42ad34a05011c211": lambda: key(plan.TpuTraining(size="39M", topology="v5e:16x16")),
    "3e685c996d9935a7": a_training,
    "e82f7ca949658ffb": lambda: key(benchmarked("input").Case(c=8), machine=MACHINE),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_these_cells_are_called_what_they_were_always_called_and_have_rows(name, recorded):
    assert GOLDEN[name]() == name
    assert name in set(recorded["key"])


def test_a_command_of_the_queue_is_called_what_it_was_always_called():
    assert Command(text="part text --profile gpu", why="asked for once", minutes=1).key == "9eb381c8a68757d8"
