"""Evaluate the second edition's family, stage by stage, in the order in which each can be read.

    nice -n 19 .venv/bin/python -m tools.evaluate_family    # go on where it stopped; --plan: only list what is left

Held-out losses first, of each training and of its averages; then every size, step count, guidance and level of caption,
1,024 pictures a point; then the other trainings of each size.
What is recorded is not run again, and a model that is not trained yet is left for later.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ldm import profiles
from ldm.data.scenes.captions import Level
from ldm.paths import ROOT
from ldm.profiles import Profile
from ldm.study import denoising, sampling
from ldm.study.results import Store
from ldm.study.run import run
from ldm.tasks import models, pretrain

FEW = (2, 4, 8, 16, 32)  # step counts that tell a stage's story; the profile's others follow
SEEDS = (0, 1, 2)
SHARES = (0.03, 0.05, 0.075, 0.1, 0.15, 0.2)  # of a training, that its weights are averaged over


def losses(chosen: Profile, seed: int) -> list[denoising.Denoising]:
    """The held-out losses of every model that is here, and of averages of the longest trainings with snapshots."""
    sizes = [c for c in chosen.family if models.trained_lengths(chosen, c, seed)]
    kept = [
        c
        for c in sizes
        if pretrain.snapshots_of(chosen, c, seed).is_dir() and models.there(chosen, c, chosen.length, seed)
    ]
    for c in kept:
        for share in SHARES:
            if not models.file_of(chosen, c, chosen.length, seed, models.average_kind(share)):
                pretrain.averaged(chosen, c, share, chosen.length, seed)
    averages = denoising.denoising_grid(chosen, kept, [chosen.length], seed=seed, shares=SHARES)
    return denoising.denoising_grid(chosen, sizes, seed=seed) + averages


def stages() -> Iterator[tuple[Profile, Level, tuple[int, ...], int]]:
    """Settings, levels, step counts and training seeds."""
    first, other = profiles.get("laptop-eps"), profiles.get("laptop-v")
    rest = tuple(count for count in first.steps if count not in FEW)
    for level in ("some", "all", "nothing", "subject"):
        yield first, level, FEW, 0
    for level in ("some", "all"):
        yield other, level, other.steps, 0
    for level in ("some", "all"):
        yield first, level, rest, 0
    for chosen, more in ((first, (1, 50)), (other, (*FEW, 1, 50))):
        for level in ("nothing", "subject"):
            yield chosen, level, more, 0
    for seed in SEEDS[1:]:
        for chosen in (first, other):
            for level in ("some", "all"):
                yield chosen, level, first.steps, seed


def main() -> None:
    planned, store = "--plan" in sys.argv, Store(ROOT)
    settings = [profiles.get(name) for name in ("laptop-eps", "laptop-v")]
    for chosen in [] if planned else settings:
        evaluator = denoising.DenoisingEvaluator(chosen)
        for seed in SEEDS:
            if cells := losses(chosen, seed):
                run(cells, evaluator=evaluator, store=store, title=f"{chosen.name} denoising, seed {seed}")
    evaluators = {
        chosen.name: sampling.SamplingEvaluator(chosen) for chosen in settings
    }  # each loads its networks once
    for chosen, level, steps, seed in stages():
        for c in (c for c in chosen.family if models.there(chosen, c, chosen.length, seed)):
            title = f"{chosen.name}, captions that say {level}, c = {c}, seed {seed}"
            guidance = (1.0,) if level == "nothing" else chosen.guidance  # towards no caption there is none
            cells = sampling.sampling_grid(chosen, [c], steps, guidance, level=level, seed=seed)
            if planned:
                print(title, steps)
            else:
                run(cells, evaluator=evaluators[chosen.name], store=store, title=title)


if __name__ == "__main__":
    main()
