"""Evaluate the second edition's family, one race after another, in the order in which each stage can be read.

    nice -n 19 .venv/bin/python -m tools.evaluate_family    # go on where it stopped; --plan: only list what is left

At every size, step count and level of caption the guidance values race (`ldm.study.racing`): 64 pictures for each, then
256 for those that may be the best, then 1,024; guidance 1 always has 1,024,
since it asks the network once a step. Other trainings of a size are asked at the settings that the first one's
races left. What is recorded is not run again, and a model that is not trained yet is left for later.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from ldm import profiles
from ldm.data.scenes.captions import Level
from ldm.paths import ROOT
from ldm.profiles import Profile
from ldm.study import denoising, racing, sampling
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import models

RANKS = "fd_scene_decoded"  # the metric by which guidance is chosen
STAGES = (64, 256, 1024)
FEW = (2, 4, 8, 16, 32)  # step counts that tell a stage's story; the profile's others follow
LEVELS: tuple[Level, ...] = ("some", "all", "subject", "nothing")


def races(chosen: Profile, level: Level, steps: tuple[int, ...], seed: int = 0) -> Iterator[list[sampling.Evaluation]]:
    """The contenders of each race of a stage, small models first."""
    for c in chosen.family:
        if models.there(chosen, c, chosen.length, seed):
            for count in steps:
                yield sampling.sampling_grid(
                    chosen, [c], [count], chosen.guidance, n=STAGES[-1], level=level, seed=seed
                )


def stages() -> Iterator[tuple[Profile, Level, tuple[int, ...]]]:
    """Settings, levels and step counts, in the order in which each can be read."""
    first, other = profiles.get("laptop-eps"), profiles.get("laptop-v")
    rest = tuple(count for count in first.steps if count not in FEW)
    yield first, "some", FEW
    yield first, "all", FEW
    yield first, "some", rest
    yield first, "all", rest
    for level in LEVELS[:2]:
        yield other, level, FEW
        yield other, level, rest
    for chosen in (first, other):
        for level in LEVELS[2:]:
            yield chosen, level, (*FEW, 1, 50)


def finalists(store: Store, evaluator: sampling.SamplingEvaluator, contenders: list[sampling.Evaluation]) -> list:
    """The contenders that a finished race asked for the most pictures: what other trainings are asked at."""
    return [cell for cell in contenders if store.has(evaluator.key(cell))]


def main() -> None:
    store, labs = Store(ROOT), {}
    for name in ("laptop-eps", "laptop-v"):
        chosen = profiles.get(name)
        for seed in (0, 1, 2):
            sizes = [c for c in chosen.family if models.trained_lengths(chosen, c, seed)]
            if sizes and "--plan" not in sys.argv:
                cells = denoising.denoising_grid(chosen, sizes, seed=seed)
                run(
                    cells,
                    evaluator=denoising.DenoisingEvaluator(chosen),
                    store=store,
                    title=f"{name} denoising, seed {seed}",
                )
    for chosen, level, steps in stages():
        evaluator = labs.setdefault(chosen.name, sampling.SamplingEvaluator(chosen))
        for contenders in races(chosen, level, steps):
            c, count = contenders[0].c, contenders[0].steps
            print(f"{chosen.name}, {level}, c = {c}, {count} steps", flush=True)
            if "--plan" not in sys.argv:
                racing.race(contenders, RANKS, store=store, evaluator=evaluator, stages=STAGES, to_the_end=True)
                plain = [cell for cell in contenders if cell.guidance == 1]  # where evaluations count, it costs half
                run(plain, evaluator=evaluator, store=store, title="no guidance")
                for seed in (1, 2):
                    if models.there(chosen, c, chosen.length, seed):
                        again = [replace(cell, seed=seed) for cell in finalists(store, evaluator, contenders)]
                        run(again, evaluator=evaluator, store=store, title=f"seed {seed}")


if __name__ == "__main__":
    main()
