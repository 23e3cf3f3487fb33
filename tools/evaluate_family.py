"""Evaluate the second edition's family, stage by stage, in the order in which each can be read.

    nice -n 19 .venv/bin/python -m tools.evaluate_family    # go on where it stopped; --plan: only list what is left
    nice -n 19 .venv/bin/python -m tools.evaluate_family 8 16    # of these sizes alone, beside another for the rest
    nice -n 19 .venv/bin/python -m tools.evaluate_family --settings laptop-dit    # of the transformers alone, by width

First transformers that are trained or cut in another way. Held-out losses, of each training and of its averages. Then
what the chapters ask, 1,024 pictures a point: every size, step count and guidance; every length of training; other
samplers; the suspects of the chapter about confounders; other levels of caption; what real scenes score; newer solvers
and other levers; students; then the other settings, and the other trainings of each size.
What is recorded is not run again, and a model that is not trained yet is left for later.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import get_args

from ldm import profiles
from ldm.data.scenes.captions import Level
from ldm.paths import ROOT
from ldm.profile import Profile
from ldm.study import (
    confounders,
    denoising,
    distillation,
    diversity,
    findings,
    lever_grid,
    levers,
    real,
    recorded,
    sampling,
)
from ldm.study.cells import Evaluates
from ldm.study.results import Store
from ldm.study.run import AnyCell, run
from ldm.tasks import models, pretrain, register
from ldm.tasks.distillation.methods import METHODS

SETTINGS = ("laptop-eps", "laptop-v", "laptop-dit")  # profiles: as the paper's base, as today, and transformers
WAYS = ("laptop-dit-2", "laptop-flow", "laptop-flow-half", "laptop-flow-3")  # of some transformers, beside the usual
LEVERS = SETTINGS[0]  # the setting of which levers are asked
SEEDS = (0, 1, 2)
SHARES = (0.03, 0.05, 0.075, 0.1, 0.15, 0.2)  # of a training, that its weights are averaged over


def losses(chosen: Profile, sizes: Sequence[int], seed: int, *, averaged: bool = True) -> list[denoising.Denoising]:
    """Return the cells of held-out losses: of every model that is here, and of averages of the longest trainings.

    averaged: whether averages that are not here yet are made first.
    """
    sizes = [c for c in sizes if register.trained_lengths(chosen, c, seed)]
    kept = [
        c
        for c in sizes
        if pretrain.snapshots_of(chosen, c, seed).is_dir() and register.is_known(chosen, c, chosen.length, seed)
    ]
    for c in kept if averaged else ():
        for share in SHARES:
            if not models.file_of(chosen, c, chosen.length, seed, models.average_kind(share)):
                pretrain.averaged(chosen, c, share, chosen.length, seed)
    averages = denoising.denoising_grid(chosen, kept, [chosen.length], seed=seed, shares=SHARES)
    return denoising.denoising_grid(chosen, sizes, seed=seed) + averages


def at_level(chosen: Profile, sizes: Sequence[int], level: Level, seed: int) -> list[sampling.Evaluation]:
    """Return the grid by DDIM at one level of caption. Where nothing is said there is nothing to be guided towards."""
    guidance = (1.0,) if level == "nothing" else chosen.guidance
    return sampling.sampling_grid(chosen, sizes, chosen.steps, guidance, level=level, seed=seed)


def stages(chosen: Profile, sizes: Sequence[int]) -> Iterator[tuple[str, list[sampling.Evaluation]]]:
    """Yield what the chapters ask of one training of each size, the first things first: (title, cells)."""
    yield "captions that say some", at_level(chosen, sizes, "some", 0)
    yield "lengths of training", findings.lengths_grid(chosen, sizes)
    yield "samplers", findings.samplers_grid(chosen, sizes)
    for suspect in (confounders.spacings, confounders.trainings):
        for condition, cells in suspect(chosen, sizes).items():
            yield condition, list(cells)
    yield "numbers of pictures", confounders.counts(chosen, sizes)
    for level in ("nothing", "all", "subject"):
        yield f"captions that say {level}", at_level(chosen, sizes, level, 0)
    yield "fifty steps", [cell for level in get_args(Level) for cell in looked_at(chosen, sizes, level)]
    yield "solvers", list(lever_grid.solver_grid(chosen, sizes))


def another_way(chosen: Profile, sizes: Sequence[int]) -> list[sampling.Evaluation]:
    """Return the grid by DDIM that is compared with the usual way's, and what solvers draw on a straight path."""
    cells = at_level(chosen, sizes, chosen.level, 0) if chosen.shift == 1 else []
    for name in recorded.STRAIGHT if chosen.noise == "straight" else ():
        cells += sampling.sampling_grid(chosen, sizes, findings.few_steps(chosen), chosen.guidance, sampler=name)
    return list(dict.fromkeys(cells))


def looked_at(chosen: Profile, sizes: Sequence[int], level: Level) -> list[sampling.Evaluation]:
    """Return the largest size in the paper's fifty steps: what the page about levels shows, and compares with none."""
    guidance = 1.0 if level == "nothing" else 2.0
    return sampling.sampling_grid(chosen, sizes[-1:], (50,), (guidance,), level=level)


def main() -> None:
    """Measure what is left of the asked settings and sizes, first things first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, help="of the families' sizes, these alone; none: all")
    every = (*SETTINGS, *WAYS)
    parser.add_argument("--settings", nargs="+", choices=every, default=every, help="profiles; default: all")
    parser.add_argument("--backwards", action="store_true", help="last things first: beside another, of the same sizes")
    parser.add_argument("--plan", action="store_true", help="only list what is left")
    options, store = parser.parse_args(), Store(ROOT)
    asked = {  # profile -> sizes
        profile: [c for c in profile.family if c in options.sizes or not options.sizes]
        for profile in map(profiles.get, options.settings)
    }
    known = {c for profile in asked for c in profile.family}
    if unknown := sorted(set(options.sizes) - known):
        parser.error(f"sizes: {unknown} are of none of these families, which have {sorted(known)}; choose of them.")
    for chosen, sizes in asked.items():
        if chosen.name in WAYS and sizes:
            cells, evaluator = another_way(chosen, sizes), sampling.SamplingEvaluator(chosen)
            run_those_here(f"{chosen.name}, another way", cells, evaluator, store, planned=options.plan)
    family = {profile: sizes for profile, sizes in asked.items() if sizes and profile.name in SETTINGS}
    for chosen, sizes in family.items():
        evaluator = denoising.DenoisingEvaluator(chosen)
        for seed in SEEDS:
            cells = losses(chosen, sizes, seed, averaged=not options.plan)
            run_those_here(f"{chosen.name} denoising, seed {seed}", cells, evaluator, store, planned=options.plan)
    evaluators = {chosen.name: sampling.SamplingEvaluator(chosen) for chosen in family}  # each loads its networks once
    for chosen, sizes in family.items():
        for title, cells in list(stages(chosen, sizes))[:: -1 if options.backwards else 1]:
            cells = cells[::-1] if options.backwards else cells
            run_those_here(f"{chosen.name}, {title}", cells, evaluators[chosen.name], store, planned=options.plan)
        drawn_by_none = real.real_grid(chosen)
        run_those_here(
            f"{chosen.name}, real scenes", drawn_by_none, real.RealEvaluator(chosen), store, planned=options.plan
        )
        if chosen.name == LEVERS:
            grids = (lever_grid.lever_grid, lever_grid.guided_grid)
            pulled = list(dict.fromkeys(cell for grid in grids for cell in grid(chosen, sizes)))
            run_those_here("levers", pulled, levers.LeverEvaluator(chosen), store, planned=options.plan)
            apart, by = diversity.diversity_grid(chosen, sizes), diversity.DiversityEvaluator(chosen)
            run_those_here("fidelity and diversity", apart, by, store, planned=options.plan)
        taught = distillation.students_grid(chosen, METHODS, sizes, distillation.STEPS, chosen.distilled_guidance)
        by = distillation.DistillationEvaluator(chosen)
        run_those_here(f"{chosen.name}, students", taught, by, store, planned=options.plan)
    for seed in SEEDS[1:]:
        for chosen, sizes in family.items():
            for level in ("some", "all", "nothing"):
                cells = at_level(chosen, sizes, level, seed)
                title = f"{chosen.name}, captions that say {level}, seed {seed}"
                run_those_here(title, cells, evaluators[chosen.name], store, planned=options.plan)


def run_those_here(
    title: str,
    cells: Sequence[AnyCell],
    evaluator: Evaluates[AnyCell],
    store: Store,
    *,
    planned: bool,
) -> None:
    """Run those of the cells whose models are here; planned: only say how many are not recorded."""
    here = [cell for cell in cells if evaluator.is_here(cell)]
    if planned:
        left = sum(not store.has(evaluator.key(cell)) for cell in here)
        print(f"{title}: {left} of {len(here)} cells whose models are here are left")
    elif here:
        run(here, evaluator=evaluator, store=store, title=title)


if __name__ == "__main__":
    main()
